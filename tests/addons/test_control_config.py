"""Changing provider, key, namespaces and clients' auth of a real mitmdump, while it runs."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.harness import Conn, Proxy, Seen, Upstream, config, proxy

HTTP = httpx.Client(verify=False, trust_env=False, timeout=30)  # making one for each request costs more than it
GOOD = "a-good-key-0123456789"


def says(text: str) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    }


def provider(conn: Conn, seen: Seen) -> None:
    """Lists its models for those with the good key only."""
    if seen.path.endswith("/models"):
        if seen.headers.get("authorization") == f"Bearer {GOOD}":
            conn.json({"data": [{"id": "one"}, {"id": "two"}]})
        else:
            conn.json({"error": {"message": f"bad key {seen.headers.get('authorization')}"}}, 401)
    else:
        conn.json(says(seen.headers.get("authorization", "")))


def public(conn: Conn, seen: Seen) -> None:
    """Lists its models for everybody."""
    if seen.path.endswith("/models"):
        conn.json({"data": [{"id": "one"}]})
    elif seen.headers.get("authorization") == f"Bearer {GOOD}":
        conn.json({"error": {"message": "max_tokens is too small"}}, 400)
    else:
        conn.json({"error": {"message": "no"}}, 403)


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Upstream]]:
    servers = [Upstream(provider), Upstream(provider)]
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def upstreams(servers: list[Upstream]) -> list[Upstream]:
    for server in servers:
        server.seen.clear()
    return servers


def written(upstreams: list[Upstream]) -> dict[str, Any]:
    document = config(*upstreams)
    document["models"] = {"m": "u0/model-0", "*": "u0/*"}
    document["upstreams"]["u0"]["api_key"] = {"env": "USED_KEY"}
    return document


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, servers: list[Upstream]) -> Iterator[Proxy]:
    environ = {"USED_KEY": "used", "SECRET_OF_OURS": "must-not-leave", "ZHIPU_API_KEY": "zhipu-environment-key"}
    with proxy(tmp_path_factory.mktemp("config"), written(servers), environ=environ) as running:
        yield running
        assert "Traceback" not in running.log and GOOD not in running.log


@pytest.fixture
def link(shared: Proxy, upstreams: list[Upstream]) -> Proxy:
    """The shared proxy as it was in the beginning."""
    rows = HTTP.get(f"{shared.url}/admin/state").json()["namespaces"]
    revisions = {row["namespace"]: row["revision"] for row in rows}
    document = written(upstreams)
    asked = {key: document[key] for key in ("upstreams", "models")}
    post(shared, "/admin/namespaces/default/config", {"if_revision": revisions.pop("default"), "config": asked})
    for name, revision in revisions.items():
        HTTP.delete(f"{shared.url}/admin/namespaces/{name}", params={"if_revision": revision}).raise_for_status()
    revision = HTTP.get(f"{shared.url}/admin/data-auth").json()["revision"]
    put_auth(shared, {"if_revision": revision, "config": {"mode": "none"}}).raise_for_status()
    return shared


def ask(running: Proxy, model: str = "m", path: str = "/v1/chat/completions", **headers: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    return HTTP.post(f"{running.url}{path}", json=body, headers=headers, timeout=20)


def used(running: Proxy, model: str = "m", path: str = "/v1/chat/completions") -> str:
    """The key that the upstream got."""
    return str(ask(running, model, path).json()["choices"][0]["message"]["content"])


def post(running: Proxy, path: str, body: Any, status: int = 200) -> Any:
    response = HTTP.post(f"{running.url}{path}", json=body, timeout=30)
    assert response.status_code == status, response.text
    if status >= 400:
        assert response.json()["type"] == "error" and response.json()["error"]["message"]
    return response.json()


# ------------------------------------------------------------------------------------------------ asking a provider


def test_a_key_is_tried_at_the_provider_itself(link: Proxy, upstreams: list[Upstream]) -> None:
    good = post(link, "/api/config/validate-key", {"provider": "u1", "api_key": GOOD})
    assert good["status"] == "valid" and [row["id"] for row in good["models"]] == ["one", "two"]
    assert good["provider"] == "u1" and good["supports_hot_reload"] is True
    bad = post(link, "/api/config/validate-key", {"provider": "u1", "api_key": "wrong-key"})
    assert bad["status"] == "invalid" and "401" in bad["message"] and "wrong-key" not in bad["message"]
    assert {seen.path for seen in upstreams[1].seen} == {"/v1/models"} and not upstreams[0].seen


def test_a_list_that_everybody_gets_proves_nothing(link: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    from addons.control import probe

    monkeypatch.setattr(probe, "is_loopback", lambda host: False)  # as if it were out there
    server = Upstream(public)
    try:
        verdicts = [_probe(server.url, key) for key in (GOOD, "wrong-key")]
    finally:
        server.stop()
    assert [verdict.status for verdict in verdicts] == ["valid", "invalid"]


def _probe(url: str, key: str) -> Any:
    import asyncio

    from addons.control import probe
    from addons.settings import Settings, space_settings

    part = {"protocol": "openai-chat", "base_url": f"{url}/v1", "api_key": {"value": key}}
    upstream = space_settings({"upstreams": {"a": part}, "models": {}}, Settings(), {}).upstreams["a"]
    return asyncio.run(probe.ask(upstream))


def test_a_provider_that_cannot_be_asked_is_an_error_and_no_verdict(link: Proxy) -> None:
    body = {"provider": "u1", "api_key": "some-key", "base_url": "http://127.0.0.1:9/v1"}
    assert post(link, "/api/config/validate", body)["status"] == "error"


@pytest.mark.parametrize("path", ["validate", "validate-key", "update", "update-key", "switch-provider"])
def test_an_unknown_provider_is_named(link: Proxy, path: str) -> None:
    error = post(link, f"/api/config/{path}", {"provider": "zhippu", "api_key": "k" * 12}, 400)
    assert error["error"]["field"] == "provider" and "zhipu" in error["error"]["message"]


def test_update_changes_nothing_and_says_no_key(link: Proxy) -> None:
    body = {"provider": "zhipu", "api_key": GOOD, "model": "glm-5.3"}
    said = post(link, "/api/config/update", body)
    assert said["restart_required"] is True and said["env_vars"] == {"ZHIPU_API_KEY": None}
    assert (said["cli_args"]["provider"], said["cli_args"]["model"]) == ("zhipu", "glm-5.3")
    health = HTTP.get(f"{link.url}/api/health").json()
    assert said["current_instance_id"] == health["instance_id"] and health["provider"] == "u0"


# ------------------------------------------------------------------------------------------------ at once


def test_a_new_key_counts_at_once_and_over_the_file(link: Proxy) -> None:
    assert used(link) == "Bearer used"
    said = post(link, "/api/config/update-key", {"provider": "u0", "api_key": GOOD})
    assert said["restart_required"] is False and said["persisted"] == "no" and GOOD not in json.dumps(said)
    assert used(link) == f"Bearer {GOOD}"
    assert link.config is not None
    link.config.write_text(link.config.read_text() + "policy: strict\n")
    link.wait_log("the changed config is in use")
    assert used(link) == f"Bearer {GOOD}"
    current = HTTP.get(f"{link.url}/api/config/current").json()
    link.config.write_text(link.config.read_text().replace("policy: strict\n", ""))
    assert current["policy"] == "strict" and "upstreams.u0.api_key" in current["changed_by_api"]
    assert "Bearer" not in HTTP.get(f"{link.url}/admin/namespaces/default/state").text


def test_all_names_go_to_the_other_provider(link: Proxy, upstreams: list[Upstream]) -> None:
    said = post(link, "/api/config/switch-provider", {"provider": "u1", "model": "other"})
    assert (said["provider"], said["model"]) == ("u1", "other")
    assert used(link) == "Bearer key-1" and used(link, "anything") == "Bearer key-1"
    assert [seen.json["model"] for seen in upstreams[1].seen] == ["other", "other"]
    health = HTTP.get(f"{link.url}/api/health").json()
    assert (health["provider"], health["model"]) == ("u1", "other")
    assert "m" in {row["id"] for row in HTTP.get(f"{link.url}/v1/models").json()["data"]}


def test_a_provider_of_the_catalogue_is_made_with_the_key_of_the_environment(link: Proxy) -> None:
    assert post(link, "/api/config/switch-provider", {"provider": "zhipu"})["provider"] == "zhipu"
    assert HTTP.get(f"{link.url}/api/config/current").json()["upstreams"][-1]["has_api_key"] is True
    error = post(link, "/api/config/switch-provider", {"provider": "deepseek"}, 400)
    assert error["error"]["field"] == "api_key"


def test_an_address_comes_with_its_own_key_or_not_at_all(link: Proxy, upstreams: list[Upstream]) -> None:
    evil = Upstream(provider)
    base = f"{evil.url}/v1"
    try:
        for body in ({"provider": "u0", "base_url": base}, {"provider": "zhipu", "base_url": base}):
            assert post(link, "/api/config/switch-provider", body, 400)["error"]["field"] == "base_url"
        for path in ("validate", "validate-key", "update-key"):
            post(link, f"/api/config/{path}", {"provider": "zhipu", "base_url": base}, 400)
        assert not evil.seen
        post(link, "/api/config/switch-provider", {"provider": "zhipu", "base_url": base, "api_key": GOOD})
        assert used(link) == f"Bearer {GOOD}"
        assert all("zhipu-environment" not in json.dumps(seen.headers) for seen in evil.seen)
    finally:
        evil.stop()


def test_a_key_that_cannot_be_one_changes_nothing(link: Proxy) -> None:
    for key in ("", "two words", "line\nbreak", "schlüssel"):
        post(link, "/api/config/update-key", {"provider": "u0", "api_key": key}, 400)
    post(link, "/api/config/update-key", {"provider": "u0"}, 400)
    post(link, "/api/config/update-key", {"provider": "u0", "api_key": 5}, 400)
    post(link, "/api/config/update-key", {"provider": "u0", "api_key": GOOD, "shell": "x"}, 400)
    assert used(link) == "Bearer used"


# ------------------------------------------------------------------------------------------------ kept


CONFIG = """\
# our team's proxy
auth: {{mode: none}}
upstreams:
  u0:  # the cheap one
    protocol: openai-chat
    base_url: {0}/v1
    api_key: {{env: USED_KEY}}
  u1:
    protocol: openai-chat
    base_url: {1}/v1
    api_key: {{value: key-1}}
