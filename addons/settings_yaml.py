"""YAML to plain values that remember their lines.

The values are built from parse events, not from a composed tree: the C parser's composer recurses in C, so that a file
of 100,000 brackets would end the process. Scalars follow the YAML 1.2 core schema (`off` and `12:30` are text), keys
are always text, and a key that is there twice is an error. A file holds maps, lists and scalars, and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]
API = "the control surface"  # the origin of a value that was set through it: named by its own key

MAX_BYTES = 4 << 20
MAX_DEPTH = 40
MAX_NODES = 200_000  # aliases counted each time they are used, so that a few lines cannot stand for billions

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]{1,300}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_COLLECTIONS = {yaml.MappingStartEvent: "map", yaml.SequenceStartEvent: "seq"}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `FILE:LINE: KEY: REASON`. `line` 0 and `file` "": it stands in no file."""

    file: str
    line: int
    key: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (where, self.key, self.reason) if part)


class SettingsError(Exception):
    """The configuration cannot be used. `problems`: all that was found, in the order of the file, or one in words."""

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        if isinstance(problems, str):
            problems = [Problem("", 0, "", problems)]
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line)))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class Document:
    """The values of one file. `lines` says where each key and each list item stands (1-based); `origins` names the flag
    or the variable that a value came from instead."""

    file: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def locate(self, path: Iterable[str | int]) -> tuple[KeyPath, int]:
        """The part of a path that was written in the file, and the line of its end.

        Steps that are not there are skipped: a target may be written in short, without the map that stands for it."""
        found: KeyPath = ()
        for step in path:
            if (*found, step) in self.lines:
                found = (*found, step)
        return found, self.lines.get(found, 1)

    def problem(self, path: Iterable[str | int], reason: str) -> Problem:
        steps = tuple(path)
        for end in range(len(steps), 0, -1):
            if origin := self.origins.get(steps[:end]):
                if origin == API:
                    return Problem("", 0, key_text(steps), reason)
                return Problem("", 0, origin, reason)
        found, line = self.locate(steps)
        return Problem(self.file, line if self.file else 0, key_text(found or steps), reason)


def key_text(path: Iterable[str | int]) -> str:
    """`("models", "fast", "targets", 0)` is `models.fast.targets[0]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def read(path: Path) -> Document:
    """A YAML file that holds one map, or nothing. Raises `SettingsError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError([Problem(str(path), 0, "", f"cannot be read: {error.strerror or error}")]) from None
    if len(data) > MAX_BYTES:
        raise SettingsError([Problem(str(path), 0, "", f"is larger than {MAX_BYTES >> 20} MiB")])
    return parse(data, str(path))


def parse(data: bytes | str, file: str = "") -> Document:
    """The same for text that was read already; `file` is the name for messages."""
    builder = _Builder(file)
    try:
        values = builder.document(yaml.parse(data, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = f"is not valid YAML: {error.problem or error.context}"
        raise SettingsError([Problem(file, mark.line + 1 if mark else 0, "", reason)]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = f"is not valid YAML: {str(error).splitlines()[0]}"
        raise SettingsError([Problem(file, 0, "", reason)]) from None
    if builder.problems:
        raise SettingsError(builder.problems)
    return Document(file, values, builder.lines)


class _Stop(Exception):
    """The file cannot be read further; the problem is noted."""


class _Builder:
    """Events of one document to values. Problems are collected; only those that end the reading raise."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self.anchors: dict[str, tuple[Any, int]] = {}  # value, and how many nodes it stands for
        self.nodes = 0

    def document(self, events: Iterator[Any]) -> dict[str, Any]:
        value: Any = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if value is not None:
                    self._note((), event, "a second document; only one is read")
                    break
                try:
                    value = self._node(next(events), events, ())
                except _Stop:
                    break
                if value is not None and not isinstance(value, dict):
                    self.problems.append(Problem(self.file, 1, "", "must hold a map of keys"))
                    break
        return value if isinstance(value, dict) else {}

    def _note(self, path: KeyPath, event: Any, reason: str) -> None:
        self.problems.append(Problem(self.file, event.start_mark.line + 1, key_text(path), reason))

    def _node(self, event: Any, events: Iterator[Any], path: KeyPath) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        before = self.nodes
        self._count(1, event, path)
        if len(path) > MAX_DEPTH:
            self._note(path[:3], event, "is nested too deeply")
            raise _Stop
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        else:
            self._plain_tag(event, path)
            build = self._map if isinstance(event, yaml.MappingStartEvent) else self._list
            value = build(events, path)
        if event.anchor:
            self.anchors[event.anchor] = (value, self.nodes - before)
        return value

    def _count(self, nodes: int, event: Any, path: KeyPath) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            self._note(path[:3], event, f"the file has more than {MAX_NODES} values")
            raise _Stop

    def _alias(self, event: Any, path: KeyPath) -> Any:
        if event.anchor not in self.anchors:  # also a node that holds itself: its anchor is only known at its end
            self._note(path, event, f"*{event.anchor} names no anchor before it")
            raise _Stop
        value, nodes = self.anchors[event.anchor]
        self._count(nodes, event, path)
        return value

    def _plain_tag(self, event: Any, path: KeyPath) -> None:
        if event.tag not in (None, "!", _TAG + _COLLECTIONS[type(event)]):
            self._note(path, event, f"the tag {event.tag} is not taken here")

    def _list(self, events: Iterator[Any], path: KeyPath) -> list[Any]:
        out: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            here = (*path, len(out))
            self.lines[here] = event.start_mark.line + 1
            out.append(self._node(event, events, here))
        return out

    def _map(self, events: Iterator[Any], path: KeyPath) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: list[Any] = []
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._note(path, event, "a key must be plain text")
                raise _Stop
            key, here = event.value, (*path, event.value)
            if key == "<<" and event.implicit[0]:
                merged.append(self._node(next(events), events, here))
                continue
            if key in out:
                self._note(here, event, f"is there twice; the first is on line {self.lines[here]}")
            self.lines[here] = event.start_mark.line + 1
            out[key] = self._node(next(events), events, here)
        return {**self._merge(merged, path), **out}

    def _merge(self, merged: list[Any], path: KeyPath) -> dict[str, Any]:
        sources = [source for item in merged for source in (item if isinstance(item, list) else [item])]
        out: dict[str, Any] = {}
        for source in reversed(sources):
            if not isinstance(source, dict):
                found, line = Document(self.file, {}, self.lines).locate(path)
                self.problems.append(Problem(self.file, line, key_text(found), "<< needs a map"))
                continue
            out.update(source)
        return out

    def _scalar(self, event: Any, path: KeyPath) -> Any:
        tag, text = event.tag, event.value
        if tag in ("!", _TAG + "str") or (tag is None and not event.implicit[0]):  # implicit[0]: it was plain
            return text
        if tag is not None and tag not in {_TAG + kind for kind in ("null", "bool", "int", "float")}:
            self._note(path, event, f"the tag {tag} is not taken here")
            return None
        value = _plain(text)
        if isinstance(value, float) and not math.isfinite(value):
            self._note(path, event, "must be a finite number")
            return None
        return value


def _plain(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
