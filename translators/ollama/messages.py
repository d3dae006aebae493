"""The messages of a conversation, both ways.

A message is one text, pictures beside it, and calls. Ids are young here: the official SDK drops them, so results find
their calls by the tool's name and by order, and calls get ids made of their place, the same ones each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Raw

from ..arguments import as_object
from ..body import typed
from ..codec import Traits
from ..media import clean_base64, media_type, plain_text
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
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from ..names import made_id
from ..policy import BALANCED_REJECT, INFO, REJECT, STRICT_REJECT_WARN, WARN, Loss, Rule
from ..speakers import nameless
from ..turns import settle
from .answer import image_of
from .wire import MESSAGES, NAME, Json, WireCall, WireMessage, arguments_of

_DATA_URL = ";base64,"

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_messages(fields: Mapping[str, Raw]) -> list[Message]:
    """Raises `BadRequest`. Without messages the model shall be loaded, and say nothing."""
    wires = typed(fields, "messages", MESSAGES) if "messages" in fields else []
    return _Parser().parse(wires)


def pictures(images: Sequence[str] | None) -> list[Part]:
    """Raw base64; a data URL before it is taken off."""
    return [image_of(clean_base64(image.partition(_DATA_URL)[2] or image)) for image in images or ()]


class _Parser:
    """Keeps which calls wait for a result, and which results stand together."""

    def __init__(self) -> None:
        self._out: list[Message] = []
        self._results: list[Part] = []
        self._waiting: dict[str, str] = {}  # id -> name, of the last calls without a result
        self._known: set[str] = set()  # ids of all calls

    def parse(self, wires: Sequence[WireMessage]) -> list[Message]:
        for index, wire in enumerate(wires):
            if wire.role == "tool":
                self._results.append(self._result(wire))
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
                return Message(wire.role, tuple(_content(wire)))
            case "assistant":
                return Message("assistant", tuple(self._assistant(wire, index)))
            case _:
                path = f"messages[{index}].role"
                raise BadRequest(f"{path}: {wire.role!r} is no role; it must be system, user, assistant or tool", path)

    def _assistant(self, wire: WireMessage, index: int) -> list[Part]:
        parts: list[Part] = [Thinking(wire.thinking)] if wire.thinking else []
        calls = [self._call(call, index, n) for n, call in enumerate(wire.tool_calls or ())]
        if calls:
            self._waiting = {call.id: call.name for call in calls}
            self._known.update(self._waiting)
        return [*parts, *_content(wire), *calls]

    def _call(self, call: WireCall, index: int, n: int) -> ToolCall:
        name = call.function.name
        if not name:
            path = f"messages[{index}].tool_calls[{n}].function.name"
            raise BadRequest(f"{path} is required", path)
        text = arguments_of(call)
        return ToolCall(call.id or made_id(f"{index}.{n}\0{name}\0{text}"), name, text)

    def _result(self, wire: WireMessage) -> ToolResult:
        name = wire.tool_name or wire.name
        id = self._answered(wire.tool_call_id, name)
        called = self._waiting.pop(id, None)
        return ToolResult(id, tuple(_content(wire)), name if name != called else None)

    def _answered(self, id: str | None, name: str | None) -> str:
        """The call that a result is for: the one it names, else the first of its tool, else the first that waits."""
        if id is not None and id in self._known:
            return id
        same = next((known for known, called in self._waiting.items() if called == name), None)
        if same is not None or id:
            return same or id or ""
        return next(iter(self._waiting), "")


def _content(wire: WireMessage) -> list[Part]:
    texts: list[Part] = [Text(wire.content)] if wire.content else []
    return [*texts, *pictures(wire.images)]


# ------------------------------------------------------------------------------------------------ neutral to wire


def render_messages(request: Request, traits: Traits, losses: list[Loss], hint: str = "") -> list[Json]:
    """The conversation. `hint` is something for the operator's message to say, at its end."""
    messages = settle(nameless(request.messages, losses), losses, merge=False)
    renderer = _Renderer(traits, losses)
    lead = 0
    while lead < len(messages) and messages[lead].role in ("system", "developer"):
        lead += 1
    renderer.lead(messages[:lead], hint)
    for index in range(lead, len(messages)):
        renderer.message(messages[index], f"messages[{index}]")
    if not renderer.out:
        renderer.out.append({"role": "user", "content": ""})  # without messages the model would be loaded and no more
    if messages and messages[-1].role == "assistant" and not traits.prefill:
        why = "the model does not continue an assistant message; it was asked to go on"
        losses.append(Loss("messages", "approximated", why, STRICT_REJECT_WARN))
        renderer.out.append({"role": "user", "content": "Continue."})
    return renderer.out


