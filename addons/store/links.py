"""Indented links notation: a link a line, what belongs to it deeper under it.

    zhipu
      kind "openai-compatible"
      models
        glm-4.6
        glm-4.5

A line is a name, or a name and a value; either may be quoted. How far a line stands in is free, as long as a block
keeps to one column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from addons.settings_yaml import Problem

MAX_DEPTH = 20

_WORD = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'():][^\s"'()]*)"""
_LINE = re.compile(rf"(?P<name>{_WORD})(?:\s+(?P<value>{_WORD}))?\s*(?:#.*)?")


@dataclass
class Node:
    line: int
    name: str
    value: str | None = None
    children: list[Node] = field(default_factory=list)


def parse(text: str, file: str, problems: list[Problem]) -> list[Node]:
    """The links of the first column, with what is under them."""
    top: list[Node] = []
    open_at: list[tuple[int, list[Node]]] = [(0, top)]  # the columns of the blocks that are open, and their links
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        node, column = _node(number, line), len(raw.expandtabs(8)) - len(raw.expandtabs(8).lstrip())
        if node is None:
            problems.append(Problem(file, number, "", 'expected a name, or a name and a "value"'))
            continue
        if column > open_at[-1][0] and open_at[-1][1]:
            open_at.append((column, open_at[-1][1][-1].children))
        while column < open_at[-1][0] and len(open_at) > 1:
            open_at.pop()
        if column != open_at[-1][0] or len(open_at) > MAX_DEPTH:
            problems.append(Problem(file, number, node.name, "stands in a column that no line before it opened"))
            continue
        open_at[-1][1].append(node)
    return top


def _node(number: int, line: str) -> Node | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    return Node(number, _bare(match["name"]).rstrip(":"), None if match["value"] is None else _bare(match["value"]))


def _bare(word: str) -> str:
    if word.startswith('"'):
        return re.sub(r"\\(.)", r"\1", word[1:-1])
    return word[1:-1] if word.startswith("'") else word
