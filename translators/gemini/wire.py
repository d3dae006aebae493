"""The shapes of Gemini's JSON, and what else the parts of this package share.

Google's JSON may be spelt in two ways, `inlineData` and `inline_data`, and its own Python SDK mixes them in one
request. `spelled` turns every key that is Gemini's into camelCase, level by level by the table of shapes; what a user
owns (arguments, results, schemas, labels) is not looked into. Base64 comes in two alphabets, with or without padding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ..model import Extra

NAME = "gemini"
HEADERS: Mapping[str, str] = {"content-type": "application/json"}
TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
TOOL_NAME_LENGTH = 128
CALL_ID = re.compile(r"[!-~]{1,128}")

# Accepted in the place of a signature, for calls that no Gemini model made: base64 of skip_thought_signature_validator
SENTINEL = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="

encode = msgspec.json.Encoder().encode
Json = dict[str, Any]


def own(extra: Extra) -> Json:
    """What this protocol has to get back."""
    return extra.get(NAME, {})


def signed(signature: str | None) -> Extra:
    """The extra of a part with a thought signature."""
    return {NAME: {"signature": signature}} if signature and signature.rstrip("=") != SENTINEL.rstrip("=") else {}


_URL_SAFE = str.maketrans("-_", "+/")


def standard_base64(data: str) -> str:
    """The standard alphabet, padded, without line ends."""
    if any(char in data for char in "-_"):
        data = data.translate(_URL_SAFE)
    if any(char in data for char in "\r\n \t"):
        data = "".join(data.split())
    return data + "=" * (-len(data) % 4)


# ------------------------------------------------------------------------------------------------ spelling

# Of each message of Google's: its fields in camelCase, and the message that stands in a field ("" where there is none,
# or where a user's own data begins).
_SHAPES: dict[str, dict[str, str]] = {
    "count": {"contents": "content", "generateContentRequest": "request", "model": ""},
    "request": {
        "contents": "content", "systemInstruction": "content", "tools": "tool", "toolConfig": "toolConfig",
        "safetySettings": "", "cachedContent": "", "serviceTier": "", "generationConfig": "generation",
        "generateContentRequest": "request",
    },
    "content": {"role": "", "parts": "part"},
    "part": {
        "inlineData": "blob", "fileData": "blob", "functionCall": "call", "functionResponse": "result",
        "executableCode": "", "codeExecutionResult": "", "toolCall": "", "toolResponse": "", "thoughtSignature": "",
        "videoMetadata": "video", "mediaResolution": "", "partMetadata": "",
    },
    "blob": {"mimeType": "", "displayName": "", "fileUri": ""},
    "video": {"startOffset": "", "endOffset": ""},
    "call": {"willContinue": "", "partialArgs": ""},
    "result": {"willContinue": "", "parts": "part"},
    "tool": {
        "functionDeclarations": "declaration", "googleSearch": "", "googleSearchRetrieval": "", "urlContext": "",
        "codeExecution": "", "fileSearch": "", "googleMaps": "", "computerUse": "", "mcpServers": "",
    },
    "declaration": {"parametersJsonSchema": "", "responseJsonSchema": ""},
    "toolConfig": {
        "functionCallingConfig": "calling", "retrievalConfig": "", "includeServerSideToolInvocations": "",
    },
    "calling": {"allowedFunctionNames": ""},
    "generation": {
        "topP": "", "topK": "", "candidateCount": "", "maxOutputTokens": "", "stopSequences": "", "presencePenalty": "",
        "frequencyPenalty": "", "responseLogprobs": "", "responseMimeType": "", "responseSchema": "",
        "responseJsonSchema": "", "responseFormat": "format", "responseModalities": "", "mediaResolution": "",
        "speechConfig": "", "imageConfig": "", "thinkingConfig": "thinking", "continuationToken": "",
    },
    "thinking": {"thinkingLevel": "", "thinkingBudget": "", "includeThoughts": ""},
    "answer": {
        "candidates": "candidate", "promptFeedback": "feedback", "usageMetadata": "usage", "modelVersion": "",
        "responseId": "",
    },
    "candidate": {
        "content": "content", "finishReason": "", "finishMessage": "", "groundingMetadata": "grounding",
        "citationMetadata": "", "logprobsResult": "logprobs",
    },
    "logprobs": {"chosenCandidates": "likely", "topCandidates": "place"},
    "place": {"candidates": "likely"},
    "likely": {"logProbability": "", "tokenId": ""},
    "feedback": {"blockReason": "", "blockReasonMessage": ""},
    "usage": {
        "promptTokenCount": "", "candidatesTokenCount": "", "totalTokenCount": "", "thoughtsTokenCount": "",
        "cachedContentTokenCount": "", "toolUsePromptTokenCount": "",
    },
    "grounding": {"groundingChunks": "", "groundingSupports": "support", "webSearchQueries": ""},
    "support": {"segment": "segment", "groundingChunkIndices": ""},
    "segment": {"startIndex": "", "endIndex": "", "partIndex": ""},
    "format": {"text": "textFormat"},
    "textFormat": {"mimeType": ""},
    "embed": {
        "content": "content", "taskType": "", "outputDimensionality": "", "embedContentConfig": "embed",
        "autoTruncate": "",
    },
}  # fmt: skip


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)


# Of each message: either spelling of a field -> its camelCase and the message in it; only fields that need a look
_FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    shape: {
        spelling: (name, inner)
        for name, inner in fields.items()
        for spelling in (name, _snake(name))
        if inner or spelling != name
    }
    for shape, fields in _SHAPES.items()
}
_NAMES = {spelling for fields in _FIELDS.values() for spelling, (name, _) in fields.items() if spelling != name}
_SPELT = re.compile(rb'"(?:' + b"|".join(sorted(name.encode() for name in _NAMES)) + rb')"\s*:')

_FIELDS_OF: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])
_ITEMS_OF: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])


def spelled(fields: dict[str, Raw], shape: str = "request") -> dict[str, Raw]:
    """The fields of a request, all of Gemini's own keys in camelCase. Where a key is there in both spellings, the
    camelCase one counts. Costs one search where there is nothing to change."""
    known = _FIELDS[shape]
    out: dict[str, Raw] = {}
    for name, raw in fields.items():
        camel, inner = known.get(name, (name, ""))
        if inner and _SPELT.search(raw):
            raw = _respelled(raw, inner)
        if camel == name or camel not in fields:
            out[camel] = raw
    return out


def spelled_answer(data: bytes) -> bytes:
    """An answer's message in camelCase: some gateways hand out the other spelling."""
    found = _SPELT.search(data) is not None and data.lstrip()[:1] == b"{"
    return encode(spelled(_FIELDS_OF.decode(data), "answer")) if found else data


