"""Ollama's native protocol, as client and as upstream: `/api/chat`, and `/api/generate` for clients.

`wire.py` holds the shapes, `request.py` (with `messages.py` and `tools.py`) and `response.py` (with `answer.py`)
translate both ways, `stream.py` reads streams and `encode.py` writes them, one JSON object a line. The styles of
`Traits.reasoning` here: "effort" (the default), "switch", "none".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from ..body import peek as peek_body
from ..body import top_level, with_model, with_query
from ..carry import Places
from ..codec import Service, Wire
from . import embed
from .encode import OllamaEncoder as encoder
from .encode import keep_alive
from .errors import parse_error, render_error
from .models import render_model, render_models
from .request import parse_request, path_of, render_request
from .response import parse_response, refusal, render_response
from .stream import decoder
from .wire import NAME

HEADERS: Mapping[str, str] = {"content-type": "application/json"}
TOOL_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,256}")
TOOL_NAME_LENGTH = 256
CALL_ID = re.compile(r"[!-~]{1,256}")
STREAM: Literal["sse", "lines"] = "lines"
CUSTOM_TOOLS = False
STOP = True
OBJECT_ROOTS = False
PREWARM = False
CARRIES = Places(ids=False)  # its own client drops them
TOKENS = frozenset[str]()
SERVICES: Mapping[str, Service] = {"embed": embed}

_PATHS = frozenset({"/api/chat", "/api/generate"})


def claims(method: str, path: str) -> bool:
    """Whether this request generates an answer in this protocol. `path` is without prefixes and query."""
    return method == "POST" and path in _PATHS


def peek(wire: Wire) -> tuple[str, bool]:
    """The model's name and whether a stream is asked for, which it is where the client does not say."""
    return peek_body(wire.body, streams=True)


_RELAY_PATHS = {"generate": path_of, "embed": embed.path_of}


def relay(wire: Wire, purpose: str, model: str) -> Wire:
    """The client's request for an upstream of this protocol, at the same one of the purpose's two endpoints."""
    top_level(wire.body)
    path = _RELAY_PATHS[purpose](wire)
    return Wire(with_query(path, wire.path), with_model(wire.body, model), wire.headers, wire.method)


def credential(key: str) -> tuple[str, str]:
    """The header in which this protocol's upstreams take a key."""
    return "authorization", f"Bearer {key}"


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
