"""The messages of a conversation, both ways.

From the wire: every role and the older forms of it (`function`, `function_call`), tool messages grouped into one user
turn. To the wire: one leading system message, every call answered at once by `tool` messages that hold only text, media
of results in a user message behind them, and nothing that another protocol left behind.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from ..arguments import as_object
from ..body import generic, typed
from ..codec import Traits
from ..model import (
    Audio,
    BadRequest,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from ..policy import INFO, STRICT_REJECT_WARN, WARN, Losses
from ..turns import settle
from ..unpacked import unpacked
from .parts import Json, mark_of, parse_content, render_media, summary
from .reasoning import call_side, details_of, reasoning_text
from .wire import MESSAGES, NAME, WireCall, WireFunction, WireMessage, dumps

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_messages(fields: Mapping[str, Raw]) -> list[Message]:
    if "messages" not in fields:
        raise BadRequest("messages is required", "messages")
    wires = typed(fields, "messages", MESSAGES)
    if not wires:
        raise BadRequest("messages must not be empty", "messages")
    return _Parser(fields["messages"]).parse(wires)


class _Parser:
    """Keeps what a message means for the next ones: which calls wait for a result, which results stand together."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._out: list[Message] = []
        self._results: list[Part] = []
        self._waiting: list[str] = []  # ids of calls without a result, for tool messages that name none
        self._custom: set[str] = set()
        self._functions = 0

    def parse(self, wires: Sequence[WireMessage]) -> list[Message]:
        for index, wire in enumerate(wires):
            if wire.role in ("tool", "function"):
                self._results.append(self._result(wire, index))
                continue
            self._flush()
            self._out.append(self._message(wire, index))
        self._flush()
        return self._out

    def _flush(self) -> None:
        if self._results:
            self._out.append(Message("user", tuple(self._results)))
            self._results = []

    def _message(self, wire: WireMessage, index: int) -> Message:
        match wire.role:
            case "system" | "developer" | "user":
                parts = self._content(wire, index)
                return Message(wire.role, _with_mark(parts, wire), wire.name)
            case "assistant":
                return Message("assistant", _with_mark(self._assistant(wire, index), wire), wire.name)
            case _:
                path = f"messages[{index}].role"
                known = "system, developer, user, assistant, tool or function"
                raise BadRequest(f"{path}: {wire.role!r} is no role; it must be {known}", path)

    def _content(self, wire: WireMessage, index: int) -> list[Part]:
        return parse_content(wire, f"messages[{index}].content", lambda: generic(self._raw)[index]["content"])

    def _assistant(self, wire: WireMessage, index: int) -> list[Part]:
        parts: list[Part] = []
        thought = reasoning_text(wire.reasoning_content, wire.reasoning, wire.reasoning_details)
        if thought:
            details = wire.reasoning_details
            parts.append(Thinking(thought, extra={NAME: {"reasoning_details": details}} if details else {}))
        parts += (part for part in self._content(wire, index) if not isinstance(part, Text) or part.text)
        if wire.refusal:
            parts.append(Refusal(wire.refusal))
        if wire.audio:
            parts.append(Opaque(NAME, "audio", wire.audio))
        calls = [self._call(call, index, n) for n, call in enumerate(wire.tool_calls or ())]
        if wire.function_call is not None:
            calls.append(self._function_call(wire.function_call, index))
        if calls:
            self._waiting = [call.id for call in calls]
            self._custom.update(call.id for call in calls if call.custom)
        return [*parts, *calls]

    def _call(self, call: WireCall, index: int, n: int) -> ToolCall:
        path = f"messages[{index}].tool_calls[{n}]"
        if call.custom is not None:
            body, custom = call.custom, True
        elif call.function is not None:
            body, custom = call.function, call.type == "custom"
        else:
            raise BadRequest(f"{path}.function is required", f"{path}.function")
        if not body.name:
            raise BadRequest(f"{path}.function.name is required", f"{path}.function.name")
        text = _arguments(body)
        id = call.id or synthetic_id(f"{index}.{n}", body.name, text)
        return ToolCall(id, body.name, text, custom, extra=call_side(call.extra_content))

    def _function_call(self, call: WireFunction, index: int) -> ToolCall:
        if not call.name:
            path = f"messages[{index}].function_call.name"
            raise BadRequest(f"{path} is required", path)
        self._functions += 1
        return ToolCall(f"fn_{self._functions}", call.name, _arguments(call))

    def _result(self, wire: WireMessage, index: int) -> ToolResult:
        id = wire.tool_call_id
        if id is None and wire.role == "function":
            id = f"fn_{self._functions}"
        elif not id and self._waiting:
            id = self._waiting[0]
        if id in self._waiting:
            self._waiting.remove(id)
        parts, mark = tuple(self._result_parts(wire, index)), mark_of(wire.cache_control)
        return ToolResult(id or "", parts, wire.name, custom=id in self._custom, cache=mark)

    def _result_parts(self, wire: WireMessage, index: int) -> list[Part]:
        content = wire.content
        if content is None or isinstance(content, str):
            return (unpacked(content) or [Text(content)]) if content else []
        if isinstance(content, list):
            return self._content(wire, index)
        return [Text(dumps(content))]  # some clients send the result's object, or a bare number


