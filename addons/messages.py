"""mitmproxy's HTTP messages, made cheaply: its constructors check the type of every field, which costs more than a
translation. Ours are copies of one that was checked."""

from __future__ import annotations

import time
from collections.abc import Iterable

from mitmproxy import http
from mitmproxy.net.http import status_codes

_REQUEST = http.Request("", 0, b"", b"", b"", b"", b"HTTP/1.1", http.Headers(), b"", None, 0.0, 0.0)
_RESPONSE = http.Response(b"HTTP/1.1", 200, b"", http.Headers(), b"", None, 0.0, None)

Fields = Iterable[tuple[bytes, bytes]]


def request(
    scheme: str, host: str, port: int, method: str, path: str, fields: Fields, body: bytes | None
) -> http.Request:
    made = _like(_REQUEST)
    data = made.data
    data.scheme, data.host, data.port = scheme.encode(), host, port
    data.method, data.path, data.headers, data.content = method.encode(), path.encode(), _headers(fields), body
    data.timestamp_start = data.timestamp_end = time.time()
    return made


def response(status: int, headers: dict[str, str], body: bytes | None, more: Fields = ()) -> http.Response:
    """`body`: None where it follows as a stream. `more`: fields after `headers`."""
    made = _like(_RESPONSE)
    data = made.data
    fields = [(name.encode("latin-1", "replace"), value.encode("utf-8")) for name, value in headers.items()]
    data.status_code, data.reason = status, status_codes.RESPONSES.get(status, "").encode()
    data.headers, data.content = _headers((*fields, *more)), body
    data.timestamp_start = time.time()
    return made


def _like[M: http.Message](message: M) -> M:
    made = object.__new__(type(message))
    made.__dict__.update(message.__dict__)
    made.data = object.__new__(type(message.data))
    made.data.__dict__.update(message.data.__dict__)
    return made


def _headers(fields: Fields) -> http.Headers:
    headers = http.Headers()
    headers.fields = tuple(fields)
    return headers
