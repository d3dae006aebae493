"""A scripted model on loopback, so that the demo needs no key and no network.

It speaks openai-chat: `POST /v1/chat/completions`, streamed and not, and `GET /v1/models`. It thinks aloud in
`reasoning_content`, calls a tool where one that it knows is offered and has not answered yet, and then answers from the
tool's result. A client's real tools act on a real machine, so of those it only ever asks the time.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

MODEL = "demo-model"

# The tools that it knows, by name, and what it calls them with. `get_weather` is the demo's own, the others are those
# with which coding clients run a command.
CALLS: dict[str, dict[str, Any]] = {
    "get_weather": {"city": "Oslo"},
    "Bash": {"command": "date", "description": "Ask the time"},
    "bash": {"command": "date", "description": "Ask the time"},
    "run_shell_command": {"command": "date"},
}

Seen = Callable[[str, str], None]  # (what, text): a request that came in, or a delta that goes out


@dataclass(frozen=True)
class Turn:
    """What the model says: its thoughts, then text or a call (its id, the tool's name, the arguments)."""

    thoughts: str
    text: str = ""
    call: tuple[str, str, dict[str, Any]] | None = None

    @property
    def finish(self) -> str:
        return "tool_calls" if self.call else "stop"


def plain(content: Any) -> str:
    """The text of a message's `content`: a string, a list of parts, or null."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""


def since_assistant(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What came after the model last spoke. Clients put reminders behind a result: the last one is not enough."""
    spoke = max((n for n, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    return messages[spoke + 1 :]


def decide(request: dict[str, Any]) -> Turn:
    """The model's whole mind: a pure function of the request."""
    new = since_assistant(request["messages"])
    results = [plain(message["content"]).strip() for message in new if message["role"] == "tool"]
    if results:
        return Turn("The tool has answered. I pass it on.", text=f"Here is what the tool found: {'; '.join(results)}")
    offered = [tool["function"]["name"] for tool in request.get("tools") or [] if "function" in tool]
    known = next((name for name in CALLS if name in offered), None)
    if known:
        call = (f"call_demo_{len(request['messages'])}", known, CALLS[known])
        return Turn(f"I cannot know that by myself, but {known} can.", call=call)
    asked = plain(new[-1].get("content")) if new else ""
    return Turn(
        "There is no tool for this, so I answer in words.",
        text=f"You said: {asked[-200:].strip()!r}. I am a scripted model of the demo; a real one would say more.",
    )


def pieces(text: str) -> list[str]:
    """Words with their spaces: what a model would stream as tokens."""
    return re.findall(r"\S+\s*|\s+", text)


def deltas(turn: Turn) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for piece in pieces(turn.thoughts):
        yield {"reasoning_content": piece}
    for piece in pieces(turn.text):
        yield {"content": piece}
    if turn.call:
        call_id, name, arguments = turn.call
        function = {"name": name, "arguments": ""}
        yield {"tool_calls": [{"index": 0, "id": call_id, "type": "function", "function": function}]}
        for piece in pieces(json.dumps(arguments)):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def message(turn: Turn) -> dict[str, Any]:
    whole: dict[str, Any] = {"role": "assistant", "content": turn.text or None, "reasoning_content": turn.thoughts}
    if turn.call:
        call_id, name, arguments = turn.call
        function = {"name": name, "arguments": json.dumps(arguments)}
        whole["tool_calls"] = [{"id": call_id, "type": "function", "function": function}]
    return whole


def usage(request: dict[str, Any], turn: Turn) -> dict[str, Any]:
    asked = sum(len(pieces(plain(m.get("content")))) for m in request["messages"])
    thought, said = len(pieces(turn.thoughts)), len(pieces(turn.text))
    return {
        "prompt_tokens": asked,
        "completion_tokens": thought + said,
        "total_tokens": asked + thought + said,
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


@dataclass
class Model:
    """The server's state: the seconds between two deltas, and who wants to see what passes."""

    pause: float = 0.03
    seen: Seen = lambda what, text: None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client hung up: nothing is left to say to it
        finally:
            writer.close()

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer. False: the connection is done."""
        head = await reader.readuntil(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (entry.partition(":") for entry in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = line.split(" ", 2)
        match method, path.partition("?")[0]:
            case "GET", "/v1/models":
                send_json(writer, 200, {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0}]})
            case "POST", "/v1/chat/completions":
                await self.complete(json.loads(body), path, writer)
            case _:
                send_json(writer, 404, {"error": {"message": f"no such path: {path}", "type": "not_found_error"}})
        await writer.drain()
        return headers.get("connection", "").lower() != "close"

    async def complete(self, request: dict[str, Any], path: str, writer: asyncio.StreamWriter) -> None:
        self.seen("request", json.dumps({"path": path, **request}))
        turn = decide(request)
        if request.get("stream"):
            await self.stream(request, turn, writer)
            return
        choice = {"index": 0, "message": message(turn), "finish_reason": turn.finish}
        send_json(writer, 200, {**envelope(request), "choices": [choice], "usage": usage(request, turn)})

    async def stream(self, request: dict[str, Any], turn: Turn, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        start = {**envelope(request), "object": "chat.completion.chunk"}
        for delta in deltas(turn):
            send_frame(writer, {**start, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            self.tell(delta)
            await writer.drain()
            await asyncio.sleep(self.pause)
        send_frame(writer, {**start, "choices": [{"index": 0, "delta": {}, "finish_reason": turn.finish}]})
        self.seen("finish_reason", turn.finish)
        if (request.get("stream_options") or {}).get("include_usage"):
            send_frame(writer, {**start, "choices": [], "usage": usage(request, turn)})
        send_chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")

    def tell(self, delta: dict[str, Any]) -> None:
        for call in delta.get("tool_calls", ()):
            name = call["function"].get("name")
            self.seen("tool_calls", f"{name} " if name else call["function"]["arguments"])
        for name in ("reasoning_content", "content"):
            if delta.get(name):
                self.seen(name, delta[name])


def envelope(request: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-demo", "object": "chat.completion", "created": 0, "model": request.get("model", MODEL)}


def send_json(writer: asyncio.StreamWriter, status: int, value: Any) -> None:
    body = json.dumps(value).encode()
    reason = {200: "OK", 404: "Not Found"}[status]
    head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


def send_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def send_frame(writer: asyncio.StreamWriter, value: Any) -> None:
    send_chunk(writer, b"data: " + json.dumps(value).encode() + b"\n\n")


@asynccontextmanager
async def running(model: Model) -> AsyncIterator[str]:
    """The model serves on a free loopback port while the block runs; gives its base URL."""
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0, limit=16 * 1024 * 1024)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
