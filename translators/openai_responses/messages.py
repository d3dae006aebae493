"""The conversation as items, for an upstream.

Each text, thought, call and result has an item of its own. What another protocol left behind, and what this upstream
could not read (a thought without its token), stays out. Items keep their ids only where the upstream stored them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..arguments import as_object
from ..codec import Traits
from ..model import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Request,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from ..policy import INFO, STRICT_REJECT_WARN, WARN, Loss, Losses
from ..speakers import nameless
from ..turns import settle
from .parts import render_citations, render_input, summary
from .wire import NAME, Json, own

_BREAK = "\n\n"


def render_messages(request: Request, stored: bool, traits: Traits, losses: Losses) -> tuple[str, list[Json]]:
    """`instructions` ("" for none) and `input`. `stored`: the upstream knows the ids of earlier items."""
    found: list[Loss] = []
    messages = nameless(request.messages, found)
    if request.previous_id is None:  # else calls may have been made in what the upstream remembers
        messages = settle(messages, found, merge=False)
    for loss in found:
        losses.add(loss.path, loss.code, loss.why, loss.rule)
    renderer = _Renderer(stored, traits, losses)
    lead = 1 if len(messages) > 1 and messages[0].role == "system" else 0
    instructions = renderer.instructions(messages[0]) if lead else ""
    for index in range(lead, len(messages)):
        renderer.message(messages[index], f"messages[{index}]")
    renderer.finish(messages, request.previous_id is None)
    return instructions, renderer.out


class _Renderer:
    def __init__(self, stored: bool, traits: Traits, losses: Losses) -> None:
        self._stored, self._traits, self._losses = stored, traits, losses
        self.out: list[Json] = []

    def instructions(self, message: Message) -> str:
        parts = self._operator(message, "messages[0]")
        if any(part.cache is not None for part in parts):
            self._losses.add("cache_control", "dropped", "instructions take no cache breakpoints", INFO)
        return _BREAK.join(part.text for part in parts)

    def finish(self, messages: Sequence[Message], whole: bool) -> None:
        """An answer that was begun; not what stands last because it has to (a trigger of this protocol's own)."""
        last = messages[-1].parts[-1:] if messages and messages[-1].role == "assistant" else ()
        if any(isinstance(part, Text) for part in last):
            asked = "" if self._traits.prefill else "; it was asked to go on"
            why = f"the model does not continue an assistant message{asked}"
            self._losses.add("messages", "approximated", why, STRICT_REJECT_WARN)
            if asked:
                self._put("user", [{"type": "input_text", "text": "Continue."}])
        if not self.out and whole:
            self._put("user", [{"type": "input_text", "text": ""}])  # a conversation of nothing is one still

    def message(self, message: Message, path: str) -> None:
        match message.role:
            case "user":
                self._user(message, path)
            case "assistant":
                self._assistant(message.parts, path)
            case role:
                parts = self._operator(message, path)
                content = [render_input(part, path, self._traits, self._losses) for part in parts]
                self._put(role, content)

    def _operator(self, message: Message, path: str) -> list[Text]:
        texts = []
        for part in message.parts:
            if not isinstance(part, Text):
                why = "an operator's message holds only text"
                self._losses.add(f"{path}.content", "omitted", why, STRICT_REJECT_WARN)
                texts.append(Text(f"[{type(part).__name__.lower()}]"))
            elif part.text and not part.extra.get("anthropic", {}).get("billing"):
                texts.append(part)  # Claude Code's billing header changes on each request and would spoil the cache
        return texts

    def _put(self, role: str, content: list[Json]) -> None:
        if content:
            self.out.append({"type": "message", "role": role, "content": content})

    # ---- users

    def _user(self, message: Message, path: str) -> None:
        content: list[Json] = []
        for n, part in enumerate(message.parts):
            if isinstance(part, ToolResult):
                self.out.append(self._result(part, path))
            elif isinstance(part, Opaque) and part.protocol == NAME and len(message.parts) == 1:
                self.out.append(part.raw)
            elif not isinstance(part, Text) or part.text:
                content.append(render_input(part, f"{path}.content[{n}]", self._traits, self._losses))
        self._put("user", content)

    def _result(self, result: ToolResult, path: str) -> Json:
        raw = own(result.extra).get("raw")
        if raw is not None:
            return self._without_id(raw)
        if result.cache is not None:
            self._losses.add("cache_control", "dropped", "a tool's output takes no cache breakpoint", INFO)
        kind = "custom_tool_call_output" if result.custom else "function_call_output"
        return {"type": kind, "call_id": result.id, "output": self._output(result, path)}

    def _output(self, result: ToolResult, path: str) -> str | list[Json]:
        """Text, or a list where there is more than that."""
        error = "Error: " if result.error else ""
        if result.error:
            self._losses.add(f"{path}.is_error", "approximated", "a failed result is marked by its text only", INFO)
        if all(isinstance(part, Text) for part in result.parts):
            text = _BREAK.join(part.text for part in result.parts if isinstance(part, Text) and part.text)
            return (error + text) if text or not error else "Error"
        parts = [part for part in result.parts if not isinstance(part, Text) or part.text]
        content = [render_input(part, path, self._traits, self._losses) for part in parts]
        return [{"type": "input_text", "text": error.strip()}, *content] if error else content

    # ---- assistants

    def _assistant(self, parts: Sequence[Part], path: str) -> None:
        said: list[Json] = []
        facts: Json = {}
        for part in parts:
            if isinstance(part, Text | Refusal):
                mine = own(part.extra)
                if said and mine:
                    self._flush(said, facts)
                    said, facts = [], {}
                facts = mine or facts
                said += self._said(part)
                continue
            words = self._words(part, path)
            if words is not None:
                said += self._said(Text(words))
                continue
            item = self._item(part, path)
            if item is not None:
                self._flush(said, facts)
                said, facts = [], {}
                self.out.append(item)
        self._flush(said, facts)

    def _flush(self, said: list[Json], facts: Json) -> None:
        if said:
            item: Json = {"type": "message", "role": "assistant", "content": said}
            if facts.get("phase"):
                item["phase"] = facts["phase"]
            self.out.append(self._named(item, facts))

    def _named(self, item: Json, facts: Json) -> Json:
        """With the id by which the upstream knows the item, where it does."""
        id = facts.get("id")
        return {**item, "id": id} if id and self._stored else item

    def _without_id(self, raw: Json) -> Json:
        if self._stored or raw.get("type") == "item_reference":
            return raw
        return {name: value for name, value in raw.items() if name != "id"}

    def _said(self, part: Text | Refusal) -> list[Json]:
        if not part.text:
            return []
        if isinstance(part, Refusal):
            return [{"type": "refusal", "refusal": part.text}]
        if part.cache is not None:
            self._losses.add("cache_control", "dropped", "what the model said takes no cache breakpoint", INFO)
        return [{"type": "output_text", "text": part.text, "annotations": render_citations(part.text, part.citations)}]

    def _words(self, part: Part, path: str) -> str | None:
        """What can be given back in words only; None where there is an item for it."""
        match part:
            case ServerTool() | Image() if "raw" in own(part.extra):
                return None
            case Opaque(protocol=protocol, raw=raw) if protocol == NAME and isinstance(raw, dict):
                return None
            case ServerTool() | Opaque():
                return summary(part, path, self._losses)
            case Image() | File() | Audio():
                why = "what the model made is not given back to it"
                self._losses.add(path, "omitted", why, STRICT_REJECT_WARN)
                return f"[{type(part).__name__.lower()}]"
            case _:
                return None

    def _item(self, part: Part, path: str) -> Json | None:
        match part:
            case ToolCall():
                return self._call(part, path)
            case Thinking():
                return self._reasoning(part)
            case ServerTool() | Image():
                return self._without_id(own(part.extra)["raw"])
            case Opaque():
                raw: Json = part.raw
                return self._without_id(raw)
            case _:
                return None

    def _call(self, call: ToolCall, path: str) -> Json:
        facts = own(call.extra)
        if "raw" in facts:
            return self._without_id(facts["raw"])
        out: Json = {"type": "custom_tool_call" if call.custom else "function_call", "call_id": call.id}
        out["name"] = call.name
        if call.namespace:
            out["namespace"] = call.namespace
        if call.custom:
            return self._named({**out, "input": call.arguments}, facts)
        arguments, fine = as_object(call.arguments)
        if not fine:
            why = "the arguments of a tool call were no JSON object"
            self._losses.add(f"{path}.tool_calls", "repaired", why, WARN)
        return self._named({**out, "arguments": bytes(arguments).decode()}, facts)

    def _reasoning(self, part: Thinking) -> Json | None:
        facts = own(part.extra)
        digest: list[Any] = facts.get("summary") or ([part.text] if part.text else [])
        item: Json = {"type": "reasoning", "summary": [{"type": "summary_text", "text": text} for text in digest]}
        if token := facts.get("encrypted_content"):
            return self._named({**item, "encrypted_content": token}, facts)
        if facts.get("id") and self._stored:
            return self._named(item, facts)
        if self._traits.replay and part.text:  # servers of open models, which read it as it is
            return {**item, "summary": [], "content": [{"type": "reasoning_text", "text": part.text}]}
        why = "a thought without the target's token means nothing to it"
        self._losses.add("messages.thinking", "dropped", why, INFO)
        return None
