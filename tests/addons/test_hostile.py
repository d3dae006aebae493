"""Hostile input at every door of a running proxy: clients that send junk, upstreams that answer junk.

Whatever comes, the client gets a complete HTTP answer in its shape, and the log no traceback.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.harness import Conn, Proxy, Seen, Upstream, config, proxy

ANY_FIXTURE = settings(suppress_health_check=list(HealthCheck))  # the proxy is shared by all examples
DOORS = ("/v1/messages", "/v1/chat/completions")
FUNCTION = {"name": "f", "arguments": "{}"}
GOOD: dict[str, dict[str, Any]] = {
    "/v1/messages": {
        "model": "m",
        "max_tokens": 99,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1]}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "array"}}}}],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "stop_sequences": ["END"],
        "stream": True,
    },
    "/v1/chat/completions": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": FUNCTION}]},
            {"role": "tool", "tool_call_id": "c", "content": "ok"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        "stop": ["END"],
        "stream": True,
    },
}  # fmt: skip


class Answers:
    """The upstream plays the bytes that a test puts here, or a plain answer in the protocol that was asked for."""

    def __init__(self) -> None:
        self.raw: bytes | None = None

    def __call__(self, conn: Conn, seen: Seen) -> None:
        if self.raw is not None:
            conn.raw(self.raw)
            conn.close()
        elif "chat" in seen.path:
            message = {"role": "assistant", "content": "fine"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": "x", "choices": [choice]})
        else:
            text = [{"type": "text", "text": "fine"}]
            usage = {"input_tokens": 1, "output_tokens": 1}
            head = {"id": "m", "type": "message", "role": "assistant", "model": "x", "stop_sequence": None}
            conn.json({**head, "content": text, "stop_reason": "end_turn", "usage": usage})


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers()


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, answers: Answers) -> Iterator[Proxy]:
    upstream = Upstream(answers)
    doc = config(upstream)
    doc["upstreams"]["a"] = {"protocol": "anthropic", "base_url": upstream.url, "api_key": {"value": "key-a"}}
    doc["models"] = {"chat": "u0/m", "claude": "a/m", "*": "u0/*"}
    doc["retry"] = {"attempts": 1}
    doc["policy"] = "max_compat"
    with proxy(tmp_path_factory.mktemp("hostile"), doc) as running:
        yield running
        assert running.process.poll() is None
        assert "Traceback" not in running.log and "crashed" not in running.log, running.log[-4000:]
    upstream.stop()


# ------------------------------------------------------------------------------------------------ clients

NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def _paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*here, key))


@st.composite
def mutated(draw: st.DrawFn, door: str) -> Any:
    """A good request with one to three nodes replaced, taken out, or doubled."""
    body = json.loads(json.dumps(GOOD[door]))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([p for p in _paths(body) if p]))
        parent = body
        for key in path[:-1]:
            parent = parent[key]
        match draw(st.sampled_from(("replace", "remove", "wrap"))):
            case "replace":
                parent[path[-1]] = draw(JSON)
            case "remove":
                del parent[path[-1]]
            case _:
                parent[path[-1]] = [parent[path[-1]]] * 2
        if not isinstance(body, dict) or not body:
            break
    return body


def check_answer(door: str, response: httpx.Response) -> None:
    """A complete answer in the shape of the door's protocol."""
    if response.status_code >= 400:
        error = response.json()["error"]
        assert isinstance(error["message"], str) and error["message"] and isinstance(error["type"], str)
        assert ("type" in response.json()) == (door == "/v1/messages")
    elif "event-stream" in response.headers["content-type"]:
        last = "message_stop" if door == "/v1/messages" else "[DONE]"
        assert last in response.text or '"error"' in response.text
    else:
        assert response.json()


@pytest.mark.parametrize("model", ["chat", "claude"])
@pytest.mark.parametrize("door", DOORS)
@ANY_FIXTURE
@given(data=st.data())
def test_mutated_requests(link: Proxy, door: str, model: str, data: st.DataObject) -> None:
    body = data.draw(mutated(door))
    if isinstance(body.get("model"), str):
        body["model"] = model
    response = httpx.post(link.url + door, json=body, timeout=10)
    check_answer(door, response)
    assert response.status_code < 500, (body, response.text)


@pytest.mark.parametrize("door", DOORS)
@ANY_FIXTURE
@given(junk=st.binary(max_size=200), encoding=st.sampled_from(("", "gzip", "br", "zstd", "deflate", "no", "gzip, br")))
def test_junk_bodies(link: Proxy, door: str, junk: bytes, encoding: str) -> None:
    headers = {"content-encoding": encoding} if encoding else {}
    response = httpx.post(link.url + door, content=junk, headers=headers, timeout=10)
    assert response.status_code in (400, 413, 415, 404), response.text
    check_answer(door, response)


