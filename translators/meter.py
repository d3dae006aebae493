"""Tokens that no upstream counted: clients compact by them, and some cannot read the end of an answer without."""

from __future__ import annotations

from collections.abc import Sequence

from .events import Event, PartDelta, PartStart
from .model import Request, ToolCall, Usage
from .policy import WARN, Loss
from .tokens import estimate, estimate_letters

ESTIMATED = Loss("usage", "estimated", "the upstream did not count tokens", WARN)


class Meter:
    """Reads an answer along."""

    def __init__(self) -> None:
        self._ascii = self._others = 0

    def read(self, text: str) -> None:
        if text.isascii():
            self._ascii += len(text)
        else:
            plain = len(text.encode("ascii", "ignore"))
            self._ascii += plain
            self._others += len(text) - plain

    def add(self, events: Sequence[Event]) -> None:
        for event in events:
            if type(event) is PartDelta:
                self.read(event.text)
            elif type(event) is PartStart and isinstance(event.part, ToolCall):
                self.read(event.part.name)

    def usage(self, asked: Request) -> Usage:
        """An estimate of the whole exchange."""
        output = max(1, estimate_letters(self._ascii, self._others))
        return Usage(estimate(asked), output=output, estimated=True)
