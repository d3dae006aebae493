"""Writing answers, a stream or a whole.

What Google's SDKs and CLI demand of a stream: lines of exactly `data: {json}` and blank lines, nothing else, no end
mark; a call whole, its arguments an object, and all calls of a batch in the last chunk, since the Python SDK runs the
functions that this one calls and no others; the reason on the last chunk only. Blank lines are the only thing that may
stand between. An error is bare JSON on a line of its own, since the CLI notices no other form. A client that did not
ask for server-sent events gets one JSON array. The Python SDK cuts a line at U+2028 and its like: these go out escaped.

A delta of text costs one JSON string between bytes that were made at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..arguments import as_object
from ..codec import Seed
from ..events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate, unfold
from ..framing import one_line
from ..model import (
    ApiError,
    Audio,
    Citation,
    Extra,
    File,
    Image,
    Logprob,
    Opaque,
    Part,
    Refusal,
    Request,
    Response,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from .answer import FINISH, render_grounding, render_logprobs, render_usage
from .errors import error_body
from .request import ArrayRequest
from .wire import NAME, Json, encode, own

KEEP_ALIVE = b"\r\n"
_TEXTS = (Text, Thinking, Refusal)
_EMPTY: Json = {"text": ""}
_INDEX = b'"index":0'


def keep_alive() -> bytes:
    return KEEP_ALIVE


class Writer:
    """Neutral events to messages of Gemini's, without their framing: what streams and whole answers share."""

    def __init__(self, asked: Request) -> None:
        reasoning = asked.reasoning
        self.thoughts = reasoning is not None and reasoning.visible is True
        self.logprobs = asked.logprobs is not None
        self.usage: Usage | None = None
        self.extra: Extra = {}  # of the start
        self._part: Part | None = None
        self._deltas: list[str] = []
        self._before = 0  # characters of text before the running part
        self._text: list[str] = []
        self._citations: list[Citation] = []
        self._malformed = ""
        self._spoke = False

    def shown(self, part: Part) -> bool:
        """Whether it is text whose deltas go out as they come."""
        return isinstance(part, Text | Refusal) or (isinstance(part, Thinking) and self.thoughts)

    def begin(self, part: Part) -> list[Json]:
        """The parts of a part that comes whole."""
        self._part, self._deltas, self._spoke = part, [], True
        return [] if isinstance(part, (*_TEXTS, ToolCall)) else whole_part(part)

    def delta(self, text: str) -> None:
        self._deltas.append(text)

    def end(self, event: PartEnd) -> list[Json]:
        """What is said where a part ends: a call, or the signature of a text."""
        part, self._part = self._part, None
        if isinstance(part, ToolCall):
            return [] if event.cut else self._call(part, event)
        if isinstance(part, Text):
            self._cite(event)
        if part is None or isinstance(part, Opaque) or not self.shown(part):
            return []
        signature = _signature(part, event)
        thought = {"thought": True} if isinstance(part, Thinking) else {}
        return [{**_EMPTY, **thought, "thoughtSignature": signature}] if signature else []

    def _cite(self, event: PartEnd) -> None:
        """Places count in the whole text of the answer."""
        text = "".join(self._deltas)
        for cited in event.citations:
            end = cited.end if cited.end is not None else len(text)
            start = self._before + (cited.start or 0)
            self._citations.append(msgspec.structs.replace(cited, start=start, end=self._before + end))
        self._text.append(text)
        self._before += len(text)

    def _call(self, part: ToolCall, event: PartEnd) -> list[Json]:
        text = "".join(self._deltas)
        raw, fine = as_object(text)
        if not fine and msgspec.json.decode(raw) == {"input": text.strip()} and not part.custom:
            self._malformed = f"the arguments of a call of {part.name} are no JSON object"
            return []
        if part.custom:
            raw = msgspec.Raw(encode({"input": text}))
        call: Json = {"functionCall": {"id": part.id, "name": part.name, "args": raw}}
        signature = _signature(part, event)
        return [{**call, "thoughtSignature": signature} if signature else call]

    def body(self, parts: list[Json], event: Finish, tail: Json) -> Json:
        """The last message. A prompt that was blocked has no candidate."""
        blocked = own(event.extra).get("promptFeedback") or own(self.extra).get("promptFeedback")
        if blocked and not self._spoke:
            return {"promptFeedback": blocked, **tail}
        candidate = {"content": {"parts": parts, "role": "model"}, **self._last(event), "index": 0}
        return {"candidates": [candidate], **tail}

    def _last(self, event: Finish) -> Json:
        """What the candidate says at the end."""
        said = own(event.extra or self.extra).get("finishReason") or FINISH[event.reason]
        out: Json = {"finishReason": said}
        if event.detail:
            out["finishMessage"] = event.detail
        if self._malformed and said == "STOP":
            out = {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": self._malformed}
        if self._citations and (grounding := render_grounding("".join(self._text), self._citations)):
            out["groundingMetadata"] = grounding
        return out


def _signature(part: Text | Thinking | Refusal | ToolCall | Part, event: PartEnd) -> str | None:
    early = {} if isinstance(part, Opaque) else part.extra.get(NAME, {})
    found = own(event.extra).get("signature") or early.get("signature")
    return found if isinstance(found, str) else None


def whole_part(part: Part) -> list[Json]:
    """A part of the answer that is no text and no call."""
    match part:
        case Image() | Audio() | File():
            return [_media(part)]
        case ServerTool():
            return [dict(own(part.extra))] if own(part.extra) else []
        case Opaque():
            if part.protocol == NAME and isinstance(part.raw, dict):
                return [part.raw]
            return [{"text": part.text}] if part.text else []
        case _:
            return []


def _media(part: Image | Audio | File) -> Json:
    blob = part.blob
    if blob.data is not None:
        return {"inlineData": {"mimeType": blob.media_type or "application/octet-stream", "data": blob.data}}
    if isinstance(part, Audio) and part.transcript:
        return {"text": part.transcript}
    return {"text": f"[{type(part).__name__.lower()}: {blob.url or blob.file_id or blob.text or 'no address'}]"}


def _tail(model: str, id: str, usage: Usage | None) -> Json:
    out: Json = {} if usage is None else {"usageMetadata": render_usage(usage)}
    return {**out, "modelVersion": model, "responseId": id}


def render_response(response: Response, asked: Request, seed: Seed) -> bytes:
    writer = Writer(asked)
    writer.extra = response.extra
    parts: list[Json] = []
    last = Finish()
    for event in unfold(response):
        match event:
            case PartStart():
                parts += writer.begin(event.part)
            case PartDelta():
                writer.delta(event.text)
            case PartEnd():
                parts += _whole_text(writer, response.parts[event.index], writer.end(event))
            case Finish():
                last = event
            case _:
                pass
    tail = _tail(asked.model or response.model, response.id or seed.id, response.usage)
    body = writer.body(parts, last, tail)
    tokens = [token for part in response.parts if isinstance(part, Text) for token in part.logprobs]
    if tokens and writer.logprobs and "candidates" in body:
        body["candidates"][0]["logprobsResult"] = render_logprobs(tokens)
    return encode(body)


def refusal(error: ApiError) -> Response | None:
    """A prompt that was refused: an answer without candidates."""
    feedback = {"blockReason": "OTHER", "blockReasonMessage": error.message}
    return Response((), "content_filter", detail=error.message, extra={NAME: {"promptFeedback": feedback}})


def _whole_text(writer: Writer, part: Part, ends: list[Json]) -> list[Json]:
    """A text with its signature in one part."""
    if not isinstance(part, _TEXTS) or not writer.shown(part):
        return ends
    out: Json = {"text": part.text, **(ends[0] if ends else {})}
    out["text"] = part.text
    if isinstance(part, Thinking):
        out["thought"] = True
    return [out] if part.text or ends else []


class GeminiEncoder:
    """One stream. `content_type` depends on what the client asked for."""

    def __init__(self, asked: Request, seed: Seed) -> None:
        self._asked, self._seed = asked, seed
        self._array = isinstance(asked, ArrayRequest)
        self.content_type = "application/json" if self._array else "text/event-stream"
        self._writer = Writer(asked)
        self._open = b"" if self._array else b"data: "
        self._shut = b"" if self._array else b"\r\n\r\n"
        self._chunks = 0
        self._before: bytes | None = None  # what stands around a delta's text; None: it is not shown
        self._after = b""
        self._calls: list[Json] = []  # those of a batch, until the last is known
        self._begin(Start())
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
            self._writer.delta(event.text)
            if self._before is None:
                return b""
            after = self._with(event.logprobs) if event.logprobs and self._writer.logprobs else self._after
            return b"%b%b%b%b" % (self._next(), self._before, one_line(encode(event.text)), after)
        return self._handlers[type(event)](event)

    def keep_alive(self) -> bytes:
        return KEEP_ALIVE

    # ---- chunks

    def _with(self, tokens: Sequence[Logprob]) -> bytes:
        """The end of a delta's chunk, with the log probabilities of its text."""
        told = b',"logprobsResult":' + one_line(encode(render_logprobs(tokens)))
        return self._after.replace(_INDEX, _INDEX + told, 1)

    def _begin(self, event: Start) -> None:
        self._model, self._id = self._asked.model or event.model, event.id or self._seed.id
        tail = one_line(encode(_tail(self._model, self._id, None)))
        self._end = b'],"role":"model"},' + _INDEX + b"}]," + tail[1:] + self._shut

    def _next(self) -> bytes:
        """What stands between two elements of an array."""
        if not self._array:
            return self._open
        self._chunks += 1
        return b"," if self._chunks > 1 else b"["

    def _chunk(self, parts: list[Json]) -> bytes:
        if not parts:
            return b""
        inside = b",".join(one_line(encode(part)) for part in parts)
        return self._next() + b'{"candidates":[{"content":{"parts":[' + inside + self._end

    def _start(self, event: Start) -> bytes:
        self._writer.usage, self._writer.extra = event.usage, event.extra
        self._begin(event)
        return b""

    def _remember(self, event: UsageUpdate) -> bytes:
        self._writer.usage = event.usage
        return b""

    # ---- parts

    def _part(self, event: PartStart) -> bytes:
        part = event.part
        self._before = None
        if isinstance(part, ToolCall):
            self._writer.begin(part)
            return b""
        return self._flush() + self._other(part)

    def _other(self, part: Part) -> bytes:
        if isinstance(part, _TEXTS) and self._writer.shown(part):
            thought = b'"thought":true,' if isinstance(part, Thinking) else b""
            self._before = b'{"candidates":[{"content":{"parts":[{' + thought + b'"text":'
            self._after = b"}" + self._end
        return self._chunk(self._writer.begin(part))

    def _part_end(self, event: PartEnd) -> bytes:
        self._before = None
        parts = self._writer.end(event)
        if any("functionCall" in part for part in parts):
            self._calls += parts
            return b""
        return self._chunk(parts)

    def _flush(self) -> bytes:
        calls, self._calls = self._calls, []
        return self._chunk(calls)

    # ---- the end

    def _finish(self, event: Finish) -> bytes:
        parts, self._calls = self._calls or [_EMPTY], []
        body = self._writer.body(parts, event, _tail(self._model, self._id, self._writer.usage))
        return self._next() + one_line(encode(body)) + self._shut + (b"]" if self._array else b"")

    def _fail(self, event: Failure) -> bytes:
        """A newline before it, so that it stands on a line of its own whatever was sent."""
        calls, body = self._flush(), one_line(error_body(event.error))
        return calls + (self._next() + body + b"]" if self._array else b"\n" + body + b"\n")
