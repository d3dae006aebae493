"""Changing what is in use: `/api/config/{validate,validate-key,update,update-key,switch-provider}`.

`update-key` and `switch-provider` act at once, for requests that come from then on. `update` changes nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter

from addons.catalog import Provider, catalogue
from addons.control import changing, persist, probe
from addons.control.errors import Refused
from addons.control.orders import (
    Checked,
    CommandLine,
    KeyAsked,
    KeyChecked,
    KeyUpdate,
    ListedModel,
    ModelKeyAsked,
    Prepared,
    Switch,
    Switched,
    Updated,
)
from addons.control.shapes import Error
from addons.settings import Changes, SettingsError, space_settings
from addons.settings_upstream import Upstream
from addons.store import StoreError
from addons.store.stored import Stored

if TYPE_CHECKING:
    from addons.running import Running

_CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": Error, "description": "It cannot be kept (`persist`): no config file, or one that is not valid."}
}


def router(running: Running) -> APIRouter:
    routes = APIRouter(prefix="/api/config", tags=["config"])
    desk = _Desk(running)

    @routes.post("/validate")
    async def validate(asked: ModelKeyAsked) -> Checked:
        """Ask a provider whether it takes a key. Nothing is changed."""
        verdict = await desk.ask(asked, asked.model or "")
        return Checked(status=verdict.status, message=verdict.message, models=_listed(verdict))

    @routes.post("/validate-key")
    async def validate_key(asked: KeyAsked) -> KeyChecked:
        """The same, before `update-key`."""
        verdict = await desk.ask(asked, "")
        message = "API key is valid and ready for hot update" if verdict.status == "valid" else verdict.message
        return KeyChecked(status=verdict.status, message=message, models=_listed(verdict), provider=asked.provider)

    @routes.post("/update")
    async def update(asked: ModelKeyAsked) -> Prepared:
        """The parameters of a restart with another provider. Nothing is changed."""
        return await desk.prepare(asked)

    @routes.post("/update-key", responses=_CONFLICT)
    async def update_key(asked: KeyUpdate) -> Updated:
        """Another key for a provider, at once. Running requests end with the old one."""
        changing.check_key(asked.api_key)
        await desk.check_known(asked.provider)
        async with running.changing():
            changes = changing.key_changes(running.settings, asked.provider, asked.api_key, asked.base_url)
            kept = await desk.change(changes, asked.persist)
        message = f"API key updated for provider: {asked.provider}"
        return Updated(message=message, provider=asked.provider, persisted=kept)

    @routes.post("/switch-provider", responses=_CONFLICT)
    async def switch_provider(asked: Switch) -> Switched:
        """Lead all models to another provider, at once. Running requests end where they are."""
        changing.check_key(asked.api_key)
        changing.check_address(asked.base_url, asked.api_key)
        await desk.check_known(asked.provider)
        async with running.changing():
            kept = await desk.switch(asked)
            now = running.current()
        name, model = (now[0].name, now[1]) if now else (asked.provider, "*")
        message = f"Provider switched to: {asked.provider}"
        return Switched(message=message, provider=name, model=model, persisted=kept)

    return routes


def _listed(verdict: probe.Verdict) -> list[ListedModel]:
    return [ListedModel(id=id, name=name, description=text) for id, name, text in verdict.models]


class _Desk:
    """The work behind the endpoints."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def _stored(self) -> list[str]:
        return Stored.of_config(self._running.settings.source, self._running.environ).names()

    async def check_known(self, provider: str) -> None:
        try:
            stored = await asyncio.to_thread(self._stored)
        except SettingsError:  # the file was broken since; its providers are not known then
            stored = []
        changing.check_known(self._running.settings, provider, stored)

    # ------------------------------------------------------------------------------------------ asking

    async def ask(self, asked: KeyAsked, model: str) -> probe.Verdict:
        upstream = await self._candidate(asked)
        default = upstream.provider.default_model if upstream.provider else ""
        return await probe.ask(upstream, model or default)

    async def _candidate(self, asked: KeyAsked) -> Upstream:
        """The upstream that there would be with that key."""
        changing.check_key(asked.api_key)
        await self.check_known(asked.provider)
        running = self._running
        names = changing.upstreams_of(running.settings, asked.provider)
        written = running.settings.values.get("upstreams", {}).get(names[0]) if names else None
        part = {"provider": asked.provider, **(written or {}), "api_key": {"value": asked.api_key}}
        if written and "provider" not in written:
            del part["provider"]
        part.pop("api_keys", None)
        if asked.base_url is not None:
            part["base_url"] = asked.base_url
            part.pop("headers", None)  # there may be a secret in them
        config = {"upstreams": {"candidate": part}, "models": {}}
        try:
            settings = await asyncio.to_thread(space_settings, config, running.settings, running.environ)
        except SettingsError as error:
            raise _refused(error, "upstreams.candidate.") from None
        return settings.upstreams["candidate"]

    async def prepare(self, asked: ModelKeyAsked) -> Prepared:
        upstream = await self._candidate(asked)
        provider = upstream.provider
        variable = provider.key_env[0] if provider and provider.key_env else f"{_variable(asked.provider)}_API_KEY"
        names = [variable]
        if asked.base_url is not None and provider is not None and provider.base_url_env:
            names.append(provider.base_url_env)
        model = asked.model or (provider.default_model if provider else "") or "*"
        return Prepared(
            message=f"Config prepared for provider: {asked.provider}",
            current_instance_id=self._running.instance_id,
            env_vars=dict.fromkeys(names),
            cli_args=CommandLine(provider=asked.provider, model=model, base_url=asked.base_url),
        )

    # ------------------------------------------------------------------------------------------ changing

    async def switch(self, asked: Switch) -> Literal["no", "file", "store"]:
        settings = self._running.settings
        changes = changing.key_changes(settings, asked.provider, asked.api_key, asked.base_url)
        names = changing.upstreams_of(settings, asked.provider)
        name = names[0] if names else changing.new_name(settings, asked.provider)
        try:
            tried, _ = await self._running.tried(changes)
        except SettingsError as error:
            raise _refused(error) from None
        upstream = tried.upstreams[name]
        if _lacks_key(upstream.provider) and not upstream.keys and tried.auth.mode != "client_key":
            raise Refused(400, f"there is no key for {asked.provider}: give one as api_key", "api_key")
        default = upstream.provider.default_model if upstream.provider else ""
        changes = {**changes, **changing.switch_changes(tried, name, asked.model, default)}
        return await self.change(changes, asked.persist)

    async def change(self, changes: Changes, keep: bool) -> Literal["no", "file", "store"]:
        """Use the changes from now on; nothing is changed where they cannot be used, or not be kept."""
        running = self._running
        try:
            if not keep:
                await running.apply(changes)
                return "no"
            tried, _ = await running.tried(changes)
            changed = await asyncio.to_thread(persist.with_stored_keys, changes, tried, running.environ)
            await asyncio.to_thread(persist.write, tried.source, changed)
            await running.apply(changed)
            running.drop_changes(persist.stands((await running.without(changed)).values, changed))
        except StoreError as error:
            raise Refused(409, str(error)) from None
        except SettingsError as error:
            raise _refused(error) from None
        return "file" if changed == changes else "store"


def _lacks_key(provider: Provider | None) -> bool:
    return provider is not None and provider.key_required


def _variable(provider: str) -> str:
    row = catalogue().providers.get(provider)
    return (row.name if row else provider).upper().replace("-", "_").replace(".", "_").replace(":", "_")


def _refused(error: SettingsError, prefix: str = "") -> Refused:
    first = error.problems[0]
    return Refused(400, str(error).replace(prefix, "") if prefix else str(error), first.key.removeprefix(prefix))
