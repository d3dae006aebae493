"""How many tokens a request has, roughly: for those who ask an upstream that cannot count.

The estimate errs high on purpose. A client that is told too little writes on until the prompt overflows, one that is
told too much compacts a little early. Latin text is taken at 3.2 bytes a token (real tokenizers reach 3.5 to 4.5),
and any other character at one token, which fits Chinese and is more than Cyrillic needs.
"""

from __future__ import annotations

import math

import msgspec

from .model import (
    Audio,
    Blob,
    File,
    HostedTool,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Request,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    Value,
)

_ASCII = 3.2  # bytes a token
_MESSAGE = 6  # tokens around each message
_BLOCK = 8  # around each call and result
_TOOL = 16
_TOOLS = 340  # what a provider writes into the prompt as soon as there is one tool
_IMAGE = 1600
_PDF_PAGE = 2600  # text and picture of a page
_PDF_PAGE_BYTES = 40_000
_AUDIO_BYTES = 200  # a token; compressed speech

_encode = msgspec.json.Encoder().encode


class Count(Value, frozen=True):
    """The size of a prompt. To ask for it costs nothing."""

    tokens: int
    usage: Usage | None = None


def estimate_text(text: str) -> int:
    """Tokens of a text."""
    if text.isascii():
        return math.ceil(len(text) / _ASCII)
    ascii_only = len(text.encode("ascii", "ignore"))
    return estimate_letters(ascii_only, len(text) - ascii_only)


def estimate_letters(ascii_only: int, others: int) -> int:
    """Tokens of a text of so many ASCII characters and so many others."""
    return math.ceil(ascii_only / _ASCII) + others


def estimate(request: Request) -> int:
    """Tokens of a prompt: messages, tools and the schema of the answer."""
    total = 8 + sum(map(_message, request.messages))
    if request.tools:
        total += _TOOLS + sum(map(_tool, request.tools))
    if request.format.schema is not None:
        total += _json(request.format.schema)
    return total


def _message(message: Message) -> int:
    return _MESSAGE + sum(map(_part, message.parts))


def _tool(tool: object) -> int:
    if isinstance(tool, HostedTool):
        return _TOOL + _json(tool.raw) + _TOOLS  # its schema is not seen, but counts
    return _TOOL + _json(tool)


def _json(value: object) -> int:
    return estimate_text(_encode(value).decode())


def _part(part: Part) -> int:
    match part:
        case Text() | Thinking() | Refusal():
            return estimate_text(part.text)
        case ToolCall():
            return _BLOCK + estimate_text(part.name) + estimate_text(part.arguments)
        case ToolResult():
            return _BLOCK + sum(map(_part, part.parts))
        case Image():
            return _IMAGE
        case File():
            return _file(part.blob) + estimate_text((part.name or "") + (part.context or ""))
        case Audio():
            return _size(part.blob) // _AUDIO_BYTES + estimate_text(part.transcript or "")
        case ServerTool():
            return _BLOCK + max(estimate_text(part.text), _json(part.extra))
        case Opaque():
            return max(estimate_text(part.text), _json(part.raw))


def _file(blob: Blob) -> int:
    if blob.text is not None:
        return estimate_text(blob.text)
    if (blob.media_type or "").startswith("text/"):
        return math.ceil(_size(blob) / _ASCII)
    return _PDF_PAGE * (1 + _size(blob) // _PDF_PAGE_BYTES)


def _size(blob: Blob) -> int:
    """Bytes; of what is not here, none are known."""
    return len(blob.data or "") * 3 // 4
