"""Two answers to one request, side by side."""

from __future__ import annotations

import textwrap
from itertools import zip_longest

from addons.views.reading import Unreadable, answer_of
from addons.views.record import Record
from addons.views.text import attempt_line, outcome, seconds
from translators.model import Response
from translators.pretty import response_text, table

WIDTH = 72  # of a column


def beside(left: Record, right: Record) -> str:
    """Who answered, how it went, what it said."""
    rows = [["", _who(left), _who(right)]]
    rows += [[what, one, other] for (what, one), (_, other) in zip(_facts(left), _facts(right), strict=True)]
    return table(rows) + "\n\n" + _columns(said(left), said(right))


def _who(record: Record) -> str:
    attempt = record.attempt
    return "nobody yet" if attempt is None else f"{attempt.upstream}/{attempt.model} ({attempt.protocol})"


def _facts(record: Record) -> list[tuple[str, str]]:
    times, tokens = record.timings, record.usage
    return [
        ("answer", outcome(record)),
        ("first byte", seconds(times.head - times.started) if times.head else "-"),
        ("whole", seconds(times.ended - times.started) if times.ended else "-"),
        ("prompt tokens", str(tokens.prompt) if tokens is not None else "-"),
        ("answer tokens", str(tokens.completion) if tokens is not None else "-"),
        ("cost", f"${record.cost:.6f}" if record.cost is not None else "-"),
        ("lost", ", ".join(f"{path}={code}" for path, code, _ in record.losses) or "-"),
    ]


def said(record: Record) -> str:
    """What an upstream answered, or why it did not."""
    try:
        answer = answer_of(record)
    except Unreadable as error:
        attempt = record.attempt
        return str(error) if attempt is None else attempt_line(attempt)
    if not isinstance(answer.value, Response):
        return str(answer.value)
    return response_text(answer.value, answer.running)


def _columns(left: str, right: str) -> str:
    rows = zip_longest(_wrapped(left), _wrapped(right), fillvalue="")
    return "\n".join(f"{one:<{WIDTH}} │ {other}".rstrip() for one, other in rows)


def _wrapped(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.splitlines():
        rest = len(line) - len(line.lstrip())
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=" " * min(rest, 8), drop_whitespace=False) or [""]
    return lines
