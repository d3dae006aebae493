"""Tokens on their way out: from what the upstream says to the place that the client has for such a thing.

`Packer` is the last transform of an answer, so that it sees calls as the client does. A thought that a client can sign
carries its own facts; what belongs to a call rides with the thought before it, or with an empty one that is put there.
A client whose calls can be signed (but which forgets thoughts) gets both with the call, or at the end of the text.
A text that is only there for its signature is not shown. Beside that the turn goes into the memory. A thought's end
and a text's end wait for the event after them, which decides what they carry; nothing else does, and deltas pass as
they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

from msgspec.structs import replace

from .carry import Call, Memory, Parcel, Side, Thought, seal, tokens, written
from .events import Event, Finish, PartDelta, PartEnd, PartStart, Ping, UsageUpdate
from .model import Extra, Message, Opaque, Part, Text, Thinking, ToolCall
from .unpacking import Keys


class Packer:
    """Of one answer. `replay`: the upstream wants unsigned thoughts back too; those that the client does not keep by
    itself are then remembered."""

    def __init__(
        self, client: Side, upstream: Side, scope: str, messages: Sequence[Message], memory: Memory | None, replay: bool
    ) -> None:
        self._client, self._upstream, self._places = client.NAME, upstream, client.CARRIES
        self._memory, self._replay, self._messages = memory, replay, messages
        self._turn = Parcel(scope)
        self._pending: list[Thought] = []  # for the next call that can carry them
        self._said: list[str] = []  # the text of the turn
        self._calls: list[ToolCall] = []
        self._late = False
        self._part: Part | None = None
        self._texts = StringIO()  # of the part that is open
        self._silent: PartStart | None = None  # a text of which nothing was said yet
        self._held: PartEnd | None = None
        self._parcel = Parcel(scope)  # of the part whose end is held
        self._marks = False  # that part, even if it carries nothing
        self._shift = 0
        self._next = 0  # the index of a part that would come now
        self.take = self._texts.write  # each delta that does not come through here

    def __call__(self, event: Event) -> Sequence[Event]:
        match event:
            case PartDelta():
                self.take(event.text)
                delta = PartDelta(event.index + self._shift, event.text, event.logprobs) if self._shift else event
                begun, self._silent = self._silent, None
                return [delta] if begun is None else [begun, delta]
            case PartStart():
                return self._begin(event)
            case PartEnd():
                return self._end(event)
            case Ping():
                return [event]
            case Finish():
                self._remember()
        over = isinstance(event, UsageUpdate | Finish)
        return [*self._release(over), *(self._rest() if over else ()), event]

    # ---- parts

    def _begin(self, event: PartStart) -> Sequence[Event]:
        part, out = event.part, list[Event]()
        call = self._signed(part) if isinstance(part, ToolCall) else None
        if call is not None:
            self._turn.calls.append(call)
            if self._places.thinking:
                out = self._with_thought(call, event.index)
        out += self._release()
        self._part = part
        self._texts.seek(0)
        self._texts.truncate()
        if isinstance(part, ToolCall) and self._places.call and (call or self._pending):
            calls = [Call(call.facts)] if call is not None else []
            parcel = Parcel(self._turn.scope, self._pending, calls)
            self._pending = []
            part = replace(part, extra={**part.extra, **self._token(part, parcel)})
        if self._shift or part is not event.part:
            event = PartStart(event.index + self._shift, part)
        if isinstance(part, Text) and self._upstream.NAME in part.extra:
            self._silent = event
            return out
        return [*out, event] if out else [event]

    def _signed(self, part: ToolCall) -> Call | None:
        facts = tokens(part.extra.get(self._upstream.NAME), self._upstream.TOKENS)
        return None if facts is None else Call(facts, part.id, len(self._calls), part.name)

    def _with_thought(self, call: Call, index: int) -> list[Event]:
        """The call's facts go with the thought whose end is held, else with an empty one."""
        if self._held is not None:
            self._parcel.calls.append(call)
            return []
        at = index + self._shift
        self._shift += 1
        return self._carrier(at, Thinking(""), Parcel(self._turn.scope, calls=[call]))

    def _carrier(self, at: int, empty: Thinking | Text, parcel: Parcel) -> list[Event]:
        return [PartStart(at, empty), PartEnd(at, extra=self._token(empty, parcel))]

    def _end(self, event: PartEnd) -> Sequence[Event]:
        part, said = self._part, self._texts.getvalue()
        if self._shift:
            event = replace(event, index=event.index + self._shift)
        self._next = event.index + 1
        if part is None or isinstance(part, Opaque):
            return [event]
        facts = {**part.extra, **event.extra}.get(self._upstream.NAME) or {}
        match part:
            case Thinking():
                return self._end_thought(event, replace(part, text=part.text + said), facts)
            case Text():
                return self._end_text(event, said, facts)
            case ToolCall():
                self._calls.append(replace(part, arguments=part.arguments + said))
                self._late = False
        return [event]

    def _end_thought(self, event: PartEnd, part: Thinking, facts: dict[str, Any]) -> Sequence[Event]:
        signed = tokens(facts, self._upstream.TOKENS) is not None
        if signed or self._replay:
            thought = Thought(part.text, part.redacted, part.summary, facts, len(self._calls), self._late)
            self._turn.thoughts.append(thought)
            if self._places.call:
                self._pending.append(thought)
            elif signed:
                self._parcel.thoughts.append(thought)
        self._marks = self._places.mark and bool(part.text)
        return self._hold(event) if self._places.thinking else [event]

    def _end_text(self, event: PartEnd, text: str, facts: dict[str, Any]) -> Sequence[Event]:
        self._said.append(text)
        self._late = self._late or bool(text)
        if tokens(facts, self._upstream.TOKENS) is not None:
            self._turn.texts[len(self._calls)] = facts
            self._parcel.texts[len(self._calls)] = facts
        if self._silent is not None:
            self._silent = None
            self._shift -= 1
            self._next -= 1
            return []
        return self._hold(event) if self._places.text else [event]

    # ---- an end that waits

    def _hold(self, event: PartEnd) -> Sequence[Event]:
        self._held = event
        return []

    def _release(self, over: bool = False) -> list[Event]:
        """The end that was held, with what it carries. `over`: no part comes after it."""
        held, part, parcel = self._held, self._part, self._parcel
        if held is None or part is None:
            return []
        self._held, self._parcel = None, Parcel(self._turn.scope)
        if over and isinstance(part, Text):
            parcel.thoughts, self._pending = self._pending, []
        marks, self._marks = self._marks, False
        if parcel.empty and not marks:
            return [held]
        return [replace(held, extra={**held.extra, **self._token(part, parcel)})]

    def _rest(self) -> list[Event]:
        """The thoughts after the last call go with an empty text."""
        if not self._pending or not self._places.text:
            return []
        parcel, self._pending = Parcel(self._turn.scope, self._pending), []
        return self._carrier(self._next, Text(""), parcel)

    def _token(self, part: Part, parcel: Parcel) -> Extra:
        return {self._client: {self._places.of(part): seal(parcel, self._places.base64)}}

    def _remember(self) -> None:
        if self._memory is not None and not self._turn.empty:
            keys = Keys(self._messages, self._turn.scope, self._places.ids)
            self._memory.put(keys.of("".join(self._said), self._calls), written(self._turn))
