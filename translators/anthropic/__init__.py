"""The Anthropic Messages protocol, as client and as upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..body import peek as peek_body
from ..body import with_query
from ..carry import Places
from ..codec import Service, Wire
from . import counting
from .decoder import decoder
from .encoder import PING, Encoder
from .errors import parse_error, render_error
from .models import render_model, render_models
from .relay import relay_body
from .request import (
    COUNT_PATH,
    MESSAGES_PATH,
    parse_request,
    render_request,
)
from .response import parse_response, refusal, render_response
from .wire import CALL_ID, HEADERS, NAME, TOOL_NAME, TOOL_NAME_LENGTH

STREAM: Literal["sse", "lines"] = "sse"
CUSTOM_TOOLS = False
STOP = True
OBJECT_ROOTS = False
PREWARM = True
CARRIES = Places(thinking="signature", redacted="data")
TOKENS = frozenset(("signature", "data"))
SERVICES: Mapping[str, Service] = {"count_tokens": counting}

encoder = Encoder

_PATHS = frozenset({"/v1/messages", "/messages"})


def claims(method: str, path: str) -> bool:
    """Whether this request asks for an answer. `path` is without prefixes and query."""
    return method == "POST" and path in _PATHS


def peek(wire: Wire) -> tuple[str, bool]:
    """The model's name and whether a stream is asked for."""
    return peek_body(wire.body)


_RELAY_PATHS = {"generate": MESSAGES_PATH, "count_tokens": COUNT_PATH}


def relay(wire: Wire, purpose: str, model: str) -> Wire:
    """The client's request for an upstream of this protocol, less credentials and our prefixes."""
    path = with_query(_RELAY_PATHS[purpose], wire.path)
    return Wire(path, relay_body(wire.body, model), wire.headers, wire.method)


def keep_alive() -> bytes:
    """Between two events of a begun stream."""
    return PING


def credential(key: str) -> tuple[str, str]:
    """The header in which this protocol's upstreams take a key."""
    return "x-api-key", key


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
