"""What a request is, once its body is here: answered at once, refused, or an exchange with targets to try.

Whatever is wrong becomes an error in the shape of the surface's protocol: nothing is raised from here.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence

import msgspec
from mitmproxy import http

from addons import cors, credentials, replies, surfaces
from addons.apps import detect
from addons.choosing import Board
from addons.credentials import Taken
from addons.encoding import decode_request, too_large
from addons.exchange import METADATA, Exchange, Reply
from addons.log import logger
from addons.rates import Limited, Meters, Subject, client_of, limited
from addons.routing import Route, Router, Target
from addons.ruleset import Ruled, Ruleset, Steps, Waiting
from addons.settings import Settings
from addons.settings_model import Rate
from addons.surfaces import Surface
from translators import CODECS
from translators.body import top_level, typed
from translators.codec import Seed, Wire
from translators.model import ApiError, BadRequest, ModelInfo

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_JSON = {"content-type": "application/json"}
_TEXT = {"content-type": "text/plain; charset=utf-8"}
_STRING = msgspec.json.Decoder(str)
_NO_PATH = re.compile("[\x00-\x20\x7f\udc80-\udcff]")  # the last are how Python holds bytes that are no UTF-8
_TAG = ":latest"
_NONCE = re.compile(r"[A-Za-z0-9+/]{22}==")
_ACCEPT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455

# Answered whoever asks, and without a look at the rest of the request.
_OPEN: dict[str, tuple[dict[str, str], bytes]] = {
    "health": (_JSON, b'{"status":"ok"}'),
    "probe": (_TEXT, b"Ollama is running"),
}
# What Ollama's clients ask at their start: a version that is new enough for all of them, and what is loaded.
_FIXED = {"version": b'{"version":"0.40.0"}', "running": b'{"models":[]}'}

# purpose -> status, kind and text of the refusal
_REFUSED: dict[str, Callable[[str, str], BadRequest]] = {
    "unknown": lambda method, path: BadRequest(f"there is nothing at {method} {path}", status=404, kind="not_found"),
    "method": lambda method, path: BadRequest(f"{path} does not take {method}", status=404, kind="not_found"),
    "upgrade": lambda method, path: BadRequest(f"{path} is served over HTTP only", status=426),  # Codex then does
}


def refusal_of(purpose: str, method: str, path: str) -> BadRequest:
    """Why there is no answer to such a request."""
    return _REFUSED[purpose](method, path)


class Opening:
    """One request on its way in."""

    def __init__(
        self,
        flow: http.HTTPFlow,
        taken: Taken,
        settings: Settings,
        router: Router,
        board: Board,
        meters: Meters,
        rules: Ruleset | None = None,
        namespace: str = "default",
        meant: Surface | None = None,
    ) -> None:
        """`meant`: what it is for the provider that the client believes to talk to."""
        self._namespace = namespace  # whose settings these are
        if taken.origin is not None and taken.origin.order.policy:
            settings = dataclasses.replace(settings, policy=taken.origin.order.policy)
        self._flow, self._settings, self._router, self.taken = flow, settings, router, taken
        request = flow.request
        self._passing = meant is not None
        self._surface = meant or surfaces.find(request.method, _escaped(request.path), request.headers)
        codec = CODECS[self._surface.protocol]
        seed = Seed("".join(_ALPHABET[b & 31] for b in secrets.token_bytes(24)), int(time.time()))
        self._exchange = exchange = Exchange(settings, self._surface, codec, seed, taken, board, meters)
        exchange.router = router
        exchange.app = detect(request.headers.get("x-client", "")[:100], request.headers.get("user-agent", "")[:200])
        self.ruled = exchange.ruled = None if rules is None else Ruled(rules, exchange, logger)

    @property
    def exchange(self) -> Exchange:
        """What there is of it, also where it was answered at once."""
        return self._exchange

    def open(self) -> Exchange | Reply:
        """Where there are no rules."""
        for _ in self.steps():
            raise AssertionError("nothing waits where there are no rules")
        return self.opened

    def steps(self) -> Steps:
        """With rules, which may have to wait for something. At the end the result is in `opened`."""
        try:
            self.opened = yield from self._open()
        except Limited as reached:
            reply = self.refuse(reached.error)
            more = reached.headers(self._exchange.codec.NAME, self._exchange.seed.created)
            self.opened = msgspec.structs.replace(reply, headers={**reply.headers, **more})
        except BadRequest as error:
            self.opened = self.refuse(error.error)
        except Exception:
            logger.exception("request %s failed", self._exchange.seed.id)
            self.opened = self.refuse(replies.INTERNAL)

    def refuse(self, error: ApiError) -> Reply:
        """An error before any upstream was asked: to the client, the log and the record."""
        return self._over(replies.refusal(self._exchange, error), error.message[:300])

    def _open(self) -> Generator[Waiting, None, Exchange | Reply]:
        purpose = self._surface.purpose
        if purpose in _OPEN:
            headers, body = _OPEN[purpose]
            return self._answer(body, headers)
        if (asked := cors.preflight(self._flow.request, self._settings)) is not None:
            return asked
        self._check_surface()
        if purpose == "socket":
            return self._upgrade()
        key = None if self._exchange.taken.origin is not None else self._admit()
        if purpose == "models":
            query = self._surface.path.partition("?")[2]
            return self._answer(self._exchange.codec.render_models(self._models(key), query))
        if purpose == "model":
            return self._answer(self._model(key))
        if purpose in _FIXED:
            return self._answer(_FIXED[purpose])
        self._read()
        ruled = self.ruled
        if ruled is None:
            self._route()
            return self._enter(key)
        if purpose != "stored":
            yield from ruled.request()
        if (reply := self._decided(ruled)) is not None:
            return reply
        self._route()
        yield from ruled.route()
        return self._decided(ruled) or self._enter(key)

    def _decided(self, ruled: Ruled) -> Reply | None:
        """What the client gets where the rules left nothing to ask."""
        exchange = self._exchange
        if (error := ruled.fault or exchange.error) is not None:
            return self.refuse(error)
        if exchange.response is None:
            return None
        reply = replies.local(exchange, exchange.response)
        exchange.sent.add(reply.body, time.monotonic())
        return self._over(reply, "answered by a rule")

    def _over(self, reply: Reply, why: str) -> Reply:
        exchange = self._exchange
        exchange.ended_at = time.time()
        self._flow.metadata[METADATA] = exchange.record()
        logger.info("request %s: %d %s", exchange.seed.id, reply.status, why)
        return reply

    def _answer(self, body: bytes, headers: dict[str, str] = _JSON) -> Reply:
        return Reply(200, {**headers, **replies.own_headers(self._exchange)}, body)

    def _upgrade(self) -> Reply:
        """The chat WebSocket. Its messages bring the keys; without a required one, no web page may open it."""
        if self._settings.auth.mode != "proxy_key":
            self._admit()
        headers = self._flow.request.headers
        if headers.get("upgrade", "").lower() != "websocket" or headers.get("sec-websocket-version") != "13":
            raise BadRequest("this is a WebSocket, of version 13", status=426)
        key = headers.get("sec-websocket-key", "")
        if not _NONCE.fullmatch(key):
            raise BadRequest("sec-websocket-key is no such key", "sec-websocket-key")
        accept = base64.b64encode(hashlib.sha1((key + _ACCEPT).encode(), usedforsecurity=False).digest()).decode()
        more = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-accept": accept}
        return Reply(101, {**more, **replies.own_headers(self._exchange)}, b"")

    def _check_surface(self) -> None:
        surface, request = self._surface, self._flow.request
        if surface.namespace != self._namespace:
            raise BadRequest(f"there is no namespace {surface.namespace!r}", status=404, kind="not_found")
        purpose: str = surface.purpose
        if purpose not in _REFUSED and surface.protocol not in self._settings.protocols:
            purpose = "unknown"
        if purpose in _REFUSED:
            raise refusal_of(purpose, request.method, _escaped(request.path).partition("?")[0][:200])

    def _admit(self) -> credentials.ClientKey | None:
        if self._passing:
            return credentials.admit_passing(self._exchange.taken, self._settings)
        headers = self._flow.request.headers
        host, origin = headers.get("host"), headers.get("origin")
        key = credentials.admit(self._exchange.taken, self._settings, host=host, origin=origin)
        self._exchange.caller = key.label if key is not None else ""
        return key

    def _body(self) -> bytes:
        request, limit = self._flow.request, self._settings.limits.request_body
        body = request.raw_content or b""
        if encodings := request.headers.get("content-encoding"):
            return decode_request(body, encodings, limit)
        if len(body) > limit:
            raise too_large(limit)
        return body

    def _read(self) -> None:
        exchange, request = self._exchange, self._flow.request
        fields = exchange.fields = request.headers.fields
        headers = {k.decode("latin-1").lower(): v.decode("utf-8", "replace") for k, v in fields}
        exchange.wire = Wire(self._surface.path, self._body(), headers, request.method)
        if self._surface.purpose == "stored":  # no model is named, and there may be no body
            exchange.stream = "stream=true" in self._surface.path.partition("?")[2].split("&")
        else:
            exchange.model, exchange.stream = exchange.codec.peek(exchange.wire)
        if (origin := exchange.taken.origin) is not None and origin.order.model:
            exchange.model = origin.order.model

    def _route(self) -> None:
        exchange = self._exchange
        stored = self._surface.purpose == "stored"
        route = self._router.keeper(exchange.codec.NAME) if stored else self._resolve(exchange.wanted_model)
        exchange.targets = exchange.board.order(route, exchange.prompt_tokens)

    def _enter(self, key: credentials.ClientKey | None) -> Exchange:
        """Whether this client may ask for it, now."""
        exchange = self._exchange
        if not exchange.targets:
            raise BadRequest(f"the rules leave no target for {exchange.model!r}", "model", status=404, kind="not_found")
        _check_model(key, exchange.model, exchange.targets)
        if self._surface.purpose != "count_tokens":
            exchange.passed = exchange.meters.enter(list(self._limits(key)), exchange.prompt_tokens)
        return exchange

    def _limits(self, key: credentials.ClientKey | None) -> Iterator[tuple[Subject, str, Rate]]:
        """The limits that this request counts for, whatever its upstream."""
        rate, client = self._settings.limits.rate, self._flow.client_conn
        if key is not None and limited(key.rate):
            name = f"key {key.label!r}" if key.label else "this key"
            yield ("key", client_of(self._exchange.taken, "")), name, key.rate
        if limited(rate) and self._exchange.taken.origin is None:
            peer = client.peername[0] if client.peername else ""
            yield ("client", client_of(self._exchange.taken, peer)), "this client", rate

    def _resolve(self, model: str) -> Route:
        """Ollama's clients may add the tag that a model has where none is said."""
        origin = self._exchange.taken.origin
        if origin is not None and origin.order.target:
            return self._router.at(origin.order.target, model)
        try:
            return self._router.resolve(model)
        except BadRequest as error:
            bare = model.removesuffix(_TAG)
            if self._exchange.codec.NAME != "ollama" or bare == model or error.error.status != 404:
                raise
            return self._router.resolve(bare)

    def _models(self, key: credentials.ClientKey | None) -> list[ModelInfo]:
        """Those that this client may ask for."""
        known = self._router.known_models()
        if key is None or key.models is None:
            return known
        return [one for one in known if key.allows(one.id, _addresses(self._router.resolve(one.id).targets))]

    def _model(self, key: credentials.ClientKey | None) -> bytes:
        """One model, named in the path or, for `/api/show`, in the body: whatever a request may name."""
        name = self._surface.name
        if not name:
            fields = top_level(self._body())
            name = next((typed(fields, key, _STRING) for key in ("model", "name") if key in fields), "")
        if not name:
            raise BadRequest("model is required", "model")
        route = self._resolve(name)
        _check_model(key, name, route.targets)
        return self._exchange.codec.render_model(self._router.describe(name, route))


def _addresses(targets: Sequence[Target]) -> list[str]:
    return [target.address for target in targets]


def _check_model(key: credentials.ClientKey | None, model: str, targets: Sequence[Target]) -> None:
    if key is not None and not key.allows(model, _addresses(targets)):
        raise BadRequest(f"this key may not use the model {model!r}", status=403, kind="permission")


def _escaped(path: str) -> str:
    """A path as it should have been written: what must not stand in one is escaped. HTTP/2 lets a blank through, which
    would end the path at an upstream."""
    return _NO_PATH.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", path)
