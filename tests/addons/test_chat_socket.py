"""Chat over a WebSocket at `/v1/ws`, with a real client (the `websockets` library) before a real proxy."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import io as mitm_io
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.harness import Conn, Proxy, Seen, Upstream, config, proxy

KEY = "sk-of-the-client-1234"
MESSAGES = [{"role": "user", "content": "Hi"}]


class Upstreams(Upstream):
    """Of Chat and of Anthropic's protocol; `gone`: the proxy let go of an answer that does not end."""

    def __init__(self) -> None:
        super().__init__(self.play)
        self.reached, self.let_go = threading.Event(), threading.Event()

    def play(self, conn: Conn, seen: Seen) -> None:
        model = seen.json["model"]
        if model == "busy":
            conn.json({"error": {"message": "later", "type": "rate_limit_error"}}, 429, {"retry-after": "60"})
            return
        conn.stream()
        for event in self.events(seen, model):
            conn.chunk(event)
        if model == "endless":
            self.reached.set()
            if conn.sock.recv(1) == b"":
                self.let_go.set()
            conn.close()
        elif model == "dies":
            conn.close()
        else:
            conn.end()

    def events(self, seen: Seen, model: str) -> Iterator[str]:
        text = f"Hello {model}"
        if seen.path.endswith("/messages"):
            usage = {"input_tokens": 3, "output_tokens": 1}
            head = {"id": "m", "type": "message", "role": "assistant", "model": model, "content": [], "usage": usage}
            block = {"index": 0, "content_block": {"type": "text", "text": ""}}
            delta = {"index": 0, "delta": {"type": "text_delta", "text": text}}
            said: list[tuple[str, dict[str, Any]]] = [
                ("message_start", {"message": head}), ("content_block_start", block), ("content_block_delta", delta),
                ("content_block_stop", {"index": 0}),
                ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": usage}), ("message_stop", {}),
            ]  # fmt: skip
            for name, rest in said:
                yield f"event: {name}\ndata: {json.dumps({'type': name, **rest})}\n\n"
            return
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model}
        yield f"data: {json.dumps({**head, 'choices': [_choice({'role': 'assistant', 'content': text})]})}\n\n"
        if model not in ("endless", "dies"):
            yield f"data: {json.dumps({**head, 'choices': [_choice({}, 'stop')]})}\n\ndata: [DONE]\n\n"


