"""The conversation, both ways: `system` and `messages`.

Anthropic wants the operator's words in `system`, turns of user and assistant that take turns, the user first, and every
tool call answered at the head of the turn after it. Clients send other things, so rendering hoists the leading system
messages, puts the later ones where the API takes them, and leaves out what it refuses (empty texts, foreign thoughts).
Each message is rendered by itself, so that a longer history begins with the bytes of the shorter one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from ..body import typed
from ..codec import Traits
from ..model import BadRequest, Extra, Message, Opaque, Part, Role, Text, Thinking, ToolCall, ToolResult
from ..policy import INFO, WARN, Loss, Rule
from ..speakers import nameless
from ..turns import settle
from .blocks import BILLING, Whole, parse_blocks, render_part, text_block
from .media import Target
from .wire import NAME, Block, MessageIn, Missing, own, side

FIRST_TURN = "."  # a user's turn before an assistant's first one
EMPTY_TURN = "(empty)"
CONTINUE = "Continue."

_MESSAGES = msgspec.json.Decoder(list[MessageIn])
_SYSTEM = msgspec.json.Decoder(str | list[Block])
_GENERIC = msgspec.json.Decoder(list[Any])

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_OUT: dict[Role, str] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_OPERATOR = ("system", "developer")

_PREFILL: Rule = ("reject", "warn", "warn")


# ------------------------------------------------------------------------------------------------ parsing


def parse_messages(fields: Mapping[str, Raw]) -> list[Message]:
    """The conversation, the system prompt in front. Raises `BadRequest`."""
    if "messages" not in fields:
        raise BadRequest("messages: Field required", "messages")
    found = typed(fields, "messages", _MESSAGES)
    if not found:
        raise BadRequest("messages: at least one message is required", "messages")
    reader = _Reader(fields)
    messages = [_system(fields)] if "system" in fields else []
    for index, message in enumerate(found):
        role = _ROLES.get(message.role)
        if role is None:
            path = f"messages[{index}].role"
            raise BadRequest(f"{path}: Input should be 'user', 'assistant' or 'system'", path)
        content = message.content
        parts = (Text(content),) if isinstance(content, str) else reader.parts(index, role, content or [])
        if message.clear_at is None and message.output_config is None:
            messages.append(Message(role, parts))
        else:
            extra = side(clear_at=message.clear_at, output_config=message.output_config)
            messages.append(Message(role, parts, extra=extra))
    return messages


_PLACES: dict[type, tuple[Role, str]] = {ToolCall: ("assistant", "tool_use"), ToolResult: ("user", "tool_result")}


def _check_places(role: Role, parts: tuple[Part, ...], path: str) -> None:
    """Calls are the assistant's, results the user's: what stands elsewhere could not be paired."""
    for n, part in enumerate(parts):
        place = _PLACES.get(type(part))
        if place is not None and place[0] != role:
            raise BadRequest(f"{path}[{n}]: {place[1]} blocks can only be in {place[0]} messages", f"{path}[{n}]")


class _Reader:
    """Reads the blocks of messages. Those that are carried as they are need the messages as generic values, which are
    decoded when the first such block comes."""

    def __init__(self, fields: Mapping[str, Raw]) -> None:
        self._fields = fields
        self._values: list[Any] = []

    def parts(self, index: int, role: Role, blocks: list[Block]) -> tuple[Part, ...]:
        return _parts(role, blocks, lambda: self._content(index), f"messages[{index}].content")

    def _content(self, index: int) -> list[Any]:
        if not self._values:
            self._values = typed(self._fields, "messages", _GENERIC)
        found: list[Any] = self._values[index]["content"]
        return found


def _parts(role: Role, blocks: list[Block], whole: Whole, path: str) -> tuple[Part, ...]:
    try:
        parts = parse_blocks(blocks, whole)
    except Missing as missing:
        raise BadRequest(f"{path}{missing.path}: Field required", path + missing.path) from None
    except UnicodeDecodeError:
        raise BadRequest(f"{path} is not valid UTF-8", path) from None
    _check_places(role, parts, path)
    return parts


def _system(fields: Mapping[str, Raw]) -> Message:
    system = typed(fields, "system", _SYSTEM)
    if isinstance(system, str):
        return Message("system", _system_text(system))
    return Message("system", _parts("system", system, lambda: typed(fields, "system", _GENERIC), "system"))


def _system_text(text: str) -> tuple[Part, ...]:
    """Claude Code's billing line is a part of its own, since only Anthropic may see it."""
    if not text.startswith(BILLING):
        return (Text(text),)
    line, _, rest = text.partition("\n")
    billing = Text(line, extra={NAME: {"billing": True}})
    rest = rest.lstrip("\n")
    return (billing, Text(rest)) if rest else (billing,)


# ------------------------------------------------------------------------------------------------ rendering


