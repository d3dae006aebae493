"""Which request is for which surface: method and path to protocol and purpose (contract, section 3)."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Literal, NamedTuple
from urllib.parse import unquote

Purpose = Literal[
    "generate", "count_tokens", "embed", "compact", "stored", "models", "model", "probe", "health", "version",
    "running", "upgrade", "socket", "unknown", "method",
]  # fmt: skip


class Surface(NamedTuple):
    """`protocol`: whose shape the answer has; `namespace`: "default" without a prefix; `name`: a model in the path;
    `path`: what is left of it, with the query, without namespace and prefix."""

    purpose: Purpose
    protocol: str
    namespace: str = "default"
    name: str = ""
    path: str = "/"


_NAMESPACE = re.compile(r"^/namespaces/([^/]+)(/.*)?$")

# prefix -> the protocols whose surfaces stand under it too
_PREFIXES: dict[str, tuple[str, ...]] = {
    "/openai": ("openai-chat", "openai-responses"),
    "/anthropic": ("anthropic",),
    "/google": ("gemini",),
    "/gemini": ("gemini",),
    "/ollama": ("ollama",),
}

# Paths that never stand under a prefix.
_BARE = re.compile(r"^/(chat/completions|responses)(/|$)")

_POSTS: dict[str, tuple[Purpose, str]] = {
    "/v1/chat/completions": ("generate", "openai-chat"),
    "/chat/completions": ("generate", "openai-chat"),
    "/v1/responses": ("generate", "openai-responses"),
    "/responses": ("generate", "openai-responses"),
    "/v1/responses/input_tokens": ("count_tokens", "openai-responses"),
    "/responses/input_tokens": ("count_tokens", "openai-responses"),
    "/v1/responses/compact": ("compact", "openai-responses"),
    "/responses/compact": ("compact", "openai-responses"),
    "/v1/embeddings": ("embed", "openai-chat"),
    "/v1/messages": ("generate", "anthropic"),
    "/v1/messages/count_tokens": ("count_tokens", "anthropic"),
    "/api/chat": ("generate", "ollama"),
    "/api/generate": ("generate", "ollama"),
    "/api/embed": ("embed", "ollama"),
    "/api/embeddings": ("embed", "ollama"),
    "/api/show": ("model", "ollama"),
}
_GETS: dict[str, tuple[Purpose, str]] = {
    "/api/tags": ("models", "ollama"),
    "/api/version": ("version", "ollama"),
    "/api/ps": ("running", "ollama"),
    "/v1/ws": ("socket", "openai-chat"),
}
_HEALTH = frozenset({"/health", "/ready"})

# The control surface. Ollama's own paths stand under /api too, so that each name there is said.
_CONTROL_FIRST = ("/metrics", "/admin", "/api/", "/dashboard")
_CONTROL = re.compile(
    r"/(?:metrics|admin|dashboard|api/(?:health|info|stats|openapi\.json|config|providers|tokens))(?:[/?]|$)"
)

_GEMINI = re.compile(r"^/v1(?:beta)?/models/(?P<name>.+):(?P<verb>\w+)$")  # Google's SDK leaves slashes in names
_GEMINI_VERBS: dict[str, Purpose] = {
    "generateContent": "generate",
    "streamGenerateContent": "generate",
    "countTokens": "count_tokens",
    "embedContent": "embed",
    "batchEmbedContents": "embed",
}
_MODELS = re.compile(r"^/(?P<version>v1|v1beta)/models(?:/(?P<name>.+))?$")
_SHOW = re.compile(r"^/api/show/(?P<name>.+)$")

# What a provider keeps of earlier answers: what follows the id, and the methods that it takes.
_STORED = re.compile(r"^(?:/v1)?/responses/\w[\w.~:-]*(?P<rest>/cancel|/input_items)?$")
_STORED_METHODS = {None: ("GET", "DELETE"), "/cancel": ("POST",), "/input_items": ("GET",)}

# What an unknown path is near to, by its beginning or by what is in it.
_NEAREST: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^/anthropic/|/messages"), "anthropic"),
    (re.compile(r"^/v1beta|^/google/|^/gemini/|/models/[^/]+:\w+$"), "gemini"),
    (re.compile(r"^/api/|^/ollama/"), "ollama"),
    (re.compile(r"/responses"), "openai-responses"),
)


def namespace_of(path: str) -> str:
    """The namespace that a path names, with or without a query; "default": none."""
    match = _NAMESPACE.match(path.partition("?")[0])
    return unquote(match[1]) if match is not None else "default"


def is_control(path: str) -> bool:
    """Whether a path, with or without a query, is one of the control surface."""
    return path.startswith(_CONTROL_FIRST) and _CONTROL.match(path) is not None


def find(method: str, path: str, headers: Container[str]) -> Surface:
    """`path` may have a query; `headers` is asked for lower-case names."""
    bare, _, query = path.partition("?")
    namespace = "default"
    if (match := _NAMESPACE.match(bare)) is not None:
        namespace, bare = unquote(match[1]), match[2] or "/"
    if bare in _HEALTH:
        return Surface("health" if method in ("GET", "HEAD") else "method", "openai-chat", namespace)
    if (bare == "/" and method in ("GET", "HEAD")) or (bare == "/api/hello" and method == "HEAD"):
        return Surface("probe", "ollama", namespace)
    prefix = next((p for p in _PREFIXES if bare.startswith(p + "/")), "")
    rest = bare[len(prefix) :]
    found = _known(method, rest, query, headers, _PREFIXES.get(prefix, ()))
    if found is None or (prefix and (found.protocol not in _PREFIXES[prefix] or _BARE.match(rest))):
        found = Surface("unknown", _PREFIXES[prefix][0] if prefix else _nearest(bare, headers))
    return found._replace(namespace=namespace, path=f"{rest}?{query}" if query else rest)


def _known(method: str, path: str, query: str, headers: Container[str], owners: tuple[str, ...]) -> Surface | None:
    for table, wanted in ((_POSTS, ("POST",)), (_GETS, ("GET", "HEAD"))):
        if path in table:
            purpose, protocol = table[path]
            if protocol == "openai-responses" and method == "GET" and "upgrade" in headers:
                return Surface("upgrade", protocol)  # Codex tries a WebSocket first
            return Surface(purpose if method in wanted else "method", protocol)
    if (match := _GEMINI.match(path)) is not None and (method == "POST" or match["verb"] in _GEMINI_VERBS):
        purpose = _GEMINI_VERBS.get(match["verb"], "unknown")
        return Surface(purpose if method == "POST" else "method", "gemini", name=unquote(match["name"]))
    if (match := _MODELS.match(path)) is not None:
        return _models(method, match["version"], match["name"], query, headers, owners)
    if (match := _SHOW.match(path)) is not None:
        return Surface("model" if method == "GET" else "method", "ollama", name=unquote(match["name"]))
    if (match := _STORED.match(path)) is not None:
        return Surface("stored" if method in _STORED_METHODS[match["rest"]] else "method", "openai-responses")
    return None


def _models(
    method: str, version: str, name: str | None, query: str, headers: Container[str], owners: tuple[str, ...]
) -> Surface | None:
    protocol = owners[0] if owners else "gemini" if version == "v1beta" else _dialect(headers, query)
    if protocol == "ollama" or (version == "v1beta" and protocol != "gemini"):
        return None
    if method not in ("GET", "HEAD"):
        return Surface("method", protocol)
    return Surface("model", protocol, name=unquote(name)) if name else Surface("models", protocol)


def _dialect(headers: Container[str], query: str) -> str:
    """A bare `/v1/models` is asked for by clients of three protocols; their headers tell them apart."""
    if "anthropic-version" in headers:
        return "anthropic"
    if "x-goog-api-key" in headers or "x-goog-api-client" in headers or re.search(r"(^|&)key=", query):
        return "gemini"
    return "openai-chat"


def _nearest(path: str, headers: Container[str]) -> str:
    for pattern, protocol in _NEAREST:
        if pattern.search(path):
            return protocol
    return "anthropic" if "anthropic-version" in headers else "openai-chat"
