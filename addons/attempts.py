"""Which request is sent next, and what its end means. An exchange tries its targets in order; the same one again only
where none is left and the wait is short."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from mitmproxy import http
from pydantic import SecretStr

from addons import credentials, params
from addons.credentials import scrub
from addons.exchange import Attempt, Capture, Exchange, Outgoing, Reply, Wait
from addons.log import logger
from addons.rates import limited
from addons.replies import INTERNAL, cannot_count, idle, last_error, refusal
from addons.routing import Target
from addons.settings_upstream import Proxy
from translators import CODECS, carry
from translators.bridge import Bridge
from translators.codec import Codec
from translators.model import ApiError, BadRequest
from translators.service import KeptBridge, ServiceBridge, relays

# Errors after which another attempt makes sense whatever their status: nothing was answered.
_UNANSWERED = frozenset(("disconnected", "timeout", "not_built"))
# Errors after which another key of the same upstream may do.
_KEY_FAULTS = frozenset(("auth", "permission", "billing"))

VIAS: dict[str, Literal["http", "tcp"]] = {"http": "http", "socks5": "tcp", "socks5h": "tcp"}  # see `egress.VIA`

_LONG = 16  # characters of a key that no text holds by chance

_SERVICES = {"count_tokens": "counting tokens", "embed": "embeddings"}
# Requests that `params` leave alone: they do not hold the fields that an answer is asked for with.
_OF_MODELS = frozenset(("generate", "stored"))  # purposes whose answers are a model's words
_AS_THEY_ARE = frozenset(("count_tokens", "stored"))


def next_attempt(exchange: Exchange) -> Outgoing | Wait | Reply:
    """The next request to send, a wait before it, or the answer where nothing is left to try. Never raises."""
    retry = exchange.settings.retry
    ruled = exchange.ruled
    if ruled is not None and ruled.fault is not None:
        return refusal(exchange, ruled.fault)
    while len(exchange.attempts) < max(retry.attempts, 1):
        last = exchange.attempt
        if last is not None and not exchange.forget and _refused_token(last):
            target, exchange.forget = last.target, True
        elif last is not None and last.error is not None and not _moves_on(exchange, last, last.error):
            break
        elif exchange.tried < len(exchange.targets):
            target = exchange.targets[exchange.tried]
            exchange.tried += 1
        elif exchange.again is not None:
            target, exchange.again = exchange.again, None
        else:
            again = _soonest(exchange)
            if again is None or again[0] > retry.max_wait:
                break
            seconds, exchange.again = again
            return Wait(seconds)
        try:
            return _prepare(exchange, target)
        except BadRequest as error:
            _unsent(exchange, target, error.error)
        except Exception:
            logger.exception("request %s failed", exchange.seed.id)
            _unsent(exchange, target, INTERNAL)
        if ruled is not None and ruled.wants("llm_error"):
            return Wait(0)  # so that it is told before the next attempt
    return last_error(exchange)


def _moves_on(exchange: Exchange, attempt: Attempt, error: ApiError) -> bool:
    if cannot_count(exchange):
        return False
    if attempt.onward or error.kind in _UNANSWERED or error.status in exchange.settings.retry.statuses:
        return True
    if _limited(attempt):
        return True
    rest = exchange.targets[exchange.tried :]
    own = attempt.target
    return error.kind in _KEY_FAULTS and any(target.address == own.address and target.key != own.key for target in rest)


def _refused_token(attempt: Attempt) -> bool:
    """Whether the upstream cannot read an opaque token that it got back: without them it may take the request."""
    given = attempt.bridge is not None and attempt.bridge.restored
    return given and attempt.error is not None and carry.refused(attempt.error)


def _soonest(exchange: Exchange) -> tuple[float, Target] | None:
    """The target that may be tried again first, and the seconds until then."""
    now = time.time()
    tried = [attempt for attempt in exchange.attempts if attempt.outgoing is not None or _limited(attempt)]
    last = {(attempt.target.address, attempt.target.key): attempt for attempt in tried}
    waits = [(_free_at(attempt, len(exchange.attempts)) - now, attempt.target) for attempt in last.values()]
    seconds, target = min(waits, key=lambda wait: wait[0], default=(0.0, None))
    return None if target is None else (max(0.01, seconds), target)


def _limited(attempt: Attempt) -> bool:
    """Whether nothing was sent because of our own limit for that upstream."""
    return attempt.outgoing is None and attempt.error is not None and attempt.error.kind == "rate_limit"


def _free_at(attempt: Attempt, tries: int) -> float:
    """When the upstream wants to be asked again; where it does not say, after a jittered back-off."""
    error, ended = attempt.error, attempt.ended_at or time.time()
    if error is not None and error.retry_after is not None:
        return ended + error.retry_after
    return ended + min(8.0, 0.25 * 2**tries) * (0.5 + secrets.randbelow(1000) / 1000)


# ------------------------------------------------------------------------------------------------ making one


def _prepare(exchange: Exchange, target: Target) -> Outgoing | Reply:
    upstream = target.upstream
    codec = CODECS[upstream.protocol]
    bridge = _bridge(exchange, target, codec)
    if bridge.idle:
        exchange.attempts.append(Attempt(target, bridge, None, Capture(0)))
        return idle(exchange, bridge)
    out = _outgoing(exchange, target, codec, bridge)
    attempt = Attempt(target, bridge, out, exchange.capture())
    if limited(upstream.rate):
        space = exchange.surface.namespace  # each has upstreams of its own
        subject = (("upstream", f"{space}/{upstream.name}"), f"upstream {upstream.name!r}", upstream.rate)
        attempt.passed = exchange.meters.enter([subject], exchange.prompt_tokens)
    exchange.attempts.append(attempt)
    exchange.board.begin(target)
    return out


def _scope(target: Target) -> str:
    """Who may get opaque tokens back: this model at this address. The same after a restart and on another machine."""
    upstream = target.upstream
    said = "\0".join((upstream.protocol, upstream.root, target.backend))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _bridge(exchange: Exchange, target: Target, codec: Codec) -> Bridge:
    client, purpose = exchange.codec, exchange.surface.purpose
    service = client.SERVICES.get(purpose)
    counts = purpose != "count_tokens" or target.traits.count_tokens
    if service is not None and not (counts and purpose in codec.SERVICES):
        name = target.upstream.name
        why = f"upstream {name!r} ({codec.NAME}) has no endpoint for {_SERVICES[purpose]}"
        raise BadRequest(why, status=501, kind="not_built")
    relay = codec.NAME == client.NAME if service is None else relays(client, codec, purpose)
    rules = exchange.ruled.transform() if exchange.ruled is not None else None
    if (not relay or exchange.rewritten is not None) and exchange.asked is None:
        exchange.asked = (service or client).parse_request(exchange.wire)
        if exchange.app is not None and exchange.app.quirks and service is None:
            exchange.app.adapt(client.NAME, exchange.asked)
    make = ServiceBridge if service is not None else KeptBridge if purpose == "stored" else Bridge
    return make(
        client,
        codec,
        exchange.wire,
        exchange.asked,
        model=target.backend,
        stream=exchange.streams,
        traits=target.traits,
        policy=exchange.settings.policy,
        seed=exchange.seed,
        changes=_changes(target) if purpose not in _AS_THEY_ARE else None,
        frame_limit=exchange.settings.limits.sse_frame,
        purpose=purpose,
        scope=_scope(target),
        memory=exchange.memory,
        forget=exchange.forget,
        edited=exchange.rewritten,
        rules=rules if purpose in _OF_MODELS else None,
        heard=exchange.ruled is not None and exchange.ruled.wants("llm_response"),
    )


def _changes(target: Target) -> Callable[[Any], Any] | None:
    return (lambda present: params.changes(target.params, present)) if target.params else None


def _outgoing(exchange: Exchange, target: Target, codec: Codec, bridge: Bridge) -> Outgoing:
    upstream, timeout = target.upstream, target.upstream.timeout
    return Outgoing(
        upstream.scheme,
        upstream.host,
        upstream.port,
        bridge.wire.method,
        upstream.path + bridge.wire.path,
        _headers(exchange, target, codec, bridge),
        bridge.wire.body,
        timeout.connect,
        timeout.first_byte,
        timeout.idle,
        timeout.total,
        *_via(upstream.proxy),
    )


_Via = tuple[Literal["http", "tcp"], tuple[str, int]]


def _via(proxy: Proxy | None) -> tuple[_Via | None, SecretStr | None]:
    """Kind and address of the egress proxy, and what it is told at once; an HTTP proxy is logged in to by `link`."""
    if proxy is None:
        return None, None
    return (VIAS[proxy.scheme], (proxy.host, proxy.port)), proxy.login


def _headers(exchange: Exchange, target: Target, codec: Codec, bridge: Bridge) -> tuple[tuple[bytes, bytes], ...]:
    """Later ones win: the protocol's defaults, the client's or the codec's, the upstream's own, the key."""
    upstream = target.upstream
    fields: dict[bytes, list[bytes]] = {b"host": [upstream.authority.encode()]}
    for name, value in codec.HEADERS.items():
        fields[name.encode()] = [value.encode()]
    forwarded: dict[bytes, list[bytes]] = {}
    for name, value in credentials.forward_headers(exchange.fields, bridge.same):
        forwarded.setdefault(name.lower(), []).append(value)
    fields.update(forwarded)
    if not bridge.relay:  # its answer is read here
        fields[b"accept-encoding"] = [b"identity"]
        if not bridge.same:
            fields.update({name.encode(): [value.encode()] for name, value in bridge.wire.headers.items()})
    fields.update({name.lower().encode(): [value.encode()] for name, value in upstream.headers})
    mode = exchange.settings.auth.mode
    key = credentials.outgoing(upstream, codec.credential, exchange.taken, mode, bridge.same, target.key)
    fields.update({name.lower().encode(): [value.encode("utf-8", "surrogateescape")] for name, value in key})
    fields[b"content-length"] = [str(len(bridge.wire.body)).encode()]
    return tuple((name, value) for name, values in fields.items() for value in values)


# ------------------------------------------------------------------------------------------------ how it went


def _unsent(exchange: Exchange, target: Target, error: ApiError) -> None:
    attempt = Attempt(target, None, None, Capture(0))
    attempt.error, attempt.ended_at = error, time.time()
    exchange.attempts.append(attempt)


def answer_begins(exchange: Exchange, response: http.Response) -> None:
    """The upstream's status and headers are here."""
    attempt = exchange.attempts[-1]
    assert attempt.bridge is not None
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers.fields:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("utf-8", "replace")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    attempt.status, attempt.response_headers, attempt.headers_at = response.status_code, headers, time.time()
    attempt.answer = attempt.bridge.answer(response.status_code, headers)


