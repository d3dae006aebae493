"""OpenAI Chat Completions: the protocol that nearly every server speaks, each a little differently.

`wire.py` and `answer.py` hold the shapes as they really come, `request.py` (with `messages.py`, `parts.py`, `tools.py`
and `reasoning.py`) and `response.py` translate both ways, `stream.py` (with `calls.py`) reads streams
and `encode.py` writes them. What a provider does differently is a `Traits` row, never a branch on its name. The styles
of `Traits.reasoning` here: "effort" (the default), "thinking", "enable_thinking", "reasoning", "none".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from .. import openai_embed
from ..body import peek as peek_body
from ..body import with_query
from ..carry import Places
from ..codec import Service, Wire
from ..openai_errors import refusal
from ..openai_models import render_model, render_models
from .encode import ChatEncoder as encoder
from .encode import keep_alive
from .errors import parse_error, render_error
from .request import parse_request, relay_body, render_request
from .response import parse_response, render_response
from .stream import decoder

NAME = "openai-chat"
HEADERS: Mapping[str, str] = {"content-type": "application/json"}
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
TOOL_NAME_LENGTH = 64
CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
STREAM: Literal["sse", "lines"] = "sse"
CUSTOM_TOOLS = True
STOP = True
OBJECT_ROOTS = True
PREWARM = False
CARRIES = Places()
TOKENS = frozenset(("extra_content", "reasoning_details"))
SERVICES: Mapping[str, Service] = {"embed": openai_embed}

_PATHS = frozenset({"/v1/chat/completions", "/chat/completions"})


def claims(method: str, path: str) -> bool:
    """Whether this request generates an answer in this protocol. `path` is without prefixes and query."""
    return method == "POST" and path in _PATHS


def peek(wire: Wire) -> tuple[str, bool]:
    """The model's name and whether a stream is asked for."""
    return peek_body(wire.body)


_RELAY_PATHS = {"generate": "/chat/completions", "embed": openai_embed.PATH}


def relay(wire: Wire, purpose: str, model: str) -> Wire:
    """The client's request for an upstream of this protocol, less credentials and our prefixes."""
    path = with_query(_RELAY_PATHS[purpose], wire.path)
    return Wire(path, relay_body(wire.body, model), wire.headers, wire.method)


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
