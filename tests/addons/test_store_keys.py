"""Issued client keys: only hashes on the disk, states, limits and models at work in a running proxy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from addons.settings import SettingsError, load
from addons.store import Damaged, Missing, Refused
from addons.store.keys import ClientKeys, Issued, Limits, keys_path
from tests.addons.test_store_use import SECRET, answer, llm_link
from tests.harness import Proxy, Upstream, proxy

ASK = {"messages": [{"role": "user", "content": "x"}]}


@pytest.fixture
def keys(tmp_path: Path) -> ClientKeys:
    return ClientKeys(tmp_path / "providers.keys.db")


def test_a_key_is_kept_as_a_hash_only(keys: ClientKeys) -> None:
    key, token = keys.issue("laptop")
    said = token.get_secret_value()
    assert said.startswith(f"sk-link-{key.id}-") and len(said.rpartition("-")[2]) > 0 and len(said) > 45
    text = keys.path.read_text()
    assert said not in text and said.split("-", 3)[3] not in text and key.hash in text
    assert keys.path.stat().st_mode & 0o777 == 0o600
    assert "hash" not in key.shown() and said not in str(key.shown())


def test_states(keys: ClientKeys) -> None:
    now = time.time()
    forever, _ = keys.issue("a")
    short, _ = keys.issue("b", seconds=10)
    assert forever.state(now + 1e9) == "valid"
    assert (short.state(now + 5), short.state(now + 11)) == ("valid", "expired")
    revoked = keys.revoke("a")
    assert revoked.state(now) == "revoked" and keys.revoke("a").revoked_at == revoked.revoked_at
    assert [key.state(now) for key in keys.list()] == ["revoked", "valid"]


def test_find(keys: ClientKeys) -> None:
    key, token = keys.issue("a")
    other, _ = keys.issue("b")
    said, issued = token.get_secret_value(), Issued(keys.path)
    assert issued.find(said) == key and len(issued) == 2
    for wrong in (said[:-1], said + "x", said.replace(key.id, other.id), "sk-link-", f"sk-link-{key.id}", "", "\udcff"):
        assert issued.find(wrong) is None


def test_a_change_is_seen(keys: ClientKeys) -> None:
    issued = Issued(keys.path)
    assert not issued.changed and len(issued) == 0
    _, token = keys.issue("a")
    assert issued.changed
    issued.read()
    found = issued.find(token.get_secret_value())
    assert not issued.changed and found is not None and found.label == "a"


def test_a_damaged_file_is_named_and_left_as_it_is(keys: ClientKeys) -> None:
    key, token = keys.issue("a")
    issued = Issued(keys.path)
    bad = keys.path.read_text().replace('"revoked_at":null', '"revoked_at":1234')
    keys.path.write_text(bad)
    for call in (keys.list, lambda: keys.issue("b"), lambda: keys.revoke(key.id), issued.read):
        with pytest.raises(Damaged, match=rf"keys\.db:3: {key.id}: is damaged"):
            call()
    assert keys.path.read_text() == bad
    assert issued.find(token.get_secret_value()) == key  # what was read before still counts


def test_which_key_is_meant(keys: ClientKeys) -> None:
    first, _ = keys.issue("same")
    second, _ = keys.issue("same")
    with pytest.raises(Refused, match=f"2 keys have the label 'same'; name one by its id: {first.id}, {second.id}"):
        keys.revoke("same")
    keys.revoke(first.id)
    assert keys.revoke("same").id == second.id
    with pytest.raises(Missing, match="there is no key 'other'"):
        keys.revoke("other")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"label": "a\nb"}, "label: has at most"),
        ({"seconds": -1}, "expires: lies in the past"),
        ({"models": []}, "models: names none"),
        ({"limits": Limits(concurrent=-1)}, "limits: must be at least 0"),
    ],
)
def test_what_cannot_be_issued(keys: ClientKeys, more: dict[str, object], says: str) -> None:
    with pytest.raises(Refused, match=says):
        keys.issue(**more)  # type: ignore[arg-type]
    assert not keys.path.exists()


# ------------------------------------------------------------------------------------------------ the command line


def test_the_command_line(tmp_path: Path) -> None:
    done = llm_link(tmp_path, "keys", "issue", "--label", "laptop")
    assert done.returncode == 0 and done.stdout.startswith("sk-link-") and done.stdout.count("\n") == 1
    limits = ("--requests-per-minute", "5", "--concurrent", "2")
    done = llm_link(
        tmp_path, "keys", "issue", "--label", "guest", "--expires", "12h", "--models", "a*, b", *limits, "--json"
    )
    guest = json.loads(done.stdout)
    assert guest["expires_at"] - guest["issued_at"] == 12 * 3600 and guest["models"] == ["a*", "b"]
    assert guest["limits"] == {"requests_per_minute": 5, "tokens_per_minute": 0, "concurrent": 2}
    text = llm_link(tmp_path, "keys", "list").stdout
    assert "laptop" in text and "5 requests/min, 2 at a time" in text and guest["token"] not in text
    assert llm_link(tmp_path, "keys", "revoke", "guest").stdout == f"revoked {guest['id']} (guest)\n"
    rows = json.loads(llm_link(tmp_path, "keys", "list", "--json").stdout)["data"]
    assert [(row["label"], row["state"]) for row in rows] == [("laptop", "valid"), ("guest", "revoked")]
    assert "hash" not in rows[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["issue", "--expires", "soon"], "--expires: expected 12h, 30d, 2w or a day"),
        (["issue", "--expires", "2020-01-01"], "--expires: 2020-01-01 is over"),
        (["issue", "--models", ","], "models: names none"),
        (["revoke", "nobody"], "there is no key 'nobody'"),
    ],
)
def test_the_command_line_says_what_is_wrong(tmp_path: Path, words: list[str], says: str) -> None:
    done = llm_link(tmp_path, "keys", *words)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1


# ------------------------------------------------------------------------------------------------ the settings


def test_proxy_key_with_issued_keys_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("{auth: {mode: proxy_key}, upstreams: {a: {provider: local}}, store: {path: providers.db}}")
    with pytest.raises(SettingsError, match="or one of `llm-link keys issue`"):
        load(path, {})
    ClientKeys(keys_path(tmp_path / "providers.db")).issue("a")
    issued = load(path, {}).auth.issued
    assert issued is not None and len(issued) == 1
    issued.path.write_text("nonsense")
    with pytest.raises(SettingsError, match=r"providers\.keys\.db:1: is malformed"):
        load(path, {})


# ------------------------------------------------------------------------------------------------ the proxy


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder, upstream = tmp_path_factory.mktemp("keys"), Upstream(answer)
    ClientKeys(folder / "providers.keys.db").issue("first")
    document = {
        "auth": {"mode": "proxy_key"},
        "store": {"path": "providers.db"},
        "upstreams": {"u": {"protocol": "openai-chat", "base_url": f"{upstream.url}/v1"}},
        "models": {"*": "u/*"},
    }
    with proxy(folder, document, environ=SECRET) as running:
        yield running
    upstream.stop()


def ask(link: Proxy, token: str, model: str = "m", path: str = "/v1/chat/completions") -> httpx.Response:
    headers = {"x-api-key": token}
    return httpx.post(link.url + path, json={**ASK, "model": model, "max_tokens": 5}, headers=headers, timeout=10)


def used(link: Proxy, keys: ClientKeys) -> None:
    """Wait until the proxy has the keys as they are now."""
    link.wait_log(f"the changed keys are in use: {len(keys.list())} were issued", 10)


def of(link: Proxy) -> ClientKeys:
    assert link.config is not None
    return ClientKeys(link.config.with_name("providers.keys.db"))


def test_issue_and_revoke_without_a_restart(link: Proxy) -> None:
    keys = of(link)
    key, token = keys.issue("team", models=["m", "n-*"])
    used(link, keys)
    said = token.get_secret_value()
    assert ask(link, said).status_code == 200
    assert ask(link, said, "n-1").status_code == 200
    refused = ask(link, said, "other")
    assert refused.status_code == 403 and "may not use the model 'other'" in refused.text
    assert ask(link, said[:-1] + "!").status_code == 401
    before = link.log.count("the changed keys are in use")
    keys.revoke(key.id)
    end = time.monotonic() + 10
    while link.log.count("the changed keys are in use") == before and time.monotonic() < end:
        time.sleep(0.05)
    gone = ask(link, said, path="/v1/messages")
    assert gone.status_code == 403 and gone.json()["error"]["type"] == "permission_error" and "revoked" in gone.text
    assert said not in link.log


def test_expiry_and_limits(link: Proxy) -> None:
    keys = of(link)
    _, limited = keys.issue("limited", limits=Limits(requests_per_minute=1))
    short, token = keys.issue("short", seconds=1)
    used(link, keys)
    assert ask(link, limited.get_secret_value()).status_code == 200
    over = ask(link, limited.get_secret_value())
    assert over.status_code == 429 and "key 'limited'" in over.text and "retry-after" in over.headers
    while short.state(time.time()) == "valid":
        time.sleep(0.05)
    expired = ask(link, token.get_secret_value())
    assert expired.status_code == 401 and "expired" in expired.text


def test_revoking_works_while_the_config_is_a_bad_one(link: Proxy) -> None:
    keys, config = of(link), link.config
    assert config is not None
    _, token = keys.issue("late")
    used(link, keys)
    assert ask(link, token.get_secret_value()).status_code == 200
    good = config.read_text()
    config.write_text("upstreams: [")
    link.wait_log("the changed config is not used")
    before = link.log.count("the changed keys are in use")
    keys.revoke("late")
    end = time.monotonic() + 10
    while link.log.count("the changed keys are in use") == before and time.monotonic() < end:
        time.sleep(0.05)
    assert ask(link, token.get_secret_value()).status_code == 403
    config.write_text(good)


def test_a_damaged_file_is_told_and_the_keys_stay(link: Proxy) -> None:
    keys = of(link)
    _, token = keys.issue("stays")
    used(link, keys)
    good = keys.path.read_text()
    keys.path.write_text(good.replace("stays", "stayz"))
    link.wait_log("the changed keys are not used: ", 10)
    assert ask(link, token.get_secret_value()).status_code == 200
    keys.path.write_text(good)
