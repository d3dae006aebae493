"""`llm-link serve`: its options. What they become is in `scripts/serve.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts import completing
from scripts.command import App, one_of
from scripts.options import FROM, KEYS, POLICIES, BaseUrl, Config, EnvFile, Protocol, ProviderKey

app = App()

LEVELS = ("debug", "info", "warning", "error")

WHERE = "Where it listens"


@app.command(
    examples=(
        "llm-link serve --provider deepseek --model deepseek-flash      # the key from DEEPSEEK_API_KEY",
        "llm-link serve --base-url http://127.0.0.1:8000/v1 --web       # a server of your own, watched in mitmweb",
        "llm-link serve --config llm-link.yaml --policy strict",
        "llm-link serve --intercept --config llm-link.yaml              # a proxy: HTTPS_PROXY=http://127.0.0.1:8080",
        "llm-link --provider zhipu --api-key TOKEN                      # clients must present TOKEN",
    )
)
def serve(
    config: Config = None,
    provider: Annotated[
        str | None,
        typer.Option(
            help="A provider, of `llm-link providers list`.",
            rich_help_panel=FROM,
            autocompletion=completing.providers,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The provider's model that every request goes to.",
            rich_help_panel=FROM,
            autocompletion=completing.models,
        ),
    ] = None,
    base_url: BaseUrl = None,
    protocol: Protocol = None,
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", "--auth-key", help="The key that clients must present.", rich_help_panel=KEYS),
    ] = None,
    llm_api_key: ProviderKey = None,
    env_file: EnvFile = None,
    host: Annotated[
        str | None,
        typer.Option(help="Where to listen; 127.0.0.1 where nothing else is said.", rich_help_panel=WHERE),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=1, max=65535, help="8080 by default.", rich_help_panel=WHERE)
    ] = None,
    protocols: Annotated[
        str | None, typer.Option(help="Client protocols to serve, comma-separated.", rich_help_panel=WHERE)
    ] = None,
    intercept: Annotated[
        bool,
        typer.Option(
            "--intercept",
            help="Be a proxy for clients that cannot be pointed here: see docs/intercept-modes.md.",
            rich_help_panel=WHERE,
        ),
    ] = False,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODE",
            help="The same in another of mitmproxy's modes: local:NAME, transparent, wireguard. May be given again.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    proxy_auth: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Who may use that proxy: an htpasswd file.", rich_help_panel=WHERE),
    ] = None,
    web: Annotated[
        bool, typer.Option("--web", help="mitmweb instead of mitmdump: see every exchange.", rich_help_panel=WHERE)
    ] = False,
    web_port: Annotated[
        int,
        typer.Option(min=1, max=65535, help="Where mitmweb shows itself, on 127.0.0.1.", rich_help_panel=WHERE),
    ] = 8081,
    save: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep exchanges in files there.", rich_help_panel=WHERE),
    ] = None,
    save_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Bytes of all these files; the oldest go.", rich_help_panel=WHERE)
    ] = "1GiB",
    policy: Annotated[str | None, typer.Option(help=", ".join(POLICIES) + ".", callback=one_of(POLICIES))] = None,
    log_level: Annotated[str | None, typer.Option(help=", ".join(LEVELS) + ".", callback=one_of(LEVELS))] = None,
    app_names: Annotated[
        list[str] | None,
        typer.Option(
            "--app",
            "-a",
            metavar="APP",
            help="The preset of a client: its port and protocols. May be given again.",
            rich_help_panel=WHERE,
            autocompletion=completing.apps,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that share the port (Linux); mitmdump only.", rich_help_panel=WHERE)
    ] = 1,
    list_apps: Annotated[bool, typer.Option("--list-apps", help="List the clients that have a preset.")] = False,
    app_info: Annotated[
        str | None,
        typer.Option(metavar="APP", help="How one of them is used.", autocompletion=completing.apps),
    ] = None,
) -> None:
    """Serve clients until stopped; the default command."""
    if list_apps or app_info:
        from scripts import apps_guide

        return apps_guide.info(app_info) if app_info else apps_guide.list_apps()
    from scripts import serve as serving

    overrides = {
        "provider": provider,
        "model": model,
        "api_key": api_key,
        "llm_api_key": llm_api_key,
        "base_url": base_url,
        "protocol": protocol,
        "protocols": protocols,
        "policy": policy,
        "log_level": log_level,
        "host": host,
        "port": port,
        "app": app_names or None,
        "workers": workers if workers > 1 else None,
    }
    given = {name: value for name, value in overrides.items() if value is not None}
    modes = (*(["regular"] if intercept else []), *(mode or ()))
    served = (config, host, port, web, web_port, env_file, given, workers, modes, proxy_auth)
    serving.serve(serving.Options(*served, save, save_size))
