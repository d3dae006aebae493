"""`llm-link apps …`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from scripts import completing
from scripts.command import App, Group


class Listing(Group):
    """`apps` alone is `apps list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        alone = all(arg == "--json" for arg in args) and not ctx.resilient_parsing
        return super().parse_args(ctx, ["list", *args] if alone else args)


app = App(
    "The clients known by name, and how each is pointed here.",
    cls=Listing,
    group=True,
    examples=("llm-link apps list", "llm-link apps info claude-code"),
)

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Name = Annotated[str, typer.Argument(metavar="APP", help="A name of `llm-link apps`.", autocompletion=completing.apps)]


@app.command("list", examples=("llm-link apps list", "llm-link apps list --json"))
def list_(as_json: Json = False) -> None:
    """The clients known by name."""
    from scripts import apps_guide

    apps_guide.list_apps(as_json)


@app.command("info", examples=("llm-link apps info zed", "llm-link apps info zed --json"))
def info(name: Name, as_json: Json = False) -> None:
    """One client: port, protocols, endpoints, examples, and what to do where it does not work."""
    from scripts import apps_guide

    apps_guide.info(name, as_json)
