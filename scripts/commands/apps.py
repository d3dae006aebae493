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


@app.command(
    "configure",
    examples=(
        "llm-link apps configure codex-cli --model glm-4.6      # shows what would change, and asks",
        "llm-link apps configure claude-code --api-key KEY --yes",
        "llm-link apps configure zed --url http://127.0.0.1:9000 --print",
    ),
)
def configure(
    name: Name,
    url: Annotated[
        str | None, typer.Option(help="Where the proxy is; by default on this machine, on the app's port.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="LLM_LINK_API_KEY", show_envvar=True, help="The key that the proxy wants.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model to ask for.", autocompletion=completing.models)] = None,
    show: Annotated[bool, typer.Option("--print", help="Print what it should hold; write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
) -> None:
    """Point a client here for good: its config file, with a diff and a backup, or the steps to do it."""
    from scripts import configure as configuring

    asked = configuring.asked_of(name, url, api_key, model)
    configuring.configure(asked, show=show, yes=yes)
