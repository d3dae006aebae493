"""What usage is made of: a row an exchange, and what a store of them can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Row(NamedTuple):
    """One exchange that is over. Times in seconds since 1970, or lasting; tokens disjoint; `cost` in US dollars."""

    id: str
    started: float
    client: str  # the label of its key; "": there was none
    app: str  # the client program, where it is known
    namespace: str
    protocol: str
    purpose: str
    model: str  # as the client named it
    upstream: str  # "": none was asked
    upstream_protocol: str
    upstream_model: str
    attempts: int
    status: int | None
    outcome: str  # ok, cancelled, or the kind of the error
    streamed: int
    input: int | None  # None: nobody said
    cache_read: int | None
    cache_write: int | None
    output: int | None
    reasoning: int | None
    estimated: int
    cost: float | None
    first: float | None  # until the client got the beginning of its answer
    total: float


class Store(Protocol):
    """Where rows are. Everything blocks and raises `StoreError`."""

    def write(self, rows: Sequence[Row]) -> None: ...

    def sums(self, by: Sequence[str], since: float | None, until: float | None) -> list[dict[str, Any]]: ...

    def close(self) -> None: ...
