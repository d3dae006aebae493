"""The provider catalogue: `configs/providers.yaml` as frozen rows. Everything known about providers and models is data.

What a target takes (`Traits`) is laid together from the general to the special: what holds for a model wherever it runs
(the top-level `models` rows, by glob), what holds for a provider or for a further door of it, and for a model there.
A later layer overrides an earlier one, but for `drop`, which adds up. The config file comes last (`settings_upstream`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from . import settings_yaml

if __package__ == "addons":
    from translators.codec import Traits
    from translators.model import ModelInfo
else:  # as a library, `llm_link.addons`: a `translators` at top level would be somebody else's
    from ..translators.codec import Traits
    from ..translators.model import ModelInfo

FILE = Path(__file__).resolve().parent.parent / "configs" / "providers.yaml"

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_NAME = 256

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the rows. `traits`: fields of `translators.codec.Traits`, only those that differ."""

    traits: dict[str, Any] = {}


class LongPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """A prompt of more than `above` tokens: what all prices of its input and its output are multiplied by."""

    above: int
    input: float
    output: float


class Model(Row, frozen=True, kw_only=True):
    """A model of one provider. Sizes in tokens, 0: unknown; `price`: US dollars for a million tokens, in and out;
    `cache_price`: the same for input that is read from the cache and that is written to it; `cache_hour_price`: for
    input written for an hour, where that differs."""

    id: str
    title: str = ""
    context_window: int = 0
    max_output: int = 0
    tools: bool = True
    vision: bool = False
    reasoning: bool = False
    price: tuple[float, float] | None = None
    cache_price: tuple[float, float] | None = None
    cache_hour_price: float | None = None
    long_price: LongPrice | None = None


class ModelRow(Row, frozen=True, kw_only=True):
    """What holds for models by name, at any provider; `protocol`: only where it is spoken to in that one."""

    match: tuple[str, ...]
    protocol: str = ""
    context_window: int = 0
    max_output: int = 0


class Endpoint(Row, frozen=True, kw_only=True):
    """A further door of a provider, for another protocol."""

    base_url: str
    auth: str = ""


class Provider(Row, frozen=True, kw_only=True):
    """One provider. `key_env`: variables that may hold the key, the first that is set counts. `auth`: how it wants
    the key where that differs from its protocol's way (see `credentials.FORMS`). `regions`: for each region the base
    URLs by protocol. `overrides`: logical model name to the name that the provider takes; where `passes` is not empty,
    a name that is in neither `overrides` nor `passes` becomes `default_model`."""

    name: str = ""
    title: str
    protocol: str
    base_url: str
    base_url_env: str = ""
    auth: str = ""
    key_env: tuple[str, ...] = ()
    key_required: bool = True
    default_model: str = ""
    regions: dict[str, dict[str, str]] = {}
    endpoints: dict[str, Endpoint] = {}
    hosts: tuple[str, ...] = ()  # further hosts that are this provider
    by_host: bool = True  # whether a reverse target at its host is taken for it
    models: tuple[Model, ...] = ()
    overrides: dict[str, str] = {}
    passes: tuple[str, ...] = ()

    @property
    def protocols(self) -> tuple[str, ...]:
        return (self.protocol, *self.endpoints)

    def endpoint(self, protocol: str = "", region: str = "") -> Endpoint | None:
        """The door for a protocol (empty: the main one) in a region. None: there is none."""
        protocol = protocol or self.protocol
        main = Endpoint(base_url=self.base_url, auth=self.auth)
        door = main if protocol == self.protocol else self.endpoints.get(protocol)
        if door is None or not region:
            return door
        url = self.regions[region].get(protocol)
        return msgspec.structs.replace(door, base_url=url) if url else None

    def model(self, name: str) -> Model | None:
        return next((model for model in self.models if model.id == name), None)

    def layers(self, protocol: str, model: str) -> list[dict[str, Any]]:
        """What holds here. The traits of a provider and of its models are about its main door, sizes about all."""
        known = self.model(model)
        sizes = _sizes(known) if known else {}
        if protocol != self.protocol:
            door = self.endpoints.get(protocol)
            return [door.traits if door else {}, sizes]
        return [self.traits, sizes, known.traits if known else {}]

    def backend(self, model: str, overrides: Mapping[str, str]) -> str:
        """The name that the provider takes for a logical one. `overrides`: the user's own, which come first."""
        if not model:
            return self.default_model
        named = overrides.get(model) or self.overrides.get(model)
        if named or not self.passes or any(glob(pattern).match(model) for pattern in self.passes):
            return named or model
        return overrides.get("*") or self.default_model or model


class Catalogue(Struct, frozen=True):
    providers: dict[str, Provider]
    rows: tuple[ModelRow, ...] = ()
    hosts: dict[str, tuple[str, str]] = {}  # host, or `loopback:PORT`, to provider and region

    def at_host(self, host: str, port: int) -> tuple[Provider, str] | None:
        """The provider at a host, and its region there. Loopback addresses count with their port."""
        name, region = self.hosts.get(_host_key(host, port), ("", ""))
        return (self.providers[name], region) if name else None

    def traits(self, protocol: str, model: str, provider: Provider | None = None) -> dict[str, Any]:
        """The layers for one model, as fields of `Traits`."""
        names = {model.lower(), model.lower().rpartition("/")[2]}
        layers: list[Mapping[str, Any]] = []
        for row in self.rows:
            if row.protocol in ("", protocol) and any(glob(p, True).match(n) for p in row.match for n in names):
                layers += [_sizes(row), row.traits]
        if provider is not None:
            layers += provider.layers(protocol, model)
        return merge_traits(layers)

    def info(self, model: str, provider: Provider | None = None) -> Model | None:
        """A model by its exact name, at this provider or else at any."""
        rows = [provider] if provider else self.providers.values()
        return next((found for row in rows if (found := row.model(model))), None)

    def matching(self, pattern: str, providers: Sequence[Provider] = ()) -> list[tuple[Provider, Model]]:
        """The models whose name fits a glob, at these providers or else at all; each name once."""
        fits = glob(pattern).match
        found: dict[str, tuple[Provider, Model]] = {}
        for row in providers or self.providers.values():
            for model in row.models:
                if fits(model.id):
                    found.setdefault(model.id, (row, model))
        return list(found.values())


