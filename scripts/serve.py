"""`llm-link serve`: checks the settings, then becomes mitmdump or mitmweb with the right options.

The process is replaced, not wrapped: signals, exit code and process id are mitmproxy's own. Command-line values that
the addon must know travel in the environment as `LLM_LINK_SERVE`, a JSON object, since a key on a command line can be
read by everyone on the machine.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from addons import redirector
from addons.apps import find_all
from addons.settings import Settings, SettingsError, environment, load, read_env_file
from scripts import ports
from scripts.terminal import fail

SERVE = "LLM_LINK_SERVE"
ADDON = Path(__file__).resolve().parent.parent / "addons" / "llm_link.py"
PORT = 8080
COLUMNS = ("method", "comment", "status", "time")  # of mitmweb's list: our comment says more than the path
NOWHERE = "http://127.0.0.1:9"  # mitmproxy wants a reverse target; with upstreams of our own nothing is sent there

# level of our log -> mitmproxy's name for it
VERBOSITY = {"debug": "debug", "info": "info", "warning": "warn", "error": "error"}


@dataclass(frozen=True)
class Options:
    """What was asked on the command line; None: not said."""

    config: Path | None = None
    host: str | None = None
    port: int | None = None
    web: bool = False
    web_port: int = 8081
    env_file: Path | None = None
    overrides: dict[str, object] = field(default_factory=dict)  # what the addon must know: `LLM_LINK_SERVE`
    workers: int = 1
    modes: tuple[str, ...] = ()  # mitmproxy's, for clients that do not know of us; (): clients are pointed at us
    proxy_auth: Path | None = None  # an htpasswd file
    save: Path | None = None  # a folder for the exchanges
    save_size: str = ""  # of all files in it


def program(name: str) -> list[str]:
    """How to start one of mitmproxy's programs: the one beside this Python, else its main function."""
    beside = Path(sys.executable).with_name(name)
    if os.access(beside, os.X_OK):
        return [str(beside)]
    return [sys.executable, "-c", f"from mitmproxy.tools.main import {name}; {name}()"]


def config_path(options: Options, environ: Mapping[str, str]) -> Path | None:
    if options.config:
        return options.config
    named = environ.get("LLM_LINK_CONFIG")
    return Path(named) if named else None


def child_environ(options: Options, environ: Mapping[str, str]) -> dict[str, str]:
    """Our environment, what is unset or empty filled up from --env-file, with the overrides in it."""
    extra = read_env_file(options.env_file) if options.env_file else {}
    said = {name: value for name, value in environ.items() if value or name not in extra}
    return {**extra, **said, SERVE: json.dumps(options.overrides)}


def check(options: Options, environ: Mapping[str, str]) -> Settings:
    """The settings as the addon will read them. Raises `SettingsError`."""
    known, _ = environment(Path.cwd(), environ)
    return load(config_path(options, environ), known, passing=bool(options.modes))


def addresses(options: Options, settings: Settings) -> list[tuple[str, int]]:
    """Where to listen. Several apps are served on the port of each."""
    listen_host, listen_port = settings.listen or ("", 0)
    host = options.host or listen_host or "127.0.0.1"
    apps = find_all(options.overrides.get("app", ()))  # type: ignore[arg-type]
    if options.port and len(apps) > 1:
        raise SettingsError("--port: several apps have a port each; leave it out, or start one process for each app")
    ports = [options.port or listen_port] if options.port or listen_port else [app.port for app in apps] or [PORT]
    return [(host, port) for port in ports]


def listening(options: Options, settings: Settings) -> list[str]:
    """The same, as mitmproxy's words."""
    found = addresses(options, settings)
    host, port = found[0]
    if options.modes:
        modes = [word for mode in options.modes for word in ("--mode", mode)]
        return [*modes, "--listen-host", host, "--listen-port", str(port)]
    if len(found) == 1:
        return ["--mode", f"reverse:{NOWHERE}", "--listen-host", host, "--listen-port", str(port)]
    at = f"[{host}]" if ":" in host else host
    return [word for _, port in found for word in ("--mode", f"reverse:{NOWHERE}@{at}:{port}")]


def command(options: Options, settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """The argument list of the program that serves."""
    config = config_path(options, environ)
    words = [*program("mitmweb" if options.web else "mitmdump"), "-s", str(ADDON)]
    words += listening(options, settings)
    values = {
        "llm_link_config": str(config.absolute()) if config else "",
        "llm_link_save": str(options.save.absolute()) if options.save else "",
        "llm_link_save_size": options.save_size,
        "keep_host_header": "true",
        "connection_strategy": "lazy",
        "termlog_verbosity": VERBOSITY[settings.logging.level],
    }
    if options.proxy_auth is not None:
        values["proxyauth"] = f"@{options.proxy_auth.absolute()}"  # a password on a command line can be read by all
    if not options.web:
        values["flow_detail"] = "0"  # a line for each exchange is our own log's
    words += [word for name, value in values.items() if value for word in ("--set", f"{name}={value}")]
    if options.web:
        words += [word for column in COLUMNS for word in ("--set", f"web_columns={column}")]
        words += ["--no-web-open-browser", "--web-host", "127.0.0.1", "--web-port", str(options.web_port)]
    return words


def serve(options: Options) -> None:
    """Never returns where all is well. Raises `SettingsError`."""
    environ = child_environ(options, os.environ)
    for mode in options.modes:
        if mode.startswith("local") and (lacking := redirector.missing()):
            fail(f"--mode {mode}: {lacking}")
    named = options.modes or config_path(options, environ) or options.overrides.keys() & {"provider", "base_url", "app"}
    if not named:
        fail("there is no upstream: name one with --provider, --base-url or --config FILE (`llm-link init` writes one)")
    settings = check(options, environ)
    words = command(options, settings, environ)
    if options.workers > 1:
        from scripts import workers

        workers.check(options.workers, options.web)
    ports.demand(addresses(options, settings))
    if options.web:
        ports.demand([("127.0.0.1", options.web_port)], "--web-port")
    sys.stdout.flush()
    if options.workers > 1:
        raise SystemExit(workers.run(options.workers, words[len(program("mitmdump")) :], environ))
    os.execve(words[0], words, environ)
