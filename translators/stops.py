"""Stop sequences for a target that takes none: the text is cut where the first of them begins.

Only visible text counts, not reasoning and not tool arguments. While a stream runs, so many characters are held back as
could still become a stop sequence.
"""

from __future__ import annotations

from collections.abc import Sequence

from .events import Event, Failure, Finish, PartDelta, PartEnd, PartStart
from .logprobs import Cut
from .model import Text


class StopCutter:
    """A transform of events. After a hit it swallows all but the usage, and `hit` is the sequence."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=1)
        self._in_text = False
        self._held = ""
        self._tokens = Cut()
        self.hit: str | None = None

    def __call__(self, event: Event) -> list[Event]:
        match event:
            case PartStart():
                if self.hit is not None:
                    return []
                self._in_text = isinstance(event.part, Text)
                return [event]
            case PartDelta():
                if self.hit is not None:
                    return []
                return self._delta(event) if self._in_text else [event]
            case PartEnd():
                if self.hit is not None and not self._in_text:
                    return []
                rest, self._held = self._held, ""
                tokens = self._tokens.rest()
                passes = self.hit is None and (rest or tokens)
                out: list[Event] = [PartDelta(event.index, rest, tokens)] if passes else []
                self._in_text = False
                return [*out, event]
            case Finish() if self.hit is not None:
                return [Finish("stop_sequence", self.hit)]
            case Failure() if self.hit is not None:
                return [Finish("stop_sequence", self.hit)]
            case _:
                return [event]

    def _delta(self, event: PartDelta) -> list[Event]:
        text = self._held + event.text
        self._tokens.add(event.logprobs)
        hits = ((text.find(stop), stop) for stop in self._stops if stop in text)
        found = min(((at + len(stop), at, stop) for at, stop in hits), default=None)
        if found is not None:  # the one that is complete first: so the chunks do not matter
            _, at, self.hit = found
            self._held = ""
            return [PartDelta(event.index, text[:at], self._tokens.out(at))] if at else []
        keep = self._could_begin(text)
        self._held = text[len(text) - keep :] if keep else ""
        sure = text[: len(text) - keep]
        return [PartDelta(event.index, sure, self._tokens.out(len(sure)))] if sure else []

    def _could_begin(self, text: str) -> int:
        """How many characters at the end may be the beginning of a stop sequence."""
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._stops):
                return size
        return 0
