"""Gemini wires with something wrong in them: a request is read or refused, an answer is read or is no answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests import lawful
from translators import gemini
from translators.codec import Seed, Wire
from translators.model import BadRequest, UpstreamFault

SEED = Seed("a" * 24, 1)
JUNK: tuple[Any, ...] = (None, 1, -1.5, "x", True, [], {}, [None], [[]], [{}], {"x": {}}, "\ud83d")

REQUEST: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "s"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                                   {"fileData": {"fileUri": "files/1", "mimeType": "video/mp4"}}, {"new": {"a": 1}}]},
        {"role": "model", "parts": [{"text": "t", "thought": True}, {"executableCode": {"code": "1"}},
                                    {"functionCall": {"id": "i", "name": "f", "args": {"a": 1}}}]},
        {"role": "user", "parts": [{"function_response": {"id": "i", "name": "f", "response": {"output": "x"},
                                                          "parts": [{"text": "y"}]}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": {
        "type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}}}]}, {"googleSearch": {}}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "temperature": 1, "topK": 4, "stopSequences": ["a"], "thinkingConfig": {"thinkingLevel": "LOW"},
        "responseFormat": [{"text": {"mimeType": "application/json", "schema": {"type": "object"}}}],
        "responseLogprobs": True, "logprobs": 2, "responseModalities": ["TEXT"],
    },
    "serviceTier": "flex", "labels": {"a": "b"}, "safetySettings": [{}],
}  # fmt: skip
ANSWER: dict[str, Any] = {
    "candidates": [{
        "content": {"role": "model", "parts": [
            {"text": "t", "thought": True}, {"text": "é", "thoughtSignature": "c2ln"},
            {"functionCall": {"id": "i", "name": "f", "args": {"a": 1}}},
            {"inlineData": {"mimeType": "image/png", "data": "aGk="}}, {"codeExecutionResult": {"output": "1"}},
            {"text": "end"},
        ]},
        "finishReason": "STOP", "index": 0, "citationMetadata": {"citations": [{"uri": "u", "endIndex": 2}]},
        "groundingMetadata": {"groundingChunks": [{"web": {"uri": "u", "title": "t"}}], "groundingSupports": [
            {"segment": {"startIndex": 0, "endIndex": 1}, "groundingChunkIndices": [0]}]},
    }],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2}, "modelVersion": "m", "responseId": "r",
}  # fmt: skip


def spoiled(value: Any) -> Iterator[Any]:
    """The value with one thing in it replaced or left out, for each thing and each kind of junk."""
    yield from JUNK
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        for junk in spoiled(inner):
            copy = dict(value) if isinstance(value, dict) else list(value)
            copy[key] = junk
            yield copy
        if isinstance(value, dict):
            yield {name: kept for name, kept in value.items() if name != key}


def test_a_spoiled_request_is_read_or_refused() -> None:
    read = refused = 0
    for value in spoiled(REQUEST):
        try:
            request = gemini.parse_request(Wire("/v1/models/m:generateContent", json.dumps(value).encode()))
        except BadRequest:
            refused += 1
            continue
        read += 1
        rendered = gemini.render_request(request)
        json.loads(rendered.wire.body)
    assert read > 100 and refused > 100


def test_a_spoiled_answer_is_read_or_is_none() -> None:
    read = refused = 0
    for value in spoiled(ANSWER):
        body = json.dumps(value).encode()
        try:
            gemini.parse_response(body, SEED)
            read += 1
        except (msgspec.DecodeError, UnicodeDecodeError, UpstreamFault):
            refused += 1
        decoder = gemini.decoder(SEED)
        events = decoder.feed(b"data: " + body + b"\r\n\r\n") + decoder.feed(b"")
        assert decoder.crash is None, (value, decoder.crash)
        lawful.check(events)
    assert read > 100 and refused > 50


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"contents": ' + b"[" * 5000, b"\xff\xfe"])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        gemini.parse_request(Wire("/v1/models/m:generateContent", body))
