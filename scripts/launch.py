"""`llm-link launch CLIENT`: the proxy on a free port, the client on it with a private home, and both gone at the end.

The client is given the proxy's key, made for this run, and no provider's: their variables are taken out of its
environment. The exit code is the client's own.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from addons.apps import App, UnknownApp, find
from addons.settings import Settings
from scripts import launch_env, serve
from scripts.launch_clients import PLANS, Facts, Place
from scripts.launch_models import models_for
from scripts.launch_run import Busy, Proxy, free_port, orderly, run_client, stop_leftovers
from scripts.terminal import FAILED, fail, warn

NOT_FOUND = 127  # what a shell says where a program is not there
MARK = "LLM_LINK_LAUNCH"
TRIES = 3  # free ports that turn out not to be


@dataclass(frozen=True)
class Wish:
    """What was asked on the command line; None: not said."""

    client: str
    config: Path | None = None
    provider: str | None = None
    model: str | None = None
    base_url: str | None = None
    protocol: str | None = None
    llm_api_key: str | None = None
    env_file: Path | None = None
    attach: str | None = None
    api_key: str | None = None
    workspace: Path | None = None
    binary: str | None = None
    home: Path | None = None
    port: int | None = None
    policy: str | None = None
    web: bool = False
    demo: bool = False
    arguments: tuple[str, ...] = ()
    intercept: bool = False


@dataclass
class Served:
    """Where the client finds a proxy, ours or another."""

    url: str
    key: str
    model: Facts | None = None
    models: tuple[Facts, ...] = ()
    upstream: str = ""
    proxy: Proxy | None = None
    strip: set[str] = field(default_factory=set)  # names that the client must not see


def launch(wish: Wish) -> int:
    """Runs the client and gives its exit code. Raises `Trouble`, `SettingsError`."""
    app = launched(wish.client)
    binary = program(app, wish.binary)
    if wish.workspace is not None and not wish.workspace.is_dir():
        fail(f"--workspace: {wish.workspace} is no folder")
    orderly()
    with ExitStack() as stack:
        run = stack.enter_context(own_folder(app))
        served = stack.enter_context(attached(app, wish) if wish.attach else serving(app, wish, run))
        place = place_of(served, binary, kept(wish.home) or run, run)
        plan = PLANS[app.name](place)
        if served.proxy is not None:
            wait_ready(served.proxy)
            if wish.web:
                warn(f"watch it at {served.proxy.web_url()}")
        environ = {**place.environ, **plan.env, MARK: run.name}
        try:
            return run_client([binary, *plan.words, *wish.arguments], environ, wish.workspace)
        finally:
            stop_leftovers(f"{MARK}={run.name}", place.home)
            if served.proxy is not None and served.proxy.process.poll() is not None:
                warn(f"the proxy had ended by itself:\n{served.proxy.said()[-2000:]}")


def place_of(served: Served, binary: str, home: Path, run: Path) -> Place:
    clean = launch_env.cleaned(os.environ, served.strip)
    own = Path(os.environ.get("HOME") or Path.home())
    return Place(served.url, served.key, served.model, home, run, own, clean, binary, served.models, served.upstream)


def launched(name: str) -> App:
    try:
        app = find(name)
    except UnknownApp as error:
        fail(error)
    if app.name not in PLANS:
        fail(f"{app.title} is not started from here; `llm-link apps configure {app.name}` says how it is set up")
    return app


def program(app: App, named: str | None) -> str:
    found = shutil.which(named or app.binary)
    if found is None and named:
        fail(f"--binary: there is no program {named}", NOT_FOUND)
    if found is None:
        fail(f"{app.title} is not installed ({app.binary} is not on PATH). Install it with: {app.install}", NOT_FOUND)
    return os.path.abspath(found)


def kept(home: Path | None) -> Path | None:
    """The folder in which homes stay from run to run."""
    if home is None:
        return None
    folder = home.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@contextmanager
def own_folder(app: App) -> Iterator[Path]:
    """A folder of this run, which is gone at the end."""
    folder = Path(base_folder() or tempfile.gettempdir(), f"llm-link-{app.name}-{secrets.token_hex(8)}")
    try:
        folder.mkdir(0o700)  # within: a signal that comes right after it must find who takes it away
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def base_folder() -> str | None:
    """The session's own folder where there is one: Codex wants no home under a folder for temporary files."""
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    return folder if os.path.isabs(folder) and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK) else None


# ------------------------------------------------------------------------------------------------ a proxy of ours


@contextmanager
def serving(app: App, wish: Wish, run: Path) -> Iterator[Served]:
    with ExitStack() as stack:
        if wish.demo:
            wish = replace(wish, base_url=stack.enter_context(demo_model()), model="demo-model", protocol="openai-chat")
        wish = launch_env.preset(app, wish, os.environ)
        key = wish.api_key or os.environ.get("LLM_UNIVERSAL_PROXY_KEY") or secrets.token_urlsafe(24)
        options = options_of(app, wish, key)
        environ = serve.child_environ(options, os.environ)
        settings = serve.check(options, environ)
        served = Served("", key, strip=launch_env.secret_names(options, environ))
        served.model, served.models, served.upstream = models_for(app, settings, wish.model, configured(wish))
        check_key(settings)
        for line in settings.warnings:
            warn(line)
        served.proxy = stack.enter_context(started(options, settings, environ, run))
        served.url = served.proxy.url
        warn(what(app, served, settings))
        yield served


