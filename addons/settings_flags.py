"""What was said outside the file, laid over the file's values: command line > environment > file > app preset >
default.

The result is a document like the file's own, in which each value that came from elsewhere names its origin, so that
there is one way from values to settings and every message names the flag that is to blame.

Without upstreams in the file the reverse target is the only one. Its protocol and path come from the catalogue by host;
where the key variable of the provider is set that key is used, else the client's own is forwarded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from .apps import App, UnknownApp, find_all, models_of, protocols_of, upstream_of
from .catalog import Provider, catalogue
from .settings_model import PROTOCOLS
from .settings_upstream import BARE_PATHS, split_url
from .settings_yaml import Document, KeyPath, Problem, SettingsError
from .store.stored import Stored

SERVE_VARIABLE = "LLM_LINK_SERVE"
NOTHING = "there is no upstream: name one in a config file, with --provider or --base-url, or as the reverse target"
REVERSE = "the reverse target"
DEFAULT = ""  # the origin of a value that nobody said

_SHORT = {"openai": ("openai-chat", "openai-responses")}
_LEVEL_ALIASES = {"warn": "warning"}


class Reverse(NamedTuple):
    """mitmproxy's reverse target, which has no path."""

    scheme: str
    host: str
    port: int


class Serve(Struct, frozen=True, forbid_unknown_fields=True):
    """The flags of `llm-link serve` that concern the settings. Empty: not given."""

    provider: str = ""
    model: str = ""
    base_url: str = ""
    protocol: str = ""
    api_key: str = ""
    llm_api_key: str = ""
    protocols: tuple[str, ...] | str = ()  # a list, or its names with commas
    policy: str = ""
    log_level: str = ""
    host: str = ""
    port: int = 0
    app: tuple[str, ...] = ()
    workers: int = 1  # how many processes share the port

    @classmethod
    def read(cls, given: Mapping[str, object] | None, environ: Mapping[str, str]) -> Serve:
        """The flags as the CLI gave them; None: out of the environment, as JSON. Nulls count as not given."""
        text = environ.get(SERVE_VARIABLE)
        try:
            values = given if given is not None else msgspec.json.decode(text, type=dict[str, Any]) if text else {}
            serve = msgspec.convert({name: value for name, value in values.items() if value is not None}, cls)
        except msgspec.MsgspecError as error:
            raise SettingsError([Problem("", 0, SERVE_VARIABLE, str(error))]) from None
        serve.surfaces()
        return serve

    def apps(self) -> tuple[App, ...]:
        """The presets that were asked for."""
        try:
            return find_all(self.app)
        except UnknownApp as error:
            raise SettingsError([Problem("", 0, "--app", str(error))]) from None

    def surfaces(self) -> tuple[str, ...]:
        """The client protocols that are served; `openai` stands for both of its own."""
        given = self.protocols.replace(",", " ").split() if isinstance(self.protocols, str) else self.protocols
        names = tuple(name for short in given for name in _SHORT.get(short, (short,)))
        unknown = [name for name in names if name not in PROTOCOLS]
        if unknown:
            raise SettingsError([Problem("", 0, "--protocols", f"unknown protocol {unknown[0]!r}; {_there_is()}")])
        spoken = names or protocols_of(self.apps())
        return tuple(name for name in PROTOCOLS if name in spoken) or PROTOCOLS


def _there_is() -> str:
    return f"there is {', '.join(PROTOCOLS)}"


def lay_over(
    document: Document,
    environ: Mapping[str, str],
    serve: Serve,
    policy: str,
    reverse: Reverse | None,
    protocol: str,
    stored: Stored,
    passing: bool = False,
) -> Document:
    """The document with what was said elsewhere. Raises `SettingsError` where there is nothing to call, unless clients
    are `passing` on their way to a provider."""
    over = _Overlay(document, environ)
    over.simple(serve, policy)
    over.alone(serve)
    named = over.upstreams()  # by the file itself
    if named is None:  # not even a map: the check of shapes will say so
        return over.document()
    if serve.provider or serve.base_url:
        over.from_flags(serve, stored)
    elif not named and serve.app:
        over.from_preset(serve)
    elif not named and reverse is not None:
        over.from_reverse(reverse, protocol)
    elif not named and not passing:
        raise SettingsError([document.problem((), NOTHING)])
    if not over.upstreams():
        return over.document()
    over.rest_of_flags(serve)
    if not named:
        over.default_auth(stored)
    return over.document()