@ANY_FIXTURE
@given(junk=st.binary(min_size=1, max_size=120), ended=st.booleans())
@example(junk=b"\x16\x00\x00\x00", ended=False)  # begins like TLS
def test_junk_on_the_socket(link: Proxy, junk: bytes, ended: bool) -> None:
    with socket.create_connection(("127.0.0.1", link.port), 5) as sock:
        sock.settimeout(5)
        sock.sendall(junk + (b"\r\n\r\n" if ended else b""))
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(65536):
                pass


def test_ten_thousand_messages(link: Proxy) -> None:
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n}"} for n in range(10_001)]
    for door, model in ((DOORS[0], "chat"), (DOORS[1], "claude")):
        response = httpx.post(link.url + door, json={"model": model, "max_tokens": 9, "messages": turns}, timeout=20)
        assert response.status_code == 200 and "fine" in response.text


def test_a_body_of_100_mib(link: Proxy) -> None:
    pieces = (b"x" * (1 << 20) for _ in range(100))
    assert httpx.post(link.url + DOORS[0], content=pieces, timeout=30).status_code == 413
    whole = httpx.post(link.url + DOORS[1], content=b'"' + b"y" * (100 << 20) + b'"', timeout=30)
    assert whole.status_code == 413 and "larger than" in whole.json()["error"]["message"]


def test_many_clients_hang_up(link: Proxy) -> None:
    head = b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 500\r\n\r\n{"
    for cut in (1, 20, len(head) - 2, len(head)):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", link.port), 5) as sock:
                sock.sendall(head[:cut])
    assert httpx.get(f"{link.url}/ready").status_code == 200


# ------------------------------------------------------------------------------------------------ upstreams

_PIECES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"data: ", b"event: message_start\n", b"\n\n", b"\r\n\r\n", b"data: [DONE]\n\n", b"{", b"}", b"[]", b"null",
            b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n', b'data: {"error":"bad"}\n\n',
            b'data: {"choices":[{"delta":{"tool_calls":[{"index":3,"function":{"arguments":"{"}}]}}]}\n\n',
            b'data: {"type":"content_block_delta","index":7,"delta":{"type":"text_delta","text":"x"}}\n\n',
            b'data: {"type":"message_start","message":{}}\n\n', b'data: {"type":"message_stop"}\n\n',
            b'data: {"choices":null,"usage":{"prompt_tokens":"many"}}\n\n', b": comment\n\n", b"\xff\xfe\x00",
        ]
    ),
)  # fmt: skip


@pytest.mark.parametrize("model", ["chat", "claude"])
@pytest.mark.parametrize("door", DOORS)
@ANY_FIXTURE
@given(
    pieces=st.lists(_PIECES, max_size=6),
    kind=st.sampled_from(("text/event-stream", "application/json", "text/html", "")),
    status=st.sampled_from((200, 200, 200, 204, 301, 400, 429, 500, 999)),
    honest=st.booleans(),
    stream=st.booleans(),
)
def test_hostile_upstreams(
    link: Proxy, answers: Answers, door: str, model: str, pieces: list[bytes], kind: str, status: int, honest: bool,
    stream: bool,
) -> None:  # fmt: skip
    body = b"".join(pieces)
    length = len(body) + (0 if honest else 7)
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    answers.raw = head.encode() + body
    try:
        ask = {**GOOD[door], "model": model, "stream": stream}
        response = httpx.post(link.url + door, json=ask, timeout=10)
    finally:
        answers.raw = None
    relayed = (door == "/v1/messages") == (model == "claude")
    if not relayed:
        check_answer(door, response)
    assert response.headers["x-llm-link-request-id"]


