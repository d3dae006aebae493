"""When the pieces of a stream passed, cheaply: a list that is bounded in number, whatever the stream's length.

In the record it is one short text, `BYTES+MS BYTES+MS ...`: so many bytes more, so many milliseconds after the mark
before (the first: after the exchange began). `0+MS` is a keep-alive, which is no part of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST = 1024  # marks of one side


class Marks:
    """Where a stream has too many marks, every second one goes, and from then on every second one is not made."""

    def __init__(self) -> None:
        self._at: list[tuple[int, float]] = []  # bytes so far, seconds on the monotonic clock
        self._step, self._passed = 1, 0

    def add(self, size: int, at: float) -> None:
        """`size`: all bytes so far; `at`: now, monotonic."""
        self._passed += 1
        if self._passed < self._step:
            return
        self._passed = 0
        self._at.append((size, at))
        if len(self._at) >= MOST:
            del self._at[1::2]
            self._step *= 2

    def text(self, began: float) -> str:
        """`began`: when the exchange did, monotonic."""
        size, ms, words = 0, 0, []
        for size_now, at in self._at:
            ms_now = max(ms, round((at - began) * 1000))
            words.append(f"{size_now - size}+{ms_now - ms}")
            size, ms = size_now, ms_now
        return " ".join(words)


_MARK = re.compile(r"(\d{1,15})\+(\d{1,12})")


def read(text: str) -> Iterator[tuple[int, int]]:
    """The marks of a record: bytes that came, and milliseconds since the exchange began."""
    ms = 0
    for found in _MARK.finditer(text):
        ms += int(found[2])
        yield int(found[1]), ms
