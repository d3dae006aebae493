"""`llm-link init`: a few questions, and a config file that says what it does.

What was said on the command line is not asked. `--yes` asks nothing: what was not said is the default, or is found
out: the providers whose keys are set, the clients on PATH. Nothing that is there is overwritten unasked.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from addons import apps
from addons.catalog import Provider, catalogue, is_loopback
from addons.settings import Environment, SettingsError, environment, load
from scripts.init_text import Choices, Named, text
from scripts.terminal import FAILED, Trouble, fail, suggestion, warn

AUTHS = ("none", "proxy_key", "client_key")
CLIENT_KEY = "LLM_LINK_API_KEY"


@dataclass(frozen=True)
class Said:
    """The command line. None, (): not said. `keys`: where the providers' keys are to be: env, dotenv or store."""

    output: Path
    providers: tuple[str, ...] = ()
    base_url: str | None = None
    protocol: str | None = None
    model: str | None = None
    clients: tuple[str, ...] | None = None
    host: str | None = None
    port: int | None = None
    auth: str | None = None
    keys: str | None = None
    yes: bool = False
    force: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be written: the file, names and values for `.env`, keys for the store by provider."""

    choices: Choices
    dotenv: dict[str, str]
    store: dict[str, str]


def main(said: Said, interactive: bool) -> None:
    """`interactive`: there is somebody to ask."""
    if not interactive and not said.yes:
        fail("init asks questions and this is no terminal: use flags, as in `llm-link init --provider zhipu --yes`")
    asks = interactive and not said.yes
    _may_write(said, asks)
    environ, _ = environment(Path.cwd(), os.environ)
    plan = _plan(said, environ, asks)
    _write(said.output, text(plan.choices, said.output), {**environ, **plan.dotenv})
    print(f"Wrote {said.output}.")
    _keep(plan)
    _next(said.output, plan, environ)


def _may_write(said: Said, asks: bool) -> None:
    if not said.output.exists() or said.force:
        return
    if not asks:
        fail(f"{said.output} is there already: --force replaces it, --output FILE writes another")
    if not typer.confirm(f"{said.output} is there already. Replace it?", default=False, err=True):
        fail("nothing was written", FAILED)


def _plan(said: Said, environ: Environment, asks: bool) -> Plan:
    upstreams = _upstreams(said, environ, asks)
    dotenv, store = _keys(said, upstreams, environ, asks)
    model = said.model or _ask("Default model (* for the names that clients ask for)", upstreams[0].default_model, asks)
    clients = _clients(said, asks)
    port = said.port or _until("Port", "8080", asks, _port)
    auth = said.auth or _until(f"Who may call it: {', '.join(AUTHS)}", AUTHS[0], asks, _auth)
    if auth == "proxy_key" and not environ.get(CLIENT_KEY):
        dotenv[CLIENT_KEY] = f"sk-link-{secrets.token_urlsafe(24)}"
    host = said.host or "127.0.0.1"
    if auth == "none" and not is_loopback(host):
        warn(f"anybody who reaches {host} will use your keys; --auth proxy_key asks for one of theirs")
    return Plan(Choices(upstreams, model, clients, host, port, auth), dotenv, store)


# ------------------------------------------------------------------------------------------------ questions


def _ask(question: str, default: str, asks: bool) -> str:
    return str(typer.prompt(question, default=default, err=True)).strip() if asks else default


def _until[T](question: str, default: str, asks: bool, read: Callable[[str], T]) -> T:
    """Asks until the answer can be used. What is wrong with it is a `Trouble`, which ends it where nobody is asked."""
    while True:
        try:
            return read(_ask(question, default, asks))
        except Trouble as trouble:
            if not asks:
                raise
            warn(trouble)


def _port(word: str) -> int:
    if word.isascii() and word.isdigit() and 0 < int(word) < 65536:
        return int(word)
    return fail(f"{word!r} is no port; it is a number from 1 to 65535")


def _auth(word: str) -> str:
    return word if word in AUTHS else fail(f"{word!r} is unknown{suggestion(word, AUTHS)}")


def _upstreams(said: Said, environ: Environment, asks: bool) -> tuple[Named, ...]:
    if said.protocol and not said.base_url:
        fail("--protocol says what --base-url speaks; name that too")
    own = [Named("upstream", base_url=said.base_url, protocol=said.protocol or "openai-chat")] if said.base_url else []
    if own or said.providers:
        return _each([*own, *(named(word, environ) for word in said.providers)])
    ready = [name for name, row in catalogue().providers.items() if any(environ.get(key) for key in row.key_env)]
    if not asks and not ready:
        fail("no provider's key is set: say which one with --provider, or --base-url for a server of your own")
    if asks:
        print(f"Providers: {', '.join(catalogue().providers)}.")
        print(f"Their keys are set: {', '.join(ready)}." if ready else "No provider's key is set.")
    question = "Which ones, the first is the default; or the URL of a server of your own"
    return _until(question, ", ".join(ready) or "ollama", asks, lambda words: _named(words, environ))


def _named(words: str, environ: Environment) -> tuple[Named, ...]:
    found = [named(word, environ) for word in words.replace(",", " ").split()]
    return _each(found) if found else fail("name at least one")


def _each(upstreams: Sequence[Named]) -> tuple[Named, ...]:
    return tuple({upstream.name: upstream for upstream in reversed(upstreams)}.values())[::-1]


def named(word: str, environ: Environment) -> Named:
    """A provider (`minimax`, `minimax:cn`), one that is stored, or a URL."""
    if "://" in word:
        return Named("upstream", base_url=word, protocol="openai-chat")
    name, _, region = word.partition(":")
    provider = catalogue().providers.get(name) or _stored(name, environ)
    if provider is None:
        fail(f"there is no provider {name!r}{suggestion(name, catalogue().providers)}")
    if region and region not in provider.regions:
        fail(f"{name} has no region {region!r}{suggestion(region, provider.regions)}")
    return Named(word.replace(":", "-"), word, row=provider)


def _stored(name: str, environ: Environment) -> Provider | None:
    from addons.store.stored import Stored

    record = Stored.of_config(None, environ).find(name)
    return record.row()[0] if record else None


def _clients(said: Said, asks: bool) -> tuple[apps.App, ...]:
    if said.clients is not None:
        return _apps(" ".join(said.clients))
    found = [name for name, app in apps.apps().items() if app.binary and shutil.which(app.binary)]
    return _until("Clients, of `llm-link apps list`; - for none", ", ".join(found) or "-", asks, _apps)


def _apps(words: str) -> tuple[apps.App, ...]:
    try:
        return () if words == "-" else apps.find_all(words.replace(",", " ").split())
    except apps.UnknownApp as error:
        return fail(error)


# ------------------------------------------------------------------------------------------------ keys


def _keys(
    said: Said, upstreams: Sequence[Named], environ: Environment, asks: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """What goes into `.env`, by variable, and into the store, by provider."""
    dotenv: dict[str, str] = {}
    store: dict[str, str] = {}
    for row in [upstream.row for upstream in upstreams if upstream.row and upstream.row.key_env]:
        name = next((name for name in row.key_env if environ.get(name)), row.key_env[0])
        key, keep = environ.get(name, ""), said.keys or "env"
        if not key and asks and row.key_required:
            question = f"Key of {row.title} (not shown; empty: {name} will be set later)"
            key = str(typer.prompt(question, default="", hide_input=True, show_default=False, err=True)).strip()
            if key and not said.keys:
                keep = _until("Keep it in the encrypted store, or in .env: store, dotenv", "store", asks, _keeping)
        if keep != "env" and not key:
            fail(f"--keys {keep}: there is no key of {row.name} to keep; set {name}, or run this in a terminal")
        if keep == "dotenv" and environ.origin(name) == "the environment":
            dotenv[name] = key
        elif keep == "store":
            store[row.name] = key
    return dotenv, store


def _keeping(word: str) -> str:
    keeps = ("store", "dotenv")
    return word if word in keeps else fail(f"{word!r} is unknown{suggestion(word, keeps)}")


def _keep(plan: Plan) -> None:
    if plan.dotenv:
        _append(Path(".env"), plan.dotenv)
        print(f"Wrote {', '.join(plan.dotenv)} to .env, for you alone: keep it out of version control.")
    if not plan.store:
        return
    from pydantic import SecretStr

    from addons.store import make
    from scripts.commands.providers import store_of

    store = store_of(None)
    for name, key in plan.store.items():
        old = store.find(name)
        store.put(make({**(old.stored() if old else {}), "name": name}), SecretStr(key))
    print(f"Stored the keys of {', '.join(plan.store)}, encrypted, in {store.path}.")


# ------------------------------------------------------------------------------------------------ files


def _append(path: Path, values: dict[str, str]) -> None:
    """Lines at the end of a file that only its owner may read. A name that was there before is there once."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    lines = [line for line in lines if line.removeprefix("export ").partition("=")[0].strip() not in values]
    lines += [f"{name}='{value}'" for name, value in values.items()]
    _replace(path, "\n".join([*lines, ""]), 0o600)