def _with_mark(parts: list[Part], wire: WireMessage) -> tuple[Part, ...]:
    """A cache mark on the message is one on its last text."""
    mark = mark_of(wire.cache_control)
    if mark is not None and parts and isinstance(parts[-1], Text):
        parts[-1] = Text(parts[-1].text, cache=mark)
    return tuple(parts)


def _arguments(body: WireFunction) -> str:
    value = body.arguments if body.arguments is not None else body.input
    return value if isinstance(value, str) else "" if value is None else dumps(value)


def synthetic_id(place: str, name: str, arguments: str) -> str:
    """An id for a call that came without one: the same each time the history is read."""
    digest = hashlib.sha256(f"{place}\0{name}\0{arguments}".encode()).digest()
    return "call_" + b32encode(digest).decode()[:24].lower()


# ------------------------------------------------------------------------------------------------ neutral to wire


def render_messages(request: Request, traits: Traits, losses: Losses, hint: str = "") -> list[Json]:
    """The conversation. `hint` is something for the operator's message to say, at its end."""
    settled: list[Any] = []
    messages = settle(request.messages, settled, merge=False)
    for loss in settled:
        losses.add(loss.path, loss.code, loss.why, loss.rule)
    thinks = request.reasoning is None or request.reasoning.effort != "off"
    renderer = _Renderer(traits, losses, thinks)
    lead = 0
    while lead < len(messages) and messages[lead].role in ("system", "developer"):
        lead += 1
    renderer.lead(messages[:lead], hint)
    for index in range(lead, len(messages)):
        renderer.message(messages[index], f"messages[{index}]")
    renderer.finish(messages)
    return renderer.out


