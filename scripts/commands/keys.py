"""`llm-link keys …`: the keys that clients present where `auth.mode` is `proxy_key`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.command import App
from scripts.commands.providers import Config, store_of
from scripts.terminal import Mark, fail, print_json, print_table, warn

if TYPE_CHECKING:
    from addons.store.keys import ClientKeys, Limits

app = App(
    "The keys that clients must present: issue, list, revoke.",
    group=True,
    examples=("llm-link keys issue --label laptop --expires 30d", "llm-link keys list", "llm-link keys revoke laptop"),
)

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
STYLES = {"valid": "green", "expired": "yellow", "revoked": "red"}


def keys_of(config: Path | None) -> ClientKeys:
    from addons.store.keys import ClientKeys, keys_path

    return ClientKeys(keys_path(store_of(config).path))


@app.command(
    "issue",
    examples=(
        "llm-link keys issue --label laptop",
        "llm-link keys issue --label guest --expires 12h --models 'claude-*,gpt-5' --requests-per-minute 20",
    ),
)
def issue(
    label: Annotated[str, typer.Option(help="Whose key it is; shown in lists, logs and usage.")] = "",
    expires: Annotated[
        str | None, typer.Option(help="12h, 30d, 2w, or a day: 2031-12-31 (UTC). Without it: when it is revoked.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Names and globs that it may ask for, comma-separated; else all.")
    ] = None,
    requests_per_minute: Annotated[int, typer.Option(min=0, help="0: no limit.")] = 0,
    tokens_per_minute: Annotated[int, typer.Option(min=0, help="0: no limit.")] = 0,
    concurrent: Annotated[int, typer.Option(min=0, help="Requests at a time; 0: no limit.")] = 0,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Make a key and show it, this once."""
    from addons.store.keys import Limits

    limits = Limits(requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute, concurrent=concurrent)
    names = None if models is None else [name.strip() for name in models.split(",") if name.strip()]
    key, token = keys_of(config).issue(label, seconds=seconds_until(expires), models=names, limits=limits)
    if as_json:
        print_json({"token": token.get_secret_value(), **key.shown()})
        return
    print(token.get_secret_value())
    warn(f"key {key.id}: this is the only time that it is shown; `llm-link keys revoke {key.id}` ends it")


@app.command("list", examples=("llm-link keys list", "llm-link keys list --json"))
def list_(as_json: Json = False, config: Config = None) -> None:
    """The keys that were issued, and whether they still open."""
    import time

    keys, now = keys_of(config).list(), time.time()
    if as_json:
        print_json({"data": [key.shown(now) for key in keys]})
        return
    if not keys:
        warn("no key was issued; `llm-link keys issue` makes one")
        return
    rows = [
        (
            key.id,
            key.label,
            Mark(key.state(now), STYLES[key.state(now)]),
            day(key.issued_at),
            day(key.expires_at) if key.expires_at else "never",
            ", ".join(key.models) if key.models is not None else "all",
            limits_text(key.limits),
        )
        for key in keys
    ]
    print_table(("id", "label", "state", "issued", "expires", "models", "limits"), rows)


@app.command("revoke", examples=("llm-link keys revoke laptop",))
def revoke(
    name: Annotated[str, typer.Argument(metavar="KEY", help="Its id, or its label.")],
    as_json: Json = False,
    config: Config = None,
) -> None:
    """End a key; a running proxy refuses it within a second."""
    key = keys_of(config).revoke(name)
    if as_json:
        print_json({"revoked": key.id})
    else:
        print(f"revoked {key.id}{f' ({key.label})' if key.label else ''}")


def seconds_until(text: str | None) -> float | None:
    """`12h`, `30d`, or the end of a day in UTC."""
    if text is None:
        return None
    if match := re.fullmatch(r"(\d{1,6})([smhdw])", text):
        return int(match[1]) * UNITS[match[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"--expires: expected 12h, 30d, 2w or a day such as 2031-12-31, not {text!r}")
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        moment = moment.replace(hour=23, minute=59, second=59)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    left = (moment - datetime.now(UTC)).total_seconds()
    if left <= 0:
        fail(f"--expires: {text} is over")
    return left


def day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def limits_text(limits: Limits) -> str:
    said = (
        (limits.requests_per_minute, "requests/min"),
        (limits.tokens_per_minute, "tokens/min"),
        (limits.concurrent, "at a time"),
    )
    return ", ".join(f"{count} {what}" for count, what in said if count) or "none"
