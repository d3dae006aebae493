"""`llm-link apps configure`: what is in a file stays in it, and what was written makes the client find us."""

from __future__ import annotations

import json
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from addons.apps import apps
from scripts import jsonc
from scripts.configure import Asked, change_env, change_toml, change_yaml, hidden
from scripts.configure_clients import SETUPS
from tests.harness import Proxy, Upstream, proxy
from tests.test_apps import say_hello
from tests.test_cli import llm_link

NEW = {"a": {"b": 2, "n": {"m": [1, {"x": 1}]}}, "k": "é"}


# ------------------------------------------------------------------------------------------------ JSON with comments


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"a":1}',
        '{\n  "a": 1, // one\n  /* x */\n  "b": {"c": [1,2,],},\n}\n',
        '{\n\t"a": {\n\t}\n}',
        "// top\n{ // x\n}\n",
        '{"a": {"b": 1}, "z": "http://x // no comment" }',
        '{\n  "z": 1 // last\n  // more\n}',
        '{\r\n  "z": 1\r\n}\r\n',
        '\ufeff{"a": {"n": {"o": 1}}}',
    ],
)
def test_values_are_laid_into_json_and_all_else_stays(text: str) -> None:
    after = jsonc.change(text, NEW)
    assert jsonc.loads(after) == jsonc.merged(jsonc.loads(text) if text else {}, NEW)
    assert jsonc.change(after, NEW) == after
    for comment in re.findall(r"// (?:one|top|x\n|last|more)|/\* x \*/", text):
        assert comment in after
    assert "\t" not in text or "\n\t\t" in after  # it indents as the file does


def test_a_change_leaves_the_other_lines_as_they_are() -> None:
    text = '{\n    // mine\n    "theme": "One",   // odd   spacing\n    "language_models": {"openai": {"x": 1}},\n}\n'
    after = jsonc.change(text, {"language_models": {"ollama": {"api_url": "http://u"}}})
    assert after.startswith('{\n    // mine\n    "theme": "One",   // odd   spacing\n')
    assert jsonc.loads(after)["language_models"] == {"openai": {"x": 1}, "ollama": {"api_url": "http://u"}}


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": }', '{"a": 1} x', "{'a': 1}", '{"a": 1, "a": 2}', '"x"', "{{}}"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        jsonc.change(text, {"k": 1})


# ------------------------------------------------------------------------------------------------ the other forms


def test_toml_keeps_comments_and_tables() -> None:
    text = '# mine\nmodel = "o" # keep\n\n[tui]\nnotifications = false\n\n[model_providers.other]\nname = "Other"\n'
    values = {"model": "m", "model_provider": "llm-link", "model_providers": {"llm-link": {"name": "L"}}}
    after = change_toml(text, values)
    assert "# mine" in after and "# keep" in after
    found = tomllib.loads(after)
    assert found["model"] == "m" and found["model_provider"] == "llm-link" and found["tui"] == {"notifications": False}
    assert found["model_providers"] == {"other": {"name": "Other"}, "llm-link": {"name": "L"}}
    assert change_toml(after, values) == after
    assert tomllib.loads(change_toml("", values)) == values


def test_yaml_keeps_comments_and_replaces_our_entry_alone() -> None:
    text = "# mine\nname: X   # keep\nmodels:\n  - name: Own\n    model: o # o\n  - name: LLM Link\n    model: old\n"
    values = {"models": [{"name": "LLM Link", "model": "new"}]}
    after = change_yaml(text, values)
    assert "# mine" in after and "# keep" in after and "# o" in after
    own, ours = yaml.safe_load(after)["models"]
    assert own == {"name": "Own", "model": "o"} and ours == {"name": "LLM Link", "model": "new"}
    assert change_yaml(after, values) == after


def test_env_lines_change_where_they_are() -> None:
    text = "# mine\nGEMINI_API_KEY=old\nexport OTHER=1"
    after = change_env(text, {"GEMINI_API_KEY": "k", "NEW": "n"})
    assert after == "# mine\nGEMINI_API_KEY=k\nexport OTHER=1\nNEW=n\n"
    assert change_env(after, {"GEMINI_API_KEY": "k", "NEW": "n"}) == after


def test_keys_are_not_shown() -> None:
    assert hidden('+  "ANTHROPIC_AUTH_TOKEN": "T-1"', "T-1") == '+  "ANTHROPIC_AUTH_TOKEN": "***"'
    assert hidden("   openai-api-key: sk-other", "T-1") == "   openai-api-key: ***"
    assert hidden('+env_key = "LLM_LINK_API_KEY"', "T-1") == '+env_key = "LLM_LINK_API_KEY"'


