"""What runs: `/api/health`, `/api/info`, `/api/config/current`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastapi import APIRouter

from addons.catalog import Model, Provider, catalogue
from addons.control.facts import Current, Endpoint, Health, Info, ModelRow, ProviderRow, RouteRow, UpstreamRow
from addons.settings import Settings
from addons.settings_upstream import Upstream

if TYPE_CHECKING:
    from addons.running import Running

# name in `api_endpoints` -> where it stands, and the protocols that are served there
_ENDPOINTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "openai": ("/v1", ("openai-chat", "openai-responses")),
    "anthropic": ("/v1/messages", ("anthropic",)),
    "gemini": ("/v1beta", ("gemini",)),
    "ollama": ("/api", ("ollama",)),
}


def router(running: Running) -> APIRouter:
    routes = APIRouter(tags=["about"])

    @routes.get("/api/health")
    async def health() -> Health:
        """Alive, and since when: `instance_id` is another one after a restart."""
        now = running.current()
        provider, model = (now[0].name, now[1]) if now else (None, None)
        return Health(instance_id=running.instance_id, pid=os.getpid(), provider=provider, model=model)

    @routes.get("/api/info")
    async def info() -> Info:
        """The version, all providers with their models, and the client surfaces."""
        now, settings = running.current(), running.settings
        return Info(
            version=running.version,
            current_provider=now[0].name if now else None,
            current_model=now[1] if now else None,
            supported_providers=[_provider(row, running) for row in catalogue().providers.values()],
            api_endpoints={name: _endpoint(settings, *row) for name, row in _ENDPOINTS.items()},
        )

    @routes.get("/api/config/current")
    async def current() -> Current:
        """The settings in use, without any key."""
        now, settings = running.current(), running.settings
        return Current(
            provider=now[0].name if now else None,
            model=now[1] if now else None,
            has_api_key=bool(now and now[0].keys),
            has_base_url=bool(now and _own_address(now[0])),
            policy=settings.policy,
            auth_mode=settings.auth.mode,
            config_file=str(settings.source) if settings.source else None,
            revision=running.revision,
            changed_by_api=running.changed_keys(),
            upstreams=[upstream_row(upstream) for upstream in settings.upstreams.values()],
            models=route_rows(settings),
        )

    return routes


def upstream_row(upstream: Upstream) -> UpstreamRow:
    proxy = upstream.proxy
    return UpstreamRow(
        name=upstream.name,
        provider=upstream.provider.name if upstream.provider else None,
        protocol=upstream.protocol,
        base_url=upstream.root,
        has_api_key=bool(upstream.keys),
        keys=len(upstream.keys),
        proxy=f"{proxy.scheme}://{proxy.host}:{proxy.port}" if proxy else None,
    )


def route_rows(settings: Settings) -> list[RouteRow]:
    return [
        RouteRow(name=name, targets=[f"{ref.upstream}/{ref.model}" for ref in route.targets], choose=route.choose)
        for name, route in settings.models.items()
    ]


def model_row(model: Model) -> ModelRow:
    price = f"; ${model.price[0]:g} in, ${model.price[1]:g} out per million tokens" if model.price else ""
    takes = ", ".join(word for word in ("tools", "vision", "reasoning") if getattr(model, word))
    return ModelRow(
        id=model.id,
        name=model.title or model.id,
        description=f"{takes or 'text'}{price}",
        supports_tools=model.tools,
        context_length=model.context_window,
    )


def _provider(row: Provider, running: Running) -> ProviderRow:
    upstreams = [one for one in running.settings.upstreams.values() if one.provider and one.provider.name == row.name]
    return ProviderRow(
        name=row.name,
        title=row.title,
        protocols=list(row.protocols),
        configured=bool(upstreams),
        has_key=any(one.keys for one in upstreams) or running.has_key(row),
        key_env=list(row.key_env),
        default_model=row.default_model,
        models=[model_row(model) for model in row.models],
    )


def _endpoint(settings: Settings, path: str, protocols: tuple[str, ...]) -> Endpoint:
    enabled = any(protocol in settings.protocols for protocol in protocols)
    return Endpoint(path=path, enabled=enabled, auth_required=settings.auth.mode != "none")


def _own_address(upstream: Upstream) -> bool:
    provider = upstream.provider
    door = provider.endpoint(upstream.protocol, upstream.region) if provider else None
    return door is None or door.base_url.rstrip("/") != upstream.root
