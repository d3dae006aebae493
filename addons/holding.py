"""A stream that the user pauses or kills while it runs.

A paused one is held here: what the upstream says is kept, up to a bound, and beyond that nothing more is read from it.
The client gets keep-alives; the upstream's silence and the time of the whole attempt do not count. A killed one ends
with an error in the client's own shape.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mitmproxy.connection import Server
from mitmproxy.flow import Error
from mitmproxy.http import HTTPFlow
from mitmproxy.proxy import events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    HttpErrorHook,
    RequestProtocolError,
    ResponseData,
    ResponseHeaders,
    SendHttp,
)

from addons import messages, replies
from addons.intake import Commands, Verdict
from addons.ruling import Ruling
from translators.model import ApiError

if TYPE_CHECKING:
    from addons.gateway import LinkLayer

STOPPED = ApiError(403, "permission", "this request was stopped by the operator of LLM Link")


@dataclass(repr=False)
class Nudge(events.Event):
    """The user did something to a flow: its stream looks at it."""

    flow: str


def killed(flow: HTTPFlow) -> bool:
    return flow.error is not None and flow.error.msg == Error.KILLED_MESSAGE


class Holding(Ruling):
    """The part of a stream that the user steers."""

    def __init__(self, context: Context, stream_id: int, parent: LinkLayer) -> None:
        super().__init__(context, stream_id, parent)
        self.held = False
        self.held_at = 0.0  # since when, monotonic; moves on with the time that was taken off the attempt's
        self.attempt_at = 0.0
        self.kept: deque[events.Event] = deque()  # what the upstream said meanwhile
        self.kept_size = 0
        self.stopping = False  # was killed, which is dealt with

    def broke(self, error: ApiError) -> Commands:
        """The upstream's answer will not go on."""
        raise NotImplementedError

    @property
    def answering(self) -> bool:
        """Whether an attempt is in flight."""
        raise NotImplementedError

    @property
    def client_left(self) -> bool:
        """Whether the news of that waits until this stream goes on."""
        return any(isinstance(event, RequestProtocolError) for event in self._paused_event_queue)

    def on_nudge(self) -> Commands:
        if killed(self.flow):
            yield from self.stop()
        elif self.flow.intercepted:
            self.hold()
        else:
            yield from self.go_on()

    # ------------------------------------------------------------------------------------------ paused

    def hold(self) -> None:
        over = self.server_state in (self.state_done, self.state_errored)
        if not self.held and not over and self.exchange is not None:
            self.held, self.held_at = True, time.monotonic()
            self.link.show(self.flow, self.exchange)

    def begins(self) -> None:
        """A filter that stops answers stops a streamed one here: its last hook would be too late."""
        if self.link.steering.wants_stop(self.flow):
            self.link.steering.pause(self.flow)
            self.hold()

    def keep(self, event: events.Event) -> Commands:
        """Something of the upstream's that has to wait."""
        assert self.exchange is not None
        self.kept.append(event)
        if isinstance(event, ResponseData):
            self.kept_size += len(event.data)
            if self.kept_size > self.exchange.settings.limits.capture:
                self.throttle(True)
        yield from ()

    def throttle(self, still: bool) -> None:
        if isinstance(self.context.server, Server):
            self.link.steering.throttle(self.flow, self.parent.outer(self.context.server), still)

    def stand_still(self, now: float) -> None:
        """While it is held, no time passes for the upstream."""
        self.attempt_at += now - self.held_at
        self.held_at = self.heard_at = now

    def go_on(self) -> Commands:
        if not self.held:
            return
        self.stand_still(time.monotonic())
        kept = self.let_go()
        self.throttle(False)
        for event in kept:
            yield from self._handle_event(event)

    def let_go(self) -> deque[events.Event]:
        kept, self.kept, self.kept_size, self.held = self.kept, deque(), 0, False
        return kept

    # ------------------------------------------------------------------------------------------ killed

    def stop(self) -> Commands:
        """Killed while it runs."""
        if self.exchange is None or self.stopping or self.server_state in (self.state_done, self.state_errored):
            return
        self.let_go()
        if not self.begun:
            if self.answering:
                yield from self.give_up()
            yield from self.check_killed(True)
            return
        self.stopping = self.exchange.stopped = True
        yield from self.broke(STOPPED) if self.answering else self.end_in_stream(STOPPED)

    def check_killed(self, emit_error_hook: bool) -> Verdict:
        """Whether nothing more is to be done, as the flow was killed or its client left."""
        if not killed(self.flow) or self.client_left:
            return (yield from super().check_killed(emit_error_hook))
        if self.begun or self.stopping:  # the end of its stream says it
            return False
        self.stopping = True
        if self.exchange is not None:
            self.exchange.stopped = True
        if emit_error_hook:
            yield HttpErrorHook(self.flow)
        yield from self.refuse_stopped()
        return True

    def refuse_stopped(self) -> Commands:
        """The answer to a request that was killed before it had any; no hook sees it."""
        exchange = self.exchange
        self.parent.disarm(self.stream_id)
        if exchange is None:
            reply = self.link.refuse(self.flow, self.taken, STOPPED)
        else:
            reply = replies.refusal(exchange, STOPPED)
            self.note(reply.body)
            self.link.close(self.flow, exchange)
        if self.client_state != self.state_done:
            self.client_state = self.state_errored  # the rest of the request is read and dropped
        self.server_state = self.state_done
        body = reply.body if self.flow.request.method != "HEAD" else b""
        length = (b"content-length", str(len(reply.body)).encode())
        self.flow.response = messages.response(reply.status, reply.headers, body, (length,))
        yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response, not body), self.context.client)
        if body:
            yield SendHttp(ResponseData(self.stream_id, body), self.context.client)
        yield from self.flow_done()

    # ------------------------------------------------------------------------------------------ edited

    def send_response(self, already_streamed: bool = False) -> Commands:
        if already_streamed:
            self.link.steering.let_pass(self.flow)
            return super().send_response(already_streamed)
        return self.send_whole(super().send_response())

    def send_whole(self, inner: Commands) -> Commands:
        """An answer in one piece, which the user or a script may edit in its hook."""
        assert self.flow.response is not None
        body, reply = self.flow.response.data.content, None
        while True:
            try:
                command = inner.send(reply)
            except StopIteration:
                return
            if isinstance(command, SendHttp) and self.flow.response.data.content is not body:
                body = self.flow.response.data.content
                self.edited(body or b"")
            reply = yield command

    def edited(self, body: bytes) -> None:
        assert self.flow.response is not None
        if self.exchange is None:
            return
        self.flow.response.headers["content-length"] = str(len(body))
        self.flow.response.headers.pop("transfer-encoding", None)
        self.exchange.edited = True
        self.note(body)

    def note(self, body: bytes) -> None:
        """What goes to the client is not what was to go."""
        exchange = self.exchange
        assert exchange is not None
        exchange.sent = exchange.capture()
        exchange.sent.add(body, time.monotonic())
        self.link.rewrite(self.flow, exchange)
