"""What of the environment a launched client sees, and what its `PRESET_*` variables ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from addons.apps import App
from addons.catalog import catalogue
from addons.settings import read_env_file
from scripts import serve

if TYPE_CHECKING:
    from scripts.launch import Wish

# Variables beside the catalogue's that hold a key of a provider, or lead a client elsewhere than to us.
KEYS = frozenset(
    (
        *("ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN"),
        *("AZURE_OPENAI_API_KEY", "AZURE_API_KEY", "AWS_BEARER_TOKEN_BEDROCK", "GOOGLE_APPLICATION_CREDENTIALS"),
        *("OPENAI_ORGANIZATION", "OPENAI_PROJECT", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"),
        *("TENCENT_SECRET_ID", "TENCENT_SECRET_KEY", "COHERE_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    )
)
ELSEWHERE = ("ANTHROPIC_", "OPENAI_BASE_URL", "OPENAI_API_BASE", "CLAUDE_CODE_USE_", "GOOGLE_GENAI_USE_")
ELSEWHERE += ("GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL", "OLLAMA_HOST", "OLLAMA_API_BASE", "CODEX_OSS_")
OURS = ("LLM_LINK_", "PRESET_", "LLM_UNIVERSAL_PROXY_")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def secret_names(options: serve.Options, environ: Mapping[str, str]) -> set[str]:
    """The variables that hold what only the proxy may know: the catalogue's, those that the config file names, and all
    that --env-file brought."""
    names = {name for provider in catalogue().providers.values() for name in (*provider.key_env, provider.base_url_env)}
    names |= KEYS
    if options.env_file is not None:
        names |= set(read_env_file(options.env_file))
    config = serve.config_path(options, environ)
    if config is not None and config.is_file():
        names |= set(named(yaml.safe_load(config.read_text("utf-8"))))  # it was checked already
    return names - {""}


def named(value: Any) -> Iterator[str]:
    """The names in every `{env: NAME}`, wherever it stands."""
    if isinstance(value, dict):
        if isinstance(value.get("env"), str):
            yield value["env"]
        for inner in value.values():
            yield from named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner)


def cleaned(environ: Mapping[str, str], strip: set[str]) -> dict[str, str]:
    """The user's environment without keys and without what would lead the client past us."""
    kept = {k: v for k, v in environ.items() if k not in strip and not k.startswith((*ELSEWHERE, *OURS))}
    for name, other in (("NO_PROXY", "no_proxy"), ("no_proxy", "NO_PROXY")):
        said = [part for part in (environ.get(name) or environ.get(other) or "").split(",") if part]
        kept[name] = ",".join([*said, *(host for host in LOOPBACK if host not in said)])
    return kept


def preset(app: App, wish: Wish, environ: Mapping[str, str]) -> Wish:
    """The wish with what the `PRESET_*` variables say, where the command line names no upstream."""
    if wish.config or wish.provider or wish.base_url:
        return wish
    bases = {
        "anthropic": environ.get("PRESET_ANTHROPIC_ENDPOINT_BASE_URL"),
        "openai-chat": environ.get("PRESET_OPENAI_ENDPOINT_BASE_URL"),
    }
    order = sorted(bases, key=lambda protocol: protocol not in app.protocols)  # its own protocol first
    protocol = next((name for name in order if bases[name]), None)
    if protocol is None:
        return wish
    return replace(
        wish,
        base_url=bases[protocol],
        protocol=protocol,
        model=wish.model or environ.get("PRESET_ENDPOINT_MODEL") or None,
        llm_api_key=wish.llm_api_key or environ.get("PRESET_ENDPOINT_API_KEY") or None,
    )
