"""Writing the stream of a Chat Completions answer.

What the official SDKs' readers demand: the role once, a call's id and name once (they join what is repeated), indexes
of calls from 0 without a gap, the reason in a chunk of its own, and after it the usage, if it was asked for, as the
last chunk; `usage` is null before. An error is a frame without `[DONE]`. Chunks have no place for citations.

A delta costs one JSON string between bytes that were made when its part began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..codec import Seed
from ..endings import last_words
from ..events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate
from ..framing import sse
from ..model import Audio, Logprob, Refusal, Request, Text, Thinking, ToolCall, Usage
from .answer import audio_object, render_usage
from .errors import error_object
from .response import Asked, answer_id, finish_of, logprobs_object, shown
from .wire import encode

KEEP_ALIVE = b": keepalive\n\n"
DONE = b"data: [DONE]\n\n"
_NO_LOGPROBS = b'"logprobs":null'

_FIELDS: dict[type, bytes] = {
    Text: b'{"content":',
    Thinking: b'{"reasoning_content":',
    Refusal: b'{"refusal":',
}


def keep_alive() -> bytes:
    return KEEP_ALIVE


class ChatEncoder:
    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, asked: Request, seed: Seed) -> None:
        self._wants, self._seed = Asked(asked, seed), seed
        self._begin(Start())
        self._before: bytes | None = None  # what stands around a delta's text; None: it is not shown
        self._after = b""
        self._calls = 0
        self._refused = self._said = False
        self._usage: Usage | None = None
        self._call: ToolCall | None = None
        self._call_delta: Any = None
        self._handlers: dict[type, Callable[[Any], bytes]] = {
            Start: self._start,
            PartStart: self._part,
            PartEnd: self._part_end,
            UsageUpdate: self._remember,
            Finish: self._finish,
            Failure: self._fail,
            Ping: lambda event: KEEP_ALIVE,
        }

    def encode(self, event: Event) -> bytes:
        if type(event) is PartDelta:
            if self._before is not None:
                after = self._with(event.logprobs) if event.logprobs and self._wants.logprobs else self._after
                return b"%b%b%b" % (self._before, encode(event.text), after)
            return self._arguments(event.text) if self._call is not None else b""
        return self._handlers[type(event)](event)

    def keep_alive(self) -> bytes:
        return keep_alive()

    # ---- chunks

    def _begin(self, event: Start) -> None:
        head = encode(
            {
                "id": answer_id(event.id, self._seed),
                "object": "chat.completion.chunk",
                "created": self._seed.created,
                "model": self._wants.model or event.model,
            }
        )
        self._head = b"data: " + head[:-1] + b',"choices":'
        self._delta_head = self._head + b'[{"index":0,"delta":'
        usage = b',"usage":null' if self._wants.usage else b""
        self._tail = b"," + _NO_LOGPROBS + b',"finish_reason":null}]' + usage + b"}\n\n"

    def _with(self, tokens: Sequence[Logprob]) -> bytes:
        """The end of a delta's chunk, with the log probabilities of its text."""
        return self._after.replace(_NO_LOGPROBS, b'"logprobs":' + encode(logprobs_object(tokens)), 1)

    def chunk(self, delta: Any) -> bytes:
        return self._delta_head + encode(delta) + self._tail

    def _start(self, event: Start) -> bytes:
        self._usage = event.usage
        self._begin(event)
        return self.chunk({"role": "assistant", "content": ""})

    def _remember(self, event: UsageUpdate) -> bytes:
        self._usage = event.usage
        return b""

    # ---- parts

    def _part(self, event: PartStart) -> bytes:
        part = event.part
        self._said = self._said or not isinstance(part, Thinking)
        self._call, self._before = None, None
        if isinstance(part, ToolCall):
            return self._tool_call(part)
        self._refused = self._refused or isinstance(part, Refusal)
        field = _FIELDS.get(type(part))
        if field is not None and (self._wants.thoughts or not isinstance(part, Thinking)):
            self._before, self._after = self._delta_head + field, b"}" + self._tail
        if isinstance(part, Audio) and self._wants.audio:
            return self.chunk({"audio": audio_object(part, self._seed)})
        text = shown(part, self._wants)
        return self.chunk({"content": text}) if text else b""

    def _tool_call(self, part: ToolCall) -> bytes:
        index = self._calls
        self._calls += 1
        if self._wants.legacy and index:
            return b""  # `functions` knows one call
        self._call = part
        if self._wants.legacy:
            self._call_delta = {"function_call": {"arguments": ""}}
            return self.chunk({"function_call": {"name": part.name, "arguments": ""}})
        kind, field = ("custom", "input") if part.custom else ("function", "arguments")
        self._call_delta = {"tool_calls": [{"index": index, kind: {field: ""}}]}
        call = {"index": index, "id": part.id, "type": kind, kind: {"name": part.name, field: ""}}
        return self.chunk({"tool_calls": [call]})

    def _arguments(self, text: str) -> bytes:
        """The first piece of a call's arguments; those after it go between the same bytes."""
        before, _, after = encode(self._call_delta).rpartition(b'""')
        self._before, self._after = self._delta_head + before, after + self._tail
        return self._before + encode(text) + self._after

    def _part_end(self, event: PartEnd) -> bytes:
        call, before = self._call, self._before
        self._call, self._before = None, None
        if call is None or call.custom or event.cut or before is not None:
            return b""
        out = self._arguments("{}")  # clients parse the arguments of a call that has none
        self._before = None
        return out

    # ---- the end

    def _finish(self, event: Finish) -> bytes:
        out = b""
        words = last_words(event.reason, event.detail, self._said, self._refused)
        if words is not None:
            self._refused = isinstance(words, Refusal)
            out = self.chunk({"refusal" if self._refused else "content": words.text})
        reason = finish_of(event.reason, self._refused, self._calls, self._wants.legacy)
        tail = self._tail.replace(b'"finish_reason":null', b'"finish_reason":' + encode(reason))
        out += self._delta_head + b"{}" + tail
        if self._wants.usage:
            out += self._head + b'[],"usage":' + encode(render_usage(self._usage)) + b"}\n\n"
        return out + DONE

    def _fail(self, event: Failure) -> bytes:
        return sse(encode({"error": error_object(event.error)}))
