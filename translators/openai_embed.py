"""Embeddings of OpenAI, which its two protocols share: `/v1/embeddings`.

Its Python SDK always asks for base64, whatever its user wants; an upstream is asked for plain numbers, which all
servers of this protocol know, and whatever it sends is read.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from .body import top_level, typed, unknown
from .codec import DEFAULT_TRAITS, Rendered, Seed, Traits, Wire
from .embed import Embeddings, EmbedRequest, Input, complete, given, packed, unpacked, unsayable
from .model import BadRequest, Usage
from .policy import Loss

NAME = "openai"
PATH = "/embeddings"

_Input = str | list[str | int | list[int]]
_STRING = msgspec.json.Decoder(str)
_INTEGER = msgspec.json.Decoder(int)
_FORMAT: msgspec.json.Decoder[Literal["float", "base64"]] = msgspec.json.Decoder(Literal["float", "base64"])
_INPUT: msgspec.json.Decoder[_Input] = msgspec.json.Decoder(_Input)
_KNOWN = frozenset({"model", "input", "encoding_format", "dimensions", "user"})
_encode = msgspec.json.Encoder().encode


class _Row(Struct):
    embedding: list[float] | str
    index: int = 0


class _Usage(Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Answer(Struct):
    data: list[_Row]
    usage: _Usage | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


def parse_request(wire: Wire) -> EmbedRequest:
    fields = top_level(wire.body)
    if "input" not in fields:
        raise BadRequest("input is required", "input")
    inputs, single = _inputs(typed(fields, "input", _INPUT))
    rest = unknown(fields, _KNOWN)
    return EmbedRequest(
        given(inputs, "input"),
        typed(fields, "model", _STRING) if "model" in fields else "",
        single,
        typed(fields, "dimensions", _INTEGER) if "dimensions" in fields else None,
        user=typed(fields, "user", _STRING) if "user" in fields else None,
        form=typed(fields, "encoding_format", _FORMAT) if "encoding_format" in fields else "float",
        extra={NAME: rest} if rest else {},
    )


def _inputs(value: _Input) -> tuple[list[Input], bool]:
    """A text, a list of them, the tokens of one, or a list of such: and whether it is one."""
    if isinstance(value, str):
        return [value], True
    tokens = [one for one in value if isinstance(one, int)]
    if not tokens:
        return [one for one in value if not isinstance(one, int)], False
    if len(tokens) < len(value):
        raise BadRequest("input holds tokens and texts, mixed", "input")
    return [tokens], True


def render_request(request: EmbedRequest, traits: Traits = DEFAULT_TRAITS) -> Rendered:
    losses: list[Loss] = []
    unsayable(request, NAME, frozenset({"user"}), losses)
    body: dict[str, Any] = {"model": request.model, "input": request.inputs[0] if request.single else request.inputs}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.user is not None:
        body["user"] = request.user
    return Rendered(Wire(PATH, _encode(body), {"content-type": "application/json"}), losses)


def parse_response(body: bytes) -> Embeddings:
    """Raises `msgspec.DecodeError` where the body holds no vectors."""
    answer = _ANSWER.decode(body)
    rows = sorted(answer.data, key=lambda row: row.index)
    vectors = [unpacked(row.embedding) if isinstance(row.embedding, str) else row.embedding for row in rows]
    usage = answer.usage
    tokens = None if usage is None else usage.prompt_tokens if usage.prompt_tokens is not None else usage.total_tokens
    return Embeddings(vectors, None if tokens is None else Usage(input=tokens))


def render_response(result: Embeddings, asked: EmbedRequest, seed: Seed) -> bytes:
    result = complete(result, asked)
    tokens = result.usage.input if result.usage is not None else 0
    rows = [
        {"object": "embedding", "index": n, "embedding": packed(vector) if asked.form == "base64" else vector}
        for n, vector in enumerate(result.vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _encode({"object": "list", "data": rows, "model": asked.model, "usage": usage})