def answer_limit(exchange: Exchange) -> int:
    """How many bytes of an answer may be held before any of it goes on."""
    status = exchange.attempts[-1].status
    limits = exchange.settings.limits
    return limits.error_body if status is not None and status >= 300 else max(limits.request_body, 1 << 20)


def failed(exchange: Exchange, error: ApiError | None = None) -> None:
    """The attempt is over without an answer. `error`: why, where the answer itself does not know."""
    attempt = exchange.attempts[-1]
    answer = attempt.answer
    error = error or (answer.error if answer is not None else None) or INTERNAL
    if answer is not None and answer.crash is not None:
        logger.error("request %s: the answer could not be translated", exchange.seed.id, exc_info=answer.crash)
    error = scrubbed(exchange, attempt, error)
    attempt.error, attempt.ended_at = error, time.time()
    settle(exchange, attempt)
    logger.info("request %s: %s: %s", exchange.seed.id, attempt.target.address, error.message[:300])


def settle(exchange: Exchange, attempt: Attempt) -> None:
    """Tell the board, once, how an attempt ended."""
    if attempt.settled or attempt.outgoing is None:
        return
    attempt.settled = True
    if attempt.passed is not None:
        attempt.passed.leave(exchange.tokens_used)
    answer = attempt.answer
    error = attempt.error or (answer.failure if answer is not None else None)
    left = exchange.cancelled or exchange.stopped
    if error is not None and not left and _is_fault(exchange, attempt, error):
        exchange.board.failed(attempt.target, error, exchange.settings.retry.cooldown)
    elif error is None and attempt.headers_at is not None and not left:
        exchange.board.good(attempt.target, attempt.headers_at - attempt.started)
    else:
        exchange.board.left(attempt.target)


