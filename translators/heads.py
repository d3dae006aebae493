"""How an answer to a client begins: status and headers, the upstream's own where they may pass, and translated ones."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .limits import translate_limits
from .model import ApiError

_HOP_BY_HOP = frozenset(
    [
        "alt-svc", "connection", "content-length", "keep-alive", "proxy-authenticate", "proxy-connection", "set-cookie",
        "te", "trailer", "transfer-encoding", "upgrade",
    ]
)  # fmt: skip


class Head(msgspec.Struct, frozen=True):
    """How the answer to the client begins. `streamed`: the body follows in pieces; else it comes in one, at the end."""

    status: int
    headers: dict[str, str]
    streamed: bool


def relayed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The upstream's response headers less those that belong to its connection."""
    return {name: value for name, value in headers.items() if name not in _HOP_BY_HOP}


def whole_head(more: Mapping[str, str]) -> Head:
    """Of a translated answer in one piece."""
    return Head(200, {"content-type": "application/json", **more}, False)


def stream_head(content_type: str, more: Mapping[str, str]) -> Head:
    """Of a translated stream."""
    return Head(200, {"content-type": content_type, "cache-control": "no-cache", **more}, True)


def unreadable(headers: Mapping[str, str], body: bytes) -> ApiError:
    """What is said of a body that is no answer."""
    kind = headers.get("content-type", "no content type")
    what = f"{len(body)} bytes of {kind}" if body else "nothing"
    return ApiError(502, "server", f"the upstream answered with {what}, which is no answer of its protocol")


def translated_headers(headers: Mapping[str, str], upstream: str, client: str, now: int) -> dict[str, str]:
    """What a client of another protocol may know of the upstream's headers: its rate limits."""
    return {} if upstream == client else translate_limits(headers, upstream, client, now)
