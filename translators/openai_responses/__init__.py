"""OpenAI Responses: the protocol of Codex, and OpenAI's own way to its newer models.

`wire.py` holds the shapes as they really come. `request.py` (with `tools.py`, `items.py` for what comes and
`messages.py` for what goes, `parts.py` for what they hold) and `response.py` translate both ways, `stream.py` reads
streams and `encode.py` writes them; `counting.py` and `compacting.py` are endpoints of their own. The styles of
`Traits.reasoning` here: "effort" (the default) and "none". The protocol has no stop sequences: they must be cut on this
side before a request comes here.
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
from . import compacting, counting
from .compacting import parse_request, render_response
from .encode import ResponsesEncoder as encoder
from .encode import keep_alive
from .errors import parse_error, render_error
from .relay import relay_body
from .request import render_request
from .response import parse_response
from .stream import decoder

NAME = "openai-responses"
HEADERS: Mapping[str, str] = {"content-type": "application/json"}
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
TOOL_NAME_LENGTH = 128
CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
STREAM: Literal["sse", "lines"] = "sse"
CUSTOM_TOOLS = True
STOP = False
OBJECT_ROOTS = True
PREWARM = True
CARRIES = Places(thinking="encrypted_content", redacted="encrypted_content", mark=True)
TOKENS = frozenset(("encrypted_content",))
SERVICES: Mapping[str, Service] = {"count_tokens": counting, "embed": openai_embed}

_PATHS = frozenset({"/v1/responses", "/responses"})


def claims(method: str, path: str) -> bool:
    """Whether this request generates an answer in this protocol. `path` is without prefixes and query."""
    return method == "POST" and path in _PATHS


def peek(wire: Wire) -> tuple[str, bool]:
    """The model's name and whether a stream is asked for."""
    return peek_body(wire.body)


_RELAY_PATHS = {
    "generate": "/responses",
    "compact": compacting.PATH,
    "count_tokens": counting.PATH,
    "embed": openai_embed.PATH,
}


def relay(wire: Wire, purpose: str, model: str) -> Wire:
    """The client's request for an upstream of this protocol, less credentials and our prefixes."""
    if purpose == "stored":  # no model is named, and there may be no body
        return Wire(wire.path.removeprefix("/v1"), wire.body, wire.headers, wire.method)
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
