"""Stream: both sides of an answer on one time line. What came in the same moment stands in one row, and rows that say
the same kind of thing without a gap between them are one, so that a long answer stays a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise

from msgspec import Struct

from addons import marks
from addons.views.reading import SEED
from addons.views.record import Attempt, Record, Shown
from addons.views.text import attempt_line, number, seconds
from translators import CODECS
from translators.events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate
from translators.model import Refusal, Text, Thinking, ToolCall
from translators.pretty import heading, table

_SLOW = 0.25  # seconds without anything that are worth a mark, where the stream is faster than that
_WORDS = 48  # characters of what was said in a row
_WIDTH = 60  # columns of the chart
_BARS = " ▁▂▃▄▅▆▇█"
_NAMES = {Text: "text", Thinking: "thinking", Refusal: "refusal", ToolCall: "call"}


class Row(Struct):
    """One moment, or several that follow each other closely. `at`, `until`: ms since the start."""

    at: int
    until: int
    received: int = 0
    sent: int = 0
    kinds: tuple[str, ...] = ()
    words: str = ""
    count: int = 1
    alive: bool = False


def timeline(shown: Shown) -> str:
    record, attempt = shown.record, shown.record.attempt
    rows = list(_rows(record))
    blocks = [_attempts(record)]
    if not rows:
        why = "nothing came yet" if not record.timings.ended else "when its pieces passed was not kept"
        return "\n".join([*blocks, why if attempt is not None else "no attempt was made"])
    slow = _slow(rows)
    return "\n".join([*blocks, _summary(rows, slow), _chart(rows), _table(_merged(rows, slow), slow)])


def _attempts(record: Record) -> str:
    start = record.timings.started
    lines = [[_since(start, a.started), f"attempt {n}", attempt_line(a)] for n, a in enumerate(record.attempts, 1)]
    return table(lines)


def _since(start: float, at: float) -> str:
    return f"{max(0.0, at - start):8.3f} s"


def _rows(record: Record) -> Iterator[Row]:
    """Each moment in which something passed."""
    attempt = record.attempt
    response = attempt.response if attempt is not None else None
    received = list(marks.read(response.marks)) if response is not None else []
    sent = list(marks.read(record.sent.marks))
    moments = sorted([(ms, 0, size) for size, ms in received] + [(ms, 1, size) for size, ms in sent])
    said = _Said(attempt) if attempt is not None else None
    for ms, group in groupby(moments, key=lambda moment: moment[0]):
        row = Row(ms, ms)
        for _, side, size in group:
            if side == 0:
                row.received += size
            else:
                row.sent += size
                row.alive = row.alive or not size
        if said is not None and row.received:
            row.kinds, row.words = said.take(row.received)
        yield row


class _Said:
    """What the upstream's bytes say, piece by piece, as far as they were kept."""

    def __init__(self, attempt: Attempt) -> None:
        response = attempt.response
        assert response is not None
        codec = CODECS.get(attempt.protocol)
        self._decoder = codec.decoder(SEED) if codec is not None and response.status < 300 else None
        self._body, self._at = response.body, 0
        self._kind = ""

    def take(self, size: int) -> tuple[tuple[str, ...], str]:
        """The kinds of the events in the next so many bytes, and their words."""
        piece = self._body[self._at : self._at + size]
        self._at += size
        if self._decoder is None or not piece:
            return (), ""
        kinds: dict[str, None] = {}
        words: list[str] = []
        for event in self._decoder.feed(piece):
            kind, word = self._told(event)
            words.append(f" · {word}" if words and kind not in kinds and word else word)
            kinds.update({kind: None} if kind else {})
        return tuple(kinds), "".join(words)

    def _told(self, event: Event) -> tuple[str, str]:
        match event:
            case PartDelta():
                return self._kind, event.text
            case PartStart():
                self._kind = _NAMES.get(type(event.part), type(event.part).__name__.lower())
                return self._kind, f"{event.part.name} " if isinstance(event.part, ToolCall) else ""
            case Start():
                return "start", ""
            case UsageUpdate():
                return "usage", ""
            case Finish():
                return "end", event.reason
            case Failure():
                return "error", f"{event.error.kind}: {event.error.message}"
            case Ping():
                return "ping", ""
            case PartEnd():
                return "", ""


