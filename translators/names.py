"""Tool names and call ids that the target takes, and the way back.

Each protocol has its own rule for what a tool may be called: Chat stops at 64 characters, Gemini wants a letter first,
MCP servers use dots and slashes, and only Responses knows namespaces. `Names` is built anew for each request from its
own tools and history, so nothing is kept between turns: names that are valid stay, the others are flattened
(`ns__name`), cleaned and shortened with a hash of the whole name, and no two tools end up with one name. Ids that are
not valid become a hash of themselves, so that a call and its result still meet, on this turn and on the next.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Protocol

from msgspec.structs import replace

from .model import HostedTool, Message, Part, Request, Tool, ToolCall, ToolChoice, ToolResult

Key = tuple[str | None, str]  # namespace, name

_HASH = 8  # hex digits that tell apart what was shortened
_PLAIN = re.compile(r"[A-Za-z0-9]+")
_OTHER = re.compile(r"[^A-Za-z0-9_-]")


class Rules(Protocol):
    """What a codec says of names; every codec does."""

    TOOL_NAME: re.Pattern[str]
    TOOL_NAME_LENGTH: int
    CALL_ID: re.Pattern[str]


class Names:
    """The names of one request, as one target takes them."""

    def __init__(self, request: Request, rules: Rules, id_length: int = 0) -> None:
        self._valid, self._length, self._id = rules.TOOL_NAME, rules.TOOL_NAME_LENGTH, rules.CALL_ID
        self._id_length = id_length
        self._to: dict[Key, str] = {}
        self._back: dict[str, Key] = {}
        self._bare: dict[str, str] = {}  # where only the name is given: tool_choice, results
        self._choose(dict.fromkeys(_keys(request)))
        self._changed = any(namespace is not None or name != new for (namespace, name), new in self._to.items())

    def fit(self, request: Request) -> Request:
        """The request in the target's names and ids: the same object where none had to change."""
        messages = [self._message(message) for message in request.messages]
        if all(new is old for new, old in zip(messages, request.messages, strict=True)):
            messages = request.messages
        if not self._changed:
            return request if messages is request.messages else replace(request, messages=messages)
        tools = [self._tool(tool) for tool in request.tools]
        return replace(request, messages=messages, tools=tools, tool_choice=self._choice(request.tool_choice))

    def restore(self, name: str) -> Key:
        """(namespace, name) as the client declared the tool that the model called. An undeclared name stays."""
        return self._back.get(name, (None, name))

    def restore_part(self, part: Part, client: Rules) -> Part:
        """A part of the answer in the client's names, and with an id that its protocol takes."""
        if type(part) is not ToolCall:
            return part
        namespace, name = self.restore(part.name)
        id = fit_call_id(part.id, client.CALL_ID)
        if name == part.name and namespace == part.namespace and id == part.id:
            return part
        return replace(part, id=id, name=name, namespace=namespace or part.namespace)

    # ---- choosing

    def _choose(self, keys: dict[Key, None]) -> None:
        taken: set[str] = set()
        for key in keys:
            if key[0] is None and self._takes(key[1]):
                self._name(key, key[1], taken)
        for key in keys:
            if key not in self._to:
                self._name(key, self._fitted(key, taken), taken)

    def _name(self, key: Key, new: str, taken: set[str]) -> None:
        taken.add(new)
        self._to[key], self._back[new] = new, key
        self._bare.setdefault(key[1], new)

    def _takes(self, name: str) -> bool:
        return self._valid.fullmatch(name) is not None

    def _fitted(self, key: Key, taken: set[str]) -> str:
        namespace, name = key
        full = f"{namespace.removesuffix('__')}__{name}" if namespace else name  # Codex: `mcp__files__`
        clean = _OTHER.sub("_", full) or "_"
        if not self._takes(clean[: self._length]):  # it begins with a digit
            clean = "_" + clean
        if len(clean) <= self._length and clean not in taken:
            return clean
        for salt in ("", *map(str, range(2, len(taken) + 3))):
            mark = hashlib.sha256((full + salt).encode()).hexdigest()[:_HASH]
            short = f"{_tail(clean, self._length - _HASH - 1)}_{mark}"
            if short not in taken:
                break
        return short

    # ---- applying

    def _message(self, message: Message) -> Message:
        parts: list[Part] | None = None
        for index, part in enumerate(message.parts):
            if type(part) is ToolCall:
                new: Part = self._call(part)
            elif type(part) is ToolResult:
                new = self._result(part)
            else:
                continue
            if new is not part:
                parts = list(message.parts) if parts is None else parts
                parts[index] = new
        return message if parts is None else replace(message, parts=tuple(parts))

    def _call(self, call: ToolCall) -> ToolCall:
        name, id = self._to[call.namespace, call.name], self._fitted_id(call.id)
        if name == call.name and id == call.id and call.namespace is None:
            return call
        return replace(call, id=id, name=name, namespace=None)

    def _result(self, result: ToolResult) -> ToolResult:
        name = self._bare.get(result.name, result.name) if result.name is not None else None
        id = self._fitted_id(result.id)
        return result if name == result.name and id == result.id else replace(result, id=id, name=name)

    def _fitted_id(self, id: str) -> str:
        if not self._id_length:
            return fit_call_id(id, self._id)
        return id if len(id) == self._id_length and _PLAIN.fullmatch(id) else _digest(id)[: self._id_length]

    def _tool(self, tool: Tool | HostedTool) -> Tool | HostedTool:
        if isinstance(tool, HostedTool):
            return tool
        new = self._to[tool.namespace, tool.name]
        return tool if new == tool.name and tool.namespace is None else replace(tool, name=new, namespace=None)

    def _choice(self, choice: ToolChoice | None) -> ToolChoice | None:
        if choice is None or not choice.names:
            return choice
        return replace(choice, names=tuple(self._bare.get(name, name) for name in choice.names))


def _keys(request: Request) -> Iterator[Key]:
    """Every tool that the request speaks of: those declared first, then those of the history."""
    for tool in request.tools:
        yield (None if isinstance(tool, HostedTool) else tool.namespace), tool.name
    for message in request.messages:
        for part in message.parts:
            if type(part) is ToolCall:
                yield part.namespace, part.name


def _tail(text: str, length: int) -> str:
    """The end says more than the beginning: `mcp__server__tool`. A letter of the front keeps the name a legal one."""
    return text if len(text) <= length else text[0] + text[len(text) - length + 1 :]


def fit_call_id(id: str, valid: re.Pattern[str]) -> str:
    """The id itself where it is valid, else one made of its hash: the same one each time."""
    if valid.fullmatch(id) is not None:
        return id
    return made_id(id)


def made_id(text: str) -> str:
    """A call id made of the hash of a text."""
    return "call_" + _digest(text)[:24]


def _digest(text: str) -> str:
    """52 letters and digits."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:52].lower()