# ------------------------------------------------------------------------------------------------ the command


def configure(home: Path, app: str, *more: str, **environ: str) -> Any:
    return llm_link("apps", "configure", app, *more, cwd=home, **environ)


def test_a_diff_a_backup_and_the_rights_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / ".claude" / "settings.json"
    path.parent.mkdir()
    before = '{\n  "theme": "dark", "env": {"A": "1"}\n}\n'
    path.write_text(before)
    path.chmod(0o640)
    shown = configure(tmp_path, "claude", "--api-key", "T-secret")
    assert shown.returncode == 0 and "+" in shown.stdout and "--yes writes it" in shown.stdout
    assert path.read_text() == before and "T-secret" not in shown.stdout
    done = configure(tmp_path, "claude", "--api-key", "T-secret", "--yes")
    assert done.returncode == 0 and "T-secret" not in done.stdout + done.stderr
    written = json.loads(path.read_text())
    assert written["theme"] == "dark" and written["env"]["A"] == "1"
    assert written["env"]["ANTHROPIC_AUTH_TOKEN"] == "T-secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    (kept,) = path.parent.glob("settings.json.before-llm-link-*")
    assert kept.read_text() == before and str(kept) in done.stdout
    again = configure(tmp_path, "claude", "--api-key", "T-secret", "--yes")
    assert "points here already" in again.stdout and len(list(path.parent.iterdir())) == 2


