"""The conversation, both ways: `contents` and `systemInstruction`.

From the wire: calls may lack ids, which are then made from their place, and results are paired with the calls of the
turn before: by id, else in order for each name. To the wire: user and model take turns, all results of a batch stand in
one content in the order of their calls, an operator's message in the middle is a user's, and calls carry signatures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Raw, UnsetType

from ..arguments import as_object, is_object
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
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from ..names import fit_call_id
from ..policy import INFO, STRICT_REJECT_WARN, WARN, Loss
from ..speakers import nameless
from ..turns import joined, settle
from .media import render_media
from .parts import parse_part, render_part, with_signature
from .reasoning import LEVEL
from .wire import (
    CALL_ID,
    CONTENTS,
    NAME,
    SENTINEL,
    SYSTEM,
    Json,
    WireCall,
    WireContent,
    WireInstruction,
    WirePart,
    WireResult,
    encode,
    signed,
)

# ------------------------------------------------------------------------------------------------ wire to neutral

_ROLES: dict[str, Role] = {"user": "user", "model": "assistant", "function": "user", "tool": "user", "system": "system"}


def parse_messages(fields: Mapping[str, Raw]) -> list[Message]:
    if "contents" not in fields:
        raise BadRequest("contents is required", "contents")
    contents: list[WireContent] = typed(fields, "contents", CONTENTS)
    if not contents:
        raise BadRequest("contents must not be empty", "contents")
    return [*_system(fields), *_Parser(fields["contents"]).parse(contents)]


def _system(fields: Mapping[str, Raw]) -> list[Message]:
    if "systemInstruction" not in fields:
        return []
    said = typed(fields, "systemInstruction", SYSTEM)
    texts = [text for one in (said if isinstance(said, list) else [said]) for text in _texts(one)]
    return [Message("system", tuple(map(Text, texts)))] if texts else []


def _texts(said: WireInstruction) -> list[str]:
    """The texts of a content, of a part or of a bare string: clients send each of them, or a list."""
    if isinstance(said, str):
        return [said]
    parts = [said.text] if said.text is not None else [part.text for part in said.all]
    return [text for text in parts if text]


class _Parser:
    """Keeps which calls wait for a result."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._waiting: list[ToolCall] = []

    def parse(self, contents: Sequence[WireContent]) -> list[Message]:
        messages: list[Message] = []
        for index, content in enumerate(contents):
            called = any(wire.function_call is not None for wire in content.all)
            role = _ROLES.get(content.role or ("model" if called else "user"))
            path = f"contents[{index}].role"
            if role is None:
                raise BadRequest(f"{path}: {content.role!r} must be user or model", path)
            if called and role != "assistant":
                raise BadRequest(f"{path}: {content.role!r} calls no functions, only model does", path)
            parts = self._parts(content.all, index, role)
            if role != "assistant":
                messages.append(Message(role, parts))
            elif messages and messages[-1].role == role:
                messages[-1] = Message(role, joined((*messages[-1].parts, *parts)))
            else:
                messages.append(Message(role, joined(parts)))
        return messages

    def _parts(self, wires: list[WirePart], index: int, role: Role) -> tuple[Part, ...]:
        answers = {n: wire.function_response for n, wire in enumerate(wires) if wire.function_response is not None}
        results = self._pair(answers, index)
        rest: list[Part] = []
        for n, wire in enumerate(wires):
            if wire.function_response is None:
                part = self._part(wire, index, n)
                if part is not None:
                    rest.append(part)
        if role == "assistant":
            self._waiting += [part for part in rest if isinstance(part, ToolCall)]
        return (*results, *rest)

    def _part(self, wire: WirePart, index: int, n: int) -> Part | None:
        if wire.function_call is not None:
            return self._call(wire, wire.function_call, index, n)
        if wire.text is not None and not wire.thought:
            extra = signed(wire.thought_signature)
            return Text(wire.text, extra=extra) if wire.text or extra else None
        return parse_part(wire) or self._unknown(index, n)

    def _unknown(self, index: int, n: int) -> Part:
        """A part of a kind that nobody knows."""
        parts = next(value for key, value in generic(self._raw)[index].items() if key == "parts")
        raw = parts[n] if isinstance(parts, list) else parts
        return Opaque(NAME, next(iter(raw), "part"), raw)

    # ---- calls and results

    def _call(self, wire: WirePart, call: WireCall, index: int, n: int) -> ToolCall:
        path = f"contents[{index}].parts[{n}].functionCall.name"
        if not call.name:
            raise BadRequest(f"{path} is required", path)
        with _place(path.removesuffix("name") + "args"):
            arguments = arguments_of(call)
        id = call.id or fit_call_id(f"{index}.{n}\0{call.name}\0{arguments}", CALL_ID)
        return ToolCall(id, call.name, arguments, extra=signed(wire.thought_signature))

    def _pair(self, wires: Mapping[int, WireResult], index: int) -> list[ToolResult]:
        """The results, each under the id of the call that it answers. Those that name their call go first. `wires`: by
        their places among the parts."""
        if not wires:
            return []
        waiting = self._waiting
        named = {wire.id for wire in wires.values() if wire.id}
        free = [call for call in waiting if call.id not in named]
        out = []
        for n, (place, wire) in enumerate(wires.items()):
            id = wire.id
            if not id or all(call.id != id for call in waiting):
                call = next((call for call in free if call.name == wire.name), None)
                if call is not None:
                    free.remove(call)
                id = call.id if call is not None else id or fit_call_id(f"{index}.{n}\0{wire.name}", CALL_ID)
            with _place(f"contents[{index}].parts[{place}].functionResponse.response"):
                out.append(_result(wire, id))
        answered = {result.id for result in out}
        self._waiting = [call for call in waiting if call.id not in answered]
        return out


