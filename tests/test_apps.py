"""App presets: what they mean, that they come last, and that several are served by one process."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from addons import apps
from addons.apps import UnknownApp, choose_provider, detect, find, find_all
from addons.catalog import catalogue
from addons.settings import Settings, SettingsError, load
from scripts import serve
from scripts.launch_clients import PLANS
from scripts.serve import Options
from tests.harness import ROOT, Upstream, clean_environ, free_port
from tests.test_cli import llm_link
from tests.test_readme import check_ours

FILE = "upstreams: {own: {protocol: openai-chat, base_url: http://127.0.0.1:9/v1}}\n"


def targets(settings: Settings) -> dict[str, str]:
    return {name: f"{route.targets[0].upstream}/{route.targets[0].model}" for name, route in settings.models.items()}


# ------------------------------------------------------------------------------------------------ the data


def test_every_row_is_whole() -> None:
    rows = apps.apps()
    assert len({row.port for row in rows.values()}) == len(rows)
    assert all(row.provider in catalogue().providers for row in rows.values())
    names = [name for row in rows.values() for name in row.names]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("name", "app"), [("codex", "codex-cli"), ("Claude", "claude-code"), ("zed-dev", "zed")])
def test_an_alias_in_any_case(name: str, app: str) -> None:
    assert find(name).name == app


def test_an_unknown_app_is_named_with_what_there_is() -> None:
    with pytest.raises(UnknownApp, match=r"'codx' \(did you mean codex\?\); there is codex-cli, claude-code"):
        find("codx")


def test_several_with_commas_and_each_once() -> None:
    assert [app.name for app in find_all(["codex,zed", "codex-cli"])] == ["codex-cli", "zed"]


@pytest.mark.parametrize(
    ("named", "agent", "app"),
    [
        ("", "codex_exec/0.169.0 (Debian 12)", "codex-cli"),
        ("", "claude-cli/2.1.328 (external, sdk-cli)", "claude-code"),
        ("", "claude-cli/0.24.4 (external, cli)", "claude-code"),  # Qwen Code says so on Anthropic's wire
        ("", "GeminiCLI-tui/0.61.0/gemini-2 (linux; x64; terminal)", "gemini-cli"),
        ("", "opencode/1.18.33 ai-sdk/provider-utils", "opencode"),
        ("", "QwenCode/0.24.4", "qwen-code"),
        ("", "Zed/0.180.0", "zed"),
        ("ZED.dev", "curl/8", "zed"),
        ("zed", "OpenAI/Python", "zed"),
        ("standard", "Zed/0.180.0", None),  # said, so nothing is guessed
        ("", "OpenAI/Python 2.1", None),
        ("", "", None),
    ],
)
def test_a_client_is_known_by_its_word_and_then_by_its_agent(named: str, agent: str, app: str | None) -> None:
    found = detect(named, agent)
    assert (found.name if found else None) == app


# ------------------------------------------------------------------------------------------------ what a preset means


def test_its_own_vendor_then_any_whose_key_is_set() -> None:
    claude = find("claude")
    assert choose_provider(claude, {}).name == "anthropic"
    assert choose_provider(claude, {"DEEPSEEK_API_KEY": "k"}).name == "deepseek"
    assert choose_provider(claude, {"DEEPSEEK_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}).name == "anthropic"


def test_names_of_the_own_vendor_lead_to_the_default_of_another() -> None:
    settings = load(None, {"ZHIPU_API_KEY": "k"}, serve={"app": ["claude"], "provider": "zhipu"})
    default = catalogue().providers["zhipu"].default_model
    assert targets(settings) == {"claude-*": f"zhipu/{default}", "*": "zhipu/*"}
    assert settings.protocols == ("anthropic",)


def test_a_client_of_its_own_vendor_is_not_translated() -> None:
    settings = load(None, {"OPENAI_API_KEY": "k"}, serve={"app": ["codex"]})
    assert settings.upstreams["openai"].protocol == "openai-responses"
    assert targets(settings) == {"*": "openai/*"}


def test_zed_listens_where_ollama_would() -> None:
    assert load(None, {}, serve={"app": ["zed"]}).upstreams["ollama"].root == "http://127.0.0.1:11435/api"


def test_a_preset_comes_after_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "llm-link.yaml"
    path.write_text(FILE + "models: {x: own/y}\nlisten: 127.0.0.1:7777\n")
    settings = load(path, {"ZHIPU_API_KEY": "k"}, serve={"app": ["codex"]})
    assert list(settings.upstreams) == ["own"] and targets(settings) == {"x": "own/y"}
    assert serve.listening(Options(overrides={"app": ["codex"]}), settings)[-1] == "7777"
    asked = load(path, {}, serve={"app": ["codex"], "protocols": "gemini"})
    assert asked.protocols == ("gemini",)
    named = load(None, {"ZHIPU_API_KEY": "k"}, serve={"app": ["codex"], "provider": "deepseek", "model": "m"})
    assert targets(named) == {"*": "deepseek/m"}


def test_an_unknown_preset_is_the_flags_fault() -> None:
    with pytest.raises(SettingsError, match="--app: there is no app 'nope'"):
        load(None, {}, serve={"app": ["nope"]})


# ------------------------------------------------------------------------------------------------ the command line


def listening(options: Options) -> list[str]:
    return serve.listening(options, load(None, {}, serve=options.overrides))


def test_each_app_has_its_port() -> None:
    one = listening(Options(overrides={"app": ["codex"]}))
    assert one[one.index("--listen-host") + 1 :] == ["127.0.0.1", "--listen-port", "8088"]
    moved = listening(Options(port=9001, overrides={"app": ["codex"]}))
    assert moved[-1] == "9001"
    several = listening(Options(host="::1", overrides={"app": ["codex", "claude"]}))
    assert [word.partition("@")[2] for word in several[1::2]] == ["[::1]:8088", "[::1]:8089"]
    with pytest.raises(SettingsError, match="--port: several apps have a port each"):
        listening(Options(port=9001, overrides={"app": ["codex", "claude"]}))


def test_the_list_and_the_facts(tmp_path: Path) -> None:
    listed = llm_link("--list-apps", cwd=tmp_path)
    assert listed.returncode == 0
    for app in apps.apps().values():
        assert f"  {app.name}" in listed.stdout and f"Port: {app.port}" in listed.stdout
    told = llm_link("--app-info", "claude", cwd=tmp_path)
    assert told.returncode == 0
    for words in ("POST /v1/messages", "8089", "lsof -i :8089", "ANTHROPIC_AUTH_TOKEN", "--provider"):
        assert words in told.stdout
    assert llm_link("apps", "info", "claude", cwd=tmp_path).stdout == told.stdout
    facts = json.loads(llm_link("apps", "info", "zed", "--json", cwd=tmp_path).stdout)
    assert (facts["port"], facts["auth"], facts["protocols"]) == (11434, "none", ["ollama"])
    unknown = llm_link("--app-info", "nope", cwd=tmp_path)
    assert unknown.returncode == 2 and unknown.stderr.startswith("llm-link: there is no app 'nope'")
    assert unknown.stderr.count("\n") == 1


def say_hello(conn: Any, seen: Any) -> None:
    message = {"role": "assistant", "content": "hello"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    conn.json({"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})


def test_two_apps_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their presets as they are, but for the ports, which may be in use here."""
    rows = {name: msgspec.structs.replace(find(name), port=free_port()) for name in ("codex-cli", "claude-code")}
    monkeypatch.setattr(apps, "apps", lambda: rows)
    upstream = Upstream(say_hello)
    over = {"app": list(rows), "base_url": f"{upstream.url}/v1", "api_key": "T", "model": "m"}
    options = Options(overrides=over)
    environ = serve.child_environ(dataclasses.replace(options), clean_environ())
    words = serve.command(options, load(None, environ), environ)
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(words, env=environ, cwd=tmp_path, stdout=out, stderr=out)
    try:
        codex, claude = (f"http://127.0.0.1:{row.port}" for row in rows.values())
        end = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"{claude}/ready")
                break
            except httpx.HTTPError:
                assert time.monotonic() < end and process.poll() is None, log.read_text()
                time.sleep(0.05)
        key = {"authorization": "Bearer T"}
        asked = {"model": "gpt-5", "input": "hi"}
        said = httpx.post(f"{codex}/v1/responses", json=asked, headers=key, timeout=20).json()
        assert said["output"][0]["content"][0]["text"] == "hello"
        asked = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        said = httpx.post(f"{claude}/v1/messages", json=asked, headers={"x-api-key": "T"}, timeout=20).json()
        assert said["content"][0]["text"] == "hello"
        assert httpx.post(f"{claude}/v1/messages", json=asked, timeout=20).status_code == 401
        assert httpx.get(f"{codex}/api/tags", headers=key, timeout=20).status_code == 404  # not spoken by either
    finally:
        process.terminate()
        process.wait(10)
        upstream.stop()


# ------------------------------------------------------------------------------------------------ the page about them


def test_the_page_about_apps_is_true() -> None:
    page = (ROOT / "docs" / "apps.md").read_text("utf-8")
    lines = [
        shlex.split(line)
        for block in re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S)
        for line in block.splitlines()
    ]
    for words in [*lines, *(shlex.split(text) for text in re.findall(r"`(llm-link [^`]+)`", page))]:
        assert words[0] == "llm-link"
        check_ours(words[1:])
        for name in [word for before, word in pairwise(words) if before in ("launch", "configure", "info", "--app")]:
            assert find(name)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page) if "://" not in link]
    assert links and all((ROOT / "docs" / link).exists() for link in links)
    launched = (ROOT / "scripts" / "apps").iterdir()
    assert {find(script.name).name for script in launched} == set(PLANS)
