"""`llm-link models`."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts import completing
from scripts.command import App

app = App()


@app.command(examples=("llm-link models", "llm-link models zhipu", "llm-link models --json"))
def models(
    provider: Annotated[
        str | None, typer.Argument(help="Only this provider's.", autocompletion=completing.providers)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a list of objects.")] = False,
) -> None:
    """The models that LLM Link knows, with what they can do."""
    from scripts import listing

    listing.models(provider, as_json)
