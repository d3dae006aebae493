"""The clients that LLM Link knows by name: `configs/apps.yaml` as frozen rows, what a preset means for the settings,
and how a client is known on the wire. Everything known about a client is data.

A preset says what nobody else said: where to listen, what to serve, and which upstream. Where the upstream is not the
client's own vendor, the model names that the client asks for by itself lead to that provider's default model.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from translators.model import Request

from . import settings_yaml
from .catalog import Provider, catalogue

FILE = Path(__file__).resolve().parent.parent / "configs" / "apps.yaml"

Quirk = Literal["images_null"]
QUIRKS: dict[Quirk, str] = {"images_null": "ollama"}  # each with the protocol that it is about


class Detect(Struct, frozen=True, forbid_unknown_fields=True):
    """`names`: words of the header `x-client`; `agents`: how its User-Agent begins."""

    names: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()


class App(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One client. `binary`: its program, "" where none can be started from a terminal; `config`: where its permanent
    configuration is, in words."""

    name: str = ""
    title: str
    description: str
    port: int
    protocols: tuple[str, ...]
    prefix: str
    auth: Literal["bearer", "x-api-key", "x-goog-api-key", "none"]
    provider: str
    base_url: str = ""
    asks: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    binary: str
    install: str
    config: str
    detect: Detect = Detect()
    quirks: frozenset[Quirk] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    def adapt(self, protocol: str, asked: Request) -> None:
        """Marks the client's neutral request with how it wants its answer, where a quirk is about its protocol."""
        for quirk in self.quirks:
            if QUIRKS[quirk] == protocol:
                asked.extra.setdefault(protocol, {})[quirk] = True


class UnknownApp(Exception):
    """A name that no app has; the text names those that there are."""


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    apps: dict[str, App]


def load(path: Path = FILE) -> dict[str, App]:
    """Reads a file of presets. Raises `SettingsError`."""
    try:
        raw = msgspec.convert(settings_yaml.read(path).values, _File)
    except msgspec.ValidationError as error:
        raise settings_yaml.SettingsError([settings_yaml.Problem(str(path), 0, "", str(error))]) from None
    return {name: msgspec.structs.replace(app, name=name) for name, app in raw.apps.items()}


@lru_cache(maxsize=1)
def apps() -> dict[str, App]:
    """The presets that come with the program, read once."""
    return load()


def find(name: str) -> App:
    """An app by its name or an alias, in any case. Raises `UnknownApp`."""
    by_name = {known: app for app in apps().values() for known in app.names}
    wanted = name.strip().lower()
    if wanted in by_name:
        return by_name[wanted]
    close = difflib.get_close_matches(wanted, by_name, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise UnknownApp(f"there is no app {name!r}{hint}; there is {', '.join(apps())}")


def find_all(names: Iterable[str]) -> tuple[App, ...]:
    """Several, each once; a name may hold several with commas. Raises `UnknownApp`."""
    found = [find(part) for name in names for part in name.split(",") if part.strip()]
    return tuple(dict.fromkeys(found))


# ------------------------------------------------------------------------------------------------ presets


def choose_provider(app: App, environ: Mapping[str, str]) -> Provider:
    """The client's own vendor where its key is set, else the first of the catalogue whose key is set, else its own."""
    known = catalogue().providers
    own = known[app.provider]
    others = (provider for provider in known.values() if provider is not own)
    return next((p for p in (own, *others) if any(environ.get(name) for name in p.key_env)), own)


def upstream_of(app: App, environ: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The name and the part of a config file of a preset's upstream."""
    provider = choose_provider(app, environ)
    part: dict[str, Any] = {"provider": provider.name}
    own = provider.name == app.provider
    if own and app.base_url and not environ.get(provider.base_url_env or "?"):
        part["base_url"] = app.base_url
    if own and app.protocols[0] in provider.endpoints:  # a client of its own vendor needs no translation
        part["protocol"] = app.protocols[0]
    return provider.name, part


def models_of(apps: Iterable[App], upstream: str, provider: str, stored: Provider | None = None) -> dict[str, str]:
    """The `models` where no model was named: names of the client's own vendor mean the default model of another one,
    all others go through. `stored`: the provider, where it is one of the store."""
    known = stored or catalogue().providers.get(provider.partition(":")[0])
    default = known.default_model if known else ""
    asked = [glob for app in apps for glob in app.asks if default and app.provider != (known.name if known else "")]
    return {**dict.fromkeys(asked, f"{upstream}/{default}"), "*": f"{upstream}/*"}


def protocols_of(chosen: Iterable[App]) -> tuple[str, ...]:
    """What they speak, together."""
    return tuple(dict.fromkeys(protocol for app in chosen for protocol in app.protocols))


# ------------------------------------------------------------------------------------------------ on the wire


@lru_cache(maxsize=1)
def _named() -> dict[str, App]:
    return {word.lower(): app for app in apps().values() for word in (*app.names, *app.detect.names)}


@lru_cache(maxsize=1)
def _agents() -> list[tuple[str, App]]:
    return [(start.lower(), app) for app in apps().values() for start in app.detect.agents]


@lru_cache(maxsize=512)
def detect(named: str, agent: str) -> App | None:
    """Which client a request is from. `named`: its header `x-client`, which comes first; `agent`: its User-Agent; both
    at most a few hundred characters, since answers are remembered by them."""
    if named:
        word = named.strip().lower()
        return _named().get(word) or _named().get(word.partition("/")[0])
    agent = agent.lower()
    return next((app for start, app in _agents() if agent.startswith(start)), None)
