"""A request, both ways: the settings here, messages and tools beside.

`/api/chat` and `/api/generate` differ in how the prompt is given; to an upstream goes `/api/chat` alone. Sampling and
limits stand in `options`, with many settings of the local machine that no other protocol knows: they are kept in
`extra`. A server of Ollama's cuts, without a word, what does not fit its window; so each request says how large a
window it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from ..body import generic, top_level, typed, unknown
from ..codec import DEFAULT_TRAITS, Rendered, Traits, Wire
from ..foreign import unsaid
from ..model import EFFORTS, BadRequest, Effort, Format, Message, Reasoning, Request, Text
from ..policy import (
    BALANCED_REJECT,
    INFO,
    REJECT,
    STRICT_REJECT,
    STRICT_REJECT_WARN,
    WARN,
    Loss,
    Rule,
)
from ..tokens import estimate
from .messages import parse_messages, pictures, render_messages
from .tools import parse_choice, parse_tools, render_tools
from .wire import (
    BOOLEAN,
    FORMAT,
    GENERATE,
    IMAGES_NULL,
    INTEGER,
    LOADS,
    NAME,
    NUMBER,
    OPTIONS,
    STOP,
    STRING,
    STRINGS,
    THINK,
    Json,
    encode,
)

CHAT_PATH, GENERATE_PATH = "/chat", "/generate"

# In `options`: wire name -> (neutral name, decoder). Both directions.
_OPTIONS: dict[str, tuple[str, msgspec.json.Decoder[Any]]] = {
    "temperature": ("temperature", NUMBER),
    "top_p": ("top_p", NUMBER),
    "top_k": ("top_k", INTEGER),
    "min_p": ("min_p", NUMBER),
    "seed": ("seed", INTEGER),
    "presence_penalty": ("presence_penalty", NUMBER),
    "frequency_penalty": ("frequency_penalty", NUMBER),
    "repeat_penalty": ("repeat_penalty", NUMBER),
}
_COMMON = ("model", "stream", "format", "think", "options", "logprobs", "top_logprobs")
_KNOWN = {
    CHAT_PATH: frozenset((*_COMMON, "messages", "tools", "tool_choice")),
    GENERATE_PATH: frozenset((*_COMMON, "prompt", "system", "images")),
}
_AT_ONCE = (0, "0", "0s", "0m", "0h")  # values of keep_alive
# Of /api/generate: they bypass the chat, unless they are empty.
_BYPASS = ("suffix", "template", "context", "raw")

_LEVELS: dict[str, Effort] = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}

# ------------------------------------------------------------------------------------------------ wire to neutral


def path_of(wire: Wire) -> str:
    """Which of the two endpoints was asked."""
    return GENERATE_PATH if wire.path.partition("?")[0].endswith(GENERATE_PATH) else CHAT_PATH


def parse_request(wire: Wire) -> Request:
    fields = top_level(wire.body)
    path = path_of(wire)
    if path == GENERATE_PATH:
        request = Request(messages=_prompt(fields))
        fields = {name: raw for name, raw in fields.items() if name not in _BYPASS or generic(raw)}
    else:
        request = Request(messages=parse_messages(fields), tools=parse_tools(fields), tool_choice=parse_choice(fields))
    request.model = typed(fields, "model", STRING) if "model" in fields else ""
    request.stream = typed(fields, "stream", BOOLEAN) if "stream" in fields else True
    request.reasoning = _parse_think(fields)
    request.format = _parse_format(fields)
    if "logprobs" in fields and typed(fields, "logprobs", BOOLEAN):
        request.logprobs = typed(fields, "top_logprobs", INTEGER) if "top_logprobs" in fields else 0
    options = _parse_options(fields, request)
    extra = unknown(fields, _KNOWN[path])
    if options:
        extra["options"] = options
    if path == GENERATE_PATH:
        extra[GENERATE] = True
    if not request.messages:
        extra[LOADS] = "unload" if extra.get("keep_alive") in _AT_ONCE else "load"
    if extra:
        request.extra = {NAME: extra}
    return request


def _prompt(fields: Mapping[str, Raw]) -> list[Message]:
    """The system's text and one message of the user's; none where the model shall be loaded and no more."""
    system = typed(fields, "system", STRING) if "system" in fields else ""
    prompt = typed(fields, "prompt", STRING) if "prompt" in fields else ""
    images = pictures(typed(fields, "images", STRINGS) if "images" in fields else ())
    if not prompt and not images:
        return []
    text = [Text(prompt)] if prompt else []
    user = Message("user", (*text, *images))
    return [Message("system", (Text(system),)), user] if system else [user]


def _parse_think(fields: Mapping[str, Raw]) -> Reasoning | None:
    if "think" not in fields:
        return None
    value = typed(fields, "think", THINK)
    if isinstance(value, bool):
        return Reasoning("auto" if value else "off")
    if value not in _LEVELS:
        raise BadRequest(f"think: {value!r} must be true, false or one of {', '.join(_LEVELS)}", "think")
    return Reasoning(_LEVELS[value])


def _parse_format(fields: Mapping[str, Raw]) -> Format:
    value = typed(fields, "format", FORMAT) if "format" in fields else ""
    if not isinstance(value, str):
        return Format("schema", value)
    if value not in ("", "json"):
        raise BadRequest(f"format: {value!r} must be json or a JSON schema", "format")
    return Format("json") if value else Format()


def _parse_options(fields: Mapping[str, Raw], request: Request) -> Json:
    """Sets what the request has a place for; the rest is returned."""
    options: dict[str, Raw] = typed(fields, "options", OPTIONS) if "options" in fields else {}
    options = {name: raw for name, raw in options.items() if bytes(raw) != b"null"}
    rest: Json = {}
    for name, raw in options.items():
        at = {f"options.{name}": raw}
        if name in _OPTIONS:
            neutral, decoder = _OPTIONS[name]
            setattr(request, neutral, typed(at, f"options.{name}", decoder))
        elif name == "stop":
            stop = typed(at, "options.stop", STOP)
            request.stop = [text for text in ([stop] if isinstance(stop, str) else stop) if text]
        elif name == "num_predict" and typed(at, "options.num_predict", INTEGER) > 0:
            request.max_output = typed(at, "options.num_predict", INTEGER)
        else:  # of `num_predict` -1 (no limit) and -2 (what the window holds)
            rest.update(unknown({name: raw}, frozenset()))
    return rest


# ------------------------------------------------------------------------------------------------ neutral to wire

# What Ollama has no field for: neutral name, why, rule.
_UNSAYABLE: tuple[tuple[str, str, Rule], ...] = (
    ("logit_bias", "Ollama has no logit bias", STRICT_REJECT),
    ("verbosity", "Ollama has no verbosity", WARN),
    ("max_tool_calls", "Ollama sets no limit to tool calls", WARN),
    ("previous_id", "Ollama keeps no conversation to go on from", BALANCED_REJECT),
    ("background", "Ollama answers at once; the answer is waited for", WARN),
    ("user", "Ollama knows no users", INFO),
    ("safety_id", "Ollama knows no users", INFO),
    ("metadata", "Ollama takes no metadata", INFO),
    ("tier", "Ollama has no service tiers", INFO),
    ("store", "Ollama stores no answers", INFO),
    ("cache_key", "Ollama needs no cache key", INFO),
)
_HINT = "Answer with one JSON object that matches this JSON Schema, and with nothing else:\n"

_LEAST_WINDOW = 4096  # tokens; what a server takes when it is not told
_ROOM = 4096  # tokens kept free for the answer, which shares the window


def render_request(request: Request, traits: Traits = DEFAULT_TRAITS) -> Rendered:
    losses: list[Loss] = []
    own = request.extra.get(NAME, {})
    tools, order = render_tools(request, losses)
    form, hint = _render_format(request.format, traits, losses)
    words = "\n\n".join(filter(None, (order, hint)))
    body: Json = {"model": request.model, "messages": render_messages(request, traits, losses, words)}
    if tools:
        body["tools"] = tools
    if form is not None:
        body["format"] = form
    _render_think(request.reasoning, traits, losses, body)
    options = {**own.get("options", {}), **_sampling(request, traits, losses), **_limits(request, traits, losses)}
    options["num_ctx"] = _window(request, traits, options.get("num_ctx"), losses)
    body["options"] = options
    if request.logprobs is not None and not _dropped("logprobs", traits, losses, STRICT_REJECT):
        body["logprobs"] = True
        if request.logprobs:
            body["top_logprobs"] = request.logprobs
    if request.truncation == "auto":
        body["truncate"] = True
    _unsayable(request, losses)
    _extras(request, losses, body)
    body["stream"] = request.stream
    return Rendered(Wire(CHAT_PATH, encode(body), {"content-type": "application/json"}), losses)


def _dropped(name: str, traits: Traits, losses: list[Loss], rule: Rule) -> bool:
    if name not in traits.drop:
        return False
    losses.append(Loss(name, "dropped", f"the model takes no {name}", rule))
    return True


def _sampling(request: Request, traits: Traits, losses: list[Loss]) -> Json:
    out: Json = {}
    for wire, (neutral, _) in _OPTIONS.items():
        value = getattr(request, neutral)
        if value is not None and not _dropped(neutral, traits, losses, STRICT_REJECT):
            out[wire] = value
    return out


def _limits(request: Request, traits: Traits, losses: list[Loss]) -> Json:
    out: Json = {}
    limit = request.max_output
    if limit is not None and not _dropped("max_output", traits, losses, STRICT_REJECT):
        if limit < 1:
            losses.append(
                Loss("max_tokens", "approximated", "the target must write at least one token", BALANCED_REJECT)
            )
        if traits.max_output and limit > traits.max_output:
            why = f"the model writes at most {traits.max_output} tokens"
            losses.append(Loss("max_tokens", "clamped", why, STRICT_REJECT))
            limit = traits.max_output
        out["num_predict"] = max(limit, 1)
    if request.stop and not _dropped("stop", traits, losses, BALANCED_REJECT):
        out["stop"] = request.stop
    return out


def _window(request: Request, traits: Traits, asked: int | None, losses: list[Loss]) -> int:
    """The tokens that prompt and answer may have together: a power of two, since each new size loads the model anew."""
    prompt = estimate(request)
    window = asked
    if not isinstance(window, int):
        room = min(request.max_output or _ROOM, _ROOM)
        window = max(_LEAST_WINDOW, 1 << (prompt + room - 1).bit_length())
    if traits.context_window:
        window = min(window, traits.context_window)
    if prompt > window:
        why = f"the prompt has about {prompt} tokens and the window {window}; Ollama cuts what does not fit"
        losses.append(Loss("messages", "truncated", why, WARN))
    return window


def _render_format(form: Format, traits: Traits, losses: list[Loss]) -> tuple[str | Json | None, str]:
    """The field, and what must be said in words where the target takes no schema."""
    if form.kind == "text":
        return None, ""
    if form.kind == "json" or form.schema is None:
        return "json", ""
    if traits.structured:
        return form.schema, ""
    why = "the target takes no JSON Schema for its answer; it was told in words"
    losses.append(Loss("format", "emulated", why, STRICT_REJECT_WARN))
    return "json", _HINT + encode(form.schema).decode()


# effort -> level of `think`
_THINK: dict[Effort, bool | str] = {
    "off": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
    "auto": True,
}


def _render_think(reasoning: Reasoning | None, traits: Traits, losses: list[Loss], body: Json) -> None:
    """`Traits.reasoning` here: "" and "effort" for models that know levels, "switch" for those that only think or do
    not, "none"."""
    if reasoning is None:
        return
    if traits.reasoning == "none" or "reasoning" in traits.drop:
        rule = INFO if reasoning.effort in ("off", "auto") else STRICT_REJECT
        losses.append(Loss("reasoning", "dropped", "the target has no setting for reasoning", rule))
        return
    if traits.reasoning not in ("", "effort", "switch"):
        raise ValueError(f"the trait reasoning: {traits.reasoning} is no style of Ollama")
    if reasoning.visible is False:
        losses.append(Loss("reasoning.visible", "dropped", "the target cannot hide its thoughts", INFO))
    body["think"] = think = _level(reasoning.effort, traits)
    if think != reasoning.effort and reasoning.effort in EFFORTS[1:]:
        why = f"the target knows no {reasoning.effort}; it was asked for {think}"
        losses.append(Loss("reasoning.effort", "approximated", why, INFO))
    if reasoning.budget is not None and reasoning.effort != "off":
        why = "the target takes an effort, no token budget"
        losses.append(Loss("reasoning.budget", "approximated", why, INFO))


def _level(effort: Effort, traits: Traits) -> bool | str:
    if traits.reasoning == "switch":
        return effort != "off"
    return "max" if effort == "max" and "max" in traits.efforts else _THINK[effort]


def _unsayable(request: Request, losses: list[Loss]) -> None:
    for name, why, rule in _UNSAYABLE:
        if getattr(request, name) not in (None, False):
            losses.append(Loss(name, "dropped", why, rule))
    if request.n > 1:
        losses.append(Loss("n", "dropped", "Ollama gives one answer", BALANCED_REJECT))
    if any(modality != "text" for modality in request.modalities):
        losses.append(Loss("modalities", "dropped", "Ollama answers in text", REJECT))


def _extras(request: Request, losses: list[Loss], body: Json) -> None:
    """What only one protocol understands: Ollama's own goes back in, that of others has no place."""
    losses += unsaid(request, NAME, "Ollama")
    for name, value in request.extra.get(NAME, {}).items():
        if name not in (GENERATE, LOADS, IMAGES_NULL):
            body.setdefault(name, value)
