"""The answers of OpenAI's two protocols: see `wires`."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.addons.sdks.said import CACHED, PROMPT, Say
from tests.addons.sdks.wires_base import MESSAGES, MODEL, Json, dumps, pieces

# ------------------------------------------------------------------------------------------------ openai-chat


class Chat:
    content_type = "text/event-stream"
    ends: ClassVar = {"end": "stop", "length": "length", "refusal": "stop", "filter": "content_filter"}
    troubles: ClassVar = {
        "limited": (429, "rate_limit_error", "rate_limit_exceeded"),
        "bad": (400, "invalid_request_error", "invalid_value"),
        "busy": (503, "service_unavailable_error", "server_is_overloaded"),
        "locked": (401, "invalid_request_error", "invalid_api_key"),
        "lost": (404, "invalid_request_error", "model_not_found"),
    }

    def usage(self, say: Say) -> Json:
        return {
            "prompt_tokens": PROMPT,
            "completion_tokens": say.completion,
            "total_tokens": PROMPT + say.completion,
            "prompt_tokens_details": {"cached_tokens": CACHED},
            "completion_tokens_details": {"reasoning_tokens": say.reasoning},
        }

    def finish(self, say: Say) -> str:
        return "tool_calls" if say.calls else self.ends[say.end]

    def calls(self, say: Say) -> list[Json]:
        return [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": dumps(c.arguments)}}
            for c in say.calls
        ]

    def whole(self, say: Say) -> Json:
        message: Json = {"role": "assistant", "content": say.text or None, "refusal": None}
        if say.end == "refusal":
            message |= {"content": None, "refusal": say.text}
        if say.thought:
            message["reasoning_content"] = say.thought
        if say.calls:
            message["tool_calls"] = self.calls(say)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish(say)}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL}
        return {**head, "choices": [choice], "usage": self.usage(say)}

    def frames(self, say: Say) -> list[str]:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}

        def chunk(delta: Json, finish: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return f"data: {dumps({**head, 'choices': [choice], 'usage': None})}\n\n"

        out = [chunk({"role": "assistant", "content": ""})]
        out += [chunk({"reasoning_content": piece}) for piece in pieces(say.thought)]
        out += [chunk({"refusal" if say.end == "refusal" else "content": piece}) for piece in pieces(say.text)]
        for index, call in enumerate(self.calls(say)):
            text = call["function"]["arguments"]
            first = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
            out.append(chunk({"tool_calls": [{"index": index, **first}]}))
            out += [chunk({"tool_calls": [{"index": index, "function": {"arguments": p}}]}) for p in pieces(text, 5)]
        out.append(chunk({}, self.finish(say)))
        out.append(f"data: {dumps({**head, 'choices': [], 'usage': self.usage(say)})}\n\n")
        return [*out, "data: [DONE]\n\n"]

    def trouble(self, kind: str) -> tuple[int, Json, dict[str, str]]:
        status, sort, code = self.troubles[kind]
        error = {"message": MESSAGES[kind], "type": sort, "param": None, "code": code}
        return status, {"error": error}, {"retry-after": "7"} if kind == "limited" else {}

    def late(self, number: int) -> str:
        error = {"message": MESSAGES["breaks"], "type": "server_error", "param": None, "code": None}
        return f"data: {dumps({'error': error})}\n\n"


# ------------------------------------------------------------------------------------------------ openai-responses


class Responses(Chat):
    def usage(self, say: Say) -> Json:
        return {
            "input_tokens": PROMPT,
            "input_tokens_details": {"cached_tokens": CACHED, "cache_write_tokens": 0},
            "output_tokens": say.completion,
            "output_tokens_details": {"reasoning_tokens": say.reasoning},
            "total_tokens": PROMPT + say.completion,
        }

    def items(self, say: Say) -> list[Json]:
        out: list[Json] = []
        if say.thought:
            summary = [{"type": "summary_text", "text": say.thought}]
            out.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": "ZW5jcnlwdGVk"})
        if say.text:
            part: Json = {"type": "output_text", "text": say.text, "annotations": [], "logprobs": []}
            if say.end == "refusal":
                part = {"type": "refusal", "refusal": say.text}
            status = "incomplete" if say.end == "length" else "completed"
            message = {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": [part]}
            out.append(message)
        for n, call in enumerate(say.calls):
            fields = {"call_id": call.id, "name": call.name, "arguments": dumps(call.arguments)}
            out.append({"id": f"fc_{n}", "type": "function_call", "status": "completed", **fields})
        return out

    def head(self, **more: Any) -> Json:
        head = {"id": "resp_1", "object": "response", "created_at": 1, "model": MODEL, "error": None}
        rest = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "incomplete_details": None}
        return {**head, **rest, **more}

    def whole(self, say: Say) -> Json:
        reason = {"length": "max_output_tokens", "filter": "content_filter"}.get(say.end)
        details = {"reason": reason} if reason else None
        status = "incomplete" if reason else "completed"
        items, usage = self.items(say), self.usage(say)
        return self.head(status=status, incomplete_details=details, output=items, usage=usage)

    def frames(self, say: Say) -> list[str]:
        out: list[str] = []

        def event(kind: str, **fields: Any) -> None:
            body = {"type": kind, "sequence_number": len(out), **fields}
            out.append(f"event: {kind}\ndata: {dumps(body)}\n\n")

        begun = self.head(status="in_progress", output=[], usage=None)
        event("response.created", response=begun)
        event("response.in_progress", response=begun)
        for index, item in enumerate(self.items(say)):
            self.item(event, index, item)
        whole = self.whole(say)
        event(f"response.{whole['status']}", response=whole)
        return out

    def item(self, event: Any, index: int, item: Json) -> None:
        place: Json = {"item_id": item["id"], "output_index": index}
        empty = {"reasoning": {"summary": []}, "message": {"content": []}, "function_call": {"arguments": ""}}
        begun = {**item, **empty[item["type"]]}
        begun.pop("encrypted_content", None)
        if "status" in item:
            begun["status"] = "in_progress"
        event("response.output_item.added", output_index=index, item=begun)
        match item["type"]:
            case "reasoning":
                at = {**place, "summary_index": 0}
                part = item["summary"][0]
                event("response.reasoning_summary_part.added", **at, part={**part, "text": ""})
                for piece in pieces(part["text"]):
                    event("response.reasoning_summary_text.delta", **at, delta=piece)
                event("response.reasoning_summary_text.done", **at, text=part["text"])
                event("response.reasoning_summary_part.done", **at, part=part)
            case "message":
                self.part(event, {**place, "content_index": 0}, item["content"][0])
            case "function_call":
                for piece in pieces(item["arguments"], 5):
                    event("response.function_call_arguments.delta", **place, delta=piece)
                event("response.function_call_arguments.done", **place, arguments=item["arguments"])
        event("response.output_item.done", output_index=index, item=item)

    def part(self, event: Any, at: Json, part: Json) -> None:
        name, logs = ("refusal", {}) if part["type"] == "refusal" else ("text", {"logprobs": []})
        event("response.content_part.added", **at, part={**part, name: ""})
        for piece in pieces(part[name]):
            event(f"response.{part['type']}.delta", **at, delta=piece, **logs)
        event(f"response.{part['type']}.done", **at, **{name: part[name]}, **logs)
        event("response.content_part.done", **at, part=part)

    def late(self, number: int) -> str:
        error = {"code": "server_error", "message": MESSAGES["breaks"]}
        body = {"type": "response.failed", "sequence_number": number}
        body["response"] = self.head(status="failed", output=[], usage=None, error=error)
        return f"event: response.failed\ndata: {dumps(body)}\n\n"
