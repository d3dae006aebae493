"""The laws of a neutral stream, once, for every codec.

`StreamDecoder` is the one door between an upstream's bytes and events. A codec gives it a framer and a `Machine`, which
reads one frame after the other and tells a `Sink` what it means; the sink makes a lawful stream of it: Start first, one
part open at a time, whatever the upstream interleaves held back until its turn, usage once, and exactly one Finish or
Failure at the end. The door never raises.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import msgspec

from .body import WRONG, without_lone_surrogates
from .events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate, growing
from .framing import Framer, FrameTooLarge
from .model import ApiError, Citation, Extra, Logprob, Part, Refusal, Text, Thinking, ToolCall, Usage
from .policy import INFO, Loss

HOLD_LIMIT = 64 * 1024 * 1024  # characters of parts that wait for their turn

_Prose = type[Text] | type[Thinking] | type[Refusal]


class _Waiting:
    """A part that was opened while another one was open."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.texts: list[str] = []
        self.logprobs: tuple[Logprob, ...] = ()
        self.end: tuple[tuple[Citation, ...], Extra] | None = None


class Sink:
    """What a machine says of the stream. Parts are named by keys of the machine's choice."""

    def __init__(self, hold_limit: int = HOLD_LIMIT) -> None:
        self.events: list[Event] = []
        self.losses: list[Loss] = []
        self.done = False
        self.started = False
        self.calls = 0  # tool calls so far
        self.last_usage: Usage | None = None
        self._late_usage: Callable[[], Usage] | None = None
        self.pending: Finish | None = None  # said to be over; sent when the stream ends, after the usage
        self._index = -1
        self._current: Hashable = None
        self._open = False
        self._prose: _Prose | None = None
        self._runs = 0
        self._waiting: OrderedDict[Hashable, _Waiting] = OrderedDict()  # a dict is slow to take the first from
        self._held = 0
        self._hold_limit = hold_limit

    # ---- what a machine says

    def start(self, id: str = "", model: str = "", usage: Usage | None = None, extra: Extra | None = None) -> None:
        if not self.started and not self.done:
            self.started = True
            self.last_usage = usage
            self.events.append(Start(id, model, usage, extra or {}))

    def open(self, key: Hashable, part: Part) -> None:
        """A part begins. It is held back while another one is open."""
        if self.done or key in self._waiting or (self._open and key == self._current):
            return
        if isinstance(part, ToolCall):
            self.calls += 1
        if self._prose is not None:
            self.close(self._current)
        if self._open:
            self._waiting[key] = _Waiting(part)
        else:
            self._begin(key, part)

    def delta(self, key: Hashable, text: str, logprobs: tuple[Logprob, ...] = ()) -> None:
        if not text and not logprobs:
            return
        if self._open and key == self._current:
            self.events.append(PartDelta(self._index, text, logprobs))
        elif (waiting := self._waiting.get(key)) is not None:
            waiting.texts.append(text)
            waiting.logprobs += logprobs
            self._held += len(text)
            if self._held > self._hold_limit:
                self.fail(ApiError(502, "server", "the upstream interleaves more than can be put in sequence"))

    def close(self, key: Hashable, citations: tuple[Citation, ...] = (), extra: Extra | None = None) -> None:
        if self._open and key == self._current:
            self._end(citations, extra or {})
            self._next()
        elif (waiting := self._waiting.get(key)) is not None and waiting.end is None:
            waiting.end = (citations, extra or {})

    def whole(self, part: Part) -> None:
        """A part that comes at once."""
        self._runs += 1
        key = ("whole", self._runs)
        text = ""
        logprobs: tuple[Logprob, ...] = ()
        if isinstance(part, Text) and part.logprobs:
            logprobs, part = part.logprobs, msgspec.structs.replace(part, logprobs=())
        if (field := growing(part)) is not None:
            text = getattr(part, field)
            part = msgspec.structs.replace(part, **{field: ""})
        self.open(key, part)
        self.delta(key, text, logprobs)
        self.close(key)

    def prose(self, kind: _Prose, text: str, logprobs: tuple[Logprob, ...] = ()) -> None:
        """Text, thought or refusal of a protocol without part boundaries: a change of kind begins a new part."""
        if not text or self.done:
            self.late_logprobs(logprobs)
            return
        if self._prose is not kind:
            if self._held_run(kind):
                self.delta(("prose", self._runs), text, logprobs)
                return
            self._runs += 1
            key = ("prose", self._runs)
            self.open(key, kind(""))
            if not self._open or self._current != key:  # behind an open tool call: one held part for each run
                self.delta(key, text, logprobs)
                self.close(key)
                return
            self._prose = kind
        self.events.append(PartDelta(self._index, text, logprobs))

    def late_logprobs(self, logprobs: tuple[Logprob, ...]) -> None:
        """Of tokens whose words have come, or are of no text."""
        if not logprobs or self.done:
            return
        if self._prose is Text:
            self.events.append(PartDelta(self._index, "", logprobs))
        else:
            self.lose_logprobs()

    def lose_logprobs(self) -> None:
        """Those of thoughts and of calls have no place in any answer."""
        why = "log probabilities of tokens that are no text"
        if all(loss.why != why for loss in self.losses):
            self.losses.append(Loss("logprobs", "dropped", why, INFO))

    def _held_run(self, kind: _Prose) -> bool:
        """Whether the last part that waits is a run of this kind, which then goes on."""
        last = next(reversed(self._waiting), None)
        return last == ("prose", self._runs) and type(self._waiting[last].part) is kind

    def close_prose(self, citations: tuple[Citation, ...] = ()) -> None:
        """The running text, thought or refusal is over. `citations` are the text's."""
        if self._prose is not None:
            self.close(self._current, citations if self._prose is Text else ())

    def usage(self, usage: Usage) -> None:
        self.last_usage, self._late_usage = usage, None

    def usage_later(self, read: Callable[[], Usage]) -> None:
        """Usage of an upstream that says it with each frame: only the last word is read."""
        self._late_usage = read

    def finish(self, finish: Finish) -> None:
        """The upstream said why it ends. The last word counts; it is sent by `end`."""
        self.pending = finish

    def ping(self) -> None:
        if self.started and not self.done:
            self.events.append(Ping())

    def fail(self, error: ApiError) -> None:
        """The stream is broken: close what is open, and say so."""
        if not self.done:
            self._flush(cut=True)
            self._usage_update()
            self.events.append(Failure(error))
            self.done = True

    def end(self) -> None:
        """The stream is over. Without a Finish before it, that is a failure."""
        if self.done:
            return
        if self.pending is None:
            self.fail(ApiError(502, "disconnected", "the upstream ended the stream before the answer was complete"))
            return
        self.start()
        self._flush()
        self._usage_update()
        self.events.append(self.pending)
        self.done = True

    # ---- how it is kept in order

    def _begin(self, key: Hashable, part: Part) -> None:
        self.start()
        self._index += 1
        self._current, self._open = key, True
        self.events.append(PartStart(self._index, part))

    def _end(self, citations: tuple[Citation, ...], extra: Extra, cut: bool = False) -> None:
        self._open, self._prose = False, None
        self.events.append(PartEnd(self._index, citations, extra, cut))

    def _next(self) -> None:
        """Let the parts that waited go, in their order, as far as one of them is still open."""
        while self._waiting and not self._open:
            key, waiting = self._waiting.popitem(last=False)
            self._begin(key, waiting.part)
            self.events.extend(PartDelta(self._index, text) for text in waiting.texts if text)
            if waiting.logprobs:
                self.events.append(PartDelta(self._index, "", waiting.logprobs))
            self._held -= sum(map(len, waiting.texts))
            if waiting.end is not None:
                self._end(*waiting.end)

    def _flush(self, cut: bool = False) -> None:
        while self._open:
            self._end((), {}, cut)
            self._next()

    def _usage_update(self) -> None:
        if self._late_usage is not None:
            self.usage(self._late_usage())
        if self.last_usage is not None:
            self.start()
            self.events.append(UsageUpdate(self.last_usage))


