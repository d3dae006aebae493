"""The same clients as a user has them: configured for good by `apps configure`, or run by `launch`.

Nothing else points them at the proxy: no variable, no file, no flag. A launched client's user has a home with files of
their own in it, which must be as they were.
"""

from __future__ import annotations

from dataclasses import replace

from scripts.clients_table import CLIENTS, MODEL, Client

CLI = ("$python", "$here/cli.py")

# app -> how it is run without a person, with nothing said of where it finds its model
WORDS = {
    "codex-cli": "codex exec --dangerously-bypass-approvals-and-sandbox --skip-git-repo-check -C $work $task",
    "claude-code": "claude -p $task --dangerously-skip-permissions",
    "gemini-cli": "gemini --yolo --skip-trust -p $task",
    "opencode": "opencode run --auto $task",
    "qwen-code": "qwen --yolo -p $task",
    "aider": "aider --yes-always --no-git --no-check-update --analytics-disable --no-show-model-warnings --no-pretty"
    " --edit-format diff --map-tokens 0 --message $task hello.txt",
}
# What a machine without a person needs beside that.
ALONE = {
    "claude-code": {"IS_SANDBOX": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"},
    "gemini-cli": {"GEMINI_CLI_TRUST_WORKSPACE": "true"},
    "opencode": {f"OPENCODE_DISABLE_{name}": "1" for name in ("MODELS_FETCH", "AUTOUPDATE", "LSP_DOWNLOAD")},
    "aider": {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
}
# The user's own, which a launch must leave alone and may read.
OWN = {
    ".claude/settings.json": '{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1", "ANTHROPIC_AUTH_TOKEN": "own"}}',
    ".claude.json": '{"theme": "dark"}',
    ".codex/config.toml": '# mine\nmodel = "own"\nmodel_provider = "openai"\n[tui]\nnotifications = false\n',
    ".gemini/settings.json": '{"security": {"auth": {"selectedType": "oauth-personal"}}, // mine\n}',
    ".qwen/settings.json": '{"security": {"auth": {"selectedType": "qwen-oauth"}}}',
    ".config/opencode/opencode.json": '{"model": "anthropic/own", "permission": {"edit": "allow", "bash": "allow"}}',
    ".aider.conf.yml": "model: gpt-own\nopenai-api-base: http://127.0.0.1:1\n",
}
PACKAGES = {
    "codex-cli": "Codex CLI",
    "claude-code": "Claude Code",
    "gemini-cli": "Gemini CLI",
    "opencode": "opencode",
    "qwen-code": "Qwen Code",
    "aider": "aider",
}


def row(app: str) -> Client:
    """The first row of its program: what it is, with nothing of how it is pointed anywhere."""
    return next(client for client in CLIENTS if client.program == PACKAGES[app])


def configured(app: str) -> Client:
    words = (*CLI, "apps", "configure", app, "--url", "$url", "--model", MODEL, "--yes")
    env = {**ALONE.get(app, {}), "LLM_LINK_API_KEY": "any"}
    name = f"{PACKAGES[app]}, configured"
    return replace(row(app), name=name, words=tuple(WORDS[app].split()), env=env, files={}, before=words)


def launched(app: str) -> Client:
    own = WORDS[app].split()[1:]  # its program is found by the launcher
    words = (*CLI, "launch", app, "--config", "$config", "--model", MODEL, "--", *own)
    name, env = f"{PACKAGES[app]}, launched", {**ALONE.get(app, {}), "ZHIPU_API_KEY": "a-provider's"}
    wire = "" if app == "opencode" else row(app).wire  # it is made to speak what the upstream does
    return replace(row(app), name=name, wire=wire, words=words, env=env, files=OWN, untouched=True)


WAYS = {"configured": configured, "launched": launched}
ROWS = tuple(way(app) for app in WORDS for way in WAYS.values())
