"""What an upstream answers, on its way to the client.

An answer holds its head back until the upstream has said something that is no error, so that a failed attempt can
still become another one, or a real HTTP status. How it is read is decided by its first bytes, not by its labels: a body
in one piece, or a stream of events; with the same protocol on both sides the bytes go on as they are and a decoder
reads along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from .events import Failure
from .findings import Findings, Pair
from .heads import Head, whole_head
from .model import ApiError, Request, Response, UpstreamFault
from .policy import Loss
from .streaming import Streamed
from .whole import Whole


class Answer(Findings):
    """What the upstream answers, on its way to the client.

    Feed it the upstream's body as it comes (decompressed; `raw` are the bytes as they were); b"" is the end. What it
    returns goes to the client once `head` is set. `error` is set instead where the attempt failed before that."""

    def __init__(self, bridge: Pair, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(bridge, status, headers)
        self._mode: Whole | Streamed | None = None if 200 <= status < 300 else Whole(self)

    @property
    def losses(self) -> Sequence[Loss]:
        """What could not be read in the upstream's answer, and what was added to it."""
        return [*self.warnings, *self._notes, *(self._mode.losses if isinstance(self._mode, Streamed) else ())]

    @property
    def verbatim(self) -> bool:
        """Whether the client gets the upstream's bytes as they are."""
        return self._bridge.relay and isinstance(self._mode, Streamed) == self._bridge.stream

    def feed(self, data: bytes, raw: bytes | None = None) -> bytes:
        if self.done:
            return b""
        try:
            if self._mode is None:
                self._mode = self._choose(data)
            return self._mode.feed(data, data if raw is None else raw)
        except UpstreamFault as fault:  # a transform does not let it pass
            return self._ended(fault.error)
        except Exception as error:  # the door: a mistake of ours must not take the exchange with it
            return self._crashed(error)

    def broken(self, error: ApiError) -> bytes:
        """The upstream died, or time ran out: the end of what it said."""
        if self.done:
            return b""
        try:
            if self._mode is None:
                self._mode = Whole(self)
            return self._mode.broken(error)
        except UpstreamFault as fault:
            return self._ended(fault.error)
        except Exception as crash:
            return self._crashed(crash)

    def _crashed(self, crash: Exception) -> bytes:
        self.crash = crash
        return self._ended(ApiError(502, "server", "the upstream's answer could not be translated"))

    def _ended(self, error: ApiError) -> bytes:
        if self.head is None or not self.head.streamed:
            self.head = None
            self.fail(error)
            return b""
        self.failure, self.done = error, True
        return self._bridge.client.encoder(Request(stream=True), self._bridge.seed).encode(Failure(error, self.start))

    def keep_alive(self) -> bytes:
        """Bytes that show a waiting client that all is well, between two events of a begun stream."""
        return self._mode.keep_alive() if isinstance(self._mode, Streamed) else b""

    def _choose(self, data: bytes) -> Whole | Streamed:
        kind = self.headers.get("content-type", "")
        if looks_streamed(self._bridge.upstream.STREAM, kind, data):
            return Streamed(self)
        return Whole(self)

    def render(self, response: Response) -> tuple[Head, bytes]:
        """Another answer in the place of this one, which came in one piece."""
        asked, seed = self._bridge.as_asked(), self._bridge.seed
        return whole_head(self.limits), self._bridge.client.render_response(response, asked, seed)


def looks_streamed(framing: Literal["sse", "lines"], content_type: str, first: bytes) -> bool:
    """Whether a body is a stream of events: by its first bytes, since servers mislabel both ways."""
    start = first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not start:
        return "event-stream" in content_type or "ndjson" in content_type
    if framing == "lines":
        return "ndjson" in content_type
    return start not in b"{[<"
