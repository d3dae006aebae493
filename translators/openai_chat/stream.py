"""Reading the stream of a Chat Completions upstream.

Chat has no boundaries of parts: a change of what a delta brings is one. Nor does it say reliably that it is over:
`finish_reason`, then the usage, then `[DONE]`, of which each may be missing. The reason is kept until the stream ends,
so that the usage behind it is not lost; a stream that gave neither a reason nor `[DONE]` broke off.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..codec import DEFAULT_TRAITS, Seed, Traits
from ..events import Finish
from ..framing import ArrayFramer, Framer, SseFramer
from ..logprobs import Logprobs
from ..model import Citation, Refusal, Text, Thinking
from ..policy import INFO, Loss
from ..stream import Machine, StreamDecoder
from ..think import TaggedProse
from .answer import (
    ANSWER,
    BROKEN,
    Sound,
    WireAnswer,
    WireCallDelta,
    WireChoice,
    WireDelta,
    citations,
    end_of,
    images,
    logprobs_of,
    parse_usage,
    pieces,
)
from .calls import Calls
from .errors import error_of
from .reasoning import signed_details
from .response import gave_up

_DONE = b"[DONE]"


def decoder(seed: Seed, traits: Traits = DEFAULT_TRAITS) -> StreamDecoder:
    return StreamDecoder(SseFramer(), ChatMachine(seed, traits), _guess)


def _guess(first: bytes) -> Framer | None:
    """Some servers answer a request for a stream with one JSON body."""
    return ArrayFramer() if first.lstrip().startswith((b"{", b"[")) else None


class ChatMachine(Machine):
    def __init__(self, seed: Seed, traits: Traits = DEFAULT_TRAITS) -> None:
        super().__init__()
        self._calls = Calls(self.sink, seed)
        self._has_calls = False
        self._tags = TaggedProse() if traits.think_tags else None
        self._lenient = traits.lenient_end
        self._last: WireChoice | None = None  # the one with the reason why it ended
        self._refused = self._others = False
        self._sound = Sound()
        self._citations: tuple[Citation, ...] = ()
        self._details: list[Any] = []  # of OpenRouter's reasoning

    def frame(self, event: str | None, data: bytes) -> None:
        if data[:1] != b"{":
            self._other(event, data)
            return
        answer = ANSWER.decode(data)
        if answer.choices is None or answer.error is not None or event == "error":
            self._odd(event, data, answer)
        if not self.sink.started and (answer.choices or answer.id):  # Azure's first chunk says nothing of the answer
            self.sink.start(answer.id or "", answer.model or "")
        if answer.usage is not None:
            self._usage(answer.usage)
        for choice in answer.choices or ():
            if not choice.index:
                self._choice(choice)
            elif not self._others:
                self._others = True
                self.sink.losses.append(Loss("stream", "dropped", "of several answers the first was taken", INFO))

    def end(self) -> None:
        if self._last is not None or (self._lenient and self.sink.started):
            self._finish()

    # ---- frames that are no chunk

    def _other(self, event: str | None, data: bytes) -> None:
        data = data.strip()
        if data == _DONE:
            if self.sink.started:
                self._finish()
            self.sink.end()
        elif data[:1] == b"{":
            self.frame(event, data)
        elif data:
            self._failed(msgspec.json.decode(data), event == "error")

    def _odd(self, event: str | None, data: bytes, answer: WireAnswer) -> None:
        """Not an ordinary chunk: an error, perhaps, or usage alone."""
        if answer.failed or event == "error":
            self.sink.fail(error_of(msgspec.json.decode(data)))
        elif answer.x_groq is not None and answer.x_groq.usage is not None:
            self._usage(answer.x_groq.usage)

    def _failed(self, value: Any, said: bool) -> None:
        """Gemini wraps its errors into a list."""
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict) and "error" in inner:
            self.sink.fail(error_of(inner))
        elif said:
            self.sink.fail(error_of({"error": inner if isinstance(inner, str) else str(inner)}))

    # ---- chunks

    def _usage(self, raw: dict[str, Any]) -> None:
        usage = parse_usage(raw)
        if usage.prompt or usage.completion or self.sink.last_usage is None:  # some send zeros until they know
            self.sink.usage(usage)

    def _choice(self, choice: WireChoice) -> None:
        delta = choice.delta or choice.message
        tokens = () if choice.logprobs is None else self._tokens(choice)
        if delta is None:
            self.sink.late_logprobs(tokens)
        else:
            content = delta.content
            if (
                type(content) is str
                and delta.tool_calls is None
                and delta.reasoning_content is None
                and delta.reasoning is None
                and delta.reasoning_details is None
                and self._tags is None
                and not self._has_calls
                and delta.refusal is None
            ):
                self.sink.prose(Text, content, tokens)  # nearly every chunk
            else:
                self._delta(delta, tokens)
            if delta.annotations or delta.images or delta.function_call is not None or delta.audio is not None:
                self._extras(delta)
        if choice.finish_reason:
            self._ended(choice)

    def _tokens(self, choice: WireChoice) -> Logprobs:
        """Of the text; those of a refusal are counted apart, and no other protocol has them."""
        if isinstance(choice.logprobs, dict) and choice.logprobs.get("refusal"):
            self.sink.lose_logprobs()
        return logprobs_of(choice)

    def _delta(self, delta: WireDelta, tokens: Logprobs) -> None:
        if delta.reasoning_details:
            self._details.append(delta.reasoning_details)
        for kind, text in pieces(delta):
            if self._has_calls:
                self._calls.close_complete()
            mine, tokens = (tokens, ()) if kind is Text else ((), tokens)
            if kind is Text and self._tags is not None:
                self._tags.say(self.sink, text, mine)
            else:
                self._refused = self._refused or kind is Refusal
                self.sink.prose(kind, text, mine)
        if delta.tool_calls:
            self._tool_calls(delta.tool_calls)
        self.sink.late_logprobs(tokens)

    def _tool_calls(self, calls: list[WireCallDelta]) -> None:
        self._flush_tags()
        self._has_calls = True
        several = len(calls) > 1
        for position, call in enumerate(calls):
            self._calls.delta(call, position, several)

    def _extras(self, delta: WireDelta) -> None:
        if delta.function_call is not None:
            self._tool_calls([WireCallDelta(index=0, function=delta.function_call)])
        self._citations += citations(delta.annotations)
        for image in images(delta.images):
            self.sink.whole(image)
        if delta.audio is not None:
            self._sound.add(delta.audio)

    def _flush_tags(self) -> None:
        if self._tags is not None:
            self._tags.finish(self.sink)

    # ---- the end

    def _ended(self, choice: WireChoice) -> None:
        """Said to be over. More may come: usage, and from some servers even text."""
        if choice.finish_reason in BROKEN:
            self.sink.fail(gave_up(choice.finish_reason))
            return
        self._last = choice
        self._finish()

    def _finish(self) -> None:
        self._flush_tags()
        if (sound := self._sound.take()) is not None:
            self.sink.whole(sound)
        self._calls.end()
        if self._citations:
            self.sink.close_prose(self._citations)
            self._citations = ()
        if details := signed_details(self._details):  # known when all have come: a thought of their own
            self._details = []
            self.sink.whole(Thinking("", True, extra=details))
        reason, stop = end_of(self._last or WireChoice(), self.sink.calls, self._refused)
        self.sink.finish(Finish(reason, stop))
