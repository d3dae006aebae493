"""One exchange on the wire: attempts, failover, timeouts, keep-alives, errors in the client's shape.

What to send next and what an answer means is decided in `attempts`, `replies` and the bridge, by functions that are
called directly and never raise; here is only how bytes and time move.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mitmproxy.connection import Server
from mitmproxy.flow import Error
from mitmproxy.proxy import events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    DropStream,
    ErrorCode,
    HttpErrorHook,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
    SendHttp,
)

from addons import attempts, messages, replies
from addons.egress import Ask
from addons.encoding import Decompressor, TooLarge, decompressor
from addons.exchange import Attempt, Outgoing, Reply, Wait
from addons.holding import Nudge, killed
from addons.intake import Commands, Verdict
from addons.replies import INTERNAL
from addons.waiting import Waiting
from translators.model import ApiError

if TYPE_CHECKING:
    from addons.gateway import LinkLayer

_BROKEN = ErrorCode.GENERIC_SERVER_ERROR
_ANSWER = (ResponseData, ResponseHeaders, ResponseEndOfMessage, ResponseTrailers)


def _nothing() -> Commands:
    yield from ()


class Tick(events.Event):
    """A deadline of a stream has come."""


class LinkStream(Waiting):
    """One exchange on the wire."""

    def __init__(self, context: Context, stream_id: int, parent: LinkLayer) -> None:
        super().__init__(context, stream_id, parent)
        self.inflate: Decompressor | None = None
        self.packed = b""  # compressed bytes that did not make a plain one yet
        self.outgoing: Outgoing | None = None
        self.reused = False  # its connection had been used before
        self.unheard: Outgoing | None = None  # to be sent again

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, _ANSWER):  # what comes after the end is the rest of something that is over
            if self.held:
                return self.keep(event)
            return self.server_state(event) if self.answering else _nothing()
        if isinstance(event, Tick):
            return self.guarded(self.on_tick())
        if isinstance(event, Nudge):
            return self.guarded(self.on_nudge())
        return super()._handle_event(event)

    def crashed(self) -> Commands:
        self.parent.disarm(self.stream_id)
        if self.begun or self.exchange is None:  # too late for an answer of its own, or too early for its shape
            yield SendHttp(ResponseProtocolError(self.stream_id, INTERNAL.message, _BROKEN), self.context.client)
            self.client_state = self.server_state = self.state_errored
            if self.exchange is not None:
                self.link.close(self.flow, self.exchange)
            self.flow.live = False
            yield DropStream(self.stream_id)
        else:
            yield from self.deliver(replies.refusal(self.exchange, INTERNAL))

    def open(self) -> Commands:
        opening = self.link.opening(self.flow, self.taken)
        if opening.ruled is not None:
            yield from self.drive(opening.steps())
        opened = self.link.opened(self.flow, opening)
        if isinstance(opened, Reply):
            yield from self.deliver(opened)
        elif self.client_left:  # while a rule waited for something
            self.server_state = self.state_waiting
            self.link.cancelled(self.flow, opened)
        else:
            self.exchange, self.opened_at = opened, time.monotonic()
            yield from self.try_next()

    def flow_done(self) -> Commands:
        """The answer went out."""
        if not self.upgraded:
            yield from super().flow_done()
            return
        self.child_layer = socket = self.link.chat_socket(self.context, self.flow, self.taken)
        self.parent.server.socket = socket
        self._handle_event = self.passthrough
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    # ------------------------------------------------------------------------------------------ attempts

    def try_next(self) -> Commands:
        """Attempts, until one could be sent; without a target left, the answer is the last error."""
        assert self.exchange is not None
        while not self.exchange.cancelled:
            if (yield from self.check_killed(True)):
                return
            if self.exchange.ruled is not None:
                yield from self.tell_error(self.exchange, self.exchange.ruled)
            if self.begun:  # early: one that is told of its end gets no other target
                last = self.exchange.attempt
                if killed(self.flow):
                    yield from self.stop()
                    return
                if last is not None and last.error is not None and self.exchange.again is None:
                    yield from self.end_in_stream(last.error)
                    return
            step = attempts.next_attempt(self.exchange)
            if isinstance(step, Reply):
                yield from self.out_of_targets(step)
                return
            if isinstance(step, Wait):
                yield from self.wait(step.seconds)
                return
            if (yield from self.connect(step)):
                yield from self.send(step)
                return

    def out_of_targets(self, reply: Reply) -> Commands:
        assert self.exchange is not None
        last = self.exchange.attempt
        if self.begun:
            yield from self.end_in_stream(last.error if last is not None and last.error is not None else INTERNAL)
        else:
            yield from self.deliver(reply)

    def state_waiting(self, event: events.Event) -> Commands:
        """Between two attempts at the same target: the deadline goes on."""
        yield from ()

    def connect(self, out: Outgoing) -> Verdict:
        assert self.exchange is not None
        self.attempt_at = time.monotonic()
        yield from self.wait_until(self.attempt_at + out.connect_timeout if out.connect_timeout else 0.0)
        connection, error = yield Ask((out.host, out.port), out.scheme == "https", out.via, "tcp", out.login)
        self.parent.disarm(self.stream_id)
        if self.client_left:  # mitmproxy then gives up the connection, which says nothing of the target
            self.link.cancelled(self.flow, self.exchange)
            self.server_state = self.state_waiting
            return False
        if killed(self.flow):
            return False
        if error:
            late = out.connect_timeout and time.monotonic() >= self.attempt_at + out.connect_timeout - 0.01
            attempts.failed(self.exchange, attempts.not_connected(self.exchange, "timed out" if late else str(error)))
            return False
        self.context.server = self.flow.server_conn = connection
        self.reused = (connection.timestamp_tcp_setup or 0) < self.exchange.attempts[-1].started
        return True

    def send(self, out: Outgoing) -> Commands:
        request = messages.request(out.scheme, out.host, out.port, out.method, out.path, out.headers, out.body)
        self.outgoing = out
        self.server_state = self.state_answer_head
        server = self.context.server
        yield SendHttp(RequestHeaders(self.stream_id, request, not out.body), server)
        if out.body:
            yield SendHttp(RequestData(self.stream_id, out.body), server)
        yield SendHttp(RequestEndOfMessage(self.stream_id), server)
        self.heard_at = time.monotonic()
        if self.exchange is not None and self.exchange.watched:
            self.link.show_soon(self.flow, self.exchange)
        yield from self.arm()

    def send_again(self, out: Outgoing) -> Commands:
        """A connection that had been idle was closed as it was taken, which says nothing of the target: the same
        attempt on another one."""
        self.unheard = None
        if (yield from self.connect(out)):
            yield from self.send(out)
        else:
            yield from self.try_next()

    def give_up(self) -> Commands:
        """End an attempt that is still in flight."""
        if isinstance(self.context.server, Server):
            yield from self.parent.abandon(self.context.server)

    # ------------------------------------------------------------------------------------------ the answer

    @property
    def answering(self) -> bool:
        """Whether an attempt is in flight."""
        return self.server_state in (self.state_answer_head, self.state_answer_body)

    def state_answer_head(self, event: events.Event) -> Commands:
        assert self.exchange is not None
        if not isinstance(event, ResponseHeaders):
            return
        self.heard_at = time.monotonic()
        limit = attempts.answer_limit(self.exchange)
        try:
            self.inflate = decompressor(event.response.headers.get("content-encoding", ""), limit)
        except ValueError:
            self.inflate = None  # passed on as it is; a translation will say that it cannot be read
        attempts.answer_begins(self.exchange, event.response)
        self.server_state = self.state_answer_body
        yield from ()

    def state_answer_body(self, event: events.Event) -> Commands:
        if self.begun and not self.early and self.inflate is None and isinstance(event, ResponseData):
            return self.pass_on(event.data)
        return self.guarded(self.hear(event))

    def pass_on(self, data: bytes) -> Commands:
        """A piece of a stream that has begun: the path that every token takes."""
        assert self.exchange is not None
        attempt = self.exchange.attempts[-1]
        answer = attempt.answer
        assert answer is not None
        self.heard_at = time.monotonic()
        attempt.received.add(data, self.heard_at)
        out = answer.feed(data, data)
        if out:
            yield from self.write(out)
        if answer.failure is not None and answer.done:
            yield from self.forward(attempt, b"", False)

    def hear(self, event: events.Event) -> Commands:
        """The beginning of an answer, its end, and all of one that is not a plain stream."""
        assert self.exchange is not None
        attempt = self.exchange.attempts[-1]
        if isinstance(event, ResponseData):
            self.heard_at = time.monotonic()
            out = self.read(attempt, event.data)
            yield from self.forward(attempt, out, False)
        elif isinstance(event, ResponseEndOfMessage):
            assert attempt.answer is not None
            rest, self.packed = self.packed, b""
            yield from self.forward(attempt, attempt.answer.feed(b"", rest), True)

    def read(self, attempt: Attempt, raw: bytes) -> bytes:
        """One piece of the upstream's body, through the answer: what the client gets for it."""
        answer = attempt.answer
        assert answer is not None and self.exchange is not None
        plain = raw
        if self.inflate is not None:
            try:
                plain = self.inflate.feed(raw)
            except (ValueError, TooLarge) as error:
                what = "is too large" if isinstance(error, TooLarge) else f"is not of its content-encoding: {error}"
                return answer.broken(ApiError(502, "server", f"the upstream's answer {what}"))
            raw = self.packed + raw
            self.packed = b"" if plain else raw  # nothing to read yet: it goes on with the next piece
            raw = plain if self.early else raw  # the client was told of no encoding
            if not plain:
                return b""
        attempt.received.add(plain, self.heard_at)
        out = answer.feed(plain, raw)
        if answer.head is None and attempt.received.size > attempts.answer_limit(self.exchange):
            if answer.status >= 300:  # an error body of which we have seen enough
                return answer.feed(b"", b"")
            return answer.broken(ApiError(502, "server", "the upstream's answer is too large"))
        return out

    def forward(self, attempt: Attempt, out: bytes, ended: bool) -> Commands:
        """Pass on what the answer gave. `ended`: the upstream's message is over, its connection may be used again."""
        answer = attempt.answer
        assert answer is not None and self.exchange is not None
        if answer.error is not None:
            attempts.failed(self.exchange)
            if not ended:
                yield from self.give_up()
            yield from self.end_in_stream(answer.error) if self.early else self.retry()
            return
        head = answer.head
        if head is not None and not head.streamed:
            if not ended:
                yield from self.give_up()
            reply, ruled = replies.whole(self.exchange, head, out), self.exchange.ruled
            yield from self.deliver(reply) if ruled is None else self.review(self.exchange, ruled, reply)
            return
        if head is not None and not self.begun and not (yield from self.begin(self.stream_head(head))):
            return
        self.early = self.early and head is None
        if out:
            yield from self.write(out)
        if ended or (answer.failure is not None and answer.done):
            if not ended:
                yield from self.give_up()
            yield from self.finish()

    def retry(self) -> Commands:
        """Go on with the next attempt, but not from within the end of the last one: its connection is not free yet."""
        self.inflate, self.packed = None, b""
        yield from self.wait(0)

    def wait(self, seconds: float) -> Commands:
        self.server_state = self.state_waiting
        yield from self.wait_until(time.monotonic() + seconds)

    # ------------------------------------------------------------------------------------------ time

    def arm(self) -> Commands:
        """Set the next deadline: the upstream's silence, the whole time, or a keep-alive."""
        out, exchange = self.outgoing, self.exchange
        if not self.answering:
            yield from self.wait_until(self.until)
            return
        assert out is not None and exchange is not None
        silence = out.idle_timeout if exchange.attempts[-1].received.size else out.first_byte_timeout
        deadlines = [self.heard_at + silence] if silence else []
        if out.total_timeout:
            deadlines.append(self.attempt_at + out.total_timeout)
        if deadlines := [*deadlines, *self.alive_at()]:
            yield from self.parent.arm(self.stream_id, min(deadlines))

    def on_tick(self) -> Commands:
        if self.server_state == self.state_waiting:
            if self.waits_on():
                yield from self.still_waiting()
                return
            yield from self.try_next() if self.unheard is None else self.send_again(self.unheard)
            return
        out, exchange = self.outgoing, self.exchange
        if exchange is None or out is None or not self.answering:
            return
        now = time.monotonic() + 0.005
        if self.held:
            self.stand_still(now)
        if self.begun and (self.crowded or self.link.lags(self.context.client)):
            # The upstream has to wait for it, and is not silent.
            self.heard_at = self.sent_at = now
        attempt = exchange.attempts[-1]
        began = bool(attempt.received.size)
        silence = out.idle_timeout if began else out.first_byte_timeout
        if silence and now >= self.heard_at + silence:
            what = "fell silent" if began else "did not answer"
            yield from self.broke(ApiError(504, "timeout", f"the upstream {what} for {silence:g} seconds"))
        elif out.total_timeout and now >= self.attempt_at + out.total_timeout:
            yield from self.broke(
                ApiError(504, "timeout", f"the upstream was not done within {out.total_timeout:g} seconds")
            )
        else:
            yield from self.stay_alive(now)
            yield from self.arm()

    # ------------------------------------------------------------------------------------------ trouble

    def broke(self, error: ApiError) -> Commands:
        """The upstream's answer will not go on."""
        assert self.exchange is not None
        attempt = self.exchange.attempts[-1]
        yield from self.give_up()
        if attempt.answer is None:
            attempts.failed(self.exchange, error)
            yield from self.end_in_stream(error) if self.early else self.retry()
        else:
            yield from self.forward(attempt, attempt.answer.broken(error), False)

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> Commands:
        if isinstance(event, ResponseProtocolError) and self.answering and self.exchange is not None:
            if self.held:
                yield from self.keep(event)
                return
            if self.reused and self.server_state == self.state_answer_head:
                self.unheard = self.outgoing
                yield from self.give_up()
                yield from self.wait(0)
            else:
                yield from self.broke(attempts.disconnected(self.exchange))
            return
        self.parent.disarm(self.stream_id)
        if self.held:  # the client is gone: nothing is left to wait for
            self.let_go()
            self.flow.resume()
        if isinstance(event, RequestProtocolError) and self.exchange is not None:
            self.link.cancelled(self.flow, self.exchange)
        if self.server_state == self.state_waiting:  # no upstream to tell
            self.client_state = self.server_state = self.state_errored
            self.flow.error = Error(event.message)
            yield HttpErrorHook(self.flow)
            self.flow.live = False
            yield DropStream(self.stream_id)
            return
        yield from super().handle_protocol_error(event)
