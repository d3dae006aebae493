"""Writing the stream of an Ollama answer: one JSON object a line, never a blank line, at which the SDKs fail.

What Python calls a line end is more than what JSON escapes: the SDK, which reads by `splitlines`, would cut a line at
U+2028 or U+0085, so these go out escaped.

A call goes out whole, when its arguments are complete, since they are an object here. A delta costs one JSON string
between bytes that were made at the start. The endpoint that was asked decides the shape: `message` or `response`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from ..codec import Seed
from ..events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate
from ..framing import one_line
from ..model import Image, Refusal, Request, Text, Thinking, ToolCall, Usage
from .errors import error_body
from .response import Asked, closing, in_words, link_of, said, told, wire_call
from .wire import Json, encode, timestamp

_MARK = "\ue000"  # stands for the text in the frame of a line
_QUOTED = encode(_MARK)


def keep_alive() -> bytes:
    """Nothing: the clients read every line as JSON."""
    return b""


class OllamaEncoder:
    content_type = "application/x-ndjson"

    def __init__(self, asked: Request, seed: Seed) -> None:
        self._wants = Asked(asked)
        self._created = timestamp(seed.created)
        self._begin(Start())
        self._around: tuple[bytes, bytes] | None = None  # what stands around a delta's text; None: it is not shown
        self._call: ToolCall | None = None
        self._arguments: list[str] = []
        self._calls = 0
        self._refused = self._said = False
        self._usage: Usage | None = None
        self._handlers: dict[type, Callable[[Any], bytes]] = {
            Start: self._start,
            PartStart: self._part,
            PartEnd: self._part_end,
            UsageUpdate: self._remember,
            Finish: self._finish,
            Failure: lambda event: one_line(error_body(event.error)) + b"\n",
            Ping: lambda event: b"",
        }

    def encode(self, event: Event) -> bytes:
        if type(event) is PartDelta:
            if self._around is not None:
                if event.logprobs and self._wants.logprobs:
                    return self._line({**said(self._wants, event.text), **told(self._wants, event.logprobs)})
                return b"%b%b%b" % (self._around[0], one_line(encode(event.text)), self._around[1])
            if self._call is not None:
                self._arguments.append(event.text)
            return b""
        return self._handlers[type(event)](event)

    def keep_alive(self) -> bytes:
        return keep_alive()

    # ---- lines

    def _begin(self, event: Start) -> None:
        self._head: Json = {"model": self._wants.model or event.model, "created_at": self._created}
        text = self._frame(said(self._wants, _MARK))
        thought = self._frame(said(self._wants, "", _MARK)) if self._wants.thoughts else None
        self._frames: dict[type, tuple[bytes, bytes] | None] = {Text: text, Refusal: text, Thinking: thought}

    def _frame(self, message: Json) -> tuple[bytes, bytes]:
        """A line, cut where the text goes."""
        before, _, after = self._line(message).rpartition(_QUOTED)
        return before, after

    def _line(self, message: Json) -> bytes:
        return one_line(encode({**self._head, **message, "done": False})) + b"\n"

    def _start(self, event: Start) -> bytes:
        self._usage = event.usage
        self._begin(event)
        return b""

    def _remember(self, event: UsageUpdate) -> bytes:
        self._usage = event.usage
        return b""

    # ---- parts

    def _part(self, event: PartStart) -> bytes:
        part = event.part
        self._call = part if isinstance(part, ToolCall) else None
        self._arguments = []
        self._refused = self._refused or isinstance(part, Refusal)
        self._said = self._said or not isinstance(part, Thinking)
        self._around = self._frames.get(type(part))
        return self._image(part) if isinstance(part, Image) else self._words(in_words(part))

    def _image(self, part: Image) -> bytes:
        if part.blob.data is not None:
            return self._line(said(self._wants, images=[part.blob.data]))
        return self._words(link_of(part.blob))

    def _words(self, text: str) -> bytes:
        return self._line(said(self._wants, text)) if text else b""

    def _part_end(self, event: PartEnd) -> bytes:
        call, self._call, self._around = self._call, None, None
        if call is None or event.cut or self._wants.generate:
            return b""
        whole = replace(call, arguments="".join(self._arguments))
        self._calls += 1
        return self._line(said(self._wants, calls=[wire_call(whole, self._calls - 1)]))

    # ---- the end

    def _finish(self, event: Finish) -> bytes:
        words = closing(event.reason, event.detail, self._said, self._refused)
        detail = self._line(said(self._wants, words)) if words else b""
        last = {**self._head, **said(self._wants), **self._wants.ending(event.reason, self._usage)}
        return detail + one_line(encode(last)) + b"\n"