def test_a_link_of_somebodys_dotfiles_stays_one(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "aider.yml"
    real.write_text("dark-mode: true # mine\n")
    (tmp_path / ".aider.conf.yml").symlink_to(real)
    assert configure(tmp_path, "aider", "--model", "m", "--yes").returncode == 0
    assert (tmp_path / ".aider.conf.yml").is_symlink()
    assert "# mine" in real.read_text() and yaml.safe_load(real.read_text())["model"] == "openai/m"


@pytest.mark.parametrize(
    ("app", "name", "text"),
    [
        ("zed", ".config/zed/settings.json", '{"theme": "x", // mine\n'),
        ("claude", ".claude/settings.json", "[1]"),
        ("codex", ".codex/config.toml", "model = \n"),
        ("codex", ".codex/config.toml", 'model_providers = "x"\n[model_providers.a]\n'),
        ("aider", ".aider.conf.yml", "a: [1\n"),
        ("continue", ".continue/config.yaml", "- 1\n"),
    ],
)
def test_a_broken_file_is_reported_and_not_touched(tmp_path: Path, app: str, name: str, text: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    done = configure(tmp_path, app, "--yes")
    assert done.returncode == 1 and "left as it is" in done.stderr.replace("was left", "left")
    assert str(path) in done.stderr and len(done.stderr.splitlines()) == 1
    assert path.read_text() == text and [entry.name for entry in path.parent.iterdir() if entry.is_file()] == [
        path.name
    ]


def test_what_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    folder = tmp_path / ".claude"
    folder.symlink_to("/proc/self")  # a folder in which nobody makes files
    done = configure(tmp_path, "claude", "--yes")
    assert done.returncode == 1 and "cannot be written, and was left as it is" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_printing_touches_nothing(tmp_path: Path) -> None:
    done = configure(tmp_path, "codex", "--print", "--url", "http://127.0.0.1:9000/v1")
    assert done.returncode == 0 and not list(tmp_path.iterdir())
    text = done.stdout[done.stdout.index("model_provider") : done.stdout.index("Before it starts")]
    assert tomllib.loads(text)["model_providers"]["llm-link"]["base_url"] == "http://127.0.0.1:9000/v1"


@pytest.mark.parametrize("url", ["nowhere", "ftp://x", "http://127.0.0.1:1/other"])
def test_a_wrong_address_is_refused(tmp_path: Path, url: str) -> None:
    done = configure(tmp_path, "codex", "--url", url, "--yes")
    assert done.returncode == 2 and "--url: expected" in done.stderr and not list(tmp_path.iterdir())


def test_every_app_has_a_setup_that_says_something(tmp_path: Path) -> None:
    assert set(SETUPS) == set(apps())
    for app in apps().values():
        setup = SETUPS[app.name](Asked(app, "http://127.0.0.1:9", "", "m", True, tmp_path))
        assert setup.edits or setup.steps


# ------------------------------------------------------------------------------------------------ those that cannot run
# here: what was written is read as they do, and what they would call is called.


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    upstream = Upstream(say_hello)
    config = {
        "auth": {"mode": "proxy_key", "keys": [{"value": "T"}]},
        "upstreams": {"u": {"protocol": "openai-chat", "base_url": f"{upstream.url}/v1"}},
        "models": {"glm": "u/glm"},
    }
    with proxy(tmp_path_factory.mktemp("link"), config) as running:
        yield running
    upstream.stop()


def chat(url: str, key: str, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    answer = httpx.post(f"{url}/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}, timeout=20)
    return str(answer.json()["choices"][0]["message"]["content"])


def listed(url: str, key: str) -> list[str]:
    answer = httpx.get(f"{url}/models", headers={"authorization": f"Bearer {key}"}, timeout=20)
    return [row["id"] for row in answer.json()["data"]]


def steps(link: Proxy, home: Path, app: str) -> str:
    done = configure(home, app, "--url", link.url, "--api-key", "T", "--model", "glm", "--yes")
    assert done.returncode == 0, done.stderr
    assert not list(home.iterdir())
    return str(done.stdout)


def test_zed(link: Proxy, tmp_path: Path) -> None:
    path = tmp_path / ".config" / "zed" / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text('// Zed\n{\n  "vim_mode": true, // mine\n}\n')
    assert configure(tmp_path, "zed", "--url", link.url, "--model", "glm", "--yes").returncode == 0
    settings = jsonc.loads(path.read_text())
    assert settings["vim_mode"] and "// mine" in path.read_text()
    url, model = settings["language_models"]["ollama"]["api_url"], settings["agent"]["default_model"]["model"]
    own = {"authorization": "Bearer T", "user-agent": "Zed/0.200.0"}
    with httpx.Client(base_url=url, headers=own, timeout=20) as zed:
        assert [row["name"] for row in zed.get("/api/tags").json()["models"]] == [model]
        assert "tools" in zed.post("/api/show", json={"model": model}).json()["capabilities"]
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": False}
        assert zed.post("/api/chat", json=body).json()["message"]["content"] == "hello"


def test_continue(link: Proxy, tmp_path: Path) -> None:
    done = configure(tmp_path, "continue", "--url", link.url, "--api-key", "T", "--model", "glm", "--yes")
    assert done.returncode == 0
    file = yaml.safe_load((tmp_path / ".continue" / "config.yaml").read_text())
    assert file["schema"] == "v1" and file["name"] and file["version"]
    (model,) = file["models"]
    assert chat(model["apiBase"], model["apiKey"], model["model"]) == "hello"


def test_cline(link: Proxy, tmp_path: Path) -> None:
    said = steps(link, tmp_path, "cline")
    url, model = re.search(r"Base URL +(\S+)", said), re.search(r"Model ID +(\S+)", said)
    assert url and model and chat(url[1], "T", model[1]) == "hello"
    assert f"cline auth -p openai-compatible -k YOUR-KEY -m glm -b {link.url}/v1" in said


def test_cherry_studio(link: Proxy, tmp_path: Path) -> None:
    host = re.search(r"API Host +(\S+)", steps(link, tmp_path, "cherry-studio"))
    assert host and chat(f"{host[1]}/v1", "T", "glm") == "hello" and listed(f"{host[1]}/v1", "T") == ["glm"]


def test_open_webui(link: Proxy, tmp_path: Path) -> None:
    said = steps(link, tmp_path, "open-webui")
    openai, ollama = re.search(r"OPENAI_API_BASE_URL=(\S+)", said), re.search(r"OLLAMA_BASE_URL=(\S+)", said)
    assert openai and listed(openai[1], "T") == ["glm"] and chat(openai[1], "T", "glm") == "hello"
    assert ollama
    with httpx.Client(base_url=ollama[1], headers={"authorization": "Bearer T"}, timeout=20) as page:
        assert [row["model"] for row in page.get("/api/tags").json()["models"]] == ["glm"]
        assert page.get("/api/version").json()["version"] and page.get("/api/ps").json() == {"models": []}


def test_openhands(link: Proxy, tmp_path: Path) -> None:
    said = steps(link, tmp_path, "openhands")
    url, model = re.search(r"without a container: (\S+)\)", said), re.search(r"LLM_MODEL=openai/(\S+)", said)
    assert url and model and chat(url[1], "T", model[1]) == "hello"
    assert "host.docker.internal" in said
