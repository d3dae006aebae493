"""What a request to change the settings means, as changes to the config: pure, from the settings to the changes."""

from __future__ import annotations

from typing import Any

from addons.catalog import catalogue
from addons.control.errors import Refused
from addons.settings import Changes, ModelRoute, Settings
from addons.settings_api import Place
from addons.settings_model import did_you_mean


def upstreams_of(settings: Settings, provider: str) -> list[str]:
    """The upstreams that a name means: the one that is called so, else all of that provider."""
    if provider in settings.upstreams:
        return [provider]
    name, _, region = provider.partition(":")
    found = [one for one in settings.upstreams.values() if one.provider is not None and one.provider.name == name]
    return [one.name for one in found if not region or one.region == region]


def check_known(settings: Settings, provider: str, stored: list[str]) -> None:
    """Refuses a name that is no upstream, no stored provider and none of the catalogue."""
    known = {*settings.upstreams, *stored, *catalogue().providers}
    if provider not in known and provider.partition(":")[0] not in known:
        raise Refused(400, f"unknown provider {provider[:64]!r}{did_you_mean(provider, known)}", "provider")


def check_key(key: str | None) -> None:
    """Refuses what cannot be a key. Providers do not agree on more."""
    if key is not None and (not key.isprintable() or " " in key or not key.isascii()):
        raise Refused(400, "Invalid API key format: a key is printable ASCII text without spaces", "api_key")


def check_address(base_url: str | None, key: str | None) -> None:
    """A stored key, or one of the environment, never goes to an address that came through the API."""
    if base_url is not None and key is None:
        raise Refused(400, "a base_url needs the api_key to use there", "base_url")


def key_changes(settings: Settings, provider: str, key: str | None, base_url: str | None) -> dict[Place, Any]:
    """The changes that give the upstreams of a provider this key (None: theirs), or make one that has it."""
    names = upstreams_of(settings, provider)
    if not names:
        part: dict[str, Any] = {"provider": provider}
        part |= {"api_key": {"value": key}} if key is not None else {}
        part |= {"base_url": base_url} if base_url is not None else {}
        return {("upstreams", new_name(settings, provider)): part}
    changes: dict[Place, Any] = {}
    for name in names if key is not None else ():
        changes["upstreams", name, "api_key"] = {"value": key}
        changes["upstreams", name, "api_keys"] = None
        if base_url is not None:
            changes["upstreams", name, "base_url"] = base_url
            changes["upstreams", name, "headers"] = None  # there may be a secret in them
    return changes


def new_name(settings: Settings, provider: str) -> str:
    """What an upstream is called that is made for a provider: as the provider, without its region."""
    name = provider.partition(":")[0]
    return name if name not in settings.upstreams else provider.replace(":", "-")


def switch_changes(settings: Settings, upstream: str, model: str | None, default: str) -> Changes:
    """The changes that lead every model to one upstream: to `model`, else to the one that a route names there already,
    else to `default` ("": the client's own name)."""
    routes = {**settings.models}
    routes.setdefault("*", ModelRoute("*", ()))
    elsewhere = next((own for route in routes.values() if (own := _own(route, upstream))), "")
    return {
        ("models", name): f"{upstream}/{model or _own(route, upstream) or default or elsewhere or '*'}"
        for name, route in routes.items()
    }


def _own(route: ModelRoute, upstream: str) -> str:
    return next((ref.model for ref in route.targets if ref.upstream == upstream), "")
