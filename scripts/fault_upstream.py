"""An upstream that misbehaves in every way that a provider can, in a process of its own.

What it does is written in the model's name, `fault-NAME`; it speaks the protocol of the path that it is asked at.
`fault-steady` is a good and unhurried stream; `fault-anything` is mostly that, else any of the others. One port is for
requests, one resets whoever connects, and one never takes a connection at all. An argument is the seed of chance.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
import sys
from collections.abc import Awaitable, Callable

from scripts.bench_wire import WORD, Voice, voice_of

_FAULT = re.compile(rb"fault-([a-z0-9_]+)")
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.I)
_STREAM = re.compile(rb'"stream"\s*:\s*true|:streamGenerateContent')
_NEVER = 3600.0  # seconds; longer than any patience
_JSON = b"application/json"
HUGE = 3_000_000  # bytes of a frame that does not end

# How each protocol says in a 200 answer that it failed: by the last word of its path.
_ERRORS = {
    b"completions": {"error": {"message": "it broke", "type": "server_error", "code": None, "param": None}},
    b"responses": {"error": {"message": "it broke", "type": "server_error", "code": "server_error", "param": None}},
    b"messages": {"type": "error", "error": {"type": "api_error", "message": "it broke"}},
    b"chat": {"error": "it broke"},
}
_GEMINI_ERROR = {"error": {"code": 500, "message": "it broke", "status": "INTERNAL"}}
_RESPONSES_EVENT = {"type": "error", "code": "server_error", "message": "it broke", "param": None, "sequence_number": 9}


class Ask:
    """One request, and the means to answer it badly."""

    def __init__(self, writer: asyncio.StreamWriter, request: bytes) -> None:
        self.writer, self.request = writer, request
        path = request[: request.index(b" HTTP/")]
        self.voice: Voice = voice_of(path)
        self.name = path.partition(b"?")[0].rpartition(b"/")[2].rpartition(b":")[2]
        self.stream = _STREAM.search(request) is not None
        self.keeps = False  # the answer was whole, as far as HTTP is concerned
        self.content_type = self.voice.content_type if self.stream else _JSON
        first, rest = self.voice.begin + self.voice.delta * 3, self.voice.delta * 3 + self.voice.end
        self.halves = (first, rest) if self.stream else (self.voice.whole[:40], self.voice.whole[40:])

    @property
    def body(self) -> bytes:
        return b"".join(self.halves)

    @property
    def error(self) -> bytes:
        """An error as the protocol writes it in one piece."""
        return json.dumps(_ERRORS.get(self.name, _GEMINI_ERROR)).encode() + b"\n"

    @property
    def late_error(self) -> bytes:
        """An error as it stands in an answer that has begun."""
        if not self.stream or self.name == b"chat" or self.name not in _ERRORS:
            return self.error
        value = json.dumps(_RESPONSES_EVENT).encode() if self.name == b"responses" else self.error.strip()
        return b"event: error\ndata: " + value + b"\n\n"

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    def head(self, *fields: bytes, status: bytes = b"200 OK", type: bytes = b"") -> None:
        lines = [b"HTTP/1.1 " + status, b"content-type: " + (type or self.content_type), *fields]
        self.raw(b"\r\n".join(lines) + b"\r\n\r\n")

    def chunked(self, *more: bytes) -> None:
        self.head(b"transfer-encoding: chunked", *more)

    def chunk(self, data: bytes) -> None:
        if data:
            self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self.raw(b"0\r\n\r\n")

    def whole(self, body: bytes, *fields: bytes, status: bytes = b"200 OK", type: bytes = b"") -> None:
        self.head(b"content-length: %d" % len(body), *fields, status=status, type=type)
        self.raw(body)
        self.keeps = True

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Fault = Callable[[Ask], Awaitable[None]]
FAULTS: dict[str, Fault] = {}


def fault(play: Fault) -> Fault:
    FAULTS[play.__name__] = play
    return play


@fault
async def good(ask: Ask) -> None:
    ask.whole(ask.body)


@fault
async def stale(ask: Ask) -> None:
    """Good, but the connection is closed without a word, as servers do with those that they think are idle."""
    ask.whole(ask.body)
    ask.keeps = False


@fault
async def slow_headers(ask: Ask) -> None:
    await asyncio.sleep(_NEVER)


@fault
async def slow_body(ask: Ask) -> None:
    ask.chunked()
    ask.chunk(ask.halves[0])
    await asyncio.sleep(_NEVER)


@fault
async def drip(ask: Ask) -> None:
    """Slow, but good: a byte at a time."""
    ask.chunked()
    for at in range(0, len(ask.body), 7):
        ask.chunk(ask.body[at : at + 7])
        await asyncio.sleep(0)
    ask.end()


@fault
async def close_early(ask: Ask) -> None:
    """Nothing at all."""


@fault
async def no_http(ask: Ask) -> None:
    ask.raw(b"\x00\x01SSH-2.0-not-http\r\n\r\n")


@fault
async def long_length(ask: Ask) -> None:
    """More is promised than comes."""
    ask.head(b"content-length: %d" % (len(ask.body) + 500))
    ask.raw(ask.halves[0])


@fault
async def short_length(ask: Ask) -> None:
    """More comes than is promised."""
    ask.head(b"content-length: %d" % len(ask.halves[0]))
    ask.raw(ask.body)


@fault
async def bad_chunk(ask: Ask) -> None:
    ask.chunked()
    ask.chunk(ask.halves[0])
    ask.raw(b"zz\r\n" + ask.halves[1] + b"\r\n")


@fault
async def wrong_type(ask: Ask) -> None:
    """A good answer under a false name."""
    ask.whole(ask.body, type=b"text/plain; charset=latin-1")


@fault
async def html(ask: Ask) -> None:
    ask.whole(b"<html><body>Welcome to the hotel's network</body></html>", type=b"text/html")


@fault
async def gzip_garbage(ask: Ask) -> None:
    ask.whole(b"\x1f\x8b\x08\x00garbage that nobody packed" * 9, b"content-encoding: gzip")


@fault
async def empty(ask: Ask) -> None:
    ask.whole(b"")


@fault
async def cut_mid_frame(ask: Ask) -> None:
    ask.chunked()
    ask.chunk(ask.body[: len(ask.halves[0]) - 9])


@fault
async def cut_mid_utf8(ask: Ask) -> None:
    ask.chunked()
    broken = ask.body.replace(WORD.encode(), "é".encode())
    ask.chunk(broken[: broken.rindex("é".encode()) + 1])


@fault
async def quiet_end(ask: Ask) -> None:
    """A clean end of the message, in the middle of the answer."""
    ask.chunked()
    ask.chunk(ask.halves[0])
    ask.end()


@fault
async def reset_mid(ask: Ask) -> None:
    ask.chunked()
    ask.chunk(ask.halves[0])
    await ask.writer.drain()
    await asyncio.sleep(0.05)
    ask.reset()


@fault
async def endless_frame(ask: Ask) -> None:
    ask.chunked()
    ask.chunk(ask.halves[0])
    for _ in range(HUGE // 50_000):
        ask.chunk(b"x" * 50_000)
        await ask.writer.drain()
    await asyncio.sleep(_NEVER)


@fault
async def error_first(ask: Ask) -> None:
    """200, and then the error."""
    ask.whole(ask.late_error)


@fault
async def error_later(ask: Ask) -> None:
    ask.chunked()
    ask.chunk(ask.halves[0] if ask.stream else b"")
    ask.chunk(ask.late_error)
    ask.end()


@fault
async def overloaded(ask: Ask) -> None:
    ask.whole(ask.error, status=b"529 Busy", type=_JSON)


@fault
async def limited(ask: Ask) -> None:
    ask.whole(ask.error, b"retry-after: 60", status=b"429 Later", type=_JSON)


@fault
async def sick(ask: Ask) -> None:
    ask.whole(b"<h1>502</h1>", status=b"502 Bad Gateway", type=b"text/html")


@fault
async def redirect(ask: Ask) -> None:
    ask.whole(b"", b"location: http://127.0.0.1:9/elsewhere", status=b"302 Found")


@fault
async def no_content(ask: Ask) -> None:
    ask.raw(b"HTTP/1.1 204 No Content\r\n\r\n")


@fault
async def upgrade(ask: Ask) -> None:
    ask.raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")


# ------------------------------------------------------------------------------------------------ by chance

CHANCE = random.Random()
GOOD_SHARE = 0.65  # of the answers that are asked to be anything


async def anything(ask: Ask) -> None:
    play = steady if CHANCE.random() < GOOD_SHARE else FAULTS[CHANCE.choice(sorted(FAULTS))]
    await play(ask)


async def steady(ask: Ask) -> None:
    """A good answer at the speed of a model."""
    if not ask.stream:
        await asyncio.sleep(CHANCE.uniform(0, 0.3))
        ask.whole(ask.voice.whole)
        return
    ask.chunked()
    ask.chunk(ask.voice.begin)
    for _ in range(CHANCE.randint(5, 40)):
        ask.chunk(ask.voice.delta)
        await ask.writer.drain()
        await asyncio.sleep(CHANCE.uniform(0.01, 0.1))
    ask.chunk(ask.voice.end)
    ask.end()


PLAYS: dict[str, Fault] = {**FAULTS, "anything": anything, "steady": steady}


async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await answer_one(reader, writer):
            pass
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # the proxy hung up first, which is its right
    finally:
        writer.close()


async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the connection may be used again."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    body = await reader.readexactly(int(length[1])) if length else b""
    found = _FAULT.search(head) or _FAULT.search(body)
    ask = Ask(writer, head + body)
    played = asyncio.create_task(_as_coroutine(PLAYS[found[1].decode() if found else "good"](ask)))
    await asyncio.sleep(0)
    if played.done() and ask.keeps:
        played.result()
        return True
    gone = asyncio.create_task(reader.read())  # ends when the proxy hangs up
    await asyncio.wait({gone, played}, return_when=asyncio.FIRST_COMPLETED)
    for task in (gone, played):
        task.cancel()
    await asyncio.gather(gone, played, return_exceptions=True)
    return False


async def _as_coroutine(play: Awaitable[None]) -> None:
    await play


async def reset_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def black_hole() -> tuple[int, list[socket.socket]]:
    """A port whose queue is full: the kernel drops what more comes. The sockets must be kept."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    kept = [server]
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(server.getsockname())
        kept.append(one)
    return server.getsockname()[1], kept


async def main(seed: int = 0) -> None:
    CHANCE.seed(seed)
    server = await asyncio.start_server(serve_one, "127.0.0.1", 0, limit=1 << 22)
    resets = await asyncio.start_server(reset_one, "127.0.0.1", 0)
    hole, kept = black_hole()
    ports = {name: it.sockets[0].getsockname()[1] for name, it in (("server", server), ("reset", resets))}
    print(json.dumps({**ports, "black_hole": hole}), flush=True)
    async with server, resets:
        await asyncio.Event().wait()
    del kept


if __name__ == "__main__":
    try:
        asyncio.run(main(*map(int, sys.argv[1:])))
    except KeyboardInterrupt:
        raise SystemExit(0) from None
