"""Rules on the wire: every hook, whole and streamed, translated and with one protocol, and rules that fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import io as mitm_io

from tests.harness import Conn, Proxy, Seen, Upstream, proxy
from tests.rulebook import PATHS, ask, echo, post, read, speaking, text_of
from translators.model import Message, Request, Text

PROTOCOLS = sorted(PATHS)

# Acts on what is asked, so that one process serves all tests.
RULE = '''
import asyncio
from msgspec.structs import replace
from translators.events import PartDelta, PartEnd, PartStart
from translators.model import ApiError, Message, Response, Text

def words(exchange):
    return exchange.request.messages[-1].parts[0].text if exchange.purpose == "generate" else ""

async def llm_request(exchange):
    said = words(exchange)
    exchange.notes["said"] = said
    if said == "wait":
        await asyncio.sleep(0.01)
    if said in ("edit", "wait"):
        exchange.request.messages.append(Message("user", (Text("added"),)))
    if said == "half":
        exchange.request.messages.clear()
        raise ValueError("half done")
    if said == "nonsense":
        exchange.request.messages = ["no message"]
    if said == "answer":
        exchange.response = Response((Text("from here"),))
    if said == "refuse":
        exchange.refuse("not with me")
    if said == "rename":
        exchange.request.model = "other"

def llm_route(exchange):
    if exchange.notes["said"] == "route":
        exchange.targets = exchange.resolve("u1/elsewhere")
    if exchange.notes["said"] == "nowhere":
        exchange.targets = []
    if exchange.notes["said"] == "junk":
        exchange.targets.append("junk")
    if exchange.notes["said"] == "fail":
        exchange.targets = [*exchange.resolve("down/x"), *exchange.targets]
    if exchange.notes["said"] == "fail all":
        exchange.targets = exchange.resolve("down/x")

def llm_event(exchange, event):
    said = exchange.notes.get("said")
    if said == "shout" and isinstance(event, PartDelta):
        return PartDelta(event.index, event.text.upper())
    if said == "twice" and isinstance(event, PartDelta):
        return [event, event]
    if said == "before" and isinstance(event, PartStart):
        return [PartStart(0, Text("")), PartDelta(0, "note"), PartEnd(0), event]
    if said == "break" and isinstance(event, PartDelta):
        raise KeyError("no such thing")
    if said == "junk event" and isinstance(event, PartDelta):
        return "text"

def llm_response(exchange):
    if exchange.notes["said"] == "response":
        exchange.response = replace(exchange.response, parts=(Text("another answer"),))

def llm_error(exchange):
    exchange.notes["errors"] = exchange.notes.get("errors", 0) + 1
    if exchange.notes["said"] == "fail all":
        exchange.error = ApiError(400, "invalid_request", f"short and stout, {exchange.notes['errors']}")
'''


def request(said: str, **more: Any) -> Request:
    return Request("m", [Message("user", (Text(said),))], max_output=64, **more)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rules")


@pytest.fixture(scope="module")
def upstream() -> Iterator[dict[str, Upstream]]:
    servers = {protocol: Upstream(speaking(protocol, echo)) for protocol in PROTOCOLS}
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture(scope="module")
def link(places: Path, upstream: dict[str, Upstream]) -> Iterator[Proxy]:
    (places / "rule.py").write_text(RULE, "utf-8")
    upstreams = {
        protocol: {"protocol": protocol, "base_url": server.url + "/v1" * protocol.startswith("openai")}
        for protocol, server in upstream.items()
    }
    upstreams["u1"] = upstreams["openai-chat"]
    upstreams["down"] = {"protocol": "openai-chat", "base_url": "http://127.0.0.1:9/v1"}
    settings = {
        "auth": {"mode": "none"},
        "upstreams": upstreams,
        "models": {"m": "openai-chat/up-m", "other": "openai-chat/up-other"},
        "retry": {"max_wait": 0},
        "rules": ["rule.py"],
    }
    with proxy(places, settings, arguments=("-w", str(places / "flows"))) as running:
        running.wait_log("rule.py: loaded (llm_request, llm_route, llm_event, llm_response, llm_error)")
        yield running


def records(places: Path) -> list[dict[str, Any]]:
    with (places / "flows").open("rb") as file:
        return [flow.metadata["llm_link"] for flow in mitm_io.FlowReader(file).stream() if "llm_link" in flow.metadata]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("target", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
def test_requests_and_events_of_every_pair(
    link: Proxy, upstream: dict[str, Upstream], client: str, target: str, stream: bool
) -> None:
    for said, expected in (
        ("edit", "you said edit\nadded"),
        ("shout", "YOU SAID SHOUT"),
        ("twice", "you said twiceyou said twice"),
        ("before", "note\nyou said before"),
        ("break", "you said break"),
        ("junk event", "you said junk event"),
    ):
        asked = request(said, stream=stream)
        asked.model = f"{target}/mm"
        answer = read(client, stream, ask(link, client, asked))
        got = text_of(answer)
        if client in ("openai-chat", "ollama"):  # one text a message
            expected = expected.replace("note\n", "note")
        assert got.replace("note\n", "note") == expected.replace("note\n", "note"), said
        assert answer.usage is not None and answer.usage.prompt == 7
        assert upstream[target].seen[-1].body


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("client", ["openai-chat", "anthropic"])
def test_what_else_rules_do(link: Proxy, upstream: dict[str, Upstream], client: str, stream: bool) -> None:
    def got(said: str) -> str:
        return text_of(read(client, stream, ask(link, client, request(said, stream=stream))))

    chat = upstream["openai-chat"].seen
    assert got("wait") == "you said wait\nadded"
    assert got("half") == "you said half"
    assert got("nonsense") == "you said nonsense"
    before = len(chat)
    assert got("answer") == "from here" and len(chat) == before
    assert got("rename") == "you said rename" and chat[-1].json["model"] == "up-other"
    assert got("route") == "you said route" and chat[-1].json["model"] == "elsewhere"
    assert got("junk") == "you said junk" and chat[-1].json["model"] == "up-m"
    assert got("fail") == "you said fail"
    assert got("response") == ("you said response" if stream else "another answer")


@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize(
    ("said", "status", "words"),
    [("refuse", 403, "not with me"), ("nowhere", 404, "no target"), ("fail all", 400, "short and stout, 1")],
)
def test_errors_have_the_clients_shape(link: Proxy, client: str, said: str, status: int, words: str) -> None:
    answer = ask(link, client, request(said))
    assert answer.status_code == status and words in answer.text, answer.text
    assert "error" in answer.json()


def test_what_rules_did_is_in_the_record(link: Proxy, places: Path) -> None:
    names = ("edit", "break", "half", "plain")
    for said in names:
        ask(link, "openai-chat", request(said, stream=True))
    last = dict(zip(names, records(places)[-len(names) :], strict=True))
    edit = last["edit"]["rules"]["request"]
    assert edit["by"] == ["rule.py"]
    before, after = json.loads(edit["before"]), json.loads(edit["after"])
    assert len(before["messages"]) == 1 and len(after["messages"]) == 2
    assert last["plain"]["rules"] is None
    (report,) = last["break"]["rules"]["reports"]
    line = RULE[: RULE.index('raise KeyError')].count("\n") + 1
    assert report["at"].endswith(f"rule.py:{line}") and report["hook"] == "llm_event"
    assert f"rule.py:{line}" in link.log and "half done" in link.log


def test_same_protocol_bytes_stay_where_nothing_changed(places: Path, tmp_path: Path) -> None:
    """A rule that only looks costs no byte; one that edits touches the field that it edits."""
    rule = "def llm_request(exchange):\n    if exchange.request.temperature: exchange.request.temperature = 0.5\n"
    (tmp_path / "look.py").write_text(rule, "utf-8")
    server = Upstream(lambda conn, seen: conn.whole(b'{"odd":  1}'))
    settings = {
        "auth": {"mode": "none"},
        "upstreams": {"u": {"protocol": "openai-chat", "base_url": server.url + "/v1"}},
        "models": {"m": "u/m"},
        "rules": ["look.py"],
    }
    with proxy(tmp_path, settings) as link:
        said = '{"model": "m",  "x-odd": [1,  2], "messages":[{"role":"user","content":"Hi"}]%s}'
        answer = httpx.post(f"{link.url}/v1/chat/completions", content=said % "", timeout=10)
        assert server.seen[-1].body.decode() == said % "" and answer.content == b'{"odd":  1}'
        httpx.post(f"{link.url}/v1/chat/completions", content=said % ', "temperature": 1.5', timeout=10)
        assert server.seen[-1].body.decode() == said % ', "temperature": 0.5'
    server.stop()


REQUIRED = """
def llm_request(exchange):
    if "boom" in exchange.request.messages[-1].parts[0].text:
        raise RuntimeError("boom")
