"""`llm-link init`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts import completing
from scripts.command import App, one_of

app = App()

AUTHS = ("none", "proxy_key", "client_key")
KEEPS = ("env", "dotenv", "store")
PROTOCOLS = ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama")


@app.command(
    examples=(
        "llm-link init                                         # asks, and writes llm-link.yaml",
        "llm-link init --provider zhipu --yes                  # asks nothing",
        "llm-link init --provider zhipu --provider moonshot --client claude-code --port 8090 --yes",
        "llm-link init --base-url http://127.0.0.1:8000/v1 --model qwen3-32b --yes -o lab.yaml",
    )
)
def init(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("llm-link.yaml"),
    provider: Annotated[
        list[str] | None,
        typer.Option(help="A provider; again for more, the first is the default.", autocompletion=completing.providers),
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="A server of your own, with its version segment.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="What --base-url speaks; openai-chat by default.", callback=one_of(PROTOCOLS))
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model that clients get by default.", autocompletion=completing.models)
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option(help="A client, of `llm-link apps list`; again for more.", autocompletion=completing.apps),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Where to listen; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", min=1, max=65535, help="8080 by default.")] = None,
    auth: Annotated[
        str | None, typer.Option(help=f"Who may call it: {', '.join(AUTHS)}.", callback=one_of(AUTHS))
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(
            help="Where the providers' keys are to be: env (as now), dotenv (copied to .env) or store (encrypted).",
            callback=one_of(KEEPS),
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: what is not said is the default.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Ask a few questions and write a config file."""
    from scripts.init import Said, main

    said = Said(
        output=output,
        providers=tuple(provider or ()),
        base_url=base_url,
        protocol=protocol,
        model=model,
        clients=tuple(client) if client else None,
        port=port,
        host=host,
        auth=auth,
        keys=keys,
        yes=yes,
        force=force,
    )
    main(said, sys.stdin.isatty() and sys.stderr.isatty())
