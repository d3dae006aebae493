"""An answer in one piece: the upstream's, read to its end before anything is said of it, or one of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .body import WRONG, is_json
from .events import Event, Failure, fold, unfold
from .findings import Asking, Findings, Pair
from .heads import Head, relayed_headers, stream_head, unreadable, whole_head
from .meter import Meter
from .model import ApiError, Response, UpstreamFault


class Whole:
    """A body that is read to its end before anything can be said of it: an error, or an answer in one piece."""

    def __init__(self, answer: Findings) -> None:
        self._answer = answer
        self._pieces: list[bytes] = []
        self._raw: list[bytes] = []

    def feed(self, data: bytes, raw: bytes) -> bytes:
        if data or raw:
            self._pieces.append(data)
            if raw is not data:
                self._raw.append(raw)
            return b""
        body = b"".join(self._pieces)
        return self._read(body) if 200 <= self._answer.status < 300 else self._error(body)

    def _read(self, body: bytes) -> bytes:
        answer = self._answer
        try:
            response = answer.bridge.upstream.parse_response(body, answer.bridge.seed, answer.bridge.traits)
        except UpstreamFault as fault:
            answer.fail(fault.error)
            return b""
        except WRONG:
            return self._unread(body)
        return self._deliver(response, body)

    def _unread(self, body: bytes) -> bytes:
        """No answer of its protocol: where the client speaks the same one, it may know better."""
        answer = self._answer
        if answer.bridge.relay and not answer.bridge.stream and is_json(body):
            return self._pass(body)
        answer.fail(unreadable(answer.headers, body))
        return b""

    def _pass(self, body: bytes) -> bytes:
        """The upstream's own bytes."""
        answer = self._answer
        answer.done = True
        answer.head = Head(answer.status, relayed_headers(answer.headers), False)
        return b"".join(self._raw) or body

    def _deliver(self, response: Response, body: bytes) -> bytes:
        answer, bridge = self._answer, self._answer.bridge
        events: Sequence[Event] = unfold(response)
        answer.watch(events)
        if bridge.relay and not bridge.stream:
            answer.response = response if bridge.heard else None
            return self._pass(body)
        answer.done = True
        meter = Meter()
        meter.add(events)
        events = answer.counted(events, meter)
        if not bridge.relay:  # else a stream was asked for, and one body came
            events = bridge.transform(events)
            if type(last := events[-1]) is Failure:  # a transform found that it is none
                answer.fail(last.error)
                return b""
        answer.response = fold(events) if bridge.heard else None
        answer.head, out = written(bridge, events, answer.limits)
        return out

    def _error(self, body: bytes) -> bytes:
        answer, bridge = self._answer, self._answer.bridge
        error = bridge.upstream.parse_error(answer.status, answer.headers, body)
        if 300 <= answer.status < 400:  # followed nowhere: the key would go along
            message = f"the upstream redirects to another address (status {answer.status}), which is not followed"
            error = ApiError(502, "server", message)
        if bridge.same and answer.status >= 400 and is_json(body):
            raw = b"".join(self._raw) or body
            answer.reply = (answer.status, relayed_headers(answer.headers), raw)
        answer.fail(error)
        return b""

    def broken(self, error: ApiError) -> bytes:
        self._answer.fail(error)
        return b""

    def keep_alive(self) -> bytes:
        return b""


def refused(bridge: Pair, error: ApiError) -> tuple[Head, bytes] | None:
    """An answer in the place of an error, for protocols whose models refuse in answers."""
    response = None if bridge.same or error.kind != "refused" else bridge.client.refusal(error)
    return None if response is None else written(bridge, unfold(response), {})


def written(bridge: Asking, events: Sequence[Event], headers: Mapping[str, str]) -> tuple[Head, bytes]:
    """A whole answer for the client, in the form that it asked for."""
    asked = bridge.as_asked()
    if bridge.stream:
        encoder = bridge.client.encoder(asked, bridge.seed)
        return stream_head(encoder.content_type, headers), b"".join([encoder.encode(event) for event in events])
    return whole_head(headers), bridge.client.render_response(fold(events), asked, bridge.seed)
