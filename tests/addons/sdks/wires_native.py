"""The answers of Anthropic's, Google's and Ollama's protocols: see `wires`."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.addons.sdks.said import CACHED, PROMPT, Say
from tests.addons.sdks.wires_base import MESSAGES, MODEL, Json, dumps, pieces

# ------------------------------------------------------------------------------------------------ anthropic


class Claude:
    content_type = "text/event-stream"
    ends: ClassVar = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal", "filter": "refusal"}
    troubles: ClassVar = {
        "limited": (429, "rate_limit_error"),
        "bad": (400, "invalid_request_error"),
        "busy": (529, "overloaded_error"),
        "locked": (401, "authentication_error"),
        "lost": (404, "not_found_error"),
    }

    def usage(self, say: Say) -> Json:
        cache = {"cache_read_input_tokens": CACHED, "cache_creation_input_tokens": 0}
        out = {"output_tokens": say.completion, "output_tokens_details": {"thinking_tokens": say.reasoning}}
        return {"input_tokens": PROMPT - CACHED, **cache, **out}

    def end(self, say: Say) -> Json:
        reason = "tool_use" if say.calls else self.ends[say.end]
        details = {"type": "refusal", "category": None, "explanation": None} if reason == "refusal" else None
        return {"stop_reason": reason, "stop_sequence": None, "stop_details": details}

    def blocks(self, say: Say) -> list[Json]:
        out: list[Json] = []
        if say.thought:
            out.append({"type": "thinking", "thinking": say.thought, "signature": "c2lnbmF0dXJl"})
        if say.text:
            out.append({"type": "text", "text": say.text, "citations": None})
        return out + [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments} for c in say.calls]

    def whole(self, say: Say) -> Json:
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL}
        return {**head, "content": self.blocks(say), **self.end(say), "usage": self.usage(say)}

    def frames(self, say: Say) -> list[str]:
        out: list[str] = []

        def event(kind: str, **fields: Any) -> None:
            out.append(f"event: {kind}\ndata: {dumps({'type': kind, **fields})}\n\n")

        usage = {**self.usage(say), "output_tokens": 1}
        del usage["output_tokens_details"]
        nothing = {"content": [], "stop_reason": None, "stop_details": None}
        event("message_start", message={**self.whole(say), **nothing, "usage": usage})
        event("ping")
        for index, block in enumerate(self.blocks(say)):
            self.block(event, index, block)
        event("message_delta", delta=self.end(say), usage=self.usage(say))
        event("message_stop")
        return out

    def block(self, event: Any, index: int, block: Json) -> None:
        blank = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}, "tool_use": {"input": {}}}
        event("content_block_start", index=index, content_block={**block, **blank[block["type"]]})

        def delta(**fields: Any) -> None:
            event("content_block_delta", index=index, delta=fields)

        match block["type"]:
            case "thinking":
                for piece in pieces(block["thinking"]):
                    delta(type="thinking_delta", thinking=piece)
                delta(type="signature_delta", signature=block["signature"])
            case "text":
                for piece in pieces(block["text"]):
                    delta(type="text_delta", text=piece)
            case "tool_use":
                for piece in ["", *pieces(dumps(block["input"]), 5)]:
                    delta(type="input_json_delta", partial_json=piece)
        event("content_block_stop", index=index)

    def trouble(self, kind: str) -> tuple[int, Json, dict[str, str]]:
        status, sort = self.troubles[kind]
        body = {"type": "error", "error": {"type": sort, "message": MESSAGES[kind]}, "request_id": "req_1"}
        return status, body, {"retry-after": "7"} if kind == "limited" else {}

    def late(self, number: int) -> str:
        error = {"type": "api_error", "message": MESSAGES["breaks"]}
        return f"event: error\ndata: {dumps({'type': 'error', 'error': error})}\n\n"


# ------------------------------------------------------------------------------------------------ gemini


class Gemini:
    content_type = "text/event-stream"
    ends: ClassVar = {"end": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY", "filter": "PROHIBITED_CONTENT"}
    troubles: ClassVar = {
        "limited": (429, "RESOURCE_EXHAUSTED"),
        "bad": (400, "INVALID_ARGUMENT"),
        "busy": (503, "UNAVAILABLE"),
        "locked": (401, "UNAUTHENTICATED"),
        "lost": (404, "NOT_FOUND"),
    }

    def usage(self, say: Say) -> Json:
        counts = {"promptTokenCount": PROMPT, "cachedContentTokenCount": CACHED}
        counts |= {"candidatesTokenCount": say.completion - say.reasoning, "totalTokenCount": PROMPT + say.completion}
        return {**counts, "thoughtsTokenCount": say.reasoning} if say.reasoning else counts

    def answer(self, parts: list[Json], end: str | None, usage: Json) -> Json:
        candidate: Json = {"index": 0, "content": {"role": "model", "parts": parts}}
        if end:
            candidate["finishReason"] = end
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL, "responseId": "r1"}

    def calls(self, say: Say) -> list[Json]:
        parts: list[Json] = [{"functionCall": {"name": c.name, "args": c.arguments}} for c in say.calls]
        if parts and say.thought:
            parts[0]["thoughtSignature"] = "Z20tc2lnbmF0dXJl"
        return parts

    def whole(self, say: Say) -> Json:
        parts: list[Json] = [{"text": say.thought, "thought": True}] if say.thought else []
        parts += [{"text": say.text}] if say.text else []
        return self.answer(parts + self.calls(say), self.ends[say.end], self.usage(say))

    def frames(self, say: Say) -> list[str]:
        texts: list[list[Json]] = [[{"text": piece, "thought": True}] for piece in pieces(say.thought)]
        texts += [[{"text": piece}] for piece in pieces(say.text)]
        calls = self.calls(say)
        bodies = [self.answer(parts, None, {"promptTokenCount": PROMPT}) for parts in texts]
        bodies.append(self.answer(calls or [{"text": ""}], self.ends[say.end], self.usage(say)))
        return [f"data: {dumps(body)}\r\n\r\n" for body in bodies]

    def trouble(self, kind: str) -> tuple[int, Json, dict[str, str]]:
        status, name = self.troubles[kind]
        error: Json = {"code": status, "message": MESSAGES[kind], "status": name}
        if kind == "limited":
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]
        return status, {"error": error}, {}

    def late(self, number: int) -> str:
        error = {"code": 500, "message": MESSAGES["breaks"], "status": "INTERNAL"}
        return f"data: {dumps({'error': error})}\r\n\r\n"


# ------------------------------------------------------------------------------------------------ ollama


class Ollama:
    content_type = "application/x-ndjson"
    ends: ClassVar = {"end": "stop", "length": "length", "refusal": "stop", "filter": "stop"}
    troubles: ClassVar = {"limited": 429, "bad": 400, "busy": 503, "locked": 401, "lost": 404}

    def line(self, message: Json, **more: Any) -> Json:
        head = {"model": MODEL, "created_at": "2026-11-20T00:00:00.123456789Z"}
        return {**head, "message": {"role": "assistant", "content": "", **message}, "done": False, **more}

    def last(self, say: Say) -> Json:
        times = {"total_duration": 5, "load_duration": 1, "prompt_eval_duration": 2, "eval_duration": 2}
        counts = {"prompt_eval_count": PROMPT, "eval_count": say.completion}
        return {"done": True, "done_reason": self.ends[say.end], **times, **counts}

    def calls(self, say: Say) -> list[Json]:
        return [
            {"id": c.id, "function": {"index": n, "name": c.name, "arguments": c.arguments}}
            for n, c in enumerate(say.calls)
        ]

    def whole(self, say: Say) -> Json:
        message: Json = {"content": say.text}
        if say.thought:
            message["thinking"] = say.thought
        if say.calls:
            message["tool_calls"] = self.calls(say)
        return self.line(message, **self.last(say))

    def frames(self, say: Say) -> list[str]:
        bodies = [self.line({"thinking": piece}) for piece in pieces(say.thought)]
        bodies += [self.line({"content": piece}) for piece in pieces(say.text)]
        bodies += [self.line({"tool_calls": [call]}) for call in self.calls(say)]
        bodies.append(self.line({}, **self.last(say)))
        return [dumps(body) + "\n" for body in bodies]

    def trouble(self, kind: str) -> tuple[int, Json, dict[str, str]]:
        return self.troubles[kind], {"error": MESSAGES[kind]}, {"retry-after": "7"} if kind == "limited" else {}

    def late(self, number: int) -> str:
        return dumps({"error": MESSAGES["breaks"]}) + "\n"


class Generate(Ollama):
    """`/api/generate`, which has no message and no calls."""

    def line(self, message: Json, **more: Any) -> Json:
        line = super().line({}, **more)
        del line["message"]
        thinking = {"thinking": message["thinking"]} if "thinking" in message else {}
        return {**line, "response": message.get("content", ""), **thinking}
