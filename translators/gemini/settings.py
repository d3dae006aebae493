"""The settings of a request, both ways: `generationConfig`, identity, service, and what Gemini has no field for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from ..body import typed
from ..codec import Traits
from ..foreign import unsaid
from ..model import BadRequest, Format, Request, Tool
from ..policy import BALANCED_REJECT, INFO, REJECT, STRICT_REJECT, STRICT_REJECT_WARN, WARN, Loss, Rule
from .dialect import for_gemini, from_openapi
from .reasoning import parse_reasoning, render_reasoning
from .wire import (
    BOOLEAN,
    FORMATS,
    INTEGER,
    NAME,
    NUMBER,
    OBJECT,
    STRING,
    STRINGS,
    THINKING,
    Json,
    WireTextFormat,
    encode,
)

# What says the same in one value: name in generationConfig -> (neutral name, decoder).
_SIMPLE: dict[str, tuple[str, msgspec.json.Decoder[Any]]] = {
    "temperature": ("temperature", NUMBER),
    "topP": ("top_p", NUMBER),
    "topK": ("top_k", NUMBER),
    "candidateCount": ("n", INTEGER),
    "maxOutputTokens": ("max_output", INTEGER),
    "stopSequences": ("stop", STRINGS),
    "seed": ("seed", INTEGER),
    "presencePenalty": ("presence_penalty", NUMBER),
    "frequencyPenalty": ("frequency_penalty", NUMBER),
}
_MAPPED = frozenset(_SIMPLE) | {
    "responseLogprobs", "logprobs", "responseModalities", "thinkingConfig", "responseFormat", "responseMimeType",
    "responseSchema", "responseJsonSchema",
}
_TIERS_IN = {"standard": "default", "unspecified": "auto"}
_TIERS_OUT = {"default": "standard", "standard_only": "standard", "flex": "flex", "priority": "priority"}

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_generation(config: Mapping[str, Raw], request: Request) -> Json:
    """Reads `generationConfig` into the request; what only Gemini knows comes back."""
    fields = {f"generationConfig.{name}": raw for name, raw in config.items() if bytes(raw) != b"null"}

    def said(name: str, decoder: msgspec.json.Decoder[Any]) -> Any:
        path = f"generationConfig.{name}"
        return typed(fields, path, decoder) if path in fields else None

    for name, (neutral, decoder) in _SIMPLE.items():
        if (value := said(name, decoder)) is not None:
            setattr(request, neutral, value)
    if request.n < 1:
        raise BadRequest("generationConfig.candidateCount must be at least 1", "generationConfig.candidateCount")
    if request.max_output is not None and request.max_output < 0:
        path = "generationConfig.maxOutputTokens"
        raise BadRequest(f"{path} must not be negative", path)
    if request.top_k is not None:
        request.top_k = int(request.top_k)  # a float for Google, whose examples say 40.0
    if said("responseLogprobs", BOOLEAN):
        request.logprobs = said("logprobs", INTEGER) or 0
    request.modalities = [mode.lower() for mode in said("responseModalities", STRINGS) or ()]
    thinking = said("thinkingConfig", THINKING)
    request.reasoning = parse_reasoning(thinking) if thinking is not None else None
    request.format = _format(said)
    names = (path.partition(".")[2] for path in fields)
    return {name: said(name, _ANY) for name in names if name not in _MAPPED}


_ANY = msgspec.json.Decoder()


_ENUM = "text/x.enum"


def _format(said: Any) -> Format:
    """`responseFormat` is the newer form, and counts."""
    formats = said("responseFormat", FORMATS)
    listed = formats if isinstance(formats, list) else [formats] if formats is not None else []
    text = next((one.text for one in listed if one.text is not None), None)
    if text is None:
        text = WireTextFormat(said("responseMimeType", STRING), said("responseJsonSchema", OBJECT))
    schema = text.schema
    if schema is None and (openapi := said("responseSchema", OBJECT)) is not None:
        schema = from_openapi(openapi)
    if schema is not None and text.mime_type != "text/plain":
        return Format("schema", schema, bare=text.mime_type == _ENUM)
    return Format("json") if text.mime_type == "application/json" else Format()


def parse_tier(tier: str) -> str:
    name = tier.lower().removeprefix("service_tier_")
    return _TIERS_IN.get(name, name)


# ------------------------------------------------------------------------------------------------ neutral to wire

_STOP_LIMIT = 5
# What is said as it is: neutral name, wire name, and the rule where the target's row says that it must be left out.
_PLAIN: tuple[tuple[str, str, Rule], ...] = (
    ("top_p", "topP", STRICT_REJECT),
    ("top_k", "topK", STRICT_REJECT),
    ("seed", "seed", STRICT_REJECT),
    ("presence_penalty", "presencePenalty", STRICT_REJECT),
    ("frequency_penalty", "frequencyPenalty", STRICT_REJECT),
)
# What Gemini has no field for: the neutral field, what happens to it, and why.
_UNSAID: tuple[tuple[str, Rule, str], ...] = (
    ("min_p", INFO, "Gemini has no min_p"),
    ("repeat_penalty", INFO, "Gemini has no repeat penalty"),
    ("logit_bias", STRICT_REJECT, "Gemini has no logit bias"),
    ("verbosity", WARN, "Gemini has no verbosity"),
    ("max_tool_calls", WARN, "Gemini does not limit the number of tool calls"),
    ("previous_id", REJECT, "Gemini keeps no earlier answers"),
    ("truncation", WARN, "Gemini does not shorten the conversation by itself"),
    ("cache_key", INFO, "Gemini caches by itself"),
    ("user", INFO, "Gemini has no user id"),
    ("safety_id", INFO, "Gemini has no user id"),
)


def render_generation(request: Request, traits: Traits, losses: list[Loss]) -> Json:
    """The `generationConfig`; empty where nothing is to be said."""
    out: Json = {}
    _limits(out, request, traits, losses)
    heat = request.temperature
    if heat is not None and not _dropped("temperature", traits, losses):
        if not 0 <= heat <= 2:
            losses.append(Loss("temperature", "clamped", "Gemini takes 0 to 2", STRICT_REJECT))
        out["temperature"] = min(max(heat, 0), 2)
    for name, wire, rule in _PLAIN:
        if getattr(request, name) is not None and not _dropped(name, traits, losses, rule):
            out[wire] = getattr(request, name)
    if request.logprobs is not None and not _dropped("logprobs", traits, losses):
        out["responseLogprobs"] = True
        if request.logprobs:
            out["logprobs"] = request.logprobs
    if any(mode != "text" for mode in request.modalities):
        out["responseModalities"] = [mode.upper() for mode in request.modalities]
    if thinking := render_reasoning(request.reasoning, traits, losses):
        out["thinkingConfig"] = thinking
    return out


def _dropped(name: str, traits: Traits, losses: list[Loss], rule: Rule = STRICT_REJECT) -> bool:
    if name not in traits.drop:
        return False
    losses.append(Loss(name, "dropped", f"this model takes no {name}", rule))
    return True


def _limits(out: Json, request: Request, traits: Traits, losses: list[Loss]) -> None:
    limit = request.max_output
    if limit is not None and not _dropped("max_output", traits, losses):
        if limit < 1:
            losses.append(Loss("max_output", "approximated", "Gemini writes at least one token", BALANCED_REJECT))
            limit = 1
        if traits.max_output and limit > traits.max_output:
            why = f"the model writes at most {traits.max_output} tokens"
            losses.append(Loss("max_output", "clamped", why, STRICT_REJECT_WARN))
            limit = traits.max_output
        out["maxOutputTokens"] = limit
    if request.stop and not _dropped("stop", traits, losses, BALANCED_REJECT):
        if len(request.stop) > _STOP_LIMIT:
            why = f"Gemini takes {_STOP_LIMIT} stop sequences"
            losses.append(Loss("stop", "truncated", why, STRICT_REJECT_WARN))
        out["stopSequences"] = request.stop[:_STOP_LIMIT]


def render_format(out: Json, request: Request, traits: Traits, losses: list[Loss]) -> str:
    """The form of the answer, into `generationConfig`. Where the model takes no schema: a sentence for the system."""
    form = request.format
    if form.kind == "text":
        return ""
    why = "this model takes no schema; it is asked in words" if form.schema is not None and _no_schema(traits) else ""
    if not traits.structured_tools and any(isinstance(tool, Tool) for tool in request.tools):
        why = "this model takes no form of the answer beside functions; it is asked in words"
    if why:
        losses.append(Loss("format", "emulated", why, STRICT_REJECT_WARN))
        if form.schema is None:
            return "Reply with one JSON object only, without any other text."
        said = encode(form.schema).decode()
        return f"Reply with JSON only, without any other text. It must match this JSON Schema:\n{said}"
    if form.schema is None:
        out["responseMimeType"] = "application/json"
        return ""
    out["responseMimeType"] = _ENUM if form.bare else "application/json"
    out["responseJsonSchema"], removed = for_gemini(form.schema)
    if removed:
        why = f"{', '.join(removed)}: not enforced, said in descriptions"
        losses.append(Loss("format.schema", "approximated", why, INFO))
    return ""


def _no_schema(traits: Traits) -> bool:
    return not traits.structured or "format" in traits.drop


def render_identity(body: Json, request: Request, traits: Traits, losses: list[Loss]) -> None:
    """Tier, labels and what of the request found no place."""
    tier = request.tier
    if tier is not None and tier != "auto" and "tier" not in traits.drop:
        if tier in _TIERS_OUT:
            body["serviceTier"] = _TIERS_OUT[tier]
        else:
            losses.append(Loss("tier", "dropped", f"Gemini has no service tier {tier!r}", WARN))
    if request.metadata and "metadata" not in traits.drop:
        losses.append(Loss("metadata", "approximated", "Gemini's labels are short and in lower case", INFO))
        body["labels"] = {_label(name): _label(value) for name, value in request.metadata.items()}
    if request.store is not None and "store" not in traits.drop:
        body["store"] = request.store
    for field, rule, why in _UNSAID:
        if getattr(request, field) is not None and getattr(request, field) != "disabled":
            losses.append(Loss(field, "dropped", why, rule))
    if request.n > 1:
        losses.append(Loss("n", "dropped", "one answer is asked for", BALANCED_REJECT))
    if request.background:
        losses.append(Loss("background", "dropped", "Gemini answers at once", WARN))
    losses += unsaid(request, NAME, "Gemini")


_NO_LABEL = re.compile(r"[^a-z0-9_-]")


def _label(value: Any) -> str:
    text = value if isinstance(value, str) else encode(value).decode()
    return _NO_LABEL.sub("_", text.lower())[:63]
