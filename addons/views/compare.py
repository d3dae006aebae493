"""Two values compared field by field: plain JSON values in, the places where they differ out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

_ABSENT = object()
_SHOWN = 200  # characters of a value


class Change(NamedTuple):
    """`before`, `after`: as JSON, shortened; "": it is not there."""

    path: str
    before: str
    after: str


def changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            at = f"{path}.{name}" if path else str(name)
            yield from changes(before.get(name, _ABSENT), after.get(name, _ABSENT), at)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(before, after, path)
    elif type(before) is not type(after) or before != after:
        yield Change(path, _shown(before, after), _shown(after, before))


def _lists(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[Change]:
    """Elements that are the same are found wherever they moved; the rest is compared in pairs."""
    if len(before) == len(after):
        for n, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from changes(one, other, f"{path}[{n}]")
        return
    ours, theirs = _keys(before), _keys(after)
    for _, start, end, start_after, end_after in _different(ours, theirs):
        pairs = min(end - start, end_after - start_after)
        for n in range(pairs):
            yield from changes(before[start + n], after[start_after + n], f"{path}[{start + n}]")
        for n in range(start + pairs, end):
            yield Change(f"{path}[{n}]", _shown(before[n]), "")
        for n in range(start_after + pairs, end_after):
            yield Change(f"{path}[{n}] of the new", "", _shown(after[n]))


def _different(ours: list[str], theirs: list[str]) -> Iterable[tuple[str, int, int, int, int]]:
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
    return (block for block in blocks if block[0] != "equal")


def _keys(values: Sequence[Any]) -> list[str]:
    return [json.dumps(value, sort_keys=True, default=repr) for value in values]


def _shown(value: Any, other: Any = None) -> str:
    """Of two long texts, from shortly before the place where they part."""
    if value is _ABSENT:
        return ""
    if isinstance(value, str) and isinstance(other, str) and len(value) + len(other) > _SHOWN:
        ends = min(len(value), len(other))
        at = next((n for n in range(ends) if value[n] != other[n]), ends)
        start = max(0, at - 40)
        value = ("…" if start else "") + value[start : start + _SHOWN]
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… {len(text)} characters"
