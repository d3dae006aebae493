"""Answers by a schema whose root is no object, on targets that take objects only.

OpenAI wants an object at the root, so a list or a choice is asked for as the one property of one, and taken out of the
answer again. A Gemini client that wants one word of a list (`text/x.enum`) gets the bare word, which no other protocol
would write without quotes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from .events import Event, PartDelta, PartEnd, PartStart
from .model import Format, Text

_KEY = "value"
_DEFS = ("$defs", "definitions")
_PROPER = frozenset({"properties", "$ref", "allOf"})  # at the root of what is an object, without saying so

_ANY = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode


def wrapped(form: Format, objects_only: bool) -> Format | None:
    """The form with its schema inside an object; None where it may stay as it is."""
    schema = form.schema
    if form.kind != "schema" or not schema or not (form.bare or (objects_only and not _is_object(schema))):
        return None
    inner = {name: value for name, value in schema.items() if name not in _DEFS}
    outer: dict[str, Any] = {
        "type": "object", "properties": {_KEY: inner}, "required": [_KEY], "additionalProperties": False,
        **{name: schema[name] for name in _DEFS if name in schema},
    }  # fmt: skip
    return replace(form, schema=outer, bare=False)


def _is_object(schema: dict[str, Any]) -> bool:
    if "type" in schema:
        return schema["type"] == "object" and not {"anyOf", "oneOf"} & schema.keys()
    return not _PROPER.isdisjoint(schema)


class Unwrapped:
    """Of each text of the answer, the value. A text that is no such object stays as it is."""

    def __init__(self, bare: bool) -> None:
        self._bare = bare
        self._texts: list[str] | None = None  # of the part that is open, where it is a text

    def __call__(self, event: Event) -> Sequence[Event]:
        match event:
            case PartStart(part=Text() as part):
                self._texts = [part.text]
                return [PartStart(event.index, replace(part, text=""))] if part.text else [event]
            case PartDelta() if self._texts is not None:
                self._texts.append(event.text)
                return []
            case PartEnd() if self._texts is not None:
                text, self._texts = self._value("".join(self._texts)), None
                return [PartDelta(event.index, text), event] if text else [event]
            case _:
                return [event]

    def _value(self, text: str) -> str:
        try:
            found = _ANY.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return text
        if not isinstance(found, dict) or found.keys() != {_KEY}:
            return text
        value = found[_KEY]
        return value if self._bare and isinstance(value, str) else _encode(value).decode()
