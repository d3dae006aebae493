"""Tool arguments: JSON text that may be partial, empty or wrong, and what to make of it where an object is needed."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from .body import without_lone_surrogates

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY = msgspec.json.Decoder()
_ENCODE = msgspec.json.Encoder().encode
_WRONG = (msgspec.DecodeError, UnicodeError, RecursionError)

_OUTSIDE = re.compile(r'["{}\[\]]')
_INSIDE = re.compile(r'["\\]')


class JsonWatch:
    """Follows JSON text that comes in fragments, and knows when its first object, array or string is complete."""

    def __init__(self) -> None:
        self.complete = False
        self.empty = True  # nothing but white space so far
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, text: str) -> int:
        """The number of characters of `text` that belong to the value: all, until it is complete."""
        self.empty = self.empty and not text.strip()
        position = 0
        if self._escaped and text:
            position, self._escaped = 1, False
        while not self.complete:
            mark = (_INSIDE if self._in_string else _OUTSIDE).search(text, position)
            if mark is None:
                return len(text)
            position = mark.end()
            match mark.group():
                case "\\":
                    position += 1
                    self._escaped = position > len(text)
                case '"':
                    self._in_string = not self._in_string
                    self.complete = not self._in_string and not self._depth
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    self.complete = self._depth <= 0
        return position


def is_object(text: str) -> bool:
    """Whether the text is one JSON object."""
    try:
        _OBJECT.decode(text)
    except _WRONG:
        return False
    return True


def as_object(text: str) -> tuple[msgspec.Raw, bool]:
    """The arguments as a JSON object, and whether they were one (an empty text counts as `{}`).

    What is no object is saved rather than refused: an object inside a JSON string is taken out, `null` is no arguments,
    of several objects in a row the first counts, and anything else is wrapped as `{"input": …}`."""
    data = to_utf8(text.strip())
    if not data:
        return msgspec.Raw(b"{}"), True
    try:
        _OBJECT.decode(data)
    except _WRONG:
        repaired = without_lone_surrogates(data)
        if repaired is not None:
            return as_object(repaired.decode())
        return msgspec.Raw(_ENCODE(_salvage(data.decode()))), False
    return msgspec.Raw(data), True


def to_utf8(text: str) -> bytes:
    """The text in UTF-8; halves of surrogate pairs, which UTF-8 cannot say, become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _salvage(text: str) -> Any:
    try:
        value = _ANY.decode(text)
    except _WRONG:
        return _first_object(text)
    if isinstance(value, str):
        if not value.strip():
            return {}
        if is_object(value):
            return msgspec.Raw(value.strip().encode())
    return {} if value is None else {"input": value}


def _first_object(text: str) -> Any:
    """Of `{…}{…}` the first; of truncated text the text itself, wrapped."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return {"input": text}
    return msgspec.Raw(text[:end].encode()) if is_object(text[:end]) else {"input": text}
