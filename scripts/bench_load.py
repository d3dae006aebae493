"""Both ends of the bench: a stub upstream in a process of its own, and a load generator that costs little itself.

Both are raw asyncio protocols that know just enough HTTP/1.1. What the stub answers is written in the model name, the
one thing that every protocol hands on: `KIND-N` at its end, as in `cc-burst-2000`.

    plain-0     a whole answer at once
    burst-N     a stream of N deltas, written in one go: many frames to a read
    alone-N     a stream of N deltas, one a millisecond: each frame is read alone
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

PAUSE = 0.001  # seconds between frames that shall come alone
PATIENCE = 60  # seconds, after which a run that does not end is a failure
BATCH = 500  # frames written at once where many shall come to a read
MODEL = re.compile(rb'"model"\s*:\s*"[^"]*?(plain|burst|alone)-(\d+)"')
LENGTH = re.compile(rb"content-length:\s*(\d+)", re.I)
WORD = "bench "


def sse(value: Any, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


# ------------------------------------------------------------------------------------------------ what the stub says


@dataclass(frozen=True)
class Voice:
    """One protocol's answers: a whole one, and the parts of a streamed one."""

    whole: bytes
    begin: bytes
    delta: bytes
    end: bytes


def chat_voice() -> Voice:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return sse({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    answer = {"role": "assistant", "content": WORD * 20}
    choice = {"index": 0, "message": answer, "finish_reason": "stop"}
    whole = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
    tail = sse({**base, "choices": [], "usage": usage}) + b"data: [DONE]\n\n"
    begin = chunk({"role": "assistant", "content": ""})
    return Voice(json.dumps(whole).encode(), begin, chunk({"content": WORD}), chunk({}, "stop") + tail)


def anthropic_voice() -> Voice:
    usage = {"input_tokens": 10, "output_tokens": 10}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    whole = {**message, "content": [{"type": "text", "text": WORD * 20}], "stop_reason": "end_turn", "usage": usage}

    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, kind)

    begin = event("message_start", message={**message, "content": [], "stop_reason": None, "usage": usage})
    begin += event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    delta = event("content_block_delta", index=0, delta={"type": "text_delta", "text": WORD})
    end = event("content_block_stop", index=0)
    end += event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=usage)
    return Voice(json.dumps(whole).encode(), begin, delta, end + event("message_stop"))


VOICES = {b"messages": anthropic_voice(), b"completions": chat_voice()}


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
        self.answer(request, VOICES[request[: request.index(b" HTTP/")].partition(b"?")[0].rpartition(b"/")[2]])

    def answer(self, request: bytes, voice: Voice) -> None:
        asked = MODEL.search(request)
        kind, count = (asked[1], int(asked[2])) if asked else (b"plain", 0)
        if kind == b"plain":
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            self.transport.write(head % len(voice.whole) + voice.whole)
            return
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
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


# ------------------------------------------------------------------------------------------------ the requests

LINE = 'def area(width, height):\n    return f"{width * height} m²"  # a line of "code"\n'

TOOL = {
    "type": "object",
    "properties": {"path": {"type": "string", "description": "The file"}, "limit": {"type": "integer"}},
    "required": ["path"],
}


def filler(size: int) -> str:
    return (LINE * (size // len(LINE) + 1))[:size]


def chat_body(model: str, stream: bool, messages: int = 4, size: int = 400) -> dict[str, Any]:
    """A conversation with a tool, of so many messages of so many characters each."""
    turns: list[dict[str, Any]] = [{"role": "system", "content": "You are helpful."}]
    for n in range(0, messages, 4):
        function = {"name": "read", "arguments": json.dumps({"path": "a.py", "text": filler(size)})}
        turns += [
            {"role": "user", "content": filler(size)},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": f"call_{n}", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": f"call_{n}", "content": filler(size)},
            {"role": "assistant", "content": filler(size)},
        ]
    turns.append({"role": "user", "content": "Go on."})
    tool = {"type": "function", "function": {"name": "read", "description": "Reads a file", "parameters": TOOL}}
    return {"model": model, "max_tokens": 1000, "stream": stream, "messages": turns, "tools": [tool]}


def anthropic_body(model: str, stream: bool, messages: int = 4, size: int = 400) -> dict[str, Any]:
    """The same conversation as `chat_body`."""
    turns: list[dict[str, Any]] = []
    for n in range(0, messages, 4):
        arguments = {"path": "a.py", "text": filler(size)}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": filler(size)}
        turns += [
            {"role": "user", "content": filler(size)},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": f"toolu_{n}", "name": "read", "input": arguments}],
            },
            {"role": "user", "content": [result]},
            {"role": "assistant", "content": [{"type": "text", "text": filler(size)}]},
        ]
    turns.append({"role": "user", "content": "Go on."})
    tools = [{"name": "read", "description": "Reads a file", "input_schema": TOOL}]
    return {
        "model": model,
        "max_tokens": 1000,
        "stream": stream,
        "system": "You are helpful.",
        "messages": turns,
        "tools": tools,
    }


BODIES = {
    "anthropic": ("/v1/messages", anthropic_body),
    "openai-chat": ("/v1/chat/completions", chat_body),
}


def encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def request(protocol: str, model: str, *, messages: int = 4, size: int = 400) -> bytes:
    """The bytes of one HTTP request; it asks for a stream where the model's name says so."""
    path, make = BODIES[protocol]
    body = encoded(make(model, "plain" not in model, messages, size))
    head: Sequence[str] = (
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        "content-type: application/json",
        "anthropic-version: 2023-06-01",
        f"content-length: {len(body)}",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


if __name__ == "__main__":
    try:
        asyncio.run(serve_stub())
    except KeyboardInterrupt:
        raise SystemExit(0) from None
