"""What must not come out, and where nobody may send us: keys of both sides, and addresses that a request brings."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest

from tests.harness import Conn, Proxy, Seen, Upstream, config, proxy

CLIENT, OWN = "sk-of-the-client-0815", "sk-of-the-upstream-4711"


def _error(status: int, said: str) -> dict[str, Any]:
    return {"error": {"message": said, "type": "invalid_request_error", "code": str(status), "param": None}}


def tell_all(conn: Conn, seen: Seen) -> None:
    """An upstream that repeats the key it got, wherever it can."""
    status = int(json.loads(seen.body)["model"])
    echo = "Incorrect API key: " + seen.headers.get("authorization", "-").removeprefix("Bearer ")
    if status != 200:
        conn.json(_error(status, echo), status, {"www-authenticate": f'Bearer error="{echo}"', "retry-after": "0"})
        return
    conn.stream()
    choice = {"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": None}
    begun = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [choice]}
    conn.chunk(f"data: {json.dumps(begun)}\n\n")
    conn.chunk(f"data: {json.dumps(_error(500, echo))}\n\n")
    conn.end()


ASKS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
    ("/v1/messages", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9}),
    ("/v1/responses", {"input": "x"}),
    ("/api/chat", {"messages": [{"role": "user", "content": "x"}]}),
]
FORMS: list[dict[str, str]] = [
    {"authorization": f"Bearer {CLIENT}"}, {"x-api-key": CLIENT}, {"api-key": CLIENT}, {"x-goog-api-key": CLIENT},
    {"openai-api-key": CLIENT}, {"anthropic-api-key": CLIENT}, {"cookie": f"k={CLIENT}"},
    {"proxy-authorization": f"Basic {CLIENT}"}, {"authorization": f"Basic {CLIENT}"},
]  # fmt: skip


@pytest.mark.parametrize(("mode", "secret"), [("none", OWN), ("client_key", CLIENT)])
def test_no_key_comes_out(tmp_path: Path, mode: str, secret: str) -> None:
    upstream = Upstream(tell_all)
    document = config(upstream, models={"*": "u0/*"}, logging={"level": "debug"}, retry={"attempts": 1})
    document["auth"]["mode"] = mode
    document["upstreams"]["u0"].pop("api_key")
    if mode == "none":
        document["upstreams"]["u0"]["api_key"] = {"value": OWN}
    flows = tmp_path / "flows.mitm"
    options = ("-w", str(flows), "--set", "termlog_verbosity=debug", "--flow-detail", "4")
    said = []
    with proxy(tmp_path, document, arguments=options) as link, httpx.Client(base_url=link.url, timeout=10) as client:
        for n, headers in enumerate(FORMS):
            path, body = ASKS[n % len(ASKS)]
            for model in ("401", "500", "200"):
                said.append(client.post(path, json={**body, "model": model, "stream": True}, headers=headers))
        gemini = {"contents": [{"parts": [{"text": "x"}]}]}
        said.append(client.post(f"/v1beta/models/401:generateContent?key={CLIENT}", json=gemini))
        said.append(client.post(f"/nowhere?a=b&key={CLIENT}"))
        said.append(client.post("/v1/messages", content=b"{", headers={"x-api-key": CLIENT}))
        log = link.log
    upstream.stop()
    for seen in upstream.seen:
        held = [value for value in seen.headers.values() if CLIENT in value or OWN in value]
        assert len(held) <= 1 and all(value.endswith(secret) for value in held) and secret not in seen.path
    for answer in said:
        assert secret not in answer.text and secret not in "".join(answer.headers.values())
    kept = flows.read_bytes()
    for key in (CLIENT, OWN):
        assert key not in log and key.encode() not in kept
    assert len(upstream.seen) == 3 * len(FORMS) + 1 and "Traceback" not in log


@pytest.mark.parametrize("mode", ["none", "client_key", "proxy_key"])
def test_a_key_that_is_no_text(tmp_path: Path, mode: str) -> None:
    """It is wrong, and that is all."""
    upstream = Upstream(lambda conn, seen: conn.json(_error(401, "no"), 401))
    document = config(upstream, models={"*": "u0/*"}, auth={"mode": mode, "keys": [{"value": OWN}]})
    if mode != "proxy_key":
        del document["auth"]["keys"]
    if mode == "client_key":
        del document["upstreams"]["u0"]["api_key"]
    body = {"model": "401", "messages": [{"role": "user", "content": "x"}]}
    with proxy(tmp_path, document) as link:
        headers = [(b"x-api-key", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9")]
        for path in ("/v1/chat/completions", "/v1/messages"):
            answer = httpx.post(link.url + path, json={**body, "max_tokens": 9}, headers=headers, timeout=10)
            assert answer.status_code == 401, answer.text
        assert "Traceback" not in link.log
    upstream.stop()


# ------------------------------------------------------------------------------------------------ addresses


class Canary:
    """Listens, and nobody may come."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"

    def visited(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            self._server.accept()[0].close()
            return True
        return False


def fine(conn: Conn, seen: Seen) -> None:
    usage = {"input_tokens": 1, "output_tokens": 1}
    head = {"id": "m", "type": "message", "role": "assistant", "model": "x", "stop_sequence": None, "usage": usage}
    conn.json({**head, "content": [{"type": "text", "text": "fine"}], "stop_reason": "end_turn"})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Upstream]]:
    upstream = Upstream(fine)
    document = config(upstream, protocol="anthropic", models={"*": "u0/*"})
    with proxy(tmp_path_factory.mktemp("addresses"), document) as running:
        yield running, upstream
        assert "Traceback" not in running.log
    upstream.stop()


BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
# target, further header lines, further fields of the body; CANARY is the address where nobody may come
AIMS: list[tuple[str, str, dict[str, Any]]] = [
    ("http://CANARY/v1/messages", "", {}),
    ("http://evil@CANARY/v1/messages", "", {}),
    ("//CANARY/v1/messages", "", {}),
    ("/v1/messages", "host: CANARY", {}),
    ("/v1/messages", "x-forwarded-host: CANARY\r\nforwarded: host=CANARY\r\nx-original-url: http://CANARY/", {}),
    ("/v1/messages", "proxy: http://CANARY\r\nvia: CANARY\r\nbase-url: http://CANARY", {}),
    ("/v1/messages?base_url=http://CANARY&url=http://CANARY", "", {}),
    ("/v1/messages", "", {"base_url": "http://CANARY", "api_base": "http://CANARY", "proxy": "CANARY"}),
    ("/v1/messages", "", {"model": "http://CANARY/m"}),
    ("/v1/messages", "", {"model": "u0/http://CANARY"}),
    ("/v1/messages", "", {"model": "u0:@CANARY/"}),
    ("/v1/messages", "", {"model": "u0///CANARY/x"}),
    ("/v1/messages", "", {"model": "u0/../../CANARY"}),
    ("/v1/messages", "", {"model": "m\r\nhost: CANARY"}),
    ("/v1/messages", "", {"model": "m%0d%0ahost:%20CANARY"}),
    ("/v1beta/models/@CANARY:generateContent", "", {"contents": [{"parts": [{"text": "x"}]}]}),
    ("/v1beta/models/..%2f..%2f%2fCANARY:generateContent", "", {"contents": [{"parts": [{"text": "x"}]}]}),
    ("/v1beta/models/m%0d%0ahost:%20CANARY:generateContent", "", {"contents": [{"parts": [{"text": "x"}]}]}),
    ("/v1/responses/resp_1@CANARY", "", {}),
]


@pytest.mark.parametrize(("target", "lines", "more"), AIMS)
def test_no_request_names_its_upstream(
    house: tuple[Proxy, Upstream], target: str, lines: str, more: dict[str, Any]
) -> None:
    link, upstream = house
    canary = Canary()
    body = json.dumps({**BODY, **more}).replace("CANARY", canary.address).encode()
    own = "" if lines.startswith("host:") else f"host: 127.0.0.1:{link.port}\r\n"
    head = f"POST {target} HTTP/1.1\r\n{own}{lines}{chr(13) + chr(10) if lines else ''}connection: close\r\n"
    data = head.replace("CANARY", canary.address).encode() + b"content-length: %d\r\n\r\n" % len(body) + body
    before, got = len(upstream.seen), b""
    with socket.create_connection(("127.0.0.1", link.port), 10) as sock:
        sock.sendall(data)
        while piece := sock.recv(65536):
            got += piece
    assert int(got.split(b" ", 2)[1]) in (200, 400, 403, 404), got
    assert not canary.visited()
    for seen in upstream.seen[before:]:
        assert seen.path.partition("?")[0] == "/v1/messages" and seen.headers["host"] == f"127.0.0.1:{upstream.port}"


def ask_h2(port: int, path: bytes, *fields: tuple[bytes, bytes]) -> str:
    """The status of an answer over HTTP/2, by a client that checks nothing; "": the connection was ended."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    careless = h2.config.H2Configuration(
        client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="utf-8"
    )
    body = json.dumps(BODY).encode()
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="localhost") as sock:
        conn = h2.connection.H2Connection(careless)
        conn.initiate_connection()
        pseudo = [(b":method", b"POST"), (b":path", path), (b":scheme", b"https"), (b":authority", b"127.0.0.1")]
        conn.send_headers(1, [*pseudo, *fields])
        conn.send_data(1, body, end_stream=True)
        sock.sendall(conn.data_to_send())
        while data := sock.recv(65536):
            for event in conn.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    return str(dict(event.headers)[":status"])
                if isinstance(event, h2.events.ConnectionTerminated):
                    return ""
    return ""


def test_http2_brings_no_line_ends_and_no_blanks(house: tuple[Proxy, Upstream]) -> None:
    link, upstream = house
    before = len(upstream.seen)
    for value in (b"a\r\ny: z", b"a\nb", b"a\x00b", b"a\rb"):
        assert ask_h2(link.port, b"/v1/messages", (b"x-evil", value)) == ""
    for path in (b"/v1/messages?x=\r\ny: z", b"/v1/messages?\x00"):
        assert ask_h2(link.port, path) == ""
    assert len(upstream.seen) == before
    assert ask_h2(link.port, b"/v1/messages?x=a HTTP/1.1") == "200"
    assert upstream.seen[-1].path == "/v1/messages?x=a%20HTTP/1.1"
