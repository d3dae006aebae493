"""Freeform tools for a target that has only functions: the raw text goes into one string argument, and comes out again.

`wrap` makes functions of them in the request and its history; as a transform of events, `Customs` turns the calls back,
decoding the JSON string as it streams. Codex and Cursor send such tools (`apply_patch`), with a grammar for the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from .arguments import as_object, to_utf8
from .events import Event, PartDelta, PartEnd, PartStart
from .model import Message, Part, Request, Tool, ToolCall, ToolResult

ARGUMENT = "input"
_GRAMMAR_LIMIT = 8192
_NOTE = (
    "Call this tool with a single string argument `input` that holds the raw tool text. "
    "Ignore any instruction to avoid JSON."
)

_HEAD = re.compile(r'\s*\{\s*"(?:input|content|patch|text)"\s*:\s*"')
_MAYBE_HEAD = re.compile(r'\s*(\{\s*("[a-z]{0,7}("\s*(:\s*)?)?)?)?$')
# What stands in the string, escapes that JSON does not have included: models write Windows paths and regexes into it.
_ESCAPE = re.compile(r"\\(?:u(?:[0-9a-fA-F]{4}|[0-9a-fA-F]{0,3}(?=[^0-9a-fA-F]))|[^u])", re.DOTALL)
_STRING = re.compile(rf'(?:[^"\\]++|{_ESCAPE.pattern})*+', re.DOTALL)
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
_HALF_PAIR = re.compile(r"(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2})$")


class Customs:
    """The freeform tools of one request."""

    def __init__(self, request: Request) -> None:
        self._names = {tool.name for tool in request.tools if isinstance(tool, Tool) and tool.custom}
        self._unwrap: _Unwrap | None = None

    def wrap(self, request: Request) -> Request:
        """The request with functions in their place; the same object where there are none."""
        history = any(isinstance(p, ToolCall | ToolResult) and p.custom for m in request.messages for p in m.parts)
        if not self._names and not history:
            return request
        tools = [_as_function(tool) if isinstance(tool, Tool) and tool.custom else tool for tool in request.tools]
        messages = [_wrapped(message) for message in request.messages]
        return msgspec.structs.replace(request, tools=tools, messages=messages)

    def __call__(self, event: Event) -> Sequence[Event]:
        if isinstance(event, PartStart):
            if not isinstance(event.part, ToolCall) or event.part.name not in self._names:
                return [event]
            self._unwrap = _Unwrap()
            return [PartStart(event.index, msgspec.structs.replace(event.part, custom=True))]
        if self._unwrap is None:
            return [event]
        if isinstance(event, PartDelta):
            text = self._unwrap.feed(event.text)
            return [PartDelta(event.index, text)] if text else []
        if isinstance(event, PartEnd):
            text, cut = self._unwrap.end(), self._unwrap.cut
            self._unwrap = None
            if cut:
                event = msgspec.structs.replace(event, cut=True)
            return [PartDelta(event.index, text), event] if text else [event]
        return [event]


def _as_function(tool: Tool) -> Tool:
    what = "Raw text for this tool."
    if tool.grammar:
        syntax = tool.grammar.get("syntax", "")
        what += f" It must match this {syntax} grammar:\n{tool.grammar.get('definition', '')}"[:_GRAMMAR_LIMIT]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {ARGUMENT: {"type": "string", "description": what}},
        "required": [ARGUMENT],
        "additionalProperties": False,
    }
    description = f"{tool.description}\n{_NOTE}" if tool.description else _NOTE
    return msgspec.structs.replace(tool, description=description, schema=schema, custom=False, grammar=None)


def _wrapped(message: Message) -> Message:
    if not any(isinstance(part, ToolCall | ToolResult) and part.custom for part in message.parts):
        return message
    return msgspec.structs.replace(message, parts=tuple(_wrapped_part(part) for part in message.parts))


def _wrapped_part(part: Part) -> Part:
    if isinstance(part, ToolCall) and part.custom:
        arguments = json.dumps({ARGUMENT: part.arguments}, ensure_ascii=False, separators=(",", ":"))
        return msgspec.structs.replace(part, arguments=arguments, custom=False)
    if isinstance(part, ToolResult) and part.custom:
        return msgspec.structs.replace(part, custom=False)
    return part


class _Unwrap:
    """The string inside `{"input": "…"}`, decoded as its JSON comes. Text that is no such object is the input."""

    def __init__(self) -> None:
        self._mode = "head"  # head, string, raw, whole (an object of another form), done
        self._held = ""
        self.cut = False

    def feed(self, text: str) -> str:
        if self._mode == "raw":
            return text
        if self._mode == "done":
            return ""
        self._held += text
        if self._mode == "head":
            self._find_string()
        if self._mode == "raw":
            held, self._held = self._held, ""
            return held
        return self._decode() if self._mode == "string" else ""

    def end(self) -> str:
        held, self._held = self._held, ""
        if self._mode == "string":  # cut off, perhaps inside an escape
            self.cut = True
            return _decoded(held)
        if self._mode == "done" or not held.strip():
            return ""
        raw, _ = as_object(held)
        value = msgspec.json.decode(raw)
        texts = [text for text in value.values() if isinstance(text, str)]
        return texts[0] if len(texts) == 1 else held

    def _find_string(self) -> None:
        held = self._held
        if (head := _HEAD.match(held)) is not None:
            self._mode, self._held = "string", held[head.end() :]
        elif held.lstrip()[:1] not in ("", "{", '"'):
            self._mode = "raw"
        elif _MAYBE_HEAD.match(held) is None:
            self._mode = "whole"

    def _decode(self) -> str:
        match = _STRING.match(self._held)
        assert match is not None
        piece, rest = match.group(), self._held[match.end() :]
        if rest.startswith('"'):
            self._mode, rest = "done", ""
        elif (half := _HALF_PAIR.search(piece)) is not None:
            piece, rest = piece[: half.start(1)], half[1] + rest
        self._held = rest
        return _decoded(piece)


def _decoded(piece: str) -> str:
    """The text of a piece of a JSON string. An escape that JSON does not have stands for itself."""
    if "\\" not in piece:
        return piece
    return to_utf8(_ESCAPE.sub(_unescaped, piece)).decode()


def _unescaped(escape: re.Match[str]) -> str:
    text = escape.group()
    if len(text) == 6:
        return chr(int(text[2:], 16))
    return _SHORT.get(text[1], text)
