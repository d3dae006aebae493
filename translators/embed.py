"""Embeddings in neutral words: texts go in, a vector for each comes out.

Three protocols make them (OpenAI, Gemini, Ollama), each with one form for a single text and one for several. What they
share stands here; their `embed.py` and `openai_embed.py` hold the shapes.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from .model import ApiError, BadRequest, Extra, UpstreamFault, Usage, Value
from .policy import INFO, REJECT, WARN, Loss, Rule
from .tokens import estimate_text

Input = str | list[int]


class EmbedRequest(Struct, frozen=True, omit_defaults=True):
    """`inputs`: texts, or texts that the client has cut into tokens. `single`: it gave one, not a list of them.
    `task`, `title`: what the vectors are for, in Gemini's words. `form`: which of its protocol's answers the client
    wants."""

    inputs: list[Input]
    model: str = ""
    single: bool = False
    dimensions: int | None = None
    task: str | None = None
    title: str | None = None
    truncate: bool | None = None
    user: str | None = None
    form: str = ""
    extra: Extra = {}


class Embeddings(Value, frozen=True):
    """A vector for each input, in their order."""

    vectors: list[list[float]]
    usage: Usage | None = None


def given(inputs: list[Input], path: str) -> list[Input]:
    """The inputs of a request, of which there must be one and none may be empty. Raises `BadRequest`."""
    for n, value in enumerate(inputs):
        if not value:
            at = f"{path}[{n}]" if len(inputs) > 1 else path
            raise BadRequest(f"{at} must not be empty", at)
    if not inputs:
        raise BadRequest(f"{path} must not be empty", path)
    return inputs


def texts(request: EmbedRequest, losses: list[Loss]) -> list[str]:
    """The inputs for a server that makes its tokens itself."""
    if any(not isinstance(value, str) for value in request.inputs):
        losses.append(Loss("input", "dropped", "the target takes texts, no tokens of another model's", REJECT))
    return [value if isinstance(value, str) else "" for value in request.inputs]


# What the other protocols cannot be told: neutral name, wire name, why, rule.
_UNSAYABLE: tuple[tuple[str, str, str, Rule], ...] = (
    ("task", "taskType", "the target makes one kind of vectors", WARN),
    ("title", "title", "the target takes no title", WARN),
    ("truncate", "truncate", "the target has no setting for it", INFO),
    ("user", "user", "the target takes no user", INFO),
)
_LOCAL = frozenset({"ollama"})  # whose further settings are about its machine


def unsayable(request: EmbedRequest, name: str, says: frozenset[str], losses: list[Loss]) -> None:
    """Report what the target `name` cannot be told. `says`: the neutral fields that it can."""
    for field, wire, why, rule in _UNSAYABLE:
        if field not in says and getattr(request, field) is not None:
            losses.append(Loss(wire, "dropped", why, rule))
    for protocol, fields in request.extra.items():
        if protocol != name:
            rule = INFO if protocol in _LOCAL else WARN
            losses += (Loss(field, "dropped", f"{name} has no {field}", rule) for field in fields)


def complete(result: Embeddings, asked: EmbedRequest) -> Embeddings:
    """The result, if it has a vector for each input, with a count of tokens: clients need one. Raises
    `UpstreamFault`."""
    if len(result.vectors) != len(asked.inputs):
        why = f"the upstream made {len(result.vectors)} vectors of {len(asked.inputs)} inputs"
        raise UpstreamFault(ApiError(502, "server", why))
    return result if result.usage is not None else msgspec.structs.replace(result, usage=estimated(asked))


def estimated(asked: EmbedRequest) -> Usage:
    """The tokens of the inputs, rather too many."""
    total = sum(estimate_text(value) if isinstance(value, str) else len(value) for value in asked.inputs)
    return Usage(input=total, estimated=True)


def packed(vector: Sequence[float]) -> str:
    """A vector as base64 of little-endian float32."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def unpacked(text: str) -> list[float]:
    """Raises `msgspec.DecodeError` where the text holds no such vector."""
    try:
        data = base64.b64decode(text, validate=True)
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    except (ValueError, struct.error) as error:
        raise msgspec.DecodeError(f"no vector in base64: {error}") from None
