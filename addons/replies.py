"""What the client gets: heads of streams, answers in one piece, errors in its protocol's shape, and our own headers."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from mitmproxy import http

from addons import messages
from addons.exchange import Exchange, Reply
from translators.bridge import Bridge
from translators.codec import Codec, Seed
from translators.events import Failure, unfold
from translators.heads import Head
from translators.model import ApiError, BadRequest, Request, Response, Usage
from translators.policy import header as warnings_header
from translators.tokens import Count, estimate
from translators.whole import refused, written


class Local(msgspec.Struct, frozen=True):
    """An exchange without an upstream: who asks, and in what form."""

    client: Codec
    asked: Request
    seed: Seed
    stream: bool

    def as_asked(self) -> Request:
        return self.asked


INTERNAL = ApiError(502, "server", "LLM Link failed on this request; its log says why")
_NO_COUNT = frozenset((404, 405, 501))  # how an upstream says that it does not count tokens


def own_headers(exchange: Exchange) -> dict[str, str]:
    """The `x-llm-link-*` headers of the contract."""
    headers = {"x-llm-link-request-id": exchange.seed.id}
    sent = [attempt for attempt in exchange.attempts if attempt.outgoing is not None]
    if sent:
        headers["x-llm-link-upstream"] = sent[-1].target.address.encode("ascii", "replace").decode()
        headers["x-llm-link-attempts"] = str(len(sent))
    if warnings := warnings_header(exchange.warnings):
        headers["x-llm-link-warnings"] = warnings
    return headers


def early_head(exchange: Exchange) -> Head:
    """The head of a streamed answer of which the upstream has said nothing yet."""
    encoder = exchange.codec.encoder(Request(stream=True), exchange.seed)
    return Head(200, {"content-type": encoder.content_type, "cache-control": "no-cache"}, True)


def stream_error(exchange: Exchange, error: ApiError) -> bytes:
    """An error in a stream that had an early head."""
    exchange.error = error
    return exchange.codec.encoder(Request(stream=True), exchange.seed).encode(Failure(error))


def stream_head(exchange: Exchange, head: Head, http_version: str) -> http.Response:
    """The head of a streamed answer."""
    more = ((b"transfer-encoding", b"chunked"),) if http_version == "HTTP/1.1" else ()
    exchange.head_at, exchange.status, exchange.streaming = time.time(), head.status, True
    return messages.response(head.status, {**head.headers, **own_headers(exchange)}, None, more)


def whole(exchange: Exchange, head: Head, body: bytes) -> Reply:
    """An answer in one piece."""
    exchange.head_at, exchange.status = time.time(), head.status
    return Reply(head.status, {**head.headers, **own_headers(exchange)}, body)


def last_error(exchange: Exchange) -> Reply:
    """The answer where no attempt was good. The upstream's own bytes where it speaks the client's protocol."""
    attempt = exchange.attempt
    error = attempt.error if attempt is not None and attempt.error is not None else INTERNAL
    if cannot_count(exchange) or (exchange.surface.purpose == "count_tokens" and error.kind == "disconnected"):
        return _estimated(exchange)
    answer = attempt.answer if attempt is not None else None
    exchange.error = error
    if answer is not None and answer.reply is not None:
        status, headers, body = answer.reply
    elif attempt is not None and attempt.bridge is not None and (said := refused(attempt.bridge, error)) is not None:
        head, body = said
        status, headers = head.status, head.headers
    else:
        status, headers, body = exchange.codec.render_error(error)
        headers = {**headers, **(answer.limits if answer is not None else {})}
    exchange.status = status
    return Reply(status, {**headers, **own_headers(exchange)}, body)


def idle(exchange: Exchange, bridge: Bridge) -> Reply:
    """The empty answer to a request that asks for none."""
    answer = Response(reason="length" if bridge.as_asked().max_output == 0 else "end", usage=Usage())
    return whole(exchange, *written(bridge, unfold(answer), {}))


def local(exchange: Exchange, answer: Any) -> Reply:
    """The answer that a rule gave, with no upstream asked, in the form that the client wants."""
    service = exchange.codec.SERVICES.get(exchange.purpose)
    asked = exchange.question_codec.parse_request(exchange.wire)
    if service is not None:
        body = service.render_response(answer, asked, exchange.seed)
        return whole(exchange, Head(200, {"content-type": "application/json"}, False), body)
    if answer.usage is None:
        answer = msgspec.structs.replace(answer, usage=Usage())
    pair = Local(exchange.codec, asked, exchange.seed, exchange.streams)
    return whole(exchange, *written(pair, unfold(answer), {}))


def cannot_count(exchange: Exchange) -> bool:
    """Whether the last target was asked for the size of a prompt and has no way to say it. The next one is not asked
    then: an answer would not come from there."""
    attempt = exchange.attempt
    if exchange.surface.purpose != "count_tokens" or attempt is None or attempt.error is None:
        return False
    untranslatable = attempt.outgoing is None and attempt.error.kind == "unsupported"
    return untranslatable or attempt.error.status in _NO_COUNT


def refusal(exchange: Exchange, error: ApiError) -> Reply:
    """An error of ours, before any upstream was asked."""
    status, headers, body = exchange.codec.render_error(error)
    exchange.error, exchange.status = error, status
    return Reply(status, {**headers, **own_headers(exchange)}, body)


def _estimated(exchange: Exchange) -> Reply:
    """Tokens counted here, on the high side, where the upstream cannot."""
    counting = exchange.codec.SERVICES["count_tokens"]
    try:
        asked = exchange.rewritten or counting.parse_request(exchange.wire)
    except BadRequest as error:
        return refusal(exchange, error.error)
    exchange.error, exchange.status = None, 200
    headers = {
        "content-type": "application/json",
        **own_headers(exchange),
        "x-llm-link-warnings": "input_tokens=estimated",
    }
    return Reply(200, headers, counting.render_response(Count(estimate(asked)), asked, exchange.seed))
