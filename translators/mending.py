"""The events that rules made of an answer, as a lawful stream again.

Rules drop, change and add events without counting. Parts are numbered anew; what belongs to a part that a rule took
out goes with it; a part that is open where another begins, or at the end, is closed; nothing comes after the end. An
end for the sake of calls, of which none is left, is a plain one, or the client would wait for its own results.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from .events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate, growing
from .model import ToolCall


class Mender:
    """Of one answer. `lost`: how many pieces belonged to a part that was closed by another one in its middle."""

    def __init__(self) -> None:
        self.lost = 0
        self._started = False
        self._done = False
        self._open: int | None = None  # the open part, as the rules number it
        self._grows = False
        self._at = -1  # the same, as it is numbered here
        self._calls = False  # a call is in it
        self._cut: int | None = None  # the part that was closed by another one

    def __call__(self, events: Sequence[Event]) -> Sequence[Event]:
        out: list[Event] = []
        for event in events:
            if not self._done:
                self._mend(event, out)
        return out

    def _mend(self, event: Event, out: list[Event]) -> None:
        match event:
            case PartDelta():
                if event.index == self._open and self._grows:
                    out.append(event if event.index == self._at else replace(event, index=self._at))
                elif event.index == self._cut:
                    self.lost += 1
            case PartStart():
                self._begin(out)
                self._close(out)
                self._calls = self._calls or isinstance(event.part, ToolCall)
                self._open, self._at, self._grows = event.index, self._at + 1, growing(event.part) is not None
                out.append(event if event.index == self._at else replace(event, index=self._at))
            case PartEnd():
                if event.index == self._open:
                    self._open, self._cut = None, None
                    out.append(event if event.index == self._at else replace(event, index=self._at))
            case Start():
                if not self._started:
                    self._started = True
                    out.append(event)
            case UsageUpdate() | Finish() | Failure():
                self._begin(out)
                self._close(out)
                self._done = not isinstance(event, UsageUpdate)
                lone = isinstance(event, Finish) and event.reason == "tool_call" and not self._calls
                out.append(replace(event, reason="end") if lone else event)
            case Ping():
                if self._started:
                    out.append(event)

    def _begin(self, out: list[Event]) -> None:
        if not self._started:
            self._started = True
            out.append(Start())

    def _close(self, out: list[Event]) -> None:
        if self._open is not None:
            out.append(PartEnd(self._at))
            self._cut, self._open = self._open, None
