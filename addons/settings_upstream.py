"""One upstream, ready to be called: where it is, how it wants its key, and what its models take.

A base URL comes as people paste it: with or without the version, with the endpoint still on it. `root_path` brings it
to the one form that the codecs continue: their paths are relative to it. Which segment a protocol adds, and which
endpoints are cut off, stands in the tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec
from pydantic import SecretStr

from translators.codec import Traits

from .catalog import DEFAULT_PORTS, Provider, catalogue, merge_traits
from .settings_model import ModelLimits, Params, Rate, Surface, Timeout

_VERSION = re.compile(r"v\d+((alpha|beta)\d*)?", re.IGNORECASE)

# What is cut off a base URL that was pasted with its endpoint.
_ENDPOINTS = {
    "openai-chat": re.compile(r"/chat/completions$"),
    "openai-responses": re.compile(r"/responses$"),
    "anthropic": re.compile(r"/messages(/count_tokens)?$"),
    "gemini": re.compile(r"/models(/[^/]+)?$"),
    "ollama": re.compile(r"(?<=/api)/(chat|generate|tags|show|version|ps|embed|embeddings)$|/chat/completions$"),
}
# What is added where the last segment is no version. The two OpenAI protocols take the URL as it is.
_VERSIONS = {"anthropic": "/v1", "gemini": "/v1beta"}
# Where a bare host keeps its API, for a reverse target that the catalogue does not know.
BARE_PATHS = {"openai-chat": "/v1", "openai-responses": "/v1", **_VERSIONS, "ollama": "/api"}

MAX_KNOWN = 512


def split_url(url: str, schemes: tuple[str, ...] = ("http", "https"), userinfo: bool = False) -> SplitResult:
    """The parts of an absolute URL. Raises ValueError, whose text never holds what stood before an `@`."""
    if any(ord(char) <= 32 or ord(char) == 127 for char in url):
        raise ValueError("has a space or a control character in it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is no valid URL") from None
    if parts.scheme.lower() not in schemes or not parts.hostname:
        raise ValueError(f"must begin with {' or '.join(scheme + '://' for scheme in schemes)} and a host")
    if "@" in parts.netloc and not userinfo:
        raise ValueError("must not hold a user name or password; use api_key")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ValueError("must not have a query or a fragment")
    if port == 0:
        raise ValueError("is no valid URL: there is no port 0")
    return parts


def ascii_host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise ValueError("has a host name that is not valid") from None


def root_path(path: str, protocol: str) -> str:
    """The path that the protocol's own paths continue, without a slash at its end."""
    path = path.rstrip("/")
    if any(segment in (".", "..") for segment in path.split("/")):
        raise ValueError("must not have . or .. in its path")
    path = _ENDPOINTS[protocol].sub("", path).rstrip("/")
    last = path.rpartition("/")[2]
    if protocol == "ollama":
        return path if last == "api" else (path[: -len("/v1")] if last == "v1" else path) + "/api"
    if protocol in _VERSIONS and not _VERSION.fullmatch(last):
        return path + _VERSIONS[protocol]
    return path


@dataclass(frozen=True)
class Proxy:
    """An egress proxy. `login`: user:password, percent-decoded."""

    scheme: str
    host: str
    port: int
    login: SecretStr | None = None


@dataclass(frozen=True, eq=False)
class Upstream:
    """One provider endpoint that we call. `path` is what the codec's paths continue; `root` the whole URL of it.

    `keys`: its own keys, each with limits of its own; (): it has none. `auth`: how it wants one where that is not its
    protocol's way. `region` is the provider's. `overrides`: the user's backend names of models, never shown."""

    name: str
    protocol: str
    scheme: str
    host: str
    port: int
    path: str
    keys: tuple[SecretStr, ...] = ()
    auth: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    params: Params = field(default_factory=Params)
    timeout: Timeout = field(default_factory=Timeout)
    limits: ModelLimits = field(default_factory=ModelLimits)
    rate: Rate = field(default_factory=Rate)
    surface: Surface = field(default_factory=Surface)
    proxy: Proxy | None = None  # None: direct
    provider: Provider | None = field(default=None, repr=False)
    region: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict, repr=False)
    _known: dict[str, Traits] = field(default_factory=dict, init=False, repr=False)

    def traits(self, model: str) -> Traits:
        """What a model here takes: the catalogue's layers, then limits and surface of the config. Remembered."""
        found = self._known.get(model)
        if found is None:
            if len(self._known) >= MAX_KNOWN:  # clients choose the names
                self._known.clear()
            found = self._known[model] = self._traits(model)
        return found

    @property
    def key(self) -> SecretStr | None:
        return self.keys[0] if self.keys else None

    @property
    def authority(self) -> str:
        """The `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def root(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    def backend(self, model: str) -> str:
        """The model name that goes over the wire for a name that people use."""
        if self.provider is None:
            return self.overrides.get(model, model)
        return self.provider.backend(model, self.overrides)

    def _traits(self, model: str) -> Traits:
        layers = [catalogue().traits(self.protocol, model, self.provider), self._own_traits()]
        return msgspec.convert(merge_traits(layers), Traits)

    def _own_traits(self) -> dict[str, Any]:
        said = {
            "context_window": self.limits.context_window,
            "max_output": self.limits.max_output_tokens,
            "input": self.surface.input,
            "parallel_tools": self.surface.tools.parallel,
            "search": self.surface.tools.search,
        }
        return {name: value for name, value in said.items() if value is not None}
