"""What the user does to flows that run: kill, pause, resume. It reaches their streams from here.

mitmproxy tells nobody of a kill, nor of a resume that no hook waits for, and a killed flow that was stopped by a hook
waits for ever. So the flows that a user can see are looked at a few times a second, while there are any.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mitmproxy import ctx
from mitmproxy.connection import Connection
from mitmproxy.flow import Flow
from mitmproxy.http import HTTPFlow
from mitmproxy.proxy.server import ConnectionHandler

from addons.holding import Nudge, killed

if TYPE_CHECKING:
    from addons.replay import Handler

_OFTEN = 0.1  # seconds


class Steering:
    """`replayed`: what runs the replay of a flow, where it is one."""

    def __init__(self, replayed: Callable[[HTTPFlow], Handler | None]) -> None:
        self._replayed = replayed
        self._seen: dict[str, HTTPFlow] = {}  # by id: may be killed
        self._paused: dict[str, HTTPFlow] = {}  # by id: their streams are held, or are about to be
        self._passed: set[str] = set()  # streams whose answer went to the client: too late to stop them
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def see(self, flow: HTTPFlow) -> None:
        """The user can see this flow now."""
        self._seen[flow.id] = flow
        self._look_later()

    def pause(self, flow: HTTPFlow) -> None:
        """Hold a stream where it is. mitmproxy's own resume lets it go on."""
        flow.intercept()
        self._paused[flow.id] = flow
        self._nudge(flow)
        self._look_later()

    def let_pass(self, flow: HTTPFlow) -> None:
        """Nothing of this flow can be changed any more: no filter stops it in its last hook."""
        if flow.id in self._seen:
            self._passed.add(flow.id)

    def updated(self, flows: Sequence[Flow]) -> None:
        """A hook was called for flows; what a filter stopped is about to wait."""
        for flow in flows:
            if flow.id in self._passed:
                self._passed.discard(flow.id)
                flow.resume()

    def wants_stop(self, flow: HTTPFlow) -> bool:
        """Whether mitmproxy's filter stops an answer whose head is there."""
        intercept = ctx.master.addons.get("intercept")
        return intercept is not None and bool(intercept.should_intercept(flow))

    def throttle(self, flow: HTTPFlow, server: Connection, still: bool) -> None:
        """Read nothing more from an upstream, or do so again."""
        handler = self._handler(flow)
        io = handler.transports.get(server) if handler is not None else None
        if io is not None and isinstance(io.writer, asyncio.StreamWriter):
            transport = io.writer.transport
            assert isinstance(transport, asyncio.ReadTransport)
            transport.pause_reading() if still else transport.resume_reading()

    def _handler(self, flow: HTTPFlow) -> ConnectionHandler | None:
        replay = self._replayed(flow)
        if replay is not None:
            return replay
        handler: ConnectionHandler | None = ctx.master.addons.get("proxyserver").connections.get(flow.client_conn.id)
        return handler

    def _nudge(self, flow: HTTPFlow) -> None:
        handler = self._handler(flow)
        if handler is not None:
            task = asyncio.create_task(handler.server_event(Nudge(flow.id)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _look_later(self) -> None:
        if self._timer is None and (self._seen or self._paused):
            self._timer = asyncio.get_running_loop().call_later(_OFTEN, self._look)

    def _look(self) -> None:
        self._timer = None
        for flow in [*self._seen.values()]:
            if killed(flow):
                del self._seen[flow.id]
                flow.intercepted = True  # else there is nothing to resume
                flow.resume()
                self._paused.pop(flow.id, None)
                self._nudge(flow)
            elif not flow.live and not flow.intercepted:
                del self._seen[flow.id]
        for flow in [*self._paused.values()]:
            if not flow.live:  # it ended before it could be held
                flow.resume()
            if not flow.intercepted:
                del self._paused[flow.id]
                self._nudge(flow)
        self._look_later()
