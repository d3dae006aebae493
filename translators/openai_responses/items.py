"""The items of a conversation, from the wire.

What the assistant did (messages, reasoning, calls) stands in items of its own; a run of them is one assistant message
here, and a run of outputs one user message. An item's id, a message's phase and the token of a reasoning item are kept
in `extra`, so that a history can be given back to this protocol as it was. The same reading serves for answers, whose
items are those of a history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw

from ..body import generic, typed
from ..compact import summary_of
from ..model import (
    BadRequest,
    Blob,
    Extra,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from ..names import made_id
from ..unpacked import unpacked
from . import local
from .parts import Content, parse_content
from .wire import (
    CALL,
    INPUT,
    ITEM_TOOLS,
    KIND,
    MESSAGE,
    NAME,
    OUTPUT,
    REASONING,
    SETTINGS,
    WireReasoning,
    dumps,
)

SEARCH = "tool_search"  # the one tool of Responses' own that the client runs and whose form is a call's

Given = Mapping[str, Raw]
_ELSEWHERE = ("previous_response_id", "conversation", "prompt")  # where else there may be something to answer
_OPERATORS = ("system", "developer")


def parse_input(fields: Given) -> _Reader:
    """The conversation, and what came with it: tools (each with its path) and settings, in the order of the wire."""
    reader = _Reader()
    if "instructions" in fields:
        reader.instructions(fields["instructions"])
    if "input" in fields:
        given: str | list[Raw] = typed(fields, "input", INPUT)
        if isinstance(given, str):
            reader.out.append(Message("user", (Text(given),)))
        else:
            for index, raw in enumerate(given):
                reader.item(raw, f"input[{index}]")
    elif not any(name in fields for name in _ELSEWHERE):
        raise BadRequest("input is required", "input")
    reader.flush()
    if not reader.out and not any(name in fields for name in _ELSEWHERE):
        raise BadRequest("input must not be empty", "input")
    return reader


class _Reader:
    """Keeps what an item means for the next ones: the run that it belongs to, and which calls wait for an output."""

    def __init__(self) -> None:
        self.out: list[Message] = []
        self.tools: list[tuple[Raw, str]] = []
        self.settings: dict[str, Raw] = {}  # that later items set anew: `reasoning`, `text`
        self._run: list[Part] = []
        self._results: list[Part] = []
        self._waiting: list[str] = []

    def instructions(self, raw: Raw) -> None:
        """Text, or (in a stored prompt) items."""
        given: str | list[Raw] = typed({"instructions": raw}, "instructions", INPUT)
        if not isinstance(given, str):
            for index, item in enumerate(given):
                self.item(item, f"instructions[{index}]")
        elif given:
            self.out.append(Message("system", (Text(given),)))

    def item(self, raw: Raw, path: str) -> None:
        kind = decode(raw, path, KIND)
        type = kind.type or ("message" if kind.role else "")
        if not type:
            raise BadRequest(f"{path}.type is required", f"{path}.type")
        if type in _OUTPUTS:
            self._result(type, raw, path)
        elif type == "additional_tools":
            self._declare(raw, path)
        elif type == "configuration_update":
            later: dict[str, Raw] = decode(raw, path, SETTINGS)
            self.settings.update(later)
        elif type == "message" and kind.role != "assistant":
            self._said(kind.role or "", raw, path)
        elif type == "compaction" and (summary := summary_of(generic(raw))) is not None:
            self.flush()
            self.out.append(Message("user", (Text(summary),)))
        elif type in _INPUT_ONLY:
            self.flush()
            self.out.append(Message("user", (Opaque(NAME, type, generic(raw)),)))
        else:
            self._assistant(type, raw, path)

    def flush(self) -> None:
        """The runs that are open are over."""
        if self._run:
            self.out.append(Message("assistant", tuple(self._run)))
            self._run = []
        if self._results:
            self.out.append(Message("user", tuple(self._results)))
            self._results = []

    def _said(self, role: str, raw: Raw, path: str) -> None:
        if role not in ("user", *_OPERATORS):
            known = "user, assistant, system or developer"
            raise BadRequest(f"{path}.role: {role!r} is no role; it must be {known}", f"{path}.role")
        self.flush()
        wire = decode(raw, path, MESSAGE)
        parts = parse_content(wire.content, f"{path}.content", lambda: generic(raw)["content"])
        self.out.append(Message(role, tuple(parts)))  # type: ignore[arg-type]

    def _assistant(self, type: str, raw: Raw, path: str) -> None:
        if self._results:
            self.flush()
        for part in parts_of(type, raw, path, ids=True):
            self._run.append(part)
            if isinstance(part, ToolCall):
                self._waiting.append(part.id)

    def _result(self, type: str, raw: Raw, path: str) -> None:
        if self._run:
            self.flush()
        if type == "tool_search_output":
            result = self._found(raw, path)
        elif type in local.OUTPUTS:
            value = generic(raw)
            result = local.result_of(value, self._answered(str(value.get("call_id") or value.get("id") or "")))
        else:
            wire = decode(raw, path, OUTPUT)
            parts = _output(wire.output, f"{path}.output", raw)
            result = ToolResult(
                self._answered(wire.call_id), tuple(parts), wire.name, custom=type == "custom_tool_call_output"
            )
        self._results.append(result)

    def _found(self, raw: Raw, path: str) -> ToolResult:
        """The tools that a search found are declared from now on."""
        wire = decode(raw, path, ITEM_TOOLS)
        self._declare(raw, path)
        values = map(generic, wire.tools or ())  # one that is no object is refused where they are read
        names = [str(value.get("name")) for value in values if isinstance(value, dict)]
        text = f"Tools that are available now: {', '.join(names)}" if names else "No tools found."
        return ToolResult(self._answered(wire.call_id), (Text(text),), SEARCH, extra={NAME: {"raw": generic(raw)}})

    def _answered(self, id: str | None) -> str:
        """The call that an output belongs to: the first that waits, where it does not say."""
        found = id or (self._waiting[0] if self._waiting else "")
        if found in self._waiting:
            self._waiting.remove(found)
        return found

    def _declare(self, raw: Raw, path: str) -> None:
        wire = decode(raw, path, ITEM_TOOLS)
        self.tools += ((tool, f"{path}.tools[{n}]") for n, tool in enumerate(wire.tools or ()))


def decode(raw: Raw, path: str, decoder: Any) -> Any:
    return typed({path: raw}, path, decoder)


_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output", "tool_search_output"}) | local.OUTPUTS
_INPUT_ONLY = frozenset({"compaction_trigger", "item_reference", "mcp_approval_response"})


def _output(output: Any, path: str, raw: Raw) -> list[Part]:
    if output is None or output == "":
        return []
    if isinstance(output, str) and (parts := unpacked(output)) is not None:
        return parts
    if isinstance(output, str | list):
        return parse_content(output, path, lambda: generic(raw)["output"])
    return [Text(dumps(output))]  # some clients send the result's object, or a bare number


# ------------------------------------------------------------------------------------------------ the assistant's items


def parts_of(type: str, raw: Raw, path: str, ids: bool) -> list[Part]:
    """The parts of one of the assistant's items. `ids`: its id is kept, because it belongs to a history."""
    parse = _PARSERS.get(type)
    if parse is not None:
        return parse(raw, path, ids)
    value = generic(raw)
    if type in local.CALLS:
        return [local.call_of(type, value, ids)]
    if type == "image_generation_call" and isinstance(value.get("result"), str):
        kind = f"image/{value.get('output_format') or 'png'}"
        return [Image(Blob(kind, value["result"]), extra={NAME: {"raw": value}} if ids else {})]
    family = type.removesuffix("_call")
    if family != type and type not in _CLIENT_CALLS:
        said, id = _described(family, value), str(value.get("id") or "")
        return [ServerTool(family, "call", id, said, {NAME: {"raw": value}})]
    return [Opaque(NAME, type, value, _words(value))]


