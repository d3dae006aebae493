"""The provider store and the keys of clients, over the control surface of a real mitmdump."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import Conn, Proxy, Seen, Upstream, config, proxy, serving

HTTP = httpx.Client(verify=False, trust_env=False, timeout=30)  # making one for each request costs more than it
GOOD = "a-stored-key-0123456789"


def answer(conn: Conn, seen: Seen) -> None:
    text = seen.headers.get("authorization", "none")
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": "x", "choices": [choice]})


upstream = serving(answer)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Proxy]:
    tmp = tmp_path_factory.mktemp("store")
    document = {**config(upstream), "store": {"path": "keys.db"}, "addressing": True}
    document["upstreams"]["u0"]["api_key"] = {"env": "USED_KEY"}
    environ = {"LLM_LINK_SECRET": "the secret of the store", "USED_KEY": "used", "OTHER": "must-not-leave"}
    with proxy(tmp, document, environ=environ) as running:
        yield running
        assert "Traceback" not in running.log and GOOD not in running.log
        assert not (tmp / "keys.db").exists() or GOOD.encode() not in (tmp / "keys.db").read_bytes()


@pytest.fixture
def link(shared: Proxy, upstream: Upstream) -> Proxy:
    upstream.seen.clear()
    for row in HTTP.get(f"{shared.url}/api/providers").json()["data"]:
        HTTP.delete(f"{shared.url}/api/providers/{row['name']}")
    return shared


def call(running: Proxy, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    response = HTTP.request(method, f"{running.url}{path}", json=body)
    assert response.status_code == status, response.text
    assert GOOD not in response.text
    if status >= 400:
        assert response.json()["type"] == "error" and response.json()["error"]["message"]
    return response.json()


def row(upstream: Upstream, **more: Any) -> dict[str, Any]:
    named = {"name": "mine", "kind": "openai-compatible", "base_url": f"{upstream.url}/v1"}
    return {**named, "default_model": "big", "models": ["big", "small"], "api_key": GOOD, **more}


def test_a_provider_is_kept_without_showing_its_key(link: Proxy, upstream: Upstream) -> None:
    stored = call(link, "POST", "/api/providers", row(upstream))
    assert stored["has_encrypted_api_key"] is True and stored["warning"] is None and stored["enabled"] is True
    assert "api_key" not in stored and "encrypted_api_key" not in stored
    listed = call(link, "GET", "/api/providers")["data"]
    assert listed == [call(link, "GET", "/api/providers/mine")] and listed[0]["models"] == ["big", "small"]
    switched = call(link, "POST", "/api/config/switch-provider", {"provider": "mine"})
    assert (switched["provider"], switched["model"]) == ("mine", "big")
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    said = HTTP.post(f"{link.url}/v1/chat/completions", json=body).json()
    assert said["choices"][0]["message"]["content"] == f"Bearer {GOOD}"
    assert "needs it" in call(link, "DELETE", "/api/providers/mine", status=409)["error"]["message"]
    new = call(link, "PUT", "/api/providers/mine", {key: v for key, v in row(upstream).items() if key != "name"})
    assert new["name"] == "mine"
    state = call(link, "GET", "/admin/namespaces/default/state")
    part = {**config(upstream)["upstreams"]["u0"], "api_key": {"env": "USED_KEY"}}
    back = {"if_revision": state["revision"], "config": {"upstreams": {"u0": part}, "models": {"m": "u0/model-0"}}}
    call(link, "POST", "/admin/namespaces/default/config", back)
    assert call(link, "DELETE", "/api/providers/mine") == {"deleted": "mine"}


def test_a_stored_provider_goes_away(link: Proxy, upstream: Upstream) -> None:
    call(link, "POST", "/api/providers", row(upstream, name="gone"))
    assert call(link, "DELETE", "/api/providers/gone") == {"deleted": "gone"}
    assert call(link, "GET", "/api/providers/gone", status=404)["error"]["type"] == "not_found_error"
    call(link, "DELETE", "/api/providers/gone", status=404)


def test_a_stored_key_never_moves_to_an_address_of_the_api(link: Proxy, upstream: Upstream) -> None:
    call(link, "POST", "/api/providers", row(upstream, name="held"))
    moved = row(upstream, name="held", base_url="http://evil.example/v1")
    del moved["api_key"]
    call(link, "POST", "/api/providers", moved, 400)
    call(link, "PUT", "/api/providers/held", {key: v for key, v in moved.items() if key != "name"}, 400)
    call(link, "POST", "/api/providers/import", {"providers": [moved]}, 400)
    assert call(link, "GET", "/api/providers/held")["base_url"] == f"{upstream.url}/v1"
    same = row(upstream, name="held", models=["one"])
    del same["api_key"]
    assert call(link, "POST", "/api/providers", same)["has_encrypted_api_key"] is True


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"name": ""}, "name"),
        ({"kind": "telepathy"}, "kind"),
        ({"base_url": "ftp://x"}, "base_url"),
        ({"api_key": ""}, "api_key"),
        ({"api_key_env": "OTHER"}, "api_key_env"),
        ({"api_key_env": "USED_KEY"}, "api_key_env"),
        ({"models": "big"}, "models"),
        ({"encrypted_api_key": "aes256gcm:AAAA"}, "encrypted_api_key"),
        ({"shell": "x"}, "shell"),
    ],
)
def test_what_cannot_be_stored_is_named(link: Proxy, upstream: Upstream, change: dict[str, Any], field: str) -> None:
    error = call(link, "POST", "/api/providers", row(upstream, **change), 400)["error"]
    assert error["field"] == field, error
    assert call(link, "GET", "/api/providers")["data"] == []


LINKS = 'first\n  kind "openai-compatible"\n  base-url "{0}/v1"\n  api-key "{1}"\n  models "a,b"\n'


def test_many_come_in_as_rows_and_as_files(link: Proxy, upstream: Upstream) -> None:
    path = "/api/providers/import"
    one, two = row(upstream, name="one"), row(upstream, name="two")
    assert call(link, "POST", path, {"providers": [one, two]})["names"] == ["one", "two"]
    assert call(link, "POST", path, [one])["imported"] == 1
    assert call(link, "POST", path, two)["imported"] == 1
    text = json.dumps([row(upstream, name="three")])
    assert call(link, "POST", path, {"text": text, "file": "providers.json"})["names"] == ["three"]
    lines = LINKS.format(upstream.url, GOOD)
    assert call(link, "POST", path, {"text": lines, "file": "x.lenv"})["names"] == ["first"]
    assert len(call(link, "GET", "/api/providers")["data"]) == 4


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"providers": []},
        {"text": "", "file": "x.json"},
        {"text": "{", "file": "x.json"},
        {"text": "x:\n  encrypted_api_key: aes256gcm:AAAA\n  base_url: http://a.example/v1", "file": "x.yaml"},
        {"text": 'a\n  base-url "http://a.example/v1"\n', "file": "x.lenv"},
        {"providers": [{"name": "a"}, {"name": "zhipu", "api_key": "k1234567"}]},
        "a",
        5,
    ],
)
def test_an_import_is_whole_or_nothing(link: Proxy, body: Any) -> None:
    call(link, "POST", "/api/providers/import", body, 400)
    assert call(link, "GET", "/api/providers")["data"] == []


def test_a_store_that_cannot_be_used_is_told_and_left_alone(tmp_path: Path, upstream: Upstream) -> None:
    (tmp_path / "keys.db").write_text("not a store\n")
    with proxy(tmp_path, {**config(upstream), "store": {"path": "keys.db"}}) as running:
        error = call(running, "GET", "/api/providers", status=503)["error"]
        assert error["type"] == "unavailable" and "keys.db" in error["message"]
        call(running, "POST", "/api/providers", row(upstream), 503)
    assert (tmp_path / "keys.db").read_text() == "not a store\n"


def test_a_key_for_a_client_opens_until_it_is_revoked(tmp_path: Path, upstream: Upstream) -> None:
    auth = {"mode": "proxy_key", "keys": [{"value": "the-first-key"}]}
    with proxy(tmp_path, {**config(upstream), "auth": auth, "store": {"path": "keys.db"}}) as running:

        def status(key: str) -> int:
            body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
            bearer = {"authorization": f"Bearer {key}"}
            return HTTP.post(f"{running.url}/v1/chat/completions", json=body, headers=bearer).status_code

        made = call(running, "POST", "/api/tokens", {"ttl_hours": 1, "label": "editor", "account": None})
        assert (made["ttl_hours"], made["label"], made["account"], made["warning"]) == (1, "editor", None, None)
        narrow = call(running, "POST", "/api/tokens", {"models": ["other-*"]})
        assert narrow["ttl_hours"] == 24
        assert status(made["token"]) == 200 and status(narrow["token"]) == 403 and status("never-issued") == 401
        rows = call(running, "GET", "/api/tokens/list")["data"]
        assert [row["label"] for row in rows] == ["editor", ""] and made["token"] not in json.dumps(rows)
        assert rows[0]["expires_at"] - rows[0]["issued_at"] == 3600 and rows[0]["revoked"] is False
        assert call(running, "POST", "/api/tokens/revoke", {"id": made["id"]}) == {"revoked": made["id"]}
        assert status(made["token"]) == 403 and status("the-first-key") == 200
        assert call(running, "GET", "/api/tokens/list")["data"][0]["revoked"] is True
        call(running, "POST", "/api/tokens/revoke", {"id": "nobody"}, 404)
        for wrong in ({"ttl_hours": 0}, {"ttl_hours": -1}, {"models": []}, {"account": "a"}, {"label": "x" * 101}):
            call(running, "POST", "/api/tokens", wrong, 400)
        assert made["token"] not in running.log


def test_a_key_that_nobody_asks_for_says_so(link: Proxy) -> None:
    assert "auth.mode is none" in call(link, "POST", "/api/tokens", {})["warning"]
