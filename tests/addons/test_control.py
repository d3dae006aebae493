"""The control surface of a real mitmdump: who is let in, what it says, and what is never seen of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import Conn, Proxy, Seen, Upstream, config, proxy, serving

HTTP = httpx.Client(verify=False, trust_env=False, timeout=30)  # making one for each request costs more than it
KEY = "control-key-0123456789"
ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "model-0",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
}


def answer(conn: Conn, seen: Seen) -> None:
    conn.json(ANSWER)


upstream = serving(answer)


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Proxy]:
    tmp = tmp_path_factory.mktemp("control")
    more = {"cors": {"origins": ["https://panel.example"]}}
    with proxy(tmp, config(upstream, **more), arguments=("-w", str(tmp / "flows"))) as running:
        yield running
        assert "Traceback" not in running.log


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Proxy]:
    document = config(upstream, control={"keys": [{"env": "LLM_LINK_ADMIN_KEY"}, {"value": "another-key"}]})
    with proxy(tmp_path_factory.mktemp("guarded"), document, environ={"LLM_LINK_ADMIN_KEY": KEY}) as running:
        yield running
        assert KEY not in running.log


def ask(running: Proxy, model: str = "m") -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    return HTTP.post(f"{running.url}/v1/chat/completions", json=body)


def kind(response: httpx.Response) -> str:
    """The kind of an error, which must have the documented shape."""
    document = response.json()
    assert document["type"] == "error" and document["error"]["message"]
    return str(document["error"]["type"])


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


# ------------------------------------------------------------------------------------------------ what it says


def test_what_runs(link: Proxy) -> None:
    health = HTTP.get(f"{link.url}/api/health").json()
    assert health["status"] == "ok" and health["pid"] == link.process.pid
    assert (health["provider"], health["model"]) == ("u0", "model-0")
    info = HTTP.get(f"{link.url}/api/info").json()
    assert info["service"] == "llm-link" and info["current_provider"] == "u0"
    rows = {row["name"]: row for row in info["supported_providers"]}
    assert "anthropic" in rows and rows["anthropic"]["models"][0].keys() >= {"id", "name", "supports_tools"}
    assert info["api_endpoints"]["openai"] == {"path": "/v1", "enabled": True, "auth_required": False}


def test_the_settings_in_use_hold_no_key(link: Proxy) -> None:
    response = HTTP.get(f"{link.url}/api/config/current")
    current = response.json()
    assert current["has_api_key"] is True and current["supports_hot_reload"] is True
    assert current["upstreams"][0]["has_api_key"] is True and "key-0" not in response.text
    assert current["models"] == [{"name": "m", "targets": ["u0/model-0"], "choose": "order"}]


def test_openapi_documents_each_error(link: Proxy) -> None:
    document = HTTP.get(f"{link.url}/api/openapi.json").json()
    assert document["openapi"].startswith("3") and "/metrics" in document["paths"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            wanted = {"401", "403", "413", "500"} | ({"400", "415"} if "requestBody" in operation else set())
            assert wanted <= operation["responses"].keys() and "422" not in operation["responses"], (path, method)
            assert operation.get("description"), (path, method)


def test_metrics_count_what_was_done(link: Proxy) -> None:
    assert ask(link).status_code == 200
    assert ask(link, "nobody-knows-this").status_code == 404
    response = HTTP.get(f"{link.url}/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert samples[("llm_link_requests_total", "200", "model-0", "openai-chat", "u0")] >= 1
    assert samples[("llm_link_requests_total", "", "", "404", "openai-chat")] >= 1
    assert samples[("llm_link_tokens_total", "cache_read", "model-0", "openai-chat", "u0")] >= 4
    assert samples[("llm_link_request_seconds_count", "model-0", "openai-chat", "u0")] >= 1
    assert samples[("llm_link_upstream_up", "default", "u0")] == 1
    assert "nobody-knows-this" not in response.text


def test_stats_tell_of_the_last_exchanges(link: Proxy) -> None:
    ask(link)
    stats = HTTP.get(f"{link.url}/api/stats").json()
    assert stats["totals"]["requests"] >= 1 and stats["totals"]["cache_hit_ratio"] == 4 / 7
    last = stats["recent"][0]
    assert (last["target"], last["status"], last["tokens"]["input"]) == ("u0/model-0", 200, 3)
    assert stats["first"]["count"] == stats["total"]["count"] >= 1 and stats["total"]["p99"] > 0
    assert stats["slots"][-1]["requests"] >= 1 and stats["upstreams"][0]["status"] == "ok"


def test_a_path_or_method_that_is_not_there(link: Proxy) -> None:
    missing = HTTP.get(f"{link.url}/admin/nothing")
    assert missing.status_code == 404 and kind(missing) == "not_found_error"
    wrong = HTTP.delete(f"{link.url}/api/health")
    assert wrong.status_code == 405 and kind(wrong) == "method_not_allowed" and wrong.headers["allow"] == "GET"
    head = HTTP.head(f"{link.url}/api/health")
    assert head.status_code == 200 and head.content == b"" and int(head.headers["content-length"]) > 10


def test_ollamas_own_paths_are_still_there(link: Proxy) -> None:
    assert "models" in HTTP.get(f"{link.url}/api/tags").json()
    assert HTTP.get(f"{link.url}/api/nothing").json()["error"]  # in Ollama's shape


def test_pages_that_may_call_models_can_read_the_answers(link: Proxy) -> None:
    url = f"{link.url}/v1/chat/completions"
    named = {"origin": "https://panel.example"}
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    preflight = HTTP.options(url, headers={**named, **asks, "access-control-request-private-network": "true"})
    assert preflight.status_code == 204 and preflight.headers["access-control-allow-origin"] == "https://panel.example"
    assert preflight.headers["access-control-allow-headers"] == "authorization,content-type"
    assert preflight.headers["access-control-allow-private-network"] == "true"
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    for asked, status in ((body, 200), ({**body, "model": "nobody"}, 404)):
        said = HTTP.post(url, json=asked, headers=named)
        assert said.status_code == status and said.headers["access-control-allow-origin"] == "https://panel.example"
        assert "x-llm-link-request-id" in said.headers["access-control-expose-headers"]
    evil = {"origin": "https://evil.example"}
    for refused in (HTTP.options(url, headers={**evil, **asks}), HTTP.post(url, json=body, headers=evil)):
        assert refused.status_code in (403, 404) and "access-control-allow-origin" not in refused.headers
    assert "access-control-allow-origin" not in HTTP.post(url, json=body).headers


# ------------------------------------------------------------------------------------------------ who is let in


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.nip.io:8080"},
        {"host": ""},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"x-forwarded-for": "10.0.0.1"},
        {"X-Forwarded-Host": "a"},
        {"forwarded": "for=10.0.0.1"},
        {"x-real-ip": "10.0.0.1"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
    ids=lambda headers: "-".join(f"{name}={value}" for name, value in headers.items()),
)
def test_without_keys_strangers_are_refused(link: Proxy, headers: dict[str, str]) -> None:
    for path in ("/api/health", "/metrics", "/api/config/current", "/api/openapi.json"):
        response = HTTP.get(f"{link.url}{path}", headers=headers)
        assert response.status_code == 403 and kind(response) == "permission_error"


def test_without_keys_our_own_page_and_named_origins_are_let_in(link: Proxy) -> None:
    assert HTTP.get(f"{link.url}/api/health", headers={"origin": link.url}).status_code == 200
    named = {"origin": "https://panel.example"}
    response = HTTP.get(f"{link.url}/api/health", headers=named)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://panel.example"
    asked = {**named, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    preflight = HTTP.options(f"{link.url}/api/config/update", headers=asked)
    assert preflight.status_code == 204 and "POST" in preflight.headers["access-control-allow-methods"]
    foreign = HTTP.options(f"{link.url}/api/config/update", headers={**asked, "origin": "https://evil.example"})
    assert foreign.status_code == 403 and "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong"),
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"x-api-key": KEY},
        {**bearer("wrong"), "x-api-key": KEY},
    ],
)
def test_with_keys_one_is_required(guarded: Proxy, headers: dict[str, str]) -> None:
    response = HTTP.get(f"{guarded.url}/api/health", headers=headers)
    assert response.status_code == 401 and kind(response) == "authentication_error"
    assert response.headers["www-authenticate"].startswith("Bearer") and KEY not in response.text


def test_each_key_lets_in_from_wherever(guarded: Proxy) -> None:
    for key in (KEY, "another-key"):
        headers = {**bearer(key), "x-forwarded-for": "10.0.0.1", "host": "link.example"}
        assert HTTP.get(f"{guarded.url}/api/health", headers=headers).status_code == 200
    lower = {"authorization": f"bearer {KEY}"}
    assert HTTP.get(f"{guarded.url}/metrics", headers=lower).status_code == 200


def test_the_dashboard_is_a_page_for_all_and_its_numbers_are_not(guarded: Proxy, link: Proxy) -> None:
    for path, kind in (("", "text/html"), ("/dashboard.js", "text/javascript"), ("/dashboard.css", "text/css")):
        page = HTTP.get(f"{guarded.url}/dashboard{path}")
        assert page.status_code == 200 and page.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "http" not in page.text.replace("http://www.w3.org/", "").replace("https?:", "")  # no outside asset
        assert HTTP.get(f"{link.url}/dashboard{path}", headers={"host": "evil.example"}).status_code == 403
    assert HTTP.get(f"{guarded.url}/api/stats").status_code == 401
    assert HTTP.get(f"{guarded.url}/dashboard/other").status_code == 401


def test_the_probes_stay_open(guarded: Proxy) -> None:
    for path in ("/health", "/ready"):
        assert HTTP.get(f"{guarded.url}{path}").json() == {"status": "ok"}


def test_a_write_needs_json_and_an_end(link: Proxy) -> None:
    url = f"{link.url}/api/config/update"
    assert kind(HTTP.post(url, content="{}")) == "unsupported_media_type"
    assert HTTP.post(url, data={"a": "b"}).status_code == 415
    text = {"content-type": "text/plain"}
    assert HTTP.put(f"{link.url}/admin/data-auth", content="{}", headers=text).status_code == 415
    large = HTTP.post(url, content=b" " * (1 << 20) + b"{}", headers={"content-type": "application/json"})
    assert large.status_code == 413 and kind(large) == "request_too_large"


def test_switched_off_nothing_is_there_but_the_probes(tmp_path: Path, upstream: Upstream) -> None:
    with proxy(tmp_path, config(upstream, control={"enabled": False})) as running:
        for path in ("/api/health", "/metrics", "/api/openapi.json", "/admin/state", "/dashboard"):
            assert HTTP.get(f"{running.url}{path}").status_code == 404
        assert HTTP.get(f"{running.url}/health").status_code == 200


def test_the_environment_may_hold_the_key(tmp_path: Path, upstream: Upstream) -> None:
    with proxy(tmp_path, config(upstream), environ={"LLM_LINK_ADMIN_KEY": KEY}) as running:
        assert HTTP.get(f"{running.url}/api/health").status_code == 401
        assert HTTP.get(f"{running.url}/api/health", headers=bearer(KEY)).status_code == 200


def test_nothing_of_it_is_saved(link: Proxy) -> None:
    headers = {**bearer("never-to-be-saved"), "content-type": "application/json"}
    HTTP.post(f"{link.url}/api/config/update", content=json.dumps({"api_key": "nor-this-one"}), headers=headers)
    with HTTP.stream("POST", f"{link.url}/api/config/update", headers=headers, content=iter([b"{", b"nor-this-one"])):
        pass
    ask(link)
    assert link.config is not None
    saved = (link.config.parent / "flows").read_bytes()
    assert b"/v1/chat/completions" in saved
    assert b"/api/config" not in saved and b"nor-this-one" not in saved and b"never-to-be-saved" not in saved
    assert "nor-this-one" not in link.log and "never-to-be-saved" not in link.log


def test_a_client_that_leaves_in_the_middle_leaves_nothing(link: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", link.port)) as sock:
        head = f"POST /api/config/update HTTP/1.1\r\nhost: 127.0.0.1:{link.port}\r\ncontent-length: 50\r\n"
        sock.sendall(f"{head}content-type: application/json\r\n\r\n{{".encode())
    assert HTTP.get(f"{link.url}/api/health").status_code == 200
    assert link.config is not None
    assert b"/api/config/update" not in (link.config.parent / "flows").read_bytes()
