"""`keepalive_early`: the client is shown that we live, whatever it waits for: a connection, a head, a next try."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.fault_upstream import black_hole
from tests.harness import Conn, Proxy, Seen, Upstream, config, proxy

CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


class Busy(Upstream):
    """Says that it is busy, for a second: once, or always to the model `never`."""

    def __init__(self) -> None:
        super().__init__(self.play)
        self.times = 0

    def play(self, conn: Conn, seen: Seen) -> None:
        self.times += 1
        if self.times == 1 or seen.json["model"] == "never":
            conn.json({"error": {"message": "busy", "type": "rate_limit_error"}}, 429, {"retry-after": "1"})
            return
        conn.stream()
        for delta, finish in (({"role": "assistant", "content": "Hello"}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            conn.chunk(f"data: {json.dumps({**CHUNK, 'choices': [choice]})}\n\n")
        conn.chunk("data: [DONE]\n\n")
        conn.end()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Busy]:
    server = Busy()
    yield server
    server.stop()


@contextlib.contextmanager
def running(folder: Path, upstream: Busy, *arguments: str) -> Iterator[Proxy]:
    nowhere, kept = black_hole()
    doc = config(upstream, keepalive_early=0.3, keepalive=0.3, retry={"attempts": 2, "cooldown": 0, "max_wait": 5})
    doc["upstreams"]["far"] = {
        "protocol": "openai-chat",
        "base_url": f"http://127.0.0.1:{nowhere}/v1",
        "api_key": {"value": "k"},
        "timeout": {"connect": 1.0},
    }
    doc["models"] = {"once": "u0/once", "never": "u0/never", "far": "far/x", "two": ["far/x", "u0/once"]}
    with proxy(folder, doc, arguments=arguments) as link:
        yield link
        assert "Traceback" not in link.log
    for sock in kept:
        sock.close()


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, upstream: Busy) -> Iterator[Proxy]:
    with running(tmp_path_factory.mktemp("early"), upstream) as link:
        yield link


def ask(link: Proxy, path: str, model: str, **more: Any) -> httpx.Response:
    body = {"model": model, "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hi"}], **more}
    return httpx.post(link.url + path, json=body, timeout=10)


ALIVE = {"/v1/messages": "event: ping\n", "/v1/chat/completions": ":"}


@pytest.mark.parametrize("path", ALIVE)
def test_between_two_attempts(link: Proxy, upstream: Busy, path: str) -> None:
    upstream.times = 0
    response = ask(link, path, "once")
    assert response.status_code == 200 and response.text.startswith(ALIVE[path])
    assert response.text.count(ALIVE[path]) >= 2 and "Hello" in response.text and "error" not in response.text
    assert upstream.times == 2


@pytest.mark.parametrize("path", ALIVE)
def test_a_next_attempt_that_fails_is_the_last(link: Proxy, upstream: Busy, path: str) -> None:
    upstream.times = 0
    response = ask(link, path, "never")
    assert response.status_code == 200 and response.text.startswith(ALIVE[path])
    assert "busy" in response.text and upstream.times == 2


@pytest.mark.parametrize(("path", "model"), [("/v1/messages", "far"), ("/v1/chat/completions", "two")])
def test_while_it_connects(link: Proxy, upstream: Busy, path: str, model: str) -> None:
    upstream.times = 1
    response = ask(link, path, model)
    assert response.status_code == 200 and response.text.startswith(ALIVE[path])
    assert response.text.count(ALIVE[path]) >= 2 and "timed out" in response.text
    assert upstream.times == 1, "another target was tried"


def test_a_hook_that_takes_its_time_does_not_come_beside_a_connection(tmp_path: Path, upstream: Busy) -> None:
    script = tmp_path / "script.py"
    script.write_text("async def responseheaders(flow): flow.response.headers['x-seen'] = 'yes'\n", "utf-8")
    upstream.times = 1
    with running(tmp_path, upstream, "-s", str(script)) as link:
        response = ask(link, "/v1/messages", "two")
    assert response.status_code == 200 and response.headers["x-seen"] == "yes" and "Hello" in response.text


def test_a_whole_answer_waits(link: Proxy, upstream: Busy) -> None:
    upstream.times = 1
    assert ask(link, "/v1/chat/completions", "far", stream=False).status_code >= 500
