"""What the bench says on both ends, in each protocol's own words: the stub's answers and the load's requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

WORD = "bench "


def encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def sse(value: Any, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return b"%bdata: %b\n\n" % (head.encode(), encoded(value))


# ------------------------------------------------------------------------------------------------ what the stub says


@dataclass(frozen=True)
class Voice:
    """One protocol's answers: a whole one, and the parts of a streamed one."""

    whole: bytes
    begin: bytes
    delta: bytes
    end: bytes
    content_type: bytes = b"text/event-stream"


def chat_voice() -> Voice:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return sse({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    answer = {"role": "assistant", "content": WORD * 20}
    choice = {"index": 0, "message": answer, "finish_reason": "stop"}
    whole = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
    tail = sse({**base, "choices": [], "usage": usage}) + b"data: [DONE]\n\n"
    begin = chunk({"role": "assistant", "content": ""})
    return Voice(encoded(whole), begin, chunk({"content": WORD}), chunk({}, "stop") + tail)


def anthropic_voice() -> Voice:
    usage = {"input_tokens": 10, "output_tokens": 10}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    whole = {**message, "content": [{"type": "text", "text": WORD * 20}], "stop_reason": "end_turn", "usage": usage}

    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, kind)

    begin = event("message_start", message={**message, "content": [], "stop_reason": None, "usage": usage})
    begin += event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    delta = event("content_block_delta", index=0, delta={"type": "text_delta", "text": WORD})
    end = event("content_block_stop", index=0)
    end += event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=usage)
    return Voice(encoded(whole), begin, delta, end + event("message_stop"))


def responses_voice() -> Voice:
    message = {"type": "message", "id": "msg_1", "role": "assistant"}
    content = {"type": "output_text", "text": WORD * 20, "annotations": []}
    item = {**message, "status": "completed", "content": [content]}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20, **details}
    tools = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}
    begun = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": [], **tools}
    whole = {**begun, "status": "completed", "output": [item], "usage": usage}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}

    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, "sequence_number": 1, **fields}, kind)

    begin = event("response.created", response={**begun, "status": "in_progress"})
    open_item = {**message, "status": "in_progress", "content": []}
    begin += event("response.output_item.added", output_index=0, item=open_item)
    begin += event("response.content_part.added", **place, part={**content, "text": ""})
    delta = event("response.output_text.delta", **place, delta=WORD, logprobs=[])
    # The stub does not know how many deltas it said: the ends repeat a text that every stream has begun with.
    short = {**item, "content": [{**content, "text": WORD}]}
    end = event("response.output_text.done", **place, text=WORD, logprobs=[])
    end += event("response.output_item.done", output_index=0, item=short)
    end += event("response.completed", response={**whole, "output": [short]})
    return Voice(encoded(whole), begin, delta, end)


def gemini_voice() -> Voice:
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 10, "totalTokenCount": 20}

    def chunk(text: str, **more: Any) -> dict[str, Any]:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **more}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r1"}

    whole = chunk(WORD * 20, finishReason="STOP")
    return Voice(encoded(whole), sse(chunk("")), sse(chunk(WORD)), sse(chunk("", finishReason="STOP")))


def ollama_voice() -> Voice:
    counts = {"total_duration": 9, "prompt_eval_count": 10, "eval_count": 10, "eval_duration": 5}

    def line(text: str, **more: Any) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": False, **more}

    end = {"done": True, "done_reason": "stop", **counts}
    begin, delta, last = (encoded(value) + b"\n" for value in (line(""), line(WORD), line("", **end)))
    return Voice(encoded(line(WORD * 20, **end)), begin, delta, last, b"application/x-ndjson")


# by the last segment of the path; Gemini's holds the model and the method
VOICES = {
    b"messages": anthropic_voice(),
    b"completions": chat_voice(),
    b"responses": responses_voice(),
    b"generateContent": gemini_voice(),
    b"streamGenerateContent": gemini_voice(),
    b"chat": ollama_voice(),
}


def voice_of(path: bytes) -> Voice:
    """The answers of the protocol whose endpoint this is."""
    return VOICES[path.partition(b"?")[0].rpartition(b"/")[2].rpartition(b":")[2]]


# ------------------------------------------------------------------------------------------------ the requests

LINE = 'def area(width, height):\n    return f"{width * height} m²"  # a line of "code"\n'

TOOL = {
    "type": "object",
    "properties": {"path": {"type": "string", "description": "The file"}, "limit": {"type": "integer"}},
    "required": ["path"],
}


