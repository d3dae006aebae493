"""The five SDKs behind one face: each asks, reads and answers tools as its users do, with its own objects.

A history is a list of whatever that SDK takes. `user` and `results` make entries of it, `echo` gives back what the SDK
itself handed out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

import anthropic
import openai

from tests.addons.sdks.forms import check_responses_stream
from tests.addons.sdks.recorder import Recorder
from tests.addons.sdks.said import PNG, Tool


@dataclass
class Got:
    """What the user of an SDK has in the end. `usage`: prompt, cached, completion, reasoning; None where not said."""

    text: str
    thought: str
    calls: list[tuple[str, dict[str, Any]]]
    end: str
    usage: tuple[int | None, ...]
    model: str
    refusal: str = ""
    ids: list[str] = field(default_factory=list)
    echo: list[Any] = field(default_factory=list)
    raw: Any = None


@dataclass
class Ask:
    system: str = ""
    tools: tuple[Tool, ...] = ()
    choice: str = ""  # auto, none, required, or a tool's name
    schema: dict[str, Any] | None = None
    think: bool = False
    limit: int = 0


class Client(Protocol):
    name: str
    sdk: Any

    def user(self, text: str, picture: bool = False) -> Any: ...

    def results(self, got: Got, texts: dict[str, str]) -> list[Any]: ...

    def ask(self, model: str, history: list[Any], ask: Ask, *, stream: bool) -> Got: ...


def given_only(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


# ------------------------------------------------------------------------------------------------ openai, chat


def chat_tool(tool: Tool) -> dict[str, Any]:
    body = {"name": tool.name, "description": tool.description, "parameters": tool.schema, "strict": True}
    return {"type": "function", "function": body}


class ChatClient:
    name = "openai-chat"

    def __init__(self, sdk: openai.OpenAI) -> None:
        self.sdk = sdk

    def user(self, text: str, picture: bool = False) -> Any:
        url = {"url": f"data:image/png;base64,{PNG}"}
        parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": url}]
        return {"role": "user", "content": parts if picture else text}

    def results(self, got: Got, texts: dict[str, str]) -> list[Any]:
        pairs = zip(got.ids, got.calls, strict=True)
        return [{"role": "tool", "tool_call_id": id, "content": texts[name]} for id, (name, _) in pairs]

    def arguments(self, model: str, history: list[Any], ask: Ask) -> dict[str, Any]:
        system = [{"role": "system", "content": ask.system}] if ask.system else []
        choice: Any = ask.choice
        if choice.startswith("get_"):
            choice = {"type": "function", "function": {"name": choice}}
        form = {"name": "answer", "schema": ask.schema, "strict": True}
        return given_only(
            model=model,
            messages=[*system, *history],
            tools=[chat_tool(tool) for tool in ask.tools],
            tool_choice=choice,
            response_format=ask.schema and {"type": "json_schema", "json_schema": form},
            reasoning_effort=ask.think and "high",
            max_completion_tokens=ask.limit,
        )

    def ask(self, model: str, history: list[Any], ask: Ask, *, stream: bool) -> Got:
        given = self.arguments(model, history, ask)
        if not stream:
            return self.read(self.sdk.chat.completions.create(**given))
        with self.sdk.chat.completions.stream(**given, stream_options={"include_usage": True}) as events:
            kinds, text = ("content.delta", "refusal.delta"), ""
            try:
                for event in events:
                    text += event.delta if event.type in kinds else ""
                got = self.read(events.get_final_completion())
            except openai.LengthFinishReasonError as cut:  # the helper's way to say it
                got = self.read(cut.completion)
            except openai.ContentFilterFinishReasonError:
                got = self.read(events.current_completion_snapshot)
        assert text == (got.text or got.refusal)
        return got

    def read(self, completion: Any) -> Got:
        message = completion.choices[0].message
        calls = message.tool_calls or ()
        usage = completion.usage
        details = usage.prompt_tokens_details, usage.completion_tokens_details
        return Got(
            message.content or "",
            (message.model_extra or {}).get("reasoning_content") or "",
            [(call.function.name, json.loads(call.function.arguments)) for call in calls],
            completion.choices[0].finish_reason,
            (
                usage.prompt_tokens,
                details[0] and details[0].cached_tokens,
                usage.completion_tokens,
                details[1] and details[1].reasoning_tokens,
            ),
            completion.model,
            message.refusal or "",
            [call.id for call in calls],
            [message],
            completion,
        )


# ------------------------------------------------------------------------------------------------ openai, responses


def responses_tool(tool: Tool) -> dict[str, Any]:
    body = {"name": tool.name, "description": tool.description, "parameters": tool.schema, "strict": True}
    return {"type": "function", **body}


class ResponsesClient:
    name = "openai-responses"

    def __init__(self, sdk: openai.OpenAI, streaming: openai.OpenAI, recorder: Recorder) -> None:
        """`streaming`: less strict, since no type of the SDK's is a keep-alive; the bytes are checked apart."""
        self.sdk, self.streaming, self.recorder = sdk, streaming, recorder

    def user(self, text: str, picture: bool = False) -> Any:
        image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
        parts = [{"type": "input_text", "text": text}, image]
        return {"role": "user", "content": parts if picture else text}

    def results(self, got: Got, texts: dict[str, str]) -> list[Any]:
        pairs = zip(got.ids, got.calls, strict=True)
        return [{"type": "function_call_output", "call_id": id, "output": texts[name]} for id, (name, _) in pairs]

    def arguments(self, model: str, history: list[Any], ask: Ask) -> dict[str, Any]:
        named = ask.choice.startswith("get_")
        form = {"type": "json_schema", "name": "answer", "schema": ask.schema, "strict": True}
        return given_only(
            model=model,
            input=history,
            instructions=ask.system,
            tools=[responses_tool(tool) for tool in ask.tools],
            tool_choice={"type": "function", "name": ask.choice} if named else ask.choice,
            text=ask.schema and {"format": form},
            reasoning=ask.think and {"effort": "high", "summary": "auto"},
            max_output_tokens=ask.limit,
        )

    def ask(self, model: str, history: list[Any], ask: Ask, *, stream: bool) -> Got:
        given = self.arguments(model, history, ask)
        if not stream:
            return self.read(self.sdk.responses.create(**given))
        with self.streaming.responses.stream(**given) as stream_:
            events = list(stream_)
            check_responses_stream(self.recorder.body)
            last = events[-1]
            if last.type == "response.completed":
                assert stream_.get_final_response().output == last.response.output
        if last.type not in ("response.completed", "response.incomplete"):
            raise StreamFailed(last)
        kinds = ("response.output_text.delta", "response.refusal.delta")
        text = "".join(event.delta for event in events if event.type in kinds)
        got = self.read(last.response)
        assert text == (got.text or got.refusal)
        return got

    def read(self, response: Any) -> Got:
        parts = [part for item in response.output if item.type == "message" for part in item.content]
        thoughts = [item for item in response.output if item.type == "reasoning"]
        calls = [item for item in response.output if item.type == "function_call"]
        usage = response.usage
        details = response.incomplete_details
        return Got(
            response.output_text,
            "".join(part.text for item in thoughts for part in [*item.summary, *(item.content or ())]),
            [(call.name, json.loads(call.arguments)) for call in calls],
            details.reason if details else response.status,
            (
                usage.input_tokens,
                usage.input_tokens_details.cached_tokens,
                usage.output_tokens,
                usage.output_tokens_details.reasoning_tokens,
            ),
            response.model,
            "".join(part.refusal for part in parts if part.type == "refusal"),
            [call.call_id for call in calls],
            list(response.output),
            response,
        )


