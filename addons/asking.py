"""Asks an upstream whether it is there and takes its key: a list of models, which costs nothing.

The way there is walked step by step (name, connection, TLS, question), so that whoever is told can do something about
it. Nothing of what the upstream says in an error is repeated: some repeat the key.

Blocking: call it from a thread. httpx is imported when it is called.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any, Literal

from translators import CODECS

from .credentials import FORMS
from .settings_upstream import Upstream

Step = Literal["name", "connection", "tls", "proxy", "answer"]

MAX_BODY = 4 << 20

# Where a protocol lists its models, after the root of an upstream, and where the names are in the answer.
_LISTS = {
    "openai-chat": ("/models", "data", "id"),
    "openai-responses": ("/models", "data", "id"),
    "anthropic": ("/models?limit=1000", "data", "id"),
    "gemini": ("/models?pageSize=1000", "models", "name"),
    "ollama": ("/tags", "models", "name"),
}
_VERSIONS = {"anthropic": {"anthropic-version": "2023-06-01"}}


@dataclass(frozen=True)
class Asked:
    """How far it got. `status` 0: there was no answer, and `reason` says why. `models`: the names that it listed, None
    where it listed none. `checked`: whether the key counted: without one the answer is another. `seconds`: how long
    the answer took."""

    step: Step
    status: int = 0
    reason: str = ""
    models: tuple[str, ...] | None = None
    checked: bool = False
    seconds: float = 0.0


class _Stopped(Exception):
    def __init__(self, step: Step, reason: str) -> None:
        self.step, self.reason = step, reason


def ask(upstream: Upstream, timeout: float = 10.0, key: str | None = None) -> Asked:
    """`timeout`: seconds for each step. `key`: another key than the upstream's first one."""
    try:
        context = _tls_context()
        if upstream.proxy is None:
            _reach(upstream.host, upstream.port, timeout, context if upstream.scheme == "https" else None)
        else:
            _reach(upstream.proxy.host, upstream.proxy.port, timeout, None)
        return _question(upstream, timeout, key, context)
    except _Stopped as stopped:
        return Asked(stopped.step, reason=stopped.reason)


def _tls_context() -> ssl.SSLContext:
    """The authorities that requests go by too, whatever the environment says."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


def _reach(host: str, port: int, timeout: float, context: ssl.SSLContext | None) -> None:
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _Stopped("name", f"the name {host} leads nowhere: {_words(error)}") from None
    try:
        connection = socket.create_connection((host, port), timeout)
    except OSError as error:
        raise _Stopped("connection", f"no connection to {host} port {port}: {_words(error)}") from None
    with connection:
        if context is None:
            return
        try:
            context.wrap_socket(connection, server_hostname=host).close()
        except ssl.SSLCertVerificationError as error:
            raise _Stopped("tls", f"the certificate of {host} is not trusted: {error.verify_message}") from None
        except OSError as error:
            raise _Stopped("tls", f"no TLS with {host} port {port}: {_words(error)}") from None


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _question(upstream: Upstream, timeout: float, key: str | None, context: ssl.SSLContext) -> Asked:
    import httpx

    if upstream.proxy is not None and upstream.proxy.scheme.startswith("socks"):
        raise _Stopped("proxy", "the egress proxy is there; nothing was asked through it, since it speaks SOCKS")
    path, many, one = _LISTS[upstream.protocol]
    headers = {**dict(upstream.headers), **_VERSIONS.get(upstream.protocol, {}), "user-agent": "llm-link"}
    credential = _credential(upstream, key)
    started = time.monotonic()
    try:
        with httpx.Client(verify=context, trust_env=False, timeout=timeout, proxy=_proxy(upstream)) as client:
            status, body = _get(client, upstream.root + path, {**headers, **credential})
            seconds = time.monotonic() - started
            checked = bool(credential) and status < 400 and _get(client, upstream.root + path, headers)[0] in (401, 403)
    except httpx.ProxyError as error:
        raise _Stopped("proxy", f"the egress proxy does not let us through: {_words(error)}") from None
    except (httpx.LocalProtocolError, UnicodeEncodeError):  # whose text holds the header, and so the key
        raise _Stopped("answer", "the key, or a static header, has a character that no header may have") from None
    except httpx.RemoteProtocolError:
        raise _Stopped("answer", f"what {upstream.host} answers is no HTTP") from None
    except httpx.TimeoutException:
        raise _Stopped("answer", f"no answer from {upstream.host} in {timeout:g} s") from None
    except httpx.HTTPError as error:
        raise _Stopped("answer", f"no answer from {upstream.host}: {_words(error)}") from None
    return Asked("answer", status, "", _names(body, many, one) if status < 300 else None, checked, seconds)


def _credential(upstream: Upstream, key: str | None) -> dict[str, str]:
    secret = key or (upstream.key.get_secret_value() if upstream.key else "")
    form = FORMS.get(upstream.auth, CODECS[upstream.protocol].credential)
    return dict([form(secret)]) if secret else {}


def _proxy(upstream: Upstream) -> Any:
    import httpx

    if upstream.proxy is None:
        return None
    host = f"[{upstream.proxy.host}]" if ":" in upstream.proxy.host else upstream.proxy.host
    login = upstream.proxy.login.get_secret_value() if upstream.proxy.login else ""
    name, _, password = login.partition(":")
    url = f"{upstream.proxy.scheme}://{host}:{upstream.proxy.port}"
    return httpx.Proxy(url, auth=(name, password) if login else None)


def _get(client: Any, url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    with client.stream("GET", url, headers=headers) as answer:
        body = b""
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > MAX_BODY:
                break
        return answer.status_code, body


def _names(body: bytes, many: str, one: str) -> tuple[str, ...] | None:
    try:
        rows = json.loads(body)[many]
        return tuple(str(row[one]).removeprefix("models/") for row in rows)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