def _respelled(raw: Raw, shape: str) -> Raw:
    start = bytes(raw).lstrip()[:1]
    if start == b"[":
        return Raw(encode([_respelled(item, shape) for item in _ITEMS_OF.decode(raw)]))
    if start != b"{":
        return raw
    return Raw(encode(spelled(_FIELDS_OF.decode(raw), shape)))


# ------------------------------------------------------------------------------------------------ shapes


class WireBlob(Struct, rename="camel"):
    """`inlineData` or `fileData`."""

    mime_type: str | None = None
    data: str = ""
    file_uri: str = ""


class WireCall(Struct, rename="camel"):
    name: str | None = None
    id: str | None = None
    args: Raw | UnsetType = UNSET
    partial_args: list[Json] | None = None
    will_continue: bool | None = None


class WireResult(Struct, rename="camel"):
    name: str | None = None
    id: str | None = None
    response: Raw | UnsetType = UNSET
    parts: list[WirePart] | None = None


class WirePart(Struct, rename="camel"):
    """One field says what it is; `thought` and `thoughtSignature` stand beside it."""

    text: str | None = None
    inline_data: WireBlob | None = None
    file_data: WireBlob | None = None
    function_call: WireCall | None = None
    function_response: WireResult | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    executable_code: Any = None
    code_execution_result: Any = None
    tool_call: Any = None
    tool_response: Any = None


class WireContent(Struct, rename="camel"):
    role: str | None = None
    parts: list[WirePart] | WirePart | None = None  # Google's own examples leave the list out

    @property
    def all(self) -> list[WirePart]:
        parts = self.parts
        return parts if isinstance(parts, list) else [] if parts is None else [parts]


class WireInstructions(WireContent, rename="camel"):
    """A content, or one of its parts where the content was left out."""

    text: str | None = None


WireInstruction = WireInstructions | str


class WireDeclaration(Struct, rename="camel"):
    name: str
    description: str | None = None
    parameters: Json | None = None
    parameters_json_schema: Json | bool | None = None
    behavior: str | None = None
    response: Json | None = None
    response_json_schema: Any = None


class WireCalling(Struct, rename="camel"):
    mode: str | None = None
    allowed_function_names: list[str] | None = None


class WireToolConfig(Struct, rename="camel"):
    function_calling_config: WireCalling | None = None


class WireThinking(Struct, rename="camel"):
    thinking_level: str | None = None
    thinking_budget: int | None = None
    include_thoughts: bool | None = None


class WireTextFormat(Struct, rename="camel"):
    mime_type: str | None = None
    schema: Json | None = None


class WireFormat(Struct, rename="camel"):
    text: WireTextFormat | None = None


CONTENTS: msgspec.json.Decoder[list[WireContent]] = msgspec.json.Decoder(list[WireContent])
SYSTEM: msgspec.json.Decoder[list[WireInstruction] | WireInstruction] = msgspec.json.Decoder(
    list[WireInstruction] | WireInstruction
)
TOOLS: msgspec.json.Decoder[list[dict[str, Raw]]] = msgspec.json.Decoder(list[dict[str, Raw]])
DECLARATIONS: msgspec.json.Decoder[list[WireDeclaration]] = msgspec.json.Decoder(list[WireDeclaration])
TOOL_CONFIG: msgspec.json.Decoder[WireToolConfig] = msgspec.json.Decoder(WireToolConfig)
THINKING: msgspec.json.Decoder[WireThinking] = msgspec.json.Decoder(WireThinking)
FORMATS: msgspec.json.Decoder[list[WireFormat] | WireFormat] = msgspec.json.Decoder(list[WireFormat] | WireFormat)
FIELDS = _FIELDS_OF
OBJECT: msgspec.json.Decoder[Json] = msgspec.json.Decoder(Json)
STRING: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)
STRINGS: msgspec.json.Decoder[list[str]] = msgspec.json.Decoder(list[str])
INTEGER: msgspec.json.Decoder[int] = msgspec.json.Decoder(int)
NUMBER: msgspec.json.Decoder[float] = msgspec.json.Decoder(float)
BOOLEAN: msgspec.json.Decoder[bool] = msgspec.json.Decoder(bool)
