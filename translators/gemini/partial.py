"""Calls whose arguments come in pieces (Vertex AI): each piece is a value and the JSONPath of its place."""

from __future__ import annotations

import re
from typing import Any

from .wire import Json, WireCall, encode

_STEP = re.compile(r"""\.([^.\[\]'"]+)|\[(\d{1,6})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_VALUES = ("stringValue", "numberValue", "boolValue")


class PartialCall:
    """One call while it grows. `signature` belongs to it, whichever piece brought it."""

    def __init__(self, call: WireCall) -> None:
        self.name, self.id = call.name or "", call.id or ""
        self.signature: str | None = None
        self.lost = 0  # pieces that have no place
        self._root: dict[str, Any] = {"$": {}}
        self._open: str | None = None  # the path of the text that goes on

    def add(self, pieces: list[Json]) -> None:
        for piece in pieces:
            path, value = piece.get("jsonPath"), next((piece[name] for name in _VALUES if name in piece), None)
            if not isinstance(path, str) or not self._put(path, value):
                self.lost += 1
                continue
            self._open = path if piece.get("willContinue") else None

    @property
    def arguments(self) -> str:
        return encode(self._root["$"]).decode()

    def _put(self, path: str, value: Any) -> bool:
        steps = _steps(path)
        if not steps:
            return False
        place: Any = self._root
        key: str | int = "$"
        for step in steps:
            below = _value(place, key)
            if below is None:  # the next step shows what it is
                below = [] if isinstance(step, int) else {}
                if not _set(place, key, below):
                    return False
            place, key = below, step
        before = _value(place, key)
        if path == self._open and isinstance(before, str) and isinstance(value, str):
            value = before + value
        return _set(place, key, value)


def _steps(path: str) -> list[str | int]:
    """The keys and indexes of a path; empty where it is none that we can follow."""
    found: list[str | int] = []
    at = 1 if path.startswith("$") else 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            return []
        name, index, single, double = step.groups()
        found.append(int(index) if index is not None else next(n for n in (name, single, double) if n is not None))
        at = step.end()
    return found


def _value(place: Any, key: str | int) -> Any:
    if isinstance(place, dict):
        return place.get(key)
    return place[key] if isinstance(place, list) and isinstance(key, int) and key < len(place) else None


def _set(place: Any, key: str | int, value: Any) -> bool:
    """Lists grow by one at a time: a far index is no reason to fill the memory."""
    if isinstance(place, dict) and isinstance(key, str):
        place[key] = value
    elif isinstance(place, list) and isinstance(key, int) and key <= len(place):
        place[key : key + 1] = [value]
    else:
        return False
    return True
