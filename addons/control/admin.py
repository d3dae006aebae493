"""Namespaces and who may call us: `/admin/state`, `/admin/namespaces/{ns}/{state,config}`, `/admin/data-auth`.

Each change names the revision that it was made for; where that is not the one in use, it is a 412 and nothing happens.
A change is checked as a whole first, for who may call us also against each namespace.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path

from addons.control import allowed
from addons.control.errors import Refused
from addons.control.numbers import upstream_health
from addons.control.orders import (
    AdminState,
    Applied,
    AuthApplied,
    AuthChange,
    AuthConfig,
    AuthState,
    Availability,
    Dropped,
    NamespaceChange,
    NamespaceRow,
    NamespaceState,
    NamespaceUpstream,
    ShownKey,
)
from addons.control.shapes import Error
from addons.running import DEFAULT, Space
from addons.settings import Settings, SettingsError
from addons.settings_api import SPACE_KEYS
from addons.settings_upstream import Upstream

if TYPE_CHECKING:
    from addons.running import Running

MOST = 256  # namespaces

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODES = {"client_provider_key": "client_key"}
_STALE = "admin config revision precondition failed"
_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Error, "description": "There is no such namespace."}}
_STALE_ANSWER: dict[int | str, dict[str, Any]] = {
    412: {"model": Error, "description": "`if_revision` is not the revision in use, which `current_revision` says."}
}

Name = Annotated[str, Path(description="the namespace; `default` is the config file's", max_length=64)]


def router(running: Running) -> APIRouter:
    routes = APIRouter(prefix="/admin", tags=["admin"])

    @routes.get("/state")
    async def state() -> AdminState:
        """The namespaces that there are."""
        return AdminState(namespaces=[_row(space) for space in running.spaces.values()])

    @routes.get("/namespaces/{namespace}/state", responses=_MISSING)
    async def namespace_state(namespace: Name) -> NamespaceState:
        """One namespace: its config without keys, and how its upstreams are."""
        space = _find(running, namespace)
        rows = {row.name: row for row in upstream_health(running) if row.namespace == namespace}
        return NamespaceState(
            namespace=namespace,
            revision=space.revision,
            config=allowed.redacted(space.settings.values),
            upstreams=[_upstream(one, rows[one.name].status) for one in space.settings.upstreams.values()],
        )

    @routes.post("/namespaces/{namespace}/config", responses=_STALE_ANSWER)
    async def configure(namespace: Name, asked: NamespaceChange) -> Applied:
        """Make a namespace (no `if_revision`), or give it another config as a whole (its `if_revision`)."""
        if not _NAME.fullmatch(namespace):
            raise Refused(400, "a namespace has letters, digits, `.`, `_` and `-` only, and at most 64", "namespace")
        config = allowed.space_config(asked.config)
        async with running.changing():
            found = running.spaces.get(namespace)
            _check_revision(asked.if_revision, found.revision if found else None)
            if found is None and len(running.spaces) > MOST:
                raise Refused(400, f"there are {MOST} namespaces, and no room for more", "namespace")
            allowed.check_space(config, running.settings.file)
            space = await _configured(running, namespace, config)
        return Applied(namespace=namespace, revision=space.revision)

    @routes.delete("/namespaces/{namespace}", responses={**_MISSING, **_STALE_ANSWER})
    async def drop(namespace: Name, if_revision: str | None = None) -> Dropped:
        """Take a namespace away. Its running requests end as they began."""
        async with running.changing():
            space = _find(running, namespace)
            _check_revision(if_revision, space.revision)
            if namespace == DEFAULT:
                raise Refused(400, "the config file's namespace stays", "namespace")
            running.drop_space(namespace)
        return Dropped(deleted=namespace)

    @routes.get("/data-auth")
    async def data_auth() -> AuthState:
        """Who may call us, without any key."""
        return AuthState(revision=running.auth_revision, config=_auth(running.settings))

    @routes.put("/data-auth", responses=_STALE_ANSWER)
    async def put_data_auth(asked: AuthChange) -> AuthApplied:
        """Another mode or other keys for clients, for requests from now on. Not kept after a restart."""
        part = _auth_part(asked, running.settings)
        async with running.changing():
            _check_revision(asked.if_revision, running.auth_revision)
            try:
                await running.apply({("auth",): part})
            except SettingsError as error:
                raise _refused(error) from None
        return AuthApplied(revision=running.auth_revision, config=_auth(running.settings))

    return routes


def _find(running: Running, namespace: str) -> Space:
    found = running.spaces.get(namespace)
    if found is None:
        raise Refused(404, f"there is no namespace {namespace[:64]!r}")
    return found


def _check_revision(given: str | None, current: str | None) -> None:
    if given != current:
        raise Refused(412, _STALE, "if_revision", current_revision=current)


async def _configured(running: Running, name: str, config: dict[str, Any]) -> Space:
    try:
        if name != DEFAULT:
            return await running.set_space(name, config)
        await running.apply({(key,): config.get(key) for key in SPACE_KEYS if key in config or key in _WHOLE})
    except SettingsError as error:
        raise _refused(error) from None
    return running.spaces[DEFAULT]


_WHOLE = ("upstreams", "models")  # what a config says as a whole; other keys stay as they are where it has none


def _refused(error: SettingsError) -> Refused:
    first = error.problems[0]
    return Refused(400, str(error), f"config.{first.key}" if first.key else "config")


def _row(space: Space) -> NamespaceRow:
    settings = space.settings
    return NamespaceRow(
        namespace=space.name,
        revision=space.revision,
        upstream_count=len(settings.upstreams),
        model_alias_count=len(settings.models),
    )


def _upstream(upstream: Upstream, status: str) -> NamespaceUpstream:
    proxy, provider = upstream.proxy, upstream.provider
    reason = {"cooling": "it failed and is left alone for a while", "failing": "its last attempts had no answer"}
    return NamespaceUpstream(
        name=upstream.name,
        api_root=upstream.root,
        fixed_upstream_format=upstream.protocol,
        supported_formats=list(provider.protocols) if provider else [upstream.protocol],
        availability=Availability(
            status="unavailable" if status == "cooling" else "available", reason=reason.get(status)
        ),
        has_api_key=bool(upstream.keys),
        proxy_source="upstream" if proxy else "none",
        proxy_mode="proxy" if proxy else "direct",
        proxy_url=f"{proxy.scheme}://{proxy.host}:{proxy.port}" if proxy else None,
    )


def _auth(settings: Settings) -> AuthConfig:
    written = settings.values.get("auth")
    refs = written.get("keys", []) if isinstance(written, dict) else []
    keys = [_shown(ref) for ref in refs if isinstance(ref, dict)] if settings.auth.mode == "proxy_key" else []
    if not keys and settings.auth.mode == "proxy_key":
        keys = [ShownKey(source="env", env_name="LLM_LINK_API_KEY")]
    return AuthConfig(
        configured=settings.auth.written,
        mode=settings.auth.mode,
        proxy_key=keys[0] if keys else ShownKey(source="none", configured=False, redacted=False),
        keys=keys,
    )


def _shown(ref: dict[str, Any]) -> ShownKey:
    source = next((word for word in ("env", "store") if word in ref), "inline")
    env, label = ref.get("env"), ref.get("label")
    return ShownKey(source=source, env_name=str(env) if env else None, label=str(label) if label else None)


def _auth_part(asked: AuthChange, settings: Settings) -> dict[str, Any]:
    """`auth` as the config file would say it."""
    config = asked.config
    given = [*([config.proxy_key] if config.proxy_key else []), *(config.keys or [])]
    keys = []
    for n, key in enumerate(given):
        one = key.model_dump(exclude_none=True)
        if "inline" in one:
            one["value"] = one.pop("inline")
        if len(one.keys() & {"env", "value"}) != 1:
            raise Refused(400, "needs exactly one of inline (or value) and env", f"config.keys[{n}]")
        keys.append(one)
    allowed.check_envs(keys, settings.file, "config.keys")
    mode = _MODES.get(config.mode, config.mode)
    return {"mode": mode, **({"keys": keys} if keys else {})}
