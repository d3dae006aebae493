"""Token counts, both ways. Anthropic's `input_tokens` are without cached ones, `output_tokens` with the thoughts."""

from __future__ import annotations

from typing import Any

from ..model import Usage

_TIERS = ("standard", "priority", "batch")
_CARRIED = ("server_tool_use", "iterations", "inference_geo")  # of an Anthropic upstream, for an Anthropic client


def parse_usage(raw: dict[str, Any]) -> Usage:
    output = _count(raw.get("output_tokens"))
    details = raw.get("output_tokens_details")
    thinking = min(output, _count(details.get("thinking_tokens"))) if isinstance(details, dict) else 0
    split = raw.get("cache_creation")
    hour = _count(split.get("ephemeral_1h_input_tokens")) if isinstance(split, dict) else 0
    write = _count(raw.get("cache_creation_input_tokens"))
    return Usage(
        _count(raw.get("input_tokens")),
        _count(raw.get("cache_read_input_tokens")),
        write,
        output - thinking,
        thinking,
        min(hour, write),
        raw=raw,
    )


def _count(value: Any) -> int:
    """Some servers count in floats, or say null."""
    return max(0, int(value)) if isinstance(value, int | float) else 0


def merge_usage(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """The counts of `message_start` and of `message_delta`: the later ones are totals and win, but for placeholders."""
    said = {name: value for name, value in later.items() if value is not None}
    return {**earlier, **{name: value for name, value in said.items() if value != 0 or name not in earlier}}


def render_usage(usage: Usage) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.completion,
    }
    if usage.cache_write_1h:
        counts["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write - usage.cache_write_1h,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    for name in _CARRIED:
        if usage.raw.get(name) is not None:
            counts[name] = usage.raw[name]
    if usage.raw.get("service_tier") in _TIERS:
        counts["service_tier"] = usage.raw["service_tier"]
    return counts
