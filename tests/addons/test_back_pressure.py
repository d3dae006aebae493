"""A client that reads slowly, or not at all for a while, slows its upstream down and does not fill our memory."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h2.connection
import h2.events
import pytest

from tests.harness import Conn, Proxy, Seen, Upstream, proxy

MB = 1 << 20
TEXT = "abcdefgh" * (4 << 10)  # of one event
EVENTS = 100 * MB // len(TEXT)
ROOM = 30 * MB  # what the proxy may hold of it
IDLE = 1.0  # seconds after which a silent upstream is given up
BODY = {"max_tokens": 50, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
CLIENTS = {"/v1/chat/completions": b"[DONE]", "/v1/messages": b'"message_stop"'}  # path: what ends the answer


class Fast(Upstream):
    """Says 100 MB as fast as it can, and knows how much of it went out."""

    def __init__(self) -> None:
        super().__init__(self.play)
        self.said = 0
        self.failed = threading.Event()

    def play(self, conn: Conn, seen: Seen) -> None:
        self.said = 0
        conn.stream()
        conn.chunk(event({"role": "assistant", "content": ""}))
        delta = event({"content": TEXT})
        try:
            for _ in range(EVENTS):
                conn.chunk(delta)
                self.said += len(delta)
        except OSError:
            self.failed.set()
            raise
        conn.chunk(event({}, "stop") + "data: [DONE]\n\n")
        conn.end()


def event(delta: dict[str, str], finish: str | None = None) -> str:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return f"data: {json.dumps({'id': 'c', 'object': 'chat.completion.chunk', 'created': 1, 'choices': choices})}\n\n"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Fast]:
    server = Fast()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, upstream: Fast) -> Iterator[Proxy]:
    one: dict[str, Any] = {"protocol": "openai-chat", "base_url": upstream.url + "/v1", "api_key": {"value": "key"}}
    document = {
        "auth": {"mode": "none"},
        "upstreams": {"a": {**one, "timeout": {"idle": IDLE}}},
        "models": {"m": "a/m"},
        "keepalive": 1,
    }
    with proxy(tmp_path_factory.mktemp("pressure"), document) as running:
        yield running


def rss(link: Proxy) -> int:
    status = Path(f"/proc/{link.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def asleep(link: Proxy, upstream: Fast, seconds: float) -> int:
    """Read nothing until the upstream cannot say more for so long: the largest memory."""
    end, said, most = time.monotonic() + seconds, -1, 0
    while said != upstream.said or time.monotonic() < end:
        if said != upstream.said:
            said, end = upstream.said, time.monotonic() + seconds
        most = max(most, rss(link))
        time.sleep(0.1)
    return most


def begin(link: Proxy, path: str) -> socket.socket:
    body = json.dumps({**BODY, "model": "m"}).encode()
    sock = socket.create_connection(("127.0.0.1", link.port), 30)
    sock.sendall(f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    return sock


@pytest.mark.parametrize("path", CLIENTS)
def test_a_client_that_sleeps_is_waited_for(link: Proxy, upstream: Fast, path: str) -> None:
    before = rss(link)
    with begin(link, path) as sock:
        received = len(sock.recv(1000))
        assert asleep(link, upstream, 2 * IDLE) - before < ROOM
        assert upstream.said < EVENTS * len(TEXT) - ROOM, "all of it went out, and nobody read"
        most, tail = 0, b""
        while not tail.endswith(b"0\r\n\r\n"):
            piece = sock.recv(MB)
            assert piece, f"cut after {received} bytes: {tail!r}\n{link.log}"
            received, tail = received + len(piece), (tail + piece)[-500:]
            most = max(most, rss(link))
    assert received > EVENTS * len(TEXT) and CLIENTS[path] in tail
    assert not upstream.failed.is_set() and "Traceback" not in link.log
    if path.endswith("/completions"):  # translated, the text of the turn is kept until its end
        assert most - before < ROOM


@pytest.mark.parametrize("path", CLIENTS)
def test_a_client_that_leaves_in_its_sleep_ends_the_upstream(link: Proxy, upstream: Fast, path: str) -> None:
    upstream.failed.clear()
    with begin(link, path) as sock:
        assert sock.recv(1000)
        asleep(link, upstream, 0.5)
    assert upstream.failed.wait(1), "the upstream's connection was kept"


class Multiplexed:
    """A client of HTTP/2, which gives room for an answer only as it is told to."""

    def __init__(self, port: int) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        self.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 30))
        self.conn = h2.connection.H2Connection()
        self.conn.initiate_connection()

    def ask(self, path: str) -> None:
        head = [(":method", "POST"), (":path", path), (":scheme", "https"), (":authority", "127.0.0.1")]
        self.conn.send_headers(1, head)
        self.conn.send_data(1, json.dumps({**BODY, "model": "m"}).encode(), end_stream=True)
        self.sock.sendall(self.conn.data_to_send())

    def read(self, least: int) -> int:
        """Takes so many bytes of the answer, and gives room for as many as it took."""
        taken = 0
        while taken < least:
            for event in self.conn.receive_data(self.sock.recv(MB)):
                assert not isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)), event
                if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                    taken += len(event.data)
                    self.conn.acknowledge_received_data(event.flow_controlled_length, 1)
            self.sock.sendall(self.conn.data_to_send())
        return taken


def test_a_client_of_http2_that_gives_no_room_is_waited_for(link: Proxy, upstream: Fast) -> None:
    before = rss(link)
    upstream.failed.clear()
    client = Multiplexed(link.port)
    client.ask("/v1/chat/completions")
    client.read(1000)
    assert asleep(link, upstream, 2 * IDLE) - before < ROOM
    stopped = upstream.said
    assert stopped < EVENTS * len(TEXT) - ROOM, "all of it went out, and nobody read"
    assert client.read(4 * MB) >= 4 * MB and upstream.said > stopped
    assert rss(link) - before < ROOM and "Traceback" not in link.log
    client.sock.close()
    assert upstream.failed.wait(5), "the upstream's connection was kept"
