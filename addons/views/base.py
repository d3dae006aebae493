"""What all views share: a view is a text for the request's side of an exchange and one for the answer's, made of the
record and of the client's two messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mitmproxy import ctx, http
from mitmproxy.contentviews import Contentview, Metadata

from addons import surfaces
from addons.exchange import METADATA
from addons.views import beside
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


class CompareView(RecordView):
    """An answer beside that of the flow that it is compared with, which has to be there."""

    def __init__(self) -> None:
        super().__init__("LLM Compare", lambda shown: "", lambda shown: "")

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """Raises `ValueError`."""
        flow = metadata.flow
        record = read(flow.metadata.get(METADATA) if flow is not None else None)
        if record.replays is None or not record.replays.beside:
            raise ValueError("nothing is compared with this flow: llm.compare FLOW TARGET TARGET does that")
        view = ctx.master.addons.get("view")
        other = view.get_by_id(record.replays.beside) if view is not None else None
        if other is None:
            raise ValueError("the flow that this one is compared with is not here any more")
        if METADATA not in other.metadata:
            return "the other answer is still to come"
        beside_it = read(other.metadata[METADATA])
        first, second = sorted((record, beside_it), key=lambda one: one.timings.started)
        return beside.beside(first, second)

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        """Above all others on the answers that it is for."""
        flow, message = metadata.flow, metadata.http_message
        record = flow.metadata.get(METADATA) if flow is not None else None
        replays = record.get("replays") if isinstance(record, dict) else None
        compared = isinstance(replays, dict) and replays.get("beside")
        return 3 if compared and isinstance(message, http.Response) else -1


def shown(flow: http.HTTPFlow) -> Shown:
    """Raises `ValueError`."""
    request, response = flow.request, flow.response
    path = surfaces.find(request.method, request.path, request.headers).path
    answer = None if response is None else _message(f"{response.status_code} {response.reason}", response)
    return Shown(read(flow.metadata.get(METADATA)), path, _message(f"{request.method} {request.path}", request), answer)


def _message(first: str, message: http.Message) -> Message:
    headers = [(k.decode("latin-1"), v.decode("utf-8", "replace")) for k, v in message.headers.fields]
    return Message(f"{first} {message.http_version}", headers, message.get_content(strict=False) or b"")
