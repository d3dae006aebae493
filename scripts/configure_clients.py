"""What each client's permanent configuration must hold to point here, and the steps that only its user can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.configure import Asked, Edit, Setup
from scripts.launch_clients import KEY, zed_ollama
from scripts.launch_codex import PROVIDER, provider

ANY = "any"  # what a client is given as its key where the proxy asks for none


def exported(asked: Asked) -> tuple[str, ...]:
    return (f"Before it starts, in its shell: export {KEY}={'YOUR-KEY' if asked.key else ANY}",)


def codex(asked: Asked) -> Setup:
    folder = Path(asked.environ.get("CODEX_HOME") or asked.home / ".codex")
    values: dict[str, Any] = {"model": asked.model} if asked.named else {}
    values |= {"model_provider": PROVIDER, "model_providers": {PROVIDER: provider(asked.url)}}
    return Setup((Edit(folder / "config.toml", "toml", values),), exported(asked))


def claude(asked: Asked) -> Setup:
    folder = Path(asked.environ.get("CLAUDE_CONFIG_DIR") or asked.home / ".claude")
    env = {
        "ANTHROPIC_BASE_URL": asked.url,
        "ANTHROPIC_AUTH_TOKEN": asked.key or ANY,
        "API_TIMEOUT_MS": "600000",
    }
    if asked.named:
        names = ("ANTHROPIC_MODEL", *(f"ANTHROPIC_DEFAULT_{size}_MODEL" for size in ("OPUS", "SONNET", "HAIKU")))
        env |= dict.fromkeys(names, asked.model)
    return Setup((Edit(folder / "settings.json", "json", {"env": env}),))


def gemini(asked: Asked) -> Setup:
    folder = Path(asked.environ.get("GEMINI_CLI_HOME") or asked.home) / ".gemini"
    env = {"GEMINI_API_KEY": asked.key or ANY, "GOOGLE_GEMINI_BASE_URL": asked.url}
    if asked.named:
        env["GEMINI_MODEL"] = asked.model
    auth = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
    return Setup((Edit(folder / "settings.json", "json", auth), Edit(folder / ".env", "env", env)))


def qwen(asked: Asked) -> Setup:
    folder = Path(asked.environ.get("QWEN_HOME") or asked.home / ".qwen")
    auth = {"selectedType": "openai", "apiKey": asked.key or ANY, "baseUrl": f"{asked.url}/v1"}
    values = {"security": {"auth": auth}, "model": {"name": asked.model}}
    return Setup((Edit(folder / "settings.json", "json", values),))


def opencode(asked: Asked) -> Setup:
    folder = Path(asked.environ.get("XDG_CONFIG_HOME") or asked.home / ".config") / "opencode"
    names = ("opencode.jsonc", "opencode.json")
    path = next((folder / name for name in names if (folder / name).exists()), folder / names[1])
    row = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "LLM Link",
        "options": {"baseURL": f"{asked.url}/v1", "apiKey": f"{{env:{KEY}}}"},
        "models": {asked.model: {"name": asked.model, "tool_call": True}},
    }
    values = {"model": f"{PROVIDER}/{asked.model}", "provider": {PROVIDER: row}}
    return Setup((Edit(path, "json", values),), exported(asked))


def aider(asked: Asked) -> Setup:
    values = {
        "openai-api-base": f"{asked.url}/v1",
        "openai-api-key": asked.key or ANY,
        "model": f"openai/{asked.model}",
    }
    return Setup((Edit(asked.home / ".aider.conf.yml", "yaml", values),))


def zed(asked: Asked) -> Setup:
    folder = Path(asked.environ.get("XDG_CONFIG_HOME") or asked.home / ".config") / "zed"
    values: dict[str, Any] = {"language_models": {"ollama": zed_ollama(asked.url, ())}}
    if asked.named:
        values["agent"] = {"default_model": {"provider": "ollama", "model": asked.model}}
    steps = (
        ()
        if not asked.key
        else ("Zed shows the key that it finds in OLLAMA_API_KEY when it starts, or in its settings.",)
    )
    return Setup((Edit(folder / "settings.json", "json", values),), steps)


def continue_(asked: Asked) -> Setup:
    row = {
        "name": "LLM Link",
        "provider": "openai",
        "model": asked.model,
        "apiBase": f"{asked.url}/v1",
        "apiKey": asked.key or ANY,
        "roles": ["chat", "edit", "apply"],
    }
    path = asked.home / ".continue" / "config.yaml"
    head = {} if path.exists() else {"name": "Local Agent", "version": "1.0.0", "schema": "v1"}
    return Setup((Edit(path, "yaml", {**head, "models": [row]}),))


def cline(asked: Asked) -> Setup:
    key = "YOUR-KEY" if asked.key else ANY
    return Setup(
        steps=(
            "In VS Code, Cline's settings (the gear):",
            "  API Provider  OpenAI Compatible",
            f"  Base URL      {asked.url}/v1",
            f"  API Key       {key}",
            f"  Model ID      {asked.model}",
            f"In a terminal:  cline auth -p openai-compatible -k {key} -m {asked.model} -b {asked.url}/v1",
        )
    )


def cherry_studio(asked: Asked) -> Setup:
    return Setup(
        steps=(
            "In Cherry Studio: Settings, Model Provider, Add:",
            "  Provider Name  LLM Link",
            "  Provider Type  OpenAI",
            f"  API Key        {'YOUR-KEY' if asked.key else ANY}",
            f"  API Host       {asked.url}     (it adds /v1/chat/completions itself)",
            f"  Models         Manage lists them, or Add: {asked.model}",
        )
    )


def open_webui(asked: Asked) -> Setup:
    key = "YOUR-KEY" if asked.key else ANY
    inside = asked.url.replace("127.0.0.1", "host.docker.internal")
    return Setup(
        steps=(
            "In Open WebUI: Admin Panel, Settings, Connections, OpenAI API, +:",
            f"  URL  {asked.url}/v1",
            f"  Key  {key}",
            "or in its environment:",
            f"  export OPENAI_API_BASE_URL={asked.url}/v1 OPENAI_API_KEY={key}",
            "or as an Ollama server:",
            f"  export OLLAMA_BASE_URL={asked.url}",
            f"From a container: {inside}, and an address to serve on that it reaches (--host, with --api-key).",
        )
    )


def openhands(asked: Asked) -> Setup:
    key = "YOUR-KEY" if asked.key else ANY
    inside = asked.url.replace("127.0.0.1", "host.docker.internal")
    return Setup(
        steps=(
            "In OpenHands: Settings, LLM, Advanced on:",
            f"  Custom Model  openai/{asked.model}",
            f"  Base URL      {inside}/v1     (without a container: {asked.url}/v1)",
            f"  API Key       {key}",
            "or in its environment:",
            f"  export LLM_MODEL=openai/{asked.model} LLM_BASE_URL={inside}/v1 LLM_API_KEY={key}",
            "A container reaches a proxy that serves on an address of its network: --host, with --api-key.",
        )
    )


SETUPS: dict[str, Callable[[Asked], Setup]] = {
    "codex-cli": codex,
    "claude-code": claude,
    "gemini-cli": gemini,
    "zed": zed,
    "aider": aider,
    "opencode": opencode,
    "qwen-code": qwen,
    "openhands": openhands,
    "cherry-studio": cherry_studio,
    "open-webui": open_webui,
    "continue": continue_,
    "cline": cline,
}
