"""JSON bodies: decoding a client's request with errors that name the place, and changing one without touching the rest.

Decoding is typed (msgspec), once for each top-level field, so that what a codec does not know is still seen and can be
reported. Replacing works on the bytes: what is not replaced stays as the client wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from .model import BadRequest

_TOP = msgspec.json.Decoder(dict[str, Raw])
_ANY = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode

WRONG = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_AT = re.compile(r" - at `\$([^`]*)`$")
# Begins with the backslash itself, which is searched for many times faster than an empty match.
_LONE = re.compile(
    rb"\\(?<!\\\\)((?:\\\\)*)(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def top_level(body: bytes) -> dict[str, Raw]:
    """The fields of a JSON object, undecoded; those that are null are left out, as if they were not there."""
    try:
        fields = _TOP.decode(body)
    except msgspec.ValidationError:
        raise BadRequest("the request body must be a JSON object") from None
    except RecursionError:
        raise BadRequest("the request body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        repaired = without_lone_surrogates(body)
        if repaired is None:
            raise BadRequest(f"the request body is not valid JSON: {error}") from None
        return top_level(repaired)
    return {name: raw for name, raw in fields.items() if len(raw) != 4 or bytes(raw) != b"null"}


def typed[T](fields: Mapping[str, Raw], name: str, decoder: msgspec.json.Decoder[T]) -> T:
    """One field, decoded. `BadRequest` names the path of what is wrong."""
    raw = fields[name]
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        message = str(error)
        at = _AT.search(message)
        path = name + (at.group(1) if at else "")
        raise BadRequest(f"{path}: {_AT.sub('', message)}", path) from None
    except RecursionError:
        raise BadRequest(f"{name} is nested too deeply", name) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        repaired = without_lone_surrogates(bytes(raw))
        if repaired is None:
            raise BadRequest(f"{name} is not valid JSON: {error}", name) from None
        return typed({name: Raw(repaired)}, name, decoder)


def without_lone_surrogates(raw: bytes) -> bytes | None:
    r"""JavaScript clients that cut a text in the middle of a pair send `\ud83d` alone, which no UTF-8 can say.

    The JSON with U+FFFD in its place; None where there is nothing to repair."""
    repaired = _LONE.sub(lambda m: b"\\" + m.group(1) + (m.group(2) or b"ufffd"), raw)
    return repaired if repaired != raw else None


def is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=Raw)
    except WRONG:
        return False
    return True


def generic(raw: bytes | Raw) -> Any:
    """Plain Python values of a piece of JSON that `typed` has accepted. What it did not read of it may be no text."""
    try:
        return _ANY.decode(raw)
    except WRONG as error:
        raise BadRequest(f"the request body is not valid JSON: {error}") from None


def unknown(fields: Mapping[str, Raw], known: Mapping[str, Any] | frozenset[str]) -> dict[str, Any]:
    """The fields that a codec does not know, as values."""
    return {name: typed(fields, name, _ANY) for name in fields if name not in known}


_MEMBER = re.compile(rb'\s*[{,]\s*("(?:[^"\\]|\\.)*")\s*:\s*', re.DOTALL)


def replace(body: bytes, changes: Mapping[str, Any]) -> bytes:
    """The JSON object with some top-level fields set to other values (None: taken out); all other bytes as they are.

    Fields that are not there yet are added at the end."""
    try:
        fields = _TOP.decode(body)
    except msgspec.DecodeError:
        repaired = without_lone_surrogates(body)
        if repaired is None:
            raise
        return replace(repaired, changes)
    wanted = {name: value for name, value in changes.items() if value is not None or name in fields}
    if not wanted:
        return body
    spans = None if any(value is None for value in wanted.values()) else _spans(body, fields)
    if spans is None or any(name not in spans for name in wanted):
        merged: dict[str, Any] = {**fields, **wanted}
        return _encode({name: value for name, value in merged.items() if value is not None})
    pieces, at = [], 0
    for name, (start, end) in spans.items():
        if name in wanted:
            pieces += [body[at:start], _encode(wanted[name])]
            at = end
    return b"".join([*pieces, body[at:]])


def _spans(body: bytes, fields: Mapping[str, Raw]) -> dict[str, tuple[int, int]] | None:
    """Where the value of each top-level field stands. None where a field is there twice."""
    spans: dict[str, tuple[int, int]] = {}
    at = len(body) - len(body.lstrip())
    for name, raw in fields.items():
        member = _MEMBER.match(body, at)
        if member is None or _ANY.decode(member.group(1)) != name:
            return None
        start, at = member.end(), member.end() + len(raw)
        if body[start:at] != bytes(raw):
            return None
        spans[name] = (start, at)
    return spans if body[at:].strip() in (b"}", b"{}") else None


class _Peek(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None


_PEEK = msgspec.json.Decoder(_Peek)


def peek(body: bytes, streams: bool = False) -> tuple[str, bool]:
    """The `model` ("" where there is none) and `stream` of a request body; `streams` where it does not say."""
    try:
        seen = _PEEK.decode(body)
    except WRONG:
        fields = top_level(body)  # says what is wrong with the whole
        model = typed(fields, "model", _STRING) if "model" in fields else None
        stream = typed(fields, "stream", _BOOL) if "stream" in fields else None
        return model or "", streams if stream is None else stream
    return seen.model or "", streams if seen.stream is None else seen.stream


_STRING = msgspec.json.Decoder(str)
_BOOL = msgspec.json.Decoder(bool)


def with_model(body: bytes, model: str) -> bytes:
    """The request body with another model name; all other bytes as they are."""
    return replace(body, {"model": model})


def with_query(path: str, asked: str) -> str:
    """A path with the query of another one."""
    _, _, query = asked.partition("?")
    return f"{path}?{query}" if query else path