def _choice(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


class House:
    def __init__(self, link: Proxy, upstream: Upstreams, folder: Path) -> None:
        self.link, self.upstream, self.folder = link, upstream, folder
        self.place = f"ws://127.0.0.1:{link.port}/v1/ws"

    def connect(self, **options: Any) -> ClientConnection:
        return connect(self.place, **options)


def document(upstream: Upstream) -> dict[str, Any]:
    made = config(upstream, models={"an": "an/m", "*": "u0/*"}, retry={"attempts": 1}, limits={"request_body": 100_000})
    made["upstreams"]["an"] = {"protocol": "anthropic", "base_url": upstream.url, "api_key": {"value": "an-key"}}
    return made


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, upstream = tmp_path_factory.mktemp("socket"), Upstreams()
    made = document(upstream)
    made["auth"] = {"mode": "proxy_key", "keys": [{"value": KEY}]}
    with proxy(folder, made, arguments=("-w", str(folder / "flows"))) as link:
        yield House(link, upstream, folder)
    upstream.stop()


def chat(model: str, key: str = KEY, **more: Any) -> str:
    return json.dumps({"type": "chat", "api_key": key, "payload": {"model": model, "messages": MESSAGES, **more}})


def answer(ws: ClientConnection) -> list[Any]:
    """The chunks of one answer: each came in a frame of its own, and the last was [DONE]."""
    found = []
    while True:
        frame = ws.recv(10)
        assert isinstance(frame, str) and frame.startswith("data: ") and frame.endswith("\n\n"), frame
        assert frame.count("\n\n") == 1
        if frame == "data: [DONE]\n\n":
            return found
        found.append(json.loads(frame[6:]))


def text_of(chunks: list[Any]) -> str:
    return "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks if one["choices"])


def test_several_requests_on_one_connection_one_after_another(house: House) -> None:
    with house.connect() as ws:
        for model in ("first", "an", "third"):
            ws.send(chat(model, f"Bearer {KEY}" if model == "an" else KEY, stream=False))
        chunks = [answer(ws) for _ in range(3)]
    assert [text_of(one) for one in chunks] == ["Hello first", "Hello m", "Hello third"]
    assert chunks[1][0]["object"] == "chat.completion.chunk" and chunks[1][0]["model"] == "an"
    assert house.upstream.seen[-1].json["stream"] is True
    assert house.upstream.seen[-1].headers["authorization"] == "Bearer key-0"


def test_many_that_wait_and_are_refused_at_once(house: House) -> None:
    with house.connect() as ws:
        for n in range(20):
            ws.send(chat("x" if n % 10 == 9 else "busy", KEY if n % 2 else "sk-not-this-one"))
        found = [answer(ws) for _ in range(20)]
    assert ["error" if "error" in one[0] else text_of(one) for one in found].count("error") == 18
    assert {one[0]["error"]["code"] for one in found[::2]} == {"invalid_api_key"}


WRONG = [
    ("junk", "Invalid message format"), ("[1]", "Invalid message format"), ("{}", "Unknown message type: None"),
    ('{"type": "dance"}', "Unknown message type: dance"), ('{"type": "chat"}', "Missing required fields"),
    ('{"type": "chat", "api_key": "k", "payload": {}}', "Missing required fields"),
    ('{"type": "chat", "payload": {"model": "m"}}', "Missing required fields"),
    ('{"type": "chat", "api_key": "a\\r\\nb: c", "payload": {"model": "m"}}', "api_key must be a string"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "said"), WRONG)
def test_a_wrong_message_is_told_so_and_the_connection_stays(house: House, message: str, said: str) -> None:
    with house.connect() as ws:
        ws.send(message)
        error = json.loads(ws.recv(10))["error"]
        assert error["message"].startswith(said) and error["timestamp"]
        ws.send(chat("after"))
        assert text_of(answer(ws)) == "Hello after"


@pytest.mark.parametrize(("model", "said"), [("busy", "later"), ("dies", "closed the connection")])
def test_an_upstreams_error_is_a_frame(house: House, model: str, said: str) -> None:
    with house.connect() as ws:
        ws.send(chat(model))
        error = answer(ws)[-1]["error"]
        assert said in error["message"] and error["type"]
        ws.send(chat("after"))
        assert text_of(answer(ws)) == "Hello after"


@pytest.mark.parametrize("kindly", [True, False])
def test_a_client_that_leaves_ends_its_upstream(house: House, kindly: bool) -> None:
    house.upstream.let_go.clear()
    house.upstream.reached.clear()
    ws = house.connect()
    ws.send(chat("endless"))
    assert ws.recv(10) and house.upstream.reached.wait(5)
    if kindly:
        ws.close()
    else:
        ws.socket.shutdown(socket.SHUT_RDWR)
    assert house.upstream.let_go.wait(5)


def test_too_much_ends_the_connection(house: House) -> None:
    for messages, code in (["x" * 200_000], 1009), ([chat("endless")] + [chat("x")] * 40, 1013):
        with house.connect() as ws, pytest.raises(ConnectionClosed) as closed:
            for message in messages:
                ws.send(message)
            while True:
                ws.recv(10)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == code


def test_pings_are_answered_also_while_it_streams(house: House) -> None:
    with house.connect() as ws:
        ws.send(chat("endless"))
        assert ws.recv(10)
        assert ws.ping(b"x").wait(5)


def test_what_is_no_websocket_is_refused(house: House, tmp_path: Path) -> None:
    plain = httpx.get(f"{house.link.url}/v1/ws")
    assert plain.status_code == 426 and plain.json()["error"]["message"]
    with pytest.raises(InvalidStatus) as refused:
        connect(house.place.replace("/v1/ws", "/namespaces/none/v1/ws"))
    assert refused.value.response.status_code == 404
    with proxy(tmp_path, document(house.upstream)) as link:
        with pytest.raises(InvalidStatus) as foreign:
            connect(f"ws://127.0.0.1:{link.port}/v1/ws", origin="https://evil.example")  # type: ignore[arg-type]
        assert foreign.value.response.status_code == 403
        with connect(f"ws://127.0.0.1:{link.port}/v1/ws") as ws:  # and without a key, where none is needed
            ws.send(json.dumps({"type": "chat", "payload": {"model": "open", "messages": MESSAGES}}))
            assert text_of(answer(ws)) == "Hello open"


def test_a_key_of_the_upgrade_serves_messages_without_one(house: House) -> None:
    with house.connect(additional_headers={"authorization": f"Bearer {KEY}"}) as ws:
        ws.send(chat("m", ""))
        assert text_of(answer(ws)) == "Hello m"


def test_each_request_is_a_flow_without_the_key(house: House) -> None:
    with house.connect() as ws:
        ws.send(chat("told-apart"))
        answer(ws)
    end = time.monotonic() + 5
    while True:
        with (house.folder / "flows").open("rb") as file:
            flows = [*mitm_io.FlowReader(file).stream()]
        records = [flow.metadata["llm_link"] for flow in flows if "llm_link" in flow.metadata]
        mine = [record for record in records if record["client"]["model"] == "told-apart"]
        if mine and any(flow.websocket for flow in flows if hasattr(flow, "websocket")):
            break
        assert time.monotonic() < end
    assert mine[0]["status"] == 200 and mine[0]["attempts"][0]["upstream"] == "u0"
    assert KEY.encode() not in (house.folder / "flows").read_bytes() and KEY not in house.link.log
