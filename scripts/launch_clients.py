"""How each client is launched: its own configuration in a private home, its environment, its first words.

A plan never touches the user's files. What a client can be told by flags and environment alone it is told so; where it
insists on a home, it gets one of its own with copies of what the user set up: rules, commands, agents, tools.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.launch_homes import carry, entries, mirror, read_json, write, write_json
from scripts.terminal import warn

USUAL_WINDOW = 200_000  # of a model of which nothing is known: Claude Code itself would take it for a million
KEY = "LLM_LINK_API_KEY"  # the variable that holds the proxy's key, for clients that want its name


@dataclass(frozen=True)
class Facts:
    """A model as the client should see it. Sizes in tokens, 0: unknown."""

    id: str
    name: str = ""
    context_window: int = 0
    max_output: int = 0
    tools: bool = True
    vision: bool = False
    reasoning: bool = False


@dataclass(frozen=True)
class Place:
    """Where a client finds us, and where it may write. `model`: None where it may ask for its own; `models`: all that
    there are; `upstream`: the protocol of what answers."""

    url: str
    key: str
    model: Facts | None
    home: Path  # may be kept, and used by several at once
    run: Path  # of this run alone
    own: Path  # the user's home
    environ: dict[str, str]  # the user's, without keys
    binary: str = ""  # the client's program
    models: tuple[Facts, ...] = ()
    upstream: str = ""


@dataclass
class Plan:
    """`words`: what stands between the program and the user's own arguments."""

    env: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


def claude(place: Place) -> Plan:
    own = place.own / ".claude"
    if named := place.environ.get("CLAUDE_CONFIG_DIR"):
        own = Path(named)
    home = place.home / "claude"
    carry(own, home, ("CLAUDE.md", "agents", "commands", "skills", "output-styles", "rules", "keybindings.json"))
    carry(own, home, ("plugins", "themes"))
    if not (home / "settings.json").exists():
        write_json(home / "settings.json", claude_settings(read_json(own / "settings.json")))
    state = read_json(own / ".claude.json" if named else place.own / ".claude.json")
    if not (home / ".claude.json").exists():
        write_json(home / ".claude.json", claude_state(state))
    env = {"ANTHROPIC_BASE_URL": place.url, "ANTHROPIC_AUTH_TOKEN": place.key, **claude_models(place.model)}
    said = {"env": env, "disableDeepLinkRegistration": "disable"}  # else it writes into the desktop's own files
    write_json(place.run / "claude-settings.json", said)  # these come before the settings of a project
    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}
    own_env = {"CLAUDE_CONFIG_DIR": str(home), **quiet, **env}
    return Plan(own_env, ["--settings", str(place.run / "claude-settings.json")])


# What would lead Claude Code elsewhere, or wants a login.
CLAUDE_ELSEWHERE = ("apiKeyHelper", "awsAuthRefresh", "awsCredentialExport", "forceLoginMethod", "model")
CLAUDE_DIVERTERS = ("ANTHROPIC_", "CLAUDE_CODE_USE_", "AWS_", "CLOUD_ML_", "VERTEX_")


def claude_settings(settings: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in settings.items() if name not in CLAUDE_ELSEWHERE}
    if isinstance(env := kept.get("env"), dict):
        kept["env"] = {name: value for name, value in env.items() if not name.startswith(CLAUDE_DIVERTERS)}
    return kept


def claude_state(state: dict[str, Any]) -> dict[str, Any]:
    """Past the first-run questions, with the user's own tools and the folders that the user trusts."""
    kept = {name: state[name] for name in ("theme", "editorMode", "mcpServers", "autoUpdates") if name in state}
    wanted = ("allowedTools", "mcpServers", "enabledMcpjsonServers", "disabledMcpjsonServers", "hasTrustDialogAccepted")
    projects = state.get("projects")
    if isinstance(projects, dict):
        rows = {path: row for path, row in projects.items() if isinstance(row, dict)}
        kept["projects"] = {path: {k: row[k] for k in wanted if k in row} for path, row in rows.items()}
    return {"hasCompletedOnboarding": True, **kept}


