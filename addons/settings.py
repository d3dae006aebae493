"""The live configuration: config file, flags and environment, checked as a whole and frozen.

`load` is pure but for reading the files it is told of, so that a reload is a second call. What the command line, the
environment and a reverse target say is laid over the values of the file first (`settings_flags`); then there is one way
from values to settings. Shapes are checked in `settings_model`, what they mean here: every problem is collected, with
file, line and key, before anything is refused.

A key whose feature is not built yet is accepted with one warning line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr

from . import settings_yaml
from .catalog import is_loopback, name_fault
from .credentials import ClientKey
from .settings_api import SPACE_KEYS, Changes, changed, lay_changes
from .settings_build import NO_EFFECT, Report, build_upstream, read_overrides
from .settings_env import Environment, environment, read_env_file
from .settings_flags import DEFAULT, Reverse, Serve, lay_over
from .settings_model import (
    PROTOCOLS,
    AuthMode,
    Control,
    Cors,
    File,
    Keep,
    Limits,
    Listen,
    Logging,
    Params,
    Retry,
    RulePart,
    StorePart,
    TargetPart,
    UpstreamPart,
    Usage,
    check,
    did_you_mean,
)
from .settings_upstream import Upstream
from .settings_workers import ONE_ONLY, counted, together
from .settings_yaml import Document, KeyPath, Problem, SettingsError
from .settings_yaml import read as read_config
from .store.keys import Issued, keys_path
from .store.stored import Stored

__all__ = [
    "SPACE_KEYS", "Auth", "Changes", "Environment", "ModelRoute", "Problem", "Reverse", "Settings", "SettingsError",
    "TargetRef", "Upstream", "changed", "changed_listen", "check_reachable", "environment", "load", "read_config",
    "read_env_file", "space_settings",
]  # fmt: skip


USAGE = "llm-link.db"  # where usage is kept, beside the config


class TargetRef(NamedTuple):
    """A target as it is written; `model` `*`: the client's own name."""

    upstream: str
    model: str
    params: Params = Params()
    weight: int = 1


@dataclass(frozen=True)
class ModelRoute:
    """What stands behind one entry of `models`."""

    name: str
    targets: tuple[TargetRef, ...]
    choose: str = "order"


@dataclass(frozen=True)
class Auth:
    mode: AuthMode = "none"
    keys: tuple[ClientKey, ...] = ()
    written: bool = False  # said by somebody, and no default
    issued: Issued | None = field(default=None, compare=False)  # the keys that we issued, where they count


@dataclass(frozen=True)
class Settings:
    """Everything that the addon needs to know. `host`: the address that we serve on where one was named; `listen`: as
    the file says it. `warnings` are whole lines for the log; `start_line` says what was chosen."""

    source: Path | None = None
    listen: Listen | None = None
    host: str | None = None
    policy: str = "balanced"
    auth: Auth = Auth()
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    models: Mapping[str, ModelRoute] = field(default_factory=dict)
    addressing_said: bool | None = None
    retry: Retry = field(default_factory=Retry)
    limits: Limits = field(default_factory=Limits)
    keep: Keep = field(default_factory=Keep)
    keepalive: float = 10
    keepalive_early: float = 0
    rules: tuple[RulePart, ...] = ()
    usage: Usage = field(default_factory=lambda: Usage(store="off"))
    store: StorePart = field(default_factory=StorePart)
    cors: Cors = field(default_factory=Cors)
    control: Control = field(default_factory=Control)
    control_keys: tuple[SecretStr, ...] = ()
    logging: Logging = field(default_factory=Logging)
    watched: tuple[Path, ...] = ()  # files beside the config whose change is one of the settings
    protocols: tuple[str, ...] = PROTOCOLS  # the client surfaces that are served
    warnings: tuple[str, ...] = ()
    start_line: str = ""
    file: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)  # its values, as they are written
    values: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)  # with all that was laid over it

    @property
    def loopback_only(self) -> bool:
        """Whether only this machine can reach us. Where no host was named, other peers are turned away."""
        return self.host is None or is_loopback(self.host)

    @property
    def addressing(self) -> bool:
        return self.loopback_only if self.addressing_said is None else self.addressing_said

    def served_on(self, host: str | None) -> Settings:
        """The same, where the command line or the mode named the address. None or "": neither did."""
        return replace(self, host=host) if host else self


