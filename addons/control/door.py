"""Who may use the control surface, and how a request gets to it.

With keys set, a request needs one of them, as a Bearer. Without, only somebody on this machine may come in, and no web
page: the peer and the `Host` are loopback (or the address that we listen on), an `Origin` is our own or one of
`cors.origins`, and no header says that a proxy brought the request here from elsewhere.

FastAPI is heavy: it is imported in a thread when the first request was let in, and never where nobody asks.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from addons.catalog import is_loopback
from addons.control import pages
from addons.control.errors import Refused
from addons.credentials import Field, Taken, own_host
from addons.exchange import Reply

if TYPE_CHECKING:
    from addons.running import Running

BODY_LIMIT = 1 << 20  # bytes; an import of a thousand providers is a tenth of it

_App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

_Built = tuple[_App, Callable[[str, str], bool]]  # the application, and whether a path takes a method

_WRITES = frozenset(("POST", "PUT", "PATCH"))
_FORWARDED = (b"forwarded", b"x-forwarded-", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"true-client-ip")
# What every answer says: it is for nobody to keep, to guess at or to frame.
_GUARDS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_PREFLIGHT = {
    "access-control-allow-methods": "GET, POST, PUT, DELETE",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "600",
}

logger = logging.getLogger("llm_link")


class Call:
    """One request to the control surface. `body`: None where it was larger than `BODY_LIMIT`; `taken`: its credentials,
    which are no longer in `fields`."""

    def __init__(
        self, method: str, path: str, fields: Sequence[Field], taken: Taken, peer: str, secure: bool, body: bytes | None
    ) -> None:
        self.method, self.taken, self.peer, self.secure, self.body = method, taken, peer, secure, body
        self.path, _, self.query = path.partition("?")
        self.fields = [(name.lower(), value) for name, value in fields]
        self.reply: Reply | None = None

    def header(self, name: bytes) -> str | None:
        return next((value.decode("latin-1") for key, value in self.fields if key == name), None)

    def answer(self) -> Reply:
        return self.reply or _refusal(Refused(500, "the control surface failed on this request; the log says why"))


class Door:
    """Answers calls; one for each running proxy."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._building: asyncio.Future[_Built] | None = None

    async def answer(self, call: Call) -> None:
        """Sets `call.reply`. Never raises."""
        try:
            call.reply = await self._answer(call)
        except Refused as refused:
            call.reply = _refusal(refused)
        except Exception:
            logger.exception("%s %s on the control surface failed", call.method, call.path)
        reply, shared = call.answer(), self._shared(call)
        call.reply = Reply(reply.status, {**_GUARDS, **shared, **reply.headers}, reply.body)

    async def _answer(self, call: Call) -> Reply:
        settings = self._running.settings
        if not settings.control.enabled:
            raise Refused(404, "the control surface is switched off (control.enabled)")
        if call.method == "OPTIONS" and call.header(b"access-control-request-method") and self._shared(call):
            return Reply(204, _PREFLIGHT, b"")
        page = pages.find(call.method, call.path)
        if page is None or not self._running.settings.control_keys:
            self._admit(call)
        if page is not None:  # it holds no data: what it shows it has to ask for, with a key
            return page
        if call.body is None:
            raise Refused(413, f"the body is larger than {BODY_LIMIT >> 10} KiB")
        app, takes = await self._application()
        if call.method in _WRITES and not _is_json(call.header(b"content-type")) and takes(call.method, call.path):
            raise Refused(415, f"{call.method} needs content-type: application/json")
        _check_text(call.body)
        return await _run(app, call)

    def _admit(self, call: Call) -> None:
        keys = [key.get_secret_value() for key in self._running.settings.control_keys]
        if not keys:
            if fault := self._stranger(call):
                raise Refused(403, fault)
            return
        given = next((value for name, value in call.taken.presented if name == "authorization"), None)
        ask = {"www-authenticate": 'Bearer realm="LLM Link control"'}
        if given is None:
            raise Refused(401, "a control key is required, as Authorization: Bearer", headers=ask)
        wanted = given.encode("utf-8", "surrogateescape")
        matches = [hmac.compare_digest(key.encode("utf-8", "surrogateescape"), wanted) for key in keys]
        if not any(matches):
            raise Refused(401, "the control key is not valid", headers=ask)

    def _stranger(self, call: Call) -> str:
        """Why somebody without a key is not let in; "": they are."""
        settings, host, origin = self._running.settings, call.header(b"host"), call.header(b"origin")
        alone = "; set control.keys to let others in"
        if not is_loopback(call.peer):
            return f"without control keys only this machine may use the control surface{alone}"
        if any(name.startswith(_FORWARDED) for name, _ in call.fields):
            return f"the request was forwarded by a proxy{alone}"
        if host is not None and not own_host(host, settings.host):
            return "this Host is not the address of this server"
        if origin is not None and not self._known_origin(call, origin):
            return "requests from this web origin are not accepted (cors.origins)"
        elsewhere = origin is None and call.header(b"sec-fetch-site") in ("cross-site", "same-site")
        if elsewhere and call.header(b"sec-fetch-mode") != "navigate":
            return "requests from other sites are not accepted"
        return ""

    def _known_origin(self, call: Call, origin: str) -> bool:
        said = origin.strip().lower()
        own = f"{'https' if call.secure else 'http'}://{(call.header(b'host') or '').lower()}"
        return said in (own, *self._running.settings.cors.origins)

    def _shared(self, call: Call) -> dict[str, str]:
        """The headers that let a page of `cors.origins` read the answer."""
        origin = (call.header(b"origin") or "").strip()
        if origin.lower() not in self._running.settings.cors.origins:
            return {}
        return {
            "access-control-allow-origin": origin,
            "vary": "Origin",
            "cross-origin-resource-policy": "cross-origin",
        }

    async def _application(self) -> _Built:
        if self._building is None:
            self._building = asyncio.get_running_loop().run_in_executor(None, _build, self._running)
        try:
            return await asyncio.shield(self._building)
        except Exception:
            self._building = None
            raise


