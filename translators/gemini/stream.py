"""Reading the answer of a Gemini upstream, a stream or a whole: both are made of the same messages.

A chunk brings whole parts; text goes on from one to the next, and a call is complete when it comes. The reason stands
on the last chunk, but some servers say it on each and go on, so that the end is the end of the bytes. Usage is
cumulative and repeated. A stream that never gave a reason broke off.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from ..codec import DEFAULT_TRAITS, Seed, Traits
from ..events import Failure, Finish, Fold
from ..framing import ArrayFramer, Frame, Framer, SseFramer
from ..logprobs import Logprobs
from ..model import ApiError, Citation, Extra, Response, Text, Thinking, ToolCall, UpstreamFault, Usage
from ..policy import INFO, Loss
from ..stream import Machine, StreamDecoder
from .answer import (
    ANSWER,
    BROKEN,
    WireAnswer,
    WireCandidate,
    parse_citations,
    parse_logprobs,
    parse_usage,
    read_reason,
)
from .errors import read_error
from .messages import arguments_of
from .partial import PartialCall
from .parts import parse_part
from .wire import NAME, Json, WireCall, WirePart, signed, spelled_answer


def decoder(seed: Seed, traits: Traits = DEFAULT_TRAITS) -> StreamDecoder:
    return StreamDecoder(BareFramer(), GeminiMachine(seed, traits), _guess)


class BareFramer(SseFramer):
    """Server-sent events, and JSON that stands between them without `data:`, as Google's errors in a stream do."""

    def _parse(self, block: bytes) -> Frame | None:
        found = super()._parse(block)
        if found is None and (bare := block.strip()).startswith((b"{", b"[")):
            return Frame(None, bare)
        return found


def _guess(first: bytes) -> Framer | None:
    """Without `alt=sse` a stream is one JSON array; an answer in one piece is an object."""
    return ArrayFramer() if first.lstrip().startswith((b"{", b"[")) else None


def parse_response(body: bytes, seed: Seed, traits: Traits = DEFAULT_TRAITS) -> Response:
    """Raises `UpstreamFault` where the body is an error, `msgspec.DecodeError` where it is no answer."""
    machine = GeminiMachine(seed, traits)
    raws = _LIST.decode(body) if body.lstrip()[:1] == b"[" else [msgspec.Raw(body)]
    for raw in map(spelled_answer, map(bytes, raws)):
        answer = ANSWER.decode(raw)
        if answer.says_nothing and answer.error is None:
            raise msgspec.ValidationError("Object missing required field `candidates`")
        machine.frame(None, raw)
    machine.end(whole=True)
    machine.sink.end()
    fold = Fold()
    for event in machine.sink.events:
        fold.add(event)
        if isinstance(event, Failure):
            raise UpstreamFault(event.error)
    return fold.response


_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


