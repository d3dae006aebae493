"""What `doctor` says of the config, the keys and the upstreams."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from addons.asking import Asked as Answer
from addons.asking import ask
from addons.catalog import catalogue
from addons.settings import Environment, ModelRoute, Settings, SettingsError, Upstream, environment, load
from addons.store import StoreError
from addons.store.stored import Stored
from scripts import summary
from scripts.doctor import Asked, Finding, side_by_side
from scripts.serve import Options, child_environ, config_path
from scripts.terminal import progress

STEPS = 4  # of an upstream: name, connection, TLS, question


@dataclass
class Here:
    """What would be served from here. `settings`: one for the config, else one for each provider whose key is set."""

    environ: Environment
    host: str = "127.0.0.1"
    port: int = 8080
    settings: list[Settings] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)  # the config file as it is written
    findings: list[Finding] = field(default_factory=list)

    def upstreams(self) -> Iterator[Upstream]:
        for settings in self.settings:
            yield from settings.upstreams.values()

    def routes(self) -> Iterator[ModelRoute]:
        for settings in self.settings:
            yield from settings.models.values()


def read(asked: Asked) -> Here:
    """Raises `SettingsError` where --env-file cannot be read."""
    options = Options(asked.config, env_file=asked.env_file)
    environ, notes = environment(Path.cwd(), child_environ(options, os.environ))
    here = Here(environ)
    for note in notes:
        here.findings.append(Finding("config", ".env", "warn", note, "see --env-file, whose file is taken whole"))
    path = config_path(options, environ)
    stored = _store(here, path)
    flags = {"provider": asked.provider, "base_url": asked.base_url}
    if path or any(flags.values()):
        _load(here, path, {name: value for name, value in flags.items() if value})
    else:
        _providers_with_keys(here, stored)
    if asked.host or asked.port:
        here.host, here.port = asked.host or here.host, asked.port or here.port
    return here


def _store(here: Here, path: Path | None) -> list[str]:
    """The providers of the key store, whose keys must open. Nothing is said of a store that is not there."""
    try:
        store = Stored.of_config(path, here.environ).store
        records = [record for record in store.list() if record.enabled]
        for record in records:
            store.key(record.name)
    except SettingsError as error:  # also of the config, whose own problems are told with the rest
        if isinstance(error, StoreError):
            advice = "`llm-link providers list` says the same; nothing in it was changed"
            here.findings.append(Finding("key", "key store", "fail", str(error.problems[0]), advice))
        return []
    if records:
        detail = f"{len(records)} provider{'s'[: len(records) > 1]}, {store.path}"
        here.findings.append(Finding("key", "key store", "ok", detail))
    return [record.name for record in records]


def _load(here: Here, path: Path | None, flags: dict[str, object]) -> None:
    name = str(path) if path else " ".join(f"--{flag.replace('_', '-')}" for flag in flags)
    try:
        settings = load(path, here.environ, serve=flags)
    except SettingsError as error:
        for problem in error.problems:
            advice = "change that line" if problem.line else "see `llm-link serve --help`"
            here.findings.append(Finding("config", name, "fail", str(problem), advice))
        return
    here.settings, here.values = [settings], summary.read_values(path)
    if settings.listen:
        here.host, here.port = settings.listen.host or here.host, settings.listen.port
    count = f"{len(settings.upstreams)} upstreams, {len(settings.models)} models, auth {settings.auth.mode}"
    here.findings.append(Finding("config", name, "ok", count))
    for warning in settings.warnings:
        here.findings.append(Finding("config", name, "warn", warning, ""))
    if path:
        here.findings.extend(_rights(path, here.values))


def _rights(path: Path, values: dict[str, Any]) -> Iterator[Finding]:
    if os.name == "posix" and _holds_secrets(values) and stat.S_IMODE(path.stat().st_mode) & 0o077:
        detail = "it holds keys, and other users of this machine may read it"
        yield Finding("config", str(path), "warn", detail, f"chmod 600 {path}, or write {{env: NAME}} for the keys")


def _holds_secrets(values: Any) -> bool:
    if isinstance(values, list):
        return any(map(_holds_secrets, values))
    if not isinstance(values, dict):
        return False
    refs = [values.get("api_key"), *(values.get("api_keys") or ()), *(values.get("keys") or ())]
    return any(isinstance(ref, dict) and "value" in ref for ref in refs) or any(map(_holds_secrets, values.values()))


def _providers_with_keys(here: Here, stored: list[str]) -> None:
    """Without a config, what `llm-link --provider NAME` could serve."""
    here.findings.append(Finding("config", "config", "ok", "none named: flags say what is served (or --config FILE)"))
    ready = [row.name for row in catalogue().providers.values() if any(map(here.environ.get, row.key_env))]
    for name in dict.fromkeys([*ready, *stored]):
        _load_provider(here, name)
    if not here.settings:
        advice = "export DEEPSEEK_API_KEY=… (`llm-link providers list` names the variables), or `llm-link init`"
        here.findings.append(Finding("key", "provider keys", "warn", "no provider's key is set", advice))


def _load_provider(here: Here, name: str) -> None:
    try:
        here.settings.append(load(None, here.environ, serve={"provider": name}))
    except SettingsError as error:  # a *_BASE_URL that is no URL
        advice = "unset the variable, or correct it"
        here.findings.append(Finding("config", name, "fail", str(error.problems[0]), advice))


# ------------------------------------------------------------------------------------------------ keys


def keys(here: Here) -> list[Finding]:
    """Whose key is there, and from where; never what it is."""
    found = [_key(upstream, here, settings) for settings in here.settings for upstream in settings.upstreams.values()]
    return found + [finding for settings in here.settings for finding in _clients(settings)]


def _clients(settings: Settings) -> Iterator[Finding]:
    """Who may call us, where that is more than this machine."""
    auth, count = settings.auth, len(settings.auth.keys)
    if auth.mode == "proxy_key":
        issued = " and those that were issued" if auth.issued else ""
        yield Finding("key", "clients", "ok", f"must present one of {count} key{'s'[: count != 1]}{issued}")
    elif auth.mode == "none" and not settings.loopback_only:
        detail = f"anybody who reaches {settings.host} uses the keys of the upstreams"
        yield Finding(
            "key", "clients", "warn", detail, "auth: {mode: proxy_key} in the config, and `llm-link keys issue`"
        )


def _key(upstream: Upstream, here: Here, settings: Settings) -> Finding:
    sources = summary.key_sources(upstream, here.values, here.environ)
    if sources:
        return Finding("key", upstream.name, "ok", f"from {', '.join(sources)}")
    provider = upstream.provider
    if settings.auth.mode == "client_key":
        return Finding("key", upstream.name, "ok", "none here: the client's own is forwarded")
    if provider is None or not provider.key_required:
        return Finding("key", upstream.name, "ok", "none, and none is needed" if provider else "none")
    detail = f"{' or '.join(provider.key_env)} is not set"
    return Finding("key", upstream.name, "fail", detail, f"export {provider.key_env[0]}=…, or put it into .env")


# ------------------------------------------------------------------------------------------------ upstreams


def upstreams(here: Here, asked: Asked) -> list[Finding]:
    """Asks each one. Side by side, so that the slowest says how long it takes."""
    found = list(here.upstreams())
    if asked.offline:
        return [Finding("upstream", up.name, "skip", f"{up.root} was not asked (--offline)") for up in found]
    if not found:
        return []
    wanted = {up.name: _wanted(up.name, here) for up in found}
    with progress(f"asking {len(found)} upstream{'s' if len(found) > 1 else ''} ..."):
        return side_by_side(
            lambda up: judge(up, ask(up, asked.timeout), wanted[up.name]),
            found,
            asked.timeout * STEPS,
            lambda up: Finding("upstream", up.name, "fail", f"{up.root} did not answer in time", NETWORK),
        )


def _wanted(name: str, here: Here) -> set[str]:
    """The models of an upstream that the config names."""
    targets = [target for route in here.routes() for target in route.targets]
    return {target.model for target in targets if target.upstream == name and target.model != "*"}


NETWORK = "check the network and the upstream's base_url; where a proxy is the only way out, set the upstream's `proxy`"

# How far it got, where there was no answer -> what to do
ADVICE = {
    "name": NETWORK,
    "connection": "is the server up? " + NETWORK,
    "tls": "is it https, and nobody in between? A server of your own may be named with http://",
    "proxy": "check the upstream's `proxy`, its name and password",
    "answer": NETWORK,
}


def judge(upstream: Upstream, answer: Answer, wanted: set[str]) -> Finding:
    """What an answer means. 401 and 403 say that the key is wrong, 402 and 429 that it is right."""
    at = f"{upstream.root} "
    status, named = answer.status, ("upstream", upstream.name)
    if not status:
        state = "warn" if "nothing was asked" in answer.reason else "fail"
        return Finding(*named, state, answer.reason, "" if state == "warn" else ADVICE[answer.step])  # type: ignore[arg-type]
    time = f"in {answer.seconds * 1000:.0f} ms"
    if status in (401, 403):
        return _refused(upstream, status, at + time)
    if status in (402, 429):
        advice = "wait, or look at the account: the provider says that nothing is left"
        return Finding(*named, "warn", f"{at}answers {status} {time}", advice)
    if 300 <= status < 400:
        return Finding(*named, "fail", f"{at}leads elsewhere ({status})", "name the address that it leads to")
    if status >= 500:
        return Finding(*named, "warn", f"{at}answers {status} {time}", "the provider has trouble; try again later")
    if status >= 400 or answer.models is None:
        detail = f"{at}answers {time}, and lists no models ({status}); the key was not checked"
        return Finding(*named, "ok" if status in (404, 405) else "warn", detail)
    key = ", the key is good" if answer.checked else ", to anybody: the key was not checked" if upstream.keys else ""
    detail = f"{at}lists {len(answer.models)} models {time}{key}"
    unknown = sorted(model for model in wanted if not _listed(upstream.backend(model), answer.models))
    if unknown:
        advice = f"does it know {', '.join(unknown)}? It does not list it: see `models` in the config"
        return Finding(*named, "warn", detail, advice)
    return Finding(*named, "ok", detail)


def _listed(model: str, names: tuple[str, ...]) -> bool:
    return model in names or f"{model}:latest" in names


def _refused(upstream: Upstream, status: int, detail: str) -> Finding:
    if not upstream.keys:
        return Finding("upstream", upstream.name, "ok", f"{detail} wants a key ({status}), as it should")
    advice = "the provider refuses this key: make a new one there, and mind which region it is for"
    return Finding("upstream", upstream.name, "fail", f"{detail} refuses the key ({status})", advice)
