"""The clients that LLM Link is tried with: what is installed, at which version, and how each is run without a person.

In words, environment and files `$url` stands for the proxy, `$home` for the client's own home, `$work` for the empty
folder that it works in, `$model` for the model's name, `$task` for what it is asked, `$here` for this file's folder,
`$python` and `$config` for ours and for the proxy's config file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

# Node.js comes as an npm package too: some of these want 22 or newer, and a machine's own may be older.
NPM = {
    "node": "22.23.3",
    "@anthropic-ai/claude-code": "2.1.328",
    "@google/gemini-cli": "0.61.0",
    "@openai/codex": "0.169.0",
    "@qwen-code/qwen-code": "0.24.4",
    "opencode-ai": "1.18.33",
}
# a venv's name -> what is in it; the first gives the client its version
PYTHON = {
    "aider": {"aider-chat": "0.86.2"},
    "llm": {"llm": "0.36", "llm-anthropic": "0.30", "llm-ollama": "0.19.1"},
    "ollama": {"ollama": "0.6.3"},
}
BELOW = {"aider": (3, 13)}  # venvs that no newer Python can make

MODEL = "scripted-model"


@dataclass(frozen=True)
class Client:
    """`package`: its key in NPM, or in PYTHON; `wire`: the protocol that it must be seen to speak, "" for any."""

    name: str
    package: str
    wire: str
    words: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # under its home
    model: str = MODEL
    makes: tuple[str, ...] = ("hello.txt", "hello.txt.more")
    survives: tuple[str, ...] = ("cut", "error")  # the faults in a stream after which it asks again
    fails: bool = True  # where it cannot go on, its exit code says so
    explains: bool = True  # and its output why
    before: tuple[str, ...] = ()  # what is run first, in its environment
    untouched: bool = False  # its home must be as it was

    @property
    def program(self) -> str:
        """Its name without what this row of it is."""
        return self.name.partition(",")[0]

    @property
    def version(self) -> str:
        return NPM.get(self.package) or next(iter(PYTHON.get(self.package, {}).values()), "")

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"


def codex(name: str, model: str) -> Client:
    config = f"""
        model = "{model}"
        model_provider = "link"
        [model_providers.link]
        name = "link"
        base_url = "$url/v1"
        env_key = "LINK_KEY"
        wire_api = "responses"
    """
    words = "codex exec --dangerously-bypass-approvals-and-sandbox --skip-git-repo-check -C $work $task"
    return Client(
        name,
        "@openai/codex",
        "openai-responses",
        tuple(words.split()),
        {"CODEX_HOME": "$home/.codex", "LINK_KEY": "any"},
        {".codex/config.toml": config},
        model,
    )


CLAUDE_CODE = Client(
    "Claude Code",
    "@anthropic-ai/claude-code",
    "anthropic",
    ("claude", "-p", "$task", "--dangerously-skip-permissions", "--model", "$model"),
    {
        "ANTHROPIC_BASE_URL": "$url",
        "ANTHROPIC_AUTH_TOKEN": "any",
        "CLAUDE_CONFIG_DIR": "$home/.claude",
        "IS_SANDBOX": "1",  # else it refuses as root
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
    },
)

QUIET = {
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"enableAutoUpdate": False},
}


def chosen(auth: str) -> str:
    """The settings of Gemini CLI and of Qwen Code, which is made from it."""
    return json.dumps({"security": {"auth": {"selectedType": auth}}, **QUIET})


GEMINI_CLI = Client(
    "Gemini CLI",
    "@google/gemini-cli",
    "gemini",
    ("gemini", "-m", "$model", "--yolo", "--skip-trust", "-p", "$task"),
    {"GEMINI_API_KEY": "any", "GOOGLE_GEMINI_BASE_URL": "$url", "GEMINI_CLI_TRUST_WORKSPACE": "true"},
    {".gemini/settings.json": chosen("gemini-api-key")},
)


def opencode(kind: str, wire: str, path: str) -> Client:
    provider = {
        "npm": f"@ai-sdk/{kind}",
        "name": "Link",
        "options": {"baseURL": f"$url/{path}", "apiKey": "any"},
        "models": {MODEL: {"name": MODEL, "tool_call": True, "limit": {"context": 128000, "output": 8192}}},
    }
    allow = {"edit": "allow", "bash": "allow", "external_directory": "allow"}
    config = {"permission": allow, "autoupdate": False, "provider": {"link": provider}}
    switches = ("MODELS_FETCH", "AUTOUPDATE", "DEFAULT_PLUGINS", "LSP_DOWNLOAD")
    return Client(
        f"opencode, {wire}",
        "opencode-ai",
        wire,
        ("opencode", "run", "-m", "link/$model", "--auto", "$task"),
        {"OPENCODE_CONFIG_CONTENT": json.dumps(config), **{f"OPENCODE_DISABLE_{name}": "1" for name in switches}},
        survives=("error",) if kind == "anthropic" else ("cut", "error"),
    )


def qwen_code(auth: str, wire: str, env: dict[str, str]) -> Client:
    return Client(
        f"Qwen Code, {wire}",
        "@qwen-code/qwen-code",
        wire,
        ("qwen", "--auth-type", auth, "-m", "$model", "--yolo", "-p", "$task"),
        env,
        {".qwen/settings.json": chosen(auth)},
        survives=("error",) if auth == "anthropic" else (),
        explains=auth != "gemini",
    )


def aider(kind: str, wire: str, env: dict[str, str]) -> Client:
    """It has no tools: its model writes edit blocks, and is told where one does not fit."""
    switches = "--yes-always --no-git --no-check-update --analytics-disable --no-show-model-warnings --no-pretty"
    words = f"aider --model {kind}/$model {switches} --edit-format diff --map-tokens 0 --message $task hello.txt"
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", **env}
    own = {"makes": ("hello.txt",), "fails": False}  # its exit code is 0 whatever happens
    return Client(f"aider, {wire}", "aider", wire, tuple(words.split()), env, **own)


LLM_MODELS = f"""
- {{model_id: link-openai-chat, model_name: {MODEL}, api_base: $url/v1, api_key_name: link, supports_tools: true}}
- model_id: link-openai-responses
  model_name: {MODEL}
  api_base: $url/v1
  api_key_name: link
  supports_tools: true
  responses: true
