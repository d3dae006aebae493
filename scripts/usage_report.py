"""`llm-link usage`: what is in the store of the config's `usage`, added up, as a table or as JSON."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from addons.store.usage import GROUPS, SqliteUsage
from addons.store.usage_row import Store
from scripts.terminal import fail, print_json, print_table, suggestion

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
NUMBERS = ("requests", "errors", "input", "cached", "output", "reasoning", "cost", "first", "total")


def report(config: Path | None, store: str | None, by: str, since: str, until: str | None, as_json: bool) -> None:
    groups = [word.strip() for word in by.split(",") if word.strip()]
    for word in groups:
        if word not in GROUPS:
            fail(f"--by: {word!r} is unknown{suggestion(word, GROUPS)}")
    start, end = moment("--since", since), None if until is None else moment("--until", until)
    opened = opened_store(store or named_store(config))
    try:
        rows = opened.sums(groups, start, end)
        whole = opened.sums((), start, end)
    finally:
        opened.close()
    if as_json:
        print_json({"by": groups, "since": start, "until": end, "data": rows, "sum": whole[0] if whole else None})
        return
    lines = [line(row, groups) for row in rows]
    if groups and len(rows) > 1:
        lines.append(line({**whole[0], **dict.fromkeys(groups, ""), groups[0]: "in all"}, groups))
    print_table((*groups, *NUMBERS), lines)
    if whole and whole[0]["unpriced"]:
        print(f"cost: without {whole[0]['unpriced']} requests to models that the catalogue has no price of")


def line(row: dict[str, Any], groups: Iterable[str]) -> tuple[str, ...]:
    counts = {
        "requests": f"{row['requests']:,}",
        "errors": f"{row['errors']:,}" if row["errors"] else "",
        "input": tokens(row["input"] + row["cache_read"] + row["cache_write"]),
        "cached": tokens(row["cache_read"]),
        "output": tokens(row["output"] + row["reasoning"]),
        "reasoning": tokens(row["reasoning"]),
        "cost": "" if row["cost"] is None else f"${row['cost']:,.4f}",
        "first": seconds(row["first"]),
        "total": seconds(row["total"]),
    }
    return (*(str(row[name]) or "-" for name in groups), *(counts[name] for name in NUMBERS))


def tokens(count: int) -> str:
    return f"{count:,}" if count else ""


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def moment(flag: str, text: str) -> float:
    """Seconds since 1970: `7d` ago, or a day or time here."""
    if match := re.fullmatch(r"(\d{1,5})([mhdw])", text):
        return time.time() - int(match[1]) * UNITS[match[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        fail(f"{flag}: expected 7d, 12h, 4w or a day such as 2031-12-31, not {text!r}")


def named_store(config: Path | None) -> str:
    """What the config says, in full."""
    if config is None:
        fail("usage is kept where there is a config file: name it with --config, or the store with --store sqlite:FILE")
    from addons.settings import usage_of

    named = usage_of(config)
    if named == "off":
        fail(f"{config}: usage is off")
    return named


def opened_store(named: str) -> Store:
    kind, _, place = named.partition(":")
    if kind == "sqlite" and place:
        return SqliteUsage(Path(place), create=False)
    if kind in ("redis", "rediss"):
        from addons.store.usage_redis import RedisUsage

        return RedisUsage(named)
    fail(f"--store: expected sqlite:FILE or redis://…, not {named!r}")
