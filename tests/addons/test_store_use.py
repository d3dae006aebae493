"""Stored providers at work: the command line puts them in, the proxy takes their keys out."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import keyring
import pytest
from keyring.backends import fail
from pydantic import SecretStr

from addons.settings import Settings, SettingsError, load
from addons.store import make, open_store
from scripts.cli import run
from tests.harness import ROOT, Conn, Seen, Upstream, clean_environ, proxy
from tests.test_readme import check_ours

SECRET = {"LLM_LINK_SECRET": "a secret of the tests"}
KEY = "sk-of-the-upstream-4711"
ASK = {"model": "any", "messages": [{"role": "user", "content": "x"}]}


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def llm_link(cwd: Path, *words: object, stdin: str = "", **environ: str) -> Done:
    """The command, in this process."""
    unset: dict[str, str | None] = dict.fromkeys(os.environ.keys() - clean_environ().keys())
    env = {**unset, "XDG_CONFIG_HOME": str(cwd / "home"), **SECRET, **environ}
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in env.items():
            patch.delenv(name) if value is None else patch.setenv(name, value)
        patch.chdir(cwd)
        patch.setattr("sys.stdin", io.StringIO(stdin))
        code = run([str(word) for word in words])
    return Done(code, out.getvalue(), err.getvalue())


def answer(conn: Conn, seen: Seen) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
    conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": seen.json["model"], "choices": [choice]})


# ------------------------------------------------------------------------------------------------ the command line


def test_add_list_show_remove(tmp_path: Path) -> None:
    done = llm_link(tmp_path, "providers", "add", "zhipu", "--api-key-stdin", stdin=f"{KEY}\n")
    assert done.returncode == 0 and json.loads(done.stdout)["has_encrypted_api_key"] is True
    done = llm_link(
        tmp_path, "providers", "add", "--name", "lab", "--kind", "litellm", "--base-url", "http://h:1/v1/",
        "--model", "m", "--models", "m,n", "--api-key", KEY, "--api-key-env", "LAB", "--enabled", "false",
    )  # fmt: skip
    assert json.loads(done.stdout) == {
        "name": "lab", "kind": "openai-compatible", "base_url": "http://h:1/v1", "default_model": "m",
        "models": ["m", "n"], "api_key_env": "LAB", "enabled": False, "has_encrypted_api_key": True,
    }  # fmt: skip
    assert json.loads(llm_link(tmp_path, "providers", "show", "lab").stdout) == json.loads(done.stdout)
    listed = llm_link(tmp_path, "providers", "list").stdout
    assert re.search(r"^zhipu .* stored +glm", listed, re.M)
    assert "lab" in listed and "http://h:1/v1" in listed and "MOONSHOT_API_KEY" in listed
    rows = json.loads(llm_link(tmp_path, "providers", "list", "--json").stdout)
    assert [row["name"] for row in rows["data"]] == ["zhipu", "lab"] and len(rows["catalogue"]) > 10
    assert llm_link(tmp_path, "providers", "remove", "lab").stdout == "removed lab\n"
    for words in (["show", "lab"], ["remove", "lab"]):
        done = llm_link(tmp_path, "providers", *words)
        assert done.returncode == 2 and "there is no provider 'lab'" in done.stderr
    store = tmp_path / "home" / "llm-link" / "providers.db"
    assert store.stat().st_mode & 0o777 == 0o600 and KEY not in store.read_text()


def test_a_change_keeps_what_is_not_said(tmp_path: Path) -> None:
    llm_link(tmp_path, "providers", "add", "lab", "--base-url", "http://h:1/v1", "--api-key", KEY)
    llm_link(tmp_path, "providers", "add", "lab", "--base-url", "http://h:2/v1")
    done = llm_link(tmp_path, "providers", "add", "lab", "--model", "m")
    shown = json.loads(done.stdout)
    assert shown["base_url"] == "http://h:2/v1" and shown["default_model"] == "m" and shown["has_encrypted_api_key"]
    store = open_store(tmp_path / "home" / "llm-link" / "providers.db", SECRET)
    found = store.key("lab")
    assert found is not None and found.get_secret_value() == KEY


WRONG = [
    (["add"], "--name: which provider?"),
    (["add", "x"], "base_url: is required, since 'x' is no provider of the catalogue"),
    (["add", "x", "--kind", "smtp", "--base-url", "http://h"], "kind: 'smtp' is no protocol and no provider"),
    (["add", "x y", "--base-url", "http://h"], "name: has letters, digits"),
    (["add", "x", "--base-url", "http://u:p@h"], "base_url: must not hold a user name or password"),
    (["add", "zhipu", "--kind", "gemini"], "kind: zhipu does not speak gemini; it speaks openai-chat, anthropic"),
    (["add", "zhipu", "--enabled", "maybe"], "--enabled: expected true or false, not 'maybe'"),
    (["add", "zhipu", "--api-key-stdin"], "--api-key-stdin: there is nothing on the standard input"),
    (["add", "zhipu", "--api-key", "a b"], "zhipu: api_key: must be printable text without spaces"),
    (["add", "zhipu", "--api-key-env", "1A"], "api_key_env: is no name of an environment variable"),
]


@pytest.mark.parametrize(("words", "says"), WRONG)
def test_what_cannot_be_stored_is_said(tmp_path: Path, words: list[str], says: str) -> None:
    done = llm_link(tmp_path, "providers", *words)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1, done
    assert not (tmp_path / "home" / "llm-link" / "providers.db").exists()


def test_import_and_rotate(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(f"- {{name: zhipu, api_key: {KEY}}}\n- {{name: openai}}\n")
    assert llm_link(tmp_path, "providers", "import", "p.yaml").stdout == "imported 2 provider(s)\n"
    (tmp_path / "p.yaml").write_text("- name: zhipu\n- nam: x\n")
    done = llm_link(tmp_path, "providers", "import", "p.yaml")
    assert done.returncode == 2 and done.stderr == "llm-link: p.yaml:2: nam: unknown key (did you mean name?)\n"
    done = llm_link(tmp_path, "providers", "rotate")
    assert done.returncode == 2 and "set LLM_LINK_NEW_SECRET to the new secret, or give --keyring" in done.stderr
    done = llm_link(tmp_path, "providers", "rotate", LLM_LINK_NEW_SECRET="new")
    assert done.stdout == "sealed 1 key anew; set LLM_LINK_SECRET to the new secret\n"
    found = open_store(None, {"LLM_LINK_SECRET": "new", "XDG_CONFIG_HOME": str(tmp_path / "home")}).key("zhipu")
    assert found is not None and found.get_secret_value() == KEY


def test_without_a_secret_and_a_keyring_it_says_what_to_do(tmp_path: Path) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    try:
        done = llm_link(tmp_path, "providers", "add", "zhipu", "--api-key", KEY, LLM_LINK_SECRET="")
    finally:
        keyring.set_keyring(before)
    assert done.returncode == 2 and "set LLM_LINK_SECRET" in done.stderr and done.stderr.count("\n") == 1


# ------------------------------------------------------------------------------------------------ the settings

Loader = Callable[..., Settings]


@pytest.fixture
def config(tmp_path: Path) -> Loader:
    store = open_store(tmp_path / "providers.db", SECRET)
    lab = {"name": "lab", "kind": "anthropic", "base_url": "http://h:1", "default_model": "m"}
    store.put(make(lab), SecretStr(KEY))
    store.put(make({"name": "zhipu", "default_model": "glm-4.6"}), SecretStr(KEY))
    store.put(make({"name": "off", "base_url": "http://h:1/v1", "enabled": False}), SecretStr(KEY))
    store.put(make({"name": "variable", "base_url": "http://h:1/v1", "api_key_env": "LAB_KEY"}))

    def read(upstream: dict[str, Any], environ: dict[str, str] | None = None, **said: Any) -> Settings:
        path = tmp_path / "c.yaml"
        path.write_text(json.dumps({"store": {"path": "providers.db"}, "upstreams": {"a": upstream}}))
        return load(path, {**SECRET, **(environ or {})}, cwd=tmp_path, **said)

    return read


def key_of(settings: Settings) -> str:
    key = next(iter(settings.upstreams.values())).key
    assert key is not None
    return key.get_secret_value()


def test_the_key_of_a_stored_provider(config: Loader) -> None:
    local = {"protocol": "openai-chat", "base_url": "http://127.0.0.1:9/v1"}
    settings = config({**local, "api_key": {"store": "lab"}})
    assert key_of(settings) == KEY and settings.warnings == ()
    assert key_of(config({**local, "api_key": {"store": "variable"}}, {"LAB_KEY": "other"})) == "other"


def test_a_stored_provider_by_name(config: Loader) -> None:
    (lab,) = config({"provider": "lab"}).upstreams.values()
    assert (lab.protocol, lab.root) == ("anthropic", "http://h:1/v1") and lab.provider.default_model == "m"
    assert lab.key is not None and lab.key.get_secret_value() == KEY
    (zhipu,) = config({"provider": "zhipu:global"}).upstreams.values()
    assert zhipu.root == "https://api.z.ai/api/paas/v4" and zhipu.provider.default_model == "glm-4.6"
    assert key_of(config({"provider": "zhipu"})) == KEY
    assert key_of(config({"provider": "zhipu"}, {"ZHIPU_API_KEY": "of the environment"})) == "of the environment"


def test_a_stored_provider_behind_an_app(config: Loader) -> None:
    """What the client asks for by itself leads to the default model of the record."""
    settings = config({"provider": "local"}, serve={"provider": "lab", "app": ["claude-code"]})
    (target,) = settings.models["claude-*"].targets
    assert (target.upstream, target.model) == ("lab", "m")


def test_a_provider_of_the_catalogue_at_another_address(config: Loader, tmp_path: Path) -> None:
    """The variable of the catalogue is for the catalogue's address."""
    store = open_store(tmp_path / "providers.db", SECRET)
    record = make({"name": "zhipu", "provider": "zhipu", "base_url": "http://h:3/v4"})
    store.put(record, keep_key=False)
    settings = config({"provider": "zhipu"}, {"ZHIPU_API_KEY": "of the environment"})
    (zhipu,) = settings.upstreams.values()
    assert zhipu.root == "http://h:3/v4" and zhipu.key is None and settings.warnings == ()
    assert zhipu.provider is not None and zhipu.provider.model("glm-4.6") is not None
    store.put(record, SecretStr(KEY))
    assert key_of(config({"provider": "zhipu"}, {"ZHIPU_API_KEY": "of the environment"})) == KEY


