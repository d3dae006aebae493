"""Reading the stream of an Ollama upstream: a JSON object a line, of which the last says `done`.

Calls come whole, several in one line or each in its own; their `index` may be 0 for all of them and counts for nothing.
A stream without its last line broke off.
"""

from __future__ import annotations

import msgspec

from .. import logprobs
from ..codec import DEFAULT_TRAITS, Seed, Traits
from ..events import Finish
from ..framing import LineFramer
from ..logprobs import Logprobs
from ..model import Text, Thinking
from ..stream import Machine, StreamDecoder
from ..think import TaggedProse
from .answer import Calls, image_of, message_of, reason_of, usage_of
from .errors import error_of
from .wire import ANSWER, WireAnswer, WireAnswerMessage


def decoder(seed: Seed, traits: Traits = DEFAULT_TRAITS) -> StreamDecoder:
    return StreamDecoder(LineFramer(), OllamaMachine(seed, traits))


class OllamaMachine(Machine):
    def __init__(self, seed: Seed, traits: Traits = DEFAULT_TRAITS) -> None:
        super().__init__()
        self._calls = Calls(seed)
        self._tags = TaggedProse() if traits.think_tags else None
        self._lenient = traits.lenient_end
        self._last = WireAnswer()

    def frame(self, event: str | None, data: bytes) -> None:
        answer = ANSWER.decode(data)
        if answer.error is not None:
            self.sink.fail(error_of(msgspec.json.decode(data)))
            return
        message = message_of(answer)
        if not self.sink.started and (message is not None or answer.done):
            self.sink.start("", answer.model or "")
        tokens = () if answer.logprobs is None else logprobs.read(answer.logprobs)
        if message is not None:
            self._message(message, tokens)
        if answer.done:
            self._last = answer
            self._finish()
            self.sink.end()

    def end(self) -> None:
        if self._lenient and self.sink.started:
            self._finish()

    def _message(self, message: WireAnswerMessage, tokens: Logprobs) -> None:
        if message.thinking:
            self.sink.prose(Thinking, message.thinking)
        if message.content:
            self._text(message.content, tokens)
        if message.images:
            for data in message.images:
                self.sink.whole(image_of(data))
        if message.tool_calls:
            self._flush_tags()
            for wire in message.tool_calls:
                if (call := self._calls.read(wire)) is not None:
                    self.sink.whole(call)
        if tokens and not message.content:
            self.sink.late_logprobs(tokens)

    def _text(self, text: str, tokens: Logprobs) -> None:
        if self._tags is None:
            self.sink.prose(Text, text, tokens)
        else:
            self._tags.say(self.sink, text, tokens)

    def _flush_tags(self) -> None:
        if self._tags is not None:
            self._tags.finish(self.sink)

    def _finish(self) -> None:
        self._flush_tags()
        usage = usage_of(self._last)
        if usage is not None:
            self.sink.usage(usage)
        self.sink.finish(Finish(reason_of(self._last, self.sink.calls)))
