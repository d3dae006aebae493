"""Choosing and cooling down through a real proxy: what one exchange learnt is known to the next."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from scripts.census import CENSUS
from tests.harness import Conn, Proxy, Seen, Upstream, free_port, proxy, serving

HELLO = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}
BROKEN = {"sick": (503, {}), "limited": (429, {"retry-after": "60"})}


def play(conn: Conn, seen: Seen) -> None:
    """A model says by its name what its upstream is like, `spent` is a key without money."""
    model = seen.json["model"]
    if model in BROKEN:
        status, headers = BROKEN[model]
        conn.json({"error": {"message": "not now"}}, status, headers)
    elif seen.headers["authorization"] == "Bearer spent":
        conn.json({"error": {"message": "no money", "code": "invalid_api_key"}}, 401)
    else:
        conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": model, **HELLO})
        if model == "closes":
            conn.close()


upstream = serving(play)


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Proxy]:
    one: dict[str, Any] = {"protocol": "openai-chat", "base_url": upstream.url + "/v1"}
    document = {
        "auth": {"mode": "none"},
        "upstreams": {
            "a": {**one, "api_key": {"value": "key-a"}},
            "b": {**one, "api_key": {"value": "key-b"}},
            "many": {**one, "api_keys": [{"value": "spent"}, {"value": "good"}]},
            "small": {**one, "api_key": {"value": "key-s"}, "limits": {"context_window": 2000}},
        },
        "models": {
            "sick": ["a/sick", "b/well"],
            "limited": ["a/limited", "b/well"],
            "turns": {"targets": ["a/one", "b/two"], "choose": "round_robin"},
            "keys": "many/well",
            "sized": ["small/well", "b/well"],
        },
        "retry": {"cooldown": 2, "max_wait": 0},
    }
    with proxy(tmp_path_factory.mktemp("failover"), document) as running:
        yield running


def ask(link: Proxy, model: str, text: str = "Hi") -> httpx.Response:
    body = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    return httpx.post(f"{link.url}/v1/messages", json=body, timeout=30)


def told(response: httpx.Response) -> tuple[int, str, str]:
    headers = response.headers
    return response.status_code, headers["x-llm-link-upstream"], headers["x-llm-link-attempts"]


def test_a_sick_target_is_left_alone_and_asked_again_later(link: Proxy) -> None:
    assert told(ask(link, "sick")) == (200, "b/well", "2")
    assert told(ask(link, "sick")) == (200, "b/well", "1"), "it cools down"
    time.sleep(2.2)
    assert told(ask(link, "sick")) == (200, "b/well", "2"), "it was probed"


def test_retry_after_outlasts_the_cool_down(link: Proxy) -> None:
    assert told(ask(link, "limited")) == (200, "b/well", "2")
    time.sleep(2.2)
    assert told(ask(link, "limited")) == (200, "b/well", "1")


def test_targets_take_turns(link: Proxy) -> None:
    assert [told(ask(link, "turns"))[1] for _ in range(4)] == ["a/one", "b/two"] * 2


def test_a_key_that_is_refused_is_followed_by_the_next_one(link: Proxy, upstream: Upstream) -> None:
    first, second = ask(link, "keys"), ask(link, "keys")
    assert told(first) == (200, "many/well", "2") and told(second)[0] == 200
    used = [seen.headers["authorization"] for seen in upstream.seen if seen.json["model"] == "well"][-3:]
    assert used[-1] == "Bearer good" and "spent" not in link.log


def test_a_prompt_too_long_for_the_first_goes_to_the_second(link: Proxy) -> None:
    assert told(ask(link, "sized")) == (200, "small/well", "1")
    assert told(ask(link, "sized", "word " * 3000)) == (200, "b/well", "1")


def test_a_connection_that_was_closed_while_idle_costs_nothing(tmp_path: Path) -> None:
    """Servers close connections that they think are idle; the next request may be on its way by then."""
    used: list[Conn] = []

    def script(conn: Conn, seen: Seen) -> None:
        used.append(conn)
        if used.count(conn) > 1:
            conn.close()
        else:
            conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": "m", **HELLO})

    server = Upstream(script)
    document = {
        "auth": {"mode": "none"},
        "upstreams": {"a": {"protocol": "openai-chat", "base_url": server.url + "/v1", "api_key": {"value": "k"}}},
        "models": {"m": "a/m"},
        "retry": {"attempts": 1},
    }
    body = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
    with proxy(tmp_path, document) as link, httpx.Client(timeout=30) as client:
        answers = [client.post(f"{link.url}/v1/messages", json=body) for _ in range(3)]
    server.stop()
    assert [told(answer) for answer in answers] == [(200, "a/m", "1")] * 3
    assert sorted(used.count(conn) for conn in {id(conn): conn for conn in used}.values()) == [1, 2, 2]


def test_a_target_that_comes_up_is_asked_again_on_the_same_connection(tmp_path: Path) -> None:
    """mitmproxy remembers for each client connection what could not be reached; here a new attempt is a new one."""
    server, port, no_tls = Upstream(play), free_port(), socket.create_server(("127.0.0.1", 0))
    Thread(target=refuse_tls, args=(no_tls,), daemon=True).start()
    one = {"protocol": "openai-chat", "api_key": {"value": "k"}}
    document = {
        "auth": {"mode": "none"},
        "upstreams": {
            "late": {**one, "base_url": f"http://127.0.0.1:{port}/v1"},
            "tls": {**one, "base_url": f"https://127.0.0.1:{no_tls.getsockname()[1]}/v1"},
            "b": {**one, "base_url": server.url + "/v1"},
        },
        "models": {"m": ["late/well", "tls/well", "b/well"], "alone": "late/well", "closes": "b/closes"},
        "retry": {"cooldown": 0, "max_wait": 5},
    }
    body = {"max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
    script = tmp_path / "census.py"
    script.write_text(CENSUS)
    with proxy(tmp_path, document, arguments=("-s", str(script))) as link, httpx.Client(timeout=30) as client:

        def told_of(model: str) -> tuple[int, str, str]:
            return told(client.post(f"{link.url}/v1/messages", json={**body, "model": model}))

        assert [told_of("m") for _ in range(6)] == [(200, "b/well", "3")] * 6
        assert [told_of("closes") for _ in range(6)] == [(200, "b/closes", "1")] * 6
        assert client.get(f"{link.url}/census").json()["HttpClient"] <= 3, "what was lost is kept"
        with ThreadPoolExecutor() as later:
            up = later.submit(comes_up, port)
            assert told_of("alone")[:2] == (200, "late/well")
            assert told_of("m") == (200, "late/well", "1")
            up.result().stop()
    server.stop()
    no_tls.close()


def refuse_tls(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            sock, _ = server.accept()
            sock.sendall(b"no TLS here")
            sock.close()


def comes_up(port: int) -> Upstream:
    """An upstream that was not there at the first attempt."""
    time.sleep(0.15)
    return Upstream(play, port=port)
