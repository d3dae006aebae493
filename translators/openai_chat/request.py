"""A Chat Completions request, both ways: the settings here, messages and tools beside.

What goes to an upstream is an allow-list by construction: only what is written out below can leave. A field that a Chat
client sent and that nobody here knows is kept in `extra` and goes back in where the target speaks Chat.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from ..body import replace, top_level, typed, unknown
from ..codec import DEFAULT_TRAITS, Rendered, Traits, Wire
from ..foreign import unsaid
from ..model import BadRequest, Format, Request
from ..policy import BALANCED_REJECT, INFO, STRICT_REJECT, STRICT_REJECT_WARN, WARN, Losses, Rule
from ..schema import is_strict
from ..session import session_of
from . import reasoning, tools
from .messages import parse_messages, render_messages
from .parts import Json
from .wire import (
    BIAS,
    BOOLEAN,
    INTEGER,
    NAME,
    NUMBER,
    OBJECT,
    RESPONSE_FORMAT,
    STOP,
    STREAM_OPTIONS,
    STRING,
    STRINGS,
    dumps,
    encode,
)

PATH = "/chat/completions"

# Fields that say the same in one value: wire name -> (neutral name, decoder).
_SIMPLE: dict[str, tuple[str, msgspec.json.Decoder[Any]]] = {
    "model": ("model", STRING),
    "parallel_tool_calls": ("parallel_tools", BOOLEAN),
    "verbosity": ("verbosity", STRING),
    "temperature": ("temperature", NUMBER),
    "top_p": ("top_p", NUMBER),
    "top_k": ("top_k", INTEGER),
    "min_p": ("min_p", NUMBER),
    "seed": ("seed", INTEGER),
    "presence_penalty": ("presence_penalty", NUMBER),
    "frequency_penalty": ("frequency_penalty", NUMBER),
    "repetition_penalty": ("repeat_penalty", NUMBER),
    "logit_bias": ("logit_bias", BIAS),
    "n": ("n", INTEGER),
    "modalities": ("modalities", STRINGS),
    "user": ("user", STRING),
    "safety_identifier": ("safety_id", STRING),
    "metadata": ("metadata", OBJECT),
    "service_tier": ("tier", STRING),
    "store": ("store", BOOLEAN),
    "prompt_cache_key": ("cache_key", STRING),
    "stream": ("stream", BOOLEAN),
}
_SPECIAL = (
    "messages", "max_completion_tokens", "max_tokens", "stop", "response_format", "stream_options", "logprobs",
    "top_logprobs", *reasoning.FIELDS, *tools.FIELDS,
)
_KNOWN = frozenset((*_SIMPLE, *_SPECIAL))

# Fields that OpenAI does not have but many servers of its protocol do: a Chat client's go to a Chat upstream.
_COMMUNITY = {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"}

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_request(wire: Wire) -> Request:
    fields = top_level(wire.body)
    request = Request(messages=parse_messages(fields), tools=tools.parse_tools(fields))
    for name, (neutral, decoder) in _SIMPLE.items():
        if name in fields:
            setattr(request, neutral, typed(fields, name, decoder))
    if request.n < 1:
        raise BadRequest("n must be at least 1", "n")
    request.tool_choice = tools.parse_choice(fields)
    request.reasoning = reasoning.parse_reasoning(fields)
    request.format = _parse_format(fields)
    request.max_output = _max_output(fields)
    request.stop = _stop(fields)
    request.logprobs = _logprobs(fields)
    if "stream_options" in fields:
        request.include_usage = typed(fields, "stream_options", STREAM_OPTIONS).include_usage or False
    rest = unknown(fields, _KNOWN)
    if rest or any(getattr(request, neutral) is not None for neutral in _COMMUNITY):
        request.extra = {NAME: rest}
    return request


def _max_output(fields: Mapping[str, Raw]) -> int | None:
    name = next((name for name in ("max_completion_tokens", "max_tokens") if name in fields), None)
    limit = typed(fields, name, INTEGER) if name is not None else None
    return limit if limit is None or limit >= 0 else None  # clients of llama.cpp and LM Studio say -1 for no limit


def _stop(fields: Mapping[str, Raw]) -> list[str]:
    if "stop" not in fields:
        return []
    value = typed(fields, "stop", STOP)
    return [stop for stop in ([value] if isinstance(value, str) else value) if stop]


def _logprobs(fields: Mapping[str, Raw]) -> int | None:
    if "logprobs" not in fields or not typed(fields, "logprobs", BOOLEAN):
        return None
    return typed(fields, "top_logprobs", INTEGER) if "top_logprobs" in fields else 0


def _parse_format(fields: Mapping[str, Raw]) -> Format:
    if "response_format" not in fields:
        return Format()
    wire = typed(fields, "response_format", RESPONSE_FORMAT)
    match wire.type:
        case "text":
            return Format()
        case "json_object":
            return Format("json")
        case "json_schema":
            schema = wire.json_schema
            if schema is None or schema.schema is None:
                path = "response_format.json_schema.schema"
                raise BadRequest(f"{path} is required", path)
            return Format("schema", schema.schema, schema.name, schema.description, schema.strict)
        case other:
            path = "response_format.type"
            raise BadRequest(f"{path}: {other!r} must be text, json_object or json_schema", path)


def relay_body(body: bytes, model: str) -> bytes:
    """The client's own body with another model name."""
    top_level(body)
    return replace(body, {"model": model})


