"""The gateway in a real mitmdump: attempts, failover, timers, faults, credentials. The upstream is scripted."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli
import httpx
import pytest
import zstandard
from mitmproxy import io as mitm_io

from tests.harness import Conn, Proxy, Seen, Upstream, free_port, proxy, serving

ASK = {"model": "say", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
KEY = "client-secret-123"


def chat_chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
    body = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "x",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }
    return f"data: {json.dumps(body)}\n\n"


def chat_text(*texts: str) -> list[str]:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    last = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "choices": [], "usage": usage}
    return [
        chat_chunk({"role": "assistant", "content": ""}),
        *(chat_chunk({"content": text}) for text in texts),
        chat_chunk({}, "stop"),
        f"data: {json.dumps(last)}\n\n",
        "data: [DONE]\n\n",
    ]


def say(conn: Conn, seen: Seen) -> None:
    if seen.json.get("stream"):
        conn.stream(headers={"x-ratelimit-limit-requests": "60"})
        for chunk in chat_text("Hel", "lo"):
            conn.chunk(chunk)
        conn.end()
        return
    message = {"role": "assistant", "content": "Hello"}
    conn.json(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "x",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
        }
    )


def refuse(conn: Conn, seen: Seen) -> None:
    conn.json({"error": {"message": "overloaded", "type": "server_error", "code": None}}, 503)


def limited(conn: Conn, seen: Seen) -> None:
    error = {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}
    conn.json({"error": error}, 429, {"retry-after": "46"})


def hang(conn: Conn, seen: Seen) -> None:
    time.sleep(3)
    conn.close()


def close_early(conn: Conn, seen: Seen) -> None:
    conn.close()


def error_first(conn: Conn, seen: Seen) -> None:
    conn.stream()
    conn.chunk('data: {"error":{"message":"Rate limit","type":"rate_limit_error","code":"rate_limit_exceeded"}}\n\n')
    conn.end()


def die_in_stream(conn: Conn, seen: Seen) -> None:
    conn.stream()
    for chunk in chat_text("Once", " upon")[:3]:
        conn.chunk(chunk)
    conn.chunk(chat_chunk({"content": " a"})[:20])
    conn.close()


def lie_about_length(conn: Conn, seen: Seen) -> None:
    conn.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{\"id\":")
    conn.close()


def no_http(conn: Conn, seen: Seen) -> None:
    conn.raw(b"\x00\x01 nonsense\r\n\r\n")
    conn.close()


def html(conn: Conn, seen: Seen) -> None:
    conn.whole(b"<html><body><h1>Bad gateway</h1></body></html>", 502, {"content-type": "text/html"})


def silent_middle(conn: Conn, seen: Seen) -> None:
    """Begins, falls silent for 1.6 seconds, goes on."""
    conn.stream()
    chunks = chat_text("one", "two")
    for chunk in chunks[:2]:
        conn.chunk(chunk)
    time.sleep(1.6)
    for chunk in chunks[2:]:
        conn.chunk(chunk)
    conn.end()


def late(conn: Conn, seen: Seen) -> None:
    time.sleep(1.1)
    say(conn, seen)


def late_error(conn: Conn, seen: Seen) -> None:
    time.sleep(0.8)
    limited(conn, seen)


def silent_for_ever(conn: Conn, seen: Seen) -> None:
    conn.stream()
    conn.chunk(chat_text("one")[0])
    conn.chunk(chat_text("one")[1])
    time.sleep(4)
    conn.close()


def endless(conn: Conn, seen: Seen) -> None:
    conn.stream()
    conn.chunk(chat_chunk({"role": "assistant", "content": ""}))
    while True:
        conn.chunk(chat_chunk({"content": "on and on "}))
        time.sleep(0.01)


def zipped(conn: Conn, seen: Seen) -> None:
    conn.whole(
        gzip.compress("".join(chat_text("zip")).encode()),
        headers={"content-type": "text/event-stream", "content-encoding": "gzip"},
    )


def counts(conn: Conn, seen: Seen) -> None:
    conn.json({"input_tokens": 4242} if seen.path.endswith("/messages/count_tokens?beta=true") else {}, 200)


def counts_not(conn: Conn, seen: Seen) -> None:
    conn.json({"type": "error", "error": {"type": "not_found_error", "message": "no such path"}}, 404)


def counts_limited(conn: Conn, seen: Seen) -> None:
    conn.json({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, 429)


SCRIPTS: dict[str, Callable[[Conn, Seen], None]] = {
    f.__name__: f
    for f in (
        say, refuse, limited, hang, close_early, error_first, die_in_stream, lie_about_length, no_http, html,
        silent_middle, silent_for_ever, late, late_error, endless, zipped,
        counts, counts_not, counts_limited,
    )
}


def play(conn: Conn, seen: Seen) -> None:
    script = SCRIPTS.get(seen.json["model"])
    if script is None:
        conn.json({"error": {"message": "no such model", "type": "invalid_request_error"}}, 404)
    else:
        script(conn, seen)


def settings(upstream: Upstream) -> dict[str, Any]:
    one = {"protocol": "openai-chat", "base_url": upstream.url + "/v1", "api_key": {"value": "upstream-key"}}
    timeout = {"connect": 1, "first_byte": 0.5, "idle": 2.5}
    return {
        "auth": {"mode": "none"},
        "upstreams": {
            "u": {**one, "timeout": timeout, "headers": {"x-team": "blue"}},
            "closed": {**one, "base_url": "http://127.0.0.1:9/v1"},
            "claude": {"protocol": "anthropic", "base_url": upstream.url, "api_key": {"value": "upstream-key"}},
        },
        "models": {
            **{f"first-{name}": [f"u/{name}", "u/say"] for name in SCRIPTS},
            "first-closed": ["closed/x", "u/say"],
            "closed": "closed/x",
            "tuned": {"target": "u/say", "params": {"update": {"temperature": 0.25}, "delete": ["top_p"]}},
            "*": "u/*",
        },
        "retry": {"attempts": 2, "max_wait": 0, "cooldown": 0},
        "limits": {"request_body": "1MiB", "capture": "64KiB"},
        "keepalive": 0.5,
    }


upstream = serving(play)


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Proxy]:
    tmp = tmp_path_factory.mktemp("gateway")
    with proxy(tmp, settings(upstream), arguments=("-w", str(tmp / "flows.mitm"))) as running:
        yield running


def ask(link: Proxy, model: str, stream: bool = False, **more: Any) -> httpx.Response:
    body = {**ASK, "model": model, "stream": stream, **more}
    return httpx.post(f"{link.url}/v1/messages", json=body, headers={"x-api-key": KEY}, timeout=10)


def chat(link: Proxy, model: str, stream: bool = False, **more: Any) -> httpx.Response:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi"}], **more}
    return httpx.post(
        f"{link.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=10
    )


def events(response: httpx.Response) -> list[str]:
    return [line[7:] for line in response.text.split("\n") if line.startswith("event: ")]


# ---------------------------------------------------------------------------------------------- good answers


def test_a_whole_answer_is_translated(link: Proxy, upstream: Upstream) -> None:
    response = ask(link, "say")
    body = response.json()
    assert response.status_code == 200 and body["type"] == "message" and body["model"] == "say"
    assert body["content"] == [{"type": "text", "text": "Hello"}]
    assert body["usage"]["input_tokens"] == 9 and body["usage"]["output_tokens"] == 2
    assert response.headers["x-llm-link-upstream"] == "u/say"
    assert response.headers["x-llm-link-attempts"] == "1"
    assert response.headers["x-llm-link-request-id"]
    seen = upstream.seen[-1]
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == "Bearer upstream-key"
    assert seen.headers["x-team"] == "blue" and seen.headers["host"] == f"127.0.0.1:{upstream.port}"
    assert "x-api-key" not in seen.headers and KEY not in str(seen)


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
@pytest.mark.parametrize("stream", [True, False])
def test_an_ollama_client_that_loads_a_model_is_answered_here(
    link: Proxy, upstream: Upstream, path: str, stream: bool
) -> None:
    asked = len(upstream.seen)
    response = httpx.post(link.url + path, json={"model": "say", "stream": stream, "keep_alive": "5m"}, timeout=10)
    (line,) = response.text.splitlines()
    body = json.loads(line)
    assert response.status_code == 200 and body["done"] is True and body["done_reason"] == "load"
    assert body["model"] == "say" and (body.get("response") == "" or body["message"]["content"] == "")
    assert len(upstream.seen) == asked and "x-llm-link-attempts" not in response.headers


def test_a_streamed_answer_is_translated(link: Proxy) -> None:
    response = ask(link, "say", stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["anthropic-ratelimit-requests-limit"] == "60"
    names = events(response)
    assert names[0] == "message_start" and names[-1] == "message_stop" and names.count("message_delta") == 1
    assert '"Hel"' in response.text and '"lo"' in response.text


def test_the_same_protocol_passes_bytes_through(link: Proxy, upstream: Upstream) -> None:
    body = b'{ "model" : "say",\n "messages":[{"role":"user","content":"Hi"}], "future": {"a": [1.0]} , "stream":true}'
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", "x-app": "cli", "cookie": "a=b"}
    response = httpx.post(f"{link.url}/v1/chat/completions", content=body, headers=headers)
    assert response.content == "".join(chat_text("Hel", "lo")).encode()
    seen = upstream.seen[-1]
    assert seen.body == body
    assert seen.headers["x-app"] == "cli" and "cookie" not in seen.headers and "x-llm-link-upstream" in response.headers


def test_params_change_the_wire(link: Proxy, upstream: Upstream) -> None:
    assert chat(link, "tuned", temperature=1, top_p=0.5).status_code == 200
    assert upstream.seen[-1].json["temperature"] == 0.25 and "top_p" not in upstream.seen[-1].json
    assert ask(link, "tuned").status_code == 200
    assert upstream.seen[-1].json["temperature"] == 0.25


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("gzip", gzip.compress),
        ("br", brotli.compress),
        ("zstd", lambda data: zstandard.ZstdCompressor().compress(data)),
    ],
)
def test_request_bodies_may_be_compressed(link: Proxy, name: str, pack: Callable[[bytes], bytes]) -> None:
    response = httpx.post(
        f"{link.url}/v1/messages", content=pack(json.dumps(ASK).encode()), headers={"content-encoding": name}
    )
    assert response.status_code == 200, response.text


def test_a_compressed_stream_is_read(link: Proxy) -> None:
    response = ask(link, "zipped", stream=True)
    assert '"zip"' in response.text and events(response)[-1] == "message_stop"
    assert "content-encoding" not in response.headers


# ---------------------------------------------------------------------------------------------- failover


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "bad", ["refuse", "limited", "hang", "close_early", "error_first", "no_http", "html", "closed"]
)
def test_a_bad_target_is_followed_by_the_next(link: Proxy, bad: str, stream: bool) -> None:
    response = ask(link, f"first-{bad}", stream=stream)
    assert response.status_code == 200, response.text
    assert response.headers["x-llm-link-upstream"] == "u/say" and response.headers["x-llm-link-attempts"] == "2"
    assert "Hello" in response.text if not stream else events(response)[-1] == "message_stop"


def test_a_connection_that_never_comes_is_given_up(tmp_path: Path, upstream: Upstream) -> None:
    with socket.socket() as full, contextlib.ExitStack() as held:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # the queue of a server that accepts nothing: more connections hang
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        doc = settings(upstream)
        base = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        doc["upstreams"]["full"] = {**doc["upstreams"]["u"], "base_url": base, "timeout": {"connect": 0.7}}
        doc["models"]["first-full"] = ["full/x", "u/say"]
        with proxy(tmp_path, doc) as running:
            began = time.monotonic()
            response = ask(running, "first-full")
            assert response.status_code == 200 and 0.6 < time.monotonic() - began < 3
            assert "cannot connect to upstream 'full': timed out" in running.log


def test_a_broken_whole_answer_is_followed_by_the_next(link: Proxy) -> None:
    assert ask(link, "first-lie_about_length").headers["x-llm-link-attempts"] == "2"


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("model", "status", "kind"),
    [
        ("refuse", 529, "overloaded_error"),
        ("limited", 429, "rate_limit_error"),
        ("error_first", 429, "rate_limit_error"),
        ("hang", 504, "timeout_error"),
        ("close_early", 500, "api_error"),
        ("lie_about_length", 500, "api_error"),
        ("closed", 500, "api_error"),
    ],
)
def test_errors_have_the_clients_shape(link: Proxy, model: str, status: int, kind: str) -> None:
    response = ask(link, model, stream=True)
    assert response.status_code == status, response.text
    assert response.json()["type"] == "error" and response.json()["error"]["type"] == kind
    if model == "limited":
        assert response.headers["retry-after"] == "46"


@pytest.mark.parametrize(("ask_it", "marker"), [(ask, "event: error"), (chat, 'data: {"error"')])
def test_an_upstream_that_dies_in_the_stream(link: Proxy, ask_it: Callable[..., httpx.Response], marker: str) -> None:
    response = ask_it(link, "die_in_stream", stream=True)
    assert response.status_code == 200 and "Once" in response.text and " upon" in response.text
    assert marker in response.text.split("upon")[1]
    assert response.text.endswith("\n\n") and "[DONE]" not in response.text and "message_stop" not in response.text


def test_an_upstream_that_falls_silent_for_ever(link: Proxy) -> None:
    response = ask(link, "silent_for_ever", stream=True)
    assert '"one"' in response.text and events(response)[-1] == "error"
    assert "timeout_error" in response.text


def test_silence_in_a_stream_brings_keep_alives(link: Proxy) -> None:
    response = ask(link, "silent_middle", stream=True)
    names = events(response)
    assert 2 <= names.count("ping") <= 5 and names[-1] == "message_stop"
    response = chat(link, "silent_middle", stream=True)
    assert 2 <= sum(line.startswith(":") for line in response.text.split("\n")) <= 4 and "two" in response.text


@pytest.mark.parametrize(("ask_it", "alive"), [(ask, "event: ping\n"), (chat, ":")])
def test_an_early_head_keeps_the_client(
    tmp_path: Path, upstream: Upstream, ask_it: Callable[..., httpx.Response], alive: str
) -> None:
    doc = {**settings(upstream), "keepalive_early": 0.3, "keepalive": 0.3, "retry": {"attempts": 3}}
    doc["upstreams"]["u"]["timeout"] = {"first_byte": 1.5}
    with proxy(tmp_path, doc) as running:
        good = ask_it(running, "late", stream=True)
        assert good.status_code == 200 and good.text.startswith(alive) and good.text.count("\n" + alive) >= 1
        assert '"Hel"' in good.text and "x-llm-link-upstream" in good.headers
        count = len(upstream.seen)
        bad = ask_it(running, "late_error", stream=True)
        assert bad.status_code == 200 and "rate_limit_error" in bad.text and len(upstream.seen) == count + 1
        never = ask_it(running, "hang", stream=True)
        assert never.status_code == 200 and "did not answer" in never.text
        assert ask_it(running, "late").status_code == 200  # whole answers wait
        assert "Traceback" not in running.log


def test_a_client_that_hangs_up_ends_the_upstream(link: Proxy, upstream: Upstream) -> None:
    upstream.gone.clear()
    with httpx.stream("POST", f"{link.url}/v1/messages", json={**ASK, "model": "endless", "stream": True}) as response:
        assert next(response.iter_bytes())
    assert upstream.gone.wait(3), "the upstream's stream went on"
    link.wait_log("cancelled by the client")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"model": "say", "messages": [', 400),
        (b"[]", 400),
        (b"", 400),
        (b'{"model": "say", "max_tokens": "many", "messages": []}', 400),
        (b'{"model": 7, "max_tokens": 5, "messages": []}', 400),
        (b'{"model": "../../etc", "max_tokens": 5, "messages": [{"role":"user","content":"x"}]}', 400),
        (b"\xff\xfe\x00", 400),
        (b"[" * 100_000, 400),
    ],
)
def test_bad_bodies_are_refused(link: Proxy, upstream: Upstream, body: bytes, status: int) -> None:
    count = len(upstream.seen)
    response = httpx.post(f"{link.url}/v1/messages", content=body, headers={"content-type": "application/json"})
    assert response.status_code == status and response.json()["error"]["type"] == "invalid_request_error"
    assert len(upstream.seen) == count


def test_large_bodies_are_refused_while_they_come(link: Proxy) -> None:
    for content in (b"x" * (3 << 20), (b"y" * 65536 for _ in range(48))):
        response = httpx.post(f"{link.url}/v1/messages", content=content, timeout=10)
        assert response.status_code == 413 and response.json()["error"]["type"] == "request_too_large"
    bomb = zstandard.ZstdCompressor().compress(b"a" * (50 << 20))
    response = httpx.post(f"{link.url}/v1/messages", content=bomb, headers={"content-encoding": "zstd"})
    assert response.status_code == 413
    assert ask(link, "say").status_code == 200


def test_bytes_that_are_no_http_get_a_plain_400(link: Proxy) -> None:
    for junk in (b"\x00\x01\x02\x03 junk\r\n\r\n", b"\xffGET / HTTP/1.1\r\n\r\n", b"GET /\r\n\r\n", b"SSH-2.0-x\r\n"):
        with socket.create_connection(("127.0.0.1", link.port), 5) as sock:
            sock.sendall(junk)
            answer = b"".join(iter(lambda sock=sock: sock.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 400"), answer[:80]


def test_unknown_models_and_paths(link: Proxy) -> None:
    response = httpx.post(f"{link.url}/v1/nothing", json={})
    assert response.status_code == 404 and response.json()["error"]["type"] == "invalid_request_error"
    assert httpx.get(f"{link.url}/v1/messages").status_code == 404
    assert httpx.post(f"{link.url}/namespaces/nope/v1/messages", json=ASK).status_code == 404
    assert httpx.get(f"{link.url}/").text == "Ollama is running"
    assert httpx.head(f"{link.url}/api/hello").status_code == 200
    assert httpx.get(f"{link.url}/health").json()["status"] == "ok"


def test_credentials_that_differ_and_foreign_origins(link: Proxy) -> None:
    both = {"x-api-key": "a", "authorization": "Bearer b"}
    assert httpx.post(f"{link.url}/v1/messages", json=ASK, headers=both).status_code == 400
    evil = {"origin": "https://evil.example"}
    assert httpx.post(f"{link.url}/v1/messages", json=ASK, headers=evil).status_code == 403
    assert httpx.post(f"{link.url}/v1/messages", json=ASK, headers={"host": "evil.example"}).status_code == 403


def test_count_tokens_errs_high(link: Proxy) -> None:
    body = {"model": "say", "messages": [{"role": "user", "content": "word " * 200}]}
    response = httpx.post(f"{link.url}/v1/messages/count_tokens", json=body)
    assert response.status_code == 200 and 200 <= response.json()["input_tokens"] <= 600


def test_an_upstream_that_counts_tokens_is_asked(link: Proxy, upstream: Upstream) -> None:
    body = {"model": "claude/counts", "messages": [{"role": "user", "content": "word " * 200}]}

    def count(model: str) -> httpx.Response:
        path = f"{link.url}/v1/messages/count_tokens?beta=true"
        return httpx.post(path, json={**body, "model": model}, headers={"anthropic-version": "2023-06-01"})

    assert count("claude/counts").json() == {"input_tokens": 4242}
    assert upstream.seen[-1].json == {**body, "model": "counts"}
    estimated = count("claude/counts_not")
    assert estimated.status_code == 200 and estimated.json()["input_tokens"] >= 200
    assert estimated.headers["x-llm-link-warnings"] == "input_tokens=estimated"
    assert count("claude/counts_limited").status_code == 429


def test_models(link: Proxy) -> None:
    names = [row["id"] for row in httpx.get(f"{link.url}/v1/models").json()["data"]]
    assert "first-say" in names and "tuned" in names
    response = httpx.get(f"{link.url}/v1/models", headers={"anthropic-version": "2023-06-01"})
    assert response.json()["data"][0]["type"] == "model" and response.json()["has_more"] is False
    assert httpx.get(f"{link.url}/v1/models/tuned").json()["id"] == "tuned"
    assert httpx.get(f"{link.url}/v1/models/any/other").json()["id"] == "any/other"  # the route `*` takes any name
    assert httpx.get(f"{link.url}/v1/models/a/..%2Fb").status_code == 400


# ---------------------------------------------------------------------------------------------- config and records


def test_the_config_is_reloaded(tmp_path: Path, upstream: Upstream) -> None:
    doc = settings(upstream)
    with proxy(tmp_path, doc) as running:
        assert ask(running, "fresh").status_code != 200
        assert running.config is not None
        running.config.write_text("upstreams: {u: {protocol: nonsense}}\n", "utf-8")
        running.wait_log("upstreams.u.protocol")
        assert ask(running, "say").status_code == 200
        doc["models"] = {"fresh": "u/say"}
        running.config.write_text(json.dumps(doc), "utf-8")
        running.wait_log("the changed config is in use")
        assert ask(running, "fresh").status_code == 200


def test_requests_during_the_start_do_no_harm(tmp_path: Path, upstream: Upstream) -> None:
    port, stop, good = free_port(), threading.Event(), []

    def hammer() -> None:
        while not stop.is_set():
            try:
                good.append(httpx.post(f"http://127.0.0.1:{port}/v1/messages", json=ASK, timeout=5).status_code)
            except httpx.HTTPError:
                continue

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        with proxy(tmp_path, settings(upstream), port=port) as running:
            time.sleep(0.3)
            stop.set()
            for thread in threads:
                thread.join()
            assert "Traceback" not in running.log
    finally:
        stop.set()
    assert 200 in good and set(good) == {200}


def test_a_bad_config_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="polcy"), proxy(tmp_path, {"polcy": "strict"}):
        pass


def test_zero_config_takes_the_reverse_target(tmp_path: Path, upstream: Upstream) -> None:
    with proxy(tmp_path, None, reverse=upstream.url) as running:
        assert ask(running, "say").json()["content"][0]["text"] == "Hello"
        assert upstream.seen[-1].headers["authorization"] == f"Bearer {KEY}"  # client_key, in the upstream's form


def test_records_and_secrets(tmp_path: Path, upstream: Upstream) -> None:
    flows = tmp_path / "flows.mitm"
    with proxy(tmp_path, settings(upstream), arguments=("-w", str(flows), "--flow-detail", "4")) as running:
        assert ask(running, "first-refuse", stream=True).status_code == 200
        assert chat(running, "die_in_stream", stream=True).status_code == 200
        assert httpx.post(f"{running.url}/v1/messages?key={KEY}", json={**ASK, "model": "limited"}).status_code == 429
    saved = flows.read_bytes()
    assert KEY.encode() not in saved and b"upstream-key" not in saved
    assert KEY not in running.log and "upstream-key" not in running.log
    with flows.open("rb") as file:
        records = [
            flow.metadata["llm_link"] for flow in mitm_io.FlowReader(file).stream() if "llm_link" in flow.metadata
        ]
    first, died, limited_one = records
    assert [a["model"] for a in first["attempts"]] == ["refuse", "say"] and first["attempts"][0]["error"]["status"]
    assert first["usage"]["input"] == 9 and first["status"] == 200 and first["client"]["protocol"] == "anthropic"
    assert first["attempts"][1]["request"]["url"].endswith("/v1/chat/completions")
    assert b'"model":"say"' in first["attempts"][1]["request"]["body"].replace(b" ", b"")
    assert b"[DONE]" in first["attempts"][1]["response"]["body"] and b"message_stop" in first["sent"]["body"]
    assert died["error"]["kind"] == "disconnected" and limited_one["error"]["retry_after"] == 46