class Conversation:
    """`system` and `messages` of one request, as JSON values. `marks`: the blocks with a cache mark, in their order."""

    def __init__(self, messages: Sequence[Message], traits: Traits, losses: list[Loss]) -> None:
        self._traits, self._losses = traits, losses
        self._target = Target(traits, losses)
        messages = nameless(messages, losses)
        lead = next((n for n, message in enumerate(messages) if message.role not in _OPERATOR), len(messages))
        aside: list[Part] = []
        self.system = self._hoisted(messages[:lead], aside)
        self.turns = self._ordered(messages[lead:], aside)
        self.messages = [self._turn(message, lead + n) for n, message in enumerate(self.turns)]
        self._begin()
        self._trim()

    # ---- the system prompt

    def _hoisted(self, lead: Sequence[Message], aside: list[Part]) -> list[dict[str, Any]]:
        """The blocks of `system`. What is no text goes `aside`, into the first user turn."""
        blocks = []
        for index, message in enumerate(lead):
            if message.role == "developer":
                self._losses.append(Loss(f"messages[{index}].role", "approximated", "developer became system", INFO))
            for part in message.parts:
                if type(part) is Opaque and part.protocol == NAME:
                    blocks.append(part.raw)
                elif type(part) is not Text:
                    aside.append(part)
                elif (block := text_block(part, self._target)) is not None:
                    blocks.append(block)
        if aside:
            self._losses.append(Loss("messages[0]", "moved", "what is no text left the system prompt", WARN))
        return blocks

    # ---- the order of the turns

    def _ordered(self, messages: Sequence[Message], aside: list[Part]) -> list[Message]:
        kept = [message for found in messages if (message := self._clean(found)) is not None]
        if aside:
            kept.insert(0, Message("user", tuple(aside)))
        settled = settle(kept, self._losses)
        if any(message.role in _OPERATOR for message in settled):
            settled = _placed(settled)
        return settled

    def _clean(self, message: Message) -> Message | None:
        """The message without what Anthropic refuses; None where nothing is left of it."""
        parts = message.parts
        refused = [part for part in parts if _refused(part)]
        if refused:
            if any(type(part) is Thinking for part in refused):
                why = "a thought without Anthropic's signature is refused"
                self._losses.append(Loss("messages.thinking", "dropped", why, INFO))
            parts = tuple([part for part in parts if not _refused(part)])
        if not parts and not message.extra:
            return None
        if message.role in _OPERATOR and not self._traits.mid_system:
            why = "this model takes no system message in the middle of a conversation"
            self._losses.append(Loss("messages.role", "approximated", why, WARN))
            return Message("user", tuple(map(_reminder, parts)))
        return message if parts is message.parts else replace(message, parts=parts)

    # ---- the turns

    def _turn(self, message: Message, index: int) -> dict[str, Any]:
        parts, target = message.parts, self._target
        target.role, target.index = _OUT[message.role], index
        content: Any
        if len(parts) == 1 and type(parts[0]) is Text and parts[0].cache is None and not parts[0].citations:
            content = parts[0].text
        else:
            content = [block for part in parts if (block := render_part(part, target)) is not None]
        turn = {"role": target.role, "content": content or EMPTY_TURN}
        return {**turn, **own(message.extra)} if message.extra else turn

    def _begin(self) -> None:
        """The user speaks first."""
        if not self.messages or self.messages[0]["role"] != "user":
            self.messages.insert(0, {"role": "user", "content": FIRST_TURN})

    # ---- the end of the conversation

    def _trim(self) -> None:
        """An assistant's turn that the model shall continue may not end in white space."""
        last = self.messages[-1]
        if last["role"] != "assistant":
            return
        content = last["content"]
        if isinstance(content, str):
            self.messages[-1] = {**last, "content": content.rstrip()}
        elif content[-1].get("type") == "text":
            trimmed = {**content[-1], "text": content[-1]["text"].rstrip()}
            self.messages[-1] = {**last, "content": [*content[:-1], trimmed]}

    def no_prefill(self) -> None:
        """For models that do not continue an assistant's turn: the user asks for it."""
        if self.messages[-1]["role"] == "assistant":
            why = "this model does not continue the assistant's message"
            self._losses.append(Loss("messages", "approximated", why, _PREFILL))
            self.messages.append({"role": "user", "content": CONTINUE})

    def remind(self, text: str) -> None:
        """Add a reminder to the last user turn."""
        last = self.messages[-1]
        if last["role"] != "user":
            self.messages.append({"role": "user", "content": wrapped(text)})
            return
        content = last["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        self.messages[-1] = {**last, "content": [*blocks, {"type": "text", "text": wrapped(text)}]}

    @property
    def needs_thought(self) -> bool:
        """Whether the assistant is in the middle of a chain of calls, and no turn of it has a signed thought."""
        said = [message.parts for message in self.turns if message.role == "assistant"]
        if any(type(part) is Thinking for parts in said for part in parts):
            return False
        return bool(said) and any(type(part) is ToolCall for part in said[-1])


def _refused(part: Part) -> bool:
    if type(part) is Text:
        return not part.text or part.text.isspace()
    if type(part) is Thinking:
        token = own(part.extra)
        return not token.get("data" if part.redacted else "signature")
    return False


def wrapped(text: str) -> str:
    return f"<system-reminder>{text}</system-reminder>"


def _reminder(part: Part) -> Part:
    return replace(part, text=wrapped(part.text)) if type(part) is Text else part


def _placed(messages: list[Message]) -> list[Message]:
    """System messages where the API takes them: one, right after a user's turn.

    So what the user and the operator say between two turns of the assistant becomes one message of each. Where the
    operator alone speaks, it is said in a user's turn."""
    out: list[Message] = []
    for is_assistant, found in groupby(messages, lambda message: message.role == "assistant"):
        run = list(found)
        out += run if is_assistant else _between(run)
    return out


def _between(run: list[Message]) -> list[Message]:
    said: list[Part] = []
    told: list[Part] = []
    for message in run:
        if message.role in _OPERATOR:
            told += message.parts
        else:
            said += message.parts
    if not told or not said:
        return [Message("user", tuple(said or map(_reminder, told)))] if len(run) > 1 or told else run
    said += [part for part in told if type(part) not in (Text, Opaque)]
    extra: Extra = {}
    for message in run:
        extra = {**extra, **message.extra}
    operator = tuple(part for part in told if type(part) in (Text, Opaque))
    return [Message("user", tuple(said)), Message("system", operator, extra=extra)]
