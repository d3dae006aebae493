"""What is known of an upstream's answer while it comes, and of the exchange that it is for.

A body in one piece and a stream of events find the same things: how the answer to the client begins or why there is
none, how it ends, what it used. They keep them here, where their reader, the logs and the views find them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from .codec import Codec, ErrorReply, Seed, Traits
from .events import Event, Finish, PartStart, Start, UsageUpdate
from .heads import Head, relayed_headers, translated_headers
from .hosted import foreign
from .meter import ESTIMATED, Meter
from .model import ApiError, Request, Response, Usage
from .policy import Loss


class Asking(Protocol):
    """Who asked for an answer, and in what form."""

    client: Codec
    stream: bool
    seed: Seed

    def as_asked(self) -> Request: ...


class Pair(Asking, Protocol):
    """What an answer has to know of its exchange: `bridge.Bridge` is one."""

    upstream: Codec
    same: bool  # one protocol on both sides
    relay: bool  # its bytes go through
    heard: bool  # somebody wants the whole of the answer
    traits: Traits
    frame_limit: int

    @property
    def plain_deltas(self) -> bool: ...

    @property
    def take(self) -> Callable[[str], object] | None: ...

    def transform(self, events: Sequence[Event]) -> Sequence[Event]: ...


_OF_BODY = frozenset(("content-type", "content-encoding"))  # what the headers of a relayed answer say of its bytes


class Findings:
    """`error` is set where the attempt failed before `head` was; what breaks off after that is the `failure`."""

    def __init__(self, bridge: Pair, status: int, headers: Mapping[str, str]) -> None:
        self._bridge, self.status, self.headers = bridge, status, headers
        self.head: Head | None = None
        self.error: ApiError | None = None
        self.reply: ErrorReply | None = None  # the upstream's own error answer, where it may pass as it is
        self.failure: ApiError | None = None  # broke off after the head
        self.start: Start | None = None
        self.finish: Finish | None = None
        self.usage: Usage | None = None
        self.crash: Exception | None = None
        self.response: Response | None = None  # all of it, where somebody wants that
        self.done = False
        self.warnings: list[Loss] = []  # what the client may be told of it, where its head is still to come
        self._notes: list[Loss] = []

    @property
    def bridge(self) -> Pair:
        return self._bridge

    @property
    def limits(self) -> dict[str, str]:
        """The upstream's rate limits, as headers of the client's protocol; on the same one all that it sent, but for an
        error, whose bytes either go through with theirs or stay here."""
        bridge = self._bridge
        if bridge.same:
            headers = relayed_headers(self.headers) if self.status < 300 else {}
            return {name: value for name, value in headers.items() if name not in _OF_BODY}
        return translated_headers(self.headers, bridge.upstream.NAME, bridge.client.NAME, bridge.seed.created)

    def counted(self, events: Sequence[Event], meter: Meter) -> Sequence[Event]:
        """The events with a usage before the end, which some clients cannot do without: an estimate if need be."""
        if self.usage is not None or type(events[-1]) is not Finish:
            return events
        self.usage = meter.usage(self._bridge.as_asked())
        self.warnings.append(ESTIMATED)
        return [*events[:-1], UsageUpdate(self.usage), events[-1]]

    def watch(self, events: Sequence[Event]) -> None:
        """Keep the facts that logs, usage and views want."""
        for event in events:
            kind = type(event)
            if kind is UsageUpdate:
                self.usage = event.usage  # type: ignore[union-attr]
            elif kind is Finish:
                self.finish = event  # type: ignore[assignment]
            elif kind is PartStart:
                self._notes += foreign(event.part, self._bridge.client.NAME)  # type: ignore[union-attr]
            elif kind is Start:
                self.start = event  # type: ignore[assignment]
                self.usage = event.usage or self.usage  # type: ignore[union-attr]

    def fail(self, error: ApiError) -> None:
        """The attempt failed before anything went to the client."""
        self.error, self.done = error, True
