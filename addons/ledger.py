"""What each exchange used, handed to the store of the config's `usage`.

A finished exchange becomes a row of plain values on the event loop, which takes microseconds; all else is the writer's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from addons.exchange import Exchange
from addons.settings_model import Usage
from addons.stats import Row as Counted
from addons.store.usage_row import Row, Store
from addons.store.usage_writer import UsageWriter

_LONGEST = 256


def opener(usage: Usage) -> Callable[[], Store] | None:
    """What opens the store that a config names; None: usage is off."""
    kind, _, place = usage.store.partition(":")
    if usage.store == "off":
        return None
    if kind == "sqlite":
        from addons.store.usage import SqliteUsage

        return lambda: SqliteUsage(Path(place))

    def redis() -> Store:
        from addons.store.usage_redis import RedisUsage

        return RedisUsage(usage.store)

    return redis


class Ledger:
    """One for each process. Its store may be another one after a reload."""

    def __init__(self) -> None:
        self._usage = Usage(store="off")
        self._writer: UsageWriter | None = None

    def use(self, usage: Usage) -> None:
        if usage == self._usage:
            return
        old, self._usage = self._writer, usage
        opens = opener(usage)
        self._writer = UsageWriter(opens) if opens is not None else None
        if old is not None:  # what it still has to write takes its time
            threading.Thread(target=old.close, name="llm-link usage, closing", daemon=True).start()

    def note(self, exchange: Exchange, counted: Counted) -> None:
        """An exchange is over. Who was not let in, and asked for nothing, is not noted: anybody could fill the disk."""
        refused = exchange.error is not None and exchange.error.kind == "auth" and not exchange.attempts
        if self._writer is not None and not refused:
            self._writer.put(_row(exchange, counted))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _row(exchange: Exchange, counted: Counted) -> Row:
    usage, attempt = exchange.usage, exchange.attempt
    upstream = attempt.target.upstream if attempt is not None else None
    return Row(
        id=exchange.seed.id,
        started=exchange.started,
        client=exchange.caller,
        app=exchange.app.name if exchange.app is not None else "",
        namespace=counted.namespace,
        protocol=counted.protocol,
        purpose=exchange.purpose,
        model=counted.asked,
        upstream=upstream.name if upstream is not None else "",
        upstream_protocol=upstream.protocol if upstream is not None else "",
        upstream_model=attempt.target.model[:_LONGEST] if attempt is not None else "",
        attempts=counted.attempts,
        status=counted.status,
        outcome="cancelled" if counted.cancelled else "ok" if exchange.error is None else exchange.error.kind,
        streamed=int(counted.streamed),
        input=None if usage is None else usage.input,
        cache_read=None if usage is None else usage.cache_read,
        cache_write=None if usage is None else usage.cache_write,
        output=None if usage is None else usage.output,
        reasoning=None if usage is None else usage.reasoning,
        estimated=int(usage is not None and usage.estimated),
        cost=counted.cost,
        first=counted.first,
        total=counted.total,
    )
