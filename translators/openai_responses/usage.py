"""Responses' counters, which contain each other: the input its cached tokens, the output its reasoning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model import Usage


def parse_usage(raw: Mapping[str, Any]) -> Usage:
    prompt, completion = _count(raw, "input_tokens"), _count(raw, "output_tokens")
    inside, outside = raw.get("input_tokens_details"), raw.get("output_tokens_details")
    read, write = _count(inside, "cached_tokens"), _count(inside, "cache_write_tokens")
    reasoning = min(_count(outside, "reasoning_tokens"), completion)
    return Usage(max(0, prompt - read - write), read, write, completion - reasoning, reasoning, raw=dict(raw))


def _count(raw: Any, name: str) -> int:
    value = raw.get(name) if isinstance(raw, Mapping) else None
    return max(0, int(value)) if isinstance(value, int | float) and value == value else 0


def render_usage(usage: Usage | None) -> dict[str, Any]:
    """Both detail objects always: Codex and the SDKs demand them."""
    usage = usage or Usage()
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }
