"""What rules often do to a request: change every text in it, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from .embed import EmbedRequest
from .model import Audio, File, Opaque, Part, Refusal, Request, ServerTool, Text, ToolCall, ToolResult, Value

Change = Callable[[str], str]


def change_texts(request: Request | EmbedRequest, change: Change) -> None:
    """Put `change(text)` in the place of each text: of all roles, calls and their results, files, tools, embeddings.

    Thoughts stay: their signatures hold for their words. Parts that do not change stay the same objects."""
    if isinstance(request, EmbedRequest):
        request.inputs[:] = [change(one) if isinstance(one, str) else one for one in request.inputs]
        return
    for n, message in enumerate(request.messages):
        parts = tuple(changed(part, change) for part in message.parts)
        if any(new is not old for new, old in zip(parts, message.parts, strict=True)):
            request.messages[n] = replace(message, parts=parts)
    for n, tool in enumerate(request.tools):
        words = getattr(tool, "description", None)
        if words and (new := change(words)) != words:
            request.tools[n] = replace(tool, description=new)


def changed(part: Part, change: Change) -> Part:
    """A part with other words, or itself."""
    match part:
        case Text() | Refusal() | ServerTool():
            return _with(part, "text", change)
        case ToolCall():
            return _with(part, "arguments", change)
        case Audio(transcript=str()):
            return _with(part, "transcript", change)
        case File() if part.blob.text is not None:
            blob = _with(part.blob, "text", change)
            return part if blob is part.blob else replace(part, blob=blob)
        case ToolResult():
            parts = tuple(changed(inner, change) for inner in part.parts)
            same = all(new is old for new, old in zip(parts, part.parts, strict=True))
            return part if same else replace(part, parts=parts)
        case Opaque():
            raw = _deep(part.raw, change)
            return part if raw == part.raw else replace(part, raw=raw)
        case _:
            return part


def texts(request: Request, *roles: str) -> Iterator[str]:
    """The texts of the messages of these roles."""
    for message in request.messages:
        if message.role in roles:
            yield from (part.text for part in message.parts if isinstance(part, Text))


def _with[T: Value](value: T, field: str, change: Change) -> T:
    old = getattr(value, field)
    new = change(old)
    return value if new == old else replace(value, **{field: new})


def _deep(value: Any, change: Change) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_deep(one, change) for one in value]
    if isinstance(value, dict):
        return {name: _deep(one, change) for name, one in value.items()}
    return value
