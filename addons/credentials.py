"""Who may call us, and which credential an upstream gets.

The client's credential is taken out of the request once, at the door: what stays in the flow is `***`. Nothing that a
client sent to prove itself goes upstream, but in `client_key` mode, and then exactly one.

Without a required key a web page is the danger: any page in the user's browser can send requests to loopback. Such a
request carries an `Origin` that is not ours, or, by DNS rebinding, a `Host` that is not ours. Both are a 403.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

from pydantic import SecretStr

from translators.model import BadRequest

from .catalog import glob, is_loopback
from .settings_model import Rate

if TYPE_CHECKING:
    from .origin import Origin
    from .settings import Settings
    from .settings_upstream import Upstream
    from .store.keys import Issued

Field = tuple[bytes, bytes]

MASK = b"***"

# How upstreams want a key, where it is not their protocol's way (LongCat and others speak `anthropic` with a Bearer).
FORMS: dict[str, Callable[[str], tuple[str, str]]] = {
    "bearer": lambda key: ("authorization", f"Bearer {key}"),
    "x-api-key": lambda key: ("x-api-key", key),
    "api-key": lambda key: ("api-key", key),
    "x-goog-api-key": lambda key: ("x-goog-api-key", key),
}

# The headers in which clients send their key. Authorization counts with the scheme Bearer only.
CREDENTIALS = frozenset(
    (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"openai-api-key", b"anthropic-api-key")
)
MASKED = CREDENTIALS | {b"proxy-authorization", b"cookie"}
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te")
) | {b"trailer", b"trailers", b"transfer-encoding", b"upgrade", b"http2-settings"}
# The body is decoded at the door and measured anew; Expect was answered by us.
_OURS = frozenset((b"host", b"content-length", b"content-encoding", b"expect"))
_KEPT_HERE = MASKED | _HOP_BY_HOP | _OURS
_OWN_PREFIX = b"x-llm-link-"

NEVER_STATIC = frozenset(name.decode() for name in MASKED | _HOP_BY_HOP | _OURS)

_UNKNOWN = SecretStr("")  # of a key that we know by its hash only
_LOCAL_SCHEMES = ("file:", "app:", "vscode-webview:")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[^/:\[\]@]+)(:\d+)?/?")


@dataclass(frozen=True)
class Taken:
    """What a request said about its sender. `presented`: (header in lower case, or `?key`, value) as they came, each
    pair once; `fields` and `path` are what may be seen and stored."""

    presented: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    fields: tuple[Field, ...] = ()
    path: str = ""
    origin: Origin | None = None  # the operator sent it, to replay that

    @property
    def values(self) -> tuple[str, ...]:
        """The credentials that differ."""
        return tuple(dict.fromkeys(value for _, value in self.presented))


@dataclass(frozen=True)
class ClientKey:
    """One key that lets a client in. `models`: globs of what it may ask for; None: everything. `rate`: how much."""

    secret: SecretStr
    label: str = ""
    models: tuple[str, ...] | None = None
    rate: Rate = field(default_factory=Rate)
    id: str = ""  # of one that we issued

    def allows(self, name: str, addresses: Sequence[str]) -> bool:
        """Whether the client's name is allowed, or all the targets (`UPSTREAM/MODEL`) that it resolves to."""
        if self.models is None or self._fits(name):
            return True
        return bool(addresses) and all(map(self._fits, addresses))

    def _fits(self, name: str) -> bool:
        return any(glob(pattern).match(name) for pattern in self.models or ())


def take(fields: Sequence[Field], path: str) -> Taken:
    """Takes the credentials out of a request's header fields and path (with its query)."""
    presented: list[tuple[str, str]] = []
    kept: list[Field] | None = None
    for at, (name, value) in enumerate(fields):
        lower = name.lower()
        if lower in MASKED:
            kept = kept if kept is not None else list(fields)
            kept[at] = (name, MASK)
            if lower in CREDENTIALS and (key := _key_in(lower, value)):
                presented.append((lower.decode(), key))
    if "?" in path:
        path, keys = _without_key(path)
        presented += [("?key", key) for key in keys]
    return Taken(tuple(dict.fromkeys(presented)), tuple(kept if kept is not None else fields), path)


def retake(fields: Sequence[Field], path: str, origin: Origin | None) -> Taken:
    """The same for a request that has masks where the client's credentials were; what was put in their place counts."""
    taken = take(fields, path)
    presented = tuple(one for one in taken.presented if one[1] != MASK.decode())
    return Taken(presented, taken.fields, taken.path, origin)


def _key_in(name: bytes, value: bytes) -> str:
    text = value.decode("utf-8", "surrogateescape").strip()
    if name != b"authorization":
        return text
    scheme, _, key = text.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _without_key(path: str) -> tuple[str, list[str]]:
    """A path without its `key` parameters, however they are escaped, and their values."""
    base, _, query = path.partition("?")
    kept, keys = [], []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if unquote(name) == "key":
            keys.append(unquote_plus(value))
        else:
            kept.append(pair)
    if len(kept) == len(query.split("&")):
        return path, []
    return base + ("?" + "&".join(kept) if any(kept) else ""), [key for key in keys if key]


