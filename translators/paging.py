"""Lists of models in pages, for the protocols that have them. The mark of a page is the name that it begins after, so
that a list which changes in between is not read twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl

from .model import BadRequest, ModelInfo


class Page(NamedTuple):
    """`more`: whether others follow, in the direction in which the client reads."""

    models: Sequence[ModelInfo]
    more: bool


def parameters(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))


def size(asked: Mapping[str, str], name: str, least: int, most: int) -> int:
    """How many models a page is to have; 0: all. More than `most` are too many, but no mistake."""
    text = asked.get(name, "")
    if not text:
        return 0
    if not text.isdecimal() or int(text) < least:
        raise BadRequest(f"{name} must be a number from {least} to {most}", name)
    return min(int(text), most)


def page(models: Sequence[ModelInfo], count: int, *, after: str = "", before: str = "", mark: str = "") -> Page:
    """The `count` models (0: all) after one of them, or before one. `mark`: the parameter to blame for a name that is
    not there."""
    ids = [model.id for model in models]
    start, stop = _at(ids, after, mark) + 1 if after else 0, _at(ids, before, mark) if before else len(ids)
    if before and not after:
        first = max(start, stop - count) if count else start
        return Page(models[first:stop], first > start)
    last = min(stop, start + count) if count else stop
    return Page(models[start:last], last < stop)


def _at(ids: Sequence[str], name: str, mark: str) -> int:
    if name not in ids:
        raise BadRequest(f"{mark}: there is no model {name[:100]!r} in the list", mark)
    return ids.index(name)
