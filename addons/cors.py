"""Web pages that may call us: those of loopback and of editors, and `cors.origins`. A browser asks first (a preflight),
and shows a page an answer only where it says so."""

from __future__ import annotations

from mitmproxy import http

from addons.credentials import own_origin
from addons.exchange import Reply
from addons.settings import Settings

_PREFLIGHT = {
    "access-control-allow-methods": "GET, HEAD, POST, DELETE",
    "access-control-max-age": "600",
    "vary": "Origin, Access-Control-Request-Headers",
}
# A page may read our headers, and those that say when to come again.
_EXPOSED = (
    "x-llm-link-request-id, x-llm-link-upstream, x-llm-link-attempts, x-llm-link-warnings, retry-after, request-id, "
    "x-request-id"
)


def preflight(request: http.Request, settings: Settings) -> Reply | None:
    """The answer to a browser that asks whether a page may call us. None: it is no such question, or it may not."""
    headers = request.headers
    if request.method != "OPTIONS" or "access-control-request-method" not in headers:
        return None
    shared = answer_headers(headers.get("origin"), settings)
    if not shared:
        return None
    more = {**_PREFLIGHT, "access-control-allow-headers": headers.get("access-control-request-headers", "*")}
    if headers.get("access-control-request-private-network") == "true":  # a page on the web calls this machine
        more["access-control-allow-private-network"] = "true"
    return Reply(204, more, b"")


def answer_headers(origin: str | None, settings: Settings) -> dict[str, str]:
    """What lets the page of an origin read an answer; {} where it may not, or none asks."""
    if origin is None or not own_origin(origin, settings.cors.origins):
        return {}
    return {
        "access-control-allow-origin": origin.strip(),
        "access-control-expose-headers": _EXPOSED,
        "vary": "Origin",
    }
