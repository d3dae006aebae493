"""A streamed answer: events that are encoded anew, folded into one body, or read along while their bytes go through.

Its head is held back until the upstream has said something that is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeGuard

from .codec import Encoder
from .events import Event, Failure, Fold, PartDelta, Start
from .findings import Findings
from .framing import WholeFrames
from .heads import Head, relayed_headers, stream_head, whole_head
from .meter import Meter
from .model import ApiError, Request
from .policy import Loss
from .stream import StreamDecoder

_DELTAS = {PartDelta}


def only_deltas(events: Sequence[Event]) -> TypeGuard[Sequence[PartDelta]]:
    """Whether there is something, and nothing but text and arguments: nearly all that ever comes."""
    return {type(event) for event in events} == _DELTAS


class Streamed:
    """A stream of events: encoded anew, folded into one body, or passed on as it is while a decoder reads along."""

    def __init__(self, answer: Findings) -> None:
        self._answer = answer
        bridge = answer.bridge
        self._decoder: StreamDecoder = bridge.upstream.decoder(bridge.seed, bridge.traits)
        self._decoder.limit_frames(bridge.frame_limit)
        self._encoder: Encoder | None = None
        self._fold: Fold | None = None
        self._asked = Request(stream=True) if bridge.relay and bridge.stream else bridge.as_asked()
        self._held: list[bytes] = []
        if bridge.stream:
            self._encoder = bridge.client.encoder(self._asked, bridge.seed)
        else:
            self._fold = Fold()
        self._last = b""
        self._whole = WholeFrames(bridge.client.STREAM)
        self._meter = Meter()
        self._relays = bridge.relay and bridge.stream
        self._direct: Callable[[Event], bytes] | None = None  # the encoder, once the head is out and deltas pass plain
        self._take = None if bridge.relay else bridge.take
        self._heard = Fold() if bridge.heard else None  # for those who want the whole of what is streamed

    @property
    def losses(self) -> Sequence[Loss]:
        return self._decoder.losses

    def feed(self, data: bytes, raw: bytes) -> bytes:
        if self._relays:
            return self._relay(data, raw)
        events = self._decoder.feed(data)
        if self._direct is not None and only_deltas(events):  # the path of every token
            text = events[0].text if len(events) == 1 else "".join([delta.text for delta in events])
            self._meter.read(text)
            if self._take is not None:
                self._take(text)
            return b"".join(map(self._direct, events))
        return self._translate(events)

    def broken(self, error: ApiError) -> bytes:
        events = self._decoder.broken(error)
        answer = self._answer
        if answer.bridge.relay and self._encoder is not None:
            answer.watch(events)
            return self._relay_failure(events)
        return self._translate(events)

    def keep_alive(self) -> bytes:
        bridge = self._answer.bridge
        if bridge.relay and not self._last.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")):
            return b""  # in the middle of one of the upstream's events
        return bridge.client.keep_alive() if self._encoder is None or bridge.relay else self._encoder.keep_alive()

    # ---- the same protocol on both sides

    def _relay(self, data: bytes, raw: bytes) -> bytes:
        answer = self._answer
        events = self._decoder.feed(data)
        if self._heard is not None:
            self._hear(self._heard, events)
        if raw is data and data:  # compressed bytes have no frames to see
            raw = self._whole.feed(data)
        if data and answer.head is not None and only_deltas(events):
            self._last = raw or self._last
            return raw
        answer.watch(events)
        if answer.head is None:
            self._held.append(raw)
            if not events and data:
                return b""
            if self._begins_with_failure(events):
                return b""
            answer.head = Head(answer.status, relayed_headers(answer.headers), True)
            raw, self._held = b"".join(self._held), []
        if raw:
            self._last = raw
        failed = next((event for event in events if isinstance(event, Failure)), None)
        if failed is not None:
            answer.failure = failed.error
        if not data or self._whole.held > answer.bridge.frame_limit:
            answer.done = True
            if failed is not None and self._decoder.broke_off:  # say so, in the protocol's own form
                return raw + self._relay_failure(events)
            raw += self._whole.rest()
            if failed is not None:  # the upstream said so, in an event that was not closed
                self._last = raw or self._last
                return raw + self._closing()
        return raw

    def _relay_failure(self, events: Sequence[Event]) -> bytes:
        answer = self._answer
        answer.done = True
        failed = next((event for event in events if isinstance(event, Failure)), None)
        if failed is None:
            return b""
        if answer.head is None:
            answer.fail(failed.error)
            return b""
        answer.failure = failed.error
        assert self._encoder is not None
        return self._closing() + self._encoder.encode(Failure(failed.error, answer.start))

    def _closing(self) -> bytes:
        """What ends a half-sent event, so that the one after it can be read."""
        if self._answer.bridge.client.STREAM == "lines":  # where a blank line is an error
            return b"" if self._last.endswith(b"\n") else b"\n"
        return b"" if self._last.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) else b"\n\n"

    # ---- two protocols

    def _translate(self, events: Sequence[Event]) -> bytes:
        answer = self._answer
        if not events:
            return b""
        answer.watch(events)
        if answer.head is None and self._begins_with_failure(events):
            return b""
        if self._decoder.crash is not None:
            answer.crash = self._decoder.crash
        self._meter.add(events)
        events = answer.counted(events, self._meter)
        if not answer.bridge.relay:
            events = answer.bridge.transform(events)
        if self._fold is not None:
            return self._folded(self._fold, events)
        assert self._encoder is not None
        if self._heard is not None:
            self._hear(self._heard, events)
        if answer.head is None:
            answer.head = stream_head(self._encoder.content_type, answer.limits)
            self._direct = self._encoder.encode if answer.bridge.plain_deltas else None
        end = events[-1] if events else None
        if type(end) is Failure:
            answer.failure = end.error
        answer.done = self._decoder.done
        encode = self._encoder.encode
        return encode(events[0]) if len(events) == 1 else b"".join([encode(event) for event in events])

    def _folded(self, fold: Fold, events: Sequence[Event]) -> bytes:
        answer = self._answer
        for event in events:
            fold.add(event)
        if fold.failure is not None:
            answer.fail(fold.failure)
            return b""
        if fold.finish is None:
            return b""
        answer.done = True
        answer.response = fold.response if answer.bridge.heard else None
        answer.head = whole_head(answer.limits)
        return answer.bridge.client.render_response(fold.response, self._asked, answer.bridge.seed)

    def _hear(self, heard: Fold, events: Sequence[Event]) -> None:
        for event in events:
            heard.add(event)
        if heard.finish is not None:
            self._answer.response = heard.response

    def _begins_with_failure(self, events: Sequence[Event]) -> bool:
        """Nothing went out yet, and the first thing that the upstream says is that it failed."""
        first = next((event for event in events if not isinstance(event, Start)), None)
        if self._decoder.crash is not None:
            self._answer.crash = self._decoder.crash
        if not isinstance(first, Failure):
            return False
        self._answer.fail(first.error)
        return True
