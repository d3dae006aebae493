"""Requests to the control surface, on the wire. They never become flows that mitmproxy's addons see: they carry admin
and provider keys, which must not get into a saved file, and a dashboard that polls would push everything else out of
mitmweb."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mitmproxy.proxy import commands, events
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    HttpStream,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    ResponseData,
    ResponseHeaders,
    SendHttp,
)
from mitmproxy.proxy.mode_specs import ReverseMode

from addons import messages
from addons.control.door import BODY_LIMIT, Call
from addons.surfaces import is_control

if TYPE_CHECKING:
    from addons.gateway import LinkLayer

Commands = Generator[commands.Command, Any, None]


@dataclass
class LlmControlHook(StartHook):
    """A request to the control surface is whole; `link` answers it, while other streams go on."""

    call: Call


class ControlStream(HttpStream):
    """The part of a stream that leads a request to the control surface, where it asks for that."""

    taken: Any
    parent: LinkLayer

    def __init__(self, context: Context, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self.controls = False
        self._body = bytearray()

    def asks_control(self, event: RequestHeaders) -> bool:
        """Whether it is for the control surface, which stands on our own address only."""
        path = event.request.path
        return is_control(path) and isinstance(self.context.client.proxy_mode, ReverseMode)

    def to_control(self) -> None:
        """The head is there: go on here. `server_state`: a client that leaves is no error of an exchange."""
        if self.client_state == self.state_consume_request_body:
            self.client_state, self.server_state = self.state_control_body, self.state_done

    def state_control_body(self, event: events.Event) -> Commands:
        if isinstance(event, RequestData):
            self._body += event.data
            if len(self._body) > BODY_LIMIT:
                self.client_state = self.state_errored  # the rest is read and dropped, so that the client hears us
                yield from self._answer(None)
        elif isinstance(event, RequestEndOfMessage):
            self.client_state = self.state_done
            yield from self._answer(bytes(self._body))
            self._body.clear()

    def _answer(self, body: bytes | None) -> Commands:
        """`body`: None where it is more than we take."""
        client, request = self.context.client, self.flow.request
        peer = client.peername[0] if client.peername else ""
        call = Call(request.method, request.path, request.headers.fields, self.taken, peer, client.tls, body)
        yield LlmControlHook(call)
        if (yield from self.check_killed(False)):
            return
        reply = call.answer()
        length = (b"content-length", str(len(reply.body)).encode())
        body = b"" if request.method == "HEAD" else reply.body
        self.flow.response = messages.response(reply.status, reply.headers, body, (length,))
        yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response, not body), client)
        if body:
            yield SendHttp(ResponseData(self.stream_id, body), client)
        yield from self.flow_done()
