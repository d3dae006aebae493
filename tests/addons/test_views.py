"""What mitmweb shows: in a real mitmweb while an answer streams and after it, and from a saved flow file."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import contentviews, http
from mitmproxy import io as mitm_io

from addons.views import VIEWS
from tests.harness import Conn, Proxy, Seen, Upstream, config, free_port, proxy

ASK = {
    "model": "m",
    "max_tokens": 99,
    "stream": True,
    "top_k": 5,
    "system": "Be terse.",
    "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"city": "Oslo"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "rain"}]},
    ],
    "tools": [{"name": "look", "description": "Looks out", "input_schema": {"type": "object"}}],
}


class Slow:
    """Streams a thought and a word, waits to be let go, then ends."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, conn: Conn, seen: Seen) -> None:
        conn.stream()
        for delta in ({"role": "assistant", "content": ""}, {"reasoning_content": "Hmm, rain."}, {"content": "It "}):
            conn.chunk(_chunk(delta))
        time.sleep(0.6)  # the view is refreshed at most twice a second
        conn.chunk(_chunk({"content": "pours"}))
        self.go.wait(20)
        conn.chunk(_chunk({"content": " down."}))
        usage = {"prompt_tokens": 31, "completion_tokens": 7, "total_tokens": 38}
        conn.chunk(_chunk({}, "stop") + _chunk(None, usage=usage) + "data: [DONE]\n\n")
        conn.end()


def _chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> str:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}] if delta is not None else []
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": choices, **more}
    return f"data: {json.dumps(body)}\n\n"


@pytest.fixture
def slow() -> Slow:
    return Slow()


def _until(check: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20
    while not check():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def _web(tmp: Path, port: int) -> tuple[str, ...]:
    return (
        "--no-web-open-browser", "--web-host", "127.0.0.1", "--web-port", str(port), "--set", "web_password=pass",
        "-w", str(tmp / "flows.mitm"),
    )  # fmt: skip


def test_mitmweb_shows_the_exchange_while_it_streams(tmp_path: Path, slow: Slow) -> None:
    upstream, port = Upstream(slow), free_port()
    with proxy(tmp_path, config(upstream), program="mitmweb", arguments=_web(tmp_path, port)) as link:
        web = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"authorization": "Bearer pass"}, timeout=5)
        client = threading.Thread(target=lambda: _stream(link))
        client.start()

        def flow() -> str | None:
            """The exchange's id, once its answer has begun: before that mitmweb answers 500 for its content."""
            flows = web.get("/flows").json()
            return next((f["id"] for f in flows if f["request"]["path"] == "/v1/messages" and f.get("response")), None)

        def listed() -> dict[str, Any]:
            return next(f for f in web.get("/flows").json() if f["id"] == flow())

        def view(message: str, name: str = "auto") -> str:
            shown = web.get(f"/flows/{flow()}/{message}/content/{name}.json")
            return str(shown.raise_for_status().json()["text"])

        _until(lambda: flow() is not None, "the flow never came up")
        _until(lambda: "It pours" in view("response"), "the text so far is not shown")
        running = view("response")
        assert "m → u0/model-0" in (comment := listed()["comment"]) and "running" in comment
        assert "Hmm, rain." in running and "running" in running and "down." not in running
        slow.go.set()
        client.join(10)
        _until(lambda: "It pours down." in view("response"), "the end is not shown")
        assert (ended := listed())["marked"] == "✂" and "lossy: top_k" in ended["comment"]
        assert "31 + 7 tokens" in ended["comment"] and "running" not in ended["comment"]
        done, asked = view("response"), view("request")
        assert "31 input" in done and "u0/model-0 (openai-chat): 200" in done
        assert "top_k" in done and "dropped" in done
        for text in ("Be terse.", "Weather?", "call look [t1]", '{"city":"Oslo"}', "result [t1]", "rain", "Looks out"):
            assert text in asked, text
        sent = view("request", "LLM Upstream side")
        assert f"{upstream.url}/v1/chat/completions" in sent and '"tool_call_id": "t1"' in sent and "key-0" not in sent
        assert "data: [DONE]" in view("response", "LLM Upstream side")
    upstream.stop()


def _stream(link: Proxy) -> None:
    httpx.post(f"{link.url}/v1/messages", json=ASK, headers={"x-api-key": "k-client"}, timeout=60)


def test_a_saved_flow_shows_the_same(tmp_path: Path, slow: Slow) -> None:
    slow.go.set()
    upstream = Upstream(slow)
    flows = tmp_path / "flows.mitm"
    with proxy(tmp_path, config(upstream), arguments=("-w", str(flows))) as link:
        _stream(link)
    upstream.stop()
    with flows.open("rb") as file:
        loaded = [flow for flow in mitm_io.FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]
    flow = next(flow for flow in loaded if flow.request.path == "/v1/messages")
    shown = _show(flow)
    assert "It pours down." in shown["LLM Conversation response"] and "Be terse." in shown["LLM Conversation request"]
    assert "chat/completions" in shown["LLM Upstream side request"]
    assert "[DONE]" in shown["LLM Upstream side response"]


def _show(flow: http.HTTPFlow) -> dict[str, str]:
    out = {}
    for view in (view for view in VIEWS if view.name not in ("LLM Compare", "LLM Neutral")):  # of what is live
        for name, message in (("request", flow.request), ("response", flow.response)):
            assert message is not None
            metadata = contentviews.Metadata(flow=flow, http_message=message)
            out[f"{view.name} {name}"] = view.prettify(message.content or b"", metadata)
    return out
