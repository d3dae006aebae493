"""How many tokens a prompt has: `/v1/responses/input_tokens`, which takes those fields of a request that make it."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from ..codec import DEFAULT_TRAITS, Rendered, Seed, Traits, Wire
from ..model import Request
from ..policy import Loss
from ..tokens import Count
from .request import parse_request
from .request import render_request as render_generation
from .wire import encode

PATH = "/responses/input_tokens"

_TAKEN = frozenset({
    "conversation", "input", "instructions", "model", "parallel_tool_calls", "previous_response_id", "reasoning",
    "text", "tool_choice", "tools", "truncation",
})  # fmt: skip
_FIELDS: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])


class _Answer(Struct):
    input_tokens: int


_ANSWER = msgspec.json.Decoder(_Answer)


def render_request(request: Request, traits: Traits = DEFAULT_TRAITS) -> Rendered:
    made = render_generation(request, traits)
    fields = _FIELDS.decode(made.wire.body)
    body = encode({name: raw for name, raw in fields.items() if name in _TAKEN})
    losses: list[Loss] = list(made.losses)
    return Rendered(Wire(PATH, body, made.wire.headers), losses)


def parse_response(body: bytes) -> Count:
    """Raises `msgspec.DecodeError` where the body holds no count."""
    return Count(_ANSWER.decode(body).input_tokens)


def render_response(count: Count, asked: Request, seed: Seed) -> bytes:
    return encode({"object": "response.input_tokens", "input_tokens": count.tokens})


__all__ = ["parse_request", "parse_response", "render_request", "render_response"]
