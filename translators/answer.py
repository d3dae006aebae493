"""What an upstream answers, on its way to the client.

An answer holds its head back until the upstream has said something that is no error, so that a failed attempt can
still become another one, or a real HTTP status. How it is read is decided by its first bytes, not by its labels: a body
in one piece, or a stream of events; with the same protocol on both sides the bytes go on as they are and a decoder
reads along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, TypeGuard

from .body import WRONG, is_json
from .codec import Codec, Encoder, ErrorReply, Seed, Traits
from .events import Event, Failure, Finish, Fold, PartDelta, PartStart, Start, UsageUpdate, fold, unfold
from .framing import WholeFrames
from .heads import Head, relayed_headers, stream_head, translated_headers, unreadable, whole_head
from .hosted import foreign
from .meter import ESTIMATED, Meter
from .model import ApiError, Request, Response, UpstreamFault, Usage
from .policy import Loss
from .stream import StreamDecoder


class Asking(Protocol):
    """Who asked for an answer, and in what form."""

    client: Codec
    stream: bool
    seed: Seed

    def as_asked(self) -> Request: ...


class Pair(Asking, Protocol):
    """What an answer has to know of its exchange: `bridge.Bridge` is one."""

    upstream: Codec
    same: bool  # one protocol on both sides
    relay: bool  # its bytes go through
    heard: bool  # somebody wants the whole of the answer
    traits: Traits
    frame_limit: int

    @property
    def plain_deltas(self) -> bool: ...

    @property
    def take(self) -> Callable[[str], object] | None: ...

    def transform(self, events: Sequence[Event]) -> Sequence[Event]: ...


class Answer:
    """What the upstream answers, on its way to the client.

    Feed it the upstream's body as it comes (decompressed; `raw` are the bytes as they were); b"" is the end. What it
    returns goes to the client once `head` is set. `error` is set instead where the attempt failed before that."""

    def __init__(self, bridge: Pair, status: int, headers: Mapping[str, str]) -> None:
        self._bridge, self.status, self.headers = bridge, status, headers
        self.head: Head | None = None
        self.error: ApiError | None = None
        self.reply: ErrorReply | None = None  # the upstream's own error answer, where it may pass as it is
        self.failure: ApiError | None = None  # broke off after the head
        self.start: Start | None = None
        self.finish: Finish | None = None
        self.usage: Usage | None = None
        self.crash: Exception | None = None
        self.response: Response | None = None  # all of it, where somebody wants that
        self.done = False
        self.warnings: list[Loss] = []  # what the client may be told of it, where its head is still to come
        self._notes: list[Loss] = []
        self._mode: Whole | _Streamed | None = None if 200 <= status < 300 else Whole(self)

    @property
    def bridge(self) -> Pair:
        return self._bridge

    @property
    def losses(self) -> Sequence[Loss]:
        """What could not be read in the upstream's answer, and what was added to it."""
        return [*self.warnings, *self._notes, *(self._mode.losses if isinstance(self._mode, _Streamed) else ())]

    @property
    def verbatim(self) -> bool:
        """Whether the client gets the upstream's bytes as they are."""
        return self._bridge.relay and isinstance(self._mode, _Streamed) == self._bridge.stream

    def feed(self, data: bytes, raw: bytes | None = None) -> bytes:
        if self.done:
            return b""
        try:
            if self._mode is None:
                self._mode = self._choose(data)
            return self._mode.feed(data, data if raw is None else raw)
        except UpstreamFault as fault:  # a transform does not let it pass
            return self._ended(fault.error)
        except Exception as error:  # the door: a mistake of ours must not take the exchange with it
            return self._crashed(error)

    def broken(self, error: ApiError) -> bytes:
        """The upstream died, or time ran out: the end of what it said."""
        if self.done:
            return b""
        try:
            if self._mode is None:
                self._mode = Whole(self)
            return self._mode.broken(error)
        except UpstreamFault as fault:
            return self._ended(fault.error)
        except Exception as crash:
            return self._crashed(crash)

    def _crashed(self, crash: Exception) -> bytes:
        self.crash = crash
        return self._ended(ApiError(502, "server", "the upstream's answer could not be translated"))

    def _ended(self, error: ApiError) -> bytes:
        if self.head is None or not self.head.streamed:
            self.head = None
            self.fail(error)
            return b""
        self.failure, self.done = error, True
        return self._bridge.client.encoder(Request(stream=True), self._bridge.seed).encode(Failure(error, self.start))

    def keep_alive(self) -> bytes:
        """Bytes that show a waiting client that all is well, between two events of a begun stream."""
        return self._mode.keep_alive() if isinstance(self._mode, _Streamed) else b""

    def _choose(self, data: bytes) -> Whole | _Streamed:
        kind = self.headers.get("content-type", "")
        if looks_streamed(self._bridge.upstream.STREAM, kind, data):
            return _Streamed(self)
        return Whole(self)

    @property
    def limits(self) -> dict[str, str]:
        """The upstream's rate limits, as headers of the client's protocol; on the same one all that it sent, but for an
        error, whose bytes either go through with theirs or stay here."""
        bridge = self._bridge
        if bridge.same:
            headers = relayed_headers(self.headers) if self.status < 300 else {}
            return {name: value for name, value in headers.items() if name not in _OF_BODY}
        return translated_headers(self.headers, bridge.upstream.NAME, bridge.client.NAME, bridge.seed.created)

    def counted(self, events: Sequence[Event], meter: Meter) -> Sequence[Event]:
        """The events with a usage before the end, which some clients cannot do without: an estimate if need be."""
        if self.usage is not None or type(events[-1]) is not Finish:
            return events
        self.usage = meter.usage(self._bridge.as_asked())
        self.warnings.append(ESTIMATED)
        return [*events[:-1], UsageUpdate(self.usage), events[-1]]

    def render(self, response: Response) -> tuple[Head, bytes]:
        """Another answer in the place of this one, which came in one piece."""
        asked, seed = self._bridge.as_asked(), self._bridge.seed
        return whole_head(self.limits), self._bridge.client.render_response(response, asked, seed)

    def watch(self, events: Sequence[Event]) -> None:
        """Keep the facts that logs, usage and views want."""
        for event in events:
            kind = type(event)
            if kind is UsageUpdate:
                self.usage = event.usage  # type: ignore[union-attr]
            elif kind is Finish:
                self.finish = event  # type: ignore[assignment]
            elif kind is PartStart:
                self._notes += foreign(event.part, self._bridge.client.NAME)  # type: ignore[union-attr]
            elif kind is Start:
                self.start = event  # type: ignore[assignment]
                self.usage = event.usage or self.usage  # type: ignore[union-attr]

    def fail(self, error: ApiError) -> None:
        """The attempt failed before anything went to the client."""
        self.error, self.done = error, True


_OF_BODY = frozenset(("content-type", "content-encoding"))  # what the headers of a relayed answer say of its bytes


def looks_streamed(framing: Literal["sse", "lines"], content_type: str, first: bytes) -> bool:
    """Whether a body is a stream of events: by its first bytes, since servers mislabel both ways."""
    start = first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not start:
        return "event-stream" in content_type or "ndjson" in content_type
    if framing == "lines":
        return "ndjson" in content_type
    return start not in b"{[<"


class Whole:
    """A body that is read to its end before anything can be said of it: an error, or an answer in one piece."""

    def __init__(self, answer: Answer) -> None:
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


_DELTAS = {PartDelta}


def only_deltas(events: Sequence[Event]) -> TypeGuard[Sequence[PartDelta]]:
    """Whether there is something, and nothing but text and arguments: nearly all that ever comes."""
    return {type(event) for event in events} == _DELTAS


class _Streamed:
    """A stream of events: encoded anew, folded into one body, or passed on as it is while a decoder reads along."""

    def __init__(self, answer: Answer) -> None:
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