class StreamFailed(Exception):
    """The Responses helper does not raise for a failed end: its users look at the last event."""


# ------------------------------------------------------------------------------------------------ anthropic


def claude_tool(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "input_schema": tool.schema}


class ClaudeClient:
    name = "anthropic"

    def __init__(self, sdk: anthropic.Anthropic) -> None:
        self.sdk = sdk

    def user(self, text: str, picture: bool = False) -> Any:
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        parts = [{"type": "text", "text": text}, {"type": "image", "source": source}]
        return {"role": "user", "content": parts if picture else text}

    def results(self, got: Got, texts: dict[str, str]) -> list[Any]:
        pairs = zip(got.ids, got.calls, strict=True)
        blocks = [{"type": "tool_result", "tool_use_id": id, "content": texts[name]} for id, (name, _) in pairs]
        return [{"role": "user", "content": blocks}]

    def arguments(self, model: str, history: list[Any], ask: Ask) -> dict[str, Any]:
        kinds = {"required": {"type": "any"}, "auto": {"type": "auto"}, "none": {"type": "none"}, "": None}
        return given_only(
            model=model,
            messages=history,
            system=ask.system,
            tools=[claude_tool(tool) for tool in ask.tools],
            tool_choice=kinds.get(ask.choice, {"type": "tool", "name": ask.choice}),
            output_config=given_only(
                format=ask.schema and {"type": "json_schema", "schema": ask.schema}, effort=ask.think and "high"
            ),
            thinking=ask.think and {"type": "adaptive", "display": "summarized"},
            max_tokens=ask.limit or 1000,
        )

    def ask(self, model: str, history: list[Any], ask: Ask, *, stream: bool) -> Got:
        given = self.arguments(model, history, ask)
        if not stream:
            return self.read(self.sdk.messages.create(**given))
        with self.sdk.messages.stream(**given) as events:
            text = "".join(events.text_stream)
            got = self.read(events.get_final_message())
        assert text == got.text
        return got

    def read(self, message: Any) -> Got:
        calls = [block for block in message.content if block.type == "tool_use"]
        usage = message.usage
        details = usage.output_tokens_details
        cached = usage.cache_read_input_tokens or 0
        return Got(
            "".join(block.text for block in message.content if block.type == "text"),
            "".join(block.thinking for block in message.content if block.type == "thinking"),
            [(call.name, call.input) for call in calls],
            message.stop_reason,
            (usage.input_tokens + cached, cached, usage.output_tokens, details and details.thinking_tokens),
            message.model,
            "",
            [call.id for call in calls],
            [{"role": "assistant", "content": message.content}],
            message,
        )
