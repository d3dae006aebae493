"""Usage in Redis or Valkey, for proxies on several machines: one stream, an entry an exchange.

The stream keeps its newest million entries. Its ids are Redis's own times, by which rows are found again; the times in
the rows are the proxies'.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from .errors import StoreError
from .usage import in_memory, sums
from .usage_row import Row

STREAM = "llm-link:usage"
MOST = 1_000_000
SLACK = 3600  # seconds by which an exchange may have begun before it was written

_PAGE = 5000


class RedisUsage:
    """`url`: redis://[USER:PASSWORD@]HOST[:PORT][/DB], or rediss:// for TLS."""

    def __init__(self, url: str) -> None:
        try:
            import redis
        except ImportError:
            raise StoreError("usage in Redis needs the package redis: pip install 'llm-link[redis]'") from None
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # without the password
        self._errors = redis.RedisError
        try:
            self._redis: Any = redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=5)
        except ValueError as error:
            raise StoreError.at(self.name, str(error)) from None
        self._guarded(lambda: self._redis.ping())

    def write(self, rows: Sequence[Row]) -> None:
        def add() -> None:
            pipe = self._redis.pipeline(transaction=False)
            for row in rows:
                pipe.xadd(STREAM, {"row": json.dumps(row._asdict())}, maxlen=MOST, approximate=True)
            pipe.execute()

        self._guarded(add)

    def sums(self, by: Sequence[str], since: float | None, until: float | None) -> list[dict[str, Any]]:
        rows = self._guarded(lambda: list(self._rows(since)))
        database = in_memory(rows)
        try:
            return sums(database, by, since, until)
        finally:
            database.close()

    def close(self) -> None:
        self._redis.close()

    def _rows(self, since: float | None) -> Iterator[Row]:
        start = "-" if since is None else f"{max(0, int((since - SLACK) * 1000))}"
        while page := self._redis.xrange(STREAM, start, "+", _PAGE):
            for _, fields in page:
                values = json.loads(fields[b"row"])
                yield Row(**{name: values.get(name, _MISSING.get(name)) for name in Row._fields})
            start = f"({page[-1][0].decode()}"

    def _guarded(self, work: Any) -> Any:
        try:
            return work()
        except (self._errors, OSError) as error:
            raise StoreError.at(self.name, f"cannot be used: {str(error).splitlines()[0][:200]}") from None


_MISSING = {**dict.fromkeys(Row._fields, ""), **dict.fromkeys(("input", "cost", "first", "status"), None)}