def filler(size: int) -> str:
    return (LINE * (size // len(LINE) + 1))[:size]


def chat_body(model: str, stream: bool, messages: int = 4, size: int = 400) -> dict[str, Any]:
    """A conversation with a tool, of so many messages of so many characters each."""
    turns: list[dict[str, Any]] = [{"role": "system", "content": "You are helpful."}]
    for n in range(0, messages, 4):
        function = {"name": "read", "arguments": json.dumps({"path": "a.py", "text": filler(size)})}
        turns += [
            {"role": "user", "content": filler(size)},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": f"call_{n}", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": f"call_{n}", "content": filler(size)},
            {"role": "assistant", "content": filler(size)},
        ]
    turns.append({"role": "user", "content": "Go on."})
    tool = {"type": "function", "function": {"name": "read", "description": "Reads a file", "parameters": TOOL}}
    return {"model": model, "max_tokens": 1000, "stream": stream, "messages": turns, "tools": [tool]}


def anthropic_body(model: str, stream: bool, messages: int = 4, size: int = 400) -> dict[str, Any]:
    """The same conversation as `chat_body`."""
    turns: list[dict[str, Any]] = []
    for n in range(0, messages, 4):
        arguments = {"path": "a.py", "text": filler(size)}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": filler(size)}
        turns += [
            {"role": "user", "content": filler(size)},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": f"toolu_{n}", "name": "read", "input": arguments}],
            },
            {"role": "user", "content": [result]},
            {"role": "assistant", "content": [{"type": "text", "text": filler(size)}]},
        ]
    turns.append({"role": "user", "content": "Go on."})
    tools = [{"name": "read", "description": "Reads a file", "input_schema": TOOL}]
    return {
        "model": model,
        "max_tokens": 1000,
        "stream": stream,
        "system": "You are helpful.",
        "messages": turns,
        "tools": tools,
    }


def responses_body(model: str, stream: bool, messages: int = 4, size: int = 400) -> dict[str, Any]:
    """The same conversation as `chat_body`."""
    turns: list[dict[str, Any]] = []
    for n in range(0, messages, 4):
        arguments = json.dumps({"path": "a.py", "text": filler(size)})
        turns += [
            {"role": "user", "content": filler(size)},
            {"type": "function_call", "call_id": f"call_{n}", "name": "read", "arguments": arguments},
            {"type": "function_call_output", "call_id": f"call_{n}", "output": filler(size)},
            {"role": "assistant", "content": filler(size)},
        ]
    turns.append({"role": "user", "content": "Go on."})
    tool = {"type": "function", "name": "read", "description": "Reads a file", "parameters": TOOL}
    body = {"model": model, "max_output_tokens": 1000, "stream": stream, "instructions": "You are helpful."}
    return {**body, "input": turns, "tools": [tool]}


def gemini_body(model: str, stream: bool, messages: int = 4, size: int = 400) -> dict[str, Any]:
    """The same conversation as `chat_body`. Model and stream stand in the path."""
    contents: list[dict[str, Any]] = []

    def say(role: str, part: dict[str, Any]) -> None:
        contents.append({"role": role, "parts": [part]})

    for n in range(0, messages, 4):
        arguments, result = {"path": "a.py", "text": filler(size)}, {"output": filler(size)}
        say("user", {"text": filler(size)})
        say("model", {"functionCall": {"id": f"call_{n}", "name": "read", "args": arguments}})
        say("user", {"functionResponse": {"id": f"call_{n}", "name": "read", "response": result}})
        say("model", {"text": filler(size)})
    say("user", {"text": "Go on."})
    tool = {"name": "read", "description": "Reads a file", "parametersJsonSchema": TOOL}
    system = {"parts": [{"text": "You are helpful."}]}
    tools = [{"functionDeclarations": [tool]}]
    settings = {"maxOutputTokens": 1000}
    return {"systemInstruction": system, "contents": contents, "tools": tools, "generationConfig": settings}


def ollama_body(model: str, stream: bool, messages: int = 4, size: int = 400) -> dict[str, Any]:
    """The same conversation as `chat_body`."""
    turns: list[dict[str, Any]] = [{"role": "system", "content": "You are helpful."}]
    for _ in range(0, messages, 4):
        function = {"name": "read", "arguments": {"path": "a.py", "text": filler(size)}}
        turns += [
            {"role": "user", "content": filler(size)},
            {"role": "assistant", "content": "", "tool_calls": [{"function": function}]},
            {"role": "tool", "tool_name": "read", "content": filler(size)},
            {"role": "assistant", "content": filler(size)},
        ]
    turns.append({"role": "user", "content": "Go on."})
    tool = {"type": "function", "function": {"name": "read", "description": "Reads a file", "parameters": TOOL}}
    return {"model": model, "stream": stream, "messages": turns, "tools": [tool], "options": {"num_predict": 1000}}


BODIES: dict[str, tuple[str, Callable[..., dict[str, Any]]]] = {
    "openai-chat": ("/v1/chat/completions", chat_body),
    "openai-responses": ("/v1/responses", responses_body),
    "anthropic": ("/v1/messages", anthropic_body),
    "gemini": ("/v1beta/models/{model}:{method}", gemini_body),
    "ollama": ("/api/chat", ollama_body),
}


def path_of(protocol: str, model: str, stream: bool) -> str:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return BODIES[protocol][0].format(model=model, method=method)


def request(protocol: str, model: str, *, messages: int = 4, size: int = 400, stream: bool | None = None) -> bytes:
    """The bytes of one HTTP request; it asks for a stream where that or the model's name says so."""
    stream = "plain" not in model if stream is None else stream
    body = encoded(BODIES[protocol][1](model, stream, messages, size))
    head: Sequence[str] = (
        f"POST {path_of(protocol, model, stream)} HTTP/1.1",
        "host: 127.0.0.1",
        "content-type: application/json",
        "anthropic-version: 2023-06-01",
        f"content-length: {len(body)}",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
