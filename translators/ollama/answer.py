"""What a line of a stream and a whole answer have in common: what was said, the calls, the end, the usage.

Ollama has one word for every good end, `stop`: a call, a stop sequence and a refusal look alike, and are told apart by
what the answer holds.
"""

from __future__ import annotations

from ..codec import Seed
from ..media import media_type
from ..model import Blob, Image, Reason, ToolCall, Usage
from .wire import WireAnswer, WireAnswerMessage, WireCall, arguments_of

REASONS: dict[str, Reason] = {"stop": "end", "length": "length", "load": "end", "unload": "end"}


def message_of(answer: WireAnswer) -> WireAnswerMessage | None:
    """What the model said; None where the line holds no such thing. `/api/generate` has it in fields of its own."""
    if answer.message is not None or (answer.response is None and answer.image is None):
        return answer.message
    images = [answer.image] if answer.image is not None else None
    return WireAnswerMessage(answer.response, answer.thinking, images=images)


def image_of(data: str) -> Image:
    """A picture of raw base64: what it is, the bytes must say."""
    found = Blob(data=data)
    return Image(Blob(media_type(found) or "image/png", data))


class Calls:
    """The calls of one answer. Ids may be missing, or be there twice."""

    def __init__(self, seed: Seed) -> None:
        self._seed = seed
        self._ids: set[str] = set()
        self._count = 0

    def read(self, wire: WireCall) -> ToolCall | None:
        """None where the call has no name: nobody could run it."""
        if not wire.function.name:
            return None
        id = wire.id
        if not id or id in self._ids:
            id = self._seed.item("call_", self._count)
        self._ids.add(id)
        self._count += 1
        return ToolCall(id, wire.function.name, arguments_of(wire))


def reason_of(answer: WireAnswer, calls: int) -> Reason:
    """Why the answer is over. What no one knows is an ordinary end."""
    reason = REASONS.get(answer.done_reason or "", "end")
    return "tool_call" if calls and reason == "end" else reason


def usage_of(answer: WireAnswer) -> Usage | None:
    """Ollama's counters: no cache, and thoughts among the output. A prompt that was cached whole has no counter."""
    counts = {"prompt_eval_count": answer.prompt_eval_count, "eval_count": answer.eval_count}
    raw = {name: int(count) for name, count in counts.items() if count is not None}
    if not raw:
        return None
    return Usage(max(0, raw.get("prompt_eval_count", 0)), output=max(0, raw.get("eval_count", 0)), raw=raw)
