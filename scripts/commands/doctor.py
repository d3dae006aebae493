"""`llm-link doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts import completing
from scripts.command import App

app = App()


@app.command(
    examples=(
        "llm-link doctor                              # the machine, the providers whose keys are set, the clients",
        "llm-link doctor --config llm-link.yaml",
        "llm-link doctor --offline --json",
    )
)
def doctor(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The config file that is meant.")] = None,
    provider: Annotated[
        str | None, typer.Option(help="Only this provider's upstream.", autocompletion=completing.providers)
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="An upstream by its address, as for `serve`.")] = None,
    env_file: Annotated[Path | None, typer.Option(help="A file of NAME=VALUE lines that `serve` would get.")] = None,
    host: Annotated[str | None, typer.Option(help="Where `serve` would listen.")] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", min=1, max=65535, help="On which port.")] = None,
    web_port: Annotated[int, typer.Option(min=1, max=65535, help="mitmweb's port.")] = 8081,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no upstream.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=300, help="Seconds for each step of an upstream.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one object.")] = False,
) -> None:
    """Say what works here and what does not: the machine, the config, keys, upstreams, clients.

    Looks, and changes nothing. Ends with 1 where something fails."""
    from scripts import doctor as work
    from scripts.terminal import print_json

    asked = work.Asked(config, provider, base_url, env_file, host, port, web_port, offline, timeout)
    found = work.findings(asked)
    if as_json:
        print_json(work.as_values(found))
        raise typer.Exit(work.exit_code(found))
    raise typer.Exit(work.report(found))