def admit(taken: Taken, settings: Settings, *, host: str | None, origin: str | None) -> ClientKey | None:
    """Lets a request in, or raises `BadRequest` with 400, 401 or 403. The key that let it in, where one is required.

    `host` and `origin`: the headers as the client sent them; None: there was none."""
    values = taken.values
    if len(values) > 1:
        raise BadRequest("the request carries several credentials that differ; send one", kind="invalid_request")
    if settings.auth.mode == "proxy_key":
        return _required(values, settings.auth.keys, settings.auth.issued)
    if origin is not None and not own_origin(origin, settings.cors.origins):
        raise BadRequest("requests from this web origin are not accepted (cors.origins)", status=403, kind="permission")
    if host is not None and not own_host(host, settings.host):
        raise BadRequest("this Host is not the address of this server", status=403, kind="permission")
    return None


def admit_passing(taken: Taken, settings: Settings) -> ClientKey | None:
    """The same for a request that was meant for a provider itself: any key of the client's stands for one of ours.
    Raises `BadRequest` where one is required and it has none."""
    if settings.auth.mode == "proxy_key" and not taken.presented:
        raise BadRequest("an API key is required", status=401, kind="auth")
    return None


def _required(values: tuple[str, ...], keys: Sequence[ClientKey], issued: Issued | None) -> ClientKey:
    if not values:
        raise BadRequest("an API key is required", status=401, kind="auth")
    given = values[0].encode("utf-8", "surrogateescape")
    found: ClientKey | None = None
    for key in keys:  # all of them, so that the time tells nothing
        secret = key.secret.get_secret_value().encode("utf-8", "surrogateescape")
        if hmac.compare_digest(secret, given) and found is None:
            found = key
    found = found or (_issued(values[0], issued) if issued is not None else None)
    if found is None:
        raise BadRequest("the API key is not valid", status=401, kind="auth")
    return found


def _issued(given: str, issued: Issued) -> ClientKey | None:
    """The key, where it is one that we issued and still opens. One that does not is told so: its owner knows it."""
    key = issued.find(given)
    if key is None:
        return None
    state = key.state(time.time())
    if state == "revoked":
        raise BadRequest("this API key was revoked", status=403, kind="permission")
    if state == "expired":
        raise BadRequest("this API key has expired", status=401, kind="auth")
    limits = key.limits
    rate = Rate.model_construct(
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
        concurrent=limits.concurrent,
    )
    return ClientKey(_UNKNOWN, key.label or key.id, key.models, rate, key.id)


def own_origin(origin: str, allowed: Sequence[str]) -> bool:
    text = origin.strip().lower()
    if text in allowed or text.startswith(_LOCAL_SCHEMES):
        return True
    match = _ORIGIN.fullmatch(text)
    return match is not None and is_loopback(match[1])


def own_host(host: str, listen: str | None) -> bool:
    """A wildcard address has no name of its own: there any address in figures will do, which no rebinding can give."""
    name = _host_name(host)
    if name is None:
        return False
    if is_loopback(name):
        return True
    if listen is None:
        return False
    return name == listen.strip("[]").lower() or (_is_wildcard(listen) and _is_address(name))


def _host_name(host: str) -> str | None:
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::\d*)?", host.strip().lower())
    return (match[1] or match[2]).rstrip(".") if match else None


def _is_wildcard(host: str) -> bool:
    return host.strip("[]") in ("0.0.0.0", "::")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def serves(peer: str, host: str | None) -> bool:
    """Whether a peer is served at all: where no host was named (`host` is None), loopback peers only."""
    return host is not None or is_loopback(peer)


def outgoing(
    upstream: Upstream,
    form: Callable[[str], tuple[str, str]],
    taken: Taken,
    mode: str,
    same_protocol: bool,
    key: int = 0,
) -> list[tuple[str, str]]:
    """The credential header for an upstream: one, or none. `form`: the header of its protocol (`Codec.credential`);
    `key`: which of the upstream's own."""
    form = FORMS.get(upstream.auth, form)
    if upstream.keys:
        return [form(upstream.keys[key].get_secret_value())]
    if mode != "client_key":
        return []
    if not taken.presented:
        if taken.origin is not None and taken.origin.credential:
            why = f"the client's own key is not kept, and upstream {upstream.name!r} has none: this cannot be replayed"
            raise BadRequest(why, status=401, kind="auth")
        return []
    name, theirs = taken.presented[0]
    if not same_protocol or name == "?key":
        return [form(theirs)]
    return [FORMS["bearer"](theirs) if name == "authorization" else (name, theirs)]


def forward_headers(fields: Sequence[Field], same_protocol: bool) -> list[Field]:
    """The client's header fields that go upstream: none to another protocol; else all that are not ours to keep."""
    if not same_protocol:
        return []
    named = [value for name, value in fields if name.lower() == b"connection"]
    listed = {token.strip().lower() for value in named for token in value.split(b",")}
    return [
        (name, value)
        for name, value in fields
        if (lower := name.lower()) not in _KEPT_HERE
        and lower not in listed
        and not lower.startswith((_OWN_PREFIX, b":"))
    ]


def scrub[T: (str, bytes)](said: T, secrets: Sequence[str]) -> T:
    """What somebody else said, without our secrets: some providers repeat a wrong key in their error."""
    for secret in secrets:
        if len(secret) < 6:
            continue
        if isinstance(said, bytes):
            said = said.replace(secret.encode("utf-8", "surrogateescape"), MASK)
        else:
            said = said.replace(secret, MASK.decode())
    return said
