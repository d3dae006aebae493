"""`llm-link demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.command import App

app = App()


@app.command(examples=("llm-link demo", "llm-link demo --web       # stay up, and watch a client of yours in mitmweb"))
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up for a client of yours, until Ctrl-C.")] = False,
    web: Annotated[bool, typer.Option("--web", help="With mitmweb, and stay up.")] = False,
    port: Annotated[int | None, typer.Option("--port", "-p", min=1, max=65535, help="A free one by default.")] = None,
) -> None:
    """A conversation with a scripted model through the proxy: no key, no network."""
    from scripts import demo as show

    raise typer.Exit(show.main(keep=keep or web, web=web, port=port))
