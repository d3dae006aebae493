"""What goes to the client: the head of a stream and its pieces, an answer in one piece, keep-alives, the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mitmproxy.http import Response
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpResponseHeadersHook, ResponseData, ResponseHeaders, SendHttp

from addons import attempts, cors, messages, replies
from addons.credentials import MASK
from addons.exchange import Exchange, Reply
from addons.intake import Commands, Intake, Verdict
from addons.ruleset import Ruled
from translators.heads import Head
from translators.model import ApiError

if TYPE_CHECKING:
    from addons.gateway import LinkLayer


class Outlet(Intake):
    """The client's side of an exchange, once its request is whole."""

    def __init__(self, context: Context, stream_id: int, parent: LinkLayer) -> None:
        super().__init__(context, stream_id, parent)
        self.exchange: Exchange | None = None
        self.begun = False  # the head of the answer went to the client
        self.secrets: tuple[bytes, ...] = ()  # that a stream must not repeat
        self.multiplexed = context.client.alpn == b"h2"
        self.upgraded = False  # to the chat WebSocket
        self.early = False  # it did before the upstream said anything
        self.heard_at = 0.0  # when the upstream last said something, monotonic
        self.sent_at = 0.0  # when the client last got something

    def arm(self) -> Commands:
        """Set the next deadline."""
        raise NotImplementedError

    def give_up(self) -> Commands:
        """End an attempt that is still in flight."""
        raise NotImplementedError

    def begins(self) -> None:
        """The head of a stream went out."""
        raise NotImplementedError

    def mind(self, size: int) -> None:
        """So many bytes went to a client of HTTP/2, which may not take them."""
        raise NotImplementedError

    def stream_head(self, head: Head) -> Response:
        assert self.exchange is not None
        return replies.stream_head(self.exchange, head, self.flow.request.http_version)

    def begin(self, response: Response) -> Verdict:
        """Send the head of a streamed answer."""
        self.flow.response = response
        self.share(response)
        if (yield from self.show_headers()):
            self.parent.disarm(self.stream_id)
            yield from self.give_up()
            return False
        self.begun = True
        assert self.exchange is not None
        self.secrets = attempts.long_secrets(self.exchange)
        yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response, False), self.context.client)
        self.sent_at = time.monotonic()
        yield from self.arm()
        self.begins()
        return True

    def begin_early(self) -> Commands:
        """Nothing came yet: show the client that we live. From now on errors are in the stream, with no retry."""
        assert self.exchange is not None
        self.early = True
        if (yield from self.begin(self.stream_head(replies.early_head(self.exchange)))):
            yield from self.ping()

    def ping(self) -> Commands:
        assert self.exchange is not None
        answer = self.exchange.attempts[-1].answer
        alive = self.exchange.codec.keep_alive() if answer is None or self.early else answer.keep_alive()
        self.sent_at = time.monotonic()
        if alive:
            self.exchange.sent.kept_alive(self.sent_at)
            yield SendHttp(ResponseData(self.stream_id, alive), self.context.client)

    def end_in_stream(self, error: ApiError) -> Commands:
        """An error after an early head."""
        assert self.exchange is not None
        yield from self.write(replies.stream_error(self.exchange, error))
        yield from self.finish()

    def write(self, out: bytes) -> Commands:
        assert self.exchange is not None
        self.sent_at = self.heard_at
        for secret in self.secrets:
            if secret in out:  # an upstream that repeats our key, in an error most likely
                out = out.replace(secret, MASK)
        self.exchange.sent.add(out, self.sent_at)
        yield SendHttp(ResponseData(self.stream_id, out), self.context.client)
        if self.multiplexed:
            self.mind(len(out))
        if self.exchange.watched:
            self.link.show_soon(self.flow, self.exchange)

    def finish(self) -> Commands:
        """The end of a streamed answer."""
        assert self.exchange is not None
        self.parent.disarm(self.stream_id)
        self.server_state = self.state_done
        if self.exchange.ruled is not None:
            yield from self.review_stream(self.exchange, self.exchange.ruled)
        self.link.close(self.flow, self.exchange)
        yield from self.send_response(already_streamed=True)

    def review_stream(self, exchange: Exchange, ruled: Ruled) -> Commands:
        """Show a streamed answer to the rules."""
        raise NotImplementedError

    def deliver(self, reply: Reply) -> Commands:
        """Send an answer in one piece."""
        self.parent.disarm(self.stream_id)
        self.server_state = self.state_done
        length = ((b"content-length", str(len(reply.body)).encode()),) if reply.status != 101 else ()
        body = reply.body if self.flow.request.method != "HEAD" else b""  # else it would be read as the next answer
        response = messages.response(reply.status, reply.headers, body, length)
        self.upgraded = reply.status == 101
        self.flow.response = response
        self.share(response)
        if self.exchange is not None:
            self.exchange.sent.add(body, time.monotonic())
            self.link.close(self.flow, self.exchange)
        if not (yield from self.show_headers()):
            yield from self.send_response()

    def share(self, response: Response) -> None:
        """Let the web page that asks read the answer, where it may."""
        origin = self.flow.request.headers.get("origin")
        if origin is not None:
            response.headers.update(cors.answer_headers(origin, self.link.settings))

    def show_headers(self) -> Verdict:
        """mitmproxy's `responseheaders` hook. The verdict: whether the flow was killed."""
        hook = HttpResponseHeadersHook(self.flow)
        if self.told(hook):
            return False
        yield hook
        return (yield from self.check_killed(True))
