"""`llm-link providers …`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from scripts.command import App
from scripts.terminal import fail

app = App("The providers known by name, and their keys.", group=True, examples=("llm-link providers list",))

NOT_BUILT = ("add", "show", "remove", "import")


@app.command("list", examples=("llm-link providers list", "llm-link providers list --json"))
def list_(as_json: Annotated[bool, typer.Option("--json", help="For programs: a list of objects.")] = False) -> None:
    """The providers of the catalogue, and whose key is set."""
    from scripts import listing

    listing.providers(as_json)


def later(name: str) -> None:
    def command() -> Any:
        fail(f"providers {name}: not built yet")

    command.__doc__ = "Not built yet."
    anything = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(name, hidden=True, context_settings=anything)(command)


for _name in NOT_BUILT:
    later(_name)
