"""The shapes of Responses, as clients and servers really send them, and their decoders.

A conversation is a list of items, and each kind of item has its own shape. An item is therefore decoded twice: its
kind first, and then as what it is, so that kinds that nobody here knows pass through whatever they hold.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

NAME = "openai-responses"
Json = dict[str, Any]

encode = msgspec.json.Encoder().encode
Scalar = int | float | bool | None


def dumps(value: Any) -> str:
    """Compact JSON text, keys in their own order."""
    return encode(value).decode()


def decoder[T](type: type[T] | Any) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(type)


def own(extra: dict[str, dict[str, Any]]) -> Json:
    """What only this protocol understands of a part, a tool or a request."""
    return extra.get(NAME) or {}


class WireKind(Struct):
    type: str | None = None
    role: str | None = None


class WireImage(Struct):
    url: str
    detail: str | None = None


class WireMark(Struct):
    ttl: str | None = None


class WireAudio(Struct):
    data: str
    format: str | None = None


class WirePart(Struct):
    type: str = "text"
    text: str | None = None
    refusal: str | None = None
    image_url: str | WireImage | None = None
    input_audio: WireAudio | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None
    annotations: list[Any] | None = None
    prompt_cache_breakpoint: WireMark | None = None


class WireMessage(Struct):
    content: str | list[WirePart | str] | None = None
    role: str = "assistant"
    id: str | None = None
    phase: str | None = None
    status: str | None = None


class WireCall(Struct):
    """`function_call`, `custom_tool_call` and `tool_search_call`."""

    name: str | None = None
    call_id: str | None = None
    id: str | None = None
    arguments: str | dict[str, Any] | None = None
    input: str | None = None
    namespace: str | None = None
    execution: str | None = None


class WireOutput(Struct):
    call_id: str | None = None
    name: str | None = None
    id: str | None = None
    output: str | list[WirePart | str] | dict[str, Any] | Scalar = None


class WireReasoning(Struct):
    summary: list[WirePart | str] | str | None = None
    content: list[WirePart | str] | str | None = None
    encrypted_content: str | None = None
    id: str | None = None


class WireTools(Struct):
    """`additional_tools` and `tool_search_output`: tools that come with the conversation."""

    tools: list[Raw] | None = None
    call_id: str | None = None
    execution: str | None = None


class WireGrammar(Struct):
    type: str = "text"
    definition: str | None = None
    syntax: str | None = None


class WireFunction(Struct):
    """Chat's nesting, which some clients send here."""

    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | bool | None = None
    strict: bool | None = None


class WireTool(Struct):
    type: str | None = None
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | bool | None = None
    strict: bool | None = None
    format: WireGrammar | None = None
    tools: list[Raw] | None = None
    function: WireFunction | None = None
    execution: str | None = None
    server_label: str | None = None


class WireChoice(Struct):
    type: str | None = None
    name: str | None = None
    mode: str = "auto"
    tools: list[WireChoice] | None = None
    function: WireFunction | None = None
    server_label: str | None = None


class WireFormat(Struct):
    type: str = "text"
    name: str | None = None
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class WireText(Struct):
    format: WireFormat | None = None
    verbosity: str | None = None


class WireEffort(Struct):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


KIND: msgspec.json.Decoder[WireKind] = decoder(WireKind)
MESSAGE: msgspec.json.Decoder[WireMessage] = decoder(WireMessage)
CALL: msgspec.json.Decoder[WireCall] = decoder(WireCall)
OUTPUT: msgspec.json.Decoder[WireOutput] = decoder(WireOutput)
REASONING: msgspec.json.Decoder[WireReasoning] = decoder(WireReasoning)
ITEM_TOOLS: msgspec.json.Decoder[WireTools] = decoder(WireTools)
SETTINGS: msgspec.json.Decoder[dict[str, Raw]] = decoder(dict[str, Raw])
INPUT: msgspec.json.Decoder[str | list[Raw]] = decoder(str | list[Raw])
TOOLS: msgspec.json.Decoder[list[Raw]] = decoder(list[Raw])
TOOL: msgspec.json.Decoder[WireTool] = decoder(WireTool)
CHOICE: msgspec.json.Decoder[str | WireChoice] = decoder(str | WireChoice)
TEXT: msgspec.json.Decoder[WireText] = decoder(WireText)
EFFORT: msgspec.json.Decoder[WireEffort] = decoder(WireEffort)
STRING: msgspec.json.Decoder[str] = decoder(str)
STRINGS: msgspec.json.Decoder[list[str]] = decoder(list[str])
INTEGER: msgspec.json.Decoder[int] = decoder(int)
NUMBER: msgspec.json.Decoder[float] = decoder(float)
BOOLEAN: msgspec.json.Decoder[bool] = decoder(bool)
OBJECT: msgspec.json.Decoder[dict[str, Any]] = decoder(dict[str, Any])