@contextmanager
def _place(path: str) -> Iterator[None]:
    """Where in the request stand bytes that are read only now."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise BadRequest(f"{path} is no valid UTF-8: {error.reason}", path) from None


def arguments_of(call: WireCall) -> str:
    """The arguments as JSON text, byte for byte."""
    raw = call.args
    return "{}" if isinstance(raw, UnsetType) or bytes(raw) == b"null" else str(raw, "utf-8")


_ONLY_OUTPUT = ("output", "result")


def _result(wire: WireResult, id: str) -> ToolResult:
    """The text of a result: what stands alone under `output` or `error`, else the whole object as JSON."""
    raw = b"{}" if isinstance(wire.response, UnsetType) else bytes(wire.response)
    text, error = raw.decode(), False
    said = generic(raw)
    if isinstance(said, dict) and len(said) == 1:
        name, value = next(iter(said.items()))
        error = name == "error"
        if error or (name in _ONLY_OUTPUT and isinstance(value, str)):
            text = value if isinstance(value, str) else encode(value).decode()
    elif not said:
        text = ""
    media = [part for inner in wire.parts or () if (part := parse_part(inner)) is not None]
    return ToolResult(id, (*((Text(text),) if text else ()), *media), wire.name, error)


# ------------------------------------------------------------------------------------------------ neutral to wire

_FIRST = {"role": "user", "parts": [{"text": "."}]}  # Gemini wants a user's turn, and wants it first
_CONTINUE = {"role": "user", "parts": [{"text": "Continue."}]}


def render_messages(messages: Sequence[Message], traits: Traits, losses: list[Loss]) -> tuple[list[str], list[Json]]:
    """The texts of the system instruction, and the contents."""
    messages = nameless(messages, losses)
    lead = 0
    while lead < len(messages) and messages[lead].role in ("system", "developer"):
        lead += 1
    renderer = _Renderer(traits, losses)
    system = [text for message in messages[:lead] if (text := _words(message, losses))]
    for n, message in enumerate(messages[:lead]):
        if message.role == "developer":
            losses.append(Loss(f"messages[{n}].role", "approximated", "developer became system", INFO))
    turns = [renderer.turn(message, lead + n) for n, message in enumerate(messages[lead:])]
    for message in settle(turns, losses):
        renderer.add(message)
    return system, renderer.finish()


def _words(message: Message, losses: list[Loss]) -> str:
    """The text of an operator's message, without Claude Code's billing header, which changes with each request."""
    texts = []
    for part in message.parts:
        if not isinstance(part, Text):
            why = "an operator's message holds only text"
            losses.append(Loss("system", "omitted", why, STRICT_REJECT_WARN))
            texts.append(f"[{type(part).__name__.lower()}]")
        elif part.text and not part.extra.get("anthropic", {}).get("billing"):
            texts.append(part.text)
            if part.cache is not None:
                losses.append(Loss("cache_control", "dropped", "Gemini caches by itself", INFO))
    return "\n\n".join(texts)


class _Renderer:
    def __init__(self, traits: Traits, losses: list[Loss]) -> None:
        self._traits, self._losses = traits, losses
        self._signs = traits.reasoning == LEVEL
        self._names: dict[str, str] = {}  # of the calls, by id
        self._out: list[Json] = []

    def turn(self, message: Message, index: int) -> Message:
        """The message as one of a user or of the model."""
        if message.role in ("user", "assistant"):
            return message
        text = _words(message, self._losses)
        why = "Gemini takes an operator's message at the beginning only; it became a user's"
        self._losses.append(Loss(f"messages[{index}]", "moved", why, WARN))
        return Message("user", (Text(f"[system] {text}"),) if text else ())

    def add(self, message: Message) -> None:
        path = f"contents[{len(self._out)}]"
        parts = self._model(message, path) if message.role == "assistant" else self._user(message, path)
        if parts:
            role = "model" if message.role == "assistant" else "user"
            if self._out and self._out[-1]["role"] == role:
                self._out[-1]["parts"] += parts
            else:
                self._out.append({"role": role, "parts": parts})

    def finish(self) -> list[Json]:
        out = self._out
        if not out or out[0]["role"] == "model":
            out.insert(0, _FIRST)
        if out[-1]["role"] == "model" and self._traits.prefill:
            why = "not every model continues a turn of its own"
            self._losses.append(Loss("messages", "approximated", why, WARN))
        elif out[-1]["role"] == "model":
            why = "the model does not continue a turn of its own; it was asked to go on"
            self._losses.append(Loss("messages", "approximated", why, STRICT_REJECT_WARN))
            out.append(_CONTINUE)
        return out

    # ---- users

    def _user(self, message: Message, path: str) -> list[Json]:
        out: list[Json] = []
        behind: list[Json] = []  # media of results, which must not stand between them
        for part in message.parts:
            if isinstance(part, ToolResult):
                out.append(self._result(part, path, behind))
            else:
                behind += self._part(part, path)
        return out + behind

    def _result(self, result: ToolResult, path: str, behind: list[Json]) -> Json:
        texts = []
        media: list[Json] = []
        for part in result.parts:
            if isinstance(part, Image | Audio | File):
                media.append(render_media(part, path, self._traits, self._losses))
            else:
                texts += [shape["text"] for shape in self._part(part, path) if "text" in shape]
        name = self._names.get(result.id) or result.name or "unknown_function"
        out: Json = {"id": result.id, "name": name, "response": _response("\n\n".join(texts), result.error)}
        if "call_id" in self._traits.drop:
            del out["id"]
        inside = [shape for shape in media if self._signs and "text" not in shape]
        if inside:  # since Gemini 3
            out["parts"] = inside
        behind += [shape for shape in media if shape not in inside]
        return {"functionResponse": out}

    # ---- the model

    def _model(self, message: Message, path: str) -> list[Json]:
        out: list[Json] = []
        signed_step = not self._signs
        for part in message.parts:
            if isinstance(part, ToolCall):
                call = self._call(part, path)
                if not signed_step:
                    call.setdefault("thoughtSignature", SENTINEL)
                signed_step = True
                out.append(call)
            else:
                out += self._part(part, path)
        return out

    def _call(self, part: ToolCall, path: str) -> Json:
        self._names[part.id] = part.name
        arguments, fine = as_object(part.arguments)
        if not fine:
            why = "the arguments of a tool call were no JSON object"
            self._losses.append(Loss(f"{path}.functionCall", "repaired", why, WARN))
        call: Json = {"id": part.id, "name": part.name, "args": arguments}
        if "call_id" in self._traits.drop:
            del call["id"]
        return with_signature({"functionCall": call}, part)

    # ---- either

    def _part(self, part: Part, path: str) -> list[Json]:
        return render_part(part, path, self._traits, self._losses)


def _response(text: str, error: bool) -> Any:
    """A result is an object: the one that the text is, or one around it."""
    if error:
        return {"error": text}
    return Raw(text.strip().encode()) if is_object(text) else {"output": text}
