"""The transcripts against the official SDKs' own types: what we send is what their methods take, what we answer is what
they read, with no field that they do not know.

The clients themselves run elsewhere, over a socket; here every file is checked against the types, field by field.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import anthropic.types as an
import ollama
import openai.types.chat as cc
import openai.types.responses as rs
import pytest
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from google.genai import types as gm
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
from pydantic import BaseModel, TypeAdapter

from tests.transcribed import NAMES, ROOT, Json, load, response, stream
from translators import CODECS

EACH_NAME = pytest.mark.parametrize("name", NAMES)


def settled(value: Any) -> Any:
    """What pydantic read, with everything in it that it would read only later (`Iterable` is lazy)."""
    if isinstance(value, Mapping):
        return {name: settled(item) for name, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [settled(item) for item in value]
    return value


def unknown(value: Any, path: str = "") -> list[str]:
    """The fields that an SDK that takes anything took without knowing them."""
    if isinstance(value, BaseModel):
        extra = [f"{path}.{name}" for name in value.model_extra or ()]
        inner = [
            found for name in type(value).model_fields for found in unknown(getattr(value, name), f"{path}.{name}")
        ]
        return extra + inner
    if isinstance(value, list):
        return [found for item in value for found in unknown(item, path)]
    return []


def frames(data: bytes) -> list[Any]:
    """The JSON of the frames of a stream."""
    lines = (line.removeprefix(b"data: ") for line in data.replace(b"\r\n", b"\n").split(b"\n"))
    return [json.loads(line) for line in lines if line.startswith(b"{")]


# ------------------------------------------------------------------------------------------------ requests

# What the SDKs have no argument for, and servers take: Anthropic's older models, and the sampling of the older version.
BEYOND = {"anthropic": {"temperature", "top_k"}}
PARAMS: dict[str, TypeAdapter[Any]] = {
    "openai-chat": TypeAdapter(CompletionCreateParamsStreaming),
    "openai-responses": TypeAdapter(ResponseCreateParamsStreaming),
    "anthropic": TypeAdapter(MessageCreateParamsStreaming),
}


@EACH_NAME
@pytest.mark.parametrize("protocol", PARAMS)
def test_a_request_is_what_the_method_takes(name: str, protocol: str) -> None:
    body = {
        field: value
        for field, value in load(name, f"{protocol}.request.json").items()
        if field not in BEYOND.get(protocol, ())
    }
    if protocol == "openai-responses":
        body = {**body, "input": [{**OPTIONAL.get(kind(item), {}), **item} for item in body["input"]]}
    assert settled(PARAMS[protocol].validate_python(body)) == body


# What the types demand of items that OpenAI did not store, and the server does not: Codex leaves it out as well.
OPTIONAL: dict[str, Json] = {
    "message-assistant": {"id": "msg_1", "status": "completed"},
    "reasoning": {"id": "rs_1"},
}


def kind(item: Json) -> str:
    return "-".join(filter(None, (item["type"], item.get("role"))))


GEMINI_PARTS: dict[str, Callable[[Any], Any]] = {
    "contents": lambda value: [gm.Content.model_validate(item) for item in value],
    "systemInstruction": gm.Content.model_validate,
    "tools": lambda value: [gm.Tool.model_validate(item) for item in value],
    "toolConfig": gm.ToolConfig.model_validate,
    "generationConfig": gm.GenerationConfig.model_validate,
    "serviceTier": gm.ServiceTier,
    "labels": TypeAdapter(dict[str, str]).validate_python,
    "store": TypeAdapter(bool).validate_python,
}


@EACH_NAME
def test_a_request_of_gemini_is_made_of_its_types(name: str) -> None:
    """Which take no field that they do not know; a value that they do not know is a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for field, value in load(name, "gemini.request.json").items():
            GEMINI_PARTS[field](value)


@EACH_NAME
def test_a_request_of_ollama_is_made_of_its_types(name: str) -> None:
    """They drop what they do not know: the ids of calls, the `truncate` of the server, and most of a schema."""
    body = load(name, "ollama.request.json")
    read = ollama._types.ChatRequest.model_validate(body).model_dump(exclude_none=True)
    assert {*body} - {*read} <= {"truncate"}
    for said, heard in zip(body["messages"], read["messages"], strict=True):
        assert {*said} - {*heard} <= {"tool_call_id"}
    assert {*body["options"]} == {*read["options"]}


# ------------------------------------------------------------------------------------------------ answers

WHOLE: dict[str, type[BaseModel]] = {
    "openai-chat": cc.ChatCompletion,
    "openai-responses": rs.Response,
    "anthropic": an.Message,
    "gemini": gm.GenerateContentResponse,
    "ollama": ollama.ChatResponse,
}
# Fields that are on the wire and not in the types; the SDKs keep them. Of Chat: of servers of open models, agents look
# for it. Of Responses: OpenAI's own, in each answer and on each call. Of Anthropic: known only at the end, from others.
KNOWN_BEYOND = {
    "openai-chat": {".choices.message.reasoning_content", ".choices.delta.reasoning_content"},
    "openai-responses": {
        ".store",
        ".response.store",
        ".output.status",
        ".response.output.status",
        ".item.status",
        ".obfuscation",
    },
    "anthropic": {".usage.cache_creation"},
}


def check(model: type[BaseModel], protocol: str, body: Json) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = model.model_validate(body)
    assert set(unknown(read)) <= KNOWN_BEYOND.get(protocol, set())


@EACH_NAME
@pytest.mark.parametrize("protocol", WHOLE)
def test_an_answer_is_what_the_sdk_reads(name: str, protocol: str) -> None:
    check(WHOLE[protocol], protocol, json.loads(response(name, CODECS[protocol])))


def events_of(union: Any) -> dict[str, type[BaseModel]]:
    """The classes of an SDK's events by their type."""
    found = (member for member in union.__args__[0].__args__)
    return {member.model_fields["type"].annotation.__args__[0]: member for member in found}


EVENTS = {
    "openai-responses": events_of(rs.ResponseStreamEvent),
    "anthropic": events_of(an.RawMessageStreamEvent),
}
CHUNKS: dict[str, type[BaseModel]] = {
    "openai-chat": cc.ChatCompletionChunk,
    "gemini": gm.GenerateContentResponse,
    "ollama": ollama.ChatResponse,
}


# Chat's freeform calls are not in the types of its chunks, and the SDK's own helper fails at them.
UNTYPED = {("custom-tool", "openai-chat")}


def check_stream(protocol: str, data: bytes) -> None:
    for frame in frames(data):
        known = CHUNKS.get(protocol) or EVENTS[protocol][frame["type"]]
        check(known, protocol, frame)


@EACH_NAME
@pytest.mark.parametrize("protocol", WHOLE)
def test_a_stream_is_what_the_sdk_reads(name: str, protocol: str) -> None:
    if (name, protocol) not in UNTYPED:
        check_stream(protocol, stream(name, CODECS[protocol]))


@pytest.mark.parametrize("protocol", WHOLE)
def test_the_golden_stream_is_what_the_sdk_reads(protocol: str) -> None:
    """So the data that stands for the provider is at least what its own SDK takes."""
    check_stream(protocol, (ROOT / "golden" / f"{protocol}.txt").read_bytes())