def test_a_flood_of_requests(link: Proxy) -> None:
    results: list[int] = []

    def one() -> None:
        with httpx.Client(timeout=20) as client:
            for _ in range(10):
                results.append(client.post(link.url + DOORS[0], json={**GOOD[DOORS[0]], "model": "chat"}).status_code)

    threads = [threading.Thread(target=one) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 160


# ------------------------------------------------------------------------------------------------ heads

SECRET = "sk-in-a-bad-head-4711"
HEADS = [
    b"x: a\x00b", b"x: a\rb: c", b"x: a\r\n folded", b"x: a\n\tfolded", b"x: a\x0bb", b" x: a", b"x : a", b"x(y): a",
    b": a", b"no colon", b"\xff: a", b"content-length: 2\r\ncontent-length: 2", b"content-length: 2, 2",
    b"content-length: +2",
    b"content-length: 0x2", b"content-length: \xd9\xa2", b"content-length: -2", b"content-length:",
    b"content-length: 2\r\ntransfer-encoding: chunked", b"transfer-encoding : chunked", b"transfer-encoding: xchunked",
    b"transfer-encoding:\x0bchunked", b"transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    b"transfer-encoding: chunked, identity", b"transfer-encoding: identity",
]  # fmt: skip


def said_to(link: Proxy, data: bytes, *, ended: bool = False) -> bytes:
    """All that comes until the proxy closes the connection."""
    got = b""
    with socket.create_connection(("127.0.0.1", link.port), 5) as sock:
        sock.settimeout(5)
        sock.sendall(data)
        if ended:
            sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(65536):
                got += piece
    return got


@pytest.mark.parametrize("lines", HEADS)
def test_a_head_that_others_may_read_otherwise_is_refused(link: Proxy, lines: bytes) -> None:
    head = f"POST /v1/messages?key={SECRET} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {SECRET}\r\n".encode()
    got = said_to(link, head + lines + b"\r\n\r\n{}")
    assert got.startswith(b"HTTP/1.1 400 ") and got.count(b"HTTP/1.1") == 1
    assert b"text/plain" in got and b"<html" not in got and SECRET.encode() not in got
    assert SECRET not in link.log


def test_a_refused_client_that_ended_its_side_is_hung_up_on(link: Proxy) -> None:
    """Its request and the end of it are read at once, while the refusal still goes through mitmproxy's hooks."""
    with socket.create_connection(("127.0.0.1", link.port), 5) as sock:
        sock.settimeout(5)
        link.process.send_signal(signal.SIGSTOP)
        sock.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nx(y): a\r\n\r\n{}")
        sock.shutdown(socket.SHUT_WR)
        link.process.send_signal(signal.SIGCONT)
        got = b"".join(iter(lambda: sock.recv(65536), b""))  # a connection that stays open times out here
    assert got.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("first", [
    f"GET /v1/models?key={SECRET} HTPP/1.1", f"GET evil.example?key={SECRET} HTTP/1.1", f"GET /?key={SECRET}",
    f"GET /a b?key={SECRET} HTTP/1.1", "CONNECT evil.example:443 HTTP/1.1", f"GET /?key={SECRET} HTTP/1.1\rx: y",
])  # fmt: skip
def test_a_bad_first_line_is_not_repeated(link: Proxy, first: str) -> None:
    got = said_to(link, f"{first}\r\nhost: 127.0.0.1\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 400 ") and SECRET.encode() not in got and b"<html" not in got
    assert SECRET not in link.log


def test_fields_after_the_last_chunk_are_dropped(link: Proxy) -> None:
    body = json.dumps({"model": "chat", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ntransfer-encoding: Chunked\r\n\r\n"
    got = said_to(link, head + b"%x\r\n%b\r\n0\r\nx-api-key: a\r\n\r\n" % (len(body), body))
    assert got.startswith(b"HTTP/1.1 200 ") and b"fine" in got


NO_TEXT = [
    (b"/\xff\xfe", b"404"), (b"/namespaces/\xff/v1/messages", b"404"), (b"/v1/\xc3(/models", b"404"),
    (b"/v1/models/\xff", b"200"), (b"/api/show/\xc3(", b"200"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "status"), NO_TEXT)
def test_a_path_that_is_no_text(link: Proxy, path: bytes, status: bytes) -> None:
    got = said_to(link, b"GET %b HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n" % path)
    assert got.split(b" ", 2)[1] == status and b"application/json" in got


def test_a_client_that_leaves_within_its_head_is_not_quoted(tmp_path: Path) -> None:
    document = {"auth": {"mode": "none"}, "logging": {"level": "debug"}, "upstreams": {"a": {"provider": "local"}}}
    with proxy(tmp_path, document, arguments=("--set", "termlog_verbosity=debug")) as link:
        said_to(link, f"POST /v1/messages?key={SECRET} HTTP/1.1\r\nx-api-key: {SECRET}\r\n".encode(), ended=True)
        said_to(link, f"POST /v1/messages?key={SECRET} HTTP/7\r\nx-api-key: {SECRET}\r\n\r\n".encode())
        assert httpx.get(f"{link.url}/ready").status_code == 200
        assert SECRET not in link.log