def test_a_stored_provider_as_a_flag(config: Loader, tmp_path: Path) -> None:
    settings = config({"provider": "local"}, serve={"provider": "lab", "model": "x"})
    assert settings.upstreams["lab"].root == "http://h:1/v1" and settings.auth.mode == "none"


NOT_THERE = [
    ({"provider": "local", "api_key": {"store": "nobody"}}, {}, "a.api_key.store: ", "there is no provider 'nobody'"),
    ({"provider": "local", "api_key": {"store": "off"}}, {}, "a.api_key.store: ", "'off' is not enabled"),
    ({"provider": "local", "api_key": {"store": "variable"}}, {}, "a.api_key.store: ", "no key, and LAB_KEY is not"),
    ({"provider": "off"}, {}, "a.provider: ", "unknown provider 'off'"),
    ({"provider": "lab"}, {"LLM_LINK_SECRET": "x"}, "a.provider: ", "was sealed with another secret than this one"),
    ({"provider": "lab"}, {"LLM_LINK_SECRET": ""}, "a.provider: ", "sealed with a secret that is not set"),
]


@pytest.mark.parametrize(("upstream", "environ", "where", "why"), NOT_THERE)
def test_a_key_that_cannot_be_had(
    config: Loader, upstream: dict[str, Any], environ: dict[str, str], where: str, why: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        config(upstream, environ)
    (problem,) = map(str, caught.value.problems)
    assert where in problem and why in problem and KEY not in problem


def test_a_damaged_store_is_no_matter_to_who_does_not_use_it(config: Loader, tmp_path: Path) -> None:
    (tmp_path / "providers.db").write_text("nonsense\n")
    (line,) = config({"provider": "zhipu"}, {"ZHIPU_API_KEY": "k"}).warnings
    assert "providers.db:1: is malformed" in line and line.endswith("(the store is not used)")


def test_a_reverse_target_does_not_take_a_stored_key(config: Loader, tmp_path: Path) -> None:
    """Its rule is: the variable of the provider, else the client's own key."""
    from addons.settings import Reverse

    environ = {**SECRET, "XDG_CONFIG_HOME": str(tmp_path / "home")}
    open_store(None, environ).put(make({"name": "zhipu"}), SecretStr(KEY))
    settings = load(None, environ, reverse=Reverse("https", "open.bigmodel.cn", 443), cwd=tmp_path)
    assert settings.auth.mode == "client_key" and settings.upstreams["zhipu"].key is None


# ------------------------------------------------------------------------------------------------ the proxy


def test_a_stored_key_goes_upstream(tmp_path: Path) -> None:
    upstream = Upstream(answer)
    path = tmp_path / "providers.db"
    base = f"{upstream.url}/v1"
    for words in (["add", "lab", "--base-url", base, "--api-key", KEY], ["add", "other", "--base-url", base]):
        assert llm_link(tmp_path, "providers", *words, "--config", config_file(tmp_path)).returncode == 0
    document = {
        "auth": {"mode": "none"},
        "store": {"path": "providers.db", "secret": {"env": "LLM_LINK_SECRET"}},
        "upstreams": {"a": {"provider": "lab"}, "b": {"protocol": "openai-chat", "base_url": base}},
        "models": {"a": "a/m", "b": "b/m"},
    }
    document["upstreams"]["b"]["api_key"] = {"store": "lab"}  # type: ignore[index]
    with proxy(tmp_path, document, environ=SECRET) as link:
        for model in ("a", "b"):
            answered = httpx.post(f"{link.url}/v1/chat/completions", json={**ASK, "model": model}, timeout=10)
            assert answered.status_code == 200, answered.text
        assert KEY not in link.log
    upstream.stop()
    assert [seen.headers["authorization"] for seen in upstream.seen] == [f"Bearer {KEY}"] * 2
    assert KEY not in path.read_text()


def config_file(folder: Path) -> Path:
    path = folder / "for-the-store.yaml"
    path.write_text("store: {path: providers.db}\n")
    return path


def test_a_changed_store_is_used_without_a_restart(tmp_path: Path) -> None:
    upstream = Upstream(answer)
    store = open_store(tmp_path / "providers.db", SECRET)
    lab = make({"name": "lab", "base_url": f"{upstream.url}/v1"})
    store.put(lab, SecretStr("sk-old-1234"))
    document = {
        "auth": {"mode": "none"},
        "store": {"path": "providers.db"},
        "upstreams": {"a": {"provider": "lab"}},
    }
    with proxy(tmp_path, document, environ=SECRET) as link:
        assert httpx.post(f"{link.url}/v1/chat/completions", json=ASK, timeout=10).status_code == 200
        store.put(lab, SecretStr("sk-new-1234"))
        link.wait_log("the changed config is in use", 10)
        assert httpx.post(f"{link.url}/v1/chat/completions", json=ASK, timeout=10).status_code == 200
        good = store.path.read_text()
        store.path.write_text(good.replace("sealed", "sealt").replace(upstream.url, "http://evil"))
        link.wait_log("is damaged: it is not what was written", 10)
        assert httpx.post(f"{link.url}/v1/chat/completions", json=ASK, timeout=10).status_code == 200
    upstream.stop()
    keys = [seen.headers["authorization"] for seen in upstream.seen]
    assert keys == ["Bearer sk-old-1234", "Bearer sk-new-1234", "Bearer sk-new-1234"]


# ------------------------------------------------------------------------------------------------ the docs


@pytest.mark.parametrize("name", ["keys.md", "usage.md"])
def test_the_docs_name_commands_that_there_are(name: str) -> None:
    text = (ROOT / "docs" / name).read_text("utf-8")
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]
    found = [shlex.split(line, comments=True) for line in (*lines, *re.findall(r"`(llm-link [^`]+)`", text))]
    ours = [words[1:] for words in found if words[0] == "llm-link"]
    assert len(ours) > 2
    for words in ours:
        check_ours(words[: words.index("<")] if "<" in words else words)


def test_the_config_of_the_docs_works(tmp_path: Path) -> None:
    open_store(tmp_path / "providers.db", SECRET).put(make({"name": "lab", "base_url": "http://h/v1"}), SecretStr(KEY))
    (block,) = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "keys.md").read_text("utf-8"), re.M | re.S)
    (tmp_path / "c.yaml").write_text(block)
    settings = load(tmp_path / "c.yaml", SECRET)
    assert [upstream.keys[0].get_secret_value() for upstream in settings.upstreams.values()] == [KEY, KEY]
