"""The text of a config file: what was chosen, with a word on each line that a person may want to change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from addons.apps import App
from addons.catalog import Provider

_PLAIN = re.compile(r"[A-Za-z][\w.-]*(/[\w.*-]+)*|https?://[\w.:/-]+")
_WORDS = re.compile(r"(?i)true|false|null|yes|no|on|off")

AUTH = {
    "none": "anybody who can reach it. proxy_key: clients must present one of `keys`; client_key: theirs is forwarded",
    "proxy_key": "clients must present one of these; none: nobody has to",
    "client_key": "the client's own key of the provider is forwarded; none, proxy_key: those of `upstreams` are used",
}


@dataclass(frozen=True)
class Named:
    """One upstream, as a provider (`row`, `provider` with its region) or as a server of one's own."""

    name: str
    provider: str = ""
    base_url: str = ""
    protocol: str = ""
    row: Provider | None = None

    @property
    def default_model(self) -> str:
        return (self.row.default_model if self.row else "") or "*"


@dataclass(frozen=True)
class Choices:
    """`model`: what clients get whose own names the first upstream does not have; `*`: no other than they ask for."""

    upstreams: tuple[Named, ...]
    model: str
    clients: tuple[App, ...]
    host: str
    port: int
    auth: str


def text(choices: Choices, path: Path) -> str:
    return "\n".join(
        [*_head(path), *_listen(choices), *_auth(choices.auth), *_upstreams(choices), *_models(choices), ""]
    )


def scalar(value: str) -> str:
    """A text as YAML reads it back."""
    plain = _PLAIN.fullmatch(value) and not _WORDS.fullmatch(value)
    return value if plain else json.dumps(value, ensure_ascii=False)


def _head(path: Path) -> Iterator[str]:
    yield "# LLM Link's settings, made by `llm-link init`. The file is watched: a good change counts for new requests."
    yield "#"
    yield f"#   llm-link check {path}"
    yield f"#   llm-link serve --config {path}"


def _listen(choices: Choices) -> Iterator[str]:
    host = f"[{choices.host}]" if ":" in choices.host else choices.host
    yield f'\nlisten: "{host}:{choices.port}"'
    yield "policy: balanced # what a provider cannot say: strict refuses, balanced where it matters, max_compat never"


def _auth(mode: str) -> Iterator[str]:
    yield "\nauth: # who may call us"
    yield f"  mode: {mode} # {AUTH[mode]}"
    if mode == "proxy_key":
        yield "  keys: [{env: LLM_LINK_API_KEY}] # or more of them, each with a label and its own models"


def _upstreams(choices: Choices) -> Iterator[str]:
    yield "\nupstreams: # where requests go, by names of your own"
    for upstream in choices.upstreams:
        yield f"  {scalar(upstream.name)}:"
        if upstream.row is None:
            yield f"    protocol: {upstream.protocol} # openai-chat, openai-responses, anthropic, gemini or ollama"
            yield f"    base_url: {scalar(upstream.base_url)} # with the version segment"
            yield "    # api_key: {env: UPSTREAM_KEY} # where it wants one"
        else:
            yield f"    provider: {scalar(upstream.provider)} # {_what(upstream.row, choices.auth)}"


def _what(row: Provider, auth: str) -> str:
    if auth == "client_key" and row.key_required and row.key_env:
        return f"{row.title}; the client's key, unless {row.key_env[0]} is set"
    wants = row.key_required and row.key_env
    return f"{row.title}; the key from {row.key_env[0]}, or the key store" if wants else row.title


def _models(choices: Choices) -> Iterator[str]:
    first = choices.upstreams[0]
    yield "\nmodels: # what a client asks for, a name or a pattern -> UPSTREAM/MODEL, or a list that is tried in order"
    if choices.model != "*":
        for app in choices.clients:
            for pattern in app.asks if not first.row or app.provider != first.row.name else ():
                yield f"  {json.dumps(pattern)}: {scalar(f'{first.name}/{choices.model}')} # {app.title} asks for these"
    star = choices.model if _alone(choices) else "*"
    why = "whatever was asked for" if star != "*" else "every other name goes through as it is"
    yield f'  "*": {scalar(f"{first.name}/{star}")} # {why}'
    for other in choices.upstreams[1:]:
        yield f"  # {other.name}/MODEL leads to {other.name}, where addressing is on"


def _alone(choices: Choices) -> bool:
    """Whether no client is known whose names could be told from others."""
    return not any(app.asks for app in choices.clients)
