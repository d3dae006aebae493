"""`llm-link providers list` and `llm-link models`: the catalogue as tables or as JSON."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from addons.catalog import Model, Provider, catalogue
from addons.settings import environment
from addons.store import ProviderStore, Record
from scripts.terminal import fail, print_json, print_table, suggestion


def key_state(provider: Provider, environ: dict[str, str], stored: Collection[str] = ()) -> str:
    if any(environ.get(name) for name in provider.key_env):
        return "set"
    if provider.name in stored:
        return "stored"
    return "not set" if provider.key_required else "not needed"


def providers(store: ProviderStore, as_json: bool) -> None:
    environ = dict(environment(Path.cwd(), os.environ)[0])
    known = catalogue().providers.values()
    records = store.list()
    if as_json:
        rows = [describe_provider(provider, environ) for provider in known]
        print_json({"data": [record.redacted() for record in records], "catalogue": rows})
        return
    sealed = {record.name for record in records if record.encrypted_api_key and record.enabled}
    if records:
        print(f"Stored in {store.path}:")
        print_table(("name", "kind", "address", "key", "default model", "enabled"), map(stored_row, records))
        print("\nThe catalogue:")
    rows = [
        (
            provider.name,
            provider.title,
            ", ".join(provider.protocols),
            provider.key_env[0] if provider.key_env else "",
            key_state(provider, environ, sealed),
            provider.default_model,
        )
        for provider in known
    ]
    print_table(("name", "provider", "protocols", "key variable", "key", "default model"), rows)


def stored_row(record: Record) -> tuple[str, ...]:
    keys = (record.api_key_env, "sealed" if record.encrypted_api_key else "")
    return (
        record.name,
        record.provider or record.kind,
        record.base_url or "the catalogue's",
        ", ".join(filter(None, keys)) or "none",
        record.default_model,
        "yes" if record.enabled else "no",
    )


def describe_provider(provider: Provider, environ: dict[str, str]) -> dict[str, object]:
    """`key_set`: whether one of `key_env` is set, here or in `.env`."""
    return {
        "name": provider.name,
        "title": provider.title,
        "protocols": provider.protocols,
        "base_url": provider.base_url,
        "key_env": provider.key_env,
        "key_required": provider.key_required,
        "key_set": any(environ.get(name) for name in provider.key_env),
        "default_model": provider.default_model,
        "regions": list(provider.regions),
    }


def tokens(count: int) -> str:
    return f"{count:,}" if count else ""


def abilities(model: Model) -> list[str]:
    names = [("tools", model.tools), ("images", model.vision), ("reasoning", model.reasoning)]
    return [name for name, has in names if has]


def models(name: str | None, as_json: bool) -> None:
    known = catalogue().providers
    if name is not None and name not in known:
        fail(f"there is no provider {name!r}{suggestion(name, known)}")
    found = [(row, model) for row in ([known[name]] if name else known.values()) for model in row.models]
    if as_json:
        print_json([describe_model(provider, model) for provider, model in found])
        return
    rows = [
        (provider.name, model.id, tokens(model.context_window), tokens(model.max_output), ", ".join(abilities(model)))
        for provider, model in found
    ]
    print_table(("provider", "model", "context", "max output", "takes"), rows)


def describe_model(provider: Provider, model: Model) -> dict[str, object]:
    """Sizes in tokens, null: unknown; `price`: US dollars for a million tokens, in and out."""
    return {
        "provider": provider.name,
        "id": model.id,
        "title": model.title or model.id,
        "context_window": model.context_window or None,
        "max_output": model.max_output or None,
        "takes": abilities(model),
        "price": model.price,
    }
