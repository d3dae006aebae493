"""The commands of LLM Link, in a real mitmweb by its API, as its command bar calls them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from addons.json_path import PathError, put
from tests.harness import Conn, Proxy, Seen, Upstream, config
from tests.mitmweb import Web, ended, mitmweb, until

ASK = {"model": "m", "max_tokens": 50, "top_k": 5, "messages": [{"role": "user", "content": "Hi"}]}


def answer(conn: Conn, seen: Seen) -> None:
    text = f"I am {seen.json['model']}"
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": "x", "choices": [choice]})


def claude(conn: Conn, seen: Seen) -> None:
    content = [{"type": "text", "text": "I am Claude\n" + "and I have much to say " * 9}]
    conn.json(
        {"id": "msg_1", "type": "message", "role": "assistant", "model": "x", "content": content,
         "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 4}}
    )  # fmt: skip


@pytest.fixture(scope="module")
def chat() -> Iterator[Upstream]:
    server = Upstream(answer)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def native() -> Iterator[Upstream]:
    server = Upstream(claude)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, chat: Upstream, native: Upstream) -> Iterator[Web]:
    settings = config(chat)
    other = {"protocol": "anthropic", "base_url": native.url, "api_key": {"value": "key-a"}}
    settings["upstreams"]["claude"] = other
    settings["models"]["other"] = "u0/another"
    settings["addressing"] = False
    with mitmweb(tmp_path_factory.mktemp("web"), settings) as web:
        yield web


@pytest.fixture
def web(shared: Web, chat: Upstream, native: Upstream) -> Web:
    shared.options(intercept=None)
    shared.clear()
    chat.seen.clear()
    native.seen.clear()
    return shared


def ask(link: Proxy, **more: Any) -> httpx.Response:
    return httpx.post(f"{link.url}/v1/messages", json={**ASK, **more}, timeout=20)


def asked(web: Web) -> str:
    """One exchange is over; its flow."""
    assert ask(web.link).status_code == 200
    return f"@{web.flow(when=ended)['id']}"


def said(web: Web, number: int = -1) -> str:
    return str(json.loads(web.body(web.flow(number, when=ended), "response"))["content"][0]["text"])


def test_the_commands_are_there_with_their_help(web: Web) -> None:
    known = web.call("GET", "/commands").json()
    for name in ("llm.pause", "llm.resume", "llm.replay", "llm.compare", "llm.edit", "llm.export"):
        assert known[name]["help"], name


@pytest.mark.parametrize("change", ["claude/big", "target=claude/big"])
def test_a_request_is_sent_to_another_target(web: Web, chat: Upstream, native: Upstream, change: str) -> None:
    first = asked(web)
    (copy,) = web.command("llm.replay", first, change).split()
    assert said(web).startswith("I am Claude") and said(web, 0) == "I am model-0"
    assert web.flow()["id"] == copy and len(chat.seen) == 1
    body = native.seen[0].json
    assert body["model"] == "big" and {**body, "model": "m"} == ASK  # the same protocol: its own bytes
    record = web.saved()[-1].metadata["llm_link"]
    assert record["replays"]["flow"] == first[1:] and record["replays"]["target"] == "claude/big"


def test_a_request_is_sent_with_another_model_or_policy(web: Web, chat: Upstream) -> None:
    first = asked(web)
    web.command("llm.replay", first, "model=other")
    assert said(web) == "I am another"
    web.command("llm.replay", first, "policy=strict")
    refused = web.flow(when=lambda flow: ended(flow) and flow["response"]["status_code"] == 400)
    assert "top_k" in web.body(refused, "response").decode() and len(chat.seen) == 2


WRONG = {
    "target=nowhere/m": "is no target; there is: u0/MODEL, claude/MODEL",
    "model=unknown": "The model 'unknown' is not known here",
    "policy=lax": "policy is one of strict, balanced, max_compat",
    "temperature=0": "temperature cannot be changed",
}


@pytest.mark.parametrize("change", list(WRONG))
def test_what_cannot_be_is_said_at_once(web: Web, change: str) -> None:
    first = asked(web)
    with pytest.raises(AssertionError, match=WRONG[change]):
        web.command("llm.replay", first, change)
    assert len(web.flows()) == 1


def test_two_answers_side_by_side(web: Web) -> None:
    first = asked(web)
    web.command("llm.compare", first, "-", "claude/big")
    both = [web.flow(1, when=ended), web.flow(2, when=ended)]
    for flow in both:
        text = until(lambda flow=flow: web.view(flow, "response"), "nothing is shown")
        row = next(line for line in text.splitlines() if "I am model-0" in line)
        assert "│" in row and "I am Claude" in row.split("│")[1]
        assert "u0/model-0 (openai-chat)" in text and "claude/big (anthropic)" in text
        assert max(map(len, text.splitlines())) <= 160
    assert "nothing is compared" in web.view(web.flow(0), "response", "LLM Compare")


def test_a_stopped_request_is_edited_by_command(web: Web, chat: Upstream) -> None:
    web.options(intercept="~q")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, web.link)
        flow = f"@{web.flow(when=lambda flow: flow['intercepted'])['id']}"
        web.command("llm.edit", flow, "model", "other")
        web.command("llm.edit", flow, "messages[0].content", "Grüße", "aus", "Köln")
        web.command("llm.edit", flow, "metadata.user_id", '"u1"')
        web.command("llm.edit", flow, "top_k")
        web.command("llm.resume", flow)
        assert waiting.result(10).json()["content"][0]["text"] == "I am another"
    assert chat.seen[0].json["messages"] == [{"role": "user", "content": "Grüße aus Köln"}]
    with pytest.raises(AssertionError, match="leads nowhere at its step 2"):
        web.command("llm.edit", flow, "messages[7].content", "x")


PUT: list[tuple[str, str | None, str]] = [
    ("a", "1", '{"a":1,"b":[1,{"c":"x"}]}'),
    ("b[1].c", "y", '{"a":{},"b":[1,{"c":"y"}]}'),
    ("b[-1].c", '"2"', '{"a":{},"b":[1,{"c":"2"}]}'),
    ("b[2]", "true", '{"a":{},"b":[1,{"c":"x"},true]}'),
    ("new.deep", "[]", '{"a":{},"b":[1,{"c":"x"}],"new":{"deep":[]}}'),
    ("b[0]", None, '{"a":{},"b":[{"c":"x"}]}'),
]


@pytest.mark.parametrize(("path", "value", "whole"), PUT)
def test_a_field_is_put_by_its_path(path: str, value: str | None, whole: str) -> None:
    assert put(b'{"a": {}, "b": [1, {"c": "x"}]}', path, value).decode() == whole


@pytest.mark.parametrize("path", ["", "a..b", "b[x]", "b[9]", "b[0].c", "a[0]", "b.c", "nope[0]"])
def test_a_path_that_leads_nowhere_is_named(path: str) -> None:
    with pytest.raises(PathError, match="path|nowhere"):
        put(b'{"a": "text", "b": [1, {"c": "x"}]}', path, "1")
