"""The events of an answer, and the two ways between a stream and a whole: `fold` and `unfold`.

Every answer is Start, then parts one after the other (PartStart, PartDelta*, PartEnd, numbered from 0, never two
open), then at most one UsageUpdate, then exactly one Finish or Failure. `StreamDecoder` guarantees it for every codec,
so that encoders, rules, usage and views may rely on it. Ping may come anywhere after Start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from .model import (
    ApiError,
    Citation,
    Extra,
    Logprob,
    Opaque,
    Part,
    Reason,
    Refusal,
    Response,
    Text,
    Thinking,
    ToolCall,
    Usage,
)


class _Event(msgspec.Struct, frozen=True, gc=False):
    pass


class Start(_Event, frozen=True, gc=False):
    """The answer begins. `usage`: what is known of the input by now. `id` and `model` are the upstream's own."""

    id: str = ""
    model: str = ""
    usage: Usage | None = None
    extra: Extra = {}


class PartStart(_Event, frozen=True, gc=False):
    """A part begins. Its text or arguments are still empty, and come as deltas; other parts are whole at once."""

    index: int
    part: Part


class PartDelta(_Event, frozen=True, gc=False):
    """More of the part's text, or of a tool call's arguments. `logprobs` are of a text's tokens, and may come without
    words, after those that they belong to."""

    index: int
    text: str
    logprobs: tuple[Logprob, ...] = ()


class PartEnd(_Event, frozen=True, gc=False):
    """The part is over. What belongs to the whole of it comes here: citations, signatures (`extra`). `cut`: it broke
    off, so a call that it ends must not look to the client like one to carry out."""

    index: int
    citations: tuple[Citation, ...] = ()
    extra: Extra = {}
    cut: bool = False


class UsageUpdate(_Event, frozen=True, gc=False):
    usage: Usage


class Finish(_Event, frozen=True, gc=False):
    """The answer is complete. `detail` is a refusal's explanation."""

    reason: Reason = "end"
    stop_sequence: str | None = None
    detail: str | None = None
    extra: Extra = {}


class Failure(_Event, frozen=True, gc=False):
    """The answer broke off. `start`: how it had begun, where its bytes went by the encoder unseen."""

    error: ApiError
    start: Start | None = None


class Ping(_Event, frozen=True, gc=False):
    """The upstream lives, but has nothing to say."""


Event = Start | PartStart | PartDelta | PartEnd | UsageUpdate | Finish | Failure | Ping

_GROWING = {Text: "text", Thinking: "text", Refusal: "text", ToolCall: "arguments"}


def growing(part: Part) -> str | None:
    """The name of the field that deltas append to; None: such a part comes whole."""
    return _GROWING.get(type(part))


def unfold(response: Response) -> list[Event]:
    """A whole answer as the stream that it could have been. `fold(unfold(r)) == r`."""
    events: list[Event] = [Start(response.id, response.model, None, response.extra)]
    for index, part in enumerate(response.parts):
        events.extend(_unfold_part(index, part))
    if response.usage is not None:
        events.append(UsageUpdate(response.usage))
    events.append(Finish(response.reason, response.stop_sequence, response.detail))
    return events


def _unfold_part(index: int, part: Part) -> list[Event]:
    field = growing(part)
    if field is None:
        return [PartStart(index, part), PartEnd(index)]
    text: str = getattr(part, field)
    late: dict[str, Any] = {field: ""}
    if not isinstance(part, ToolCall):  # of which everything but the arguments is known when it begins
        late["extra"] = {}
    citations: tuple[Citation, ...] = ()
    logprobs: tuple[Logprob, ...] = ()
    if isinstance(part, Text):
        citations, late["citations"] = part.citations, ()
        logprobs, late["logprobs"] = part.logprobs, ()
    head = msgspec.structs.replace(part, **late)
    deltas: list[Event] = [PartDelta(index, text, logprobs)] if text or logprobs else []
    extra: Extra = {} if isinstance(part, Opaque | ToolCall) else part.extra
    return [PartStart(index, head), *deltas, PartEnd(index, citations, extra)]


class Fold:
    """Collects the events of one answer; `response` is what there is of it, complete once Finish has passed."""

    def __init__(self) -> None:
        self.start = Start()
        self.parts: list[Part] = []
        self.usage: Usage | None = None
        self.finish: Finish | None = None
        self.failure: ApiError | None = None
        self._texts: list[str] = []
        self._logprobs: list[Logprob] = []
        self._open = False

    def add(self, event: Event) -> None:
        match event:
            case PartDelta():
                self._texts.append(event.text)
                if event.logprobs:
                    self._logprobs += event.logprobs
            case PartStart():
                self.parts.append(event.part)
                self._texts, self._logprobs, self._open = [], [], True
            case PartEnd():
                self.parts[-1] = self._closed(event)
                self._open = False
            case Start():
                self.start = event
                self.usage = event.usage
            case UsageUpdate():
                self.usage = event.usage
            case Finish():
                self.finish = event
            case Failure():
                self.failure = event.error
            case Ping():
                pass

    @property
    def response(self) -> Response:
        end = self.finish or Finish("other")
        start = self.start
        extra = {**start.extra, **end.extra} if end.extra else start.extra
        parts = self.parts
        if self._open:
            parts = [*parts[:-1], self._closed(PartEnd(len(parts) - 1))]
        return Response(
            tuple(parts), end.reason, start.id, start.model, self.usage, end.stop_sequence, end.detail, extra
        )

    def _closed(self, end: PartEnd) -> Part:
        return _close(self.parts[-1], "".join(self._texts), tuple(self._logprobs), end)


def _close(part: Part, text: str, logprobs: tuple[Logprob, ...], end: PartEnd) -> Part:
    field = growing(part)
    if field is None:
        return part
    changes: dict[str, Any] = {field: getattr(part, field) + text} if text else {}
    if end.citations and isinstance(part, Text):
        changes["citations"] = part.citations + end.citations
    if logprobs and isinstance(part, Text):
        changes["logprobs"] = part.logprobs + logprobs
    if end.extra and not isinstance(part, Opaque):
        changes["extra"] = {**part.extra, **end.extra}
    return msgspec.structs.replace(part, **changes) if changes else part


def fold(events: Iterable[Event]) -> Response:
    """The whole of a stream that ended well. A stream that ended in Failure: see `Fold.failure`."""
    folded = Fold()
    for event in events:
        folded.add(event)
    return folded.response

