"""A Responses request, both ways: the settings here, items and tools beside.

What goes to an upstream is an allow-list by construction: only what is written out below can leave. A field that a
client of this protocol sent and that nobody here knows is kept in `extra` and goes back in where the target speaks it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from ..body import top_level, typed, unknown
from ..codec import DEFAULT_TRAITS, Rendered, Traits, Wire
from ..foreign import unsaid
from ..model import BadRequest, Effort, Format, Reasoning, Request
from ..openai_effort import effort_of_name, fitted_effort, wire_name
from ..policy import BALANCED_REJECT, INFO, STRICT_REJECT, STRICT_REJECT_WARN, WARN, Losses, Rule
from ..schema import is_strict
from ..session import session_of
from . import tools
from .items import parse_input
from .messages import render_messages
from .wire import BOOLEAN, EFFORT, INTEGER, NAME, NUMBER, OBJECT, STRING, STRINGS, TEXT, Json, dumps, encode

PATH = "/responses"
ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"

# Fields that say the same in one value: wire name -> (neutral name, decoder).
_SIMPLE: dict[str, tuple[str, msgspec.json.Decoder[Any]]] = {
    "model": ("model", STRING),
    "parallel_tool_calls": ("parallel_tools", BOOLEAN),
    "max_tool_calls": ("max_tool_calls", INTEGER),
    "max_output_tokens": ("max_output", INTEGER),
    "temperature": ("temperature", NUMBER),
    "top_p": ("top_p", NUMBER),
    "user": ("user", STRING),
    "safety_identifier": ("safety_id", STRING),
    "metadata": ("metadata", OBJECT),
    "service_tier": ("tier", STRING),
    "store": ("store", BOOLEAN),
    "previous_response_id": ("previous_id", STRING),
    "background": ("background", BOOLEAN),
    "truncation": ("truncation", STRING),
    "prompt_cache_key": ("cache_key", STRING),
    "top_logprobs": ("logprobs", INTEGER),
    "stream": ("stream", BOOLEAN),
}
_SPECIAL = ("input", "instructions", "text", "reasoning", "tools", "tool_choice", "include", "stream_options")
_KNOWN = frozenset((*_SIMPLE, *_SPECIAL))

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_request(wire: Wire) -> Request:
    fields = top_level(wire.body)
    said = parse_input(fields)
    request = Request(messages=said.out, tools=tools.parse_tools(fields, said.tools))
    fields = _updated(fields, said.settings)
    for name, (neutral, decoder) in _SIMPLE.items():
        if name in fields:
            setattr(request, neutral, typed(fields, name, decoder))
    if request.max_output is not None and request.max_output < 0:
        raise BadRequest("max_output_tokens must not be negative", "max_output_tokens")
    request.tool_choice = tools.parse_choice(fields, request.tools)
    request.reasoning = _parse_reasoning(fields)
    request.format, request.verbosity = _parse_text(fields)
    request.include_usage = True  # this protocol leaves no choice
    rest = unknown(fields, _KNOWN)
    if "include" in fields:
        _include(typed(fields, "include", STRINGS), request, rest)
    request.extra = {NAME: rest}  # also where it is empty: it says that a client of this protocol spoke
    return request


def _updated(fields: dict[str, Raw], later: Mapping[str, Raw]) -> dict[str, Raw]:
    """The fields with what a `configuration_update` says of them: it holds from there on, so for this answer."""
    out = dict(fields)
    for name in ("reasoning", "text"):
        if name in later:
            before: Json = typed(fields, name, OBJECT) if name in fields else {}
            after: Json = typed({f"input.{name}": later[name]}, f"input.{name}", OBJECT)
            out[name] = Raw(encode({**before, **after}))
    return out


def _include(wanted: list[str], request: Request, rest: Json) -> None:
    if LOGPROBS in wanted and request.logprobs is None:
        request.logprobs = 0
    others = [name for name in wanted if name != LOGPROBS]
    if others:
        rest["include"] = others


def _parse_reasoning(fields: Mapping[str, Raw]) -> Reasoning | None:
    if "reasoning" not in fields:
        return None
    wire = typed(fields, "reasoning", EFFORT)
    given: Json = typed(fields, "reasoning", OBJECT)
    effort: Effort = effort_of_name(wire.effort, "reasoning.effort") if wire.effort is not None else "auto"
    digest = wire.summary or wire.generate_summary
    visible = None if digest is None else digest != "none"
    rest = {name: given[name] for name in ("context", "mode") if given.get(name) is not None}
    if effort == "auto" and digest is None and not rest:
        return None
    return Reasoning(effort, None, visible, digest, {NAME: rest} if rest else {})


def _parse_text(fields: Mapping[str, Raw]) -> tuple[Format, str | None]:
    if "text" not in fields:
        return Format(), None
    wire = typed(fields, "text", TEXT)
    form = wire.format
    if form is None or form.type == "text":
        return Format(), wire.verbosity
    if form.type == "json_schema" and form.schema is not None:
        return Format("schema", form.schema, form.name, form.description, form.strict), wire.verbosity
    return Format("json"), wire.verbosity


# ------------------------------------------------------------------------------------------------ neutral to wire

LEAST_OUTPUT = 16

# What is said as it is: neutral name, wire name, and the rule where the target's row says that it must be left out.
_PLAIN: tuple[tuple[str, str, Rule], ...] = (
    ("top_p", "top_p", STRICT_REJECT),
    ("max_tool_calls", "max_tool_calls", WARN),
    ("safety_id", "safety_identifier", INFO),
    ("cache_key", "prompt_cache_key", INFO),
    ("metadata", "metadata", STRICT_REJECT),
    ("previous_id", "previous_response_id", BALANCED_REJECT),
    ("background", "background", STRICT_REJECT_WARN),
    ("truncation", "truncation", WARN),
)
# What Responses cannot say: neutral name, wire name elsewhere, why, rule.
_UNSAYABLE: tuple[tuple[str, str, str, Rule], ...] = (
    ("top_k", "top_k", "Responses has no top_k", STRICT_REJECT),
    ("min_p", "min_p", "Responses has no min_p", INFO),
    ("repeat_penalty", "repeat_penalty", "Responses has no repeat penalty", INFO),
    ("seed", "seed", "Responses has no seed", WARN),
    ("presence_penalty", "presence_penalty", "Responses has no penalties", WARN),
    ("frequency_penalty", "frequency_penalty", "Responses has no penalties", WARN),
    ("logit_bias", "logit_bias", "Responses has no logit bias", STRICT_REJECT),
    ("stop", "stop", "Responses has no stop sequences", BALANCED_REJECT),
)
_TIERS = {"standard_only": "default", "standard": "default"}
_KNOWN_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_USER_LIMIT = 64
_HINT = "Answer with one JSON object that matches this JSON Schema, and with nothing else:\n"
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_SIBLING = "openai-chat"
_SHARED = ("moderation", "prompt_cache_options", "prompt_cache_retention")  # of OpenAI's two protocols


def render_request(request: Request, traits: Traits = DEFAULT_TRAITS) -> Rendered:
    losses = Losses()
    store = request.store if request.store is not None or NAME in request.extra else False
    text, hint = _render_text(request, traits, losses)
    instructions, items = render_messages(request, store is not False, traits, losses)
    instructions = "\n\n".join(filter(None, (instructions, hint)))
    body: Json = {"model": request.model}
    if instructions:
        body["instructions"] = instructions
    body["input"] = items
    body.update(tools.render_tools(request, traits, losses))
    if text:
        body["text"] = text
    reasoning = _render_reasoning(request.reasoning, traits, losses)
    if reasoning:
        body["reasoning"] = reasoning
    _limits(request, traits, losses, body)
    _identity(request, traits, losses, body)
    _unsayable(request, losses)
    _extras(request, losses, body)
    _say_store(request, store, traits, body)
    if request.stream:
        body["stream"] = True
    return Rendered(Wire(PATH, encode(body), {"content-type": "application/json"}), losses.list)


def _say_store(request: Request, store: bool | None, traits: Traits, body: Json) -> None:
    """Clients of other protocols know no items: reasoning must come with a token, or it is lost for the next turn."""
    include = list(body.get("include", ()))
    if store is not None and "store" not in traits.drop:
        body["store"] = store
    if ENCRYPTED not in include and NAME not in request.extra and traits.reasoning != "none":
        include.append(ENCRYPTED)
    if request.logprobs is not None and "logprobs" not in traits.drop:
        include.append(LOGPROBS)
    if include and "include" not in traits.drop:
        body["include"] = include


def _dropped(name: str, wire: str, traits: Traits, losses: Losses, rule: Rule) -> bool:
    if name not in traits.drop:
        return False
    losses.add(wire, "dropped", f"the model takes no {wire}", rule)
    return True


def _limits(request: Request, traits: Traits, losses: Losses, body: Json) -> None:
    limit = request.max_output
    if limit == 0:
        options = request.extra.get(NAME, {}).get("prompt_cache_options") or {}
        body["prompt_cache_options"] = {**options, "prewarm": True}
    elif limit is not None and not _dropped("max_output", "max_output_tokens", traits, losses, STRICT_REJECT):
        if traits.max_output and limit > traits.max_output:
            why = f"the model writes at most {traits.max_output} tokens"
            losses.add("max_tokens", "clamped", why, STRICT_REJECT)
            limit = traits.max_output
        if limit < LEAST_OUTPUT:
            losses.add("max_tokens", "approximated", f"the target takes {LEAST_OUTPUT} tokens at least", INFO)
            limit = LEAST_OUTPUT
        body["max_output_tokens"] = limit
    heat = request.temperature
    if heat is not None and not _dropped("temperature", "temperature", traits, losses, STRICT_REJECT):
        if not 0 <= heat <= 2:
            losses.add("temperature", "clamped", "the target takes 0 to 2", STRICT_REJECT)
        body["temperature"] = min(max(heat, 0), 2)
    for name, wire, rule in _PLAIN:
        value = getattr(request, name)
        if value is not None and value != {} and not _dropped(name, wire, traits, losses, rule):
            body[wire] = value
    if request.logprobs and not _dropped("logprobs", "top_logprobs", traits, losses, STRICT_REJECT):
        body["top_logprobs"] = request.logprobs
    if request.n > 1:
        losses.add("n", "dropped", "Responses gives one answer", BALANCED_REJECT)
    if "audio" in request.modalities:
        losses.add("modalities", "dropped", "Responses answers in text", BALANCED_REJECT)


def _identity(request: Request, traits: Traits, losses: Losses, body: Json) -> None:
    user = request.user
    if "prompt_cache_key" not in body and "cache_key" not in traits.drop and (session := session_of(user)):
        body["prompt_cache_key"] = session
    if user is not None and not _dropped("user", "user", traits, losses, INFO):
        if len(user) > _USER_LIMIT:  # Claude Code sends a JSON text
            losses.add("user", "hashed", f"the target takes {_USER_LIMIT} characters", INFO)
            user = hashlib.sha256(user.encode()).hexdigest()
        body["user"] = user
    if request.tier is None or _dropped("tier", "service_tier", traits, losses, INFO):
        return
    tier = _TIERS.get(request.tier, request.tier)
    if tier not in _KNOWN_TIERS and NAME not in request.extra:
        losses.add("service_tier", "dropped", f"the target knows no tier {tier!r}", WARN)
        return
    body["service_tier"] = tier
    if tier != request.tier:
        losses.add("service_tier", "approximated", f"{request.tier!r} is called {tier!r} here", INFO)


def _render_text(request: Request, traits: Traits, losses: Losses) -> tuple[Json, str]:
    """The field `text`, and what must be said in words where the target takes no schema."""
    form, hint = _render_format(request.format, traits, losses)
    out: Json = {"format": form} if form else {}
    if request.verbosity is not None and not _dropped("verbosity", "verbosity", traits, losses, WARN):
        out["verbosity"] = request.verbosity
    return out, hint


def _render_format(format: Format, traits: Traits, losses: Losses) -> tuple[Json, str]:
    if format.kind == "text":
        return {}, ""
    if format.kind == "json" or format.schema is None:
        return {"type": "json_object"}, ""
    if not traits.structured:
        why = "the target takes no JSON Schema for its answer; it was told in words"
        losses.add("text.format", "emulated", why, STRICT_REJECT_WARN)
        return {"type": "json_object"}, _HINT + dumps(format.schema)
    out: Json = {"type": "json_schema", "name": _NO_NAME.sub("_", format.name or "")[:64] or "response"}
    if format.description is not None:
        out["description"] = format.description
    out["schema"] = format.schema
    if format.strict is not None:
        out["strict"] = format.strict
    elif format.schema.get("type") == "object" and is_strict(format.schema):
        out["strict"] = True  # other protocols always hold to the schema
    return out, ""


def _render_reasoning(reasoning: Reasoning | None, traits: Traits, losses: Losses) -> Json:
    """The styles of `Traits.reasoning` here: "effort" (the default) and "none"."""
    if reasoning is None:
        return {}
    if traits.reasoning == "none" or "reasoning" in traits.drop:
        rule = INFO if reasoning.effort in ("off", "auto") else STRICT_REJECT
        losses.add("reasoning", "dropped", "the target has no setting for reasoning", rule)
        return {}
    out: Json = {}
    if reasoning.effort != "auto":
        out["effort"] = wire_name(fitted_effort(reasoning.effort, traits, losses))
        if reasoning.budget is not None and reasoning.effort != "off":
            losses.add("reasoning.budget", "approximated", "the target takes an effort, no token budget", INFO)
    if reasoning.effort != "off" and reasoning.visible is not False:
        out["summary"] = reasoning.summary or "auto"
    return {**out, **reasoning.extra.get(NAME, {})}


def _unsayable(request: Request, losses: Losses) -> None:
    for name, wire, why, rule in _UNSAYABLE:
        if getattr(request, name) not in (None, [], {}):
            losses.add(wire, "dropped", why, rule)


def _extras(request: Request, losses: Losses, body: Json) -> None:
    shared = {name: value for name, value in request.extra.get(_SIBLING, {}).items() if name in _SHARED}
    for name, value in {**shared, **request.extra.get(NAME, {})}.items():
        body.setdefault(name, value)
    for loss in unsaid(request, NAME, "Responses", shared):
        losses.add(loss.path, loss.code, loss.why, loss.rule)
