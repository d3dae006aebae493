"""`llm-link providers …`: what is stored, with keys sealed, beside the providers of the catalogue."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import completing
from scripts.command import App
from scripts.terminal import fail, print_json, warn

if TYPE_CHECKING:
    from pydantic import SecretStr

    from addons.store import ProviderStore

app = App(
    "The providers known by name, and their keys.",
    group=True,
    examples=("llm-link providers list", "llm-link providers add zhipu --api-key-stdin < key.txt"),
)

NEW_SECRET = "LLM_LINK_NEW_SECRET"

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="The config file whose store it is; else it is your own.")
]
Name = Annotated[str, typer.Argument(help="A name of `llm-link providers list`.")]
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def store_of(config: Path | None) -> ProviderStore:
    """The store that a config names, or the user's own. Raises `SettingsError`."""
    from addons.settings import environment
    from addons.store.stored import Stored

    named = os.environ.get("LLM_LINK_CONFIG")
    return Stored.of_config(config or (Path(named) if named else None), environment(Path.cwd(), os.environ)[0]).store


def key_given(key: str | None, from_stdin: bool, ask: bool) -> SecretStr | None:
    """The key by one of the ways that there are. None: none was given."""
    from pydantic import SecretStr

    if from_stdin:
        key = sys.stdin.readline().strip()
        if not key:
            fail("--api-key-stdin: there is nothing on the standard input")
    elif key is None and ask:
        what = "API key (not shown; empty for none)"
        key = typer.prompt(what, default="", hide_input=True, show_default=False, err=True)
    return SecretStr(key) if key else None


@app.command(
    "add",
    examples=(
        "llm-link providers add zhipu                      # asks for the key",
        "llm-link providers add zhipu --api-key-stdin < key.txt",
        "llm-link providers add lab --base-url http://10.0.0.5:8000/v1 --model qwen3-32b",
    ),
)
def add(
    name_word: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="As --name.", autocompletion=completing.providers)
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name of the catalogue, or one of your own.")] = None,
    kind: Annotated[str | None, typer.Option(help="The protocol there, or a provider of the catalogue.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Where it is, with its version segment.")] = None,
    model: Annotated[str | None, typer.Option(help="The default model.")] = None,
    models: Annotated[str | None, typer.Option(help="Its models, comma-separated.")] = None,
    api_key: Annotated[
        str | None, typer.Option(help="The key. A command line can be seen by others: better --api-key-stdin.")
    ] = None,
    api_key_stdin: Annotated[bool, typer.Option("--api-key-stdin", help="Read the key from standard input.")] = False,
    api_key_env: Annotated[str | None, typer.Option(help="A variable that comes first, where it is set.")] = None,
    enabled: Annotated[str | None, typer.Option(help="true or false.")] = None,
    config: Config = None,
) -> None:
    """Store a provider, or change one: what is not said stays as it was."""
    from addons.store import make

    if name and name_word and name != name_word:
        fail(f"--name: there are two names, {name_word!r} and {name!r}")
    if not (name or name_word):
        fail("--name: which provider?")
    if enabled is not None and enabled.lower() not in TRUTH:
        fail(f"--enabled: expected true or false, not {enabled!r}")
    said = {
        "name": name or name_word,
        "kind": kind,
        "base_url": base_url,
        "default_model": model,
        "models": [part.strip() for part in models.split(",") if part.strip()] if models is not None else None,
        "api_key_env": api_key_env,
        "enabled": None if enabled is None else TRUTH[enabled.lower()],
    }
    store = store_of(config)
    old = store.find(str(said["name"]))
    try:
        record = make(merged(old.stored() if old else {}, said))
    except ValueError as error:
        fail(error)
    has_key = bool(old and old.encrypted_api_key) or api_key_env is not None
    key = key_given(api_key, api_key_stdin, ask=not has_key and sys.stdin.isatty())
    print_json(store.put(record, key).redacted())


def merged(old: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """What is said over what was there. A new kind or address ends what the old ones meant."""
    if said["kind"] is not None:
        old = {key: value for key, value in old.items() if key not in ("kind", "provider")}
    return {**old, **{key: value for key, value in said.items() if value is not None}}


@app.command("list", examples=("llm-link providers list", "llm-link providers list --json"))
def list_(
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: what is stored is `data`, beside `catalogue`.")
    ] = False,
    config: Config = None,
) -> None:
    """The providers that are stored and those of the catalogue, and whose key is set."""
    from scripts import listing

    listing.providers(store_of(config), as_json)


@app.command("show", examples=("llm-link providers show zhipu",))
def show(name: Name, config: Config = None) -> None:
    """A stored provider, without its key."""
    print_json(store_of(config).get(name).redacted())


@app.command("remove", examples=("llm-link providers remove zhipu",))
def remove(name: Name, config: Config = None) -> None:
    """Take a provider and its key out of the store."""
    store_of(config).remove(name)
    print(f"removed {name}")


@app.command("import", examples=("llm-link providers import providers.yaml", "llm-link providers import .env"))
def import_(
    path: Annotated[Path, typer.Argument(help="YAML, JSON, .env, .lenv or indented links.")], config: Config = None
) -> None:
    """Store the providers of a file, all or none; those of the same name are replaced."""
    records, notes = store_of(config).take_from(path)
    for note in notes:
        warn(note)
    print(f"imported {len(records)} provider(s)")


@app.command(
    "rotate",
    examples=(
        "llm-link providers rotate             # takes LLM_LINK_NEW_SECRET, or asks",
        "llm-link providers rotate --keyring   # the keyring of the system makes and keeps it",
    ),
)
def rotate(
    keyring: Annotated[bool, typer.Option("--keyring", help="A new secret that the keyring keeps.")] = False,
    config: Config = None,
) -> None:
    """Seal every key anew with another secret; LLM_LINK_SECRET is then the new one."""
    from pydantic import SecretStr

    store = store_of(config)
    new = None if keyring else os.environ.get(NEW_SECRET) or _asked()
    count = store.rotate(None if new is None else SecretStr(new))
    where = "the keyring has the new secret" if keyring else "set LLM_LINK_SECRET to the new secret"
    print(f"sealed {count} key{'s' * (count != 1)} anew; {where}")


def _asked() -> str:
    if not sys.stdin.isatty():
        fail(f"set {NEW_SECRET} to the new secret, or give --keyring")
    return str(typer.prompt("New secret (not shown)", hide_input=True, confirmation_prompt=True, err=True))