def llm_event(exchange, event):
    if "later" in exchange.request.messages[-1].parts[0].text and type(event).__name__ == "PartDelta":
        raise RuntimeError("later")
"""


def test_required_rules_and_reload(tmp_path: Path) -> None:
    server = Upstream(speaking("openai-chat", echo))
    rule = tmp_path / "must.py"
    rule.write_text(REQUIRED, "utf-8")
    settings = {
        "auth": {"mode": "none"},
        "upstreams": {"u": {"protocol": "openai-chat", "base_url": server.url + "/v1"}},
        "models": {"m": "u/m"},
        "rules": [{"path": "must.py", "required": True}, "absent.py"],
    }
    with proxy(tmp_path, settings) as link:
        assert "absent.py cannot be loaded: FileNotFoundError" in link.log
        for client in PROTOCOLS:
            sent = len(server.seen)
            answer = ask(link, client, request("boom"))
            assert answer.status_code == 500 and "must.py" in answer.text and "error" in answer.json(), answer.text
            assert len(server.seen) == sent
            for stream in (False, True):
                later = ask(link, client, request("later", stream=stream))
                assert later.status_code in (200, 500) and "must.py" in later.text and "you said" not in later.text
            assert text_of(read(client, False, ask(link, client, request("fine")))) == "you said fine"
        broken = ask(link, "openai-chat", Request(), messages=7)
        assert broken.status_code == 400 and "messages" in broken.text
        rule.write_text("def llm_request(exchange):\n    nonsense here\n", "utf-8")
        link.wait_log("must.py cannot be loaded: line 2: SyntaxError")
        answer = ask(link, "anthropic", request("fine"))
        assert answer.status_code == 500 and answer.json()["type"] == "error"
        rule.write_text("def llm_request(exchange):\n    exchange.request.temperature = 0.25\n", "utf-8")
        link.wait_log("must.py: loaded anew")
        assert ask(link, "anthropic", request("fine")).status_code == 200
        assert server.seen[-1].json["temperature"] == 0.25
        assert link.config is not None
        settings["rules"] = []
        link.config.write_text(json.dumps(settings), "utf-8")
        link.wait_log("must.py: taken out")
        ask(link, "anthropic", request("fine"))
        assert "temperature" not in server.seen[-1].json
    server.stop()


COUNTED = """
from translators.model import Message, Text
def llm_request(exchange):
    if exchange.purpose == "embed":
        exchange.request.inputs[:] = ["changed"]
    else:
        exchange.request.messages.insert(0, Message("system", (Text("word " * 500),)))
