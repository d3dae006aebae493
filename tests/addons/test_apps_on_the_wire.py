"""Which client a request is from: in the record and the log, and in how a translated answer is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import io as mitm_io

from tests.harness import Conn, Proxy, Seen, Upstream, proxy, serving

ZED = {"user-agent": "Zed/0.200.0 (linux; x86_64)"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": '{"zone": "UTC"}'}}


def script(conn: Conn, seen: Seen) -> None:
    if seen.path.endswith("/api/chat"):
        conn.stream(headers={"content-type": "application/x-ndjson"})
        conn.chunk('{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"raw"},')
        conn.chunk('"done":true,"done_reason":"stop"}\n')
        conn.end()
        return
    if not seen.json.get("stream"):
        message = {"role": "assistant", "content": "hello"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        conn.json({"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})
        return
    conn.stream()
    deltas: list[dict[str, Any]] = [{"role": "assistant"}, {"content": "hel"}, {"content": "lo"}]
    deltas.append({"tool_calls": [{"index": 0, **CALL}]})
    for delta in deltas:
        conn.chunk(f"data: {json.dumps({'id': 'c', 'choices': [{'index': 0, 'delta': delta}]})}\n\n")
    conn.chunk('data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n')
    conn.end()


upstream = serving(script)


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Proxy]:
    tmp = tmp_path_factory.mktemp("apps")
    config = {
        "auth": {"mode": "none"},
        "upstreams": {
            "chat": {"protocol": "openai-chat", "base_url": f"{upstream.url}/v1"},
            "ollama": {"protocol": "ollama", "base_url": upstream.url},
        },
        "models": {"m": "chat/m", "own": "ollama/m"},
        "logging": {"format": "json", "file": "log.jsonl"},
    }
    with proxy(tmp, config, arguments=("-w", str(tmp / "flows"))) as running:
        yield running


def asked(model: str = "m", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}


def lines(link: Proxy, headers: dict[str, str], **body: Any) -> list[dict[str, Any]]:
    answer = httpx.post(f"{link.url}/api/chat", json=asked(**body), headers=headers, timeout=20)
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.text.splitlines()]


def test_zed_gets_images_in_every_message(link: Proxy) -> None:
    for headers in (ZED, {"x-client": "zed.dev"}):
        streamed = lines(link, headers)
        assert len(streamed) > 3 and all(line["message"]["images"] is None for line in streamed)
        (whole,) = lines(link, headers, stream=False)
        assert whole["message"] == {"role": "assistant", "content": "hello", "images": None}


@pytest.mark.parametrize("headers", [{}, {**ZED, "x-client": "standard"}, {"user-agent": "ollama-python/0.6.3"}])
def test_others_do_not(link: Proxy, headers: dict[str, str]) -> None:
    assert not [line for line in lines(link, headers) if "images" in line["message"]]
    assert "images" not in lines(link, headers, stream=False)[0]["message"]


def test_the_upstream_is_not_told_and_nothing_counts_as_lost(link: Proxy, upstream: Upstream) -> None:
    answer = httpx.post(f"{link.url}/api/chat", json=asked(stream=False), headers=ZED, timeout=20)
    assert "images" not in answer.headers.get("x-llm-link-warnings", "") and b"images" not in upstream.seen[-1].body
    assert "images_null" not in link.log


def test_bytes_of_the_same_protocol_stay(link: Proxy) -> None:
    (line,) = lines(link, ZED, model="own")
    assert line["message"] == {"role": "assistant", "content": "raw"}


def test_zeds_tool_results_find_their_calls(link: Proxy, upstream: Upstream) -> None:
    """It names the tool and not the call."""
    call = {"function": {"name": "now", "arguments": {"zone": "UTC"}}}
    said = [
        {"role": "user", "content": "when"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_name": "now", "content": "noon"},
    ]
    body = {"model": "m", "messages": said, "stream": False}
    assert httpx.post(f"{link.url}/api/chat", json=body, headers=ZED, timeout=20).status_code == 200
    _, assistant, tool = upstream.seen[-1].json["messages"]
    assert tool["tool_call_id"] == assistant["tool_calls"][0]["id"] != ""


def test_the_record_and_the_log_name_the_client(link: Proxy) -> None:
    agents = {
        "claude-cli/2.1.328 (external, sdk-cli)": "claude-code",
        "codex_exec/0.169.0 (Debian 12.0.0; x86_64)": "codex-cli",
        "something/1": None,
    }
    before = len(records(link))
    for agent in agents:
        httpx.post(f"{link.url}/v1/chat/completions", json=asked(), headers={"user-agent": agent}, timeout=20)
    link.wait_log('"app": "codex-cli"')
    assert [record["client"]["app"] for record in records(link)[before:]] == list(agents.values())


def records(link: Proxy) -> list[dict[str, Any]]:
    path: Path = link.log_path.parent / "flows"
    with path.open("rb") as file:
        return [flow.metadata["llm_link"] for flow in mitm_io.FlowReader(file).stream() if "llm_link" in flow.metadata]
