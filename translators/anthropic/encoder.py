"""Neutral events as one of Anthropic's streams.

The client's SDK goes by event names, wants the message first, blocks numbered from 0 and one at a time, and parses a
call's input at every delta. So arguments go out as they come as long as they look like an object; those that begin
with anything else wait for the end of their part and are made one, and what follows a complete object is cut off.

Deltas are the hot path: one join of bytes that the start of the part has prepared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arguments import JsonWatch, as_object
from ..codec import Seed
from ..events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate, growing
from ..framing import sse
from ..model import Part, Refusal, Request, Text, Thinking, ToolCall, Usage
from .errors import error_body
from .response import (
    answer_text,
    answer_thought,
    estimated,
    hides,
    message_id,
    render_answer,
    spoken,
    write_reason,
)
from .usage import render_usage
from .wire import encode, mark, own

PING = sse(b'{"type":"ping"}', "ping")
_STOPPED = sse(b'{"type":"message_stop"}', "message_stop")
_BEGUN = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_GROWN = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
_GROWN_END = b"}}\n\n"
_CITED = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
    b'"delta":{"type":"citations_delta","citation":%b}}\n\n'
)
_ENDED = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'

_TEXT = (b"text_delta", b"text")
_THINKING = (b"thinking_delta", b"thinking")
_SIGNATURE = (b"signature_delta", b"signature")
_INPUT = (b"input_json_delta", b"partial_json")

_HIDDEN_BYTES = 4  # characters a token, for answers that nobody counted


class Encoder:
    """One streamed answer. `asked`: the client's request, whose model name it reads back."""

    content_type = "text/event-stream"

    def __init__(self, asked: Request, seed: Seed) -> None:
        self._asked, self._seed = asked, seed
        self._hidden = hides(asked)
        self._index = -1  # of the block
        self._part: Part | None = None
        self._prefix = b""  # of the deltas of the open block; empty: they are held
        self._held: list[str] = []
        self._watch: JsonWatch | None = None  # follows the arguments of the open call
        self._calls = 0
        self._letters = 0  # characters sent, an estimate where nobody counts
        self._usage: Usage | None = None
        self._extra: dict[str, Any] = {}
        self._handlers: dict[type, Callable[[Any], bytes]] = {
            PartStart: self._begin,
            PartEnd: self._end,
            Start: self._start,
            UsageUpdate: self._note_usage,
            Finish: self._finish,
            Failure: self._fail,
            Ping: self._ping,
        }

    def encode(self, event: Event) -> bytes:
        if type(event) is PartDelta:
            return self._delta(event.text)
        handle: Callable[[Any], bytes] = self._handlers[type(event)]
        return handle(event)

    def keep_alive(self) -> bytes:
        return PING

    # ---- the message

    def _start(self, event: Start) -> bytes:
        usage = self._usage = event.usage
        self._extra = dict(own(event.extra))
        message: dict[str, Any] = {
            "id": message_id(event.id, self._seed),
            "type": "message",
            "role": "assistant",
            "model": self._asked.model or event.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**render_usage(usage or Usage()), "output_tokens": usage.completion if usage else 0},
        }
        return sse(encode({"type": "message_start", "message": message}), "message_start")

    def _note_usage(self, event: UsageUpdate) -> bytes:
        self._usage = event.usage
        return b""

    def _finish(self, event: Finish) -> bytes:
        out = b""
        if self._index < 0 and (words := spoken(event.reason, event.detail)) is not None:
            out = self._whole(answer_text(words))
        extra = {**self._extra, **own(event.extra)}
        delta = write_reason(event, self._calls, extra)
        if "container" in extra:
            delta["container"] = extra["container"]
        usage = self._usage or estimated(self._asked, self._letters // _HIDDEN_BYTES)
        data = {"type": "message_delta", "delta": delta, "usage": render_usage(usage)}
        for name in ("context_management", "input_transformations"):
            if name in extra:
                data[name] = extra[name]
        return out + sse(encode(data), "message_delta") + _STOPPED

    def _fail(self, event: Failure) -> bytes:
        return sse(error_body(event.error), "error")

    def _ping(self, event: Ping) -> bytes:
        return PING

    # ---- blocks

    def _begin(self, event: PartStart) -> bytes:
        part = self._part = event.part
        self._held, self._prefix, self._watch = [], b"", None
        match part:
            case Text() | Refusal():
                return self._open({"type": "text", "text": ""}, _TEXT) + self._first(part.text)
            case Thinking() if part.redacted or self._hidden:
                self._held = [part.text]
                return b""
            case Thinking():
                block = {"type": "thinking", "thinking": "", "signature": ""}
                return self._open(block, _THINKING) + self._first(part.text)
            case ToolCall():
                return self._begin_call(part)
            case _:
                return b"".join(map(self._whole, render_answer(part, self._hidden)))

    def _first(self, text: str) -> bytes:
        return self._delta(text) if text else b""

    def _open(self, block: dict[str, Any], delta: tuple[bytes, bytes] | None) -> bytes:
        self._index += 1
        if delta is not None:
            self._prefix = _GROWN % (self._index, *delta)
        return _BEGUN % (self._index, encode(block))

    def _begin_call(self, part: ToolCall) -> bytes:
        self._calls += 1
        block = {"type": "tool_use", "id": part.id, "name": part.name, "input": {}, **own(part.extra)}
        begun = self._open(block, None)
        if not part.custom:
            self._watch = JsonWatch()
        return begun + self._first(part.arguments)

    def _whole(self, block: dict[str, Any]) -> bytes:
        """A block that comes at once. Text needs its delta: clients collect those only."""
        if block["type"] != "text":
            return self._open(block, None) + _ENDED % self._index
        begun = self._open({**block, "text": ""}, _TEXT)
        return begun + self._delta(block["text"]) + _ENDED % self._index

    def _delta(self, text: str) -> bytes:
        self._letters += len(text)
        if self._watch is not None:
            text = self._arguments(text, self._watch)
        elif not self._prefix:
            self._held.append(text)
            return b""
        return b"".join((self._prefix, encode(text), _GROWN_END)) if text else b""

    def _arguments(self, text: str, watch: JsonWatch) -> str:
        """As much of the fragment as may go out now."""
        if watch.complete:
            return ""
        if not self._prefix:
            self._held.append(text)
            begun = "".join(self._held).lstrip()
            if not begun.startswith("{"):
                if begun:
                    self._watch = None  # no object: held to its end
                return ""
            self._held, text = [], begun
            self._prefix = _GROWN % (self._index, *_INPUT)
        return text[: watch.feed(text)]

    def _end(self, event: PartEnd) -> bytes:
        part = self._part
        self._part = None
        if part is None or growing(part) is None:
            return b""
        if isinstance(part, Thinking):
            return self._end_thought(part, {**own(part.extra), **own(event.extra)})
        out = b""
        if isinstance(part, ToolCall):
            if event.cut:  # clients carry it out at its end
                self._held, self._watch, self._prefix = [], None, b""
                return b""
            out = self._end_call(part)
        elif isinstance(part, Text):
            out = self._cite([*part.citations, *event.citations])
        self._prefix = b""
        return out + _ENDED % self._index

    def _end_call(self, part: ToolCall) -> bytes:
        """The arguments that were held, as an object."""
        held, self._held, self._watch = "".join(self._held), [], None
        if self._prefix or not held.strip():
            return b""
        given = encode({"input": held}) if part.custom else bytes(as_object(held)[0])
        return b"".join((_GROWN % (self._index, *_INPUT), encode(given.decode()), _GROWN_END))

    def _cite(self, citations: list[Any]) -> bytes:
        cited = [own(citation.extra) for citation in citations]
        if not all(cited):  # another provider's point to nothing that this client knows
            return b""
        return b"".join(_CITED % (self._index, encode(citation)) for citation in cited)

    def _end_thought(self, part: Thinking, token: dict[str, Any]) -> bytes:
        if self._prefix:  # it went out as it came
            self._prefix = b""
            return self._sign(token.get("signature") or mark())
        text, self._held = "".join(self._held), []
        blocks = answer_thought(part, text, token, self._hidden)
        if part.redacted or not blocks:
            return b"".join(map(self._whole, blocks))
        begun = self._open({"type": "thinking", "thinking": "", "signature": ""}, None)
        return begun + self._sign(blocks[0]["signature"])

    def _sign(self, signature: str) -> bytes:
        token = b"".join((_GROWN % (self._index, *_SIGNATURE), encode(signature), _GROWN_END))
        return token + _ENDED % self._index