def _build(running: Running) -> _Built:
    from addons.control.app import build, methods_at

    app = build(running)
    return app, lambda method, path: method in methods_at(app, unquote(path, errors="replace"))


def _check_text(body: bytes) -> None:
    """Refuses what JSON has no words for: half a character, and numbers that are none. It could not be said back."""
    if b"\\u" not in body and b"NaN" not in body and b"Infinity" not in body:
        return
    try:
        json.dumps(json.loads(body, parse_constant=_no_number), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refused(400, "the body holds half a character (a lone surrogate)") from None
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no valid JSON") from None


def _no_number(name: str) -> None:
    raise ValueError(name)


def _is_json(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"


def _refusal(refused: Refused) -> Reply:
    return Reply(refused.status, {"content-type": "application/json", **refused.headers}, refused.body())


async def _run(app: _App, call: Call) -> Reply:
    """One request through an ASGI application."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": call.method,
        "scheme": "https" if call.secure else "http",
        "path": unquote(call.path, errors="replace"),
        "raw_path": call.path.encode("utf-8", "surrogateescape"),
        "query_string": call.query.encode("utf-8", "surrogateescape"),
        "root_path": "",
        "headers": call.fields,
        "client": (call.peer, 0),
        "server": None,
    }
    incoming = [{"type": "http.request", "body": call.body or b"", "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop() if incoming else {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    if call.method == "HEAD":  # answered as GET is; the body is left out on the wire
        scope["method"] = "GET"
    await app(scope, receive, send)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
    headers.pop("content-length", None)  # measured where it is sent
    return Reply(sent[0]["status"], headers, b"".join(event.get("body", b"") for event in sent[1:]))
