"""Clients that leave before their answer is whole: the upstream is let go at once, and nobody is to blame."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import io as mitm_io

from scripts.fault_upstream import black_hole
from tests.harness import Conn, Proxy, Seen, Upstream, config, proxy

BODY = {"max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
SOON = 1.0  # seconds
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}


class Held(Upstream):
    """Plays what the model is called, and knows how long the proxy kept each connection."""

    def __init__(self) -> None:
        super().__init__(self.play)
        self.reached, self.let_go = threading.Event(), threading.Event()

    def play(self, conn: Conn, seen: Seen) -> None:
        model = seen.json["model"]
        if model == "well":
            conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": model, **ANSWER})
            return
        if model == "busy":
            conn.json({"error": {"message": "later"}}, 429, {"retry-after": "1"})
            self.reached.set()
            return
        if model == "streams":
            conn.stream()
            choice = {"index": 0, "delta": {"role": "assistant", "content": "Hel"}, "finish_reason": None}
            conn.chunk(f"data: {json.dumps({**CHUNK, 'choices': [choice]})}\n\n")
        self.reached.set()
        if conn.sock.recv(1) == b"":
            self.let_go.set()
        conn.close()

    def await_client(self) -> None:
        assert self.reached.wait(5), "the upstream was not asked"
        self.reached.clear()
        self.let_go.clear()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Held]:
    server = Held()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, upstream: Held) -> Iterator[Proxy]:
    port, kept = black_hole()
    one: dict[str, Any] = {"protocol": "openai-chat", "base_url": upstream.url + "/v1", "api_key": {"value": "key"}}
    document = {
        "auth": {"mode": "none"},
        "upstreams": {
            "a": one,
            "b": one,
            "hole": {**one, "base_url": f"http://127.0.0.1:{port}/v1", "timeout": {"connect": 2}},
        },
        "models": {
            "streams": ["a/streams", "b/well"],
            "silent": ["a/silent", "b/well"],
            "hole": ["hole/m", "b/well"],
            "busy": "a/busy",
        },
        "retry": {"cooldown": 60, "max_wait": 5},
    }
    with proxy(tmp_path_factory.mktemp("leaving"), document) as running:
        yield running
    for sock in kept:
        sock.close()


def begin(link: Proxy, path: str, model: str, stream: bool) -> socket.socket:
    body = json.dumps({**BODY, "model": model, "stream": stream}).encode()
    sock = socket.create_connection(("127.0.0.1", link.port), 10)
    sock.sendall(f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    return sock


def began(sock: socket.socket) -> bool:
    """Whether the answer came so far."""
    told = b""
    while b"Hel" not in told:
        piece = sock.recv(4096)
        if not piece:
            return False
        told += piece
    return True


def ended(link: Proxy) -> int:
    return link.log.count("cancelled by the client")


def leave(link: Proxy, sock: socket.socket) -> None:
    """Hang up, and see that it is noticed."""
    before = ended(link)
    sock.close()
    end = time.monotonic() + SOON
    while ended(link) == before:
        assert time.monotonic() < end, f"nobody noticed:\n{link.log}"
        time.sleep(0.02)
    time.sleep(0.1)
    assert ended(link) == before + 1 and "Traceback" not in link.log, link.log


PATHS = pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])


@PATHS
@pytest.mark.parametrize(("model", "stream"), [("streams", True), ("silent", True), ("silent", False)])
def test_the_upstream_is_let_go_and_is_not_to_blame(
    link: Proxy, upstream: Held, path: str, model: str, stream: bool
) -> None:
    for _ in range(2):  # the second time finds it not cooling down
        sock = begin(link, path, model, stream)
        upstream.await_client()
        assert model == "silent" or began(sock)
        leave(link, sock)
        assert upstream.let_go.wait(SOON), "the upstream's connection was kept"


@PATHS
def test_while_waiting_for_another_attempt(link: Proxy, upstream: Held, path: str) -> None:
    sock = begin(link, path, "busy", True)
    upstream.await_client()
    asked = len(upstream.seen)
    leave(link, sock)
    time.sleep(1.5)
    assert len(upstream.seen) == asked, "it was tried again for nobody"


@PATHS
def test_while_the_connection_is_made(link: Proxy, upstream: Held, path: str) -> None:
    asked = len(upstream.seen)
    for _ in range(2):
        sock = begin(link, path, "hole", True)
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):  # the second time, too: the target does not cool down
            sock.recv(1)
        leave(link, sock)
    assert len(upstream.seen) == asked, "the next target was asked for nobody"


def test_it_is_recorded(tmp_path: Path, upstream: Held) -> None:
    document = config(upstream)
    document["models"] = {"streams": "u0/streams", "silent": "u0/silent", "busy": "u0/busy"}
    with proxy(tmp_path, document, arguments=("-w", str(tmp_path / "flows"))) as running:
        for model in document["models"]:
            sock = begin(running, "/v1/messages", model, True)
            upstream.await_client()
            leave(running, sock)
    with (tmp_path / "flows").open("rb") as file:
        records = [flow.metadata["llm_link"] for flow in mitm_io.FlowReader(file).stream() if flow.metadata]
    assert [record["client"]["model"] for record in records] == [*document["models"]]
    assert all(record["cancelled"] and record["timings"]["ended"] for record in records)
