"""Who speaks: the names that Chat clients give their messages, for targets that know roles only.

One name for all users says nothing that the model needs. A second one does: from there on each message of a user who
is not the first begins with its name, so that a longer conversation still begins as the shorter one did.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from .model import Message, Text, ToolResult
from .policy import INFO, WARN, Loss


def nameless(messages: Sequence[Message], losses: list[Loss]) -> Sequence[Message]:
    """The messages without names: the same object where there are none."""
    if not any(message.name for message in messages):
        return messages
    first = next((message.name for message in messages if message.role == "user" and message.name), None)
    out: list[Message] = []
    said = False
    for message in messages:
        told = message.role == "user" and message.name not in (None, "", first)
        said = said or told
        out.append(_told(message) if told else replace(message, name=None) if message.name else message)
    if said:
        losses.append(Loss("messages.name", "approximated", "a second user's name stands in the text", WARN))
    else:
        losses.append(Loss("messages.name", "dropped", "the target knows no names of speakers", INFO))
    return out


def _told(message: Message) -> Message:
    at = next((n for n, part in enumerate(message.parts) if not isinstance(part, ToolResult)), len(message.parts))
    head, rest = message.parts[:at], message.parts[at:]
    mark = f"{message.name}: "
    if rest and isinstance(rest[0], Text):
        rest = (replace(rest[0], text=mark + rest[0].text), *rest[1:])
    else:
        rest = (Text(mark.rstrip()), *rest)
    return replace(message, name=None, parts=(*head, *rest))
