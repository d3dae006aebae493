"""Which tool call a delta of a stream belongs to.

OpenAI says it with an index, and gives id and name once. Other servers leave the index out, use the same one for all
calls or count deltas with it, repeat id and name on each delta, bring the name late or in pieces, never give an id, or
send whole calls at once. What holds everywhere: a new id, or a new name after complete arguments, begins a new call,
and bare arguments go on with the last one.
"""

from __future__ import annotations

from ..arguments import JsonWatch
from ..codec import Seed
from ..model import Extra, ToolCall
from ..policy import INFO, Loss
from ..stream import Sink
from .answer import WireCallDelta, WireFunctionDelta, arguments_of
from .reasoning import call_side


class Call:
    """One call as far as it is known. It begins for the reader when its name is complete: with its first arguments."""

    def __init__(self, number: int, id: str) -> None:
        self.number, self.id = number, id
        self.name = ""
        self.custom = False
        self.begun = False
        self.closed = False
        self.watch = JsonWatch()
        self.held: list[str] = []  # arguments that came before the name
        self.extra: Extra = {}

    @property
    def complete(self) -> bool:
        return self.watch.complete and not self.custom

    def named(self, name: str) -> None:
        """A name may be repeated, come in pieces, or grow."""
        if not self.begun and name != self.name:
            self.name = name if name.startswith(self.name) else self.name + name


class Calls:
    """The calls of one answer, in the order in which they came."""

    def __init__(self, sink: Sink, seed: Seed) -> None:
        self._sink, self._seed = sink, seed
        self._all: list[Call] = []
        self._by_index: dict[int, Call] = {}
        self._by_id: dict[str, Call] = {}
        self._ids: set[str] = set()

    def delta(self, wire: WireCallDelta, position: int, several: bool) -> None:
        body = wire.function or wire.custom or WireFunctionDelta()
        index = wire.index if wire.index is not None else body.index
        if index is None and several:
            index = position
        id = str(wire.id) if wire.id not in (None, "") else ""
        text = arguments_of(body)
        call = self._find(index, id, body.name or "", text) or self._new(id)
        if index is not None:
            self._by_index[index] = call
        if id and not call.id:
            self._identify(call, id)
        call.custom = call.custom or wire.custom is not None or wire.type == "custom"
        if wire.extra_content is not None:
            call.extra = call_side(wire.extra_content)
        if body.name:
            call.named(body.name)
        if text:
            self._arguments(call, text)

    def close_complete(self) -> None:
        """Let what comes next through at once: the last call is over, as far as one can tell."""
        if self._all:
            last = self._all[-1]
            if last.complete and last.begun and not last.closed:
                self._close(last)

    def end(self) -> None:
        """The answer is over: begin what has waited for its arguments."""
        for call in self._all:
            if not call.closed:
                self._close(call)

    # ---- which one

    def _find(self, index: int | None, id: str, name: str, text: str) -> Call | None:
        if not self._all:
            return None
        last = self._all[-1]
        known = self._by_index.get(index) if index is not None else None
        if known is not None:
            return None if self._begins(known, id, name, text) else known
        if id:
            same = self._by_id.get(id)
            if same is not None:  # the index drifts, or there is none
                return None if same.complete and name and text else same
            late = not last.id and not name and not last.begun and index is None
            return last if late else None
        if not name:
            return last  # bare arguments, with an index of their own or none
        repeated = index is None and name == last.name and not last.complete
        return last if repeated else None

    @staticmethod
    def _begins(known: Call, id: str, name: str, text: str) -> bool:
        """Whether a delta under an index that is in use begins another call."""
        if id and known.id and id != known.id:
            return bool(name) or known.complete
        if id and id == known.id:
            return known.complete and bool(name) and bool(text)
        return bool(name) and known.complete and (bool(text) or name != known.name)

    def _new(self, id: str) -> Call:
        if self._all:
            last = self._all[-1]
            if last.name:  # which is complete, then: calls keep their order
                self._begin(last)
            self.close_complete()  # so that this one may stream at once
        call = Call(len(self._all), "")
        self._all.append(call)
        if id:
            self._identify(call, id)
        return call

    def _identify(self, call: Call, id: str) -> None:
        self._by_id[id] = call
        call.id = id if id not in self._ids else self._unused(call)
        self._ids.add(call.id)

    def _unused(self, call: Call) -> str:
        id = self._seed.item("call_", call.number)
        while id in self._ids:
            id += "x"
        return id

    # ---- what becomes of it

    def _arguments(self, call: Call, text: str) -> None:
        if not call.custom:
            call.watch.feed(text)
        if not call.name:
            call.held.append(text)
            return
        self._begin(call)
        self._sink.delta(call.number, text)
        if call.complete and call is not self._all[-1]:
            self._close(call)  # others wait for it

    def _begin(self, call: Call) -> None:
        if call.begun:
            return
        call.begun = True
        if not call.id:
            call.id = self._unused(call)
            self._ids.add(call.id)
        self._sink.open(call.number, ToolCall(call.id, call.name, custom=call.custom, extra=call.extra))
        for text in call.held:
            self._sink.delta(call.number, text)
        call.held = []

    def _close(self, call: Call) -> None:
        call.closed = True
        if not call.name:
            why = "a tool call that never got a name was left out"
            self._sink.losses.append(Loss("stream.tool_calls", "dropped", why, INFO))
            return
        self._begin(call)
        self._sink.close(call.number, extra=call.extra)
