"""Credentials are taken out of a request before anybody else sees it, and masks put in their place."""

from __future__ import annotations

from dataclasses import replace

from mitmproxy.http import Request

from addons import credentials
from addons.credentials import Taken
from addons.origin import Origin


def take(request: Request, origin: Origin | None) -> Taken:
    """`origin`: what the request replays, where the operator sends it."""
    fields, path = request.headers.fields, request.path
    return _put(
        request, credentials.take(fields, path) if origin is None else credentials.retake(fields, path, origin)
    )


def again(request: Request, taken: Taken) -> Taken:
    """The same once more, where a user or a script changed the head: credentials that they put in count."""
    if request.headers.fields is taken.fields and request.path == taken.path:
        return taken
    found = _put(request, credentials.retake(request.headers.fields, request.path, taken.origin))
    return replace(found, presented=found.presented or taken.presented)


def _put(request: Request, taken: Taken) -> Taken:
    request.headers.fields = taken.fields
    if taken.path != request.path:
        request.path = taken.path
    return taken