def llm_event(exchange, event):
    assert exchange.purpose == "generate"
"""


def test_counts_and_embeddings(tmp_path: Path) -> None:
    """They are of what would be asked."""
    (tmp_path / "rule.py").write_text(COUNTED, "utf-8")

    def script(conn: Conn, seen: Seen) -> None:
        if "count_tokens" in seen.path:
            conn.json({"input_tokens": len(seen.body)})
        else:
            vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
            conn.json({"object": "list", "data": [vector], "model": "e", "usage": {"prompt_tokens": 1}})

    server = Upstream(script)
    settings = {
        "auth": {"mode": "none"},
        "upstreams": {
            "a": {"protocol": "anthropic", "base_url": server.url},
            "c": {"protocol": "openai-chat", "base_url": server.url + "/v1"},
        },
        "models": {"a": "a/m", "c": "c/m"},
        "rules": ["rule.py"],
    }
    asked = {"messages": [{"role": "user", "content": "Hi"}], "x-odd": 1}
    with proxy(tmp_path, settings) as link:
        relayed = post(link, "/v1/messages/count_tokens", {"model": "a", **asked})
        assert relayed.json()["input_tokens"] > 2500 and server.seen[-1].json["x-odd"] == 1
        estimated = post(link, "/v1/messages/count_tokens", {"model": "c", **asked})
        assert estimated.json()["input_tokens"] > 400
        assert post(link, "/v1/embeddings", {"model": "c", "input": "plain", "x-odd": 1}).status_code == 200
        assert server.seen[-1].json["input"] == "changed" and server.seen[-1].json["x-odd"] == 1
        translated = {"content": {"parts": [{"text": "plain"}]}}
        assert post(link, "/v1beta/models/c:embedContent", translated).status_code == 200
        assert server.seen[-1].json["input"] in ("changed", ["changed"])
        assert "AssertionError" not in link.log
    server.stop()


def test_scripts_of_the_command_line_are_rules_too(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "class Mine:\n"
        "    def llm_request(self, exchange): exchange.request.temperature = 0.75\n"
        "    def responseheaders(self, flow): flow.response.headers['x-mine'] = '1'\n"
        "addons = [Mine()]\n",
        "utf-8",
    )
    server = Upstream(speaking("openai-chat", echo))
    settings = {
        "auth": {"mode": "none"},
        "upstreams": {"u": {"protocol": "openai-chat", "base_url": server.url + "/v1"}},
        "models": {"m": "u/m"},
    }
    with proxy(tmp_path, settings, arguments=("-s", str(script))) as link:
        answer = ask(link, "openai-chat", request("Hi"))
        assert server.seen[-1].json["temperature"] == 0.75 and answer.headers["x-mine"] == "1"
    server.stop()


def test_a_client_that_leaves_while_a_rule_waits(tmp_path: Path) -> None:
    rule = "import asyncio\nasync def llm_request(exchange):\n    await asyncio.sleep(0.4)\n"
    (tmp_path / "slow.py").write_text(rule, "utf-8")

    def script(conn: Conn, seen: Seen) -> None:
        speaking("openai-chat", echo)(conn, seen)

    server = Upstream(script)
    settings = {
        "auth": {"mode": "none"},
        "upstreams": {"u": {"protocol": "openai-chat", "base_url": server.url + "/v1"}},
        "models": {"m": "u/m"},
        "rules": ["slow.py"],
    }
    with proxy(tmp_path, settings) as link:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{link.url}/v1/chat/completions", json={"model": "m", "messages": []}, timeout=0.1)
        link.wait_log("cancelled by the client")
        assert server.seen == []
        assert text_of(read("openai-chat", False, ask(link, "openai-chat", request("Hi")))) == "you said Hi"
    server.stop()
