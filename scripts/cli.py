"""`llm-link`: start the proxy, and look at what it would do.

`serve` is the default command: options without a command are its own. Modules are imported where they are used, since
`serve` is about to become another program and should get there soon.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

# In a checkout, an editable install and a wheel alike, our packages are `addons`, `scripts` and `translators`.
HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() not in (HERE, HERE.parent))]

import typer  # noqa: E402

app = typer.Typer(
    help="Any LLM client, any provider. `serve` is the default command.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
providers_app = typer.Typer(help="The providers known by name.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(providers_app, name="providers")

NOT_BUILT = ("apps", "launch", "usage", "doctor", "keys", "init", "try")
NOT_BUILT_PROVIDERS = ("add", "show", "remove", "import")
ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}

POLICIES = ("strict", "balanced", "max_compat")
LEVELS = ("debug", "info", "warning", "error")


def fail(message: object, code: int = 2) -> NoReturn:
    """Says why on one line, or a line for each problem. 2: bad usage or config; 1: it failed while running."""
    typer.echo(f"llm-link: {message}", err=True)
    raise typer.Exit(code)


def not_built(what: str) -> NoReturn:
    fail(f"{what}: not built yet")


def one_of(names: tuple[str, ...]):  # type: ignore[no-untyped-def]
    def check(value: str | None) -> str | None:
        if value is not None and value not in names:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(names)}")
        return value

    return check


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The config file (YAML).")] = None,
    provider: Annotated[str | None, typer.Option(help="A provider, of `llm-link providers list`.")] = None,
    model: Annotated[str | None, typer.Option(help="The provider's model that every request goes to.")] = None,
    api_key: Annotated[
        str | None, typer.Option("--api-key", "--auth-key", help="The key that clients must present.")
    ] = None,
    llm_api_key: Annotated[str | None, typer.Option(help="The provider's key.")] = None,
    base_url: Annotated[str | None, typer.Option(help="The provider's base URL, with its version segment.")] = None,
    protocol: Annotated[str | None, typer.Option(help="What --base-url speaks; openai-chat by default.")] = None,
    protocols: Annotated[str | None, typer.Option(help="Client protocols to serve, comma-separated.")] = None,
    host: Annotated[str | None, typer.Option(help="Where to listen; 127.0.0.1 where nothing else is said.")] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", min=1, max=65535, help="8080 by default.")] = None,
    web: Annotated[bool, typer.Option("--web", help="mitmweb instead of mitmdump: see every exchange.")] = False,
    web_port: Annotated[int, typer.Option(min=1, max=65535, help="Where mitmweb shows itself, on 127.0.0.1.")] = 8081,
    policy: Annotated[str | None, typer.Option(help=", ".join(POLICIES) + ".", callback=one_of(POLICIES))] = None,
    env_file: Annotated[Path | None, typer.Option(help="A file of NAME=VALUE lines; all of it counts.")] = None,
    log_level: Annotated[str | None, typer.Option(help=", ".join(LEVELS) + ".", callback=one_of(LEVELS))] = None,
    app_name: Annotated[str | None, typer.Option("--app", "-a", hidden=True)] = None,
    workers: Annotated[int, typer.Option(min=1, hidden=True)] = 1,
    list_apps: Annotated[bool, typer.Option("--list-apps", hidden=True)] = False,
    app_info: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve clients until stopped."""
    later = {"--app": app_name, "--workers": workers > 1, "--list-apps": list_apps, "--app-info": app_info}
    for name, value in later.items():
        if value:
            not_built(name)
    from addons.settings import SettingsError
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
    }
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        serving.serve(serving.Options(config, host, port, web, web_port, env_file, given))
    except SettingsError as error:
        fail(error)


@app.command()
def check(config: Annotated[Path, typer.Argument(help="The config file (YAML).")]) -> None:
    """Read a config file and say what is wrong with it."""
    import os

    from addons.settings import SettingsError, environment, load

    try:
        settings = load(config, environment(Path.cwd(), os.environ)[0])
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    for warning in settings.warnings:
        typer.echo(warning)
    typer.echo(f"{config}: good")


@app.command()
def models(provider: Annotated[str | None, typer.Argument(help="Only this provider's.")] = None) -> None:
    """The models that LLM Link knows, with what they can do."""
    from scripts import listing

    try:
        listing.models(provider)
    except listing.Unknown as error:
        fail(error)


@providers_app.command("list")
def providers_list() -> None:
    """The providers of the catalogue, and whose key is set."""
    from scripts import listing

    listing.providers()


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up for a client of yours, until Ctrl-C.")] = False,
    web: Annotated[bool, typer.Option("--web", help="With mitmweb, and stay up.")] = False,
    port: Annotated[int | None, typer.Option("--port", "-p", min=1, max=65535, help="A free one by default.")] = None,
) -> None:
    """A conversation with a scripted model through the proxy: no key, no network."""
    from scripts import demo as show

    raise typer.Exit(show.main(keep=keep or web, web=web, port=port))


@app.command()
def version() -> None:
    """The version of LLM Link."""
    from importlib.metadata import version as installed

    typer.echo(f"llm-link {installed('llm-link')}")


def later(group: typer.Typer, name: str, words: str) -> None:
    """A command of the contract that comes later: it says so, whatever follows it."""

    def command() -> None:
        not_built(words)

    command.__doc__ = "Not built yet."
    group.command(name, hidden=True, context_settings=ANYTHING)(command)


for _name in NOT_BUILT:
    later(app, _name, _name)
for _name in NOT_BUILT_PROVIDERS:
    later(providers_app, _name, f"providers {_name}")


def with_command(arguments: list[str]) -> list[str]:
    """Options without a command are those of `serve`."""
    if arguments and (not arguments[0].startswith("-") or arguments[0] in ("-h", "--help")):
        return arguments
    if arguments == ["--version"]:
        return ["version"]
    return ["serve", *arguments]


def main() -> None:
    app(with_command(sys.argv[1:]), prog_name="llm-link")


if __name__ == "__main__":
    main()
