"""Each rule of configs/rules, in a real proxy: all of them together, told apart by what is asked."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT, Conn, Proxy, Seen, Upstream, proxy
from tests.rulebook import PATHS, USAGE, ask, echo, post, read, said, speaking, text_of
from translators.model import (
    Format,
    Message,
    Reasoning,
    Request,
    Response,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

RULES = ROOT / "configs" / "rules"
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@contextlib.contextmanager
def ruled(tmp: Path, *names: str, reply: Callable[[Request], Response] = echo) -> Iterator[tuple[Proxy, Upstream]]:
    server = Upstream(speaking("openai-chat", reply))
    upstream = {"protocol": "openai-chat", "base_url": server.url + "/v1"}
    settings = {
        "auth": {"mode": "none"},
        "upstreams": {"u": upstream, "large": upstream},
        "models": {"m": "u/m", "small": "u/tiny", "medium": "u/middle", "large": "large/huge"},
        "rules": [{"path": str(RULES / name), "required": True} for name in names],
    }
    with proxy(tmp, settings) as link:
        yield link, server
        assert "Error" not in link.log and "cannot be loaded" not in link.log, link.log
    server.stop()


def request(words: str = "Hi", *before: Message, **more: Any) -> Request:
    return Request("m", [*before, Message("user", (Text(words),))], max_output=64, **more)


def test_the_list_is_what_is_tested() -> None:
    tested = Path(__file__).read_text("utf-8")
    for rule in RULES.glob("*.py"):
        assert f'"{rule.name}"' in tested, rule.name
        assert rule.read_text("utf-8").startswith('"""') and len(rule.read_text("utf-8").splitlines()) <= 40


EDITING = (
    "force_temperature.py", "strip_block.py", "redact_secrets.py", "cap_thinking.py", "system_note.py",
    "answer_probe.py",
)  # fmt: skip


@pytest.fixture(scope="module")
def editing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Upstream]]:
    with ruled(tmp_path_factory.mktemp("editing"), *EDITING) as both:
        yield both


Both = tuple[Proxy, Upstream]


def test_force_temperature(editing: Both) -> None:
    link, server = editing
    for client in PATHS:
        ask(link, client, request(temperature=0.9))
        assert server.seen[-1].json["temperature"] == 0.2, client
    ask(link, "openai-chat", request(reasoning=Reasoning("high")))
    assert "temperature" not in server.seen[-1].json


def test_strip_block_and_system_note(editing: Both) -> None:
    link, server = editing
    system = Message(
        "system",
        (Text("x-anthropic-billing-header: cc_version=2.1; cch=4f2a9;"), Text("You are an agent.", cache="")),
    )
    for client in PATHS:
        assert ask(link, client, request("Go", system)).status_code == 200
        sent = json.dumps(server.seen[-1].json["messages"])
        assert "billing" not in sent and "You are an agent." in sent, client
        roles = [message["role"] for message in server.seen[-1].json["messages"]]
        assert roles[-1] == "user" and roles[0] in ("system", "developer") and "British English" in sent


def test_redact_secrets(editing: Both) -> None:
    link, server = editing
    key, token = "sk-ant-api03-abcdefghijklmnop", "ghp_abcdefghij0123456789abcd"
    call = ToolCall("call_1", "run", json.dumps({"env": key}))
    history = (
        Message("user", (Text(f"use {key}"),)),
        Message("assistant", (call,)),
        Message("user", (ToolResult("call_1", (Text(f"token {token}\nAKIAABCDEFGHIJKLMNOP"),)),)),
    )
    tools = [Tool("run", schema={"type": "object", "properties": {"env": {"type": "string"}}})]
    for client in PATHS:
        assert ask(link, client, request("Go", *history, tools=tools)).status_code == 200
        sent = server.seen[-1].body.decode()
        assert key not in sent and token not in sent and "AKIA" not in sent and sent.count("[redacted]") == 4, client
    assert post(link, "/v1/embeddings", {"model": "m", "input": [f"a {token}", "b"]}).status_code == 200
    assert server.seen[-1].json["input"] == ["a [redacted]", "b"]


