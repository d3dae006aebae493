"""Frames: how a byte stream is cut into messages, whatever the chunks it comes in.

Three framings: server-sent events (WHATWG rules: LF, CRLF or CR, comments, several `data:` lines, no space needed after
the colon, a byte order mark), newline-delimited JSON, and a JSON array whose elements come one by one. All are linear
in the input and hold at most `limit` bytes of an unfinished frame.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

FRAME_LIMIT = 8 * 1024 * 1024


class Frame(NamedTuple):
    """One message: the `event:` name where there was one, and its data."""

    event: str | None
    data: bytes


class FrameTooLarge(Exception):
    """A frame is longer than the limit."""


class _Buffer:
    """Bytes that wait for their separator, which is searched for once in every byte."""

    def __init__(self, separator: bytes, limit: int) -> None:
        self.separator, self.limit = separator, limit
        self.held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that are complete now."""
        if not self.held:
            pieces = data.split(self.separator)
            self.held += pieces.pop()
            self._check()
            return pieces
        start = max(0, len(self.held) - len(self.separator) + 1)
        self.held += data
        end = self.held.rfind(self.separator, start)
        if end < 0:
            self._check()
            return []
        pieces = bytes(self.held[:end]).split(self.separator)
        del self.held[: end + len(self.separator)]
        self._check()
        return pieces

    def rest(self) -> bytes:
        rest = bytes(self.held)
        self.held.clear()
        return rest

    def _check(self) -> None:
        if len(self.held) > self.limit:
            raise FrameTooLarge(f"a frame of the upstream's stream is longer than {self.limit} bytes")


_NAMED = re.compile(rb"event: ([^\n]*)\ndata: ([^\n]*)")  # the form that Anthropic's and Responses' servers send


class _Buffered:
    """A framer whose frames end with a separator."""

    _buffer: _Buffer

    @property
    def limit(self) -> int:
        """The most bytes of an unfinished frame."""
        return self._buffer.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._buffer.limit = limit


class SseFramer(_Buffered):
    """Server-sent events."""

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self._buffer = _Buffer(b"\n\n", limit)
        self._after_cr = False
        self._first = True

    def feed(self, data: bytes) -> list[Frame]:
        if self._after_cr and data:  # the LF of a CRLF that was cut in two
            self._after_cr = False
            if data[:1] == b"\n":
                data = data[1:]
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not data:
            return []
        frames = []
        for block in self._buffer.feed(data):
            frame = self._parse(block)
            if frame is not None:
                frames.append(frame)
        return frames

    def end(self) -> list[Frame]:
        """What is left when the stream is over: some servers leave out the last blank line."""
        frame = self._parse(self._buffer.rest())
        return [frame] if frame is not None else []

    def _parse(self, block: bytes) -> Frame | None:
        if self._first:
            self._first = False
            block = block.removeprefix(b"\xef\xbb\xbf")
        if block.startswith(b"data: ") and b"\n" not in block:
            return Frame(None, block[6:])
        if (match := _NAMED.fullmatch(block)) is not None:
            return Frame(match[1].decode("utf-8", "replace"), match[2])
        event: str | None = None
        data: list[bytes] = []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                event = value.removeprefix(b" ").decode("utf-8", "replace")
        return Frame(event, data[0] if len(data) == 1 else b"\n".join(data)) if data else None


class LineFramer(_Buffered):
    """Newline-delimited JSON; blank lines are passed over."""

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self._buffer = _Buffer(b"\n", limit)

    def feed(self, data: bytes) -> list[Frame]:
        return [Frame(None, line) for line in self._buffer.feed(data) if line.strip()]

    def end(self) -> list[Frame]:
        rest = self._buffer.rest().strip()
        return [Frame(None, rest)] if rest else []


_MARK = re.compile(rb'["\\\[\]{}]')


class ArrayFramer:
    """The elements of one JSON array of objects, each as soon as it is complete. A lone object is one element."""

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self.limit = limit
        self._held = bytearray()
        self._depth = 0  # of braces and brackets inside the element
        self._in_string = False
        self._escaped = False

    def feed(self, data: bytes) -> list[Frame]:
        frames: list[Frame] = []
        start = 0 if self._depth else -1
        position = 1 if self._escaped and data else 0
        self._escaped = self._escaped and not data
        while (mark := _MARK.search(data, position)) is not None:
            at, char = mark.start(), mark.group()
            position = at + 1
            if self._in_string:
                if char == b"\\":
                    position += 1
                    self._escaped = position > len(data)
                elif char == b'"':
                    self._in_string = False
            elif char == b'"':
                self._in_string = self._depth > 0
            elif char in b"{[":
                if self._depth or char == b"{":
                    start = at if not self._depth else start
                    self._depth += 1
            elif self._depth and char in b"}]":
                self._depth -= 1
                if not self._depth:
                    frames.append(Frame(None, bytes(self._held) + data[max(start, 0) : position]))
                    self._held.clear()
                    start = -1
        if self._depth:
            self._held += data[max(start, 0) :]
            if len(self._held) > self.limit:
                raise FrameTooLarge(f"an element of the upstream's stream is longer than {self.limit} bytes")
        return frames

    def end(self) -> list[Frame]:
        rest = bytes(self._held)
        self._held.clear()
        return [Frame(None, rest)] if rest else []


Framer = SseFramer | LineFramer | ArrayFramer


def sse(data: bytes, event: str | None = None) -> bytes:
    """One server-sent event with one line of data."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data) if event else b"data: %b\n\n" % data


_LINE_ENDS = {"\u2028".encode(): b"\\u2028", "\u2029".encode(): b"\\u2029", "\x85".encode(): b"\\u0085"}


def one_line(data: bytes) -> bytes:
    """JSON without any character that a reader may take for a line end: what Python's `splitlines` calls one is more
    than what JSON escapes."""
    if data.isascii():
        return data
    for found, escaped in _LINE_ENDS.items():
        data = data.replace(found, escaped)
    return data


class WholeFrames:
    """Bytes as they came, cut where a frame ends: the part of a frame waits for its rest.

    A client cannot use a part, and where the stream breaks off there, it can still be ended in its own form. Streams of
    Gemini may be one JSON array: those have no such ends, and pass."""

    _ENDS: Mapping[str, tuple[bytes, ...]] = {"sse": (b"\n\n", b"\r\n\r\n", b"\r\r"), "lines": (b"\n",)}

    def __init__(self, framing: Literal["sse", "lines"]) -> None:
        self._ends = self._ENDS[framing]
        self._passes: bool | None = False if framing == "lines" else None  # None: nothing came yet
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """What is whole now."""
        if self._passes is None and data.strip():
            self._passes = data.lstrip()[:1] in (b"[", b"{")
        if self._passes or (not self._held and data.endswith(self._ends)):
            return data
        start = max(0, len(self._held) - 3)
        self._held += data
        end = max(at + len(mark) if (at := self._held.rfind(mark, start)) >= 0 else 0 for mark in self._ends)
        whole = bytes(self._held[:end])
        del self._held[:end]
        return whole

    @property
    def held(self) -> int:
        """The bytes that wait."""
        return len(self._held)

    def rest(self) -> bytes:
        """What is left when the stream is over."""
        return bytes(self._held)
