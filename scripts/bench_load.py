"""Both ends of the bench: a stub upstream in a process of its own, and a load generator that costs little itself.

Both are raw asyncio protocols that know just enough HTTP/1.1. What the stub answers is written in the model name, the
one thing that every protocol hands on: `KIND-N` at its end, as in `cc-burst-2000`.

    plain-0     a whole answer at once
    burst-N     a stream of N deltas, written in one go: many frames to a read
    alone-N     a stream of N deltas, one a millisecond: each frame is read alone
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from scripts.bench_wire import WORD, Voice, voice_of

PAUSE = 0.001  # seconds between frames that shall come alone
PATIENCE = 60  # seconds, after which a run that does not end is a failure
BATCH = 500  # frames written at once where many shall come to a read
MODEL = re.compile(rb'(?:"model"\s*:\s*"|/models/)[^":]*?(plain|burst|alone)-(\d+)[":]')
LENGTH = re.compile(rb"content-length:\s*(\d+)", re.I)


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Stub(asyncio.Protocol):
    """One connection of the stub upstream."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = bytearray()
        self.writable = asyncio.Event()
        self.writable.set()
        self.tasks: set[asyncio.Task[None]] = set()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self.tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(self.buffer, 0, end)
        if len(self.buffer) < end + 4 + (int(length[1]) if length else 0):
            return
        request, self.buffer = bytes(self.buffer), bytearray()
        self.answer(request, voice_of(request[: request.index(b" HTTP/")]))

    def answer(self, request: bytes, voice: Voice) -> None:
        asked = MODEL.search(request)
        kind, count = (asked[1], int(asked[2])) if asked else (b"plain", 0)
        if kind == b"plain":
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            self.transport.write(head % len(voice.whole) + voice.whole)
            return
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % voice.content_type
        )
        task = asyncio.get_running_loop().create_task(self.stream(voice, kind, count))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def stream(self, voice: Voice, kind: bytes, count: int) -> None:
        if kind == b"burst" and count <= BATCH:
            self.transport.write(framed(voice.begin) + framed(voice.delta) * count + framed(voice.end) + b"0\r\n\r\n")
            return
        self.transport.write(framed(voice.begin))
        step, pause = (1, PAUSE) if kind == b"alone" else (BATCH, 0.0)
        one = framed(voice.delta)
        for sent in range(0, count, step):
            await self.writable.wait()
            self.transport.write(one * min(step, count - sent))
            await asyncio.sleep(pause)
        self.transport.write(framed(voice.end) + b"0\r\n\r\n")


async def serve_stub() -> None:
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# ------------------------------------------------------------------------------------------------ the load


@dataclass
class Tally:
    """What one load run saw. `first` holds the seconds to the first token of each request."""

    requests: int = 0
    seconds: float = 0.0
    bytes: int = 0
    first: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class Client(asyncio.Protocol):
    """Sends the same request again and again on one connection, until `more` says no. A bad status ends the run."""

    def __init__(self, request: bytes, more: Callable[[], bool], tally: Tally, watch: Callable[[int], None] | None):
        self.request, self.more, self.tally, self.watch = request, more, tally, watch
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.head = self.tail = b""
        self.left = self.received = 0
        self.waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.send()

    def send(self) -> None:
        if not self.more():
            self.transport.close()
            self.finish(None)
            return
        self.head = self.tail = b""
        self.left = -1  # unknown: the head is not whole yet
        self.received = 0
        self.waiting = True
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def finish(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error) if error else self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.finish(ConnectionError("the connection was closed in the middle of the bench"))

    def data_received(self, data: bytes) -> None:
        if self.left == -1:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self.head.startswith(b"HTTP/1.1 200"):
                self.finish(RuntimeError(f"bad answer: {self.head[:600]!r}"))
                self.transport.abort()
                return
            length = LENGTH.search(self.head, 0, end)
            self.left = int(length[1]) if length else -2  # -2: chunked
            data = self.head[end + 4 :]
        if data:
            self.body(data)

    def body(self, data: bytes) -> None:
        if self.waiting and WORD.encode() in data:
            self.waiting = False
            self.tally.first.append(time.perf_counter() - self.sent)
        self.received += len(data)
        self.tail = (self.tail + data)[-5:]
        if self.watch:
            self.watch(self.received)
        if self.received == self.left or (self.left == -2 and self.tail == b"0\r\n\r\n"):
            self.tally.requests += 1
            self.tally.bytes += self.received
            self.send()


async def run(
    port: int,
    request: bytes,
    *,
    connections: int = 1,
    seconds: float | None = None,
    count: int | None = None,
    watch: Callable[[int], None] | None = None,
) -> Tally:
    """Loads a port for `seconds`, or with `count` requests in all. `watch` is told the bytes of the answer so far."""
    tally, loop, asked = Tally(), asyncio.get_running_loop(), 0
    start = time.perf_counter()

    def more() -> bool:
        nonlocal asked
        asked += 1
        return asked <= count if count is not None else time.perf_counter() - start < (seconds or 0)

    clients = [
        (await loop.create_connection(lambda: Client(request, more, tally, watch), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    async with asyncio.timeout(PATIENCE + (seconds or 0)):
        await asyncio.gather(*(client.done for client in clients))
    tally.seconds = time.perf_counter() - start
    return tally


if __name__ == "__main__":
    try:
        asyncio.run(serve_stub())
    except KeyboardInterrupt:
        raise SystemExit(0) from None