def claude_models(model: Facts | None) -> dict[str, str]:
    """Its main model and those that it takes for small work are the one; it compacts within the model's window."""
    if model is None:
        return {}
    names = ("ANTHROPIC_MODEL", *(f"ANTHROPIC_DEFAULT_{size}_MODEL" for size in ("OPUS", "SONNET", "HAIKU")))
    env = dict.fromkeys(names, model.id)
    env["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] = str(model.context_window or USUAL_WINDOW)
    if model.max_output:
        env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(min(model.max_output, 32000))
    return env


def gemini(place: Place) -> Plan:
    own, home = place.own / ".gemini", place.home / "gemini" / ".gemini"
    carry(own, home, ("GEMINI.md", "commands", "agents", "skills", "extensions", "policies", "trustedFolders.json"))
    settings = read_json(home / "settings.json") or read_json(own / "settings.json")
    settings.pop("model", None)
    write_json(home / "settings.json", with_auth(settings, "gemini-api-key"))
    env = {"GEMINI_CLI_HOME": str(home.parent), "GEMINI_API_KEY": place.key, "GOOGLE_GEMINI_BASE_URL": place.url}
    if place.model is not None:
        env["GEMINI_MODEL"] = place.model.id
    return Plan(env)


def qwen(place: Place) -> Plan:
    own, home = Path(place.environ.get("QWEN_HOME") or place.own / ".qwen"), place.home / "qwen"
    carry(own, home, ("QWEN.md", "commands", "agents", "skills", "extensions", "trustedFolders.json"))
    settings = read_json(home / "settings.json") or read_json(own / "settings.json")
    for name in ("model", "modelProviders"):
        settings.pop(name, None)
    write_json(home / "settings.json", with_auth(settings, "openai"))
    env = {"QWEN_HOME": str(home), "OPENAI_BASE_URL": f"{place.url}/v1", "OPENAI_API_KEY": place.key}
    if place.model is not None:
        env["OPENAI_MODEL"] = place.model.id
    return Plan(env)


def with_auth(settings: dict[str, Any], kind: str) -> dict[str, Any]:
    """The settings of Gemini CLI or of Qwen Code, which was made from it: a key, no login."""
    said: dict[str, Any] = {
        "security": {"auth": {"selectedType": kind}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False},
    }
    for name, value in said.items():
        before = settings.get(name)
        settings[name] = {**before, **value} if isinstance(before, dict) else value
    return settings


# protocol of what answers -> the library of opencode's that speaks it, and its path here: the same bytes go through
OPENCODE = {
    "openai-responses": ("@ai-sdk/openai", "/v1"),
    "anthropic": ("@ai-sdk/anthropic", "/v1"),
    "gemini": ("@ai-sdk/google", "/v1beta"),
}


OPENCODE_INSTALLED = {"node_modules", "package.json", "package-lock.json", "bun.lock", "bun.lockb", ".gitignore"}


def opencode(place: Place) -> Plan:
    env = {KEY: place.key, "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"}
    env["OPENCODE_DISABLE_DEFAULT_PLUGINS"] = "1"  # they log in elsewhere, and are installed by npm
    folders = {"CONFIG": ".config", "DATA": ".local/share", "STATE": ".local/state", "CACHE": ".cache"}
    for kind, usual in folders.items():
        name = f"XDG_{kind}_HOME"
        own, home = Path(place.environ.get(name) or place.own / usual), place.home / kind.lower()
        mirror(own, home, lambda entry: entry == "opencode")
        env[name] = str(home)
        if kind == "CONFIG":  # a copy: it writes into what it reads
            carry(own / "opencode", home / "opencode", entries(own / "opencode", OPENCODE_INSTALLED))
    env["npm_config_cache"] = str(place.run / "npm")  # it installs what its plugins need at each start
    env["OPENCODE_CONFIG_CONTENT"] = json.dumps(opencode_config(place))
    return Plan(env)


def opencode_config(place: Place) -> dict[str, Any]:
    library, path = OPENCODE.get(place.upstream, ("@ai-sdk/openai-compatible", "/v1"))
    chosen = place.model or Facts("default")
    rows = {facts.id: opencode_model(facts) for facts in (chosen, *place.models)}
    provider = {
        "npm": library,
        "name": "LLM Link",
        "options": {"baseURL": place.url + path, "apiKey": f"{{env:{KEY}}}"},
        "models": rows,
    }
    model = f"llm-link/{chosen.id}"
    return {"model": model, "small_model": model, "autoupdate": False, "provider": {"llm-link": provider}}


def opencode_model(facts: Facts) -> dict[str, Any]:
    limit = {"context": facts.context_window or 128000, "output": facts.max_output or 8192}
    row: dict[str, Any] = {"name": facts.name or facts.id, "tool_call": facts.tools, "limit": limit}
    if facts.vision:
        row |= {"attachment": True, "modalities": {"input": ["text", "image"], "output": ["text"]}}
    return {**row, "reasoning": True} if facts.reasoning else row


def aider(place: Place) -> Plan:
    """It has no home of its own but `~/.aider`: it gets a home in which all but that leads to the user's."""
    home = place.home / "aider"
    mirror(place.own, home, lambda entry: entry.startswith(".aider"))
    carry(place.own, home, (".aider.conf.yml", ".aider.model.settings.yml"))
    model = place.model or Facts("default")
    name = f"openai/{model.id}"
    sizes = {"max_input_tokens": model.context_window, "max_output_tokens": model.max_output}
    facts = {"litellm_provider": "openai", "mode": "chat", **{k: v for k, v in sizes.items() if v}}
    write_json(home / ".aider.link.json", {name: facts})
    env = {
        "HOME": str(home),
        "OPENAI_API_BASE": f"{place.url}/v1",
        "OPENAI_API_KEY": place.key,
        # What it reads as options comes before the user's file, and after a `.env` that it finds in the project.
        "AIDER_OPENAI_API_BASE": f"{place.url}/v1",
        "AIDER_OPENAI_API_KEY": place.key,
        "AIDER_MODEL": name,
        "AIDER_WEAK_MODEL": name,
        "AIDER_EDITOR_MODEL": name,
        "AIDER_MODEL_METADATA_FILE": str(home / ".aider.link.json"),
        "AIDER_CHECK_UPDATE": "false",
        "AIDER_ANALYTICS": "false",
        "AIDER_SHOW_MODEL_WARNINGS": "false",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    return Plan(env)


def zed(place: Place) -> Plan:
    """Its settings with Ollama's address replaced, in a data folder of its own. It stays in the foreground."""
    home = place.home / "zed"
    own = Path(place.environ.get("XDG_CONFIG_HOME") or place.own / ".config") / "zed"
    carry(own, home / "config", ("keymap.json", "themes", "snippets", "tasks.json"))
    settings = read_json(own / "settings.json")
    models = settings.get("language_models")
    ollama = zed_ollama(place.url, place.models)
    settings["language_models"] = {**(models if isinstance(models, dict) else {}), "ollama": ollama}
    if place.model is not None:
        agent = settings.get("agent")
        chosen = {"default_model": {"provider": "ollama", "model": place.model.id}}
        settings["agent"] = {**(agent if isinstance(agent, dict) else {}), **chosen}
    write_json(home / "config" / "settings.json", settings)
    return Plan({"OLLAMA_API_KEY": place.key}, ["--foreground", "--user-data-dir", str(home)])


def zed_ollama(url: str, models: tuple[Facts, ...]) -> dict[str, Any]:
    rows = [
        {
            "name": facts.id,
            "display_name": facts.name or facts.id,
            "max_tokens": facts.context_window or 128000,
            "supports_tools": facts.tools,
            "supports_images": facts.vision,
            "supports_thinking": facts.reasoning,
        }
        for facts in models
    ]
    return {"api_url": url, **({"available_models": rows} if rows else {})}


def codex(place: Place) -> Plan:
    from scripts.launch_codex import PROVIDER, bundled, catalogue, config

    own, home = Path(place.environ.get("CODEX_HOME") or place.own / ".codex"), place.home / "codex"
    carry(own, home, ("AGENTS.md", "prompts", "skills", "rules"))
    home.mkdir(parents=True, exist_ok=True)
    chosen = (place.model, *place.models) if place.model else ()
    rows = catalogue(bundled(place.binary, home), chosen) if chosen else None
    models = home / "models.json" if rows else None
    if models is not None:
        write_json(models, rows)
    source: Path | None = home / "config.toml" if (home / "config.toml").exists() else own / "config.toml"
    try:
        text = config(source, place.url, place.model, models)
    except ValueError as error:
        warn(f"{source} cannot be read and is not carried over: {error}")
        text = config(None, place.url, place.model, models)
    write(home / "config.toml", text)
    said = {"model_provider": PROVIDER, f"model_providers.{PROVIDER}.base_url": f"{place.url}/v1"}
    words = [word for name, value in said.items() for word in ("-c", f'{name}="{value}"')]  # where a home is shared
    return Plan({"CODEX_HOME": str(home), KEY: place.key}, words)


PLANS: dict[str, Callable[[Place], Plan]] = {
    "codex-cli": codex,
    "claude-code": claude,
    "gemini-cli": gemini,
    "opencode": opencode,
    "qwen-code": qwen,
    "aider": aider,
    "zed": zed,
}
