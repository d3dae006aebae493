"""The scripted model's wires of Anthropic, Gemini and Ollama, and the table of all five."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from scripts.clients_model import Asked, Call, Said, Tool, Turn, pieces
from scripts.clients_openai import Chat, Responses
from scripts.clients_wires import SIGNATURE, Json, Wire, count, sse, text_of

# ------------------------------------------------------------------------------------------------ anthropic


class Anthropic(Wire):
    name = "anthropic"

    def asked(self, path: str, body: Json) -> Asked:
        form = (body.get("output_config") or {}).get("format") or {}
        return Asked(
            model=body["model"],
            stream=bool(body.get("stream")),
            said=(Said("system", text_of(body.get("system"))), *(self._said(m) for m in body["messages"])),
            tools=tuple(
                Tool(tool["name"], tool["input_schema"], description=tool.get("description", ""))
                for tool in body.get("tools") or ()
                if tool.get("type", "custom") == "custom" and not tool.get("defer_loading")
            ),
            schema=form.get("schema"),
            thinks=(body.get("thinking") or {}).get("type", "disabled") != "disabled",
            parallel=not (body.get("tool_choice") or {}).get("disable_parallel_tool_use"),
        )

    def _said(self, message: Json) -> Said:
        blocks = message["content"] if isinstance(message["content"], list) else []
        for block in blocks:
            if block["type"] == "thinking" and block["signature"] != SIGNATURE:
                raise ValueError(f"Invalid `signature` in `thinking` block: {block['signature'][:40]!r}")
        results = [block for block in blocks if block["type"] == "tool_result"]
        return Said(
            message["role"],
            text_of(message["content"]),
            tuple(block["id"] for block in blocks if block["type"] == "tool_use"),
            tuple((block["tool_use_id"], text_of(block.get("content"))) for block in results),
        )

    def _blocks(self, asked: Asked, turn: Turn) -> list[Json]:
        blocks: list[Json] = []
        if turn.thoughts and asked.thinks:
            blocks.append({"type": "thinking", "thinking": turn.thoughts, "signature": SIGNATURE})
        blocks.append({"type": "text", "text": turn.text})
        for call in turn.calls:
            made = json.loads(call.arguments)
            blocks.append({"type": "tool_use", "id": f"toolu_{call.id}", "name": call.tool.name, "input": made})
        return blocks

    def whole(self, asked: Asked, turn: Turn) -> Json:
        n = count(asked, turn)
        return {
            "id": "msg_scripted",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": self._blocks(asked, turn),
            "stop_reason": "tool_use" if turn.calls else "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": n.input,
                "output_tokens": n.output,
                "cache_read_input_tokens": 0,
                "cache_creation_input_tokens": 0,
            },
        }

    def _deltas(self, block: Json) -> Iterator[Json]:
        match block["type"]:
            case "thinking":
                for piece in pieces(block["thinking"]):
                    yield {"type": "thinking_delta", "thinking": piece}
                yield {"type": "signature_delta", "signature": block["signature"]}
            case "text":
                yield from ({"type": "text_delta", "text": piece} for piece in pieces(block["text"]))
            case "tool_use":
                for piece in ["", *pieces(json.dumps(block["input"], ensure_ascii=False))]:
                    yield {"type": "input_json_delta", "partial_json": piece}

    def _events(self, asked: Asked, turn: Turn) -> Iterator[Json]:
        message = self.whole(asked, turn)
        usage = message["usage"]
        begun = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
        yield {"type": "message_start", "message": begun}
        empty = {"thinking": "", "text": "", "signature": "", "input": {}}
        for index, block in enumerate(message["content"]):
            start = {name: value if name == "type" else empty.get(name, value) for name, value in block.items()}
            yield {"type": "content_block_start", "index": index, "content_block": start}
            yield {"type": "ping"}
            for delta in self._deltas(block):
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        stop = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        yield {"type": "message_delta", "delta": stop, "usage": usage}
        yield {"type": "message_stop"}

    def stream(self, asked: Asked, turn: Turn) -> Iterator[str]:
        return (sse(event, event["type"]) for event in self._events(asked, turn))

    def error(self, status: int, message: str) -> Json:
        kind = "invalid_request_error" if status == 400 else "overloaded_error"
        return {"type": "error", "error": {"type": kind, "message": message}}

    def failure(self, asked: Asked, message: str) -> str:
        return sse(self.error(529, message), "error")


# ------------------------------------------------------------------------------------------------ gemini


def either(body: Json, *names: str) -> Any:
    """The value under the first of several spellings; None where there is none."""
    return next((body[name] for name in names if body.get(name) is not None), None)


# What a call's signature may be: our own, or what Gemini takes for a call that another model made.
SIGNATURES = (SIGNATURE, base64.b64encode(b"skip_thought_signature_validator").decode())


class Gemini(Wire):
    name = "gemini"
    base = "/v1beta"

    def asked(self, path: str, body: Json) -> Asked:
        found = re.search(r"/models/([^/:]+):(\w+)", path)
        if found is None:
            raise ValueError(f"no model in {path}")
        config = body.get("generationConfig") or {}
        system = either(body, "systemInstruction", "system_instruction")
        said = [Said("system", self._text(system["parts"]))] if system else []
        declared = [f for tool in body.get("tools") or () for f in either(tool, "functionDeclarations") or ()]
        return Asked(
            model=found[1],
            stream=found[2] == "streamGenerateContent",
            said=(*said, *(self._said(content, n) for n, content in enumerate(body["contents"]))),
            tools=tuple(self._tool(tool) for tool in declared),
            schema=either(config, "responseJsonSchema", "responseSchema"),
            thinks=bool((config.get("thinkingConfig") or {}).get("includeThoughts")),
        )

    def _text(self, parts: list[Json]) -> str:
        return "\n".join(part["text"] for part in parts if "text" in part and not part.get("thought"))

    def _said(self, content: Json, n: int) -> Said:
        parts = content["parts"]
        calls = [part for part in parts if "functionCall" in part]
        if calls and calls[0].get("thoughtSignature") not in SIGNATURES:
            raise ValueError(f"contents[{n}]: function call is missing a thought_signature")
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        return Said(
            {"model": "assistant", "user": "user"}[content.get("role", "user")],
            self._text(parts),
            tuple(part["functionCall"]["name"] for part in calls),
            tuple((result["name"], json.dumps(result["response"], ensure_ascii=False)) for result in results),
        )

    def _tool(self, tool: Json) -> Tool:
        schema = either(tool, "parametersJsonSchema", "parameters") or {}
        return Tool(tool["name"], schema, description=tool.get("description", ""))

    def _parts(self, asked: Asked, turn: Turn) -> Iterator[list[Json]]:
        """The parts, in lists of one for each chunk of a stream."""
        if asked.thinks:
            yield from ([{"text": piece, "thought": True}] for piece in pieces(turn.thoughts))
        yield from ([{"text": piece}] for piece in pieces(turn.text))
        for n, call in enumerate(turn.calls):
            made = {"functionCall": {"name": call.tool.name, "args": json.loads(call.arguments)}}
            yield [made if n else {**made, "thoughtSignature": SIGNATURE}]  # the first of a step has it

    def _chunk(self, asked: Asked, parts: list[Json]) -> Json:
        candidate = {"index": 0, "content": {"role": "model", "parts": parts}}
        return {"candidates": [candidate], "modelVersion": asked.model, "responseId": "scripted"}

    def _last(self, asked: Asked, turn: Turn, parts: list[Json]) -> Json:
        n = count(asked, turn)
        chunk = self._chunk(asked, parts)
        chunk["candidates"][0]["finishReason"] = "STOP"
        usage = {"promptTokenCount": n.input, "candidatesTokenCount": n.output - n.reasoning}
        return {
            **chunk,
            "usageMetadata": {**usage, "thoughtsTokenCount": n.reasoning, "totalTokenCount": n.input + n.output},
        }

    def whole(self, asked: Asked, turn: Turn) -> Json:
        return self._last(asked, turn, [part for parts in self._parts(asked, turn) for part in parts])

    def stream(self, asked: Asked, turn: Turn) -> Iterator[str]:
        *first, last = self._parts(asked, turn)
        yield from (sse(self._chunk(asked, parts)) for parts in first)
        yield sse(self._last(asked, turn, last))

    def error(self, status: int, message: str) -> Json:
        kind = "INVALID_ARGUMENT" if status == 400 else "UNAVAILABLE"
        return {"error": {"code": status, "message": message, "status": kind}}


# ------------------------------------------------------------------------------------------------ ollama


class Ollama(Wire):
    name = "ollama"
    base = ""
    stream_type = "application/x-ndjson"

    def asked(self, path: str, body: Json) -> Asked:
        form = body.get("format")
        return Asked(
            model=body["model"],
            stream=body.get("stream", True),
            said=tuple(self._said(message) for message in body["messages"]),
            tools=tuple(self._tool(tool["function"]) for tool in body.get("tools") or ()),
            schema=form if isinstance(form, dict) else None,
            thinks=bool(body.get("think", True)),
        )

    def _said(self, message: Json) -> Said:
        text = message.get("content", "")
        if not isinstance(text, str):
            raise TypeError("content must be a string")
        match message["role"]:
            case "tool":
                return Said("user", results=((message.get("tool_name", ""), text),))
            case "assistant":
                calls = message.get("tool_calls") or ()
                if any(not isinstance(call["function"]["arguments"], dict) for call in calls):
                    raise TypeError("arguments must be an object")
                return Said("assistant", text, tuple(call["function"]["name"] for call in calls))
            case role:
                return Said({"system": "system", "user": "user"}[role], text)

    def _tool(self, tool: Json) -> Tool:
        return Tool(tool["name"], tool["parameters"], description=tool.get("description", ""))

    def _line(self, asked: Asked, **message: Any) -> Json:
        said = {"role": "assistant", "content": "", **message}
        return {"model": asked.model, "created_at": "2026-01-01T00:00:00Z", "message": said, "done": False}

    def _end(self, asked: Asked, turn: Turn) -> Json:
        n = count(asked, turn)
        spent = {"total_duration": 9, "load_duration": 1, "prompt_eval_duration": 3, "eval_duration": 5}
        return {"done": True, "done_reason": "stop", **spent, "prompt_eval_count": n.input, "eval_count": n.output}

    def _call(self, call: Call) -> Json:
        return {"function": {"name": call.tool.name, "arguments": json.loads(call.arguments)}}

    def whole(self, asked: Asked, turn: Turn) -> Json:
        thoughts = {"thinking": turn.thoughts} if turn.thoughts and asked.thinks else {}
        calls = {"tool_calls": [self._call(call) for call in turn.calls]} if turn.calls else {}
        line = self._line(asked, content=turn.text, **thoughts, **calls)
        return {**line, **self._end(asked, turn)}

    def stream(self, asked: Asked, turn: Turn) -> Iterator[str]:
        lines = [self._line(asked, thinking=piece) for piece in pieces(turn.thoughts) if asked.thinks]
        lines += [self._line(asked, content=piece) for piece in pieces(turn.text)]
        lines += [self._line(asked, tool_calls=[self._call(call)]) for call in turn.calls]
        lines.append({**self._line(asked), **self._end(asked, turn)})
        yield from (json.dumps(line, ensure_ascii=False) + "\n" for line in lines)

    def error(self, status: int, message: str) -> Json:
        return {"error": message}

    def failure(self, asked: Asked, message: str) -> str:
        return json.dumps(self.error(503, message)) + "\n"


WIRES: dict[str, Wire] = {wire.name: wire for wire in (Chat(), Responses(), Anthropic(), Gemini(), Ollama())}
