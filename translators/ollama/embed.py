"""Embeddings: `/api/embed`, and the older `/api/embeddings` for clients, which takes one `prompt`.

A server of Ollama's cuts a text that is too long without a word; the clients of other protocols expect an error, so it
is asked for one.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ..body import top_level, typed, unknown
from ..codec import DEFAULT_TRAITS, Rendered, Seed, Traits, Wire
from ..embed import Embeddings, EmbedRequest, Input, complete, given, texts, unsayable
from ..model import BadRequest, Usage
from ..policy import Loss
from .wire import BOOLEAN, INTEGER, NAME, STRING, Json, encode

PATH, OLD_PATH = "/embed", "/embeddings"
_OLD, _NEW = "prompt", "input"  # where the texts stand; so are the forms of the answer told apart

_INPUT: msgspec.json.Decoder[str | list[str]] = msgspec.json.Decoder(str | list[str])
_KNOWN = frozenset({"model", "input", "prompt", "dimensions", "truncate"})


class _Answer(Struct):
    """Of either endpoint."""

    embeddings: list[list[float]] | None = None
    embedding: list[float] | None = None
    prompt_eval_count: int | None = None


_ANSWER = msgspec.json.Decoder(_Answer, strict=False)


def path_of(wire: Wire) -> str:
    """Which of the two endpoints was asked."""
    return OLD_PATH if wire.path.partition("?")[0].endswith(OLD_PATH) else PATH


def parse_request(wire: Wire) -> EmbedRequest:
    fields = top_level(wire.body)
    name = _OLD if path_of(wire) == OLD_PATH else _NEW
    if name not in fields:
        raise BadRequest(f"{name} is required", name)
    value = typed(fields, name, STRING) if name == _OLD else typed(fields, name, _INPUT)
    inputs: list[Input] = [value] if isinstance(value, str) else list(value)
    extra: dict[str, Any] = unknown(fields, _KNOWN)
    return EmbedRequest(
        given(inputs, name),
        typed(fields, "model", STRING) if "model" in fields else "",
        isinstance(value, str),
        typed(fields, "dimensions", INTEGER) if "dimensions" in fields else None,
        truncate=typed(fields, "truncate", BOOLEAN) if "truncate" in fields else None,
        form=name,
        extra={NAME: extra} if extra else {},
    )


def render_request(request: EmbedRequest, traits: Traits = DEFAULT_TRAITS) -> Rendered:
    losses: list[Loss] = []
    unsayable(request, NAME, frozenset({"truncate"}), losses)
    said = texts(request, losses)
    body: Json = {"model": request.model, "input": said[0] if request.single else said}
    body["truncate"] = bool(request.truncate)
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return Rendered(Wire(PATH, encode(body), {"content-type": "application/json"}), losses)


def parse_response(body: bytes) -> Embeddings:
    """Raises `msgspec.DecodeError` where the body holds no vectors."""
    answer = _ANSWER.decode(body)
    rows = answer.embeddings if answer.embeddings is not None else [answer.embedding] if answer.embedding else None
    if rows is None:
        raise msgspec.ValidationError("the answer holds no embeddings")
    count = answer.prompt_eval_count
    return Embeddings(rows, None if count is None else Usage(input=count))


def render_response(result: Embeddings, asked: EmbedRequest, seed: Seed) -> bytes:
    result = complete(result, asked)
    if asked.form == _OLD:
        return encode({"embedding": result.vectors[0]})
    body: Json = {"model": asked.model, "embeddings": result.vectors}
    if result.usage is not None and not result.usage.estimated:
        body["prompt_eval_count"] = result.usage.input
    return encode(body)