def _is_fault(exchange: Exchange, attempt: Attempt, error: ApiError) -> bool:
    """Whether the target is to blame, and not what it was asked, or a rule."""
    if exchange.ruled is not None and exchange.ruled.fault is not None:
        return False
    several = len(attempt.target.upstream.keys) > 1
    return (
        error.kind in _UNANSWERED
        or error.status in exchange.settings.retry.statuses
        or (several and error.kind in _KEY_FAULTS)
    )


def scrubbed(exchange: Exchange, attempt: Attempt, error: ApiError) -> ApiError:
    """The error, and the answer it came in, without the keys that some providers repeat there."""
    secrets = _secrets(exchange, attempt)
    answer = attempt.answer
    attempt.received.scrub(secrets)
    exchange.sent.scrub(secrets)
    attempt.response_headers = _scrubbed_headers(attempt.response_headers, secrets)
    if answer is not None and answer.reply is not None:
        status, headers, body = answer.reply
        headers = _scrubbed_headers(headers, secrets)
        answer.reply = (status, headers, scrub(body, secrets))
    return msgspec.structs.replace(error, message=scrub(error.message, secrets))


def _secrets(exchange: Exchange, attempt: Attempt) -> list[str]:
    return [*exchange.taken.values, *(key.get_secret_value() for key in attempt.target.upstream.keys)]


def long_secrets(exchange: Exchange) -> tuple[bytes, ...]:
    """The keys that are taken out of a stream's text too. Short ones stay: those of servers at home are words of the
    language, as `ollama` is."""
    secrets = {secret for attempt in exchange.attempts for secret in _secrets(exchange, attempt)}
    return tuple(secret.encode("utf-8", "surrogateescape") for secret in secrets if len(secret) >= _LONG)


def _scrubbed_headers(headers: dict[str, str], secrets: list[str]) -> dict[str, str]:
    return {name: scrub(value, secrets) for name, value in headers.items()}


def not_connected(exchange: Exchange, reason: str) -> ApiError:
    name = exchange.attempts[-1].target.upstream.name
    return ApiError(502, "disconnected", f"cannot connect to upstream {name!r}: {reason}")


def disconnected(exchange: Exchange) -> ApiError:
    """What it means that the upstream's side of HTTP broke."""
    name = exchange.attempts[-1].target.upstream.name
    return ApiError(502, "disconnected", f"upstream {name!r} closed the connection before its answer was complete")
