"""What each launched client is given: its own setup carried over, us laid over it, nothing of the user's written."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from addons.apps import find
from addons.catalog import catalogue
from addons.settings import Settings, load
from scripts import jsonc, launch_codex
from scripts.launch_clients import PLANS, Facts, Place, Plan
from scripts.launch_homes import carry, mirror
from scripts.launch_models import models_for
from scripts.terminal import Trouble
from tests.test_launch import tree

MODEL = Facts("glm-4.6", "GLM-4.6", 200_000, 131_072, True, False, True)
SIGHTED = Facts("seer", "", 0, 0, True, True)
URL, KEY = "http://127.0.0.1:4321", "run-key"


class Bench:
    """A user with files of their own."""

    def __init__(self, tmp: Path, files: dict[str, str]) -> None:
        self.own, self.home, self.run = tmp / "own", tmp / "home", tmp / "run"
        for folder in (self.own, self.home, self.run):
            folder.mkdir()
        for name, text in files.items():
            (self.own / name).parent.mkdir(parents=True, exist_ok=True)
            (self.own / name).write_text(text)

    def plan(self, app: str, model: Facts | None = MODEL, binary: str = "no-such", **more: Any) -> Plan:
        before = tree(self.own)
        place = Place(URL, KEY, model, self.home, self.run, self.own, {}, binary, (MODEL, SIGHTED), **more)
        plan = PLANS[app](place)
        assert tree(self.own) == before
        assert KEY not in " ".join(plan.words)
        return plan


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[dict[str, str]], Bench]:
    return lambda files: Bench(tmp_path, files)


def test_gemini_and_qwen_keep_settings_and_lose_the_login(bench: Callable[[dict[str, str]], Bench]) -> None:
    settings = (
        '{"theme": "x", // mine\n "security": {"auth": {"selectedType": "oauth"}, "a": 1}, "model": {"name": "o"}}'
    )
    user = bench(
        {
            ".gemini/settings.json": settings,
            ".gemini/oauth_creds.json": "{}",
            ".gemini/GEMINI.md": "mine",
            ".qwen/settings.json": settings,
            ".qwen/commands/a.toml": "",
        }
    )
    plan = user.plan("gemini-cli")
    home = Path(plan.env["GEMINI_CLI_HOME"]) / ".gemini"
    written = json.loads((home / "settings.json").read_text())
    assert written["theme"] == "x" and "model" not in written
    assert written["security"]["auth"] == {"selectedType": "gemini-api-key"}
    assert (home / "GEMINI.md").exists() and not (home / "oauth_creds.json").exists()
    assert plan.env["GOOGLE_GEMINI_BASE_URL"] == URL and plan.env["GEMINI_MODEL"] == "glm-4.6"
    plan = user.plan("qwen-code")
    home = Path(plan.env["QWEN_HOME"])
    assert json.loads((home / "settings.json").read_text())["security"]["auth"] == {"selectedType": "openai"}
    assert (home / "commands" / "a.toml").exists() and plan.env["OPENAI_BASE_URL"] == f"{URL}/v1"


def test_a_broken_setting_is_told_of_and_left_out(
    bench: Callable[[dict[str, str]], Bench], capsys: pytest.CaptureFixture[str]
) -> None:
    user = bench({".gemini/settings.json": "{", ".codex/config.toml": "a = "})
    user.plan("gemini-cli")
    user.plan("codex-cli")
    said = capsys.readouterr().err
    assert "settings.json cannot be read and is not carried over" in said
    assert "config.toml cannot be read and is not carried over" in said
    assert tomllib.loads((user.home / "codex" / "config.toml").read_text())["model_provider"] == "llm-link"


@pytest.mark.parametrize(
    ("upstream", "library", "path"),
    [
        ("openai-chat", "@ai-sdk/openai-compatible", "/v1"),
        ("ollama", "@ai-sdk/openai-compatible", "/v1"),
        ("openai-responses", "@ai-sdk/openai", "/v1"),
        ("anthropic", "@ai-sdk/anthropic", "/v1"),
        ("gemini", "@ai-sdk/google", "/v1beta"),
    ],
)
def test_opencode_speaks_what_the_upstream_does(
    bench: Callable[[dict[str, str]], Bench], upstream: str, library: str, path: str
) -> None:
    user = bench({".config/opencode/opencode.json": "{}", ".config/git/config": "mine", ".local/share/x": "1"})
    (user.own / ".config/opencode/node_modules").mkdir()
    plan = user.plan("opencode", upstream=upstream)
    config = json.loads(plan.env["OPENCODE_CONFIG_CONTENT"])
    row = config["provider"]["llm-link"]
    assert (row["npm"], row["options"]["baseURL"]) == (library, URL + path) and KEY not in json.dumps(config)
    assert row["models"]["glm-4.6"]["limit"] == {"context": 200_000, "output": 131_072}
    assert row["models"]["seer"]["modalities"]["input"] == ["text", "image"]
    folder = Path(plan.env["XDG_CONFIG_HOME"])
    assert (folder / "git" / "config").read_text() == "mine"  # what it starts finds its own files
    assert (folder / "opencode" / "opencode.json").exists() and not (folder / "opencode" / "node_modules").exists()
    assert not (folder / "opencode").is_symlink()


def test_aider_has_a_home_in_which_only_its_own_is_another(bench: Callable[[dict[str, str]], Bench]) -> None:
    user = bench({".gitconfig": "mine", ".aider.conf.yml": "dark-mode: true", ".aider/caches/x": "1", "src/a.py": ""})
    plan = user.plan("aider")
    home = Path(plan.env["HOME"])
    assert (home / ".gitconfig").read_text() == "mine" and (home / "src").is_symlink()
    assert (home / ".aider.conf.yml").exists() and not (home / ".aider.conf.yml").is_symlink()
    assert not (home / ".aider").exists()
    facts = json.loads(Path(plan.env["AIDER_MODEL_METADATA_FILE"]).read_text())
    assert facts["openai/glm-4.6"]["max_input_tokens"] == 200_000


def test_zed_has_its_settings_with_another_address(bench: Callable[[dict[str, str]], Bench]) -> None:
    own = '// Zed\n{"vim_mode": true, "language_models": {"openai": {"a": 1}, "ollama": {"api_url": "x"}},}'
    user = bench({".config/zed/settings.json": own, ".config/zed/keymap.json": "[]"})
    plan = user.plan("zed")
    folder = Path(plan.words[plan.words.index("--user-data-dir") + 1]) / "config"
    settings = jsonc.loads((folder / "settings.json").read_text())
    assert settings["vim_mode"] and settings["language_models"]["openai"] == {"a": 1}
    ollama = settings["language_models"]["ollama"]
    assert ollama["api_url"] == URL and [row["name"] for row in ollama["available_models"]] == ["glm-4.6", "seer"]
    assert ollama["available_models"][0]["max_tokens"] == 200_000 and ollama["available_models"][1]["supports_images"]
    assert settings["agent"]["default_model"] == {"provider": "ollama", "model": "glm-4.6"}
    assert (folder / "keymap.json").exists() and "--foreground" in plan.words


# ------------------------------------------------------------------------------------------------ Codex

ROW = {
    "slug": "gpt-5.5",
    "display_name": "GPT-5.5",
    "visibility": "list",
    "supported_in_api": True,
    "priority": 1,
    "context_window": 1,
    "max_context_window": 1,
    "auto_compact_token_limit": None,
    "input_modalities": ["text", "image"],
    "upgrade": {"model": "other"},
    "prefer_websockets": True,
    "supported_reasoning_levels": [{"effort": "low"}],
    "default_reasoning_level": "low",
    "model_messages": {"instructions_template": "You are Codex, a coding agent based on GPT-5. Be kind."},
}
LITE = {**ROW, "slug": "gpt-6", "use_responses_lite": True}


def bundling(folder: Path, rows: list[dict[str, Any]]) -> str:
    """A program that prints rows as Codex does."""
    path = folder / "codex"
    path.write_text(f"#!{sys.executable}\nimport sys\nassert sys.argv[1:] == ['debug', 'models', '--bundled']\n")
    with path.open("a") as file:
        file.write(f"print({json.dumps(json.dumps({'models': rows}))})\n")
    path.chmod(0o755)
    return str(path)


def test_codex_has_a_catalogue_with_windows_and_compaction(
    bench: Callable[[dict[str, str]], Bench], tmp_path: Path
) -> None:
    own = '# mine\nmodel = "own"\nprofile = "x"\nmodel_context_window = 5\n[mcp_servers.m]\ncommand = "true" # keep\n'
    user = bench({".codex/config.toml": own, ".codex/auth.json": "{}", ".codex/AGENTS.md": "mine"})
    plan = user.plan("codex-cli", binary=bundling(tmp_path, [ROW, LITE]))
    home = Path(plan.env["CODEX_HOME"])
    text = (home / "config.toml").read_text()
    config = tomllib.loads(text)
    assert "# keep" in text and config["mcp_servers"]["m"]["command"] == "true"
    assert (config["model"], config["model_provider"]) == ("glm-4.6", "llm-link")
    assert "profile" not in config and "model_context_window" not in config
    assert config["model_providers"]["llm-link"] == {
        "name": "LLM Link",
        "base_url": f"{URL}/v1",
        "env_key": "LLM_LINK_API_KEY",
        "wire_api": "responses",
    }
    assert plan.env["LLM_LINK_API_KEY"] == KEY and KEY not in text
    first, second = json.loads(Path(config["model_catalog_json"]).read_text())["models"]
    assert (first["slug"], first["context_window"], first["upgrade"]) == ("glm-4.6", 200_000, None)
    assert first["auto_compact_token_limit"] == int(0.85 * (200_000 - 100_000))  # an answer may be half of it
    assert first["input_modalities"] == ["text"] and second["input_modalities"] == ["text", "image"]
    assert (second["context_window"], second["auto_compact_token_limit"]) == (200_000, 170_000) and second[
        "supported_reasoning_levels"
    ] == []
    assert first["model_messages"]["instructions_template"] == "You are Codex, a coding agent. Be kind."
    assert not (home / "auth.json").exists() and (home / "AGENTS.md").exists()
    again = user.plan("codex-cli", binary=bundling(tmp_path, [ROW]))  # a kept home: its own file is the one that counts
    assert again.env == plan.env and tomllib.loads((home / "config.toml").read_text()) == config


def test_codex_without_a_catalogue_is_told_the_window(bench: Callable[[dict[str, str]], Bench], tmp_path: Path) -> None:
    user = bench({})
    user.plan("codex-cli", binary=bundling(tmp_path, [LITE]))
    config = tomllib.loads((user.home / "codex" / "config.toml").read_text())
    assert config["model_context_window"] == 200_000 and config["model_auto_compact_token_limit"] == 85_000
    assert "model_catalog_json" not in config


def test_codex_on_its_own_vendor_keeps_its_own_models(bench: Callable[[dict[str, str]], Bench]) -> None:
    user = bench({})
    user.plan("codex-cli", model=None)
    config = tomllib.loads((user.home / "codex" / "config.toml").read_text())
    assert "model" not in config and "model_catalog_json" not in config


@pytest.mark.parametrize(
    ("facts", "limit"),
    [
        (Facts("a", "", 200_000, 8_192), int(0.85 * 191_808)),
        (Facts("a", "", 8_192, 8_192), int(0.85 * 4_096)),
        (Facts("a"), 0),
    ],
)
def test_compaction_leaves_room_for_an_answer(facts: Facts, limit: int) -> None:
    assert launch_codex.compact_limit(facts) == limit


# ------------------------------------------------------------------------------------------------ which model

OWN = "upstreams: {u: {protocol: openai-chat, base_url: http://127.0.0.1:9/v1}}\n"


def told(app: str, settings: Settings, named: str | None = None, configured: bool = True) -> str | None:
    model, _, _ = models_for(find(app), settings, named, configured)
    return model.id if model else None


@pytest.mark.parametrize(
    ("models", "app", "model"),
    [
        ("{claude-*: u/big, small: u/small}", "claude", None),  # it has a place in the file
        ("{claude-*: u/big, small: u/small}", "codex", "small"),
        ("{claude-*: u/big, small: u/small}", "aider", "small"),
        ("{'*': u/big}", "claude", "big"),  # everything leads to it: it is told what it gets
        ("{gpt-*: u/big}", "claude", "u/big"),
        ("{fast: [u/a, u/b]}", "claude", "fast"),
    ],
)
def test_the_model_of_a_config_file(tmp_path: Path, models: str, app: str, model: str | None) -> None:
    path = tmp_path / "llm-link.yaml"
    path.write_text(f"{OWN}models: {models}\n")
    assert told(app, load(path, {}, serve={"app": [app]})) == model


def test_the_model_of_a_provider() -> None:
    keys = {"ZHIPU_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
    default = catalogue().providers["zhipu"].default_model
    assert told("claude", load(None, keys, serve={"app": ["claude"]}), configured=False) is None
    zhipu = load(None, keys, serve={"app": ["claude"], "provider": "zhipu"})
    assert told("claude", zhipu, configured=False) == default
    assert told("aider", load(None, keys, serve={"app": ["aider"], "provider": "zhipu"}), configured=False) == default
    named = load(None, keys, serve={"app": ["claude"], "provider": "zhipu", "model": "glm-4.6"})
    model, others, protocol = models_for(find("claude"), named, "glm-4.6", False)
    assert model is not None and (model.id, model.context_window) == ("glm-4.6", 200_000)
    assert others == () and protocol == "openai-chat"


def test_a_model_that_leads_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "llm-link.yaml"
    path.write_text(f"{OWN}models: {{a: u/a}}\n")
    with pytest.raises(Trouble, match="--model: The model 'b' is not known here. There is: a"):
        told("claude", load(path, {}, serve={"app": ["claude"]}), "b")


# ------------------------------------------------------------------------------------------------ homes


def test_what_is_too_large_is_not_carried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    (source / "big").mkdir(parents=True)
    with (source / "big" / "file").open("wb") as file:
        file.truncate(21 << 20)
    (source / "small").write_text("x")
    home.mkdir()
    carry(source, home, ("big", "small", "none"))
    assert sorted(os.listdir(home)) == ["small"] and "big is larger than 20 MB" in capsys.readouterr().err


def test_what_cannot_be_copied_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    (source / "agents").mkdir(parents=True)
    (source / "agents" / "good.md").write_text("x")
    os.mkfifo(source / "agents" / "pipe")  # a copy of it would wait for ever
    (source / "agents" / "gone").symlink_to(source / "nowhere")
    (source / "rules").write_text("x")
    home.mkdir()
    carry(source, home, ("agents", "rules"))
    assert "agents is not carried over" in capsys.readouterr().err
    assert (home / "agents" / "good.md").exists() and (home / "rules").exists()


def test_a_mirror_links_and_leaves_out(tmp_path: Path) -> None:
    own, home = tmp_path / "own", tmp_path / "home"
    (own / "a").mkdir(parents=True)
    (own / "skip").mkdir()
    mirror(own, home, lambda name: name == "skip")
    mirror(own, home, lambda name: name == "skip")  # a kept home has them already
    assert os.listdir(home) == ["a"] and (home / "a").is_symlink()
    mirror(tmp_path / "none", tmp_path / "other", lambda name: False)
    assert not os.listdir(tmp_path / "other")