def _write(path: Path, content: str, environ: dict[str, str]) -> None:
    """The config, once it has gone through the check of every start: an address may be none."""

    def check(new: Path) -> None:
        try:
            load(new, environ)
        except SettingsError as error:
            fail(str(error).replace(str(new), str(path)))

    _replace(path, content, 0o644, check)


def _replace(path: Path, content: str, rights: int, check: Callable[[Path], None] | None = None) -> None:
    """The whole file or nothing."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, rights), "w", encoding="utf-8") as file:
            file.write(content)
        if check is not None:
            check(new)
        os.replace(new, path)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}", FAILED)
    finally:
        new.unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------ what now


def _next(path: Path, plan: Plan, environ: Environment) -> None:
    rows = [upstream.row for upstream in plan.choices.upstreams if upstream.row]
    steps = [
        (f"export {row.key_env[0]}=…", f"or: llm-link providers add {row.name}")
        for row in rows
        if _lacks_key(row, plan, environ)
    ]
    steps += [(f"llm-link doctor --config {path}", "does all work?"), (f"llm-link serve --config {path}", "")]
    steps += [_client_step(app, path) for app in plan.choices.clients]
    width = max(len(command) for command, _ in steps)
    print("\nNext:")
    for command, remark in steps:
        print(f"  {command.ljust(width)}   # {remark}" if remark else f"  {command}")


def _client_step(app: apps.App, path: Path) -> tuple[str, str]:
    from scripts.launch_clients import PLANS

    if app.name in PLANS:
        return f"llm-link launch {min(app.names, key=len)} --config {path}", f"{app.title}, with a proxy of its own"
    return f"llm-link apps info {app.name}", f"how {app.title} comes here"


def _lacks_key(row: Provider, plan: Plan, environ: Environment) -> bool:
    has = any(environ.get(name) or name in plan.dotenv for name in row.key_env) or row.name in plan.store
    return bool(row.key_env) and row.key_required and not has and plan.choices.auth != "client_key"
