"""What a request is that a client sent to a provider's own host: which of our surfaces, or none of them.

A provider's API stands under a path of its own (`/api/v1` at OpenRouter, `/openai/v1` at Groq). What is left of a path
without it is looked up among our surfaces; what is none of them, or of a protocol that the provider does not speak, is
between the client and its provider: logins, telemetry, files.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from . import surfaces
from .catalog import Provider, catalogue
from .settings import Auth, Reverse, Settings, load
from .settings_upstream import split_url
from .surfaces import Surface

# The purposes that are answered here whatever the config is; and those of which the host knows more without one. A
# WebSocket upgrade is refused, whereupon Codex goes on over HTTP.
_OURS = frozenset(("generate", "count_tokens", "embed", "compact", "stored"))
_CONFIGURED = frozenset(("models", "model", "upgrade"))
_ROOTS = ("", "/v1", "/v1beta", "/api")


def provider_at(host: str) -> Provider | None:
    """The provider whose official host this is."""
    found = catalogue().at_host(host, 443)
    return found[0] if found is not None else None


def surface_at(
    provider: Provider, method: str, path: str, headers: Container[str], configured: bool
) -> Surface | None:
    """Our surface for a request to a host of this provider; None: it is for the host alone. `configured`: the config
    says where models go."""
    bare, _, query = path.partition("?")
    purposes = _OURS | _CONFIGURED if configured else _OURS
    for base in _bases(provider):
        if not bare.startswith(f"{base}/"):
            continue
        for root in _ROOTS:
            rest = root + bare[len(base) :]
            found = surfaces.find(method, f"{rest}?{query}" if query else rest, headers)
            if found.purpose in purposes and found.namespace == "default" and _speaks(provider, found):
                return found
    return None


def _bases(provider: Provider) -> Iterator[str]:
    """The paths of a provider's doors, the longest first, and none."""
    urls = [provider.base_url, *(door.base_url for door in provider.endpoints.values())]
    urls += [url for region in provider.regions.values() for url in region.values()]
    yield from sorted({split_url(url).path.rstrip("/") for url in urls} | {""}, key=len, reverse=True)


def _speaks(provider: Provider, surface: Surface) -> bool:
    """Bare model lists are told apart by headers that a client of OpenAI's may lack."""
    return surface.protocol in provider.protocols or (
        surface.protocol == "openai-chat" and "openai-responses" in provider.protocols
    )


def own_settings(base: Settings, host: str, protocol: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Without a config, a request goes to the host that it was meant for, with the client's own key; `environ`: where
    else a key may be, for a replay, which has none."""
    there = load(None, environ or {}, reverse=Reverse("https", host, 443), protocol=protocol, serve={}, cwd=Path("/"))
    auth = Auth("client_key", written=True)
    return replace(base, upstreams=there.upstreams, models=there.models, auth=auth, addressing_said=False)
