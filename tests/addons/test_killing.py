"""Kill and pause in every stage of an exchange, in a real mitmweb, and what is left of it afterwards: nothing."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.census import CENSUS
from scripts.fault_upstream import black_hole
from tests.harness import Conn, Proxy, Seen, Upstream, config
from tests.mitmweb import Flow, Web, ended, mitmweb, until

ASK = {"max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
OPERATOR = "stopped by the operator"


def piece(text: str, finish: str | None = None) -> str:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'c', 'object': 'chat.completion.chunk', 'created': 1, 'choices': [choice]})}\n\n"


class Model:
    """Plays what it is called; waits to be let `go` where it has something to wait for."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, conn: Conn, seen: Seen) -> None:
        name = seen.json["model"]
        if name == "busy":
            conn.json({"error": {"message": "later"}}, 429, {"retry-after": "2"})
            return
        if name in ("hangs", "slow"):
            self.go.wait(20)
        if not seen.json.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
            conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": name, "choices": [choice]})
            return
        conn.stream()
        conn.chunk(piece("Hel"))
        if name != "quick":
            self.go.wait(20)
        if name == "dies":
            conn.close()
            return
        conn.chunk(piece("lo", "stop") + "data: [DONE]\n\n")
        conn.end()


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.fixture(scope="module")
def upstream(model: Model) -> Iterator[Upstream]:
    server = Upstream(model)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    port, kept = black_hole()
    settings = config(upstream, keepalive=0.2, retry={"attempts": 3, "max_wait": 5})
    settings["upstreams"]["u0"]["api_keys"] = [{"value": "key-0"}, {"value": "key-1"}]
    del settings["upstreams"]["u0"]["api_key"]
    settings["upstreams"]["hole"] = {"protocol": "openai-chat", "base_url": f"http://127.0.0.1:{port}/v1"}
    settings["models"] = {"lost": "hole/m", "*": "u0/*"}
    script = folder / "census.py"
    script.write_text(CENSUS)
    with mitmweb(folder, settings, "-s", str(script)) as web:
        yield web
    for one in kept:
        one.close()


@pytest.fixture
def web(shared: Web, upstream: Upstream, model: Model) -> Iterator[Web]:
    """And when a test is over, nothing is left of it."""
    shared.options(intercept=None)
    shared.clear()
    upstream.seen.clear()
    model.go.clear()
    yield shared
    model.go.set()
    shared.clear()
    until(lambda: not alive(shared), f"still alive: {alive(shared)}")


def alive(web: Web) -> dict[str, int]:
    found = httpx.get(f"{web.link.url}/census", timeout=10).json()
    shared = {"LinkStream": 1, "HTTPFlow": 1}  # the census is asked over HTTP too
    names = ("Exchange", "Attempt", "LinkStream", "Answer")
    return {name: found[name] for name in names if found.get(name, 0) > shared.get(name, 0)}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def ask(link: Proxy, model: str, **more: Any) -> httpx.Response:
    return httpx.post(f"{link.url}/v1/messages", json={**ASK, "model": model, **more}, timeout=20)


def kill(web: Web, flow: Flow) -> None:
    web.call("POST", f"/flows/{flow['id']}/kill")


@pytest.mark.parametrize("name", ["lost", "hangs", "busy"])
def test_before_its_answer(web: Web, upstream: Upstream, pool: ThreadPoolExecutor, name: str) -> None:
    """While it is connected, while it waits for an answer, while it waits to try again."""
    answer = pool.submit(ask, web.link, name)
    if name != "lost":
        until(lambda: len(upstream.seen) == (2 if name == "busy" else 1), "nothing was sent")
    kill(web, web.flow())
    assert answer.result(5).status_code == 403 and OPERATOR in answer.result().json()["error"]["message"]
    record = web.saved()[0].metadata["llm_link"]
    assert record["stopped"] and not record["cancelled"] and record["status"] == 403


def test_neither_the_key_nor_the_target_is_to_blame(
    web: Web, upstream: Upstream, model: Model, pool: ThreadPoolExecutor
) -> None:
    for _ in range(3):
        web.clear()
        answer = pool.submit(ask, web.link, "streams", stream=True)
        kill(web, web.flow(when=lambda flow: flow.get("response")))
        assert "event: error" in answer.result(5).text
    model.go.set()
    for _ in range(3):
        assert ask(web.link, "streams").status_code == 200
    used = [seen.headers["authorization"] for seen in upstream.seen]
    assert used[::2] == used[:1] * 3 and used[1::2] == used[1:2] * 3  # they still take turns