class GeminiMachine(Machine):
    """Reads one answer."""

    def __init__(self, seed: Seed, traits: Traits = DEFAULT_TRAITS) -> None:
        super().__init__()
        self._seed = seed
        self._lenient = traits.lenient_end
        self._kind: type[Text] | type[Thinking] | None = None  # of the text that is running
        self._runs = 0
        self._texts: list[str] = []  # of the running text
        self._tokens: Logprobs = ()  # of the candidate that is read, until its text is
        self._ids: set[str] = set()
        self._reason: str | None = None
        self._message: str | None = None
        self._blocked: Json = {}  # what is said of a prompt that was blocked
        self._snaky = False  # whether the upstream spells in snake_case
        self._others = False  # whether there were answers besides the first
        self._partial: PartialCall | None = None  # a call whose arguments come in pieces
        self._said = False  # whether there is anything to show
        self._counts: Json | None = None  # the last usage that was said
        self._grounding: Any = None
        self._cited: Any = None

    def frame(self, event: str | None, data: bytes) -> None:
        if data[:1] == b"[":
            if data.strip() != b"[DONE]":
                self.sink.fail(read_error(msgspec.json.decode(data)))
            return
        if self._snaky or self._kind is None:  # no text is running: nearly every chunk is spared the search
            spelt = spelled_answer(data)
            self._snaky, data = spelt is not data, spelt
        answer = ANSWER.decode(data)
        if answer.error is not None:
            self.sink.fail(read_error(msgspec.json.decode(data)))
            return
        if not self.sink.started and not answer.says_nothing:
            self.sink.start(answer.response_id or "", answer.model_version or "")
        if answer.usage_metadata:
            self._usage(answer.usage_metadata)
        for candidate in answer.candidates or ():
            if not candidate.index:
                self._candidate(candidate)
            elif not self._others:
                self._others = True
                self.sink.losses.append(Loss("stream", "dropped", "of several answers the first was taken", INFO))
        self._feedback(answer)

    def end(self, whole: bool = False) -> None:
        """`whole`: the answer came in one piece, and is complete without a reason."""
        reason = self._reason or ("STOP" if whole or (self._lenient and self.sink.started) else None)
        if reason is None:
            return
        if reason in BROKEN and not self._said:
            message = f"the upstream gave up: {reason}" + (f": {self._message}" if self._message else "")
            self.sink.fail(ApiError(502, "server", message, reason))
            return
        self._end_partial()
        self._close()
        said = read_reason(reason, self.sink.calls)
        extra: Extra = {NAME: {"finishReason": reason}} if said in ("other", "content_filter") else {}
        if self._blocked:
            extra = {NAME: {"promptFeedback": self._blocked}}
        self.sink.finish(Finish(said, None, self._message, extra))

    # ---- what a chunk says of the whole

    def _usage(self, raw: Json) -> None:
        if self._counts is None:
            self.sink.usage_later(self._read_usage)
        if self._counts is None or any(raw.values()):  # zeros say nothing new
            self._counts = raw

    def _read_usage(self) -> Usage:
        return parse_usage(self._counts or {})

    def _feedback(self, answer: WireAnswer) -> None:
        """A prompt that was blocked has no candidates."""
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason and not answer.candidates:
            self._reason = "PROHIBITED_CONTENT" if feedback.block_reason == "PROHIBITED_CONTENT" else "SAFETY"
            self._message = feedback.block_reason_message or f"the prompt was blocked: {feedback.block_reason}"
            self._blocked = {"blockReason": feedback.block_reason}
            if feedback.block_reason_message:
                self._blocked["blockReasonMessage"] = feedback.block_reason_message

    def _candidate(self, candidate: WireCandidate) -> None:
        content = candidate.content
        if candidate.grounding_metadata:
            self._grounding = candidate.grounding_metadata
        if candidate.citation_metadata:
            self._cited = candidate.citation_metadata
        if candidate.logprobs_result is not None:
            self._tokens = parse_logprobs(candidate.logprobs_result)
        for part in (content.parts if content is not None else None) or ():
            self._part(part)
        if self._tokens:
            self._late_tokens()
        if candidate.finish_reason:
            self._reason = candidate.finish_reason
            self._message = candidate.finish_message or self._message

    def _late_tokens(self) -> None:
        """Those of a text that has come before, as all are in the last chunk of some streams."""
        tokens, self._tokens = self._tokens, ()
        if self._kind is Text:
            self.sink.delta(self._runs, "", tokens)
        else:
            self.sink.lose_logprobs()

    # ---- parts

    def _part(self, part: WirePart) -> None:
        if part.text is not None:
            self._prose(Thinking if part.thought else Text, part.text, part.thought_signature)
        elif part.function_call is not None:
            self._call(part.function_call, part.thought_signature)
        else:
            found = parse_part(part)
            if found is None:
                self.sink.losses.append(Loss("stream", "skipped", "a part of an unknown kind", INFO))
                return
            self._close()
            self._said = True
            self.sink.whole(found)

    def _prose(self, kind: type[Text] | type[Thinking], text: str, signature: str | None) -> None:
        if text:
            if self._kind is not kind:
                self._close()
                self._kind = kind
                self._runs += 1
                self._said = self._said or kind is Text
                self.sink.open(self._runs, kind(""))
            self._texts.append(text)
            if kind is Text and self._tokens:
                tokens, self._tokens = self._tokens, ()
                self.sink.delta(self._runs, text, tokens)
            else:
                self.sink.delta(self._runs, text)
        if signature:
            if self._kind is None:  # a part that is there for its signature
                self.sink.whole(kind("", extra=signed(signature)))
            self._close(signed(signature))

    def _close(self, extra: Extra | None = None) -> None:
        """The running text is over."""
        if self._kind is None:
            return
        citations: tuple[Citation, ...] = ()
        if self._kind is Text and (self._grounding or self._cited):
            citations = parse_citations(self._grounding, self._cited, "".join(self._texts))
            self._grounding = self._cited = None
        self.sink.close(self._runs, citations, extra)
        self._kind, self._texts = None, []

    def _call(self, call: WireCall, signature: str | None) -> None:
        if self._partial is not None and not call.name:
            self._grow(self._partial, call, signature)
            return
        self._end_partial()
        if call.name and (call.will_continue or call.partial_args):
            self._said = True
            self._partial = PartialCall(call)
            self._grow(self._partial, call, signature)
            return
        self._whole_call(call, signature)

    def _grow(self, partial: PartialCall, call: WireCall, signature: str | None) -> None:
        partial.signature = signature or partial.signature
        partial.add(call.partial_args or [])
        if not call.will_continue:
            self._end_partial()

    def _end_partial(self) -> None:
        partial, self._partial = self._partial, None
        if partial is None:
            return
        if partial.lost:
            why = f"{partial.lost} pieces of the arguments of {partial.name} have no place"
            self.sink.losses.append(Loss("stream", "dropped", why, INFO))
        arguments = Raw(partial.arguments.encode())
        self._whole_call(WireCall(partial.name, partial.id, arguments), partial.signature)

    def _whole_call(self, call: WireCall, signature: str | None) -> None:
        if not call.name:
            self.sink.losses.append(Loss("stream", "dropped", "a tool call without a name was left out", INFO))
            return
        self._close()
        self._said = True
        id = call.id or ""
        if not id or id in self._ids:
            id = self._seed.item("call_", self.sink.calls)
        self._ids.add(id)
        self.sink.whole(ToolCall(id, call.name, arguments_of(call), extra=signed(signature)))
