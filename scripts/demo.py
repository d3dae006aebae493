"""`scripts/demo`: one conversation through the proxy, both sides of it on the screen as they stream.

The client speaks Anthropic's protocol and calls a tool; the model is `demo_model`, which speaks openai-chat. On the
left is what the client sends and receives, on the right what the model gets and says, each in the words of its own
protocol.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from scripts.demo_model import MODEL, Model, running

CLI = Path(__file__).resolve().with_name("cli.py")
CLIENT_MODEL = "claude-demo"
PATIENCE = 30.0  # seconds for the proxy to start
WEATHER = "4 °C and light snow"

TOOL = {
    "name": "get_weather",
    "description": "The weather in a city, now",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
QUESTION = "Do I need a coat in Oslo?"

Note = Callable[[str, str], None]  # (label, text), in the words of one protocol


class Broken(Exception):
    """The demo did not go as it should; the text says what happened."""


# ------------------------------------------------------------------------------------------------ the screen


@dataclass
class Side:
    """One column: labels of a protocol, each with the text that came under it so far."""

    title: str
    entries: list[tuple[str, str]] = field(default_factory=list)

    def note(self, label: str, text: str) -> None:
        if self.entries and self.entries[-1][0] == label:
            text = self.entries.pop()[1] + text
        self.entries.append((label, text))

    def render(self) -> Text:
        text = Text()
        for label, said in self.entries:
            text.append(f"{label}  ", style="bold cyan")
            text.append(f"{said}\n")
        return text


class Screen:
    """Two columns. A terminal sees them grow; elsewhere each turn is printed when it is over."""

    def __init__(self) -> None:
        self.console = Console()
        if not self.console.is_terminal:
            self.console = Console(width=120, no_color=True)
        self.sides = (Side(""), Side(""))

    def say(self, text: str = "", style: str = "") -> None:
        self.console.print(text, style=style, highlight=False, soft_wrap=True)

    def table(self) -> Table:
        table = Table(expand=True)
        for side in self.sides:
            table.add_column(side.title, ratio=1, overflow="fold")
        table.add_row(*(side.render() for side in self.sides))
        return table

    @contextmanager
    def turn(self, title: str) -> Iterator[tuple[Note, Note]]:
        """A new pair of columns; gives the notes of the left and of the right."""
        self.say(f"\n{title}", "bold")
        left, right = self.sides = (Side("client: Anthropic Messages"), Side("model: OpenAI Chat Completions"))
        with Live(get_renderable=self.table, console=self.console, refresh_per_second=20):
            yield left.note, right.note
        if not self.console.is_terminal:
            self.say()  # there, Live leaves the last line open


# ------------------------------------------------------------------------------------------------ the proxy


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_config(folder: Path, port: int, base_url: str) -> Path:
    path = folder / "demo.yaml"
    path.write_text(
        f"listen: 127.0.0.1:{port}\n"
        "auth: {mode: none}\n"
        "upstreams:\n"
        f"  demo: {{protocol: openai-chat, base_url: {base_url}}}\n"
        "models:\n"
        f'  "*": demo/{MODEL}\n',
        "utf-8",
    )
    return path


@dataclass
class Proxy:
    """`llm-link serve` as a child, stopped by its process id."""

    config: Path
    port: int
    web_port: int | None
    log: Path

    def __enter__(self) -> Proxy:
        argv = [sys.executable, str(CLI), "serve", "--config", str(self.config), "--port", str(self.port)]
        if self.web_port:
            argv += ["--web", "--web-port", str(self.web_port)]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def web_url(self) -> str:
        """mitmweb's address with its token, as its log names it."""
        found = re.search(r"http://[\w.:]+/\?token=\w+", self.said())
        return found[0] if found else f"http://127.0.0.1:{self.web_port}/"

    async def ready(self, client: httpx.AsyncClient) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Broken(f"the proxy ended with {self.process.returncode}:\n{self.said()}")
            try:
                if (await client.get(f"{self.url}/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)
        raise Broken(f"the proxy is not ready after {PATIENCE:.0f} s:\n{self.said()}")


# ------------------------------------------------------------------------------------------------ the client

# kind of an Anthropic delta -> where its text is
DELTAS = {"thinking_delta": "thinking", "text_delta": "text", "input_json_delta": "partial_json"}


async def ask(client: httpx.AsyncClient, url: str, messages: list[dict[str, Any]], note: Note) -> list[dict[str, Any]]:
    """One turn, streamed. Gives the content blocks of the answer as a client replays them."""
    body = {"model": CLIENT_MODEL, "max_tokens": 1000, "stream": True, "messages": messages, "tools": [TOOL]}
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    note("POST /v1/messages", f"model {CLIENT_MODEL}, messages: {len(messages)}, tools: {TOOL['name']}")
    headers = {"anthropic-version": "2023-06-01", "x-api-key": "demo"}
    async with client.stream("POST", f"{url}/v1/messages", json=body, headers=headers) as answer:
        if answer.status_code != 200:
            raise Broken(f"status {answer.status_code}: {(await answer.aread()).decode()}")
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                take(json.loads(line[5:]), blocks, inputs, note)
    for index, text in inputs.items():
        blocks[index]["input"] = json.loads(text or "{}")
    return [blocks[index] for index in sorted(blocks)]


def take(event: dict[str, Any], blocks: dict[int, dict[str, Any]], inputs: dict[int, str], note: Note) -> None:
    """One event of the stream into the blocks and onto the screen."""
    match event["type"]:
        case "content_block_start":
            block = blocks[event["index"]] = dict(event["content_block"])
            if block["type"] == "tool_use":
                inputs[event["index"]] = ""
                note("tool_use", block["name"] + " ")
        case "content_block_delta":
            delta, block = event["delta"], blocks[event["index"]]
            if delta["type"] == "signature_delta":
                block["signature"] = delta["signature"]
                return
            name = DELTAS[delta["type"]]
            if name == "partial_json":
                inputs[event["index"]] += delta[name]
            else:
                block[name] = block.get(name, "") + delta[name]
            note("tool_use" if name == "partial_json" else delta["type"], delta[name])
        case "message_delta":
            note("stop_reason", event["delta"]["stop_reason"])
        case "error":
            raise Broken(f"the stream ended in an error: {event['error']['message']}")


def show_request(text: str, note: Note) -> None:
    """What the model got, a line for each message."""
    request = json.loads(text)
    tools = ", ".join(tool["function"]["name"] for tool in request.get("tools", ()))
    note(f"POST {request['path']}", f"model {request['model']}, tools: {tools}")
    for message in request["messages"]:
        functions = [call["function"] for call in message.get("tool_calls") or ()]
        calls = [f"{function['name']} {function['arguments']}" for function in functions]
        said = message.get("content") or ""
        note(f"  {message['role']}:", " ".join(filter(None, [said if isinstance(said, str) else str(said), *calls])))


async def converse(screen: Screen, model: Model, client: httpx.AsyncClient, url: str) -> None:
    """Question, tool call, tool result, answer."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
    with screen.turn(f"1. {QUESTION!r}: the model thinks, and calls a tool") as (left, right):
        model.seen = seen_by(right)
        answer = await ask(client, url, messages, left)
    calls = [block for block in answer if block["type"] == "tool_use"]
    if [(call["name"], call["input"]) for call in calls] != [("get_weather", {"city": "Oslo"})]:
        raise Broken(f"expected one call of get_weather for Oslo, got {answer}")
    result = {"type": "tool_result", "tool_use_id": calls[0]["id"], "content": WEATHER}
    messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": [result]}]
    with screen.turn(f"2. The client ran the tool ({WEATHER!r}): the model answers") as (left, right):
        model.seen = seen_by(right)
        answer = await ask(client, url, messages, left)
    if WEATHER not in "".join(block.get("text", "") for block in answer):
        raise Broken(f"the answer does not hold the tool's result: {answer}")


def seen_by(note: Note) -> Note:
    return lambda what, text: show_request(text, note) if what == "request" else note(what, text)


# ------------------------------------------------------------------------------------------------ the whole

OUTRO = """
That was a client of Anthropic's protocol on a model of OpenAI's, tool call and thinking included.

See it in mitmweb:
    {llm_link} demo --web
Run Claude Code on this model, or on a real one (`{llm_link} providers list` names them):
    {llm_link} launch claude --demo
    DEEPSEEK_API_KEY=... {llm_link} launch claude --provider deepseek --model deepseek-flash
"""


def own_name() -> str:
    """How to call `llm-link` from here."""
    beside = Path(sys.executable).with_name("llm-link")
    return "llm-link" if shutil.which("llm-link") or not beside.exists() else os.path.relpath(beside)


def tell_how(screen: Screen, proxy: Proxy) -> None:
    screen.say("\nStill up, until Ctrl-C. A client of yours may use it:", "bold")
    screen.say(f"    export ANTHROPIC_BASE_URL={proxy.url} ANTHROPIC_AUTH_TOKEN=any")
    screen.say(f"    export OPENAI_BASE_URL={proxy.url}/v1 OPENAI_API_KEY=any")
    if proxy.web_port:
        screen.say(f"mitmweb shows every exchange: {proxy.web_url()}")


async def stay(screen: Screen, proxy: Proxy, model: Model) -> None:
    model.seen = lambda what, text: None
    tell_how(screen, proxy)
    while proxy.process.poll() is None:
        await asyncio.sleep(0.2)
    raise Broken(f"the proxy ended with {proxy.process.returncode}:\n{proxy.said()}")


async def run(screen: Screen, *, keep: bool, web: bool, port: int | None) -> None:
    model = Model()
    with tempfile.TemporaryDirectory(prefix="llm-link-demo-") as name:
        folder = Path(name)
        async with running(model) as base_url, httpx.AsyncClient(trust_env=False, timeout=30) as client:
            port = port or free_port()
            config = write_config(folder, port, base_url)
            with Proxy(config, port, free_port() if web else None, folder / "proxy.log") as proxy:
                await proxy.ready(client)
                screen.say(f"The proxy is at {proxy.url}, a scripted model behind it at {base_url}.")
                await converse(screen, model, client, proxy.url)
                if keep:
                    await stay(screen, proxy, model)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main(*, keep: bool = False, web: bool = False, port: int | None = None) -> int:
    """0: all went as it should, or the user ended it. 1: something did not."""
    signal.signal(signal.SIGTERM, interrupt)
    screen = Screen()
    try:
        asyncio.run(run(screen, keep=keep, web=web, port=port))
    except KeyboardInterrupt:
        return 0 if keep else 130
    except Broken as error:
        screen.say(f"The demo failed: {error}", "bold red")
        return 1
    screen.say(OUTRO.format(llm_link=own_name()))
    return 0
