"""What arrived upstream, read by the facts of its protocol into one neutral form, so that five readers serve 25 pairs.

Our own parsers have no part in it. The form is what the conversation's author would say of it: `items` in order, each a
tuple of a role and what it said, called, got or showed.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Item = tuple[Any, ...]


@dataclass
class Asked:
    """`items`: (user or assistant, text), (call, name, arguments), (result, name, text), (image, type, base64)."""

    protocol: str
    model: str
    stream: bool
    system: str = ""
    items: list[Item] = field(default_factory=list)
    tools: dict[str, Json] = field(default_factory=dict)
    choice: str = ""  # auto, none, required, or a tool's name
    schema: Json | None = None
    thinks: bool | None = None
    limit: int | None = None
    turns: int = 0  # of the assistant

    @property
    def spoken(self) -> list[Item]:
        return [item for item in self.items if item != ("assistant", "")]


def protocol_of(path: str) -> str:
    for pattern, name in (
        (r"/chat/completions$", "openai-chat"),
        (r"/responses(/input_tokens)?$", "openai-responses"),
        (r"/messages(/count_tokens)?$", "anthropic"),
        (r"/models/[^/]+:\w+(\?.*)?$", "gemini"),
        (r"/api/\w+$", "ollama"),
    ):
        if re.search(pattern, path):
            return name
    raise AssertionError(f"nothing of the five protocols is at {path}")


def read(path: str, body: Json) -> Asked:
    protocol = protocol_of(path)
    asked = _READERS[protocol](path, body)
    groups = [item[0] in ("assistant", "call") for item in asked.items]
    asked.turns = sum(now and not before for before, now in zip([False, *groups], groups, strict=False))
    return asked


def _texts(content: Any) -> str:
    """The text of a string, a list of parts, or nothing."""
    if isinstance(content, list):
        return "".join(part.get("text") or part.get("refusal") or "" for part in content)
    return content or ""


def _data_url(url: str) -> Item:
    head, _, data = url.partition(";base64,")
    return ("image", head.removeprefix("data:"), data)


# ------------------------------------------------------------------------------------------------ openai-chat


def _chat(path: str, body: Json) -> Asked:
    asked = Asked("openai-chat", body["model"], bool(body.get("stream")))
    names: dict[str, str] = {}
    for message in body["messages"]:
        match message["role"]:
            case "system" | "developer":
                asked.system += _texts(message["content"])
            case "user":
                asked.items += _chat_parts(message["content"])
            case "assistant":
                if text := _texts(message.get("content")) or message.get("refusal"):
                    asked.items.append(("assistant", text))
                for call in message.get("tool_calls") or ():
                    names[call["id"]] = call["function"]["name"]
                    asked.items.append(("call", call["function"]["name"], json.loads(call["function"]["arguments"])))
            case "tool":
                asked.items.append(("result", names[message["tool_call_id"]], _texts(message["content"])))
    asked.tools = {t["function"]["name"]: t["function"]["parameters"] for t in body.get("tools") or ()}
    asked.choice = _openai_choice(body.get("tool_choice"))
    if form := body.get("response_format"):
        asked.schema = form["json_schema"]["schema"] if form["type"] == "json_schema" else None
    effort = body.get("reasoning_effort")
    asked.thinks = None if effort is None else effort != "none"
    asked.limit = body.get("max_completion_tokens") or body.get("max_tokens")
    return asked


def _chat_parts(content: Any) -> Iterator[Item]:
    if isinstance(content, str):
        yield ("user", content)
        return
    for part in content:
        yield ("user", part["text"]) if part["type"] == "text" else _data_url(part["image_url"]["url"])


def _openai_choice(choice: Any) -> str:
    if isinstance(choice, dict):
        return choice.get("name") or choice["function"]["name"]
    return choice or ""


# ------------------------------------------------------------------------------------------------ openai-responses


def _responses(path: str, body: Json) -> Asked:
    asked = Asked("openai-responses", body["model"], bool(body.get("stream")), body.get("instructions") or "")
    names: dict[str, str] = {}
    items = body["input"]
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        match item.get("type", "message"):
            case "message" if item["role"] in ("system", "developer"):
                asked.system += _texts(item["content"])
            case "message" if item["role"] == "assistant":
                asked.items.append(("assistant", _texts(item["content"])))
            case "message":
                asked.items += _responses_parts(item["content"])
            case "function_call":
                names[item["call_id"]] = item["name"]
                asked.items.append(("call", item["name"], json.loads(item["arguments"])))
            case "function_call_output":
                asked.items.append(("result", names[item["call_id"]], _texts(item["output"])))
            case "reasoning":
                pass
            case other:
                raise AssertionError(other)
    asked.tools = {tool["name"]: tool["parameters"] for tool in body.get("tools") or ()}
    asked.choice = _openai_choice(body.get("tool_choice"))
    form = (body.get("text") or {}).get("format") or {}
    asked.schema = form.get("schema")
    effort = (body.get("reasoning") or {}).get("effort")
    asked.thinks = None if effort is None else effort != "none"
    asked.limit = body.get("max_output_tokens")
    return asked


def _responses_parts(content: Any) -> Iterator[Item]:
    if isinstance(content, str):
        yield ("user", content)
        return
    for part in content:
        yield ("user", part["text"]) if part["type"] == "input_text" else _data_url(part["image_url"])


# ------------------------------------------------------------------------------------------------ anthropic


def _claude(path: str, body: Json) -> Asked:
    asked = Asked("anthropic", body["model"], bool(body.get("stream")), _texts(body.get("system")))
    names: dict[str, str] = {}
    for message in body["messages"]:
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            match block["type"]:
                case "text":
                    asked.items.append((message["role"], block["text"]))
                case "image":
                    asked.items.append(("image", block["source"]["media_type"], block["source"]["data"]))
                case "tool_use":
                    names[block["id"]] = block["name"]
                    asked.items.append(("call", block["name"], block["input"]))
                case "tool_result":
                    asked.items.append(("result", names[block["tool_use_id"]], _texts(block["content"])))
                case "thinking" | "redacted_thinking":
                    pass
                case other:
                    raise AssertionError(other)
    asked.tools = {tool["name"]: tool["input_schema"] for tool in body.get("tools") or ()}
    choice = body.get("tool_choice") or {}
    kind = choice.get("type", "")
    asked.choice = choice.get("name") or {"any": "required"}.get(kind, kind)
    config = body.get("output_config") or {}
    asked.schema = (config.get("format") or {}).get("schema")
    thinking = (body.get("thinking") or {}).get("type")
    asked.thinks = None if thinking is None else thinking != "disabled"
    asked.limit = body.get("max_tokens")
    return asked


# ------------------------------------------------------------------------------------------------ gemini

_SNAKE = re.compile(r"_([a-z])")
_USERS = ("args", "response", "parametersJsonSchema", "responseJsonSchema", "parameters", "responseSchema", "labels")


def camel(value: Any) -> Any:
    """Keys in one spelling: the server takes both, and the SDK mixes them. What is the user's stays as it is."""
    if isinstance(value, list):
        return [camel(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    out: Json = {}
    for key, entry in value.items():
        name = _SNAKE.sub(lambda found: found[1].upper(), key)
        out[name] = entry if name in _USERS else camel(entry)
    return out


def _gemini(path: str, body: Json) -> Asked:
    found = re.search(r"/models/([^/]+):(\w+)", path)
    assert found
    asked = Asked("gemini", found[1], found[2] == "streamGenerateContent")
    body = camel(body)
    asked.system = _texts((body.get("systemInstruction") or {}).get("parts"))
    for content in body["contents"]:
        role = "assistant" if content.get("role") == "model" else "user"
        for part in content["parts"]:
            if part.get("thought") or not part:
                continue
            if "functionCall" in part:
                asked.items.append(("call", part["functionCall"]["name"], part["functionCall"].get("args") or {}))
            elif "functionResponse" in part:
                answer = part["functionResponse"]
                asked.items.append(("result", answer["name"], _outcome(answer["response"])))
            elif "inlineData" in part:
                data = part["inlineData"]["data"].replace("-", "+").replace("_", "/")
                asked.items.append(("image", part["inlineData"]["mimeType"], data))
            else:
                asked.items.append((role, part["text"]))
    for tool in body.get("tools") or ():
        for declared in tool.get("functionDeclarations") or ():
            asked.tools[declared["name"]] = declared.get("parametersJsonSchema") or declared.get("parameters")
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    names = calling.get("allowedFunctionNames") or []
    mode = {"ANY": "required"}.get(calling.get("mode", ""), calling.get("mode", "").lower())
    asked.choice = names[0] if len(names) == 1 else mode
    config = body.get("generationConfig") or {}
    asked.schema = config.get("responseJsonSchema") or config.get("responseSchema")
    thinking = config.get("thinkingConfig")
    asked.thinks = None if thinking is None else thinking.get("thinkingBudget") != 0
    asked.limit = config.get("maxOutputTokens")
    return asked


def _outcome(response: Json) -> str:
    """What users put into a function's response: by convention a text under one of these."""
    for key in ("output", "result"):
        if set(response) == {key}:
            return str(response[key])
    return json.dumps(response)


# ------------------------------------------------------------------------------------------------ ollama


def _ollama(path: str, body: Json) -> Asked:
    asked = Asked("ollama", body["model"], body.get("stream", True), body.get("system") or "")
    if path.endswith("/generate"):
        asked.items.append(("user", body["prompt"]))
        asked.items += [("image", _sniff(image), image) for image in body.get("images") or ()]
    for message in body.get("messages") or ():
        match message["role"]:
            case "system":
                asked.system += message["content"]
            case "tool":
                asked.items.append(("result", message["tool_name"], message["content"]))
            case role:
                if message.get("content"):
                    asked.items.append((role, message["content"]))
                asked.items += [("image", _sniff(image), image) for image in message.get("images") or ()]
                for call in message.get("tool_calls") or ():
                    asked.items.append(("call", call["function"]["name"], call["function"]["arguments"]))
    asked.tools = {t["function"]["name"]: t["function"]["parameters"] for t in body.get("tools") or ()}
    asked.schema = body.get("format") or None
    asked.thinks = body.get("think") and True if body.get("think") is not False else False
    asked.limit = (body.get("options") or {}).get("num_predict")
    return asked


def _sniff(data: str) -> str:
    return "image/png" if base64.b64decode(data).startswith(b"\x89PNG") else "?"


_READERS = {
    "openai-chat": _chat,
    "openai-responses": _responses,
    "anthropic": _claude,
    "gemini": _gemini,
    "ollama": _ollama,
}