_CLIENT_CALLS = frozenset({"multi_agent_call"})


def _described(family: str, value: Mapping[str, Any]) -> str:
    """What a tool of the provider's did, in a line."""
    action = value.get("action")
    fields = action if isinstance(action, dict) else value
    said = next((fields[name] for name in ("query", "url", "queries", "code", "name") if fields.get(name)), "")
    return f"[{family} {said if isinstance(said, str) else dumps(said)}]" if said else f"[{family}]"


def _words(value: Mapping[str, Any]) -> str:
    if value.get("type") == "mcp_approval_request":
        return f"[the provider asks for leave to call {value.get('name')}]"
    content = value.get("content")
    return content if isinstance(content, str) else ""


def _kept(**facts: Any) -> Extra:
    known = {name: value for name, value in facts.items() if value}
    return {NAME: known} if known else {}


def _message(raw: Raw, path: str, ids: bool) -> list[Part]:
    wire = decode(raw, path, MESSAGE)
    parts = parse_content(wire.content, f"{path}.content", lambda: generic(raw)["content"])
    extra = _kept(id=wire.id if ids else None, phase=wire.phase)
    if extra and parts and isinstance(first := parts[0], Text | Refusal):
        parts[0] = Refusal(first.text, extra) if isinstance(first, Refusal) else Text(
            first.text, first.citations, first.cache, extra
        )
    return [part for part in parts if not isinstance(part, Text) or part.text]


