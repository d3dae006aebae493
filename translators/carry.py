"""Opaque reasoning across turns: what an upstream must get back, carried through a client of another protocol.

A provider signs what its model thought and wants the token back with the history: on the same part, to the same model,
to nobody else. Clients know nothing of foreign tokens, but some have a field of the same kind, which they send back
unread (`Places`). There the tokens go, in an envelope of ours: `px1.`, a `Parcel` as base64url, a dot, a checksum. It
needs no key: a forged token only reaches the upstream that refuses it; what was cut short is recognised and dropped.
A `Memory` does the same for clients without such a field, and for those that lose it, as long as it lasts.

`Packer` is the way out, a transform of events; `Unpacker` the way back, before the request is rendered.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from .model import ApiError, Part, Thinking, ToolCall

MARK = "px1."  # begins every token of ours
_WRAPPED = "cHgxL"  # the same in base64, where a protocol's field must be that


class Places(Struct, frozen=True):
    """Where clients of a protocol keep a token: the name of the fact in `extra`, for each kind of part; "": nowhere.

    `base64`: only that is allowed there. `ids`: they send the ids of tool calls back as they were. `mark`: a thought
    that nobody signed gets an empty envelope, since upstreams of that protocol refuse it: it must be known again."""

    thinking: str = ""
    redacted: str = ""
    call: str = ""
    text: str = ""
    base64: bool = False
    ids: bool = True
    mark: bool = False

    def of(self, part: Part) -> str:
        """The field in which this part may hold a token."""
        if isinstance(part, Thinking):
            return self.redacted if part.redacted else self.thinking
        return self.call if isinstance(part, ToolCall) else self.text


class Side(Protocol):
    """What a codec says of tokens; every codec does. `TOKENS`: the facts that its upstreams want back."""

    NAME: str
    CARRIES: Places
    TOKENS: frozenset[str]


class Memory(Protocol):
    """Parcels by key, of one client, as long as there is room. False where it holds nothing for that client."""

    def __bool__(self) -> bool: ...

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, value: bytes) -> None: ...


# ------------------------------------------------------------------------------------------------ what is carried


class Thought(Struct, frozen=True, omit_defaults=True):
    """A thought as its upstream said it. In the turn it stood behind so many calls; `late`: with text in between."""

    text: str = ""
    redacted: bool = False
    summary: bool = False
    facts: dict[str, Any] = {}
    calls: int = 0
    late: bool = False


class Call(Struct, frozen=True, omit_defaults=True):
    """The facts of a tool call: the nth of its turn, with the id that the client knows; "": the call that carries."""

    facts: dict[str, Any]
    id: str = ""
    n: int = 0
    name: str = ""


class Parcel(Struct, omit_defaults=True):
    """What one upstream and model, `scope`, wants back of one turn. `texts`: facts of texts, by the calls before."""

    scope: str
    thoughts: list[Thought] = []
    calls: list[Call] = []
    texts: dict[int, dict[str, Any]] = {}

    @property
    def empty(self) -> bool:
        return not (self.thoughts or self.calls or self.texts)


_encode = msgspec.json.Encoder().encode
_PARCEL = msgspec.json.Decoder(Parcel)


def ours(value: object) -> bool:
    """Whether a token is one of ours, whole or not."""
    return isinstance(value, str) and value.startswith((MARK, _WRAPPED))


def marked(body: bytes) -> bool:
    """Whether a body may hold a token of ours: a look that costs nothing."""
    return b'"' + MARK.encode() in body or b'"' + _WRAPPED.encode() in body


def seal(parcel: Parcel, wrap: bool = False) -> str:
    """The parcel as a token. `wrap`: in standard base64."""
    content = base64.urlsafe_b64encode(_encode(parcel)).rstrip(b"=").decode()
    token = f"{MARK}{content}.{_checksum(content)}"
    return base64.b64encode(token.encode()).decode() if wrap else token


def unseal(token: str) -> Parcel | None:
    """The parcel in a token; None where there is none, or it was damaged."""
    if token.startswith(_WRAPPED):
        token = _decoded(token).decode("utf-8", "replace")
    content, _, checksum = token.removeprefix(MARK).partition(".")
    if not token.startswith(MARK) or checksum != _checksum(content):
        return None
    return read(_decoded(content))


def sealed(token: str) -> bool:
    """Whether it is an envelope, and not the bare mark of a thought that nobody signed."""
    return token.startswith(MARK) and "." in token[len(MARK) :]


def read(data: bytes) -> Parcel | None:
    try:
        return _PARCEL.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def written(parcel: Parcel) -> bytes:
    return _encode(parcel)


def _checksum(content: str) -> str:
    return f"{zlib.crc32(content.encode()):08x}"


def _decoded(text: str) -> bytes:
    """Of either alphabet, with or without padding; clients re-encode."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_" if _url(text) else None)
    except ValueError:
        return b""


def _url(text: str) -> bool:
    return "-" in text or "_" in text


# ------------------------------------------------------------------------------------------------ refused


_REFUSED: tuple[tuple[str, ...], ...] = (  # words of upstreams that refuse a token; all of a row, in lower case
    ("encrypted content", "could not be"),
    ("invalid_encrypted_content",),
    ("signature", "thinking", "invalid"),
    ("thinking", "bound to a different conversation"),
    ("thought", "signature", "corrupted"),
    ("thought", "signature", "invalid"),
    ("thought", "signature", "not valid"),
)


def refused(error: ApiError) -> bool:
    """Whether an upstream says that it cannot read a token that it got back."""
    said = f"{error.message} {error.code or ''}".lower()
    return error.status == 400 and any(all(word in said for word in row) for row in _REFUSED)


def tokens(facts: Mapping[str, Any] | None, names: Iterable[str]) -> dict[str, Any] | None:
    """The facts of a part, where there is a token among them."""
    return dict(facts) if facts and any(name in facts for name in names) else None
