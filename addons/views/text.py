"""Pieces of text that several views need: bodies made readable, the facts of an attempt, sizes and times."""

from __future__ import annotations

import textwrap

import msgspec

from addons.views.record import Attempt, Headers, Record
from translators.body import WRONG
from translators.pretty import heading

_WIDE = 92  # columns of a line of prose
_LONG = 600  # characters of a line of a stream that stays one line


def body_text(body: bytes, size: int = 0) -> str:
    """JSON on many lines, with its numbers and strings as they are; streams frame by frame; else as it is. `size`: of
    the whole, of which `body` may be the beginning."""
    text = _whole(body) or _lines(body)
    more = size - len(body)
    return f"{text}\n… {more} more bytes were not kept" if more > 0 else text


def _whole(body: bytes) -> str:
    if body.lstrip()[:1] not in (b"{", b"["):
        return ""
    try:
        return msgspec.json.format(body, indent=2).decode("utf-8", "replace")
    except WRONG:
        return ""


def _lines(body: bytes) -> str:
    return "\n".join(_line(line) for line in body.decode("utf-8", "replace").split("\n"))


def _line(line: str) -> str:
    """A frame's long data on lines of its own."""
    name, colon, value = ("", "", line) if line[:1] == "{" else line.partition(": ")
    pretty = _whole(value.encode("utf-8", "replace")) if len(line) > _LONG else ""
    return f"{name}{colon}{pretty}" if pretty else line


def message_text(title: str, first: str, headers: Headers, body: bytes, size: int = 0) -> str:
    """One HTTP message under a heading."""
    rows = "\n".join(f"{name}: {value}" for name, value in headers)
    above = heading(f"body, {count_bytes(max(size, len(body)))}")
    return f"{heading(title)}\n{first}\n{rows}\n{above}\n{body_text(body, size)}"


def count_bytes(size: int) -> str:
    return f"{size} bytes" if size < 10_000 else f"{size / 1024:.0f} KiB" if size < 10 << 20 else f"{size >> 20} MiB"


def wrapped(text: str) -> str:
    """Long lines broken between words, since viewers cut them off; the first blanks of a line are kept."""
    return "\n".join(part for line in text.split("\n") for part in _broken(line))


def _broken(line: str) -> list[str]:
    if len(line) <= _WIDE:
        return [line]
    indent = line[: len(line) - len(line.lstrip())][: _WIDE // 2]
    return textwrap.wrap(
        line, _WIDE, initial_indent="", subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
        expand_tabs=False, replace_whitespace=False,
    ) or [line]  # fmt: skip


def number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def seconds(value: float) -> str:
    return f"{value:.0f} ms" if (value := value * 1000) < 1000 else f"{value / 1000:.2f} s"


def attempt_line(attempt: Attempt) -> str:
    where = f"{attempt.upstream}/{attempt.model} ({attempt.protocol})"
    if attempt.error is not None:
        return f"{where}: {attempt.error.kind}: {attempt.error.message}"
    return f"{where}: {attempt.response.status if attempt.response is not None else 'waiting'}"


def outcome(record: Record) -> str:
    if record.cancelled:
        return "the client hung up"
    if record.error is not None:
        return f"{record.status} {record.error.kind}: {record.error.message}"
    state = "" if record.timings.ended else ", running"
    return f"{record.status or 'none yet'}{state}, {count_bytes(record.sent.size)}"
