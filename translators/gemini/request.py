"""A request, both ways: settings in `settings.py`, messages and tools beside. The model's name is in the path.

What goes to an upstream is an allow-list by construction: only what is written out can leave, and what a Gemini client
sent that nobody here knows is kept in `extra` and goes back to Gemini.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from ..body import generic, top_level, typed
from ..codec import DEFAULT_TRAITS, Rendered, Traits, Wire
from ..model import Request
from ..policy import Loss
from . import path
from .messages import parse_messages, render_messages
from .settings import parse_generation, parse_tier, render_format, render_generation, render_identity
from .tools import parse_choice, parse_tools, render_tools
from .wire import BOOLEAN, FIELDS, HEADERS, NAME, OBJECT, STRING, TOOL_CONFIG, Json, encode, own, spelled

_MAPPED = frozenset({
    "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "store", "labels",
    "model",
})


class ArrayRequest(Request):
    """One whose streamed answer is a JSON array: the client did not ask for server-sent events."""


# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_request(wire: Wire) -> Request:
    """A request for an answer. Raises `BadRequest`."""
    place = path.read(wire.path)
    request = ArrayRequest() if place.stream and not place.sse else Request()
    request.model, request.stream, request.include_usage = place.model, place.stream, True
    return _parse(spelled(top_level(wire.body)), request)


def parse_count_request(wire: Wire) -> Request:
    """A request for the size of a prompt: `contents` alone, or a whole request inside. Raises `BadRequest`."""
    fields = spelled(top_level(wire.body))
    if "generateContentRequest" in fields:
        fields = typed(fields, "generateContentRequest", FIELDS)
    return _parse(fields, Request(model=path.read(wire.path).model, include_usage=True))


def _parse(fields: dict[str, Raw], request: Request) -> Request:
    request.messages = parse_messages(fields)
    request.tools = parse_tools(fields)
    request.tool_choice = parse_choice(fields)
    extra: Json = {name: generic(raw) for name, raw in fields.items() if name not in _MAPPED}
    if "generationConfig" in fields:
        config: dict[str, Raw] = typed(fields, "generationConfig", FIELDS)
        if rest := parse_generation(config, request):
            extra["generationConfig"] = rest
    if "serviceTier" in fields:
        request.tier = parse_tier(typed(fields, "serviceTier", STRING))
    if "store" in fields:
        request.store = typed(fields, "store", BOOLEAN)
    if "labels" in fields:
        request.metadata = typed(fields, "labels", OBJECT)
    if rest := _tool_config(fields):
        extra["toolConfig"] = rest
    if extra:
        request.extra = {NAME: extra}
    return request


def _tool_config(fields: Mapping[str, Raw]) -> Json:
    """What of it only Gemini knows."""
    if "toolConfig" not in fields:
        return {}
    typed(fields, "toolConfig", TOOL_CONFIG)  # says what is wrong with it
    found = generic(fields["toolConfig"])
    return {name: value for name, value in found.items() if name != "functionCallingConfig"}


# ------------------------------------------------------------------------------------------------ neutral to wire


def render_request(request: Request, traits: Traits = DEFAULT_TRAITS) -> Rendered:
    """A request for an answer, deterministic and append-only."""
    losses: list[Loss] = []
    body = _body(request, traits, losses)
    where = path.streamed(request.model) if request.stream else path.of(request.model, path.WHOLE)
    return Rendered(Wire(where, encode(body), dict(HEADERS)), _once(losses))


def render_count_request(request: Request, traits: Traits = DEFAULT_TRAITS) -> Rendered:
    """A request for the size of the prompt."""
    losses: list[Loss] = []
    body = _body(request, traits, losses)
    body.pop("generationConfig", None)
    inner = {"model": f"models/{request.model}", **body}
    where = path.of(request.model, path.COUNT)
    return Rendered(Wire(where, encode({"generateContentRequest": inner}), dict(HEADERS)), _once(losses))


def _body(request: Request, traits: Traits, losses: list[Loss]) -> Json:
    system, contents = render_messages(request.messages, traits, losses)
    config = render_generation(request, traits, losses)
    if hint := render_format(config, request, traits, losses):
        system.append(hint)
    body: Json = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": [{"text": text} for text in system]}
    body.update(render_tools(request, traits, losses))
    if config:
        body["generationConfig"] = config
    render_identity(body, request, traits, losses)
    _carry(body, own(request.extra))
    return body


def _once(losses: list[Loss]) -> list[Loss]:
    """The same one is told once, however often a conversation repeats it."""
    return list(dict.fromkeys(losses))


def _carry(body: Json, extra: Mapping[str, Any]) -> None:
    """Hand back what only Gemini knows."""
    for name, value in extra.items():
        if name in ("generationConfig", "toolConfig"):
            body[name] = {**value, **body.get(name, {})}
        else:
            body.setdefault(name, value)