def test_cap_thinking(editing: Both) -> None:
    link, server = editing
    for asked, sent in (("max", "medium"), ("low", "low")):
        ask(link, "openai-chat", request(reasoning=Reasoning(asked)))  # type: ignore[arg-type]
        assert server.seen[-1].json["reasoning_effort"] == sent
    much = request(reasoning=Reasoning("high", budget=30_000))
    much.max_output = 64_000
    ask(link, "anthropic", much)
    assert server.seen[-1].json["reasoning_effort"] == "medium"


@STREAMED
def test_answer_probe(editing: Both, stream: bool) -> None:
    link, server = editing
    before = len(server.seen)
    quota = request("quota", stream=stream)
    quota.max_output = 1
    answer = read("anthropic", stream, ask(link, "anthropic", quota))
    assert text_of(answer) == "Hi" and answer.reason == "length"
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    title = request("please fix the tests of the parser now", format=Format("schema", schema, "t"), stream=stream)
    for client in ("anthropic", "openai-responses"):
        answer = read(client, stream, ask(link, client, title))
        assert json.loads(text_of(answer)) == {"title": "please fix the tests of the"}
    assert len(server.seen) == before


def calling(asked: Request) -> Response:
    names = [tool.name for tool in asked.tools]
    parts = [Thinking("hm"), *(ToolCall(f"call_{name}", name, '{"x": 1}') for name in names)]
    if "call WebFetch" in said(asked):
        parts = [ToolCall("call_w", "WebFetch", '{"url": "x"}')]
    return Response(tuple(parts), "tool_call", usage=USAGE)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    names = ("rename_tools.py", "block_tool.py", "hide_thinking.py")
    with ruled(tmp_path_factory.mktemp("tools"), *names, reply=calling) as both:
        yield both


@STREAMED
def test_rename_and_block_tools_and_hide_thinking(tools: Both, stream: bool) -> None:
    link, server = tools
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    history = (
        Message("user", (Text("Go"),)),
        Message("assistant", (ToolCall("call_1", "Bash", "{}"),)),
        Message("user", (ToolResult("call_1", (Text("done"),), "Bash"),)),
    )
    asked = request(
        "again",
        *history,
        tools=[Tool(name, schema=schema) for name in ("Bash", "Other", "WebFetch")],
        stream=stream,
    )
    for client in PATHS:
        asked.tool_choice = None if client == "ollama" else ToolChoice("named", ("Bash",))  # has none
        answer = read(client, stream, ask(link, client, asked))
        assert [part.name for part in answer.parts if isinstance(part, ToolCall)] == ["Bash", "Other"], client
        assert len(answer.parts) == 2 and json.loads(answer.parts[0].arguments) == {"x": 1}  # type: ignore[union-attr]
        sent = server.seen[-1].json
        assert [tool["function"]["name"] for tool in sent["tools"]] == ["shell", "Other"]
        calls = [call["function"]["name"] for m in sent["messages"] for call in m.get("tool_calls", ())]
        assert calls == ["shell"]
        blocked = read(client, stream, ask(link, client, request("call WebFetch", stream=stream)))
        assert text_of(blocked) == "(A call of WebFetch was blocked.)" and blocked.reason == "end"


def test_route_by_size(tmp_path: Path) -> None:
    with ruled(tmp_path, "route_by_size.py") as (link, server):
        for words, model in (("short", "tiny"), ("word " * 20_000, "middle"), ("word " * 120_000, "huge")):
            assert ask(link, "anthropic", request(words)).status_code == 200
            assert server.seen[-1].json["model"] == model


def test_longer_context(tmp_path: Path) -> None:
    too_long = "This model's maximum context length is 10 tokens. However, your messages resulted in 50 tokens."

    def script(conn: Conn, seen: Seen) -> None:
        if seen.json["model"] == "long-context":
            speaking("openai-chat", echo)(conn, seen)
        else:
            conn.json({"error": {"message": too_long, "code": "context_length_exceeded", "type": "x"}}, 400)

    with ruled(tmp_path, "longer_context.py") as (link, server):
        server.script = script
        assert text_of(read("anthropic", False, ask(link, "anthropic", request()))) == "you said Hi"
        assert [seen.json["model"] for seen in server.seen] == ["m", "long-context"]
