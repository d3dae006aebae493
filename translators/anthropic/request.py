"""Requests, both ways: the fields around the conversation, tools, and what Anthropic has no field for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ..body import top_level, typed, unknown
from ..codec import DEFAULT_TRAITS, Rendered, Traits, Wire
from ..model import BadRequest, Format, Request
from ..policy import INFO, Loss
from ..schema import for_structured_output
from .messages import Conversation, parse_messages
from .reasoning import Plan, ThinkingIn, parse_reasoning, plan
from .settings import TIERS_IN, render_identity, render_sampling, report
from .tools import Choice, parse_choice, parse_tools, render_choice, render_tools
from .wire import NAME, VERSION, encode, own

MESSAGES_PATH = "/messages"
COUNT_PATH = "/messages/count_tokens"


class FormatIn(Struct):
    type: str = "json_schema"
    schema: dict[str, Any] | None = None


class OutputConfig(Struct):
    effort: str | None = None
    format: FormatIn | None = None


class Metadata(Struct):
    user_id: str | None = None


_INT = msgspec.json.Decoder(int)
_FLOAT = msgspec.json.Decoder(float)
_BOOL = msgspec.json.Decoder(bool)
_STR = msgspec.json.Decoder(str)
_STRINGS = msgspec.json.Decoder(list[str])
_THINKING = msgspec.json.Decoder(ThinkingIn)
_OUTPUT = msgspec.json.Decoder(OutputConfig)
_FORMAT = msgspec.json.Decoder(FormatIn)
_METADATA = msgspec.json.Decoder(Metadata)
_OBJECT = msgspec.json.Decoder(dict[str, Any])

# wire field -> neutral field, where the value is the same
_SAME: dict[str, tuple[str, msgspec.json.Decoder[Any]]] = {
    "model": ("model", _STR),
    "max_tokens": ("max_output", _INT),
    "stream": ("stream", _BOOL),
    "stop_sequences": ("stop", _STRINGS),
    "temperature": ("temperature", _FLOAT),
    "top_p": ("top_p", _FLOAT),
    "top_k": ("top_k", _INT),
}
_MAPPED = frozenset(_SAME) | {
    "messages", "system", "tools", "tool_choice", "thinking", "output_config", "output_format", "metadata",
    "service_tier", "speed",
}
_OUTPUT_KNOWN = frozenset({"effort", "format"})


# ------------------------------------------------------------------------------------------------ parsing


def parse_request(wire: Wire) -> Request:
    """A request for an answer. Raises `BadRequest`."""
    fields = top_level(wire.body)
    if "max_tokens" not in fields:
        raise BadRequest("max_tokens: Field required", "max_tokens")
    return _parse(fields, wire)


def parse_count_request(wire: Wire) -> Request:
    """A request for the size of a prompt: the same without `max_tokens`. Raises `BadRequest`."""
    return _parse(top_level(wire.body), wire)


def _parse(fields: Mapping[str, Raw], wire: Wire) -> Request:
    request = Request(messages=parse_messages(fields), include_usage=True)
    for name, (field, decoder) in _SAME.items():
        if name in fields:
            setattr(request, field, typed(fields, name, decoder))
    if request.max_output is not None and request.max_output < 0:
        raise BadRequest("max_tokens: Input should be greater than or equal to 0", "max_tokens")
    extra = unknown(fields, _MAPPED)
    request.tools = parse_tools(fields)
    request.tool_choice, request.parallel_tools = parse_choice(fields)
    _parse_output(fields, request, extra)
    _parse_identity(fields, request, extra)
    if betas := wire.headers.get("anthropic-beta"):
        extra["betas"] = betas
    if extra:
        request.extra = {NAME: extra}
    return request


def _parse_output(fields: Mapping[str, Raw], request: Request, extra: dict[str, Any]) -> None:
    """Reasoning and the form of the answer. `output_format` is the older name of `output_config.format`."""
    output = typed(fields, "output_config", _OUTPUT) if "output_config" in fields else OutputConfig()
    thinking = typed(fields, "thinking", _THINKING) if "thinking" in fields else None
    request.reasoning = parse_reasoning(thinking, output.effort)
    form = output.format or (typed(fields, "output_format", _FORMAT) if "output_format" in fields else None)
    if form is not None:
        if form.schema is None:
            raise BadRequest("output_config.format.schema: Field required", "output_config.format.schema")
        request.format = Format("schema", form.schema)
    if "output_config" in fields:
        rest = typed(fields, "output_config", _OBJECT)
        if rest := {name: value for name, value in rest.items() if name not in _OUTPUT_KNOWN}:
            extra["output_config"] = rest


def _parse_identity(fields: Mapping[str, Raw], request: Request, extra: dict[str, Any]) -> None:
    if "metadata" in fields:
        request.user = typed(fields, "metadata", _METADATA).user_id
    if "service_tier" in fields:
        tier = typed(fields, "service_tier", _STR)
        request.tier = TIERS_IN.get(tier, tier)
    if "speed" in fields:
        speed = typed(fields, "speed", _STR)
        if speed == "fast" and request.tier in (None, "auto"):
            request.tier = "fast"
        else:
            extra["speed"] = speed


# ------------------------------------------------------------------------------------------------ rendering


def render_request(request: Request, traits: Traits = DEFAULT_TRAITS) -> Rendered:
    """A request for an answer, deterministic and append-only."""
    losses: list[Loss] = []
    made = plan(request.reasoning, traits, request.max_output, losses)
    body = _prompt(request, traits, made, losses)
    body["max_tokens"] = made.max_tokens
    if request.stream:
        body["stream"] = True
    render_sampling(body, request, traits, made, losses)
    render_identity(body, request, traits, losses)
    report(request, losses)
    extra = own(request.extra)
    _carry(body, extra)
    return Rendered(Wire(MESSAGES_PATH, encode(body), _headers(traits, extra)), losses)


def render_count_request(request: Request, traits: Traits = DEFAULT_TRAITS) -> Rendered:
    """A request for the size of the prompt."""
    losses: list[Loss] = []
    made = plan(request.reasoning, traits, request.max_output, losses)
    body = _prompt(request, traits, made, losses)
    return Rendered(Wire(COUNT_PATH, encode(body), _headers(traits, own(request.extra))), losses)


def _prompt(request: Request, traits: Traits, made: Plan, losses: list[Loss]) -> dict[str, Any]:
    """What the model reads, and how it is to answer."""
    talk = Conversation(request.messages, traits, losses)
    choice = render_choice(request, traits, made, losses)
    tools = render_tools(request, choice, traits, losses)
    if made.thinking is not None and made.thinking["type"] == "enabled":
        _check_thinking(made, talk, choice, losses)
    body: dict[str, Any] = {"model": request.model}
    system = talk.system
    if hint := _render_format(body, request.format, traits, losses):
        system.append({"type": "text", "text": hint})
    if system:
        plain = len(system) == 1 and system[0].keys() == {"type", "text"}
        body["system"] = system[0]["text"] if plain else system
    if choice.reminder:
        talk.remind(choice.reminder)
    if not traits.prefill or made.on:
        talk.no_prefill()
    body["messages"] = talk.messages
    if tools:
        body["tools"] = tools
        if choice.wire:
            body["tool_choice"] = choice.wire
    if made.thinking is not None:
        body["thinking"] = made.thinking
    if made.effort is not None:
        body.setdefault("output_config", {})["effort"] = made.effort
    _keep_last_marks([*tools, *system, *_blocks(talk.messages)])
    return body


def _check_thinking(made: Plan, talk: Conversation, choice: Choice, losses: list[Loss]) -> None:
    """The two cases in which models with a budget refuse to think."""
    why = ""
    if choice.forced:
        why = "the model cannot be forced to call a tool while it thinks"
    elif talk.needs_thought:
        why = "the assistant's last turn calls tools and has no signed thought"
    if why:
        losses.append(Loss("reasoning", "dropped", why, ("reject", "warn", "warn") if choice.forced else INFO))
        made.thinking, made.on = None, False


def _render_format(body: dict[str, Any], form: Format, traits: Traits, losses: list[Loss]) -> str:
    """The form of the answer. Where the model takes no schema: a sentence for the system prompt."""
    if form.kind == "text":
        return ""
    if form.schema is None:
        why = "Anthropic has no JSON mode; the model is asked in words"
        losses.append(Loss("format", "emulated", why, ("reject", "info", "info")))
        return "Reply with one JSON object only, without any other text."
    schema, removed = for_structured_output(form.schema)
    if not traits.structured or "format" in traits.drop:
        why = "this model takes no schema; it is asked in words"
        losses.append(Loss("format", "emulated", why, ("reject", "warn", "warn")))
        said = encode(form.schema).decode()
        return f"Reply with JSON only, without any other text. It must match this JSON Schema:\n{said}"
    if removed:
        why = f"{', '.join(removed)}: not enforced, said in descriptions"
        losses.append(Loss("format.schema", "approximated", why, INFO))
    body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return ""


def _carry(body: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Hand back the fields that only Anthropic knows."""
    for name, value in extra.items():
        if name == "output_config":
            body["output_config"] = {**value, **body.get("output_config", {})}
        elif name != "betas" and name not in body:
            body[name] = value


def _headers(traits: Traits, extra: Mapping[str, Any]) -> dict[str, str]:
    headers = {"content-type": "application/json", "anthropic-version": traits.version or VERSION}
    if "betas" in extra:
        headers["anthropic-beta"] = extra["betas"]
    return headers


# ---- cache marks

MOST_MARKS = 4


def _blocks(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All blocks of all messages, those inside tool results included, in their order."""
    found: list[dict[str, Any]] = []
    for message in messages:
        if isinstance(message["content"], list):
            for block in message["content"]:
                inner = block.get("content")
                if block.get("type") == "tool_result" and isinstance(inner, list):
                    found += inner
                found.append(block)
    return found


def _keep_last_marks(blocks: list[dict[str, Any]]) -> None:
    """Anthropic refuses more than four cache marks."""
    marked = [block for block in blocks if "cache_control" in block]
    for block in marked[:-MOST_MARKS]:
        del block["cache_control"]
