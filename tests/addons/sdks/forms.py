"""The SDKs' own request types as judges of what we send upstream, and their strictest reading of what we answer.

A TypedDict passes over keys that it does not know, and an `Iterable` is only looked at when it is walked: so the result
is walked to its end and compared with what went in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

import anthropic.types as claude
import ollama
import openai.types.chat.completion_create_params as chat
import openai.types.responses.response_create_params as responses
from google.genai import types as gemini
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.addons.sdks.reads import camel, protocol_of

Json = dict[str, Any]

_TYPES: dict[str, Any] = {
    "openai-chat": (chat.CompletionCreateParamsNonStreaming, chat.CompletionCreateParamsStreaming),
    "openai-responses": (responses.ResponseCreateParamsNonStreaming, responses.ResponseCreateParamsStreaming),
    "anthropic": (
        claude.message_create_params.MessageCreateParamsNonStreaming,
        claude.message_create_params.MessageCreateParamsStreaming,
    ),
}


@cache
def _adapter(protocol: str, stream: bool) -> TypeAdapter[Any]:
    return TypeAdapter(_TYPES[protocol][stream])


def _walked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _walked(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)) or (not isinstance(value, (str, bytes)) and isinstance(value, Iterator)):
        return [_walked(entry) for entry in value]
    return value


def check_request(path: str, body: Json) -> None:
    """Raises where the protocol's own SDK does not know what is asked."""
    protocol = protocol_of(path)
    if protocol == "gemini":
        _check_gemini(camel(body))
    elif protocol == "ollama":
        _check_ollama(body)
    else:
        body = {**body, "input": [_codex(item) for item in body["input"]]} if "input" in body else body
        read = _walked(_adapter(protocol, bool(body.get("stream"))).validate_python(body))
        assert read == body, f"the SDK does not know all of {body}\nit read {read}"


def _codex(item: Json) -> Json:
    """What is in no type of the SDK, but is how Codex sends its history: an assistant's message without id and status,
    and a thought without id, since an id that the server does not know is a 404."""
    if item.get("type") == "reasoning":
        return {"id": "rs_1", **item}
    if item.get("role") != "assistant":
        return item
    content = [{"annotations": [], **part} if part["type"] == "output_text" else part for part in item["content"]]
    return {"id": "msg_1", "status": "completed", **item, "content": content}


_GEMINI = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "store"}


def _check_gemini(body: Json) -> None:
    assert set(body) <= _GEMINI
    for content in [*body["contents"], body.get("systemInstruction") or {"parts": [{"text": "-"}]}]:
        gemini.Content.model_validate(content)
        assert content["parts"], "a content without parts is a 400"
    for tool in body.get("tools") or ():
        gemini.Tool.model_validate(tool)
    gemini.ToolConfig.model_validate(body.get("toolConfig") or {})
    gemini.GenerationConfig.model_validate(body.get("generationConfig") or {})


_OLLAMA_MESSAGE = {"role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"}


def _check_ollama(body: Json) -> None:
    read = ollama._types.ChatRequest.model_validate(body)
    known = {*type(read).model_fields, "truncate", "shift"}
    assert set(body) <= known
    for message in body["messages"]:
        assert set(message) <= _OLLAMA_MESSAGE
        ollama.Message.model_validate({**message, "images": [{"value": data} for data in message.get("images", ())]})
    for tool in body.get("tools") or ():
        assert ollama.Tool.model_validate(tool).function.parameters.type == "object"


# ------------------------------------------------------------------------------------------------ answers


@cache
def _events() -> dict[str, TypeAdapter[Any]]:
    members = get_args(get_args(ResponseStreamEvent)[0])
    return {get_args(member.model_fields["type"].annotation)[0]: TypeAdapter(member) for member in members}


def check_responses_stream(body: bytes) -> None:
    """Each event by its own type. `keepalive` is the server's own and in none of them."""
    before = -1
    for frame in filter(None, body.split(b"\n\n")):
        head, data = frame.split(b"\n", 1)
        event = json.loads(data.removeprefix(b"data: "))
        number = event["sequence_number"]
        assert number == before + 1 or (event["type"] == "response.failed" and number > before)
        before = number
        assert head == b"event: " + event["type"].encode()
        if event["type"] != "keepalive":
            _events()[event["type"]].validate_python(event)


def check_gemini_answer(body: bytes) -> None:
    """Whole or a stream. The client passes over keys that it does not know, the types forbid them."""
    texts = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")] or [body]
    for text in texts:
        gemini.GenerateContentResponse.model_validate(json.loads(text))


_LINE = {"model", "created_at", "message", "done"}
_LAST = {"done_reason", "total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration"}
_LAST |= {"eval_count", "eval_duration"}


def check_ollama_answer(body: bytes) -> None:
    """Whole or a stream. The client's types make everything optional, the server's answers do not."""
    lines = [json.loads(line) for line in body.rstrip(b"\n").split(b"\n")]
    for line in lines[:-1]:
        assert set(line) == _LINE and line["done"] is False
    assert set(lines[-1]) == _LINE | _LAST and lines[-1]["done"] is True
    for line in lines:
        ollama.ChatResponse.model_validate(line, strict=True)
        assert set(line["message"]) <= {"role", "content", "thinking", "tool_calls", "images"}
