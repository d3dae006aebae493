"""JSON with comments and trailing commas, as editors and clients keep it: read it, and change values in it.

A change touches the text of the values that it sets and nothing else: comments, order and indentation stay. What is new
goes to the end of its object, in the object's own style.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<string>"(?:[^"\\\x00-\x1f]|\\.)*")|(?P<mark>[{}\[\]:,])"""
    r"""|(?P<word>[^\s{}\[\]:,"/]+)""",
    re.DOTALL,
)


@dataclass
class Node:
    """A value in a text: where it begins and ends; `members`: an object's keys, each with its value."""

    start: int
    end: int = 0
    members: dict[str, Node] = field(default_factory=dict)
    is_object: bool = False
    last: int = 0  # where the last member ends, a comma behind it included; for an empty object behind the brace
    comma: bool = False  # there is one behind the last member
    keys: dict[str, int] = field(default_factory=dict)  # where each key begins


def tokens(text: str) -> list[tuple[str, str, int]]:
    """Kind, text and place. Raises ValueError at what is none."""
    found, at = [], 1 if text.startswith("\ufeff") else 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"line {text.count(chr(10), 0, at) + 1}: {text[at : at + 20]!r} is no JSON")
        if match.lastgroup not in ("space", "comment"):
            found.append((match.lastgroup or "", match[0], at))
        at = match.end()
    return found


def plain(text: str) -> str:
    """The same without comments and trailing commas, for `json.loads`. Raises ValueError."""
    kept: list[str] = []
    for kind, word, _ in tokens(text):
        if kind == "mark" and word in "}]" and kept and kept[-1] == ",":
            kept.pop()
        kept.append(word)
    return " ".join(kept)


def loads(text: str) -> Any:
    """The value. Raises ValueError; a key that is twice in an object is an error too, since clients differ on it."""
    return json.loads(plain(text), object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice")
        found[key] = value
    return found


def parse(text: str) -> Node:
    """The places of all values in a text that `loads` takes."""
    stream = tokens(text)
    node, after = _value(stream, 0)
    if after != len(stream):
        raise ValueError("more follows the value")
    return node


def _value(stream: list[tuple[str, str, int]], at: int) -> tuple[Node, int]:
    _, word, start = stream[at]
    if word == "{":
        return _object(stream, at)
    if word == "[":
        depth = 0
        for n in range(at, len(stream)):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(stream[n][1], 0) if stream[n][0] == "mark" else 0
            if not depth:
                return Node(start, stream[n][2] + 1), n + 1
        raise ValueError("a bracket is not closed")
    return Node(start, start + len(word)), at + 1


def _object(stream: list[tuple[str, str, int]], at: int) -> tuple[Node, int]:
    node = Node(stream[at][2], is_object=True, last=stream[at][2] + 1)
    at += 1
    while stream[at][1] != "}" or stream[at][0] != "mark":
        key = json.loads(stream[at][1])
        node.keys[key] = stream[at][2]
        node.members[key], at = _value(stream, at + 2)
        node.last, node.comma = node.members[key].end, False
        if stream[at][1] == "," and stream[at][0] == "mark":
            node.last, node.comma = stream[at][2] + 1, True
            at += 1
    node.end = stream[at][2] + 1
    return node, at + 1


def change(text: str, values: dict[str, Any]) -> str:
    """The text with these values laid into its object; objects are merged, all else is replaced. What is the same
    already keeps its text. Raises ValueError where the text is no JSON object."""
    if not text.strip().strip("\ufeff"):
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    before = loads(text)
    if not isinstance(before, dict):
        raise ValueError("it holds no object")
    unit = _unit(text)
    for path, value in _leaves(values, ()):
        text = _set(text, path, value, unit)
    if loads(text) != merged(before, values):
        raise ValueError("the change could not be written into it")
    return text


def merged(before: Any, values: Any) -> Any:
    if not isinstance(before, dict) or not isinstance(values, dict):
        return values
    return {**before, **{key: merged(before.get(key), value) for key, value in values.items()}}


def _leaves(values: dict[str, Any], path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found += _leaves(value, (*path, key))
        else:
            found.append(((*path, key), value))
    return found


def _unit(text: str) -> str:
    """How the file indents."""
    found = re.search(r"\n([ \t]+)\S", text)
    return found[1] if found else "  "


def _set(text: str, path: tuple[str, ...], value: Any, unit: str) -> str:
    node = parse(text)
    for depth, key in enumerate(path):
        if not node.is_object:  # a value of another kind stands where an object is wanted
            return _replace(text, node, _nest(path[depth:], value), unit)
        if key not in node.members:
            return _insert(text, node, key, _nest(path[depth + 1 :], value), unit)
        node = node.members[key]
    if loads(text[node.start : node.end]) == value:
        return text
    return _replace(text, node, value, unit)


def _nest(path: tuple[str, ...], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _margin(text: str, at: int) -> str:
    """The indentation of the line of a place."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _written(value: Any, unit: str, margin: str) -> str:
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", "\n" + margin)


def _replace(text: str, node: Node, value: Any, unit: str) -> str:
    return text[: node.start] + _written(value, unit, _margin(text, node.start)) + text[node.end :]


def _insert(text: str, node: Node, key: str, value: Any, unit: str) -> str:
    outer = _margin(text, node.end - 1)
    first = min(node.keys.values(), default=0)
    inner = _margin(text, first) if node.keys and "\n" in text[node.start : first] else outer + unit
    comma = "" if not node.members or node.comma else ","
    entry = f"\n{inner}{json.dumps(key, ensure_ascii=False)}: {_written(value, unit, inner)}"
    rest = text[node.last : node.end - 1]  # comments behind the last member, and the line's end
    if comma or not node.members or node.comma:
        tail = rest.rstrip()
        entry = f"{comma}{tail}{entry}{',' if node.comma else ''}\n{outer}"
    return text[: node.last] + entry + text[node.end - 1 :]
