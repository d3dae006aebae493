"""Tokens on their way back: out of the client's history, onto the parts of the upstream that made them.

What another upstream or model made (its scope differs) loses the token and becomes a thought that nobody signed, which
each codec treats in its own way; an empty one goes. No token of ours is left behind for a codec to send.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from .carry import Call, Memory, Parcel, Side, Thought, ours, read, unseal
from .model import Message, Opaque, Part, Text, Thinking, ToolCall, ToolResult

_ENOUGH = 4096  # characters of a text
_ANY = msgspec.json.Decoder()
_SORTED = msgspec.json.Encoder(order="sorted").encode


class Keys:
    """Under what a turn of a conversation is remembered: its first call, or its words. Both count only within one
    conversation, known by its first words, and for one scope."""

    def __init__(self, messages: Sequence[Message], scope: str, ids: bool) -> None:
        self._messages, self._scope, self._ids = messages, scope, ids
        first = next((message for message in messages if message.role == "user"), None)
        self._root = _words(first)

    def of(self, text: str, calls: Sequence[ToolCall], before: int | None = None) -> str:
        """The key of a turn. `before`: its place in the conversation; None: it comes next."""
        said: list[str]
        if calls and self._ids:
            said = [calls[0].id, calls[0].name]
        else:
            earlier = self._messages[:before]
            last = next((message for message in reversed(earlier) if message.role == "user"), None)
            said = [_words(last)]
            said += [f"{call.name} {_canonical(call.arguments)}" for call in calls] or ["".join(text.split())]
        return hashlib.sha256(_SORTED([self._scope, self._root, bool(calls), *said])).hexdigest()


def _words(message: Message | None) -> str:
    """The text of a message, results of tools included, as far as it tells messages apart, and without white space,
    which clients change."""
    parts = message.parts if message is not None else ()
    inner = [part for outer in parts for part in (outer.parts if isinstance(outer, ToolResult) else (outer,))]
    return "".join("".join(part.text[:_ENOUGH].split()) for part in inner if isinstance(part, Text))


def _canonical(arguments: str) -> str:
    """Clients that drop ids also write the arguments anew."""
    try:
        return _SORTED(_ANY.decode(arguments)).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return arguments


class Unpacker:
    """Of one request. `restored`: whether anything was given back."""

    def __init__(self, client: Side, upstream: Side, scope: str, memory: Memory | None, replay: bool) -> None:
        self._client, self._places = client.NAME, client.CARRIES
        self._upstream, self._scope = upstream.NAME, scope
        self._memory = memory if replay or upstream.TOKENS else None
        self.restored = False

    def messages(self, messages: Sequence[Message]) -> list[Message]:
        keys: Keys | None = None
        out = list(messages)
        for n, message in enumerate(messages):
            if message.role != "assistant":
                continue
            parts, found = self._opened(message.parts)
            if not found and self._memory:
                keys = keys or Keys(messages, self._scope, self._places.ids)
                parcel = self._recalled(self._memory, keys, parts, n)
                if parcel is not None:
                    parts = self._placed(self._with_calls(parts, parcel.calls), [parcel])
            if parts is not message.parts:
                out[n] = replace(message, parts=tuple(parts))
        return out

    # ---- envelopes

    def _opened(self, parts: tuple[Part, ...]) -> tuple[Sequence[Part], bool]:
        """The parts without our tokens, and whether any of them was for this upstream."""
        if not any(map(self._token, parts)):
            return parts, False
        out: list[Part] = []
        calls: list[Call] = []
        apart: list[Parcel] = []  # of parts that are no thoughts
        found = False
        for part in parts:
            token = self._token(part)
            if not token:
                out.append(part)
                continue
            parcel, part = unseal(token), self._bare(part)
            mine = parcel is not None and parcel.scope == self._scope
            found = found or (mine and parcel is not None and not parcel.empty)
            if isinstance(part, Thinking):
                out += self._thoughts(part, parcel)
            else:
                if mine and parcel is not None:
                    part = self._carrier(part, parcel)
                out += [] if isinstance(part, Text) and not part.text and not part.extra else [part]
                apart += [parcel] if parcel is not None else []
            calls += parcel.calls if mine and parcel is not None else []
        self.restored = self.restored or found
        return self._placed(self._with_calls(out, calls), apart), found

    def _token(self, part: Part) -> str:
        """The token of ours that stands in the client's place for one; "" for none."""
        if isinstance(part, Opaque) or not (facts := part.extra.get(self._client)):
            return ""
        token = facts.get(self._places.of(part))
        return token if isinstance(token, str) and ours(token) else ""

    def _bare(self, part: Part) -> Part:
        """Without what the client's protocol knows of it, which speaks of our token."""
        assert not isinstance(part, Opaque)
        return replace(part, extra={name: facts for name, facts in part.extra.items() if name != self._client})

    def _thoughts(self, part: Thinking, parcel: Parcel | None) -> list[Part]:
        """What stood where the client has this thought."""
        if parcel is None or not parcel.thoughts:
            return [part] if part.text and not part.redacted else []
        return [made for thought in parcel.thoughts if (made := self._made(thought, parcel.scope)) is not None]

    def _made(self, thought: Thought, scope: str) -> Thinking | None:
        """The thought for this upstream; None where nothing is left of it."""
        extra = {self._upstream: thought.facts} if scope == self._scope and thought.facts else {}
        if not extra and (thought.redacted or not thought.text):
            return None
        return Thinking(thought.text, thought.redacted, thought.summary, extra)

    def _carrier(self, part: Part, parcel: Parcel) -> Part:
        facts = next((call.facts for call in parcel.calls if not call.id), None)
        if isinstance(part, ToolCall) and facts:
            return self._signed(part, facts)
        return part

    def _signed[P: Text | ToolCall](self, part: P, facts: dict[str, Any]) -> P:
        return replace(part, extra={**part.extra, self._upstream: facts})

    # ---- the memory

    def _recalled(self, memory: Memory, keys: Keys, parts: Sequence[Part], n: int) -> Parcel | None:
        calls = [part for part in parts if isinstance(part, ToolCall)]
        text = "".join(part.text for part in parts if isinstance(part, Text))
        data = memory.get(keys.of(text, calls, n)) if calls or text else None
        parcel = read(data) if data is not None else None
        if parcel is None or parcel.scope != self._scope:
            return None
        self.restored = True
        return parcel

    # ---- putting back

    def _with_calls(self, parts: Sequence[Part], calls: list[Call]) -> Sequence[Part]:
        """The facts of calls: by id, or by place where the client keeps none."""
        if not calls:
            return parts
        out: list[Part] = []
        n = 0
        for part in parts:
            if isinstance(part, ToolCall):
                found = next((call for call in calls if self._is(call, part, n)), None)
                part, n = self._signed(part, found.facts) if found is not None else part, n + 1
            out.append(part)
        return out

    def _is(self, call: Call, part: ToolCall, n: int) -> bool:
        return call.id == part.id or (not self._places.ids and call.n == n and call.name == part.name)

    def _placed(self, parts: Sequence[Part], parcels: Sequence[Parcel]) -> Sequence[Part]:
        """Thoughts at their places in the turn, in the stead of those that the client kept; facts on their texts."""
        waiting: list[tuple[Thought, Thinking]] = []
        for parcel in parcels:
            made = ((thought, self._made(thought, parcel.scope)) for thought in parcel.thoughts)
            waiting += [(thought, part) for thought, part in made if part is not None]
            if parcel.scope == self._scope and parcel.texts:
                parts = self._with_texts(parts, parcel.texts)
        if not waiting:
            return parts
        out: list[Part] = []
        calls = 0
        for part in parts:
            if isinstance(part, Thinking) and self._upstream not in part.extra:
                continue
            while waiting and _due(waiting[0][0], calls, part):
                out.append(waiting.pop(0)[1])
            out.append(part)
            calls += isinstance(part, ToolCall)
        return [*out, *(part for _, part in waiting)]

    def _with_texts(self, parts: Sequence[Part], texts: dict[int, dict[str, Any]]) -> Sequence[Part]:
        """The facts of a text belong to the last part of it; where there is none, the text was empty."""
        runs: list[list[Part]] = [[]]  # what stands before, between and after the calls
        for part in parts:
            if isinstance(part, ToolCall):
                runs.append([])
            runs[-1].append(part)
        for calls, facts in texts.items():
            if calls < len(runs):
                run = runs[calls]
                found = [(n, part) for n, part in enumerate(run) if isinstance(part, Text)]
                at, text = found[-1] if found else (len(run), Text(""))
                run[at : at + 1] = [self._signed(text, facts)]
        return [part for run in runs for part in run]


def _due(thought: Thought, calls: int, part: Part) -> bool:
    """Whether a thought stood before this part, which has so many calls before it."""
    return thought.calls < calls or (thought.calls == calls and not (thought.late and isinstance(part, Text)))
