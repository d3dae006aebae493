"""How many tokens a prompt has: `countTokens`."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from ..codec import Seed
from ..model import Request
from ..tokens import Count
from .request import parse_count_request as parse_request
from .request import render_count_request as render_request
from .wire import encode


class _Answer(Struct, rename="camel"):
    total_tokens: int


_ANSWER = msgspec.json.Decoder(_Answer)


def parse_response(body: bytes) -> Count:
    """Raises `msgspec.DecodeError` where the body holds no count."""
    return Count(_ANSWER.decode(body).total_tokens)


def render_response(count: Count, asked: Request, seed: Seed) -> bytes:
    return encode({"totalTokens": count.tokens})


__all__ = ["parse_request", "parse_response", "render_request", "render_response"]
