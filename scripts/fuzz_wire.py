"""Both ends of the fuzzer: a good upstream that looks at what it gets, and clients that read HTTP by the letter."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass, field

from scripts.bench_wire import VOICES
from scripts.fuzz_corpus import CLIENT_KEY
from scripts.fuzz_input import Case

A_WHILE = 0.1  # seconds

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9]\d\d) [^\r\n\0]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.I)


# how each protocol says that there is nothing, by a part of its path
_NOT_HERE = (
    (b"/v1beta/", b'{"error":{"message":"not here","status":"NOT_FOUND","code":404}}'),
    (b"/messages", b'{"type":"error","error":{"message":"not here","type":"not_found_error"}}'),
    (b"/api/", b'{"error":"not here"}'),
    (b"", b'{"error":{"message":"not here","type":"not_found","code":null,"param":null}}'),
)


class Wrong(Exception):
    """What a client got is no HTTP."""


# ------------------------------------------------------------------------------------------------ the upstream


@dataclass
class Upstream:
    """A good one: it answers each protocol in its own words, and looks at what it gets."""

    wrong: list[str] = field(default_factory=list)
    asked: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                writer.write(self.answer(head, body))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the proxy hung up
        except asyncio.LimitOverrunError:
            self.wrong.append("a head that does not end")
        finally:
            writer.close()

    def answer(self, head: bytes, body: bytes) -> bytes:
        self.asked += 1
        if CLIENT_KEY.encode() in head + body or head.count(b"\r\nhost: 127.0.0.1:") != 1:
            self.wrong.append(f"the upstream got what it must not: {head[:300]!r}")
        method, target = head.split(b" ", 2)[:2]
        path = target.partition(b"?")[0]
        voice = VOICES.get(path.rpartition(b"/")[2].rpartition(b":")[2])
        if voice is None or method != b"POST":
            return _whole(404, next(said for part, said in _NOT_HERE if part in path))
        streamed = self.wants_stream(path, body)
        if not streamed:
            return _whole(200, voice.whole)
        pieces = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in (voice.begin, voice.delta, voice.end))
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % voice.content_type
        return head + pieces + b"0\r\n\r\n"

    def wants_stream(self, path: bytes, body: bytes) -> bool:
        try:
            asked = json.loads(body.decode("utf-8", "replace"), parse_int=str)  # what is relayed may hold anything
        except RecursionError:
            return False
        except ValueError as error:
            self.wrong.append(f"the upstream got no JSON: {error}: {body[:200]!r}")
            return False
        if b"/models/" in path:
            return b":stream" in path
        return bool(asked.get("stream", path.endswith(b"/api/chat")))


def _whole(status: int, body: bytes) -> bytes:
    head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


# ------------------------------------------------------------------------------------------------ the client


@dataclass(frozen=True)
class Answer:
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return "close" in self.fields.get("connection", "").lower()


async def read_answer(reader: asyncio.StreamReader, head: bool) -> Answer:
    """One whole answer. `head`: to a HEAD request."""
    while True:
        try:
            lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        except asyncio.LimitOverrunError as error:
            raise Wrong("a head that does not end") from error
        status = _STATUS.fullmatch(lines[0])
        found = [_FIELD.fullmatch(line) for line in lines[1:]]
        if status is None or None in found:
            raise Wrong(f"no HTTP: {lines[:3]!r}")
        if not status[1].startswith(b"1") or status[1] == b"101":
            break
    fields = {one[1].decode().lower(): one[2].decode("latin-1") for one in found if one is not None}
    return Answer(int(status[1]), fields, await _read_body(reader, fields, head or status[1] in (b"204", b"304")))


async def _read_body(reader: asyncio.StreamReader, fields: dict[str, str], none: bool) -> bytes:
    if none:
        return b""
    if fields.get("transfer-encoding") == "chunked":
        pieces = []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            pieces.append((await reader.readexactly(size + 2))[:-2])
        await reader.readexactly(2)
        return b"".join(pieces)
    if "content-length" not in fields:
        raise Wrong(f"an answer without a length: {fields}")
    return await reader.readexactly(int(fields["content-length"]))


class Client:
    """One client, which keeps its connection as long as it may."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, case: Case) -> list[Answer]:
        """All answers to what is said: one, but for raw bytes. Raises `Wrong`, `OSError`, `IncompleteReadError`."""
        if case.alone:
            self.close()
        kept = self._open is not None
        try:
            return await self._ask(case)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            if not kept or getattr(error, "partial", b""):
                raise
        return await self._ask(case)  # the connection had been closed as it lay idle

    async def _ask(self, case: Case) -> list[Answer]:
        if self._open is None:
            self._open = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        reader, writer = self._open
        writer.write(case.data)
        if case.ended:
            return await self._rest(reader, writer)
        await writer.drain()
        answer = await read_answer(reader, case.head)
        if case.alone or answer.closes:
            self.close()
        return [answer]

    async def _rest(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[Answer]:
        """Whatever comes to what is perhaps no request, or not the whole of one: after a while our side ends."""
        reading = asyncio.create_task(_until_the_end(reader))
        await asyncio.wait([reading], timeout=A_WHILE)
        if not reading.done():
            with contextlib.suppress(OSError):  # what was refused may be closed by now
                writer.write_eof()
        found = await reading
        self.close()
        return found

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


async def _until_the_end(reader: asyncio.StreamReader) -> list[Answer]:
    """All answers; what is cut does not count, since we hung up."""
    found = []
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while not reader.at_eof():
            found.append(await read_answer(reader, False))
    return found