# ------------------------------------------------------------------------------------------------ neutral to wire

# What is said as it is: neutral name, wire name, and the rule where the target's row says that it must be left out.
_PLAIN: tuple[tuple[str, str, Rule], ...] = (
    ("top_p", "top_p", STRICT_REJECT),
    ("seed", "seed", STRICT_REJECT),
    ("presence_penalty", "presence_penalty", STRICT_REJECT),
    ("frequency_penalty", "frequency_penalty", STRICT_REJECT),
    ("logit_bias", "logit_bias", STRICT_REJECT),
    ("verbosity", "verbosity", WARN),
    ("safety_id", "safety_identifier", INFO),
    ("cache_key", "prompt_cache_key", INFO),
    ("store", "store", INFO),
)
# What Chat cannot say: neutral name, why, rule.
_UNSAYABLE: tuple[tuple[str, str, Rule], ...] = (
    ("top_k", "Chat Completions has no top_k", STRICT_REJECT),
    ("min_p", "Chat Completions has no min_p", WARN),
    ("repeat_penalty", "Chat Completions has no repeat penalty", WARN),
    ("max_tool_calls", "Chat Completions sets no limit to tool calls", WARN),
    ("previous_id", "Chat Completions keeps no conversation to go on from", BALANCED_REJECT),
    ("background", "Chat Completions answers at once; the answer is waited for", STRICT_REJECT_WARN),
)
_TIERS = {"standard_only": "default", "standard": "default", "ultrafast": "fast"}
_KNOWN_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_STOP_LIMIT = 4
_USER_LIMIT = 64
_HINT = "Answer with one JSON object that matches this JSON Schema, and with nothing else:\n"
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")

# Extras of other protocols that Chat takes too, because OpenAI's two protocols share them.
_SIBLING = "openai-responses"
_SHARED = ("moderation", "prompt_cache_options", "prompt_cache_retention")


def render_request(request: Request, traits: Traits = DEFAULT_TRAITS) -> Rendered:
    losses = Losses()
    format_fields, hint = _render_format(request.format, traits, losses)
    body: Json = {"model": request.model, "messages": render_messages(request, traits, losses, hint)}
    body.update(tools.render_tools(request, traits, losses))
    body.update(format_fields)
    body.update(reasoning.render_reasoning(request.reasoning, traits, losses))
    _limits(request, traits, losses, body)
    _sampling(request, traits, losses, body)
    _identity(request, traits, losses, body)
    _unsayable(request, losses, body)
    _extras(request, losses, body)
    if request.stream:
        body["stream"] = True
        if traits.stream_usage:
            body["stream_options"] = {"include_usage": True}
    return Rendered(Wire(PATH, encode(body), {"content-type": "application/json"}), losses.list)


def _dropped(name: str, wire: str, traits: Traits, losses: Losses, rule: Rule) -> bool:
    if name not in traits.drop:
        return False
    losses.add(wire, "dropped", f"the model takes no {wire}", rule)
    return True


def _limits(request: Request, traits: Traits, losses: Losses, body: Json) -> None:
    limit = request.max_output
    if limit is not None:
        if limit < 1:
            losses.add("max_tokens", "approximated", "the target must write at least one token", BALANCED_REJECT)
            limit = 1
        if traits.max_output and limit > traits.max_output:
            why = f"the model writes at most {traits.max_output} tokens"
            losses.add("max_tokens", "clamped", why, STRICT_REJECT)
            limit = traits.max_output
        if not _dropped("max_output", "max_tokens", traits, losses, STRICT_REJECT):
            body[traits.max_tokens_field] = limit
    if request.stop and not _dropped("stop", "stop", traits, losses, BALANCED_REJECT):
        if len(request.stop) > _STOP_LIMIT:
            why = f"the target takes {_STOP_LIMIT} stop sequences"
            losses.add("stop", "truncated", why, STRICT_REJECT_WARN)
        body["stop"] = request.stop[:_STOP_LIMIT]
    if request.n > 1 and not _dropped("n", "n", traits, losses, BALANCED_REJECT):
        body["n"] = request.n


