"""The client's request in neutral words, to be edited in mitmproxy's console: while it is stopped, before a replay."""

from __future__ import annotations

import re
from typing import Any

from mitmproxy import ctx, http
from mitmproxy.contentviews import InteractiveContentview, Metadata

from addons import surfaces
from addons.exchange import METADATA
from addons.log import logger
from addons.neutral import from_yaml, in_own_words, to_yaml
from addons.surfaces import Surface
from addons.views.reading import Unreadable, asked
from translators import CODECS
from translators.model import BadRequest, Request

_MODEL = re.compile(r"/models/.*")


class NeutralView(InteractiveContentview):
    """mitmproxy offers to edit a body as the view shows it that is chosen, or that it chooses by itself."""

    @property
    def name(self) -> str:
        return "LLM Neutral"

    @property
    def syntax_highlight(self) -> Any:
        return "yaml"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """Raises `ValueError` where this is no request for an answer."""
        return to_yaml(_read(_surface(metadata), data))

    def reencode(self, prettified: str, metadata: Metadata) -> bytes:
        """Raises `ValueError`; then nothing is changed."""
        surface, message = _surface(metadata), metadata.http_message
        assert message is not None
        data = message.content or b""  # of which mitmproxy's metadata says nothing, whatever its documentation says
        before = _read(surface, data)
        after = from_yaml(prettified, before)
        if after == before:
            return data
        codec = CODECS[surface.protocol]
        try:
            rendered = in_own_words(codec, after)
        except BadRequest as error:
            raise ValueError(str(error)) from None
        for loss in rendered.losses:
            logger.warning("the edited request: %s is %s: %s", loss.path, loss.code, loss.why)
        if surface.name and isinstance(message, http.Request):  # the model, and whether it streams, are in the path
            message.path = _MODEL.sub(lambda _: rendered.wire.path, message.path)
        return rendered.wire.body

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        """In the console, of a request that nothing was done with yet."""
        flow = metadata.flow
        master = getattr(ctx, "master", None)  # there is none where a view is used as a library
        if flow is None or METADATA in flow.metadata or master is None or master.addons.get("consoleaddon") is None:
            return -1
        try:
            _read(_surface(metadata), data)
        except ValueError:
            return -1
        return 1.5


def _surface(metadata: Metadata) -> Surface:
    request = metadata.http_message
    if not isinstance(request, http.Request):
        raise ValueError("only a client's request is shown so")
    return surfaces.find(request.method, request.path, request.headers)


def _read(surface: Surface, data: bytes) -> Request:
    found = asked(surface.protocol, surface.purpose, surface.path, data)
    if not isinstance(found, Request) or surface.purpose != "generate":
        raise Unreadable("this request does not ask for an answer")
    if surface.path.partition("?")[0].endswith("/api/generate"):
        raise Unreadable("a request to /api/generate is edited as it is")
    return found