class _Renderer:
    def __init__(self, traits: Traits, losses: list[Loss]) -> None:
        self._traits, self._losses = traits, losses
        self._called: dict[str, str] = {}  # id -> name of the calls so far
        self._marked = False  # the loss of cache marks is told once
        self.out: list[Json] = []

    def lead(self, messages: Sequence[Message], hint: str) -> None:
        """The leading operator's messages as one: chat templates take no second."""
        for n, message in enumerate(messages):
            self._note_role(message, f"messages[{n}]")
        texts = [text for n, message in enumerate(messages) for text in self._system(message, f"messages[{n}]")]
        text = "\n\n".join([*texts, hint] if hint else texts)
        if text:
            self.out.append({"role": "system", "content": text})

    def message(self, message: Message, path: str) -> None:
        match message.role:
            case "user":
                self._user(message, path)
            case "assistant":
                self._assistant(message, path)
            case _:
                self._mid_system(message, path)

    # ---- operators

    def _system(self, message: Message, path: str) -> list[str]:
        texts = []
        for part in message.parts:
            if not isinstance(part, Text):
                self._lose(path, "omitted", "an operator's message holds only text", STRICT_REJECT_WARN)
                texts.append(f"[{type(part).__name__.lower()}]")
            elif part.text and not part.extra.get("anthropic", {}).get("billing"):
                self._note_mark(part.cache)
                texts.append(part.text)  # Claude Code's billing header changes with each request: no prefix would last
        return texts

    def _note_role(self, message: Message, path: str) -> None:
        if message.role == "developer":
            self._lose(f"{path}.role", "approximated", "developer became system", INFO)

    def _mid_system(self, message: Message, path: str) -> None:
        self._note_role(message, path)
        text = "\n\n".join(self._system(message, path))
        if text and self._traits.mid_system:
            self.out.append({"role": "system", "content": text})
        elif text:
            why = "the model takes an operator's message at the beginning only"
            self._lose(path, "moved", why, WARN)
            self.out.append({"role": "user", "content": f"<system-reminder>\n{text}\n</system-reminder>"})

    # ---- users and tools

    def _user(self, message: Message, path: str) -> None:
        rest = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                self.out.append(self._result(part, path))
            else:
                rest.append(part)
        if rest or not message.parts:
            self.out.append({"role": "user", **self._content(rest, path)})

    def _result(self, result: ToolResult, path: str) -> Json:
        content = self._content(result.parts, path)
        if result.error:
            self._lose(f"{path}.is_error", "approximated", "a failed result is marked by its text only", INFO)
            content["content"] = f"Error: {content['content']}" if content["content"] else "Error"
        self._note_mark(result.cache)
        name = result.name or self._called.get(result.id)
        named: Json = {"tool_name": name} if name else {}
        return {"role": "tool", **named, "tool_call_id": result.id, **content}

    # ---- assistants

    def _assistant(self, message: Message, path: str) -> None:
        prose = [part for part in message.parts if not isinstance(part, ToolCall | Thinking)]
        thoughts = [part for part in message.parts if isinstance(part, Thinking)]
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        out: Json = {"role": "assistant", **self._content(prose, path)}
        if thought := "\n\n".join(part.text for part in thoughts if part.text):
            out["thinking"] = thought
        if any(part.redacted for part in thoughts):
            self._lose(path, "dropped", "a redacted thought means nothing to the target", INFO)
        if calls:
            out["tool_calls"] = [self._call(call, path, n) for n, call in enumerate(calls)]
        if out["content"] or len(out) > 2:
            self.out.append(out)

    def _call(self, call: ToolCall, path: str, n: int) -> Json:
        arguments, fine = as_object(call.arguments)
        if not fine:
            why = "the arguments of a tool call were no JSON object"
            self._lose(f"{path}.tool_calls", "repaired", why, WARN)
        self._note_mark(call.cache)
        self._called[call.id] = call.name
        return {"id": call.id, "function": {"index": n, "name": call.name, "arguments": arguments}}

    # ---- content

    def _content(self, parts: Sequence[Part], path: str) -> Json:
        """The fields `content` and, where there are some, `images`."""
        content, images = "", []
        glue = False
        for part in parts:
            if isinstance(part, Image) and (data := self._picture(part)) is not None:
                images.append(data)
                if part.detail not in (None, "auto"):
                    self._lose(f"{path}.detail", "dropped", "the target has no levels of detail", INFO)
                continue
            text = self._text(part, path)
            cited = isinstance(part, Text) and bool(part.citations)
            content += ("\n\n" if content and text and not (glue or cited) else "") + text
            glue = cited  # one text that was cut where its sources change
        return {"content": content, "images": images} if images else {"content": content}

    def _picture(self, part: Image) -> str | None:
        """Raw base64, which is all that Ollama takes."""
        fits = part.blob.data is not None and "image" in self._traits.input
        if not fits or (media_type(part.blob) or "image/").partition("/")[0] != "image":
            return None
        self._note_mark(part.cache)
        return clean_base64(part.blob.data or "")

    def _text(self, part: Part, path: str) -> str:
        """A part in words; where it had to be left out, those that say so."""
        match part:
            case Text() | Refusal() | Thinking():
                self._note_mark(part.cache if isinstance(part, Text) else None)
                return part.text
            case Image():
                return self._no_picture(part, path)
            case File():
                return self._file(part, path)
            case Audio():
                self._lose(path, "omitted", "Ollama takes no audio", REJECT)
                return f"[audio: {part.transcript}]" if part.transcript else "[audio omitted]"
            case ServerTool():
                why = "the target cannot replay what the provider's tool did"
                self._lose(path, "summarised", why, STRICT_REJECT_WARN)
                return part.text or f"[{part.family} {part.phase}]"
            case Opaque():
                if part.protocol != NAME:
                    self._lose(path, "summarised", f"the target knows no {part.kind}", STRICT_REJECT_WARN)
                return part.text or f"[{part.kind}]"
            case _:
                self._lose(path, "summarised", "such a part has no place here", STRICT_REJECT_WARN)
                return f"[{type(part).__name__.lower()}]"

    def _no_picture(self, part: Image, path: str) -> str:
        if "image" not in self._traits.input:
            self._lose(path, "omitted", "the model takes no images", STRICT_REJECT_WARN)
            return "[image omitted]"
        why = "Ollama takes images as base64 data, not by an address or an id"
        if part.blob.data is not None:
            why = "Ollama takes nothing but images beside the text"
        self._lose(path, "omitted", why, BALANCED_REJECT)
        return f"[image: {part.blob.url}]" if part.blob.url is not None else "[image omitted]"

    def _file(self, part: File, path: str) -> str:
        if part.citations:
            self._lose(f"{path}.citations", "dropped", "the target cites no documents", WARN)
        self._note_mark(part.cache)
        text = plain_text(part.blob)
        if text is not None:
            heading = f"File: {part.name}\n" if part.name else ""
            context = f"{part.context}\n" if part.context else ""
            return heading + context + text
        self._lose(path, "omitted", "Ollama takes no files but text", BALANCED_REJECT)
        where = f": {part.blob.url}" if part.blob.url is not None else " omitted"
        return f"[file {part.name or 'document'}{where}]"

    # ---- losses

    def _lose(self, path: str, code: str, why: str, rule: Rule) -> None:
        self._losses.append(Loss(path, code, why, rule))

    def _note_mark(self, cache: str | None) -> None:
        if cache is not None and not self._marked:
            self._marked = True
            self._lose("cache_control", "dropped", "the target takes no cache breakpoints", INFO)