def merge_traits(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        drop = tuple(dict.fromkeys((*merged.get("drop", ()), *layer.get("drop", ()))))
        merged = {**merged, **layer, **({"drop": drop} if drop else {})}
    return merged


def _sizes(row: Model | ModelRow) -> dict[str, Any]:
    sizes = {"context_window": row.context_window, "max_output": row.max_output}
    return {name: size for name, size in sizes.items() if size}


def describe(id: str, owner: str, model: Model | None, traits: Traits) -> ModelInfo:
    """A row of a model list."""
    return ModelInfo(
        id=id,
        name=model.title if model and model.title else id,
        owner=owner,
        context_window=traits.context_window or (model.context_window if model else 0),
        max_output=traits.max_output or (model.max_output if model else 0),
        tools=not traits.embedding and (model.tools if model else True),
        vision="image" in traits.input if not model else model.vision,
        reasoning=bool(model and model.reasoning),
        embedding=traits.embedding,
    )


@lru_cache(maxsize=1024)
def glob(pattern: str, fold: bool = False) -> re.Pattern[str]:
    """`*` and `?` only: brackets are part of names (`claude-opus-5[1m]`). `fold`: the pattern in lower case."""
    parts = {"*": ".*", "?": "."}
    text = pattern.lower() if fold else pattern
    return re.compile("".join(parts.get(char) or re.escape(char) for char in text) + r"\Z", re.DOTALL)


def is_glob(name: str) -> bool:
    return "*" in name or "?" in name


def name_fault(model: str) -> str:
    """What is wrong with a model name that is to go into a URL; "" where nothing is."""
    if len(model) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters"
    if _CONTROL.search(model):
        return "has a control character in it"
    return "has .. as a segment" if ".." in re.split(r"[/\\:]", model) else ""


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """`localhost`, what is under it, and loopback addresses; brackets and a zone are allowed."""
    name = host.strip("[]").partition("%")[0].rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _host_key(host: str, port: int) -> str:
    name = host.strip("[]").rstrip(".").lower()
    return f"loopback:{port}" if is_loopback(name) else name


def load(path: Path = FILE) -> Catalogue:
    """Reads a catalogue file. Raises `SettingsError`; traits that no `Traits` has are errors too."""
    document = settings_yaml.read(path)
    try:
        raw = msgspec.convert(document.values, _File)
        for row in (*raw.models, *raw.providers.values()):
            _check(row)
    except msgspec.ValidationError as error:
        raise settings_yaml.SettingsError([settings_yaml.Problem(str(path), 0, "", str(error))]) from None
    providers = {name: msgspec.structs.replace(row, name=name) for name, row in raw.providers.items()}
    return Catalogue(providers, raw.models, _hosts(providers.values()))


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The catalogue that comes with the program, read once."""
    return load()


# ------------------------------------------------------------------------------------------------ for library users


def list_providers() -> list[str]:
    """The names of the providers, for `get_provider_info` and `--provider`."""
    return list(catalogue().providers)


def get_provider_info(name: str) -> Provider:
    """What is known of a provider: `title`, `protocol` and `base_url` (its main door; `endpoints` are further ones),
    `key_env` (the variables that may hold its key), `key_required`, `default_model`, `models`.

    Raises `UnknownProvider`, a `KeyError`."""
    provider = catalogue().providers.get(name)
    if provider is None:
        raise UnknownProvider(f"there is no provider {name!r}; there is {', '.join(catalogue().providers)}")
    return provider


def get_models(name: str) -> tuple[Model, ...]:
    """The models of a provider: `id`, `title`, `context_window` and `max_output` in tokens (0: unknown), `tools`,
    `vision`, `reasoning`, and `price` in US dollars for a million tokens, in and out (None: unknown).

    Raises `UnknownProvider`, a `KeyError`. () where a provider has whatever its owner installed."""
    return get_provider_info(name).models


class UnknownProvider(KeyError):
    """A name that no provider has; the text names those that there are."""

    def __str__(self) -> str:
        return str(self.args[0])


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    providers: dict[str, Provider]
    models: tuple[ModelRow, ...] = ()


def _check(row: Row) -> None:
    msgspec.convert(row.traits, Traits)
    if isinstance(row, Provider):
        for part in (*row.models, *row.endpoints.values()):
            _check(part)


def _hosts(providers: Iterable[Provider]) -> dict[str, tuple[str, str]]:
    """Host to provider and region. Where hosts are shared, the main door of a provider wins."""
    hosts: dict[str, tuple[str, str]] = {}
    for provider in providers:
        if not provider.by_host:
            continue
        doors = [(url, region) for region, urls in provider.regions.items() for url in urls.values()]
        doors += [(f"https://{host}", "") for host in provider.hosts]
        doors += [(door.base_url, "") for door in provider.endpoints.values()]
        doors.append((provider.base_url, ""))
        for url, region in doors:  # the main door comes last
            parts = urlsplit(url)
            hosts[_host_key(parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme])] = (provider.name, region)
    return hosts
