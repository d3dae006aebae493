"""`llm-link init`: what it asks, what it writes, and what it leaves alone."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from addons.settings import load, read_env_file
from scripts.cli import run
from scripts.init_text import scalar
from tests.harness import clean_environ
from tests.terminal import INTERRUPT, Shown, converse

CLI = Path(__file__).resolve().parent.parent / "scripts" / "cli.py"


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is home and working directory, and an environment without keys and programs."""
    for name in os.environ.keys() - clean_environ().keys():
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def values(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def asked(answers: list[tuple[str, str]], cwd: Path, *words: str, **environ: str) -> Shown:
    full = {**os.environ, "COLUMNS": "200", "TERM": "xterm", **environ}
    return converse([sys.executable, CLI, "init", *words], answers, cwd, full)


# ------------------------------------------------------------------------------------------------ flags alone


def test_one_provider_and_yes(at_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--provider", "zhipu", "--yes"]) == 0
    out = capfd.readouterr().out
    assert "export ZHIPU_API_KEY=…" in out and "llm-link serve --config llm-link.yaml" in out
    assert [path.name for path in at_home.iterdir()] == ["llm-link.yaml"]
    assert run(["check", "llm-link.yaml"]) == 0
    settings = load(Path("llm-link.yaml"), {"ZHIPU_API_KEY": "k"})
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 8080)  # type: ignore[union-attr]
    assert settings.auth.mode == "none" and settings.upstreams["zhipu"].key is not None
    assert settings.models["*"].targets[0].model == settings.upstreams["zhipu"].provider.default_model  # type: ignore[union-attr]
    assert Path("llm-link.yaml").read_text().count("#") > 8  # every line that may be changed says what it is


def test_yes_alone_takes_the_providers_with_keys(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(["init", "--yes"]) == 2
    assert "--provider" in capfd.readouterr().err
    monkeypatch.setenv("MOONSHOT_API_KEY", "sk-moon-1")
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-deep-1")
    assert run(["init", "--yes"]) == 0
    assert set(values(Path("llm-link.yaml"))["upstreams"]) == {"moonshot", "deepseek"}
    out = capfd.readouterr().out
    assert "export" not in out and "sk-" not in Path("llm-link.yaml").read_text() + out


def test_all_that_can_be_said(at_home: Path, capfd: Any) -> None:
    words = ["--base-url", "http://127.0.0.1:9/v1", "--protocol", "openai-responses", "--model", "qwen:7b"]
    words += ["--provider", "minimax:cn", "--client", "claude", "--client", "codex-cli,zed", "--host", "::1"]
    words += ["--port", "9191", "--auth", "proxy_key", "-o", "lab.yaml", "-y"]
    assert run(["init", *words]) == 0
    env_file = at_home / ".env"
    key = read_env_file(env_file)["LLM_LINK_API_KEY"]
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600 and len(key) > 30
    settings = load(Path("lab.yaml"), {"LLM_LINK_API_KEY": key})
    assert (settings.listen.host, settings.listen.port) == ("::1", 9191)  # type: ignore[union-attr]
    assert settings.auth.mode == "proxy_key" and len(settings.auth.keys) == 1
    first, second = settings.upstreams.values()
    assert (first.protocol, first.root, second.provider.name, second.region) == (  # type: ignore[union-attr]
        "openai-responses", "http://127.0.0.1:9/v1", "minimax", "cn",
    )  # fmt: skip
    assert settings.models["claude-*"].targets[0].model == "qwen:7b"
    assert settings.models["*"].targets[0].model == "*"
    said = capfd.readouterr()
    assert key not in said.out + said.err and "llm-link launch codex --config lab.yaml" in said.out


def test_the_names_of_its_own_clients_are_left_to_a_provider(capfd: Any) -> None:
    assert run(["init", "--provider", "anthropic", "--client", "claude", "--client", "codex", "--yes"]) == 0
    models = values(Path("llm-link.yaml"))["models"]
    assert "claude-*" not in models and "gpt-*" in models and models["*"] == "anthropic/*"


def test_keys_are_put_where_they_are_wanted(at_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(["init", "--provider", "zhipu", "--keys", "dotenv", "--yes"]) == 2
    assert "ZHIPU_API_KEY" in capfd.readouterr().err
    monkeypatch.setenv("ZHIPU_API_KEY", "sk-zhipu-1")
    (at_home / ".env").write_text("# mine\nOTHER=1\nexport ZHIPU_API_KEY=old")
    assert run(["init", "--provider", "zhipu", "--keys", "dotenv", "--yes", "--force"]) == 0
    assert (at_home / ".env").read_text() == "# mine\nOTHER=1\nZHIPU_API_KEY='sk-zhipu-1'\n"
    monkeypatch.setenv("LLM_LINK_SECRET", "a secret that is long enough")
    assert run(["init", "--provider", "zhipu", "--keys", "store", "--yes", "--force"]) == 0
    said = capfd.readouterr()
    assert "encrypted" in said.out and "sk-zhipu-1" not in said.out + said.err
    monkeypatch.delenv("ZHIPU_API_KEY")
    (at_home / ".env").unlink()
    assert run(["check", "llm-link.yaml"]) == 0
    assert "the key store" in capfd.readouterr().out


# ------------------------------------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no terminal"),
        (["--provider", "zhipu"], "--yes"),
        (["--provider", "zhpu", "--yes"], "did you mean zhipu?"),
        (["--provider", "minimax:mars", "--yes"], "no region 'mars'"),
        (["--base-url", "htp://x", "--yes"], "llm-link.yaml:"),
        (["--protocol", "gemini", "--provider", "zhipu", "--yes"], "--base-url"),
        (["--protocol", "smtp", "--yes"], "openai-chat"),
        (["--client", "cluade-code", "--provider", "zhipu", "--yes"], "did you mean claude-code?"),
        (["--auth", "nobody", "--yes"], "proxy_key"),
        (["--provider", "zhipu", "-o", "gone/x.yaml", "--yes"], "cannot be written"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(
    words: list[str], says: str, at_home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert run(["init", *words]) in (1, 2)
    said = capfd.readouterr()
    assert says in said.err and said.err.count("\n") == 1 and said.err.startswith("llm-link: "), said
    assert list(at_home.iterdir()) == []


def test_a_file_that_is_there_stays(at_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = at_home / "llm-link.yaml"
    path.write_text("mine")
    assert run(["init", "--provider", "zhipu", "--yes"]) == 2
    assert path.read_text() == "mine" and "--force" in capfd.readouterr().err
    shown = asked([("Replace it?", "\n")], at_home)
    assert (shown.code, path.read_text()) == (1, "mine") and "nothing was written" in shown.text
    assert run(["init", "--provider", "zhipu", "--yes", "--force"]) == 0


# ------------------------------------------------------------------------------------------------ a conversation


def test_a_conversation(at_home: Path) -> None:
    answers = [
        ("Which ones", "zhpu\n"),
        ("did you mean zhipu?", "zhipu, http://127.0.0.1:9/v1\n"),
        ("set later): ", "sk-zhipu-1\n"),
        ("Keep it in", "dotenv\n"),
        ("Default model", "glm-4.6\n"),
        ("Clients", "claude\n"),
        ("Port", "99999\n"),
        ("is no port", "8099\n"),
        ("Who may call it", "client_key\n"),
    ]
    shown = asked(answers, at_home)
    assert shown.code == 0 and "sk-zhipu-1" not in shown.text, shown.text
    assert read_env_file(at_home / ".env") == {"ZHIPU_API_KEY": "sk-zhipu-1"}
    found = values(at_home / "llm-link.yaml")
    assert found["models"] == {"claude-*": "zhipu/glm-4.6", "*": "zhipu/*"}
    assert (found["listen"], found["auth"]["mode"]) == ("127.0.0.1:8099", "client_key")
    assert list(found["upstreams"]) == ["zhipu", "upstream"]


@pytest.mark.parametrize("key", [INTERRUPT, "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_who_stops_in_between_has_nothing_written(key: str, at_home: Path) -> None:
    shown = asked([("[ollama]: ", key)], at_home)
    assert shown.code in (1, 130) and "Traceback" not in shown.text
    assert list(at_home.iterdir()) == []


@pytest.mark.parametrize("word", ["a/*", "qwen:7b", "true", "no", "http://x:1/v1", "a # b", "ü/x", "12", "a-b/c.d/e"])
def test_every_name_is_read_back(word: str) -> None:
    assert yaml.safe_load(f"k: {scalar(word)} # remark") == {"k": word}
