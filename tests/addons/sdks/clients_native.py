"""Google's and Ollama's SDKs behind the face of `clients`."""

from __future__ import annotations

import base64
from typing import Any

import ollama
from google import genai
from google.genai import types as gm

from tests.addons.sdks.clients import Ask, Got, given_only
from tests.addons.sdks.forms import check_gemini_answer, check_ollama_answer
from tests.addons.sdks.recorder import Recorder
from tests.addons.sdks.said import PNG, Tool

# ------------------------------------------------------------------------------------------------ google-genai


def gemini_tool(tool: Tool) -> gm.FunctionDeclaration:
    return gm.FunctionDeclaration(name=tool.name, description=tool.description, parameters_json_schema=tool.schema)


class GeminiClient:
    name = "gemini"

    def __init__(self, sdk: genai.Client, recorder: Recorder) -> None:
        self.sdk, self.recorder = sdk, recorder

    def user(self, text: str, picture: bool = False) -> Any:
        image = [gm.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")] if picture else []
        return gm.Content(role="user", parts=[gm.Part(text=text), *image])

    def results(self, got: Got, texts: dict[str, str]) -> list[Any]:
        parts = [gm.Part.from_function_response(name=n, response={"result": texts[n]}) for n, _ in got.calls]
        return [gm.Content(role="user", parts=parts)]

    def config(self, ask: Ask) -> gm.GenerateContentConfig:
        calling = {"required": {"mode": "ANY"}, "auto": {"mode": "AUTO"}, "none": {"mode": "NONE"}, "": None}.get(
            ask.choice, {"mode": "ANY", "allowed_function_names": [ask.choice]}
        )
        thinking = gm.ThinkingConfig(include_thoughts=True, thinking_budget=20000)
        return gm.GenerateContentConfig(
            **given_only(
                system_instruction=ask.system,
                tools=ask.tools and [gm.Tool(function_declarations=[gemini_tool(tool) for tool in ask.tools])],
                tool_config=calling and {"function_calling_config": calling},
                response_mime_type=ask.schema and "application/json",
                response_json_schema=ask.schema,
                thinking_config=ask.think and thinking,
                max_output_tokens=ask.limit,
                automatic_function_calling={"disable": True},
            )
        )

    def ask(self, model: str, history: list[Any], ask: Ask, *, stream: bool) -> Got:
        given: Any = {"model": model, "contents": history, "config": self.config(ask)}
        if stream:
            answers = list(self.sdk.models.generate_content_stream(**given))
        else:
            answers = [self.sdk.models.generate_content(**given)]
        check_gemini_answer(self.recorder.body)
        return self.read(answers)

    def read(self, answers: list[gm.GenerateContentResponse]) -> Got:
        contents = [answer.candidates[0].content for answer in answers if answer.candidates]
        parts = [part for content in contents for part in (content and content.parts) or ()]
        calls = [part.function_call for part in parts if part.function_call]
        ends = [answer.candidates[0].finish_reason for answer in answers if answer.candidates]
        usage = answers[-1].usage_metadata
        assert usage and all(end is None for end in ends[:-1])
        blocked = answers[-1].prompt_feedback
        thoughts = usage.thoughts_token_count
        return Got(
            "".join(part.text for part in parts if part.text and not part.thought),
            "".join(part.text for part in parts if part.text and part.thought),
            [(str(call.name), dict(call.args or {})) for call in calls],
            str((ends[-1] if ends else blocked.block_reason).value),
            (
                usage.prompt_token_count,
                usage.cached_content_token_count,
                (usage.candidates_token_count or 0) + (thoughts or 0),
                thoughts,
            ),
            str(answers[-1].model_version),
            "",
            [str(call.id) for call in calls],
            [content for content in contents if content],
            answers,
        )


# ------------------------------------------------------------------------------------------------ ollama


def ollama_tool(tool: Tool) -> dict[str, Any]:
    body = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": body}


class OllamaClient:
    name = "ollama"

    def __init__(self, sdk: ollama.Client, recorder: Recorder) -> None:
        self.sdk, self.recorder = sdk, recorder

    def user(self, text: str, picture: bool = False) -> Any:
        images = {"images": [base64.b64decode(PNG)]} if picture else {}
        return {"role": "user", "content": text, **images}

    def results(self, got: Got, texts: dict[str, str]) -> list[Any]:
        return [{"role": "tool", "tool_name": name, "content": texts[name]} for name, _ in got.calls]

    def ask(self, model: str, history: list[Any], ask: Ask, *, stream: bool) -> Got:
        system = [{"role": "system", "content": ask.system}] if ask.system else []
        given = given_only(
            tools=[ollama_tool(tool) for tool in ask.tools],
            format=ask.schema,
            think=ask.think and "high",
            options=ask.limit and {"num_predict": ask.limit},
        )
        answer = self.sdk.chat(model, [*system, *history], stream=stream, **given)
        lines = list(answer) if stream else [answer]
        check_ollama_answer(self.recorder.body)
        return self.read(lines)

    def read(self, lines: list[ollama.ChatResponse]) -> Got:
        text = "".join(line.message.content or "" for line in lines)
        thought = "".join(line.message.thinking or "" for line in lines)
        calls = [call for line in lines for call in line.message.tool_calls or ()]
        message = {"role": "assistant", "content": text, **given_only(thinking=thought, tool_calls=calls)}
        last = lines[-1]
        return Got(
            text,
            thought,
            [(call.function.name, dict(call.function.arguments)) for call in calls],
            str(last.done_reason),
            (last.prompt_eval_count, None, last.eval_count, None),
            str(last.model),
            "",
            [""] * len(calls),
            [message if len(lines) > 1 else last.message],
            lines,
        )
