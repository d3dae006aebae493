"""The shapes of a Chat Completions request, as clients really send them, and their decoders.

One permissive struct per thing: several forms of one field share it (a part may be of Chat or of Responses, arguments
may be text or an object), and `messages.py`, `parts.py` and `tools.py` give each its meaning. What a struct does not
name is passed over; top-level fields that nobody knows are kept by `request.py`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

NAME = "openai-chat"

encode = msgspec.json.Encoder().encode
Scalar = int | float | bool | None


def dumps(value: Any) -> str:
    """Compact JSON text, keys in their own order."""
    return encode(value).decode()


class WireImage(Struct):
    url: str
    detail: str | None = None


class WireAudio(Struct):
    data: str
    format: str | None = None


class WireFile(Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None
    file_url: str | None = None


class WireMark(Struct):
    """`cache_control` of Anthropic's style, or OpenAI's `prompt_cache_breakpoint`."""

    ttl: str | None = None


class WirePart(Struct):
    type: str = "text"
    text: str | None = None
    image_url: str | WireImage | None = None
    input_audio: WireAudio | None = None
    file: WireFile | None = None
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: str | None = None
    refusal: str | None = None
    thinking: str | None = None
    cache_control: WireMark | None = None
    prompt_cache_breakpoint: WireMark | None = None


class WireFunction(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    input: str | None = None


class WireCall(Struct):
    id: str | None = None
    type: str | None = None
    function: WireFunction | None = None
    custom: WireFunction | None = None
    extra_content: Any = None  # Google's


class WireMessage(Struct):
    role: str
    content: str | list[WirePart | str] | dict[str, Any] | Scalar = None
    name: str | None = None
    tool_calls: list[WireCall] | None = None
    tool_call_id: str | None = None
    function_call: WireFunction | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    audio: Any = None
    cache_control: WireMark | None = None


class WireGrammar(Struct):
    definition: str = ""
    syntax: str = ""


class WireFormat(Struct):
    """Of a custom tool: nested in Chat (`grammar: {…}`), flat in Responses."""

    type: str = "text"
    grammar: WireGrammar | None = None
    definition: str | None = None
    syntax: str | None = None


class WireToolBody(Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | bool | None = None
    strict: bool | None = None
    format: WireFormat | None = None
    cache_control: WireMark | None = None


class WireTool(Struct):
    """`function` and `custom` are Chat's nesting; Responses' shape has name, parameters and so on at this level."""

    type: str | None = None
    function: WireToolBody | None = None
    custom: WireToolBody | None = None
    name: str | None = None
    cache_control: WireMark | None = None


class WireChoiceName(Struct):
    name: str | None = None


class WireAllowed(Struct):
    mode: str = "auto"
    tools: list[WireChoice] = []


class WireChoice(Struct):
    type: str | None = None
    name: str | None = None
    function: WireChoiceName | None = None
    custom: WireChoiceName | None = None
    allowed_tools: WireAllowed | None = None
    mode: str | None = None
    tools: list[WireChoice] | None = None


class WireSchema(Struct):
    name: str | None = None
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class WireResponseFormat(Struct):
    type: str
    json_schema: WireSchema | None = None


class WireEffort(Struct):
    """The object forms of a reasoning setting: OpenRouter's `reasoning`, the Agents SDK's, Anthropic's `thinking`."""

    effort: str | None = None
    summary: str | None = None
    max_tokens: int | None = None
    budget_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None
    type: str | None = None


class WireStreamOptions(Struct):
    include_usage: bool | None = None


def decoder[T](type: type[T] | Any) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(type)


MESSAGES: msgspec.json.Decoder[list[WireMessage]] = decoder(list[WireMessage])
TOOLS: msgspec.json.Decoder[list[Raw]] = decoder(list[Raw])
TOOL: msgspec.json.Decoder[WireTool] = decoder(WireTool)
TOOL_BODY: msgspec.json.Decoder[WireToolBody] = decoder(WireToolBody)
CHOICE: msgspec.json.Decoder[str | WireChoice] = decoder(str | WireChoice)
RESPONSE_FORMAT: msgspec.json.Decoder[WireResponseFormat] = decoder(WireResponseFormat)
EFFORT: msgspec.json.Decoder[str | WireEffort] = decoder(str | WireEffort)
STREAM_OPTIONS: msgspec.json.Decoder[WireStreamOptions] = decoder(WireStreamOptions)
STOP: msgspec.json.Decoder[str | list[str]] = decoder(str | list[str])
STRING: msgspec.json.Decoder[str] = decoder(str)
STRINGS: msgspec.json.Decoder[list[str]] = decoder(list[str])
INTEGER: msgspec.json.Decoder[int] = decoder(int)
NUMBER: msgspec.json.Decoder[float] = decoder(float)
BOOLEAN: msgspec.json.Decoder[bool] = decoder(bool)
OBJECT: msgspec.json.Decoder[dict[str, Any]] = decoder(dict[str, Any])
BIAS: msgspec.json.Decoder[dict[str, float]] = decoder(dict[str, float])