"""
LLM_TOOL = '''
def write_file(file_path: str, content: str) -> str:
    """Write a file"""
    return f"{open(file_path, 'w').write(content)} characters are in the file"
'''


def llm(wire: str, model: str) -> Client:
    return Client(
        f"llm, {wire}",
        "llm",
        wire,
        ("llm", "--functions", "$home/tools.py", "-m", "$model", "$task"),
        {
            "LLM_USER_PATH": "$home/llm",
            "ANTHROPIC_BASE_URL": "$url",
            "ANTHROPIC_API_KEY": "any",
            "OLLAMA_HOST": "$url",
        },
        {
            "llm/extra-openai-models.yaml": LLM_MODELS,
            "llm/keys.json": json.dumps({"link": "any"}),
            "tools.py": LLM_TOOL,
        },
        model,
        survives=(),
    )


OLLAMA_SDK = Client(
    "Ollama SDK",
    "ollama",
    "ollama",
    ("python", "$here/clients_ollama.py", "$model", "$task"),
    {"OLLAMA_HOST": "$url"},
    survives=(),
)

CLIENTS = (
    codex("Codex CLI", MODEL),
    codex("Codex CLI, apply_patch", "gpt-5.5"),
    codex("Codex CLI, code mode", "gpt-6.1-sol"),
    CLAUDE_CODE,
    GEMINI_CLI,
    opencode("openai-compatible", "openai-chat", "v1"),
    opencode("openai", "openai-responses", "v1"),
    opencode("anthropic", "anthropic", "v1"),
    opencode("google", "gemini", "v1beta"),
    qwen_code("openai", "openai-chat", {"OPENAI_BASE_URL": "$url/v1", "OPENAI_API_KEY": "any"}),
    qwen_code("anthropic", "anthropic", {"ANTHROPIC_BASE_URL": "$url", "ANTHROPIC_API_KEY": "any"}),
    qwen_code("gemini", "gemini", {"GOOGLE_GEMINI_BASE_URL": "$url", "GEMINI_API_KEY": "any"}),
    aider("openai", "openai-chat", {"OPENAI_API_BASE": "$url/v1", "OPENAI_API_KEY": "any"}),
    aider("anthropic", "anthropic", {"ANTHROPIC_API_BASE": "$url", "ANTHROPIC_API_KEY": "any"}),
    aider("gemini", "gemini", {"GEMINI_API_BASE": "$url/v1beta", "GEMINI_API_KEY": "any"}),
    aider("ollama_chat", "ollama", {"OLLAMA_API_BASE": "$url"}),
    llm("openai-chat", "link-openai-chat"),
    llm("openai-responses", "link-openai-responses"),
    llm("anthropic", "anthropic/claude-sonnet-4-5"),
    llm("ollama", f"ollama/{MODEL}"),
    OLLAMA_SDK,
)
