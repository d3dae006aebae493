"""Google's Gemini protocol (generateContent), as client and as upstream.

The model and the verb stand in the path (`path.py`); a stream and a whole answer are made of the same messages, so that
`stream.py` reads both and `encode.py` writes both. The styles of `Traits.reasoning` here: "level", "budget" (the
default), "none". `Traits.input` may hold "url" (files by their address) and "detail" (resolutions of images), and
`Traits.drop` "call_id" (for servers that take no ids of calls).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..body import top_level
from ..carry import Places
from ..codec import Service, Wire
from . import counting, embed
from .encode import GeminiEncoder as encoder
from .encode import keep_alive, refusal, render_response
from .errors import parse_error, render_error
from .models import render_model, render_models
from .path import generates, read, relayed
from .relay import relay_body
from .request import parse_request, render_request
from .stream import decoder, parse_response
from .wire import CALL_ID, HEADERS, NAME, TOOL_NAME, TOOL_NAME_LENGTH

STREAM: Literal["sse", "lines"] = "sse"
CUSTOM_TOOLS = False
STOP = True
OBJECT_ROOTS = False
PREWARM = False
CARRIES = Places(call="signature", text="signature", base64=True)  # clients forget thoughts
TOKENS = frozenset(("signature",))
SERVICES: Mapping[str, Service] = {"count_tokens": counting, "embed": embed}


def claims(method: str, path: str) -> bool:
    """Whether this request asks for an answer. `path` is without prefixes and query."""
    return method == "POST" and generates(path)


def peek(wire: Wire) -> tuple[str, bool]:
    """The model's name and whether a stream is asked for, both from the path."""
    top_level(wire.body)
    place = read(wire.path)
    return place.model, place.stream


def relay(wire: Wire, purpose: str, model: str) -> Wire:
    """The client's request for an upstream of this protocol, less credentials and our prefixes: the verb says what it
    is for."""
    return Wire(relayed(wire.path, model), relay_body(wire.body, model), wire.headers, wire.method)


def credential(key: str) -> tuple[str, str]:
    """The header in which this protocol's upstreams take a key."""
    return "x-goog-api-key", key


__all__ = [
    "CALL_ID",
    "CARRIES",
    "CUSTOM_TOOLS",
    "HEADERS",
    "NAME",
    "OBJECT_ROOTS",
    "PREWARM",
    "SERVICES",
    "STOP",
    "STREAM",
    "TOKENS",
    "TOOL_NAME",
    "TOOL_NAME_LENGTH",
    "claims",
    "credential",
    "decoder",
    "encoder",
    "keep_alive",
    "parse_error",
    "parse_request",
    "parse_response",
    "peek",
    "refusal",
    "relay",
    "render_error",
    "render_model",
    "render_models",
    "render_request",
    "render_response",
]
