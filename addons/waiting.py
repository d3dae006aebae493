"""A stream that has nothing in flight, since it connects or stands between two attempts: its client is shown that it
lives all the same. While it connects, mitmproxy holds the stream still; what there is to say is then said beside it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mitmproxy.proxy import events
from mitmproxy.proxy.context import Context

from addons.holding import Holding
from addons.intake import Commands

if TYPE_CHECKING:
    from addons.gateway import LinkLayer


_MINDED = 1 << 16  # bytes after which a look at the client is worth it


class Beside:
    """Says something for a stream that is held still. Nothing in it may have to wait."""

    def __init__(self, said: Commands) -> None:
        self._said = said

    def handle_event(self, event: events.Event) -> Commands:
        return self._said


class Waiting(Holding):
    """The part of a stream that waits."""

    def __init__(self, context: Context, stream_id: int, parent: LinkLayer) -> None:
        super().__init__(context, stream_id, parent)
        self.opened_at = 0.0
        self.crowded = False  # the client does not read what came so far
        self.unminded = 0  # bytes that it was sent since we last looked
        self.until = 0.0  # monotonic, when the present wait is over; 0: it has no end of its own

    def mind(self, size: int) -> None:
        """mitmproxy holds whatever a client of HTTP/2 gives no room for: beyond a bound nothing more is read for it,
        unless its upstream's connection is shared with others."""
        self.unminded += size
        server = self.context.server
        if self.unminded < _MINDED or server.alpn == b"h2":
            return
        self.unminded = 0
        self.crowded = self.crowded or self.parent.crowded(self.stream_id, self.relieve)
        if self.crowded:  # said again and again: asyncio's reader reads on once it has less than it wants to hold
            self.link.steering.throttle(self.flow, self.parent.outer(server), True)

    def relieve(self) -> None:
        self.crowded = False
        if not self.held:
            self.link.steering.throttle(self.flow, self.parent.outer(self.context.server), False)

    def alive_at(self) -> list[float]:
        """When the client is to hear of us, if it does not before."""
        assert self.exchange is not None
        if self.begun:
            every = self.exchange.settings.keepalive
            return [self.sent_at + every] if every else []
        early = self.exchange.begins_early
        if not early or (self._paused is not None and not self.link.listeners.at_once("responseheaders", self.flow)):
            return []
        return [self.opened_at + early]

    def stay_alive(self, now: float) -> Commands:
        if any(at <= now for at in self.alive_at()):
            yield from self.ping() if self.begun else self.begin_early()

    def wait_until(self, until: float) -> Commands:
        self.until = until
        if deadlines := [*([until] if until else []), *self.alive_at()]:
            yield from self.parent.arm(self.stream_id, min(deadlines))

    def waits_on(self) -> bool:
        return not self.until or time.monotonic() + 0.005 < self.until

    def still_waiting(self) -> Commands:
        yield from self.stay_alive(time.monotonic() + 0.005)
        yield from self.wait_until(self.until)
