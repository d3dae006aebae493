"""What all views share: a view is a text for the request's side of an exchange and one for the answer's, made of the
record and of the client's two messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mitmproxy import http
from mitmproxy.contentviews import Contentview, Metadata

from addons import surfaces
from addons.exchange import METADATA
from addons.views.record import Message, Shown, read

Block = Callable[[Shown], str]


class RecordView(Contentview):
    """`priority`: above 1, mitmproxy takes it for each exchange unless the user chose another."""

    def __init__(self, name: str, asked: Block, answered: Block, highlight: str = "none", priority: float = -1) -> None:
        self._name, self._asked, self._answered = name, asked, answered
        self._highlight, self._priority = highlight, priority

    @property
    def name(self) -> str:
        return self._name

    @property
    def syntax_highlight(self) -> Any:
        return self._highlight

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """Raises `ValueError` where the flow is none of ours, or its record cannot be read."""
        flow = metadata.flow
        if not isinstance(flow, http.HTTPFlow):
            raise ValueError("this is no exchange of LLM Link")
        block = self._asked if isinstance(metadata.http_message, http.Request) else self._answered
        return block(shown(flow)) or "nothing yet"

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        flow = metadata.flow
        ours = isinstance(flow, http.HTTPFlow) and isinstance(flow.metadata.get(METADATA), dict)
        return self._priority if ours and isinstance(metadata.http_message, http.Message) else -1


def shown(flow: http.HTTPFlow) -> Shown:
    """Raises `ValueError`."""
    request, response = flow.request, flow.response
    path = surfaces.find(request.method, request.path, request.headers).path
    answer = None if response is None else _message(f"{response.status_code} {response.reason}", response)
    return Shown(read(flow.metadata.get(METADATA)), path, _message(f"{request.method} {request.path}", request), answer)


def _message(first: str, message: http.Message) -> Message:
    headers = [(k.decode("latin-1"), v.decode("utf-8", "replace")) for k, v in message.headers.fields]
    return Message(f"{first} {message.http_version}", headers, message.get_content(strict=False) or b"")
