"""A client's request, taken in: its head, its body up to the limit, mitmproxy's hooks for both."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestTrailers,
)

from addons import taking
from addons.control_stream import ControlStream
from addons.encoding import too_large
from addons.exchange import Reply
from addons.log import logger

if TYPE_CHECKING:
    from addons.gateway import LinkLayer

Commands = Generator[commands.Command, Any, None]
Verdict = Generator[commands.Command, Any, bool]

_TOLD = (HttpRequestHeadersHook, HttpRequestHook, HttpResponseHeadersHook, HttpResponseHook)


class Intake(ControlStream):
    """The client's side of an exchange, until its request is whole; then `open` goes on."""

    def __init__(self, context: Context, stream_id: int, parent: LinkLayer) -> None:
        super().__init__(context, stream_id)
        self.parent, self.link = parent, parent.link
        self.taken: Any = None
        self.received = 0

    def open(self) -> Commands:
        """The request is there: answer it."""
        raise NotImplementedError

    def deliver(self, reply: Reply) -> Commands:
        """Send an answer in one piece."""
        raise NotImplementedError

    def crashed(self) -> Commands:
        """End the exchange after a mistake of ours."""
        raise NotImplementedError

    def guarded(self, inner: Commands) -> Commands:
        """A mistake of ours here would leave the client waiting for ever: it gets an error instead."""
        try:
            yield from inner
        except Exception:
            logger.exception("the exchange broke")
            yield from self.crashed()

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Commands:
        self.taken = taking.take(event.request, self.link.origin(event.replay_flow))
        meant_for_us = self.parent.provider is None
        self.controls = meant_for_us and event.replay_flow is None and self.asks_control(event)
        yield from self.telling(super().state_wait_for_request_headers(event))
        if meant_for_us:
            client = self.context.client  # which does not talk to the reverse target
            self.flow.request.data.host, self.flow.request.data.port = client.sockname[:2]
            self.flow.request.data.scheme = b"https" if client.tls else b"http"
        if self.controls:
            self.to_control()

    def telling(self, inner: Commands) -> Commands:
        """mitmproxy's own handling, less the hooks whose listeners can be told at once, or must not be told."""
        reply = None
        while True:
            try:
                command = inner.send(reply)
            except StopIteration:
                return
            reply = None if self.told(command) else (yield command)

    def told(self, command: commands.Command) -> bool:
        if self.controls:
            return isinstance(command, (HttpRequestHeadersHook, HttpErrorHook))
        return isinstance(command, _TOLD) and self.link.listeners.told(command.name, self.flow)

    def tell(self, hook: commands.StartHook) -> Commands:
        if not self.told(hook):
            yield hook

    def send_response(self, already_streamed: bool = False) -> Commands:
        return self.telling(super().send_response(already_streamed))

    def state_consume_request_body(self, event: events.Event) -> Commands:
        if isinstance(event, RequestData):
            self.received += len(event.data)
            if self.received > self.link.body_limit:
                self.request_body_buf.clear()
                yield from self.refuse_body()
            else:
                self.request_body_buf += event.data
        elif isinstance(event, RequestTrailers):
            self.flow.request.trailers = event.trailers
        elif isinstance(event, RequestEndOfMessage):
            self.flow.request.timestamp_end = time.time()
            self.flow.request.data.content = bytes(self.request_body_buf)
            self.request_body_buf.clear()
            self.client_state = self.state_done
            yield from self.tell(HttpRequestHook(self.flow))
            if (yield from self.check_killed(True)):
                return
            if self.flow.response is None:
                self.taken = taking.again(self.flow.request, self.taken)
                yield from self.guarded(self.open())
            else:  # another addon answered
                self.flow.response.timestamp_start = time.time()
                yield from self.tell(HttpResponseHeadersHook(self.flow))
                if not (yield from self.check_killed(True)):
                    yield from self.send_response()

    def refuse_body(self) -> Commands:
        """Answer while the body still comes; what is left of it is read and dropped, so that the client hears us."""
        self.client_state = self.state_done
        yield from self.tell(HttpRequestHook(self.flow))
        if (yield from self.check_killed(True)):
            return
        yield from self.deliver(self.link.refuse(self.flow, self.taken, too_large(self.link.body_limit).error))
        self.client_state = self.state_errored