def check_key(settings: Settings) -> None:
    """A client on a provider that will refuse every request is of no use to anybody."""
    first, *others = settings.upstreams.values()
    provider = first.provider
    if not others and first.key is None and provider is not None and provider.key_required:
        names = " or ".join(provider.key_env)
        fail(f"{provider.title} has no key: set {names}, name another with --provider, or try it with --demo")


def options_of(app: App, wish: Wish, key: str) -> serve.Options:
    """The flags of `serve` that stand for the wish. With a config file `--model` is a name that clients may ask for."""
    said = {
        "provider": wish.provider,
        "base_url": wish.base_url,
        "protocol": wish.protocol,
        "llm_api_key": wish.llm_api_key,
        "policy": wish.policy,
        "model": None if configured(wish) else wish.model,
        "api_key": key,
        "host": "127.0.0.1",
        "app": [app.name],
    }
    given = {name: value for name, value in said.items() if value is not None}
    return serve.Options(wish.config, "127.0.0.1", wish.port, wish.web, 8081, wish.env_file, given)


def configured(wish: Wish) -> bool:
    """Whether a config file says where requests go."""
    return bool(wish.config or os.environ.get("LLM_LINK_CONFIG")) and not (wish.provider or wish.base_url)


@contextmanager
def started(options: serve.Options, settings: Settings, environ: Mapping[str, str], run: Path) -> Iterator[Proxy]:
    """A proxy that comes up on a free port, or on the one that was named."""
    web_port = free_port() if options.web else options.web_port
    port = options.port or free_port()
    options = replace(options, port=port, web_port=web_port)
    words = command(options, settings, environ, run)
    proxy = Proxy(words, environ, port, run / "proxy.log", bool(options.modes))
    try:
        yield proxy
    finally:
        proxy.stop()


def command(options: serve.Options, settings: Settings, environ: Mapping[str, str], run: Path) -> list[str]:
    words = serve.command(options, settings, environ)
    if not (Path(os.environ.get("HOME") or Path.home()) / ".mitmproxy" / "mitmproxy-ca.pem").is_file():
        words += ["--set", f"confdir={run / 'mitmproxy'}"]  # its certificates, of which we use none
    return words


def wait_ready(proxy: Proxy) -> None:
    try:
        proxy.wait_ready()
    except Busy:
        fail(f"port {proxy.port} is in use by another program", FAILED)


def what(app: App, served: Served, settings: Settings) -> str:
    names = ", ".join(f"{upstream.name} ({upstream.protocol})" for upstream in settings.upstreams.values())
    model = f", model {served.model.id}" if served.model else ""
    return f"{app.title} on {names}{model}; the proxy is at {served.url}"


# ------------------------------------------------------------------------------------------------ a proxy that runs


@contextmanager
def attached(app: App, wish: Wish) -> Iterator[Served]:
    """A running proxy, whose facts it tells itself."""
    url = (wish.attach or "").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        fail(f"--attach: expected http://HOST:PORT, not {wish.attach!r}")
    key = wish.api_key or os.environ.get("LLM_LINK_API_KEY") or "any"
    names = launch_env.secret_names(serve.Options(env_file=wish.env_file), os.environ)
    served = Served(url, key, strip=names)
    listed = ask(f"{url}/openai/v1/models", key)
    rows = {row["id"]: row for row in (listed or {}).get("data", ()) if isinstance(row, dict) and "id" in row}
    served.models = tuple(told(row) for row in rows.values())
    name = wish.model or ("" if app.asks else next(iter(rows), ""))
    if not name and not app.asks:
        fail("which model? Name it with --model")
    if name:
        served.model = told(rows.get(name) or ask(f"{url}/openai/v1/models/{name}", key) or {"id": name})
    yield served


def told(row: Mapping[str, Any]) -> Facts:
    return Facts(str(row["id"]), "", int(row.get("context_window") or 0), int(row.get("max_output_tokens") or 0))


def ask(url: str, key: str) -> Any:
    """What a running proxy says; None where it serves no such path. Raises `Trouble` where it does not let us in."""
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            fail(f"--attach: {url} wants another key; name it with --api-key or LLM_LINK_API_KEY", FAILED)
        return None
    except (OSError, ValueError) as error:
        fail(f"--attach: no answer from {url}: {error}", FAILED)


# ------------------------------------------------------------------------------------------------ the demo's model


@contextmanager
def demo_model() -> Iterator[str]:
    """The scripted model of the demo, in a thread that ends with us; gives its base URL."""
    import asyncio

    from scripts.demo_model import Model, running

    ready, loop = threading.Event(), asyncio.new_event_loop()
    place: list[str] = []
    done = asyncio.Event()

    async def main() -> None:
        async with running(Model()) as url:
            place.append(url)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield place[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(2)
