"""A conversation made short for a Responses client, on an upstream that knows no such request.

Codex ends a request with a `compaction_trigger` and wants exactly one item back, sealed, which it sends again in the
place of all that was said before. So the upstream is asked for a summary in words, and the item holds that summary,
which only we read. A summary that was cut off or refused is a failure: the client would go on with half a memory.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from .codec import Seed
from .events import Event, Failure, Finish, PartDelta, PartEnd, PartStart
from .model import ApiError, Format, Message, Opaque, Request, Text

_PROTOCOL = "openai-responses"
_TRIGGER = "compaction_trigger"
_SEAL = "llm-link-summary-1."
_ASK = (
    "The conversation has become too long and ends here. Write a summary from which another model can go on with the"
    " work as if it had seen everything: what was asked and what matters to the user, what was found, decided and done,"
    " every file, name, command and value that is still needed, and what is left to do, with the very next step."
    " Answer with the summary alone."
)
_LEAD = "This is a summary of the conversation so far, which was too long to be kept. Go on from it.\n\n"


def triggered(request: Request) -> bool:
    """Whether the request asks for a summary instead of an answer."""
    return bool(request.messages) and any(map(_is_trigger, request.messages[-1].parts))


def _is_trigger(part: Any) -> bool:
    return type(part) is Opaque and part.protocol == _PROTOCOL and part.kind == _TRIGGER


def asked_for_summary(request: Request) -> Request:
    """The request with the question for the summary in the place of the trigger, and without tools."""
    last = request.messages[-1]
    rest = tuple(part for part in last.parts if not _is_trigger(part))
    said = [replace(last, parts=rest)] if rest else []
    messages = [*request.messages[:-1], *said, Message("user", (Text(_ASK),))]
    return replace(
        request, messages=messages, tools=[], tool_choice=None, parallel_tools=None, format=Format(), stop=[],
        max_output=None,
    )  # fmt: skip


def summary_of(item: dict[str, Any]) -> str | None:
    """What a sealed item of ours says to the model; None where it is another one's."""
    sealed = item.get("encrypted_content")
    if not isinstance(sealed, str) or not sealed.startswith(_SEAL):
        return None
    try:
        text = base64.b64decode(sealed.removeprefix(_SEAL), b"-_", validate=True).decode()
        return _LEAD + text if text else None
    except ValueError:  # somebody changed it
        return None


class Compaction:
    """Of a streamed summary, the one item that the client wants."""

    def __init__(self, seed: Seed) -> None:
        self._seed = seed
        self._said: list[str] = []
        self._text = False  # whether the part that is open is one of text

    def __call__(self, event: Event) -> Sequence[Event]:
        match event:
            case PartStart():
                self._text = isinstance(event.part, Text)
                if isinstance(event.part, Text):
                    self._said.append(event.part.text)
                return []
            case PartDelta():
                if self._text:
                    self._said.append(event.text)
                return []
            case PartEnd():
                return []
            case Finish():
                return self._finish(event)
            case _:
                return [event]

    def _finish(self, event: Finish) -> Sequence[Event]:
        text = "".join(self._said).strip()
        if event.reason != "end" or not text:
            why = f"the upstream's summary of the conversation is not whole ({event.reason})"
            return [Failure(ApiError(502, "server", why))]
        sealed = _SEAL + base64.urlsafe_b64encode(text.encode()).decode()
        item = {"id": f"cmp_{self._seed.id}", "type": "compaction", "encrypted_content": sealed}
        return [PartStart(0, Opaque(_PROTOCOL, "compaction", item)), PartEnd(0), event]
