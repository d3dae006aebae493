"""What a config would serve, as plain values: for `llm-link check`, and for `doctor` to go by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from addons.settings import Environment, ModelRoute, Settings, SettingsError, Upstream

DEFAULT_LISTEN = ("127.0.0.1", 8080)
STORE = "the key store"


def read_values(path: Path | None) -> dict[str, Any]:
    """The file as it is written. A file that cannot be read was reported by whoever made settings of it."""
    from addons.settings import read_config

    try:
        return read_config(path).values if path else {}
    except SettingsError:
        return {}


def key_sources(upstream: Upstream, values: Mapping[str, Any], environ: Environment) -> list[str]:
    """Where each key of an upstream is from, never what it is. `values`: the config file as it is written."""
    parts = values.get("upstreams")
    part = parts.get(upstream.name) if isinstance(parts, dict) else None
    part = part if isinstance(part, dict) else {}
    refs = part["api_keys"] if part.get("api_keys") is not None else [part["api_key"]] if part.get("api_key") else []
    if refs:
        return [_source(ref, environ) for ref in refs]
    if not upstream.keys:
        return []
    names = upstream.provider.key_env if upstream.provider else ()
    named = next((name for name in names if environ.get(name)), None)
    return [f"{named} ({environ.origin(named)})" if named else STORE]


def _source(ref: Mapping[str, Any], environ: Environment) -> str:
    if "env" in ref:
        return f"{ref['env']} ({environ.origin(ref['env'])})"
    return f"{STORE} ({ref['store']})" if "store" in ref else "the config file"


def describe(settings: Settings, values: Mapping[str, Any], environ: Environment) -> dict[str, Any]:
    """`models` in the order in which names are looked up; a target's model `*`: the client's own name."""
    listen = settings.listen
    host, port = (listen.host or DEFAULT_LISTEN[0], listen.port) if listen else DEFAULT_LISTEN
    return {
        "config": str(settings.source) if settings.source else None,
        "listen": {"host": host, "port": port, "this_machine_only": settings.loopback_only},
        "auth": {"mode": settings.auth.mode, "keys": [key.label or None for key in settings.auth.keys]},
        "policy": settings.policy,
        "protocols": list(settings.protocols),
        "addressing": settings.addressing,
        "upstreams": [
            {
                "name": upstream.name,
                "provider": upstream.provider.name if upstream.provider else None,
                "protocol": upstream.protocol,
                "base_url": upstream.root,
                "keys": key_sources(upstream, values, environ),
            }
            for upstream in settings.upstreams.values()
        ],
        "models": [describe_route(route) for route in in_order(settings)],
        "warnings": list(settings.warnings),
    }


def in_order(settings: Settings) -> list[ModelRoute]:
    """Exact names come before globs."""
    return sorted(settings.models.values(), key=lambda route: "*" in route.name or "?" in route.name)


def describe_route(route: ModelRoute) -> dict[str, Any]:
    targets = [
        {"upstream": target.upstream, "model": target.model, "weight": target.weight} for target in route.targets
    ]
    return {"name": route.name, "targets": targets, "choose": route.choose}


def target_text(target: Mapping[str, Any], choose: str) -> str:
    text = f"{target['upstream']}/{target['model']}"
    return f"{text} (weight {target['weight']})" if choose == "weighted" else text


def route_text(route: Mapping[str, Any]) -> str:
    """`zhipu/glm-5.3, then local/qwen3-32b`; in another order than the written one that order's name."""
    choose = route["choose"]
    targets = [target_text(target, choose) for target in route["targets"]]
    if choose == "order" or len(targets) == 1:
        return ", then ".join(targets)
    return f"{choose.replace('_', ' ')}: {', '.join(targets)}"