def test_a_whole_answer_is_paused_before_it_came(web: Web, model: Model, pool: ThreadPoolExecutor) -> None:
    answer = pool.submit(ask, web.link, "slow")
    flow = web.flow()
    until(lambda: web.command("llm.pause", f"@{flow['id']}") is None, "not paused")
    web.flow(when=lambda flow: flow["intercepted"])
    model.go.set()
    with pytest.raises(TimeoutError):
        answer.result(0.5)
    web.command("flow.resume", f"@{flow['id']}")
    assert answer.result(5).json()["content"][0]["text"] == "Hello"


def test_an_upstream_that_dies_meanwhile_is_told_of_when_it_goes_on(
    web: Web, model: Model, pool: ThreadPoolExecutor
) -> None:
    answer = pool.submit(ask, web.link, "dies", stream=True)
    flow = web.flow(when=lambda flow: flow.get("response"))
    web.command("llm.pause", f"@{flow['id']}")
    web.flow(when=lambda flow: flow["intercepted"])
    model.go.set()
    with pytest.raises(TimeoutError):
        answer.result(0.5)
    web.command("llm.resume", f"@{flow['id']}")
    assert "event: error" in answer.result(5).text and "closed the connection" in answer.result().text


def test_a_replay_is_paused_and_killed(web: Web, upstream: Upstream, model: Model) -> None:
    assert ask(web.link, "quick", stream=True).status_code == 200
    first = web.flow(when=ended)
    web.command("llm.edit", f"@{first['id']}", "model", "streams")
    (copy,) = web.command("llm.replay", f"@{first['id']}").split()
    web.flow(1, when=lambda flow: flow.get("response"))
    web.command("llm.pause", f"@{copy}")
    kill(web, web.flow(1, when=lambda flow: flow["intercepted"]))
    web.flow(1, when=ended)
    assert web.saved()[1].metadata["llm_link"]["stopped"]
    until(lambda: web.command("replay.client.count") == 0, "the queue waits for it")
    model.go.set()
    web.command("llm.replay", f"@{first['id']}", "model=quick")
    assert web.flow(2, when=ended)["response"]["status_code"] == 200


class OnlyTwo(ssl.SSLContext):
    """httpx offers HTTP/1.1 first, and gets that."""

    def set_alpn_protocols(self, protocols: object) -> None:
        super().set_alpn_protocols(["h2"])


def test_one_of_two_streams_on_a_connection(web: Web, model: Model, pool: ThreadPoolExecutor) -> None:
    """HTTP/2: what is done to one is nothing to the other."""
    context = OnlyTwo(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with httpx.Client(http2=True, verify=context, timeout=20) as client:
        url = web.link.url.replace("http:", "https:") + "/v1/messages"

        def one(text: str) -> httpx.Response:
            body = {**ASK, "model": "streams", "stream": True, "system": text}
            return client.post(url, json=body)

        answers = [pool.submit(one, "first")]
        first = web.flow(0, when=lambda flow: flow.get("response"))
        answers.append(pool.submit(one, "second"))
        web.flow(1, when=lambda flow: flow.get("response"))
        web.command("llm.pause", f"@{first['id']}")
        web.flow(0, when=lambda flow: flow["intercepted"])
        model.go.set()
        assert "message_stop" in answers[1].result(5).text and not answers[0].done()
        kill(web, first)
        assert OPERATOR in answers[0].result(5).text
        assert {answer.result().http_version for answer in answers} == {"HTTP/2"}


def test_an_early_head(tmp_path: Path, upstream: Upstream, model: Model, pool: ThreadPoolExecutor) -> None:
    model.go.clear()
    with mitmweb(tmp_path, config(upstream, keepalive_early=0.2) | {"models": {"*": "u0/*"}}) as web:
        answer = pool.submit(ask, web.link, "hangs", stream=True)
        kill(web, web.flow(when=lambda flow: flow.get("response")))
        assert answer.result(5).status_code == 200 and OPERATOR in answer.result().text
    model.go.set()