def load(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    policy: str = "",
    reverse: Reverse | None = None,
    protocol: str = "",
    serve: Mapping[str, object] | None = None,
    cwd: Path | None = None,
    changes: Changes | None = None,
    passing: bool = False,
) -> Settings:
    """The settings of a file (None: no file), the environment and what else was said. Raises `SettingsError`.

    `policy`, `protocol`: the mitmproxy options; `reverse`: the reverse target; `serve`: the flags of `llm-link serve`,
    by default out of `LLM_LINK_SERVE`; `changes`: what the control surface has set; `passing`: there may be no
    upstream, since clients say themselves where they want to go."""
    flags = Serve.read(serve, environ)
    file = document = settings_yaml.read(path) if path else Document()
    folder = path.parent if path else cwd or Path.cwd()
    stored = Stored(document.values.get("store"), folder, environ)
    document = lay_over(document, environ, flags, policy, reverse, protocol, stored, passing)
    document = lay_changes(document, changes or {})
    report = Report(document, environ, stored)
    settings = _Build(check(document), report, path, cwd or Path.cwd()).settings(flags)
    settings = replace(settings, file=file.values, values=document.values)
    if not passing:  # else a password is asked for, or the start refused (`intercepting`)
        check_reachable(None, settings)
    return settings


def space_settings(config: Mapping[str, Any], base: Settings, environ: Mapping[str, str]) -> Settings:
    """The settings of a namespace: `SPACE_KEYS` of its own, all else as in `base`. Raises `SettingsError`."""
    values = {key: value for key, value in config.items() if key in SPACE_KEYS and value is not None}
    document = Document("", values)
    report = Report(document, environ, Stored.of_config(base.source, environ))
    folder = base.source.parent if base.source else Path.cwd()
    own = _Build(check(document), report, base.source, folder).settings(Serve())
    said = {_FIELDS.get(key, key) for key in values} | {"upstreams", "models"}
    return replace(base, **{name: getattr(own, name) for name in said}, values=values, warnings=own.warnings)


_FIELDS = {"addressing": "addressing_said"}  # key of the config -> field of `Settings`, where they differ


def usage_store(named: str | None, config: Path | None, folder: Path) -> str:
    """Where usage is kept, in full."""
    named = named or (f"sqlite:{USAGE}" if config is not None else "off")
    kind, _, place = named.partition(":")
    return f"sqlite:{folder / Path(place).expanduser()}" if kind == "sqlite" else named


def usage_of(config: Path) -> str:
    """The same for a config file, whatever else may be wrong with it. Raises `SettingsError`."""
    part = settings_yaml.read(config).values.get("usage")
    named = part.get("store") if isinstance(part, dict) else part
    return usage_store("off" if named is False else named if isinstance(named, str) else None, config, config.parent)


def changed_listen(old: Settings, new: Settings) -> bool:
    """Whether a reload asks for another address, which only a restart can give."""
    return old.listen != new.listen


def check_reachable(host: str | None, settings: Settings) -> None:
    """Raises `SettingsError` where a host was named that others can reach, and nobody wrote `auth`.

    `host`: as the command line or the mode named it; None or "": as the settings know."""
    named = host or settings.host
    if named and not is_loopback(named) and not settings.auth.written:
        reason = f"must be written out, even `mode: none`, since {named} can be reached by others (or use --api-key)"
        raise SettingsError([Problem(str(settings.source or ""), 0, "auth", reason)])


