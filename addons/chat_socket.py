"""The chat WebSocket: each message is a request of its own, with a flow of its own, on the way that all requests take.

The upgraded stream hands us what the client says, and we put requests into the HTTP layer beside it as if they had
come on the same connection; `gateway.LinkServer` hands us what is answered to those. One is in flight, a few wait.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import wsproto
from mitmproxy import http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers.http import (
    ErrorCode,
    ReceiveHttp,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.websocket import WebsocketEndHook
from wsproto.events import CloseConnection, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from addons import messages
from addons.chat_words import Answer, Asked, Refused, asked, refusal

if TYPE_CHECKING:
    from addons.intake import Commands

WAITING = 32  # messages that may wait for those before them
_LOST = "the answer broke off"


class ChatSocket(Layer):
    """`named`: header fields of the requests that we make; `key`: the one where a message has none, but may need one.
    `room`: bytes of messages that may be held."""

    def __init__(
        self,
        context: Context,
        flow: http.HTTPFlow,
        path: str,
        named: list[tuple[str, str]],
        key: list[tuple[str, str]],
        needs_key: bool,
        room: int,
    ) -> None:
        super().__init__(context)
        self._flow, self._path, self._needs_key, self._room = flow, path, needs_key, room
        self._named, self._key = [*named, ("content-type", "application/json")], key
        self._ws = wsproto.Connection(wsproto.ConnectionType.SERVER)
        self._message: list[bytes] = []  # that comes
        self._waiting: deque[bytes] = deque()
        self._held = 0  # bytes of both
        self._last = 1  # stream id
        self._answer: Answer | None = None  # to the request in flight
        self._busy = self._closed = False

    # ------------------------------------------------------------------------------------------ the client speaks

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.ConnectionClosed):
            yield from self._leave(CloseReason.ABNORMAL_CLOSURE, True)
        elif isinstance(event, events.DataReceived) and not self._closed:
            self._ws.receive_data(event.data)
            for said in self._ws.events():
                if self._closed:
                    return
                yield from self._hear(said)

    def _hear(self, said: wsproto.events.Event) -> Commands:
        if isinstance(said, Message):
            piece = said.data.encode() if isinstance(said, TextMessage) else bytes(said.data)
            self._held += len(piece)
            self._message.append(piece)
            if self._held > self._room or len(self._waiting) >= WAITING:
                large = self._held > self._room
                yield from self._close(CloseReason.MESSAGE_TOO_BIG if large else CloseReason.TRY_AGAIN_LATER)
            elif said.message_finished:
                self._waiting.append(b"".join(self._message))
                self._message.clear()
                yield from self.go_on()
        elif isinstance(said, Ping):
            yield self._send(said.response())
        elif isinstance(said, CloseConnection):
            if self._ws.state is wsproto.ConnectionState.REMOTE_CLOSING:
                yield self._send(said.response())
            elif self._ws.state is wsproto.ConnectionState.OPEN:  # it broke the rules
                yield self._send(said)
            yield from self._leave(said.code, True)

    def go_on(self) -> Commands:
        """The next message, until one is in flight."""
        while self._waiting and not self._busy and not self._closed:
            said = self._waiting.popleft()
            self._held -= len(said)
            try:
                wanted = asked(said, self._needs_key)
            except Refused as why:
                yield self._say(refusal(str(why)))
                continue
            self._busy, self._answer = True, None
            self._last += 2
            yield ReceiveHttp(RequestHeaders(self._last, self._request(wanted), False))
            yield ReceiveHttp(RequestData(self._last, wanted.body))
            yield ReceiveHttp(RequestEndOfMessage(self._last))

    def _request(self, wanted: Asked) -> http.Request:
        key = [("authorization", f"Bearer {wanted.key}")] if wanted.key else self._key
        named = [*self._named, *key, ("content-length", str(len(wanted.body)))]
        fields = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in named]
        return messages.request("http", "", 0, "POST", self._path, fields, None)

    # ------------------------------------------------------------------------------------------ we are answered

    def answered(self, event: HttpEvent) -> Commands:
        """What a request of ours got."""
        if event.stream_id != self._last or not self._busy or self._closed:
            return
        if isinstance(event, ResponseHeaders):
            self._answer = Answer(event.response.headers.get("content-type", ""))
        elif isinstance(event, ResponseData):
            assert self._answer is not None
            for said in self._answer.feed(event.data):
                yield self._say(said)
        elif isinstance(event, (ResponseEndOfMessage, ResponseProtocolError)):
            whole = isinstance(event, ResponseEndOfMessage)
            for said in (self._answer or Answer("")).end("" if whole else _LOST):
                yield self._say(said)
            self._busy = False
            if self._waiting:  # not from within the end of the last answer: its connection is not free yet
                yield commands.RequestWakeup(0)

    # ------------------------------------------------------------------------------------------ the end

    def _close(self, reason: CloseReason) -> Commands:
        yield self._send(CloseConnection(reason))
        yield from self._leave(reason, False)

    def _leave(self, code: int, by_client: bool) -> Commands:
        if self._closed:
            return
        self._closed = True
        self._waiting.clear()
        self._message.clear()
        if self._busy:
            gone = RequestProtocolError(self._last, "Client disconnected.", ErrorCode.CLIENT_DISCONNECTED)
            yield ReceiveHttp(gone)
        if (record := self._flow.websocket) is not None:
            record.timestamp_end, record.closed_by_client, record.close_code = time.time(), by_client, code
        yield commands.CloseConnection(self.context.client)
        self._flow.live = False
        yield WebsocketEndHook(self._flow)

    def _say(self, text: bytes) -> commands.SendData:
        return self._send(TextMessage(text.decode("utf-8", "replace")))

    def _send(self, event: wsproto.events.Event) -> commands.SendData:
        return commands.SendData(self.context.client, self._ws.send(event))