def _slow(rows: Sequence[Row]) -> int:
    """From how many ms on a gap is a slow spot of this stream."""
    gaps = [b.at - a.at for a, b in pairwise(rows)]
    return max(int(_SLOW * 1000), 4 * sorted(gaps)[(len(gaps) - 1) // 2]) if gaps else int(_SLOW * 1000)


def _merged(rows: Sequence[Row], slow: int) -> list[Row]:
    merged: list[Row] = []
    for row in rows:
        last = merged[-1] if merged else None
        if last is not None and _goes_on(last, row, slow):
            last.until, last.count = row.until, last.count + 1
            last.received, last.sent = last.received + row.received, last.sent + row.sent
            last.words += row.words
        else:
            merged.append(row)
    return merged


def _goes_on(last: Row, row: Row, slow: int) -> bool:
    same = row.kinds == last.kinds or not row.kinds
    return same and row.alive == last.alive and row.at - last.until < slow


def _summary(rows: Sequence[Row], slow: int) -> str:
    first = next((row for row in rows if row.received), rows[0])
    token = next((row for row in rows if set(row.kinds) & {*_NAMES.values()}), None)
    gaps = [(b.at - a.until, a.until) for a, b in pairwise(rows)]
    facts = [["first byte", f"after {seconds(first.at / 1000)}"]]
    if token is not None:
        facts.append(["first token", f"after {seconds(token.at / 1000)}"])
    facts.append(["last byte", f"after {seconds(rows[-1].until / 1000)}"])
    if gaps:
        gap, at = max(gaps)
        slow_spots = sum(1 for each, _ in gaps if each >= slow)
        facts.append(
            ["longest gap", f"{seconds(gap / 1000)}, at {seconds(at / 1000)}; {number(slow_spots, 'slow spot')}"]
        )
    return table(facts)


def _chart(rows: Sequence[Row]) -> str:
    """Bytes over time, each side on a line."""
    start, end = rows[0].at, max(rows[-1].until, rows[0].at + 1)
    sides = [("upstream", [(row.at, row.received) for row in rows]), ("client", [(row.at, row.sent) for row in rows])]
    lines = [[name, f"│{_bars(side, start, end)}│"] for name, side in sides]
    scale = f" {start / 1000:.2f} s{f'{end / 1000:.2f} s':>{_WIDTH - 7}}"
    return heading("bytes over time") + "\n" + table([*lines, ["", scale]])


def _bars(side: Iterable[tuple[int, int]], start: int, end: int) -> str:
    heights = [0] * _WIDTH
    for at, size in side:
        heights[min(_WIDTH - 1, (at - start) * _WIDTH // (end - start))] += size
    most = max(heights) or 1
    return "".join(_BARS[-(-height * (len(_BARS) - 1) // most)] for height in heights)


def _table(rows: Sequence[Row], slow: int) -> str:
    """A number of bytes for each side; what is said of them is the upstream's."""
    lines = [["at", "gap", "", "upstream", "client", "", "what"]]
    before = 0
    for row in rows:
        gap = row.at - before
        lines.append(
            [
                f"{row.at / 1000:.3f}",
                f"+{gap / 1000:.3f}",
                "◀ slow" if gap >= slow and before else "",
                f"{row.received or '':>8}",
                f"{row.sent or '':>6}",
                f"{row.count} in {seconds((row.until - row.at) / 1000)}" if row.count > 1 else "",
                _what(row),
            ]
        )
        before = row.until
    return heading("pieces, with seconds and bytes") + "\n" + table(lines)


def _what(row: Row) -> str:
    if row.alive:
        return "keep-alive, that the client waits"
    words = " ".join(row.words.split())
    short = words if len(words) <= _WORDS else f"{words[: _WORDS // 2]} … {words[-_WORDS // 2 :]}"
    return f"{', '.join(row.kinds)}{': ' if row.kinds and short else ''}{short}"
