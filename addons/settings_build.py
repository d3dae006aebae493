"""From the shapes of the file to upstreams: what needs the environment, the catalogue or other keys to be judged.

`Report` collects what is wrong and what is worth a warning, each with its place, so that one start shows everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from pydantic import SecretStr

from . import settings_yaml
from .catalog import DEFAULT_PORTS, Endpoint, Provider, catalogue, name_fault
from .credentials import NEVER_STATIC
from .settings_flags import REVERSE
from .settings_model import SecretRef, UpstreamPart, did_you_mean
from .settings_upstream import Proxy, Upstream, ascii_host, root_path, split_url
from .settings_yaml import Document, Problem, SettingsError
from .store.records import Record
from .store.stored import Stored

OVERRIDES_FILE = "model-overrides.yaml"
NO_EFFECT = "accepted, but has no effect in this version"

_UPSTREAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")
_PROXY_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}

Overrides = Mapping[str, Mapping[str, str]]  # provider or upstream -> model -> what goes over the wire


class Report:
    """Problems and warnings of one document, and the environment that its names stand for."""

    def __init__(self, document: Document, environ: Mapping[str, str], stored: Stored) -> None:
        self.document, self.environ, self.stored = document, environ, stored
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def fault(self, reason: str, *path: str | int) -> None:
        self.problems.append(self.document.problem(path, reason))

    def warn(self, reason: str, *path: str | int) -> None:
        self.warnings.append(str(self.document.problem(path, reason)))

    def secret(self, ref: SecretRef, *path: str | int) -> SecretStr | None:
        """What a reference stands for. None: there is nothing there, which is a fault."""
        if ref.value is not None:
            return ref.value
        if ref.env is None:
            return self.stored_key(ref.store or "", *path, "store")
        value = self.environ.get(ref.env)
        if not value:
            self.fault(f"the environment variable {ref.env} is not set", *path, "env")
            return None
        return SecretStr(value)


    def stored_key(self, name: str, *path: str | int) -> SecretStr | None:
        """The key of a stored provider. None: it cannot be had, which is a fault."""
        try:
            return self.stored.key(name)
        except SettingsError as error:
            self.fault(str(error.problems[0]), *path)
            return None


class Door(NamedTuple):
    """Where an upstream is called, in which protocol, and the form of its key ("": the protocol's)."""

    protocol: str
    url: str
    auth: str


def build_upstream(report: Report, name: str, part: UpstreamPart, overrides: Overrides) -> Upstream | None:
    """One upstream of the file. None: it cannot be made, and the report says why."""
    return _Builder(report, name, part).upstream(overrides)


class _Builder:
    def __init__(self, report: Report, name: str, part: UpstreamPart) -> None:
        self.report, self.name, self.part = report, name, part
        self.record: Record | None = None  # where `provider` names one that is stored

    def _fault(self, reason: str, *path: str | int) -> None:
        self.report.fault(reason, "upstreams", self.name, *path)

    def upstream(self, overrides: Overrides) -> Upstream | None:
        if not _UPSTREAM_NAME.fullmatch(self.name):
            self._fault("the name of an upstream has letters, digits, `.`, `_` and `-` only")
        provider, region = self._provider()
        door, keys, proxy, headers = self._door(provider, region), self._keys(provider), self._proxy(), self._headers()
        if door is None:
            return None
        try:
            parts = split_url(door.url)
            scheme, host, path = parts.scheme.lower(), ascii_host(parts), root_path(parts.path, door.protocol)
        except ValueError as error:
            self._fault(str(error), "base_url")
            return None
        part = self.part
        return Upstream(
            name=self.name,
            protocol=door.protocol,
            scheme=scheme,
            host=host,
            port=parts.port or DEFAULT_PORTS[scheme],
            path=path,
            keys=keys,
            auth=door.auth,
            headers=headers,
            params=part.params,
            timeout=part.timeout,
            limits=part.limits,
            rate=part.rate,
            surface=part.surface,
            proxy=proxy,
            provider=provider,
            region=region,
            overrides=overrides.get(provider.name if provider else self.name, {}),
        )

    def _provider(self) -> tuple[Provider | None, str]:
        if self.part.provider is None:
            return None, ""
        name, _, region = self.part.provider.partition(":")
        provider = catalogue().providers.get(name)
        self.record = self._stored(name, provider is not None)
        if self.record is not None:
            provider, own = self.record.row()
            region = region or own
        if provider is None:
            known = {*catalogue().providers, *self.report.stored.names()}
            self._fault(f"unknown provider {name!r}{did_you_mean(name, known)}", "provider")
            return None, ""
        if region and region not in provider.regions:
            known = did_you_mean(region, provider.regions) or "; it has none"
            self._fault(f"unknown region {region!r} of {name}{known}", "provider")
            region = ""
        return provider, region

    def _stored(self, name: str, known: bool) -> Record | None:
        """The record of a name. A store that cannot be read is no matter to who uses the catalogue alone."""
        if self.report.document.origins.get(("upstreams", self.name)) == REVERSE:
            return None
        try:
            return self.report.stored.find(name)
        except SettingsError as error:
            if known:
                self.report.warnings.append(f"{error.problems[0]} (the store is not used)")
            else:
                self._fault(str(error.problems[0]), "provider")
            return None

    def _door(self, provider: Provider | None, region: str) -> Door | None:
        part = self.part
        protocol = part.protocol or (self.record or provider).protocol if provider else part.protocol or ""
        if not protocol:
            if part.provider is None:
                self._fault("needs a provider, or a protocol and a base_url")
            return None
        door = provider.endpoint(protocol, region) if provider else None
        url = part.base_url or self._catalogue_url(provider, protocol, door)
        if url:
            return Door(protocol, url, door.auth if door else "")
        if provider is not None:
            at = f"{provider.name}:{region}" if region else provider.name
            self._fault(f"{at} does not speak {protocol}; it speaks {', '.join(provider.protocols)}", "protocol")
        elif part.provider is None:
            self._fault("needs a base_url, or a provider")
        return None

    def _catalogue_url(self, provider: Provider | None, protocol: str, door: Endpoint | None) -> str:
        if provider is None or door is None:
            return ""
        named = self.report.environ.get(provider.base_url_env) if provider.base_url_env else None
        if not named:
            return door.base_url
        # The variable names the server (OLLAMA_BASE_URL); where another door stands on it is the catalogue's to say.
        return named if protocol == provider.protocol else named.rstrip("/") + split_url(door.base_url).path

    def _keys(self, provider: Provider | None) -> tuple[SecretStr, ...]:
        part, here = self.part, ("upstreams", self.name)
        if part.api_key is not None and part.api_keys is not None:
            self._fault("api_key and api_keys are both there; one is enough", "api_keys")
        if part.api_key is not None:
            found = [self.report.secret(part.api_key, *here, "api_key")]
        elif part.api_keys is not None:
            found = [self.report.secret(ref, *here, "api_keys", n) for n, ref in enumerate(part.api_keys)]
        else:
            names = provider.key_env if provider else ()
            found = [SecretStr(value) for name in names if (value := self.report.environ.get(name))][:1]
            if not found and self.record is not None and self.record.encrypted_api_key:
                found = [self.report.stored_key(self.record.name, *here, "provider")]
        return tuple(key for key in found if key is not None)

    def _headers(self) -> tuple[tuple[str, str], ...]:
        for name, value in self.part.headers.items():
            if not _HEADER_NAME.fullmatch(name):
                self._fault("is no header name", "headers", name)
            elif name.lower() in NEVER_STATIC:
                about_keys = "key" in name.lower() or "auth" in name.lower()
                hint = "use api_key" if about_keys else "it is set for each request"
                self._fault(f"cannot be a static header; {hint}", "headers", name)
            if not _HEADER_VALUE.fullmatch(value):
                self._fault("the value has a control character in it", "headers", name)
        return tuple((name.lower(), value) for name, value in self.part.headers.items())

    def _proxy(self) -> Proxy | None:
        if self.part.proxy in (None, "direct"):
            return None
        try:
            parts = split_url(self.part.proxy or "", tuple(_PROXY_PORTS), userinfo=True)
            if parts.path not in ("", "/"):
                raise ValueError("must not have a path")
            login = parts.netloc.rpartition("@")[0]
            scheme = parts.scheme.lower()
            port = parts.port or _PROXY_PORTS[scheme]
            return Proxy(scheme, ascii_host(parts), port, SecretStr(unquote(login)) if login else None)
        except ValueError as error:
            self._fault(f"{error}, or be `direct`", "proxy")
            return None


def read_overrides(report: Report, folders: Iterable[Path]) -> dict[str, dict[str, str]]:
    """The first `model-overrides.yaml` that is there: PROVIDER: {NAME: BACKEND}. What cannot be used is reported and
    left out."""
    path = next((path for folder in folders if (path := folder / OVERRIDES_FILE).is_file()), None)
    if path is None:
        return {}
    try:
        values = settings_yaml.read(path).values
    except SettingsError as error:
        report.warnings.append(f"{error.problems[0]} (the file is ignored)")
        return {}
    maps = {name: entries for name, entries in values.items() if isinstance(entries, dict)}
    good = {name: {k: v for k, v in entries.items() if _is_model(v)} for name, entries in maps.items()}
    if len(maps) != len(values) or good != maps:
        report.warnings.append(f"{path}: expected PROVIDER: {{NAME: BACKEND}}; what is not so is ignored")
    return good


def _is_model(value: object) -> bool:
    return isinstance(value, str) and value != "" and not name_fault(value)