class _Overlay:
    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self.base, self.environ = document, environ
        self.values = {name: value for name, value in document.values.items() if value is not None}
        self.origins: dict[KeyPath, str] = {}

    def document(self) -> Document:
        return replace(self.base, values=self.values, origins=self.origins)

    def upstreams(self) -> dict[str, Any] | None:
        found = self.values.get("upstreams", {})
        return found if isinstance(found, dict) else None

    def set(self, value: Any, origin: str, *path: str) -> None:
        """Sets one value; the maps on the way are copied, never changed."""
        here = self.values
        for step in path[:-1]:
            inner = here.get(step)
            here[step] = dict(inner) if isinstance(inner, dict) else {}
            here = here[step]
        here[path[-1]] = value
        self.origins[path] = origin

    def simple(self, serve: Serve, policy: str) -> None:
        said = self.environ.get("LLM_LINK_LOG_LEVEL", "")
        self._first(("policy",), (policy, "llm_link_policy"), (serve.policy, "--policy"))
        self._first(
            ("logging", "level"), (_level(serve.log_level), "--log-level"), (_level(said), "LLM_LINK_LOG_LEVEL")
        )
        if serve.api_key:
            self.set({"mode": "proxy_key", "keys": [{"value": serve.api_key}]}, "--api-key", "auth")
        elif "auth" not in self.values and self.environ.get("LLM_LINK_API_KEY"):
            self.set({"mode": "proxy_key", "keys": [{"env": "LLM_LINK_API_KEY"}]}, "LLM_LINK_API_KEY", "auth")

    def alone(self, serve: Serve) -> None:
        """Of several processes none may be changed by itself."""
        if serve.workers > 1 and isinstance(self.values.get("control", {}), dict):
            self.set(False, "--workers", "control", "enabled")

    def _first(self, path: tuple[str, ...], *said: tuple[str, str]) -> None:
        """Sets the first of the values that is not empty."""
        for value, origin in said:
            if value:
                self.set(value, origin, *path)
                return

    def from_flags(self, serve: Serve, stored: Stored) -> None:
        name = serve.provider.partition(":")[0] or "upstream"
        if serve.provider:
            self.set(serve.provider, "--provider", "upstreams", name, "provider")
        if serve.base_url:
            self.set(serve.base_url, "--base-url", "upstreams", name, "base_url")
        if not serve.provider:
            self.set(serve.protocol or "openai-chat", "--protocol", "upstreams", name, "protocol")
        origin = "--model" if serve.model else "--provider" if serve.provider else "--base-url"
        models = {"*": f"{name}/{serve.model}"}
        if not serve.model:
            record = stored.peek(name) if serve.provider else None
            models = models_of(serve.apps(), name, serve.provider, record.row()[0] if record else None)
        self.set(models, origin, "models")

    def from_preset(self, serve: Serve) -> None:
        """The upstream of the first app; where the file has `models`, they stay."""
        apps = serve.apps()
        name, part = upstream_of(apps[0], self.environ)
        self.set(part, f"--app {apps[0].name}", "upstreams", name)
        if "models" not in self.values:
            self.set(models_of(apps, name, part["provider"]), f"--app {apps[0].name}", "models")

    def from_reverse(self, reverse: Reverse, protocol: str) -> None:
        if protocol and protocol not in PROTOCOLS:
            raise SettingsError([Problem("", 0, "llm_link_protocol", f"unknown protocol {protocol!r}; {_there_is()}")])
        provider, region = catalogue().at_host(reverse.host, reverse.port) or (None, "")
        name = provider.name if provider else "upstream"
        part: dict[str, Any] = {"protocol": protocol or "openai-chat"}
        if provider:
            part = {"provider": f"{name}:{region}" if region else name, "protocol": _spoken(provider, protocol)}
        part["base_url"] = _address(reverse) + _path(provider, region, part["protocol"])
        self.set(part, REVERSE, "upstreams", name)
        if "models" not in self.values:  # every name goes through unchanged, also one that looks like an address
            self.set({"*": f"{name}/*"}, DEFAULT, "models")
            self.values.setdefault("addressing", False)

    def rest_of_flags(self, serve: Serve) -> None:
        """The flags that need an upstream: the only one, where none was named."""
        upstreams = self.upstreams() or {}
        name = serve.provider.partition(":")[0] or next(iter(upstreams))
        if serve.base_url and not serve.provider:
            name = "upstream"
        alone = bool(serve.provider or serve.base_url) or len(upstreams) == 1
        for flag, value in (("--protocol", serve.protocol), ("--llm-api-key", serve.llm_api_key)):
            if value and not alone:
                raise SettingsError([Problem("", 0, flag, "needs --provider, since there are several upstreams")])
        if serve.protocol:
            self.set(serve.protocol, "--protocol", "upstreams", name, "protocol")
        if serve.llm_api_key:
            self.set({"value": serve.llm_api_key}, "--llm-api-key", "upstreams", name, "api_key")
            self.values["upstreams"][name].pop("api_keys", None)
        if serve.model and not (serve.provider or serve.base_url):
            target = f"{name}/{serve.model}" if alone else serve.model
            self.set({"*": target}, "--model", "models")

    def default_auth(self, stored: Stored) -> None:
        """Where nobody wrote `auth`: the provider's key, or the client's own where it needs one and has none."""
        if "auth" in self.values:
            return
        name, part = next(iter((self.upstreams() or {}).items()))
        named = str(part.get("provider", "")).partition(":")[0]
        record = None if self.origins.get(("upstreams", name)) == REVERSE else stored.peek(named)
        provider = record.row()[0] if record else catalogue().providers.get(named)
        has_key = "api_key" in part or any(self.environ.get(name) for name in (provider.key_env if provider else ()))
        has_key = has_key or bool(record and record.encrypted_api_key)
        keyless = provider is not None and not provider.key_required
        self.set({"mode": "none" if has_key or keyless else "client_key"}, DEFAULT, "auth")


def _level(name: str) -> str:
    return _LEVEL_ALIASES.get(name.lower(), name.lower())


def _spoken(provider: Provider, protocol: str) -> str:
    """The catalogue says what a host speaks; the option chooses where it speaks several."""
    return protocol if protocol in provider.protocols else provider.protocol


def _address(reverse: Reverse) -> str:
    host = reverse.host.strip("[]")
    return f"{reverse.scheme}://[{host}]:{reverse.port}" if ":" in host else f"{reverse.scheme}://{host}:{reverse.port}"


def _path(provider: Provider | None, region: str, protocol: str) -> str:
    door = provider.endpoint(protocol, region) if provider else None
    return split_url(door.base_url).path if door else BARE_PATHS[protocol]
