"""The laws of a neutral stream, written down once more, apart from the code that keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from translators.events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate, growing


def check(events: Sequence[Event], *, ended: bool = True) -> None:
    """Fails unless the events are a lawful stream (`ended`: a whole one; else the beginning of one)."""
    started = False
    opened: int | None = None
    count = 0
    usages = 0
    over: Event | None = None
    for n, event in enumerate(events):
        place = (n, event)
        assert over is None, ("after the end", place)
        if not isinstance(event, Failure):
            assert started != isinstance(event, Start), ("Start must come first, and once", place)
        match event:
            case Start():
                started = True
            case PartStart():
                assert opened is None and event.index == count and not usages, place
                field = growing(event.part)
                assert field is None or getattr(event.part, field) == "", ("text before its delta", place)
                opened, count = event.index, count + 1
            case PartDelta():
                assert event.index == opened and (event.text or event.logprobs), place
            case PartEnd():
                assert event.index == opened, place
                opened = None
            case UsageUpdate():
                assert opened is None, place
                usages += 1
            case Finish() | Failure():
                assert opened is None, place
                over = event
            case Ping():
                pass
    assert usages <= 1, f"usage twice: {events}"
    if ended:
        assert over is not None, f"no end: {events}"


def chunks(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """The bytes, cut at these places; none of the pieces is empty."""
    places = sorted({cut for cut in cuts if 0 < cut < len(data)})
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        if start < end:
            yield data[start:end]


def each_byte(data: bytes) -> Iterator[bytes]:
    return chunks(data, range(1, len(data)))
