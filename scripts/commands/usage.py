"""`llm-link usage`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from scripts.command import App

app = App()


@app.command(
    examples=(
        "llm-link usage                                  # by day, the last 30 of them",
        "llm-link usage --by model --since 7d",
        "llm-link usage --by client,upstream --since 2031-01-01 --until 2031-02-01 --json",
    )
)
def usage(
    by: Annotated[
        str, typer.Option(help="day, hour, month, model, client, upstream, app, protocol, asked, outcome, namespace.")
    ] = "day",
    since: Annotated[str, typer.Option(help="7d, 12h, 4w, or a day: 2031-12-31 (local time).")] = "30d",
    until: Annotated[str | None, typer.Option(help="The same; that moment is not counted any more.")] = None,
    store: Annotated[
        str | None, typer.Option(help="sqlite:FILE or redis://…; by default what the config names.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The config file; by default LLM_LINK_CONFIG.")
    ] = None,
) -> None:
    """What was used: requests, tokens, cost, times."""
    from scripts import usage_report

    named = os.environ.get("LLM_LINK_CONFIG")
    path = config or (Path(named) if named else None)
    usage_report.report(path, store, by, since, until, as_json)
