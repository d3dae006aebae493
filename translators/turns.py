"""The order of turns that the protocols with calls and answers demand.

Chat, Anthropic and Gemini want every tool call answered at once: the results of one assistant turn stand together, in
the order of its calls, at the head of the user turn that follows it. Clients send other orders: a system message
between call and result (Claude Code), assistant text there (Codex), results late, twice, in another order, or never (a
user who interrupted, a session that was resumed or compacted). `settle` puts a conversation in order, pairing by id.

A conversation that is in order already, which is nearly every one, costs one walk and comes back as the same list. The
result depends on nothing but the messages. A longer history begins as the shorter one did, unless a result comes late.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from msgspec.structs import replace

from .model import Message, Part, Text, Thinking, ToolCall, ToolResult
from .policy import STRICT_REJECT, STRICT_REJECT_WARN, WARN, Loss

NO_RESULT = "[no result]"


def settle(messages: Sequence[Message], losses: list[Loss], *, merge: bool = True) -> list[Message]:
    """The messages in the order that the target demands; what had to be changed is added to `losses`.

    `merge`: adjacent messages of one role become one (where roles must alternate). Without it only assistant messages
    with tool calls are joined to their neighbours, which every target needs."""
    if _settled(messages, merge):
        return messages if isinstance(messages, list) else list(messages)
    return _Order(messages, losses, merge).settled()


def _settled(messages: Sequence[Message], merge: bool) -> bool:
    seen: set[str] = set()
    waiting: list[str] = []
    before = ""
    for message in messages:
        role, parts = message.role, message.parts
        if role == "user":
            if (merge and before == "user") or not _answers(parts, waiting):
                return False
            waiting = []
        elif waiting:
            return False
        elif role == "assistant":
            waiting = [part.id for part in parts if type(part) is ToolCall]
            if before == "assistant" and (merge or waiting):
                return False
            for id in waiting:
                if id in seen:
                    return False
                seen.add(id)
        before = role
    return not waiting


def _answers(parts: tuple[Part, ...], waiting: list[str]) -> bool:
    """Whether the parts begin with the results for exactly these calls, and hold no other result."""
    at = 0
    for part in parts:
        if type(part) is ToolResult:
            if at >= len(waiting) or part.id != waiting[at]:
                return False
            at += 1
        elif at < len(waiting):
            return False
    return at == len(waiting)


class _Slot:
    """One call, under an id that no other call of the conversation has, and what answers it."""

    def __init__(self, call: ToolCall, id: str) -> None:
        self.call = call if call.id == id else replace(call, id=id)
        self.result: ToolResult | None = None

    def answer(self) -> ToolResult:
        if self.result is None:
            return ToolResult(self.call.id, (Text(NO_RESULT),), self.call.name, custom=self.call.custom)
        return self.result if self.result.id == self.call.id else replace(self.result, id=self.call.id)


class _Order:
    """First every result finds its call; then the messages are put out anew."""

    def __init__(self, messages: Sequence[Message], losses: list[Loss], merge: bool) -> None:
        self._messages, self._losses, self._merge = messages, losses, merge
        self._slots: list[list[_Slot]] = []  # of each message
        self._rest: list[tuple[Part, ...]] = []  # of each message, what stays where it is
        self._homes: list[set[int]] = []  # of each user message, the assistant messages that its results answer
        self._out: list[Message] = []
        self._pair()

    # ---- pairing

    def _pair(self) -> None:
        ids: set[str] = set()
        open_calls: dict[str, tuple[int, int, list[_Slot]]] = {}  # id -> turn, message, calls of that id
        turn = 0
        for index, message in enumerate(self._messages):
            slots: list[_Slot] = []
            homes: set[int] = set()
            rest: list[Part] = []
            for part in message.parts:
                if type(part) is ToolCall and message.role == "assistant":
                    slot = _Slot(part, _unique(part.id, ids))
                    slots.append(slot)
                    known = open_calls.get(part.id)
                    same = known[2] if known is not None and known[0] == turn else []
                    open_calls[part.id] = (turn, index, [*same, slot])
                    rest.append(slot.call)
                elif type(part) is ToolResult:
                    self._place(part, index, open_calls, homes, rest)
                else:
                    rest.append(part)
            turn += message.role == "user"
            self._slots.append(slots)
            self._homes.append(homes)
            self._rest.append(tuple(rest) if slots or homes or len(rest) != len(message.parts) else message.parts)

    def _place(
        self, part: ToolResult, index: int, open_calls: dict[str, tuple[int, int, list[_Slot]]], homes: set[int],
        rest: list[Part],
    ) -> None:
        known = open_calls.get(part.id)
        if known is None:
            why = f"the tool result {part.id!r} answers no call, and became text"
            self._losses.append(Loss(f"messages[{index}]", "approximated", why, STRICT_REJECT_WARN))
            rest += orphan(part)
            homes.add(-1)
            return
        _, home, slots = known
        slot = next((slot for slot in slots if slot.result is None), slots[-1])
        if slot.result is not None:
            why = f"an earlier result for the call {part.id!r} was replaced by a later one"
            self._losses.append(Loss(f"messages[{index}]", "dropped", why, WARN))
        slot.result = part
        homes.add(home)

    # ---- putting out

    def settled(self) -> list[Message]:
        at = 0
        while at < len(self._messages):
            if self._messages[at].role == "assistant":
                at = self._assistant(at)
            else:
                self._emit(at)
                at += 1
        return self._out

    def _assistant(self, at: int) -> int:
        """An assistant turn and the results for its calls. The index of the message that comes next."""
        end = at + 1
        while self._role(end) == "assistant" or self._gone(at, end):
            end += 1
        slots = [slot for found in self._slots[at:end] for slot in found]
        for index in range(at, end):
            self._emit(index, join=bool(slots) and index > at)
        return self._results(at, end, slots) if slots else end

    def _gone(self, first: int, at: int) -> bool:
        """Whether a message held nothing but results for calls before `first`, and so stands between no two others."""
        if at >= len(self._messages) or self._rest[at] or not self._messages[at].parts:
            return False
        return self._homes[at].isdisjoint(range(first, at))

    def _results(self, first: int, end: int, slots: list[_Slot]) -> int:
        for slot in slots:
            if slot.result is None:
                why = f"the tool call {slot.call.id!r} has no result; one was made up that says so"
                self._losses.append(Loss(f"messages[{end - 1}]", "emulated", why, STRICT_REJECT))
        answers: tuple[Part, ...] = tuple(slot.answer() for slot in slots)
        between = len(list(takewhile(lambda role: role in ("system", "developer"), map(self._role, self._from(end)))))
        user = end + between
        if self._role(user) != "user" or self._homes[user].isdisjoint(range(first, end)):
            self._add(Message("user", answers))
            return end
        message = self._messages[user]
        self._add(replace(message, parts=answers + self._rest[user]))
        for index in range(end, user):  # Claude Code puts system messages between calls and results
            self._emit(index)
        return user + 1

    def _from(self, at: int) -> range:
        return range(at, len(self._messages))

    def _role(self, at: int) -> str:
        return self._messages[at].role if at < len(self._messages) else ""

    def _emit(self, index: int, join: bool = False) -> None:
        message, rest = self._messages[index], self._rest[index]
        if rest or not message.parts:  # one that held nothing but results which went to their calls is gone
            self._add(message if rest is message.parts else replace(message, parts=rest), join)

    def _add(self, message: Message, join: bool = False) -> None:
        last = self._out[-1] if self._out else None
        join = join or (self._merge and message.role in ("user", "assistant"))
        if join and last is not None and last.role == message.role:
            extra = {**last.extra, **message.extra} if message.extra else last.extra
            self._out[-1] = replace(last, parts=last.parts + message.parts, extra=extra)
        else:
            self._out.append(message)


def _unique(id: str, taken: set[str]) -> str:
    """The id itself where it is new, else with a number. Some servers count their calls anew in each turn."""
    new, n = id, 2
    while new in taken:
        new, n = f"{id}_{n}", n + 1
    taken.add(new)
    return new


def orphan(result: ToolResult) -> list[Part]:
    """A result that answers no call: its text, marked as what it was, and its other parts as they are."""
    text = "\n\n".join(part.text for part in result.parts if isinstance(part, Text))
    error = "Error: " if result.error else ""
    marked = Text(f"[tool result {result.name or result.id}] {error}{text}".rstrip())
    return [marked, *(part for part in result.parts if not isinstance(part, Text))]


def joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Texts that follow each other as one, where nothing stands at their seam: some clients give a streamed answer back
    chunk by chunk."""
    out: list[Part] = []
    for part in parts:
        before = out[-1] if out else None
        if isinstance(part, Text | Thinking) and type(before) is type(part) and not part.extra and not before.extra:
            out[-1] = replace(before, text=before.text + part.text)
        else:
            out.append(part)
    return tuple(out)
