"""Anthropic's streams as upstream: events to neutral ones.

Servers that only resemble Anthropic leave out event names, ends of blocks, the last events or whole starts, send one
start twice, put a call's input into its start, and invent deltas. All that is read as what it must have meant; what
cannot be read is passed over and noted.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, UnsetType

from ..codec import DEFAULT_TRAITS, Seed, Traits
from ..events import Finish
from ..framing import SseFramer
from ..model import Extra, Text, Thinking, ToolCall
from ..policy import INFO, Loss
from ..stream import Machine, StreamDecoder
from .blocks import call_side, parse_citation, parse_foreign
from .errors import read_error
from .response import CARRIED, MessageOut, read_detail, read_reason
from .usage import merge_usage, parse_usage
from .wire import NAME, Block, unmark, unsigned


class Delta(Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    citation: dict[str, Any] | None = None
    content: Any = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Any = None
    container: Any = None


class StreamEvent(Struct):
    type: str = ""
    index: int = 0
    delta: Delta | None = None
    content_block: Block | None = None
    message: MessageOut | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    context_management: Any = None
    input_transformations: Any = None


_EVENT = msgspec.json.Decoder(StreamEvent)
_GENERIC = msgspec.json.Decoder()


class _Open:
    """A block that has begun."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.raw: dict[str, Any] | None = None  # of a block that is carried as it is
        self.given = ""  # arguments that came with the start
        self.grown = False
        self.signature = ""
        self.citations: list[dict[str, Any]] = []
        self.pieces: list[str] = []  # of what such a block grows by


