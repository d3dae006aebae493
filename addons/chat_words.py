"""What is said on the chat WebSocket (`/v1/ws`): JSON messages that ask, text frames that answer.

A client says `{"type": "chat", "api_key": KEY, "payload": {a request of Chat}}`, and gets each chunk of the stream as
`data: {…}` and an empty line in a frame of its own, last `data: [DONE]`. What is wrong with a message is a bare JSON
object with an `error`; what goes wrong later is a `data:` frame with one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from translators.framing import SseFramer, one_line

DONE = b"[DONE]"
_FRAME = 1 << 30  # our own frames are as long as they are


class Refused(Exception):
    """A message that asks for nothing; the text says why."""


class Asked(msgspec.Struct, frozen=True):
    """`body`: a streamed request of Chat, as JSON."""

    key: str
    body: bytes


def asked(said: bytes, needs_key: bool) -> Asked:
    """Reads a message. Raises `Refused`."""
    try:
        message = msgspec.json.decode(said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise Refused("Invalid message format")
    kind = message.get("type")
    if kind != "chat":
        raise Refused(f"Unknown message type: {str(kind)[:100]}")
    payload, key = message.get("payload"), message.get("api_key") or ""
    if not isinstance(payload, dict) or not payload.get("model") or (needs_key and not key):
        raise Refused("Missing required fields")
    if not isinstance(key, str) or not key.isprintable():
        raise Refused("api_key must be a string of printable characters")
    bare = key[7:].strip() if key[:7].lower() == "bearer " else key.strip()
    return Asked(bare, msgspec.json.encode({**payload, "stream": True}))


def refusal(why: str) -> bytes:
    error = {"message": why, "timestamp": datetime.now(UTC).isoformat()}
    return msgspec.json.encode({"error": error})


def data(said: bytes) -> bytes:
    return b"data: %b\n\n" % said


class Answer:
    """The answer to one message: bytes of HTTP in, the texts of frames out."""

    def __init__(self, content_type: str) -> None:
        self._framer = SseFramer(_FRAME) if content_type.startswith("text/event-stream") else None
        self._whole: list[bytes] = []
        self._done = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        if self._framer is None:
            self._whole.append(piece)
            return
        for frame in self._framer.feed(piece):
            yield from self._frame(frame.data)

    def end(self, error: str = "") -> Iterator[bytes]:
        """`error`: why it ends before it is whole."""
        if self._framer is not None:
            for frame in self._framer.end():
                yield from self._frame(frame.data)
        elif self._whole:
            yield data(one_line(b"".join(self._whole)))
        if error and not self._done:
            yield data(msgspec.json.encode({"error": {"message": error, "type": "server_error"}}))
        if not self._done:
            yield data(DONE)

    def _frame(self, said: Any) -> Iterator[bytes]:
        if said:
            self._done = self._done or said == DONE
            yield data(said)
