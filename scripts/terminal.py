"""What every command says to its user, and how: problems on one line, tables, JSON, progress.

Data goes to stdout, all else to stderr. Colours and frames are for a terminal only: what is piped is plain, and
`NO_COLOR` is heeded. rich is imported where something is drawn, since `serve` draws nothing and should start soon.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

USAGE, FAILED = 2, 1  # exit codes: bad usage or config; it failed while running


class Trouble(Exception):
    """Ends the command: its lines go to stderr, `llm-link: ` before the first, and `code` is the exit code."""

    def __init__(self, message: object, code: int = USAGE) -> None:
        super().__init__(str(message))
        self.code = code


def fail(message: object, code: int = USAGE) -> NoReturn:
    """Says what is wrong and what to do, on one line (or a line for each problem of a file)."""
    raise Trouble(message, code)


def warn(message: object) -> None:
    """A line for the user that is no result."""
    print(f"llm-link: {message}", file=sys.stderr)


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to say after an unknown word: ` (did you mean X?)`, or what there is where nothing is near."""
    names = list(known)
    if near := get_close_matches(word, names, 1):
        return f" (did you mean {near[0]}?)"
    return f"; there is {', '.join(names)}" if names else ""


def colours() -> bool:
    """Whether stdout takes colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_json(value: Any) -> None:
    """A result for a program: indented, UTF-8."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Piped: aligned with blanks, a line of `columns` first. On a terminal the last column may wrap, no other one does.
    A cell may be a `Mark`."""
    cells = [[cell if isinstance(cell, Mark) else Mark(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells)
        return
    lines = [list(columns), *([str(cell) for cell in row] for row in cells)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


class Mark(str):
    """A word with a style of rich's, for terminals: `Mark("ok", "green")`."""

    style: str

    def __new__(cls, text: str, style: str = "") -> Mark:
        mark = super().__new__(cls, text)
        mark.style = style
        return mark


def _draw(columns: Sequence[str], rows: Sequence[Sequence[Mark]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, column in enumerate(columns, 1):
        table.add_column(column, no_wrap=number < len(columns), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, cell.style) for cell in row))
    Console(highlight=False).print(table)


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Shows on stderr that long work goes on; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
