"""What a shell offers at TAB for names: providers, models, apps, clients. Read when it is asked for."""

from __future__ import annotations

from typing import Any


def item(value: str, help: str = "") -> Any:
    """One row of a shell's list."""
    from typer.core import CompletionItem

    return CompletionItem(value, help=help)


def providers(incomplete: str) -> list[tuple[str, str]]:
    from addons.catalog import catalogue

    rows = catalogue().providers.values()
    return [(row.name, row.title) for row in rows if row.name.startswith(incomplete)]


def models(incomplete: str) -> list[tuple[str, str]]:
    from addons.catalog import catalogue

    found = catalogue().matching(incomplete + "*")
    return [(model.id, provider.title) for provider, model in found]


def apps(incomplete: str) -> list[tuple[str, str]]:
    from addons.apps import apps as known

    return [(name, row.description) for row in known().values() for name in row.names if name.startswith(incomplete)]