class Machine:
    """One codec's reading of one stream: frame by frame into `self.sink`."""

    def __init__(self) -> None:
        self.sink = Sink()

    def frame(self, event: str | None, data: bytes) -> None:
        """Raises `msgspec.DecodeError` where the frame is not what it should be; the frame is then passed over."""
        raise NotImplementedError

    def end(self) -> None:
        """The upstream's bytes are over: last words before the sink ends the stream."""


class StreamDecoder:
    """Bytes in, events out. `feed(b"")` is the end of the bytes, `broken` their end before their time."""

    def __init__(self, framer: Framer, machine: Machine, guess: Callable[[bytes], Framer | None] | None = None) -> None:
        self._framer, self._machine, self._guess = framer, machine, guess
        self._sink = machine.sink
        self.crash: Exception | None = None  # our own mistake, for the log
        self.broke_off = False  # the bytes ended before the upstream said that the answer is over, or failed

    @property
    def done(self) -> bool:
        return self._sink.done

    @property
    def losses(self) -> list[Loss]:
        return self._sink.losses

    def limit_frames(self, limit: int) -> None:
        """The most bytes that one frame may have."""
        self._framer.limit = limit

    def feed(self, data: bytes) -> list[Event]:
        if self._guess is not None and data:  # the first bytes may show that the framing is another one
            limit = self._framer.limit
            self._framer, self._guess = self._guess(data) or self._framer, None
            self._framer.limit = limit
        sink = self._sink
        try:
            for frame in self._framer.feed(data) if data else self._framer.end():
                if sink.done:
                    break
                self._frame(frame.event, frame.data)
            if not data and not sink.done:
                self._machine.end()
                sink.end()
                self.broke_off = isinstance(sink.events[-1], Failure)
        except FrameTooLarge as error:
            self.broke_off = True
            sink.fail(ApiError(502, "server", str(error)))
        except Exception as error:  # the door: a bug in a machine must not take the exchange with it
            self.crash = error
            sink.fail(ApiError(502, "server", "the upstream's stream could not be translated"))
        events, sink.events = sink.events, []
        return events

    def broken(self, error: ApiError) -> list[Event]:
        """The connection died, or time ran out."""
        if not self.done and self._sink.pending is not None:
            self._sink.end()  # everything was said but the goodbye
        self._sink.fail(error)
        events, self._sink.events = self._sink.events, []
        return events

    def _frame(self, event: str | None, data: bytes) -> None:
        try:
            self._machine.frame(event, data)
        except WRONG as error:
            repaired = without_lone_surrogates(data)
            if repaired is not None:
                self._frame(event, repaired)
                return
            self._sink.losses.append(Loss("stream", "skipped", f"an event that cannot be read: {error}", INFO))