class _Renderer:
    def __init__(self, traits: Traits, losses: Losses, thinks: bool) -> None:
        self._traits, self._losses = traits, losses
        self._lost = traits.replay_lost if thinks and traits.replay else ""
        self._media: list[Json] = []  # that had no place where it stood, for the next user message
        self._images = 0
        self.out: list[Json] = []

    def lead(self, messages: Sequence[Message], hint: str) -> None:
        """The leading operator's messages as one: servers with chat templates take no second."""
        parts = [part for n, message in enumerate(messages) for part in self._system(message, f"messages[{n}]")]
        if hint:
            parts.append(Text(hint))
        if not parts:
            return
        out: Json = {"role": self._traits.system_role}
        if self._traits.cache_marks and any(part.cache is not None for part in parts):
            out["content"] = [render_media(part, "messages[0]", self._traits, self._losses) for part in parts]
        else:
            self._note_marks(parts)
            out["content"] = "\n\n".join(part.text for part in parts)
        if len(messages) == 1 and messages[0].name:
            out["name"] = messages[0].name
        self.out.append(out)

    def message(self, message: Message, path: str) -> None:
        match message.role:
            case "user":
                self._user(message, path)
            case "assistant":
                self._flush()
                self._assistant(message, path)
            case _:
                self._flush()
                self._mid_system(message, path)

    def finish(self, messages: Sequence[Message]) -> None:
        self._flush()
        if not self.out:
            self._put_user([])  # a conversation of nothing is one still
        last = messages[-1] if messages else None
        if last is not None and last.role == "assistant" and not self._traits.prefill:
            why = "the model does not continue an assistant message; it was asked to go on"
            self._losses.add("messages", "approximated", why, STRICT_REJECT_WARN)
            self.out.append({"role": "user", "content": "Continue."})

    # ---- operators

    def _system(self, message: Message, path: str) -> list[Text]:
        texts = []
        for part in message.parts:
            if not isinstance(part, Text):
                why = "an operator's message holds only text"
                self._losses.add(f"{path}.content", "omitted", why, STRICT_REJECT_WARN)
                texts.append(Text(f"[{type(part).__name__.lower()}]"))
            elif part.text and not part.extra.get("anthropic", {}).get("billing"):
                texts.append(part)  # Claude Code's billing header changes on each request and would spoil the cache
        return texts

    def _mid_system(self, message: Message, path: str) -> None:
        texts = self._system(message, path)
        self._note_marks(texts)
        text = "\n\n".join(part.text for part in texts)
        if not text:
            return
        if self._traits.mid_system:
            out: Json = {"role": self._traits.system_role, "content": text}
            self.out.append({**out, "name": message.name} if message.name else out)
            return
        why = "the model takes an operator's message at the beginning only"
        self._losses.add(path, "moved", why, WARN)
        self.out.append({"role": "user", "content": f"<system-reminder>\n{text}\n</system-reminder>"})

    def _note_marks(self, parts: Sequence[Text]) -> None:
        if any(part.cache is not None for part in parts):
            self._losses.add("cache_control", "dropped", "the target takes no cache breakpoints", INFO)

    # ---- users

    def _user(self, message: Message, path: str) -> None:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        for result in results:
            self.out.append(self._result(result, path))
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        if not rest and results:
            return  # media of these results waits for all tool messages of the batch
        content = [
            render_media(part, f"{path}.content[{n}]", self._traits, self._losses)
            for n, part in enumerate(rest)
            if not (isinstance(part, Text) and not part.text)
        ]
        media, self._media = self._media, []
        self._put_user([*media, *content], message.name)

    def _put_user(self, content: list[Json], name: str | None = None) -> None:
        simple = len(content) == 1 and content[0].keys() == {"type", "text"}
        out: Json = {"role": "user", "content": content[0]["text"] if simple else content or ""}
        if name:
            out["name"] = name
        self.out.append(out)

    def _flush(self) -> None:
        if self._media:
            media, self._media = self._media, []
            self._put_user(media)

    def _result(self, result: ToolResult, path: str) -> Json:
        texts = []
        for part in result.parts:
            if isinstance(part, Text):
                texts.append(part.text)
            elif isinstance(part, Image | File | Audio):
                texts.append(self._later(part, path))
            else:
                texts.append(summary(part, path, self._losses))
        text = "\n\n".join(text for text in texts if text)
        if result.error:
            self._losses.add(f"{path}.is_error", "approximated", "a failed result is marked by its text only", INFO)
            text = f"Error: {text}" if text else "Error"
        if result.cache is not None:
            self._losses.add("cache_control", "dropped", "a tool message takes no cache breakpoint", INFO)
        return {"role": "tool", "tool_call_id": result.id, "content": text}

    def _later(self, part: Image | File | Audio, path: str) -> str:
        """A tool message holds only text: what else it has follows in a user message."""
        rendered = render_media(part, path, self._traits, self._losses)
        if rendered["type"] == "text":
            return str(rendered["text"])
        self._images += 1
        kind = type(part).__name__.lower()
        why = f"a tool message holds only text; the {kind} follows in a user message"
        self._losses.add(path, "moved", why, WARN)
        self._media += [{"type": "text", "text": f"[{kind} {self._images}]"}, rendered]
        return f"[{kind} {self._images} follows]"

    # ---- assistants

    def _assistant(self, message: Message, path: str) -> None:
        content = ""
        glue = False
        thoughts: list[str] = []
        refusals: list[str] = []
        out: Json = {"role": "assistant", "content": None}
        calls: list[Json] = []
        for part in message.parts:
            match part:
                case Text():
                    text = part.text
                    content += ("\n\n" if content and text and not glue and not part.citations else "") + text
                    glue = bool(part.citations)  # one text that was cut where its sources change
                    self._note_marks((part,))
                case Thinking():
                    signed = details_of(part)
                    out.update(signed)
                    if part.text and (self._traits.replay or not signed):
                        thoughts.append(part.text)
                    elif part.redacted and not signed:
                        why = "a redacted thought means nothing to the target"
                        self._losses.add("messages.thinking", "dropped", why, INFO)
                case Refusal():
                    refusals.append(part.text)
                case ToolCall():
                    calls.append(self._call(part, path))
                case Image() | File() | Audio():
                    content += ("\n\n" if content else "") + self._later(part, path)
                case Opaque(protocol=protocol, kind="audio") if protocol == NAME:
                    out["audio"] = part.raw
                case _:
                    content += ("\n\n" if content else "") + summary(part, path, self._losses)
        if content or not (calls or refusals or "audio" in out):
            out["content"] = content
        if refusals:
            out["refusal"] = "".join(refusals)
        if calls:
            out["tool_calls"] = calls
        if thoughts:
            self._replay("\n\n".join(thoughts), out)
        elif calls and self._lost:
            out[self._traits.replay] = self._lost
        if message.name:
            out["name"] = message.name
        if out["content"] != "":
            self.out.append(out)

    def _replay(self, thought: str, out: Json) -> None:
        """DeepSeek, Kimi and others want the thoughts of their tool calls back; most servers refuse the field."""
        if self._traits.replay:
            out[self._traits.replay] = thought
        else:
            self._losses.add("messages.thinking", "dropped", "the target takes no earlier reasoning back", INFO)

    def _call(self, call: ToolCall, path: str) -> Json:
        side = call.extra.get(NAME, {})
        if call.custom:
            return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}, **side}
        arguments, fine = as_object(call.arguments)
        text = bytes(arguments).decode()
        if not fine:
            why = "the arguments of a tool call were no JSON object"
            self._losses.add(f"{path}.tool_calls", "repaired", why, WARN)
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": text}, **side}
