"""`/v1/responses/compact`: a conversation made short, as an object of its own. Elsewhere it is asked for like a request
that ends with a `compaction_trigger`, which the bridge knows how to answer."""

from __future__ import annotations

from ..codec import Seed, Wire
from ..model import Message, Opaque, Request, Response
from .request import parse_request as parse_generation
from .response import render_response as render_generation
from .usage import render_usage
from .wire import NAME, encode

PATH = "/responses/compact"

_TRIGGER = Message("user", (Opaque(NAME, "compaction_trigger", {"type": "compaction_trigger"}),))


class CompactRequest(Request):
    """One whose answer is a compaction."""


def parse_request(wire: Wire) -> Request:
    """A request at either endpoint. Raises `BadRequest`."""
    request = parse_generation(wire)
    if not wire.path.partition("?")[0].endswith(PATH):
        return request
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    return CompactRequest(**{**fields, "messages": [*request.messages, _TRIGGER], "stream": False})


def render_response(response: Response, asked: Request, seed: Seed) -> bytes:
    if not isinstance(asked, CompactRequest):
        return render_generation(response, asked, seed)
    return encode(
        {
            "id": f"resp_{seed.id}",
            "object": "response.compaction",
            "created_at": seed.created,
            "output": [part.raw for part in response.parts if isinstance(part, Opaque) and part.protocol == NAME],
            "usage": render_usage(response.usage),
        }
    )
