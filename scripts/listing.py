"""`llm-link providers list` and `llm-link models`: the catalogue as tables whose rows never wrap."""

from __future__ import annotations

import os
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from addons.catalog import Model, Provider, catalogue
from addons.settings import environment


class Unknown(Exception):
    """A name that is not in the catalogue."""


def show(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console()
    Console(width=console.width if console.is_terminal else 250, highlight=False).print(table)


def key_state(provider: Provider, environ: dict[str, str]) -> str:
    if any(environ.get(name) for name in provider.key_env):
        return "set"
    return "not set" if provider.key_required else "not needed"


def providers() -> None:
    environ = dict(environment(Path.cwd(), os.environ)[0])
    rows = [
        (
            provider.name,
            provider.title,
            ", ".join(provider.protocols),
            provider.key_env[0] if provider.key_env else "",
            key_state(provider, environ),
            provider.default_model,
        )
        for provider in catalogue().providers.values()
    ]
    show(("name", "provider", "protocols", "key variable", "key", "default model"), rows)


def tokens(count: int) -> str:
    return f"{count:,}" if count else ""


def abilities(model: Model) -> str:
    names = [("tools", model.tools), ("images", model.vision), ("reasoning", model.reasoning)]
    return ", ".join(name for name, has in names if has)


def models(name: str | None) -> None:
    """Raises `Unknown`."""
    known = catalogue().providers
    if name is not None and name not in known:
        raise Unknown(f"there is no provider {name!r}; there is {', '.join(known)}")
    rows = [
        (provider.name, model.id, tokens(model.context_window), tokens(model.max_output), abilities(model))
        for provider in ([known[name]] if name else known.values())
        for model in provider.models
    ]
    show(("provider", "model", "context", "max output", "takes"), rows)
