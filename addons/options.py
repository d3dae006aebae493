"""What the command line of mitmproxy says to us: its options and modes, ours among them.

It names the config file, stands above what that file says, and names where we listen; none of it changes while the
proxy runs but by mitmproxy's own `set`, so all is read afresh.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mitmproxy import ctx
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode

from addons import log
from addons.intercepting import intercepts
from addons.settings import Changes, Reverse, Settings, check_reachable, load
from addons.settings_model import Listen, Logging

READ = frozenset(("llm_link_config", "llm_link_policy", "llm_link_protocol", "mode", "proxyauth"))  # by `settings`


def add(loader: Loader) -> None:
    """Ours."""
    loader.add_option("llm_link_config", str, "", "Path of LLM Link's config file (YAML); empty: no file.")
    loader.add_option("llm_link_policy", str, "", "strict, balanced or max_compat; overrides the file.")
    loader.add_option(
        "llm_link_protocol", str, "", "Protocol of the reverse target, where its host is not in the catalogue."
    )


def config_file() -> Path | None:
    name = ctx.options.llm_link_config or os.environ.get("LLM_LINK_CONFIG", "")
    return Path(name).expanduser() if name else None


def settings(environ: Mapping[str, str], changes: Changes) -> Settings:
    """Those of the file under the command line, with the changes of the API laid over them. Raises `SettingsError`."""
    found = load(
        config_file(),
        environ,
        policy=ctx.options.llm_link_policy,
        reverse=_reverse(ctx.options.mode),
        protocol=ctx.options.llm_link_protocol,
        changes=changes,
        passing=intercepts(ctx.options.mode),
    )
    host = _host()
    if not ctx.options.proxyauth:
        check_reachable(host, found)
    return found.served_on(host)


def _reverse(specs: Sequence[str]) -> Reverse | None:
    for spec in specs:
        mode = ProxyMode.parse(spec)
        if isinstance(mode, ReverseMode):
            return Reverse(mode.scheme, mode.address[0], mode.address[1])
    return None


def _host() -> str | None:
    """The address that the command line or the mode names."""
    hosts = (ProxyMode.parse(mode).listen_host(ctx.options.listen_host) for mode in ctx.options.mode)
    return next((host for host in hosts if host), None)


def named_host(mode: ProxyMode) -> str | None:
    """The same for one mode."""
    return mode.listen_host(ctx.options.listen_host) or None


def write_log(logging: Logging) -> None:
    """Log as the file says; its relative paths begin where it lies."""
    path = config_file()
    log.configure(logging, path.parent if path is not None else Path.cwd())


def listen(at: Listen | None) -> None:
    """Listen where the file says, unless the command line says otherwise."""
    named = ctx.options.listen_host or ctx.options.listen_port
    if at is None or named or any(ProxyMode.parse(mode).custom_listen_port for mode in ctx.options.mode):
        return
    host = at.host or ""
    place = f"{f'[{host}]' if ':' in host else host}:{at.port}" if host else f"{at.port}"
    ctx.options.update(mode=[f"{mode}@{place}" for mode in ctx.options.mode])
