"""Embeddings: `embedContent` for one content, `batchEmbedContents` for several, each with its own settings."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from ..body import generic, top_level, typed
from ..codec import DEFAULT_TRAITS, Rendered, Seed, Traits, Wire
from ..embed import Embeddings, EmbedRequest, complete, given, texts, unsayable
from ..model import BadRequest, Usage
from ..policy import Loss
from . import path
from .wire import BOOLEAN, FIELDS, HEADERS, INTEGER, NAME, STRING, Json, WireContent, encode, spelled

_REQUESTS: msgspec.json.Decoder[list[dict[str, Raw]]] = msgspec.json.Decoder(list[dict[str, Raw]])
_CONTENT: msgspec.json.Decoder[WireContent | str] = msgspec.json.Decoder(WireContent | str)
_CONFIG = "embedContentConfig"  # a newer place for the same settings
_KNOWN = frozenset({"model", "content", "taskType", "title", "outputDimensionality", "autoTruncate", _CONFIG})
_SAYS = frozenset({"task", "title"})


class _Vector(Struct):
    values: list[float]


class _Tokens(Struct, rename="camel"):
    prompt_token_count: int | None = None
    total_token_count: int | None = None


class _Answer(Struct, rename="camel"):
    """Of either method."""

    embedding: _Vector | None = None
    embeddings: list[_Vector] | None = None
    usage_metadata: _Tokens | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


def parse_request(wire: Wire) -> EmbedRequest:
    place = path.read(wire.path)
    fields = top_level(wire.body)
    if place.verb != path.EMBED_SEVERAL:
        return msgspec.structs.replace(_one(spelled(fields, "embed"), ""), model=place.model, single=True)
    if "requests" not in fields:
        raise BadRequest("requests is required", "requests")
    rows = typed(fields, "requests", _REQUESTS)
    if not rows:
        raise BadRequest("requests must not be empty", "requests")
    return _together([_one(spelled(row, "embed"), f"requests[{n}].") for n, row in enumerate(rows)], place.model)


def _together(asked: list[EmbedRequest], model: str) -> EmbedRequest:
    """One request of several, which may differ in nothing but their texts and what these are for."""
    first = asked[0]
    for n, one in enumerate(asked):
        if one.dimensions != first.dimensions:
            where = f"requests[{n}].outputDimensionality"
            why = f"Cannot translate {where} from {NAME}: the target makes all vectors of a request of one size."
            raise BadRequest(why, where, kind="unsupported", code="unsupported_translation")
    return msgspec.structs.replace(
        first,
        inputs=[text for one in asked for text in one.inputs],
        model=model,
        task=next((one.task for one in asked if one.task is not None), None),
        title=next((one.title for one in asked if one.title is not None), None),
        extra={NAME: rest} if (rest := {k: v for one in asked for k, v in one.extra.get(NAME, {}).items()}) else {},
    )


def _one(fields: dict[str, Raw], at: str) -> EmbedRequest:
    """`at`: where it stands in the body."""
    if "content" not in fields:
        raise BadRequest(f"{at}content is required", f"{at}content")
    text = _text(_typed(fields, "content", _CONTENT, at), f"{at}content")
    rest: Json = {name: generic(raw) for name, raw in fields.items() if name not in _KNOWN}
    if _CONFIG in fields:
        config = _typed(fields, _CONFIG, FIELDS, at)
        rest |= {name: generic(raw) for name, raw in config.items() if name not in _KNOWN}
        fields = {**config, **fields}
    return EmbedRequest(
        list(given([text], f"{at}content")),
        dimensions=_optional(fields, "outputDimensionality", INTEGER, at),
        task=_optional(fields, "taskType", STRING, at),
        title=_optional(fields, "title", STRING, at),
        truncate=_optional(fields, "autoTruncate", BOOLEAN, at),
        extra={NAME: rest} if rest else {},
    )


def _typed[T](fields: dict[str, Raw], name: str, decoder: msgspec.json.Decoder[T], at: str) -> T:
    return typed({at + name: fields[name]}, at + name, decoder)


def _optional[T](fields: dict[str, Raw], name: str, decoder: msgspec.json.Decoder[T], at: str) -> T | None:
    return _typed(fields, name, decoder, at) if name in fields and bytes(fields[name]) != b"null" else None


def _text(content: WireContent | str, at: str) -> str:
    """The text of a content: its parts make one vector together."""
    if isinstance(content, str):
        return content
    said = [part.text for part in content.all if part.text is not None]
    if len(said) < len(content.all):
        why = f"Cannot translate {at} from {NAME}: the target makes vectors of texts only."
        raise BadRequest(why, at, kind="unsupported", code="unsupported_translation")
    return "\n".join(said)


def render_request(request: EmbedRequest, traits: Traits = DEFAULT_TRAITS) -> Rendered:
    losses: list[Loss] = []
    unsayable(request, NAME, _SAYS, losses)
    settings = {"taskType": request.task, "title": request.title, "outputDimensionality": request.dimensions}
    model = f"models/{request.model}"
    rows: list[Json] = [
        {
            "model": model,
            "content": {"parts": [{"text": text}]},
            **{name: value for name, value in settings.items() if value is not None},
        }
        for text in texts(request, losses)
    ]
    one = request.single and len(rows) == 1
    body: Json = rows[0] if one else {"requests": rows}
    where = path.of(request.model, path.EMBED if one else path.EMBED_SEVERAL)
    return Rendered(Wire(where, encode(body), dict(HEADERS)), losses)


def parse_response(body: bytes) -> Embeddings:
    """Raises `msgspec.DecodeError` where the body holds no vectors."""
    answer = _ANSWER.decode(body)
    rows = answer.embeddings if answer.embeddings is not None else [answer.embedding] if answer.embedding else None
    if rows is None:
        raise msgspec.ValidationError("the answer holds no embedding")
    tokens = answer.usage_metadata or _Tokens()
    count = tokens.prompt_token_count if tokens.prompt_token_count is not None else tokens.total_token_count
    return Embeddings([row.values for row in rows], None if count is None else Usage(input=count))


def render_response(result: Embeddings, asked: EmbedRequest, seed: Seed) -> bytes:
    result = complete(result, asked)
    rows = [{"values": vector} for vector in result.vectors]
    body: dict[str, Any] = {"embedding": rows[0]} if asked.single else {"embeddings": rows}
    if result.usage is not None and not result.usage.estimated:
        body["usageMetadata"] = {"promptTokenCount": result.usage.input, "totalTokenCount": result.usage.input}
    return encode(body)
