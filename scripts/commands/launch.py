"""`llm-link launch CLIENT`: its options. What they become is in `scripts/launch.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts import completing
from scripts.command import App, one_of
from scripts.options import FROM, KEYS, POLICIES, BaseUrl, Config, EnvFile, Protocol, ProviderKey

app = App()

CLIENT, PROXY = "The client", "The proxy"


@app.command(
    examples=(
        "llm-link launch claude --demo                                 # a scripted model: no key, no network",
        "llm-link launch claude --provider zhipu --model glm-4.6       # the key from ZHIPU_API_KEY",
        "llm-link launch codex --provider deepseek --web               # watch it in mitmweb",
        'llm-link launch gemini --config llm-link.yaml -- -p "hello"   # what follows -- is the client\'s',
        "llm-link launch claude --intercept --web                      # as it is, with its own login, to be watched",
        "llm-link launch opencode --attach http://127.0.0.1:8080       # a proxy that runs already",
    )
)
def launch(
    client: Annotated[
        str,
        typer.Argument(
            metavar="CLIENT",
            help="claude, codex, gemini, opencode, qwen, aider or zed.",
            autocompletion=completing.apps,
        ),
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGUMENTS]", help="What the client itself is told.")
    ] = None,
    config: Config = None,
    provider: Annotated[
        str | None,
        typer.Option(
            help="A provider, of `llm-link providers list`; else the one whose key is set.",
            rich_help_panel=FROM,
            autocompletion=completing.providers,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The provider's model; with --config a name that clients may ask for.",
            rich_help_panel=FROM,
            autocompletion=completing.models,
        ),
    ] = None,
    base_url: BaseUrl = None,
    protocol: Protocol = None,
    demo: Annotated[bool, typer.Option("--demo", help="A scripted model, here.", rich_help_panel=FROM)] = False,
    attach: Annotated[
        str | None, typer.Option(metavar="URL", help="A proxy that runs already.", rich_help_panel=FROM)
    ] = None,
    llm_api_key: ProviderKey = None,
    api_key: Annotated[str | None, typer.Option(help="The key that --attach wants.", rich_help_panel=KEYS)] = None,
    env_file: EnvFile = None,
    workspace: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the client works.", rich_help_panel=CLIENT)
    ] = None,
    binary: Annotated[
        str | None, typer.Option(metavar="PROGRAM", help="The client's program.", rich_help_panel=CLIENT)
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="LLM_LINK_HOME",
            help="Keep the client's home here, with its sessions; else it is gone at the end.",
            rich_help_panel=CLIENT,
        ),
    ] = None,
    intercept: Annotated[
        bool,
        typer.Option(
            "--intercept",
            help="Change only the proxy and the trusted certificates of the client, which may be any program.",
            rich_help_panel=PROXY,
        ),
    ] = False,
    web: Annotated[bool, typer.Option("--web", help="Watch it in mitmweb.", rich_help_panel=PROXY)] = False,
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=1, max=65535, help="A free one by default.", rich_help_panel=PROXY)
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help=", ".join(POLICIES) + ".", callback=one_of(POLICIES), rich_help_panel=PROXY)
    ] = None,
) -> None:
    """Run a client on any provider: proxy and client together, from start to end."""
    from scripts import launch as launching

    wish = launching.Wish(
        client,
        config,
        provider,
        model,
        base_url,
        protocol,
        llm_api_key,
        env_file,
        attach,
        api_key,
        workspace,
        binary,
        home,
        port,
        policy,
        web,
        demo,
        tuple(arguments or ()),
        intercept,
    )
    if intercept:
        from scripts import launch_intercept

        raise typer.Exit(launch_intercept.launch(wish))
    raise typer.Exit(launching.launch(wish))