def texts_of(content: Content) -> list[str]:
    """The texts of a summary, or of raw reasoning."""
    if content is None or isinstance(content, str):
        return [content] if content else []
    found = (part if isinstance(part, str) else part.text or "" for part in content)
    return [text for text in found if text]


def _reasoning(raw: Raw, path: str, ids: bool) -> list[Part]:
    wire: WireReasoning = decode(raw, path, REASONING)
    digest = texts_of(wire.summary)
    text = "\n\n".join(digest) or "".join(texts_of(wire.content))
    several = digest if len(digest) > 1 and ids else None
    extra = _kept(id=wire.id if ids else None, encrypted_content=wire.encrypted_content, summary=several)
    if not text:
        return [Thinking("", True, extra=extra)] if extra else []
    return [Thinking(text, summary=bool(digest), extra=extra)]


def _call(raw: Raw, path: str, ids: bool) -> list[Part]:
    wire = decode(raw, path, CALL)
    if not wire.name:
        raise BadRequest(f"{path}.name is required", f"{path}.name")
    text = wire.arguments if isinstance(wire.arguments, str) else dumps(wire.arguments) if wire.arguments else ""
    return [ToolCall(_id(wire, path), wire.name, text, False, wire.namespace, extra=_kept(id=wire.id if ids else None))]


def _custom_call(raw: Raw, path: str, ids: bool) -> list[Part]:
    wire = decode(raw, path, CALL)
    if not wire.name:
        raise BadRequest(f"{path}.name is required", f"{path}.name")
    extra = _kept(id=wire.id if ids else None)
    return [ToolCall(_id(wire, path), wire.name, wire.input or "", True, wire.namespace, extra=extra)]


def _search_call(raw: Raw, path: str, ids: bool) -> list[Part]:
    wire = decode(raw, path, CALL)
    value = generic(raw)
    if wire.execution == "server" or not wire.call_id:
        return [ServerTool(SEARCH, "call", wire.id or "", f"[{SEARCH}]", {NAME: {"raw": value}})]
    text = wire.arguments if isinstance(wire.arguments, str) else dumps(wire.arguments or {})
    return [ToolCall(wire.call_id, SEARCH, text, extra={NAME: {"raw": value}} if ids else {})]


def _id(wire: Any, path: str) -> str:
    """Of a call without one, always the same."""
    return str(wire.call_id or wire.id or made_id(f"{path}\0{wire.name}\0{wire.arguments}"))


_PARSERS: dict[str, Callable[[Raw, str, bool], list[Part]]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _call,
    "custom_tool_call": _custom_call,
    "tool_search_call": _search_call,
}