models:
  m: u0/model-0   # for the editor
"""


def test_a_kept_change_stands_in_the_file_with_its_comments(tmp_path: Path, upstreams: list[Upstream]) -> None:
    text = CONFIG.format(*(server.url for server in upstreams))
    environ = {"USED_KEY": "used"}
    with proxy(tmp_path, yaml.safe_load(text), environ=environ) as running:
        assert running.config is not None
        running.config.write_text(text)
        running.wait_log("the changed config is in use")
        said = post(running, "/api/config/switch-provider", {"provider": "u1", "model": "n", "persist": True})
        assert said["persisted"] == "file" and used(running) == "Bearer key-1"
        written = running.config.read_text()
        assert "# our team's proxy" in written and "# the cheap one" in written and "# for the editor" in written
        assert yaml.safe_load(written)["models"] == {"m": "u1/n", "*": "u1/n"}
        assert HTTP.get(f"{running.url}/api/config/current").json()["changed_by_api"] == []
        said = post(running, "/api/config/update-key", {"provider": "u0", "api_key": GOOD, "persist": True})
        assert said["persisted"] == "file" and stat.S_IMODE(running.config.stat().st_mode) == 0o600
        kept = yaml.safe_load(running.config.read_text())
        assert kept["upstreams"]["u0"]["api_key"] == {"value": GOOD}
    with proxy(tmp_path, kept, environ=environ) as running:
        assert used(running) == "Bearer key-1" and used(running, "u0/x") == f"Bearer {GOOD}"


def test_a_kept_key_goes_to_the_store_where_that_has_a_secret(tmp_path: Path, upstreams: list[Upstream]) -> None:
    document = {**config(*upstreams), "store": {"path": "keys.db"}}
    environ = {"LLM_LINK_SECRET": "a secret of the store"}
    with proxy(tmp_path, document, environ=environ) as running:
        said = post(running, "/api/config/update-key", {"provider": "u0", "api_key": GOOD, "persist": True})
        assert said["persisted"] == "store" and used(running) == f"Bearer {GOOD}"
        assert running.config is not None
        kept = yaml.safe_load(running.config.read_text())
        assert kept["upstreams"]["u0"]["api_key"] == {"store": "u0"} and GOOD not in running.config.read_text()
    with proxy(tmp_path, kept, environ=environ) as running:
        assert used(running) == f"Bearer {GOOD}"


def test_without_a_file_nothing_is_kept_and_nothing_is_changed(tmp_path: Path, upstreams: list[Upstream]) -> None:
    with proxy(tmp_path, reverse=upstreams[0].url) as running:
        body = {"provider": "upstream", "api_key": GOOD, "persist": True}
        assert "no config file" in post(running, "/api/config/update-key", body, 409)["error"]["message"]
        assert HTTP.get(f"{running.url}/api/config/current").json()["has_api_key"] is False
        post(running, "/api/config/update-key", {"provider": "upstream", "api_key": GOOD})
        assert used(running) == f"Bearer {GOOD}"


def test_a_file_that_does_not_stand_is_not_written_over(link: Proxy) -> None:
    assert link.config is not None
    before = link.config.read_text()
    link.config.write_text("upstreams: {")
    body = {"provider": "u0", "api_key": GOOD, "persist": True}
    post(link, "/api/config/update-key", body, 400)
    assert link.config.read_text() == "upstreams: {" and used(link) == "Bearer used"
    link.config.write_text(before)


# ------------------------------------------------------------------------------------------------ 50 running streams


def test_50_running_streams_survive_a_switch_of_provider_and_key(tmp_path: Path) -> None:
    go, running_streams = threading.Event(), threading.Semaphore(0)

    def slow(conn: Conn, seen: Seen) -> None:
        conn.stream()
        for n in range(4):
            delta = {"choices": [{"index": 0, "delta": {"content": f"{seen.headers['authorization']} {n};"}}]}
            conn.chunk(f"data: {json.dumps({'id': 'c', 'object': 'chat.completion.chunk', **delta})}\n\n")
            if n == 0:
                running_streams.release()
                assert go.wait(30)
        end = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        conn.chunk(f"data: {json.dumps(end)}\n\ndata: [DONE]\n\n")
        conn.end()

    old, new = Upstream(slow), Upstream(slow)
    with proxy(tmp_path, config(old, new, models={"m": "u0/x"})) as running:
        url = f"{running.url}/v1/chat/completions"
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}

        def stream(_: int) -> str:
            with HTTP.stream("POST", url, json=body, timeout=60) as response:
                assert response.status_code == 200
                return response.read().decode()

        with ThreadPoolExecutor(60) as pool:
            first = [pool.submit(stream, n) for n in range(50)]
            for _ in range(50):
                assert running_streams.acquire(timeout=30)
            post(running, "/api/config/update-key", {"provider": "u0", "api_key": "key-0-new"})
            post(running, "/api/config/switch-provider", {"provider": "u1", "api_key": "key-1-new"})
            second = [pool.submit(stream, n) for n in range(10)]
            for _ in range(10):
                assert running_streams.acquire(timeout=30)
            go.set()
            before, after = [one.result() for one in first], [one.result() for one in second]
    assert all(text.count("Bearer key-0 ") == 4 and text.endswith("data: [DONE]\n\n") for text in before)
    assert all(text.count("Bearer key-1-new ") == 4 and text.endswith("data: [DONE]\n\n") for text in after)
    assert len(old.seen) == 50 and len(new.seen) == 10
    for server in (old, new):
        server.stop()


# ------------------------------------------------------------------------------------------------ namespaces


def space(server: Upstream, key: str, **more: Any) -> dict[str, Any]:
    part = {"protocol": "openai-chat", "base_url": f"{server.url}/v1", "api_key": {"value": key}}
    return {"upstreams": {"own": part}, "models": {"m": "own/theirs"}, **more}


def test_a_namespace_serves_its_own_models_on_each_surface(link: Proxy, upstreams: list[Upstream]) -> None:
    path = "/admin/namespaces/team/config"
    made = post(link, path, {"config": space(upstreams[1], "team-key-0123")})
    assert made["status"] == "applied" and made["namespace"] == "team"
    assert used(link, path="/namespaces/team/v1/chat/completions") == "Bearer team-key-0123"
    assert used(link) == "Bearer used"
    listed = HTTP.get(f"{link.url}/namespaces/team/v1/models").json()["data"]
    assert [row["id"] for row in listed] == ["m"]
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    claude = HTTP.post(f"{link.url}/namespaces/team/anthropic/v1/messages", json=body)
    assert claude.json()["content"][0]["text"] == "Bearer team-key-0123"
    assert HTTP.get(f"{link.url}/namespaces/team/api/tags").json()["models"][0]["name"] == "m"
    state = HTTP.get(f"{link.url}/admin/namespaces/team/state").json()
    assert state["revision"] == made["revision"] and "team-key" not in json.dumps(state)
    assert state["config"]["upstreams"]["own"]["api_key"] == {"value": None, "value_redacted": True}
    assert state["upstreams"][0]["availability"]["status"] == "available"
    rows = {row["namespace"]: row for row in HTTP.get(f"{link.url}/admin/state").json()["namespaces"]}
    assert rows["team"]["model_alias_count"] == 1 and rows["default"]["upstream_count"] == 2


def test_an_unknown_namespace_is_not_there(link: Proxy) -> None:
    assert ask(link, path="/namespaces/nobody/v1/chat/completions").status_code == 404
    response = HTTP.get(f"{link.url}/admin/namespaces/nobody/state")
    assert response.status_code == 404 and response.json()["error"]["type"] == "not_found_error"


def test_a_namespace_is_changed_by_who_knows_its_revision(link: Proxy, upstreams: list[Upstream]) -> None:
    path = "/admin/namespaces/team/config"
    stale = post(link, path, {"if_revision": "1", "config": space(upstreams[1], "first-key-01")}, 412)
    assert stale["current_revision"] is None and stale["error"]["type"] == "precondition_failed"
    first = post(link, path, {"if_revision": None, "config": space(upstreams[1], "first-key-01")})
    for wrong in ({}, {"if_revision": None}, {"if_revision": "nonsense"}):
        again = post(link, path, {**wrong, "config": space(upstreams[1], "second-key-2")}, 412)
        assert again["current_revision"] == first["revision"]
    post(link, path, {"revision": first["revision"], "config": space(upstreams[1], "second-key-2")}, 400)
    assert used(link, path="/namespaces/team/v1/chat/completions") == "Bearer first-key-01"
    second = post(link, path, {"if_revision": first["revision"], "config": space(upstreams[1], "second-key-2")})
    assert second["revision"] != first["revision"]
    assert used(link, path="/namespaces/team/v1/chat/completions") == "Bearer second-key-2"
    gone = HTTP.delete(f"{link.url}/admin/namespaces/team", params={"if_revision": second["revision"]})
    assert gone.json() == {"deleted": "team"}
    assert ask(link, path="/namespaces/team/v1/chat/completions").status_code == 404


def test_of_many_changes_for_one_revision_one_is_made(link: Proxy, upstreams: list[Upstream]) -> None:
    path = f"{link.url}/admin/namespaces/team/config"
    revision = post(link, "/admin/namespaces/team/config", {"config": space(upstreams[1], "first-key-01")})["revision"]

    def change(n: int) -> int:
        asked = {"if_revision": revision, "config": space(upstreams[1], f"key-number-{n}")}
        return HTTP.post(path, json=asked).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(change, range(8))) == [200, *[412] * 7]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rules": ["x.py"]}, "config.rules"),
        ({"listen": "0.0.0.0:80"}, "config.listen"),
        ({"logging": {"file": "/etc/passwd"}}, "config.logging"),
        ({"store": {"path": "x"}}, "config.store"),
        ({"control": {"enabled": False}}, "config.control"),
        ({"auth": {"mode": "none"}}, "config.auth"),
        ({"upstreams": {"a": {"provider": "zhipu", "api_key": {"env": "SECRET_OF_OURS"}}}}, "config.upstreams.a.api"),
        ({"upstreams": {"a": {"protocol": "openai-chat", "base_url": "http://e.example/v1"}}}, "config.upstreams.a.b"),
        (
            {"upstreams": {"a": {"provider": "zhipu", "base_url": "http://e.example", "api_key": {"env": "USED_KEY"}}}},
            "config.upstreams.a.base_url",
        ),
        ({"upstreams": {"a": {"provider": "zhipu", "proxy": "http://e.example"}}}, "config.upstreams.a.proxy"),
        ({"upstreams": {"a": {"provider": "zhipu", "api_key": {"store": "x"}}}}, "config.upstreams.a.api_key"),
        ({"upstreams": {"a": {"provider": "nobody"}}}, "config.upstreams.a.provider"),
        ({"upstreams": {"own": {"protocol": "none"}}}, "config.upstreams.own.protocol"),
        ({"upstreams": 5}, "config.upstreams"),
        ({"upstreams": [{"protocol": "gemini"}]}, "config.upstreams"),
        ({"models": {"m": "nowhere/x"}}, "config.models.m"),
        ({"policy": "lax"}, "config.policy"),
    ],
)
def test_what_is_not_for_the_api_or_not_valid_is_refused_as_a_whole(
    link: Proxy, upstreams: list[Upstream], change: dict[str, Any], field: str
) -> None:
    body = {"config": {**space(upstreams[1], "team-key-0123"), **change}}
    error = post(link, "/admin/namespaces/team/config", body, 400)["error"]
    assert error["field"].startswith(field), error
    assert "must-not-leave" not in json.dumps(error)
    assert HTTP.get(f"{link.url}/admin/namespaces/team/state").status_code == 404


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"config": {"upstreams": {}, "models": {"\\ud800": "a/b"}}}', 400),
        ('{"config": {"upstreams": {}, "retry": {"cooldown": NaN}}}', 400),
        ('{"config": {"upstreams": {}, "retry": {"cooldown": 1e999}}}', 400),
        ('{"config": %s}' % ('{"upstreams": ' * 300 + "1" + "}" * 300), 400),
        ('{"config": %s}' % ("[" * 90000), 400),
        ('{"config": {"upstreams": {}, "models": 1' + "0" * 5000 + "}}", 400),
        ("{" + " " * 1000, 400),
        ('{"config": {}, "config": {}} ', 200),
    ],
)
def test_strange_json_is_a_400_or_nothing_strange(link: Proxy, text: str, status: int) -> None:
    headers = {"content-type": "application/json"}
    response = HTTP.post(f"{link.url}/admin/namespaces/odd/config", content=text, headers=headers)
    assert response.status_code == status, response.text
    assert HTTP.get(f"{link.url}/admin/namespaces/odd/state").status_code == (404 if status == 400 else 200)


def test_params_of_a_namespace_come_back_as_they_went_in(link: Proxy, upstreams: list[Upstream]) -> None:
    asked = space(upstreams[1], "team-key-0123")
    asked["upstreams"]["own"]["params"] = {"update": {"a": {"b": [1, 2.5, None, "ü"]}}}
    post(link, "/admin/namespaces/team/config", {"config": asked})
    state = HTTP.get(f"{link.url}/admin/namespaces/team/state").json()
    assert state["config"]["upstreams"]["own"]["params"] == asked["upstreams"]["own"]["params"]
    post(link, "/admin/namespaces/deep/config", {"config": {**asked, "upstreams": {"own": _deep(60)}}}, 400)
    huge = '{"config": {"upstreams": {"own": {"provider": "zhipu", "params": {"update": {"x": 1e999}}}}}}'
    HTTP.post(f"{link.url}/admin/namespaces/huge/config", content=huge, headers={"content-type": "application/json"})
    assert HTTP.get(f"{link.url}/admin/namespaces/huge/state").status_code in (200, 404)


def _deep(levels: int) -> Any:
    return {"x": _deep(levels - 1)} if levels else 1


def test_the_words_of_other_proxies_are_understood(link: Proxy, upstreams: list[Upstream]) -> None:
    root = f"{upstreams[1].url}/v1"
    own = {"name": "own", "api_root": root, "fixed_upstream_format": "openai-completion"}
    asked = {
        "upstreams": [{**own, "provider_key": {"inline": "inline-key-01"}}],
        "model_aliases": {"fast": {"upstream_name": "own", "upstream_model": "theirs"}, "slow": "own:big"},
        "compatibility_mode": "max_compat",
    }
    post(link, "/admin/namespaces/team/config", {"config": asked})
    for model in ("fast", "slow"):
        assert used(link, model, "/namespaces/team/v1/chat/completions") == "Bearer inline-key-01"
    assert [seen.json["model"] for seen in upstreams[1].seen] == ["theirs", "big"]


def test_the_namespace_of_the_file_can_be_changed_too(link: Proxy, upstreams: list[Upstream]) -> None:
    revision = HTTP.get(f"{link.url}/admin/namespaces/default/state").json()["revision"]
    body = {"if_revision": revision, "config": space(upstreams[1], "default-key-1")}
    assert post(link, "/admin/namespaces/default/config", body)["revision"] != revision
    assert used(link) == "Bearer default-key-1"
    assert post(link, "/admin/namespaces/default/config", body, 412)["current_revision"] != revision


# ------------------------------------------------------------------------------------------------ who may call us


def put_auth(running: Proxy, body: Any) -> httpx.Response:
    return HTTP.put(f"{running.url}/admin/data-auth", json=body, timeout=30)


def test_clients_get_another_key_at_once(link: Proxy, upstreams: list[Upstream]) -> None:
    post(link, "/admin/namespaces/team/config", {"config": space(upstreams[1], "team-key-0123")})
    state = HTTP.get(f"{link.url}/admin/data-auth").json()
    assert state["config"]["mode"] == "none"
    wanted = {"mode": "proxy_key", "proxy_key": {"inline": "for-clients-1"}}
    assert put_auth(link, {"if_revision": "stale", "config": wanted}).status_code == 412
    assert put_auth(link, {"config": wanted}).status_code == 412
    done = put_auth(link, {"if_revision": state["revision"], "config": wanted})
    assert done.status_code == 200 and "for-clients-1" not in done.text
    assert done.json()["config"]["proxy_key"] == {
        "source": "inline", "configured": True, "redacted": True, "env_name": None, "label": None,
    }  # fmt: skip
    for path in ("/v1/chat/completions", "/namespaces/team/v1/chat/completions"):
        assert ask(link, path=path).status_code == 401
        assert ask(link, path=path, authorization="Bearer for-clients-1").status_code == 200
    revision = done.json()["revision"]
    named = {"mode": "proxy_key", "keys": [{"env": "USED_KEY", "label": "team", "models": ["other-*"]}]}
    assert put_auth(link, {"if_revision": revision, "config": named}).status_code == 200
    assert ask(link, authorization="Bearer for-clients-1").status_code == 401
    assert ask(link, authorization="Bearer used").status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "proxy_key"},
        {"mode": "proxy_key", "keys": []},
        {"mode": "proxy_key", "proxy_key": {}},
        {"mode": "proxy_key", "proxy_key": {"env": "SECRET_OF_OURS"}},
        {"mode": "proxy_key", "proxy_key": {"inline": "a", "env": "USED_KEY"}},
        {"mode": "open"},
        {"mode": "none", "file": "x"},
    ],
)
def test_wrong_auth_is_refused_and_nothing_changes(link: Proxy, wrong: dict[str, Any]) -> None:
    revision = HTTP.get(f"{link.url}/admin/data-auth").json()["revision"]
    response = put_auth(link, {"if_revision": revision, "config": wrong})
    assert response.status_code == 400 and response.json()["error"]["type"] == "invalid_request_error", response.text
    assert HTTP.get(f"{link.url}/admin/data-auth").json()["revision"] == revision
    assert ask(link).status_code == 200
