"""The shapes of Ollama's requests and answers, as clients and servers really send them, and their decoders.

A line of a stream and a whole answer are one shape; so are the answers of `/api/chat` (`message`) and of
`/api/generate` (`response`). Arguments of calls are objects here, and stay the bytes that they were.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

NAME = "ollama"
GENERATE = "generate"  # in a request's extra: the client spoke to /api/generate, and is answered in its shape
LOADS = "loads"  # there too: nothing was said, the model shall be loaded ("load") or forgotten ("unload")
IMAGES_NULL = "images_null"  # there too: the client wants `images` in every message, null where there are none

encode = msgspec.json.Encoder().encode
Json = dict[str, Any]
Count = int | float | None


class WireFunction(Struct, gc=False):
    name: str | None = None
    arguments: Raw = Raw(b"{}")


class WireCall(Struct, gc=False):
    function: WireFunction
    id: str | None = None


class WireMessage(Struct):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[WireCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    name: str | None = None


class WireFunctionTool(Struct):
    name: str
    description: str | None = None
    parameters: Json | bool | None = None


class WireTool(Struct):
    function: WireFunctionTool


class WireChoiceName(Struct):
    name: str


class WireChoice(Struct):
    """Not Ollama's own; its clients that know other servers too (Cline) send OpenAI's."""

    function: WireChoiceName


class WireAnswerMessage(Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[WireCall] | None = None
    images: list[str] | None = None


class WireAnswer(Struct, gc=False):
    message: WireAnswerMessage | None = None
    response: str | None = None
    done: bool | None = None
    model: str | None = None
    thinking: str | None = None
    image: str | None = None
    done_reason: str | None = None
    prompt_eval_count: Count = None
    eval_count: Count = None
    error: Any = None
    logprobs: Any = None


def decoder[T](type: type[T] | Any) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(type)


MESSAGES: msgspec.json.Decoder[list[WireMessage]] = decoder(list[WireMessage])
TOOLS: msgspec.json.Decoder[list[WireTool]] = decoder(list[WireTool])
CHOICE: msgspec.json.Decoder[str | WireChoice] = decoder(str | WireChoice)
ANSWER: msgspec.json.Decoder[WireAnswer] = decoder(WireAnswer)
FORMAT: msgspec.json.Decoder[str | Json] = decoder(str | Json)
THINK: msgspec.json.Decoder[bool | str] = decoder(bool | str)
OPTIONS: msgspec.json.Decoder[dict[str, Raw]] = decoder(dict[str, Raw])
STOP: msgspec.json.Decoder[str | list[str]] = decoder(str | list[str])
STRING: msgspec.json.Decoder[str] = decoder(str)
STRINGS: msgspec.json.Decoder[list[str]] = decoder(list[str])
# Go reads any number as an integer where it is one: Python clients send 2048.0.
INTEGER: msgspec.json.Decoder[int] = msgspec.json.Decoder(int, strict=False)
NUMBER: msgspec.json.Decoder[float] = decoder(float)
BOOLEAN: msgspec.json.Decoder[bool] = decoder(bool)


def arguments_of(call: WireCall) -> str:
    """The JSON text of a call's arguments. Some clients send it inside a string."""
    raw = bytes(call.function.arguments)
    if raw.startswith(b'"'):
        return STRING.decode(raw)
    return "" if raw == b"null" else raw.decode("utf-8", "replace")


def timestamp(seconds: int) -> str:
    """Unix seconds in RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
