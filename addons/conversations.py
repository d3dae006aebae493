"""Which exchanges belong together: the turns of one conversation, and what is new in each.

A client sends its whole history with every turn. So a turn's place is found by what it begins with: by the session that
the client names, if it names one, and the user's first words. Of the last turns of that conversation, the one whose
history ours goes on from is the one before. So many conversations are known at a time; a record holds its own place.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from translators.model import (
    Audio,
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

MOST = 2000  # conversations
TURNS = 4  # of each: the last ones, since a client may ask twice, or go on from an earlier one
_WIDTH = 8  # bytes of a message's digest
_OPERATOR = ("system", "developer")

# Where clients say which session it is: Claude Code, Codex, opencode.
_SESSION_HEADERS = ("x-claude-code-session-id", "session-id", "session_id", "thread-id", "x-session-id")
_SESSION = re.compile(r"session_(?:id\W+)?([\w-]{8,64})")  # in Anthropic's metadata.user_id


class Place(Struct):
    """Where an exchange stands. `number`: of the turn, from 1; `known`: how many messages of its history the turn
    before had too; `previous`: that turn's flow."""

    id: str
    number: int = 1
    known: int = 0
    previous: str = ""
    session: str = ""

    def plain(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "number": self.number,
            "known": self.known,
            "previous": self.previous,
            "session": self.session,
        }


class _Turn(Struct):
    flow: str
    place: Place
    digests: bytes  # of its messages, one after the other


class Conversations:
    """Those that were seen last."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._turns: OrderedDict[tuple[str, str], list[_Turn]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._turns)

    def place(self, owner: str, flow: str, request: Request, headers: Mapping[str, str]) -> Place:
        """`owner`: whose turns are not to be mixed with anybody else's; `headers`: the client's, lower case."""
        session = session_of(request, headers)
        messages = request.messages
        lead = next((n for n, message in enumerate(messages) if message.role not in _OPERATOR), len(messages))
        place = Place(_name(session, messages, lead), session=session)
        digests = b"".join(map(_digest, messages[lead:]))
        turns = self._turns.setdefault((owner, place.id), [])
        before = _before(turns, digests)
        if before is not None:
            _follow(place, before, digests, lead)
        turns[:] = [*(turn for turn in turns if turn.flow != flow), _Turn(flow, place, digests)][-TURNS:]
        self._turns.move_to_end((owner, place.id))
        if len(self._turns) > self._most:
            self._turns.popitem(last=False)
        return place


def _before(turns: Sequence[_Turn], digests: bytes) -> _Turn | None:
    """The turn that has most in common with a history, and least beside that; of several the last one."""
    ranked = [(_common(turn.digests, digests), -len(turn.digests), n) for n, turn in enumerate(turns)]
    return turns[max(ranked)[2]] if ranked else None


def _follow(place: Place, before: _Turn, digests: bytes, lead: int) -> None:
    """The same history again is the same turn, asked once more."""
    common = _common(before.digests, digests)
    if before.digests == digests:
        place.number, place.known, place.previous = before.place.number, before.place.known, before.place.previous
    elif common:
        place.number, place.known, place.previous = before.place.number + 1, lead + common, before.flow


def _common(one: bytes, other: bytes) -> int:
    """How many messages two histories begin with alike."""
    most = min(len(one), len(other)) // _WIDTH
    if one[: most * _WIDTH] == other[: most * _WIDTH]:
        return most
    return next(n for n in range(most) if one[n * _WIDTH : (n + 1) * _WIDTH] != other[n * _WIDTH : (n + 1) * _WIDTH])


def session_of(request: Request, headers: Mapping[str, str]) -> str:
    """The client's own name for its session; "" where it has none."""
    found = next((headers[name] for name in _SESSION_HEADERS if headers.get(name)), "")
    if not found and request.user and (match := _SESSION.search(request.user)) is not None:
        found = match[1]
    return (found or request.cache_key or "")[:64]


def _name(session: str, messages: Sequence[Message], lead: int) -> str:
    """The same for each turn, and after a restart."""
    digest = hashlib.blake2b(session.encode("utf-8", "replace"), digest_size=3)
    for message in messages[: 0 if session else lead]:  # a session's system prompt may change, it names itself
        digest.update(_digest(message))
    for message in messages[lead : lead + 1]:
        digest.update(_digest(message))
    return digest.hexdigest()


def _digest(message: Message) -> bytes:
    """Of what was said. Cache marks, signatures and thoughts may come and go between two turns."""
    digest = hashlib.blake2b(message.role.encode(), digest_size=_WIDTH)
    for word in _words(message.parts):
        digest.update(b"\0" + word.encode("utf-8", "surrogatepass"))
    return digest.digest()


def _words(parts: Iterable[Part]) -> Iterable[str]:
    for part in parts:
        match part:
            case Text() | Refusal() | ServerTool():
                yield part.text
            case ToolCall():
                yield from (part.name, part.arguments)
            case ToolResult():
                yield part.id
                yield from _words(part.parts)
            case Image() | Audio() | File():
                blob = part.blob
                yield (blob.data or "")[:256] or blob.url or blob.file_id or blob.text or ""
            case Opaque():
                yield part.kind
            case Thinking():
                pass
