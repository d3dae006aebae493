"""`llm-link launch --intercept`: a client as it is, with its own home, login and addresses, through a proxy of ours.

All that it is told is the proxy, and mitmproxy's certificate beside those of the system, by the variables that Node,
Python, Go, curl and OpenSSL read. What it says to hosts of known providers is translated, or watched; see
docs/intercept-modes.md.
"""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from addons.apps import UnknownApp, find
from addons.settings import Settings
from scripts import serve
from scripts.launch import NOT_FOUND, Wish, program, started, wait_ready
from scripts.launch_run import orderly, run_client
from scripts.terminal import FAILED, fail, warn

CA = "mitmproxy-ca-cert.pem"
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO")
DIRECT = ("localhost", "127.0.0.1", "::1")


def launch(wish: Wish) -> int:
    """Runs the client and gives its exit code. Raises `Trouble`, `SettingsError`."""
    for name in ("attach", "demo", "home", "api_key"):
        if getattr(wish, name):
            fail(f"--{name.replace('_', '-')} is of no use with --intercept: the client stays as it is")
    binary = _binary(wish)
    options = options_of(wish)
    environ = serve.child_environ(options, os.environ)
    settings = serve.check(options, environ)
    if wish.workspace is not None:
        if not wish.workspace.is_dir():
            fail(f"--workspace: {wish.workspace} is no folder")
        os.chdir(wish.workspace)
    orderly()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llm-link-", ignore_cleanup_errors=True)))
        proxy = stack.enter_context(started(options, settings, environ, folder))
        wait_ready(proxy)
        warn(_what(wish.client, settings, proxy.url))
        if wish.web:
            warn(f"watch it at {proxy.web_url()}")
        return run_client([binary, *wish.arguments], client_environ(os.environ, proxy.url, folder))


def options_of(wish: Wish) -> serve.Options:
    said = {
        "provider": wish.provider,
        "model": wish.model,
        "base_url": wish.base_url,
        "protocol": wish.protocol,
        "llm_api_key": wish.llm_api_key,
        "policy": wish.policy,
        "host": "127.0.0.1",
    }
    given = {name: value for name, value in said.items() if value is not None}
    return serve.Options(wish.config, "127.0.0.1", wish.port, wish.web, 8081, wish.env_file, given, modes=("regular",))


def _binary(wish: Wish) -> str:
    """That of a client that is known, or any program."""
    try:
        return program(find(wish.client), wish.binary)
    except UnknownApp:
        found = shutil.which(wish.binary or wish.client)
        if found is None:
            fail(f"there is no program {wish.binary or wish.client}", NOT_FOUND)
        return os.path.abspath(found)


def _what(client: str, settings: Settings, url: str) -> str:
    names = ", ".join(f"{upstream.name} ({upstream.protocol})" for upstream in settings.upstreams.values())
    return f"{client} through {url}, " + (f"its requests go to {names}" if names else "its requests are watched")


def client_environ(environ: Mapping[str, str], url: str, folder: Path) -> dict[str, str]:
    """What the client is told. `folder`: ours for this run, which may hold the proxy's certificate."""
    own = Path(environ.get("HOME") or Path.home()) / ".mitmproxy" / CA
    certificate = folder / "mitmproxy" / CA
    certificate = certificate if certificate.is_file() else own
    if not certificate.is_file():
        fail(f"mitmproxy made no certificate at {certificate}", FAILED)
    bundle = folder / "certificates.pem"
    bundle.write_bytes(_trusted(environ) + b"\n" + certificate.read_bytes())
    local = [*filter(None, environ.get("NO_PROXY", environ.get("no_proxy", "")).split(",")), *DIRECT]
    direct = ",".join(dict.fromkeys(local))
    return {
        **{name: value for name, value in environ.items() if name not in ("ALL_PROXY", "all_proxy")},
        **dict.fromkeys(PROXIES, url),
        **dict.fromkeys(BUNDLES, str(bundle)),
        "NODE_EXTRA_CA_CERTS": str(_with(environ.get("NODE_EXTRA_CA_CERTS"), certificate, folder)),
        "NODE_USE_ENV_PROXY": "1",  # Node's own fetch, from version 24 on
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def _trusted(environ: Mapping[str, str]) -> bytes:
    """The certificates that programs here trust: other hosts are not decrypted, and show their own."""
    found = ssl.get_default_verify_paths()
    for name in (environ.get("SSL_CERT_FILE"), found.cafile, found.openssl_cafile, _certifi()):
        if name and os.path.isfile(name):
            return Path(name).read_bytes()
    return b""


def _certifi() -> str:
    import certifi

    return certifi.where()


def _with(extra: str | None, certificate: Path, folder: Path) -> Path:
    """Node's extra certificates are a file of their own: what was there already stays."""
    if not extra or not os.path.isfile(extra):
        return certificate
    both = folder / "node-certificates.pem"
    both.write_bytes(Path(extra).read_bytes() + b"\n" + certificate.read_bytes())
    return both
