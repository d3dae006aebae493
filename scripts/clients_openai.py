"""The scripted model's two wires of OpenAI's."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.clients_model import Asked, Call, Said, Tool, Turn, pieces
from scripts.clients_wires import SIGNATURE, Json, Wire, count, sse, text_of

# ------------------------------------------------------------------------------------------------ openai-chat


class Chat(Wire):
    name = "openai-chat"

    def asked(self, path: str, body: Json) -> Asked:
        form = body.get("response_format") or {}
        return Asked(
            model=body["model"],
            stream=bool(body.get("stream")),
            said=tuple(self._said(message) for message in body["messages"]),
            tools=tuple(self._tool(tool) for tool in body.get("tools") or ()),
            schema=form["json_schema"]["schema"] if form.get("type") == "json_schema" else None,
            parallel=body.get("parallel_tool_calls") is not False,
        )

    def _said(self, message: Json) -> Said:
        text = text_of(message.get("content"))
        match message["role"]:
            case "tool":
                return Said("user", results=((message["tool_call_id"], text),))
            case "assistant":
                return Said("assistant", text, tuple(call["id"] for call in message.get("tool_calls") or ()))
            case "system" | "developer":
                return Said("system", text)
            case "user":
                return Said("user", text)
            case role:
                raise ValueError(f"unknown role {role!r}")

    def _tool(self, tool: Json) -> Tool:
        made = tool[tool["type"]]
        custom = tool["type"] == "custom"
        return Tool(made["name"], made.get("parameters") or {}, custom, description=made.get("description", ""))

    def _envelope(self, asked: Asked, kind: str) -> Json:
        return {"id": "chatcmpl-scripted", "object": kind, "created": 1, "model": asked.model}

    def _usage(self, asked: Asked, turn: Turn) -> Json:
        n = count(asked, turn)
        return {
            "prompt_tokens": n.input,
            "completion_tokens": n.output,
            "total_tokens": n.input + n.output,
            "completion_tokens_details": {"reasoning_tokens": n.reasoning},
        }

    def _call(self, call: Call, arguments: str) -> Json:
        inner = {"name": call.tool.name, "input" if call.tool.custom else "arguments": arguments}
        kind = "custom" if call.tool.custom else "function"
        return {"id": call.id, "type": kind, kind: inner}

    def whole(self, asked: Asked, turn: Turn) -> Json:
        message: Json = {"role": "assistant", "content": turn.text, "reasoning_content": turn.thoughts}
        if turn.calls:
            message["tool_calls"] = [self._call(call, call.arguments) for call in turn.calls]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if turn.calls else "stop"}
        return {**self._envelope(asked, "chat.completion"), "choices": [choice], "usage": self._usage(asked, turn)}

    def _deltas(self, turn: Turn) -> Iterator[Json]:
        yield {"role": "assistant", "content": ""}
        yield from ({"reasoning_content": piece} for piece in pieces(turn.thoughts))
        yield from ({"content": piece} for piece in pieces(turn.text))
        for n, call in enumerate(turn.calls):
            yield {"tool_calls": [{"index": n, **self._call(call, "")}]}
            kind, slot = ("custom", "input") if call.tool.custom else ("function", "arguments")
            yield from ({"tool_calls": [{"index": n, kind: {slot: piece}}]} for piece in pieces(call.arguments))

    def stream(self, asked: Asked, turn: Turn) -> Iterator[str]:
        start = self._envelope(asked, "chat.completion.chunk")
        for delta in self._deltas(turn):
            yield sse({**start, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        finish = "tool_calls" if turn.calls else "stop"
        yield sse({**start, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        yield sse({**start, "choices": [], "usage": self._usage(asked, turn)})
        yield "data: [DONE]\n\n"


# ------------------------------------------------------------------------------------------------ openai-responses


class Responses(Wire):
    name = "openai-responses"

    def asked(self, path: str, body: Json) -> Asked:
        given = body.get("input") or []
        items = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given
        added = [tool for item in items if item.get("type") == "additional_tools" for tool in item["tools"]]
        form = (body.get("text") or {}).get("format") or {}
        return Asked(
            model=body["model"],
            stream=bool(body.get("stream")),
            said=(Said("system", body.get("instructions") or ""), *(said for i in items if (said := self._said(i)))),
            tools=tuple(self._tools([*(body.get("tools") or ()), *added])),
            schema=form["schema"] if form.get("type") == "json_schema" else None,
            parallel=body.get("parallel_tool_calls") is not False,
        )

    def _said(self, item: Json) -> Said | None:
        match item.get("type", "message"):
            case "message":
                role = item["role"]
                return Said("system" if role == "developer" else role, text_of(item["content"]))
            case "function_call" | "custom_tool_call":
                return Said("assistant", calls=(item["call_id"],))
            case "function_call_output" | "custom_tool_call_output":
                return Said("user", results=((item["call_id"], text_of(item["output"])),))
            case "reasoning":
                if item.get("encrypted_content") not in (None, SIGNATURE):
                    raise ValueError(f"encrypted content of another: {item['encrypted_content'][:40]!r}")
                return Said("assistant")
        return None

    def _tools(self, tools: list[Json], namespace: str = "") -> Iterator[Tool]:
        for tool in tools:
            if tool["type"] == "namespace":
                yield from self._tools(tool["tools"], tool["name"])
            elif tool["type"] in ("function", "custom"):
                custom = tool["type"] == "custom"
                yield Tool(tool["name"], tool.get("parameters") or {}, custom, namespace, tool.get("description") or "")

    def _call(self, call: Call, status: str, arguments: str) -> Json:
        kind, slot = ("custom_tool_call", "input") if call.tool.custom else ("function_call", "arguments")
        item = {"id": f"fc_{call.id}", "type": kind, "call_id": call.id, "name": call.tool.name, slot: arguments}
        return {**item, "status": status, **({"namespace": call.tool.namespace} if call.tool.namespace else {})}

    def _text(self, turn: Turn) -> Json:
        return {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}

    def _output(self, turn: Turn) -> list[Json]:
        summary = {"type": "summary_text", "text": turn.thoughts}
        items: list[Json] = []
        if turn.thoughts:
            items.append({"id": "rs_1", "type": "reasoning", "summary": [summary], "encrypted_content": SIGNATURE})
        message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
        items.append({**message, "content": [self._text(turn)]})
        return [*items, *(self._call(call, "completed", call.arguments) for call in turn.calls)]

    def _response(self, asked: Asked, turn: Turn | None) -> Json:
        """`turn`: None where it has only begun."""
        made: Json = {"id": "resp_scripted", "object": "response", "created_at": 1, "model": asked.model, "error": None}
        made |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "incomplete_details": None}
        if turn is None:
            return {**made, "status": "in_progress", "output": [], "usage": None}
        n = count(asked, turn)
        usage = {
            "input_tokens": n.input,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": n.output,
            "output_tokens_details": {"reasoning_tokens": n.reasoning},
            "total_tokens": n.input + n.output,
        }
        return {**made, "status": "completed", "output": self._output(turn), "usage": usage}

    def whole(self, asked: Asked, turn: Turn) -> Json:
        return self._response(asked, turn)

    def _item_events(self, item: Json, turn: Turn) -> Iterator[Json]:
        key = {"item_id": item["id"]}
        if item["type"] == "reasoning":
            key |= {"summary_index": 0}
            part = item["summary"][0]
            yield {"type": "response.reasoning_summary_part.added", **key, "part": {**part, "text": ""}}
            for piece in pieces(part["text"]):
                yield {"type": "response.reasoning_summary_text.delta", **key, "delta": piece}
            yield {"type": "response.reasoning_summary_text.done", **key, "text": part["text"]}
            yield {"type": "response.reasoning_summary_part.done", **key, "part": part}
        elif item["type"] == "message":
            key |= {"content_index": 0}
            yield {"type": "response.content_part.added", **key, "part": {**self._text(turn), "text": ""}}
            for piece in pieces(turn.text):
                yield {"type": "response.output_text.delta", **key, "delta": piece, "logprobs": []}
            yield {"type": "response.output_text.done", **key, "text": turn.text, "logprobs": []}
            yield {"type": "response.content_part.done", **key, "part": self._text(turn)}
        else:
            custom = item["type"] == "custom_tool_call"
            name, slot = ("custom_tool_call_input", "input") if custom else ("function_call_arguments", "arguments")
            for piece in pieces(item[slot]):
                yield {"type": f"response.{name}.delta", **key, "delta": piece}
            yield {"type": f"response.{name}.done", **key, "name": item["name"], slot: item[slot]}

    def _events(self, asked: Asked, turn: Turn) -> Iterator[Json]:
        yield {"type": "response.created", "response": self._response(asked, None)}
        yield {"type": "response.in_progress", "response": self._response(asked, None)}
        for index, item in enumerate(self._output(turn)):
            empty = {"summary": [], "content": [], "arguments": "", "input": "", "status": "in_progress"}
            begun = {name: empty.get(name, value) for name, value in item.items() if name != "encrypted_content"}
            yield {"type": "response.output_item.added", "output_index": index, "item": begun}
            for event in self._item_events(item, turn):
                yield {**event, "output_index": index}
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        yield {"type": "response.completed", "response": self._response(asked, turn)}

    def failure(self, asked: Asked, message: str) -> str:
        error = {"code": "server_error", "message": message}
        response = {**self._response(asked, None), "status": "failed", "error": error}
        return sse({"type": "response.failed", "sequence_number": 99, "response": response}, "response.failed")

    def stream(self, asked: Asked, turn: Turn) -> Iterator[str]:
        for number, event in enumerate(self._events(asked, turn)):
            yield sse({**event, "sequence_number": number}, event["type"])
