"""Bytes of either side back into neutral values. What cannot be read is `Unreadable`, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from addons.views.record import Attempt, Received, Record, Shown
from translators import CODECS
from translators.answer import looks_streamed
from translators.body import WRONG
from translators.codec import Codec, Seed, Wire
from translators.embed import Embeddings, EmbedRequest
from translators.events import Fold
from translators.model import BadRequest, Request, Response, UpstreamFault
from translators.tokens import Count

SEED = Seed("", 0)
_ANSWERS = ("generate", "compact", "stored")  # the purposes whose answer is a conversation's


class Unreadable(ValueError):
    """Says why."""


def codec_of(protocol: str) -> Codec:
    if protocol not in CODECS:
        raise Unreadable(f"the protocol {protocol!r} is not known")
    return CODECS[protocol]


def asked(protocol: str, purpose: str, path: str, body: bytes) -> Request | EmbedRequest:
    """What a request asks for: the client's, or the one that was sent upstream. Raises `Unreadable`."""
    codec = codec_of(protocol)
    if purpose not in codec.SERVICES and purpose not in ("generate", "compact"):
        raise Unreadable("this request asks no model")
    parse = codec.SERVICES.get(purpose, codec).parse_request
    try:
        return parse(Wire(path, body))  # type: ignore[no-any-return]
    except (BadRequest, *WRONG) as error:
        raise Unreadable(str(error)) from None


def asked_by_client(shown: Shown) -> Request | EmbedRequest:
    client = shown.record.client
    return asked(client.protocol, client.purpose, shown.path, shown.request.body)


def asked_of(attempt: Attempt, purpose: str) -> Request | EmbedRequest:
    """What the upstream was asked. Raises `Unreadable`."""
    sent = attempt.request
    if sent is None:
        raise Unreadable("nothing was sent")
    if sent.size > len(sent.body):
        raise Unreadable(f"only the first {len(sent.body)} of {sent.size} bytes were kept")
    path = "/" + sent.url.partition("://")[2].partition("/")[2]
    return asked(attempt.protocol, purpose, path[max(0, path.find("/models/")) :], sent.body)


class Answer:
    """An answer so far, from one side's bytes."""

    def __init__(self, value: Response | Count | Embeddings, running: bool = False, error: str = "") -> None:
        self.value, self.running, self.error = value, running, error


def answered(protocol: str, purpose: str, kind: str, status: int, body: bytes) -> Answer:
    """`kind`: its content type. Raises `Unreadable`."""
    codec = codec_of(protocol)
    service: Any = codec.SERVICES.get(purpose)
    if status >= 300:
        raise Unreadable("an error")
    try:
        if service is not None:
            return Answer(service.parse_response(body))
        if purpose not in _ANSWERS:
            raise Unreadable("no answer of a model")
        if looks_streamed(codec.STREAM, kind, body):
            return _folded(codec, body)
        return Answer(codec.parse_response(body, SEED))
    except (UpstreamFault, *WRONG) as error:
        raise Unreadable(str(error)) from None


def _folded(codec: Codec, body: bytes) -> Answer:
    fold = Fold()
    for event in codec.decoder(SEED).feed(body):
        fold.add(event)
    error = "" if fold.failure is None else f"{fold.failure.kind}: {fold.failure.message}"
    return Answer(fold.response, fold.finish is None and fold.failure is None, error)


def answer_of(record: Record) -> Answer:
    """What the upstream said last. Raises `Unreadable`."""
    attempt = record.attempt
    if attempt is None or attempt.response is None:
        raise Unreadable("no answer yet")
    response = attempt.response
    return answered(attempt.protocol, record.client.purpose, content_type(response), response.status, response.body)


def content_type(response: Received) -> str:
    return header(response.headers, "content-type")


def header(headers: Sequence[tuple[str, str]], name: str) -> str:
    return next((value for key, value in headers if key.lower() == name), "")