class AnthropicMachine(Machine):
    """Reads one stream."""

    def __init__(self, seed: Seed) -> None:
        super().__init__()
        self._seed = seed
        self._blocks: dict[int, _Open] = {}
        self._usage: dict[str, Any] = {}
        self._extra: dict[str, Any] = {}
        self._noted: set[str] = set()
        self._handlers = {
            "content_block_delta": self._delta,
            "content_block_start": self._start_block,
            "content_block_stop": self._stop_block,
            "message_start": self._start,
            "message_delta": self._message_delta,
            "message_stop": self._stop,
            "ping": self._ping,
            "error": self._error,
        }

    def frame(self, event: str | None, data: bytes) -> None:
        if data == b"[DONE]":
            return
        read = _EVENT.decode(data)
        handler = self._handlers.get(read.type or event or "")
        if handler is not None:
            handler(read, data)
        elif read.error is not None:  # an error in OpenAI's form
            self._error(read, data)
        else:
            self._note(f"an event of the unknown type {read.type or event!r}")

    def end(self) -> None:
        self._close_all()

    def _note(self, what: str) -> None:
        if what not in self._noted and len(self._noted) < 20:
            self._noted.add(what)
            self.sink.losses.append(Loss("stream", "skipped", what, INFO))

    # ---- the message

    def _start(self, event: StreamEvent, data: bytes) -> None:
        message = event.message
        if message is None or self.sink.started:
            return
        self._usage = message.usage or {}
        self._extra = {name: value for name in CARRIED if (value := getattr(message, name)) is not None}
        usage = parse_usage(self._usage) if message.usage is not None else None
        self.sink.start(message.id, message.model, usage, {NAME: self._extra} if self._extra else None)
        for index, block in enumerate(message.content or []):  # a server that says all at once
            self._begin(index, block, {})
            self._end(index)

    def _message_delta(self, event: StreamEvent, data: bytes) -> None:
        if event.usage is not None:
            self._usage = merge_usage(self._usage, event.usage)
            self.sink.usage(parse_usage(self._usage))
        delta = event.delta
        for thing in (event, delta):
            for name in CARRIED:
                if (value := getattr(thing, name, None)) is not None:
                    self._extra[name] = value
        if delta is not None and delta.stop_reason is not None:
            self._finish(delta.stop_reason, delta.stop_sequence)

    def _finish(self, said: str, stop_sequence: str | None) -> None:
        self._close_all()
        reason = read_reason(said, self.sink.calls)
        extra = {**self._extra, "stop_reason": said} if reason == "other" else self._extra
        detail = read_detail(extra.get("stop_details"))
        self.sink.finish(Finish(reason, stop_sequence, detail, {NAME: extra} if extra else {}))

    def _stop(self, event: StreamEvent, data: bytes) -> None:
        self._close_all()
        if self.sink.pending is None:
            self._finish("tool_use" if self.sink.calls else "end_turn", None)
        self.sink.end()

    def _ping(self, event: StreamEvent, data: bytes) -> None:
        self.sink.ping()

    def _error(self, event: StreamEvent, data: bytes) -> None:
        self.sink.fail(read_error(_GENERIC.decode(data)))

    # ---- blocks

    def _start_block(self, event: StreamEvent, data: bytes) -> None:
        index = event.index
        if event.content_block is None or index in self._blocks:
            return
        for other, opened in list(self._blocks.items()):
            if opened.kind in ("text", "thinking"):  # its end was left out: prose does not interleave
                self._end(other)
        self._begin(index, event.content_block, data)

    def _begin(self, index: int, block: Block, data: bytes | dict[str, Any]) -> None:
        opened = self._blocks[index] = _Open(block.type)
        match block.type:
            case "text":
                self.sink.open(index, Text(""))
                self._grow(index, opened, block.text)
                opened.citations += block.citations if isinstance(block.citations, list) else []
            case "thinking":
                self.sink.open(index, Thinking(""))
                opened.signature = block.signature or ""
                self._grow(index, opened, block.thinking)
            case "redacted_thinking":
                token = block.data or ""
                extra: Extra = {NAME: {"data": token}} if token and not unsigned(token) else {}
                self.sink.open(index, Thinking("", True, extra=extra))
            case "tool_use":
                id = block.id or self._seed.item("toolu_", index)
                self.sink.open(index, ToolCall(id, block.name or "unknown", extra=call_side(block)))
                opened.given = "" if isinstance(block.input, UnsetType) else str(block.input, "utf-8")
            case _:
                opened.raw = _GENERIC.decode(data)["content_block"] if isinstance(data, bytes) else {}

    def _grow(self, index: int, opened: _Open, text: str | None) -> None:
        if text:
            opened.grown = True
            self.sink.delta(index, text)

    def _delta(self, event: StreamEvent, data: bytes) -> None:
        delta = event.delta
        if delta is None:
            return
        opened = self._blocks.get(event.index) or self._unopened(event.index, delta)
        if opened is None:
            self._note("a delta of a block that never began")
        elif opened.raw is not None:
            self._grow_raw(opened, delta)
        elif delta.type in ("text_delta", "thinking_delta", "input_json_delta"):
            self._grow(event.index, opened, _SAID[delta.type](delta))
        elif delta.type == "signature_delta":
            opened.signature += delta.signature or ""
        elif delta.type == "citations_delta":
            opened.citations += [delta.citation] if delta.citation else []
        else:
            self._note(f"a delta of the unknown type {delta.type!r}")

    def _unopened(self, index: int, delta: Delta) -> _Open | None:
        """A block whose start was left out."""
        kind = {"text_delta": "text", "thinking_delta": "thinking"}.get(delta.type)
        if kind is None:
            return None
        self._begin(index, Block(type=kind), {})
        return self._blocks[index]

    def _grow_raw(self, opened: _Open, delta: Delta) -> None:
        piece = delta.partial_json or delta.text or delta.thinking
        if piece:
            opened.pieces.append(piece)
        elif isinstance(delta.content, str) and opened.raw is not None:  # compaction_delta
            opened.raw["content"] = (opened.raw.get("content") or "") + delta.content

    def _stop_block(self, event: StreamEvent, data: bytes) -> None:
        if event.index in self._blocks:
            self._end(event.index)

    def _close_all(self) -> None:
        for index in list(self._blocks):
            self._end(index)

    def _end(self, index: int) -> None:
        opened = self._blocks.pop(index)
        if opened.raw is not None:
            self._end_raw(opened, opened.raw)
            return
        if opened.kind == "tool_use" and not opened.grown:
            self.sink.delta(index, opened.given or "{}")
        extra: Extra = {}
        if unsigned(opened.signature):
            if not opened.grown:
                self.sink.delta(index, unmark(opened.signature))
        elif opened.signature:
            extra = {NAME: {"signature": opened.signature}}
        self.sink.close(index, tuple(map(parse_citation, opened.citations)), extra)

    def _end_raw(self, opened: _Open, raw: dict[str, Any]) -> None:
        if opened.pieces:
            whole = "".join(opened.pieces)
            try:
                raw["input"] = _GENERIC.decode(whole)
            except msgspec.DecodeError:  # cut short: keep what there is
                raw["input"] = {"input": whole}
        self.sink.whole(parse_foreign(opened.kind, raw))


_SAID = {
    "text_delta": lambda delta: delta.text,
    "thinking_delta": lambda delta: delta.thinking,
    "input_json_delta": lambda delta: delta.partial_json,
}


def decoder(seed: Seed, traits: Traits = DEFAULT_TRAITS) -> StreamDecoder:
    return StreamDecoder(SseFramer(), AnthropicMachine(seed))
