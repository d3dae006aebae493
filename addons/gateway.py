"""Our HTTP layer inside mitmproxy: it makes our streams, keeps their deadlines, and forgets what was given up.

mitmproxy's own stream sends `flow.request` to one server. Ours (`http_stream.LinkStream`) leaves `flow.request` what
the client said, and sends requests of its own, one attempt after the other.

Timers: mitmproxy's wake-ups cannot be cancelled, so each connection keeps one table of deadlines and few wake-ups.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

import h2.events
from mitmproxy import http
from mitmproxy.connection import Connection, ConnectionState, Server
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers.http import (
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpLayer,
    HTTPMode,
    HttpStream,
    ReceiveHttp,
    RegisterHttpConnection,
    RequestEndOfMessage,
    RequestHeaders,
    ResponseData,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._http1 import Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Server
from mitmproxy.proxy.tunnel import TunnelLayer

from addons import egress
from addons.holding import Nudge, killed
from addons.http_stream import Commands, LinkStream, Tick
from addons.waiting import Beside

if TYPE_CHECKING:
    from addons.catalog import Provider
    from addons.chat_socket import ChatSocket
    from addons.link import Link

_RARE = (events.Wakeup, events.Start, events.ConnectionClosed, Nudge)
HELD = 1 << 19  # bytes of an answer over HTTP/2 that wait for room at the client, before its upstream waits too
HEAD_LIMIT = 1 << 20  # bytes of a request head
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]*(?: |$)")
_END = re.compile(rb"\n\r?\n")  # of a head
_UNSAFE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|\n[ \t]")


class LinkServer(Http1Server):
    """The client's side of HTTP/1: bytes that are no HTTP get a plain 400 at once, and heads have a limit.

    What mitmproxy says of a bad head quotes it, in its log and in a page of HTML, and there may be a key in it. A head
    with a control character or a folded line is refused: some upstreams read a second field there."""

    _chunked = False  # the answer that goes out
    socket: ChatSocket | None = None  # what the connection was upgraded to

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        if isinstance(event, events.DataReceived):
            held = bytes(self.buf._data[:HEAD_LIMIT])  # h11's buffer offers no other way to look without taking
            if not _METHOD.match(held[:64].lstrip(b"\r\n")):
                yield from self._refuse(400, "this is no HTTP request")
                return
            end = _END.search(held)
            if end is None and len(self.buf) > HEAD_LIMIT:
                yield from self._refuse(431, "the request head is too large")
                return
            if end is not None and _UNSAFE.search(held, 0, end.end()):
                yield from self._refuse(400, "the request head holds a control character or a folded line")
                return
        for command in super().read_headers(event):
            if isinstance(command, commands.SendData):
                command = commands.SendData(self.conn, _plain(400, "the request head is no valid HTTP"))
            if not isinstance(command, commands.Log):
                yield command

    def read_body(self, event: events.Event) -> Commands:
        try:
            yield from super().read_body(event)
        except NotImplementedError:  # mitmproxy's word for fields after the last chunk, which nobody needs
            yield ReceiveHttp(RequestEndOfMessage(self.stream_id))
            yield from self.mark_done(request=True)

    def _handle_event(self, event: events.Event) -> Commands:
        if self.socket is not None and isinstance(event, events.Wakeup):
            return self.socket.go_on()
        return super()._handle_event(event)

    def send(self, event: HttpEvent) -> Commands:
        if self.socket is not None and event.stream_id != self.stream_id:
            return self.socket.answered(event)
        if isinstance(event, ResponseData):  # the way of every token
            return self._send_piece(event.data)
        return self._break_off(event) if isinstance(event, ResponseProtocolError) else self._send(event)

    def _send(self, event: HttpEvent) -> Commands:
        """All that is rare."""
        if isinstance(event, ResponseHeaders):
            self._chunked = "chunked" in event.response.headers.get("transfer-encoding", "").lower()
        yield from super().send(event)

    def _send_piece(self, data: bytes) -> Commands:
        yield commands.SendData(self.conn, b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def _break_off(self, event: ResponseProtocolError) -> Commands:
        if not self.conn.state & ConnectionState.CAN_WRITE:  # closed already; a second time would undo the first
            return
        status = event.code.http_status_code()
        if self.response is None and status is not None:
            yield commands.SendData(self.conn, _plain(status, event.message))
        yield commands.CloseConnection(self.conn)

    def _refuse(self, status: int, message: str) -> Commands:
        yield commands.SendData(self.conn, _plain(status, message))
        yield commands.CloseConnection(self.conn)
        self.state = self.done


class LinkServer2(Http2Server):
    """The client's side of HTTP/2, which lets us see the head of a request before its stream is made."""

    request: http.Request | None = None

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.relief: dict[int, Callable[[], None]] = {}  # by stream: what to do once its client has read on

    def held(self, stream_id: int) -> int:
        """Bytes of an answer for which the client has given no room."""
        return sum(len(piece.data) for piece in self.h2_conn.stream_buffers.get(stream_id, ()))

    def _handle_event(self, event: events.Event) -> Commands:
        yield from super()._handle_event(event)
        if self.relief and isinstance(event, events.DataReceived):
            for stream_id in [one for one in self.relief if self.held(one) < HELD // 2]:
                self.relief.pop(stream_id)()

    def handle_h2_event(self, event: h2.events.Event) -> Generator[commands.Command, Any, bool]:
        inner = super().handle_h2_event(event)
        reply = None
        while True:
            try:
                command = inner.send(reply)
            except StopIteration as over:
                return bool(over.value)
            if isinstance(command, ReceiveHttp) and isinstance(command.event, RequestHeaders):
                self.request = command.event.request
            reply = yield command


def _plain(status: int, message: str) -> bytes:
    headers = {"content-type": "text/plain; charset=utf-8", "connection": "close"}
    return http1.assemble_response(http.Response.make(status, message.encode() + b"\n", headers))


class Joined:
    """A layer under an upstream's connection, of which the pieces of an answer that one read brought come as one: what
    mitmproxy does with a piece costs the same however short that is."""

    def __init__(self, inner: Layer) -> None:
        self._inner = inner

    def handle_event(self, event: events.Event) -> Commands:
        held: list[ResponseData] = []
        for command in self._inner.handle_event(event):
            piece = command.event if isinstance(command, ReceiveHttp) else None
            if held and (not isinstance(piece, ResponseData) or piece.stream_id != held[0].stream_id):
                yield _receive(held)
                held = []
            if isinstance(piece, ResponseData):
                held.append(piece)
            else:
                yield command
        if held:
            yield _receive(held)


def _receive(pieces: list[ResponseData]) -> ReceiveHttp:
    first = pieces[0]
    if len(pieces) > 1:
        first = ResponseData(first.stream_id, b"".join(piece.data for piece in pieces))
    return ReceiveHttp(first)


class LinkLayer(HttpLayer):
    """mitmproxy's HTTP layer with our streams, deadlines, and connections that were given up.

    `provider`: whose host the client believes to talk to; requests that are for it alone get mitmproxy's own stream."""

    def __init__(self, context: Context, mode: HTTPMode, link: Link, provider: Provider | None = None) -> None:
        super().__init__(context, mode)
        self.link, self.provider = link, provider
        self._deadlines: dict[int, float] = {}
        self._wakeups: dict[commands.RequestWakeup, float] = {}
        self._connecting: dict[int, Connection] = {}
        self._abandoned: set[Connection] = set()
        self._ended: list[Connection] = []  # of which no more news will come

    def _handle_event(self, event: events.Event) -> Commands:
        if self._abandoned or isinstance(event, _RARE):
            return self._handle_special(event)
        return super()._handle_event(event)  # no generator of ours around the hot path

    def _handle_special(self, event: events.Event) -> Commands:
        client = self.context.client
        if isinstance(event, events.Start) and client.alpn not in (b"h2", b"h3"):
            self.connections.setdefault(client, LinkServer(self.context.fork()))
        elif isinstance(event, events.Start) and client.alpn == b"h2":
            self.connections.setdefault(client, LinkServer2(self.context.fork()))
        if isinstance(event, events.Wakeup) and event.command in self._wakeups:
            del self._wakeups[event.command]
            self.command_sources.pop(event.command, None)
            yield from self._tick()
        elif isinstance(event, Nudge):
            yield from self._nudged(event)
        elif isinstance(event, events.ConnectionEvent) and event.connection in self._abandoned:
            if isinstance(event, events.ConnectionClosed):
                self._abandoned.discard(event.connection)
                self.connections.pop(event.connection, None)
        else:
            yield from super()._handle_event(event)
            if isinstance(event, events.ConnectionClosed) and isinstance(event.connection, Server):
                self._ended.append(event.connection)

    def event_to_child(self, child: Any, event: events.Event) -> Commands:
        if type(event) is events.DataReceived and event.connection is not self.context.client:
            child = Joined(child)
        return super().event_to_child(child, event)

    def make_stream(self, stream_id: int) -> Commands:
        kind = HttpStream if self._for_the_host() else partial(LinkStream, parent=self)
        self.streams[stream_id] = kind(self.context.fork(), stream_id)
        yield from self.event_to_child(self.streams[stream_id], events.Start())

    def _for_the_host(self) -> bool:
        """Whether the request whose head has come passes as it is."""
        server = self.connections[self.context.client]
        if self.provider is None or not isinstance(server, LinkServer | LinkServer2) or server.request is None:
            return False
        return self.link.intercepting.surface(self.provider, server.request) is None

    @property
    def server(self) -> LinkServer:
        """The client's side of HTTP/1."""
        server = self.connections[self.context.client]
        assert isinstance(server, LinkServer)
        return server

    def crowded(self, stream_id: int, relief: Callable[[], None]) -> bool:
        """Whether a client of HTTP/2 reads too slowly; `relief` is called once it has read on."""
        server = self.connections[self.context.client]
        if not isinstance(server, LinkServer2) or server.held(stream_id) < HELD:
            return False
        server.relief[stream_id] = relief
        return True

    # ---- deadlines

    def arm(self, stream_id: int, deadline: float) -> Commands:
        """Wake the stream at `deadline` (monotonic seconds); a later call replaces it."""
        self._deadlines[stream_id] = deadline
        if not self._wakeups or deadline < min(self._wakeups.values()) - 0.01:
            wakeup = commands.RequestWakeup(max(0.0, deadline - time.monotonic()))
            self._wakeups[wakeup] = deadline
            yield wakeup

    def disarm(self, stream_id: int) -> None:
        self._deadlines.pop(stream_id, None)
        self._connecting.pop(stream_id, None)

    def _tick(self) -> Commands:
        now = time.monotonic()
        for stream_id in [i for i, at in self._deadlines.items() if at <= now + 0.005]:
            del self._deadlines[stream_id]
            connection, stream = self._connecting.get(stream_id), self.streams.get(stream_id)
            if connection is None:
                if stream is not None:
                    yield from self.event_to_child(stream, Tick())
            elif isinstance(stream, LinkStream) and stream.waits_on():  # its stream waits for the connection
                yield from self.event_to_child(Beside(stream.guarded(stream.still_waiting())), Tick())
            else:
                del self._connecting[stream_id]
                yield from self._not_connected(connection)
        if self._deadlines:
            earliest = min(self._deadlines.items(), key=lambda item: item[1])
            yield from self.arm(*earliest)

    def _nudged(self, event: Nudge) -> Commands:
        for stream_id, stream in [*self.streams.items()]:
            flow = getattr(stream, "flow", None)  # none before its head is there
            if flow is None or flow.id != event.flow:
                continue
            connection = self._connecting.pop(stream_id, None) if killed(flow) else None
            if connection is not None:
                yield from self._not_connected(connection)
            else:
                yield from self.event_to_child(stream, event)

    # ---- connections

    def _not_connected(self, connection: Connection) -> Commands:
        """Let those who wait for a connection know that it takes too long. mitmproxy may never say so: where the peer
        resets a connection at once, the task that makes it dies of an assertion."""
        waiting = self.waiting_for_establishment.pop(connection, [])
        outer = self.outer(connection)
        self.connections.pop(connection, None)
        self._abandoned.add(outer)
        yield commands.CloseConnection(outer)
        for command in waiting:
            stream = self.command_sources.pop(command)
            yield from self.event_to_child(stream, GetHttpConnectionCompleted(command, (None, "timed out")))

    def register_connection(self, command: RegisterHttpConnection) -> Commands:
        if command.connection in self.waiting_for_establishment:  # else it was given up before it was made
            yield from super().register_connection(command)

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> Commands:
        """Also note which connection the stream waits for, so that its deadline can end the wait."""
        self._forget()
        stream = self.command_sources.get(event)
        if event.via and event.via[0] == egress.VIA and not (reuse and self._has(event)):
            yield from self._through_socks(event)
        else:
            yield from super().get_connection(event, reuse=reuse)
        if isinstance(stream, LinkStream):
            for connection, waiting in self.waiting_for_establishment.items():
                if event in waiting:
                    self._connecting[stream.stream_id] = connection

    def _has(self, event: GetHttpConnection) -> bool:
        """Whether mitmproxy finds a connection to use, or to wait for."""
        multiplexed = self.context.client.alpn == b"h2"
        return any(
            event.connection_spec_matches(one)
            and (
                one in self.waiting_for_establishment
                or one.error
                or (one.connected and (one.alpn == b"h2" or not multiplexed))
            )
            for one in self.connections
        )

    def _through_socks(self, event: GetHttpConnection) -> Commands:
        context = self.context.fork()
        stack = egress.stack_for(context, event)
        self.connections[context.server] = stack[0]
        self.waiting_for_establishment[context.server].append(event)
        yield from self.event_to_child(stack[0], events.Start())

    def _forget(self) -> None:
        """Let go of connections that are over. mitmproxy keeps them as long as the client's, and answers for one that
        could not be made that it cannot be made, without trying again."""
        for connection in self.connections:
            if isinstance(connection, Server) and connection.error and connection not in self.waiting_for_establishment:
                connection.error = None
                if connection.timestamp_tcp_setup is None:  # it never was one
                    self._ended.append(connection)
        used = [stream.context.server for stream in self.streams.values()]
        for connection in self._ended:
            if not any(connection is one for one in used):
                self.connections.pop(connection, None)
        self._ended = [connection for connection in self._ended if connection in self.connections]

    def abandon(self, connection: Connection) -> Commands:
        """Give up a connection whose answer is not wanted any more; what it still says is dropped."""
        outer = self.outer(connection)
        if outer is not connection:  # nobody tells us of its end
            self.connections.pop(connection, None)
        self._abandoned.add(outer)  # also where it is closing: the news of that may still be on its way
        if outer.state is not ConnectionState.CLOSED:
            yield commands.CloseConnection(outer)

    def outer(self, connection: Connection) -> Connection:
        """The connection to the egress proxy that this one leads through, or itself."""
        first = self.connections.get(connection)
        return first.tunnel_connection if isinstance(first, TunnelLayer) else connection