def _sampling(request: Request, traits: Traits, losses: Losses, body: Json) -> None:
    heat = request.temperature
    if heat is not None and not _dropped("temperature", "temperature", traits, losses, STRICT_REJECT):
        if not 0 <= heat <= 2:
            losses.add("temperature", "clamped", "the target takes 0 to 2", STRICT_REJECT)
        body["temperature"] = min(max(heat, 0), 2)
    for name, wire, rule in _PLAIN:
        value = getattr(request, name)
        if value is not None and not _dropped(name, wire, traits, losses, rule):
            body[wire] = value
    if request.logprobs is not None and not _dropped("logprobs", "logprobs", traits, losses, STRICT_REJECT):
        body["logprobs"] = True
        if request.logprobs:
            body["top_logprobs"] = request.logprobs
    if request.modalities and request.modalities != ["text"]:
        body["modalities"] = request.modalities


def _identity(request: Request, traits: Traits, losses: Losses, body: Json) -> None:
    user = request.user
    if traits.cache_marks and "prompt_cache_key" not in body and (session := session_of(user)):
        body["prompt_cache_key"] = session  # only to models of OpenAI's, since other servers refuse fields
    if user is not None and not _dropped("user", "user", traits, losses, INFO):
        if len(user) > _USER_LIMIT:  # Claude Code sends a JSON text
            losses.add("user", "hashed", f"the target takes {_USER_LIMIT} characters", INFO)
            user = hashlib.sha256(user.encode()).hexdigest()
        body["user"] = user
    if request.metadata:
        if request.store:
            body["metadata"] = request.metadata
        else:
            losses.add("metadata", "dropped", "the target takes metadata with stored answers only", STRICT_REJECT)
    if request.tier is not None and not _dropped("tier", "service_tier", traits, losses, INFO):
        _tier(request, losses, body)


def _tier(request: Request, losses: Losses, body: Json) -> None:
    tier = _TIERS.get(request.tier or "", request.tier)
    if tier in _KNOWN_TIERS or NAME in request.extra:
        body["service_tier"] = tier
        if tier != request.tier:
            losses.add("service_tier", "approximated", f"{request.tier!r} is called {tier!r} here", INFO)
    else:
        losses.add("service_tier", "dropped", f"the target knows no tier {tier!r}", WARN)


def _render_format(format: Format, traits: Traits, losses: Losses) -> tuple[Json, str]:
    """The field, and what must be said in words where the target takes no schema."""
    if format.kind == "text":
        return {}, ""
    if format.kind == "json" or format.schema is None:
        return {"response_format": {"type": "json_object"}}, ""
    if not traits.structured:
        why = "the target takes no JSON Schema for its answer; it was told in words"
        losses.add("response_format", "emulated", why, STRICT_REJECT_WARN)
        return {"response_format": {"type": "json_object"}}, _HINT + dumps(format.schema)
    name = _NO_NAME.sub("_", format.name or "")[:64] or "response"
    schema: Json = {"name": name, "schema": format.schema}
    if format.description is not None:
        schema["description"] = format.description
    if format.strict is not None:
        schema["strict"] = format.strict
    elif format.schema.get("type") == "object" and is_strict(format.schema):
        schema["strict"] = True  # other protocols always hold to the schema
    return {"response_format": {"type": "json_schema", "json_schema": schema}}, ""


def _unsayable(request: Request, losses: Losses, body: Json) -> None:
    for name, why, rule in _UNSAYABLE:
        value = getattr(request, name)
        if value is None or value is False:
            continue
        if NAME in request.extra and name in _COMMUNITY:
            body[_COMMUNITY[name]] = value
        else:
            losses.add(name, "dropped", why, rule)
    if request.truncation == "auto":
        losses.add("truncation", "dropped", "Chat Completions cuts no history", WARN)


def _extras(request: Request, losses: Losses, body: Json) -> None:
    shared = {name: value for name, value in request.extra.get(_SIBLING, {}).items() if name in _SHARED}
    for name, value in {**shared, **request.extra.get(NAME, {})}.items():
        body.setdefault(name, value)
    for loss in unsaid(request, NAME, "Chat Completions", shared):
        losses.add(loss.path, loss.code, loss.why, loss.rule)