class _Build:
    """From the shapes of the file to the settings."""

    def __init__(self, file: File, report: Report, path: Path | None, cwd: Path) -> None:
        self.file, self.report, self.path = file, report, path
        self.folder = path.parent if path else cwd
        self.overrides = read_overrides(report, dict.fromkeys((self.folder, cwd)))

    def settings(self, flags: Serve) -> Settings:
        file, report = self.file, self.report
        made = {name: build_upstream(report, name, part, self.overrides) for name, part in file.upstreams.items()}
        upstreams = {name: upstream for name, upstream in made.items() if upstream}
        models, auth = self._models(), self._auth()
        control_keys = self._control_keys()
        self._later_secrets()
        for path in counted(file) if flags.workers > 1 else ():
            report.fault(ONE_ONLY, *path)
        if report.problems:
            raise SettingsError(report.problems)
        for path in self._later():
            report.warn(NO_EFFECT, *path)
        self._warn_keys(upstreams, auth)
        return Settings(
            source=self.path,
            listen=file.listen,
            host=flags.host or (file.listen.host if file.listen else "") or None,
            policy=file.policy,
            auth=auth,
            upstreams=upstreams,
            models=models,
            addressing_said=file.addressing,
            retry=file.retry,
            limits=file.limits,
            keep=file.keep,
            keepalive=file.keepalive,
            keepalive_early=file.keepalive_early,
            rules=tuple(rule.model_copy(update={"path": self._at(rule.path)}) for rule in file.rules),
            usage=self._usage(),
            store=file.store.model_copy(update={"path": str(report.stored.path)}),
            watched=(report.stored.path,) if report.stored.asked else (),
            cors=file.cors,
            control=file.control,
            control_keys=control_keys,
            logging=self._logging(),
            protocols=flags.surfaces(),
            warnings=tuple(report.warnings),
            start_line=self._start_line(upstreams, models, auth) + together(flags.workers),
        )

    def _at(self, path: str) -> str:
        """A path of the file, relative to it."""
        return str(self.folder / Path(path).expanduser())

    def _usage(self) -> Usage:
        """With its path made whole."""
        return Usage(store=usage_store(self.file.usage.store, self.path, self.folder))

    def _logging(self) -> Logging:
        logging = self.file.logging
        return logging.model_copy(update={"file": self._at(logging.file)}) if logging.file else logging

    def _auth(self) -> Auth:
        part, report = self.file.auth, self.report
        if part is None:
            return Auth()
        written = report.document.origins.get(("auth",)) != DEFAULT
        mode = part.mode or ("proxy_key" if part.keys else "none")
        secrets = [report.secret(ref, "auth", "keys", n) for n, ref in enumerate(part.keys)]
        pairs = zip(secrets, part.keys, strict=True)
        keys = [ClientKey(s, ref.label or "", ref.models, ref.rate) for s, ref in pairs if s]
        issued = self._issued() if mode == "proxy_key" else None
        if mode == "proxy_key" and not part.keys:
            key = report.environ.get("LLM_LINK_API_KEY")
            if not key and not issued:
                ways = "keys, LLM_LINK_API_KEY in the environment, or one of `llm-link keys issue`"
                report.fault(f"proxy_key needs {ways}", "auth")
            keys = [ClientKey(SecretStr(key))] if key else []
        if mode != "proxy_key" and part.keys:
            report.warn(f"not used, since the mode is {mode}", "auth", "keys")
        return Auth(mode, tuple(keys), written, issued)

    def _issued(self) -> Issued | None:
        try:
            return Issued(keys_path(self.report.stored.path))
        except SettingsError as error:
            self.report.problems += error.problems
            return None

    def _control_keys(self) -> tuple[SecretStr, ...]:
        """Without keys in the file, the one of the environment counts. One that cannot be had opens nothing."""
        part, report = self.file.control, self.report
        if not part.keys:
            key = report.environ.get("LLM_LINK_ADMIN_KEY")
            return (SecretStr(key),) if key else ()
        found = [report.secret(ref, "control", "keys", n) for n, ref in enumerate(part.keys)]
        return tuple(key for key in found if key is not None)

    def _later_secrets(self) -> None:
        """An unset name is an error now, also where the feature comes later."""
        secret = self.file.store.secret
        if secret is not None and secret.store is not None:
            self.report.fault("the secret of the store cannot be in the store", "store", "secret")
        elif secret is not None:
            self.report.secret(secret, "store", "secret")

    def _models(self) -> dict[str, ModelRoute]:
        parts = self.file.models
        if parts is None:
            return self._default_models()
        models: dict[str, ModelRoute] = {}
        for name, part in parts.items():
            if fault := name_fault(name):
                self.report.fault(fault, "models", name)
            refs = [self._target(one, part.params, "models", name, "targets", n) for n, one in enumerate(part.targets)]
            models[name] = ModelRoute(name, tuple(ref for ref in refs if ref), part.choose)
        return models

    def _default_models(self) -> dict[str, ModelRoute]:
        """Without `models`, an upstream that is alone takes every name."""
        if len(self.file.upstreams) != 1:
            return {}
        name = next(iter(self.file.upstreams))
        return {"*": ModelRoute("*", (TargetRef(name, "*"),))}

    def _target(self, part: TargetPart, shared: Params, *path: str | int) -> TargetRef | None:
        upstream, slash, model = part.target.partition("/")
        if not slash or not model:
            self.report.fault(f"expected UPSTREAM/MODEL, not {part.target!r}", *path)
        elif upstream not in self.file.upstreams:
            self.report.fault(f"unknown upstream {upstream!r}{did_you_mean(upstream, self.file.upstreams)}", *path)
        elif "*" in model and model != "*":
            self.report.fault("only * alone can be the model of a target: the client's own name", *path)
        elif fault := name_fault(model):
            self.report.fault(f"the model {fault}", *path)
        else:
            return TargetRef(upstream, model, shared if part.params.empty else part.params, part.weight)
        return None

    def _later(self) -> Iterator[KeyPath]:
        """The keys that were written and whose features come later."""
        file = self.file
        for name, upstream in file.upstreams.items():
            yield from (("upstreams", name, *rest) for rest in _later_of(upstream))

    def _warn_keys(self, upstreams: Mapping[str, Upstream], auth: Auth) -> None:
        for name, upstream in upstreams.items():
            provider = upstream.provider
            if provider and provider.key_required and upstream.key is None and auth.mode != "client_key":
                self.report.warn(f"has no key: {' or '.join(provider.key_env)} is not set", "upstreams", name)

    def _start_line(self, upstreams: Mapping[str, Upstream], models: Mapping[str, ModelRoute], auth: Auth) -> str:
        where = f"config {self.path}" if self.path else "no config file"
        environ = self.report.environ
        if isinstance(environ, Environment) and environ.taken:
            where += f", {', '.join(environ.taken)} from {environ.dotenv}"
        if not upstreams:
            return f"{where}: requests to the hosts of known providers go there, with the client's own key"
        if len(upstreams) != 1:
            return f"{where}: {len(upstreams)} upstreams, {len(models)} models, auth {auth.mode}"
        (upstream,) = upstreams.values()
        what = f"upstream {upstream.name} ({upstream.protocol}, {upstream.root})"
        return f"{where}: {what}, {self._key_text(upstream, auth)}"

    def _key_text(self, upstream: Upstream, auth: Auth) -> str:
        mode = f"auth {auth.mode}"
        names = upstream.provider.key_env if upstream.provider else ()
        if upstream.key is None:
            unset = f"{' or '.join(names)} is not set: " if names else ""
            return f"{unset}the client's key is forwarded, {mode}" if auth.mode == "client_key" else f"no key, {mode}"
        part = self.file.upstreams[upstream.name]
        if part.api_key is not None or part.api_keys is not None:
            return f"its own key, {mode}"
        variable = next((name for name in names if self.report.environ.get(name)), "")
        return f"key from {variable or self.report.stored.path}, {mode}"


def _later_of(upstream: UpstreamPart) -> Iterator[KeyPath]:
    if upstream.proxy is not None and upstream.proxy.startswith("socks5"):
        yield ("proxy",)
