"""Keeps the bytes of the last answer, to be read more strictly than a client does.

The SDKs do not agree on their HTTP library, so that a transport is made for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Recorder:
    body: bytes = b""


def recording(library: Any, recorder: Recorder) -> Any:
    """A transport of `library` (httpx or httpx2)."""

    class Tee(library.SyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            for piece in self._stream:
                recorder.body += piece
                yield piece

        def close(self) -> None:
            self._stream.close()

    class Transport(library.HTTPTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            response = super().handle_request(request)
            recorder.body = b""
            response.stream = Tee(response.stream)
            return response

    return Transport()
