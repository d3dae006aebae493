"""Replay in a real mitmweb, by its API: what goes upstream again, with today's config, and what is shown of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from mitmproxy import io as mitm_io

from tests.addons.test_intercept import TlsHost, client, official, turned
from tests.harness import Proxy, Upstream, config, proxy, says_hello, serving
from tests.mitmweb import Web, ended, mitmweb, until

KEY = "sk-client-0123456789"
ASK = {
    "model": "m",
    "max_tokens": 50,
    "system": "Be terse.",
    "messages": [{"role": "user", "content": "Hi"}],
    "tools": [{"name": "look", "description": "Looks out", "input_schema": {"type": "object"}}],
}


def ask(link: Proxy, **more: Any) -> httpx.Response:
    body = {**ASK, **more}
    return httpx.post(f"{link.url}/v1/messages", json=body, headers={"x-api-key": KEY}, timeout=10)


upstream = serving(says_hello)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Web]:
    settings = config(upstream, auth={"mode": "proxy_key", "keys": [{"value": KEY}]})
    with mitmweb(tmp_path_factory.mktemp("web"), settings) as web:
        yield web


@pytest.fixture
def web(shared: Web, upstream: Upstream) -> Web:
    shared.clear()
    upstream.seen.clear()
    return shared


def replayed(web: Web) -> None:
    flow = web.flow(when=ended)
    web.call("POST", f"/flows/{flow['id']}/replay")
    web.flow(when=lambda now: now["is_replay"] == "request" and ended(now))


@pytest.mark.parametrize("stream", [False, True])
def test_a_replay_is_the_same_to_the_byte_upstream(web: Web, upstream: Upstream, stream: bool) -> None:
    assert ask(web.link, stream=stream).status_code == 200
    replayed(web)
    first, again = upstream.seen
    assert (again.method, again.path, again.headers, again.body) == (
        first.method, first.path, first.headers, first.body
    )  # fmt: skip
    assert first.headers["authorization"] == "Bearer key-0"
    flow = web.flow()
    assert flow["response"]["status_code"] == 200
    assert "Hello" in web.body(flow, "response").decode()
    assert "u0/model-0 (openai-chat): 200" in web.view(flow, "response")


def test_a_replay_is_an_exchange_of_its_own_and_names_what_it_replays(web: Web) -> None:
    ask(web.link)
    web.flow(when=ended)
    first = web.saved()[0].metadata["llm_link"]
    replayed(web)
    flow = web.saved()[0]
    record = flow.metadata["llm_link"]
    assert record["id"] != first["id"] and first["replays"] is None
    unchanged = dict.fromkeys(("beside", "target", "model", "policy"), "")
    assert record["replays"] == {"flow": flow.id, "id": first["id"], **unchanged}
    assert record["client"] == first["client"] and record["client"]["credential"] == "x-api-key"
    assert len(record["attempts"]) == 1 and record["status"] == 200
    assert KEY not in repr(flow.get_state()) and flow.request.headers["x-api-key"] == "***"


def test_an_edit_before_the_replay_counts(web: Web, upstream: Upstream) -> None:
    ask(web.link)
    flow = web.flow(when=ended)
    body = json.dumps({**ASK, "messages": [{"role": "user", "content": "Grüße"}]}, ensure_ascii=False)
    web.call("PUT", f"/flows/{flow['id']}", json={"request": {"content": body}})
    replayed(web)
    assert upstream.seen[1].json["messages"][-1] == {"role": "user", "content": "Grüße"}
    assert upstream.seen[1].headers["content-length"] == str(len(upstream.seen[1].body))


def test_a_bad_edit_is_answered_in_the_clients_shape(web: Web, upstream: Upstream) -> None:
    ask(web.link)
    flow = web.flow(when=ended)
    web.call("PUT", f"/flows/{flow['id']}", json={"request": {"content": "{"}})
    web.call("POST", f"/flows/{flow['id']}/replay")
    again = web.flow(when=lambda now: now["is_replay"] and ended(now))
    assert again["response"]["status_code"] == 400 and len(upstream.seen) == 1
    assert json.loads(web.body(again, "response"))["error"]["type"] == "invalid_request_error"


def test_several_replays_wait_for_each_other(web: Web, upstream: Upstream) -> None:
    for text in ("one", "two", "three"):
        ask(web.link, system=text)
    web.flow(2, when=ended)
    upstream.seen.clear()
    web.command("replay.client", "~u messages")
    web.flow(2, when=lambda now: now["is_replay"] and ended(now))
    assert [seen.json["messages"][0]["content"] for seen in upstream.seen] == ["one", "two", "three"]
    until(lambda: web.command("replay.client.count") == 0, "the queue is never empty")


def test_todays_config_decides(tmp_path: Path, upstream: Upstream) -> None:
    other = Upstream(says_hello)
    with mitmweb(tmp_path, config(upstream)) as web:
        ask(web.link)
        web.flow(when=ended)
        assert web.link.config is not None
        web.link.config.write_text(yaml.safe_dump(config(other)), "utf-8")
        web.link.wait_log("the changed config is in use")
        replayed(web)
        assert len(other.seen) == 1
    other.stop()


def saved(tmp: Path, flows: Path) -> Path:
    """A file with the exchanges only."""
    out = tmp / "one.mitm"
    with flows.open("rb") as file, out.open("wb") as into:
        for flow in mitm_io.FlowReader(file).stream():
            if "llm_link" in flow.metadata:
                mitm_io.FlowWriter(into).add(flow)
    return out


def test_a_saved_flow_is_replayed_by_another_process(tmp_path: Path, upstream: Upstream) -> None:
    settings = config(upstream, auth={"mode": "proxy_key", "keys": [{"value": KEY}]})
    upstream.seen.clear()
    with proxy(tmp_path, settings, arguments=("-w", str(tmp_path / "flows.mitm"))) as link:
        assert ask(link, stream=True).status_code == 200
    one = saved(tmp_path, tmp_path / "flows.mitm")
    with proxy(tmp_path, settings, arguments=("-C", str(one), "--set", "keepserving=true")) as link:
        until(lambda: len(upstream.seen) == 2, link.log)
    first, again = upstream.seen
    assert (again.headers, again.body) == (first.headers, first.body)


@pytest.mark.parametrize("own", [False, True])
def test_a_clients_key_is_gone(tmp_path: Path, upstream: Upstream, own: bool) -> None:
    """In `client_key` mode a replay uses the upstream's own key, or fails with a message."""
    settings: dict[str, Any] = config(upstream, auth={"mode": "client_key"})
    if not own:
        del settings["upstreams"]["u0"]["api_key"]
    upstream.seen.clear()
    with mitmweb(tmp_path, settings) as web:
        assert ask(web.link).status_code == 200
        flow = web.flow(when=ended)
        web.call("POST", f"/flows/{flow['id']}/replay")
        again = web.flow(when=lambda now: now["is_replay"] and ended(now))
        sent = [seen.headers.get("authorization") for seen in upstream.seen]
        if own:
            assert sent == ["Bearer key-0"] * 2 and again["response"]["status_code"] == 200
            return
        assert sent == [f"Bearer {KEY}"] and again["response"]["status_code"] == 401
        assert "cannot be replayed" in json.loads(web.body(again, "response"))["error"]["message"]
        # The operator may put a key in; it is taken out again at once.
        headers = [["content-type", "application/json"], ["x-api-key", "sk-operator-987654"]]
        web.call("PUT", f"/flows/{flow['id']}", json={"request": {"headers": headers}})
        web.call("POST", f"/flows/{flow['id']}/replay")
        again = web.flow(when=lambda now: ended(now) and now["response"]["status_code"] == 200)
        assert upstream.seen[-1].headers["authorization"] == "Bearer sk-operator-987654"
        assert ["x-api-key", "***"] in again["request"]["headers"]


def test_an_exchange_of_a_client_that_believes_to_talk_to_the_host(tmp_path: Path, upstream: Upstream) -> None:
    """Regular mode: translated again, and what passed to the host as it is does so again."""
    host = TlsHost(official, tmp_path)
    upstream.seen.clear()
    with mitmweb(tmp_path, config(upstream), *turned(tmp_path, host), mode="regular") as web:
        with client(web.link) as http:
            headers = {"x-api-key": KEY}
            answer = http.post("https://api.anthropic.com/v1/messages", json=ASK, headers=headers)
            assert answer.status_code == 200
            http.post("https://api.anthropic.com/v1/messages/batches", content=b"raw", headers={"x-api-key": "mine"})
        for number, seen in ((0, upstream.seen), (1, host.seen)):
            flow = web.flow(number, when=ended)
            web.call("POST", f"/flows/{flow['id']}/replay")
            web.flow(number, when=lambda now: now["is_replay"] and ended(now))
            first, again = seen
            assert (again.path, again.headers, again.body) == (first.path, first.headers, first.body)
    host.stop()
