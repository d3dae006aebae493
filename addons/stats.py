"""What happened since the start, in numbers: for `/metrics`, `/api/stats` and the dashboard.

Counted once for each exchange, when it is over, out of what it knows by then: a request that runs pays nothing.
Whatever a client may choose itself (a model's name above all) becomes a label only where the config or the catalogue
knows it; else it is `other`, so that nobody can make the tables grow.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from addons.catalog import Model
from addons.exchange import Attempt, Exchange
from addons.pricing import dollars, priced
from addons.routing import Target
from addons.settings_upstream import Upstream
from translators.model import Usage

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, float("inf"))  # seconds
SLOT = 30  # seconds of one point of the charts
SLOTS = 60  # half an hour
SAMPLES = 2048  # exchanges of which the times are kept
RECENT = 100  # exchanges that are listed
OTHER = "other"

_COUNTED = frozenset(("generate", "count_tokens", "embed", "compact", "stored"))
_TOKENS = ("input", "cache_read", "cache_write", "output", "reasoning")
_SIDE = {"input": "input", "cache_read": "input", "cache_write": "input", "output": "output", "reasoning": "output"}
_MOST_MODELS = 4096  # pairs of upstream and model whose label is remembered


class Histogram:
    """How many took at most so many seconds, by `BUCKETS`."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * len(BUCKETS)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds


class Row(NamedTuple):
    """An exchange that is over. Times in seconds; `first`: until the client got the beginning of its answer."""

    id: str
    flow: str
    ended: float
    protocol: str
    namespace: str
    asked: str  # the model's name as the client said it
    target: str
    status: int | None
    streamed: bool
    cancelled: bool
    attempts: int
    first: float | None
    total: float
    tokens: dict[str, int]
    cost: float | None
    warnings: int
    error: str


class Slot(NamedTuple):
    """What ended in `SLOT` seconds."""

    start: int
    counts: Counter[str]


class Stats:
    """All numbers of one running proxy. They outlive a reload of the config."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.started = clock()
        self.requests: Counter[tuple[str, ...]] = Counter()  # protocol, upstream, model, status
        self.errors: Counter[tuple[str, ...]] = Counter()  # protocol, upstream, kind
        self.tokens: Counter[tuple[str, ...]] = Counter()  # protocol, upstream, model, kind
        self.attempts: Counter[tuple[str, ...]] = Counter()  # upstream, status
        self.bytes: Counter[tuple[str, ...]] = Counter()  # side, direction
        self.failovers: Counter[tuple[str, ...]] = Counter()  # protocol
        self.cost = 0.0
        self.unpriced = 0  # exchanges with tokens whose price nobody knows
        self.first: dict[tuple[str, ...], Histogram] = {}  # protocol, upstream, model
        self.total: dict[tuple[str, ...], Histogram] = {}
        self.recent: deque[Row] = deque(maxlen=RECENT)
        self.samples: deque[tuple[float, float | None, float]] = deque(maxlen=SAMPLES)  # ended, first, total
        self.slots: deque[Slot] = deque(maxlen=SLOTS)
        self._labels: dict[tuple[Upstream, str], str] = {}
        self._prices: dict[tuple[Upstream, str], Model | None] = {}

    def config_changed(self) -> None:
        """Which names are known may be otherwise now."""
        self._labels.clear()
        self._prices.clear()

    def closed(self, exchange: Exchange, flow: str = "") -> Row | None:
        """An exchange is over, or was refused. `flow`: the id of mitmproxy's flow. None: it is not counted."""
        if exchange.surface.purpose not in _COUNTED and exchange.error is None:
            return None
        attempt = exchange.attempt
        target = attempt.target if attempt is not None else None
        protocol = exchange.codec.NAME
        upstream, model = (target.upstream.name, self._label(exchange, target)) if target else ("", "")
        row = self._row(exchange, flow, target)
        self.requests[protocol, upstream, model, "cancelled" if row.cancelled else str(row.status or 0)] += 1
        if exchange.error is not None and not row.cancelled:
            self.errors[protocol, upstream, exchange.error.kind] += 1
        for kind, count in row.tokens.items():
            self.tokens[protocol, upstream, model, kind] += count
        self._attempted(exchange, protocol)
        if target is not None:
            key = (protocol, upstream, model)
            _timed(self.total, key, row.total)
            if row.first is not None:
                _timed(self.first, key, row.first)
            if row.error == "" and not row.cancelled:
                self.samples.append((row.ended, row.first, row.total))
        self.recent.append(row)
        self._chart(row)
        return row

    def _attempted(self, exchange: Exchange, protocol: str) -> None:
        self.bytes["client", "in"] += len(exchange.wire.body)
        self.bytes["client", "out"] += exchange.sent.size
        addresses = set()
        for attempt in exchange.attempts:
            if attempt.outgoing is not None:
                addresses.add(attempt.target.address)
                self.bytes["upstream", "out"] += len(attempt.outgoing.body)
                self.bytes["upstream", "in"] += attempt.received.size
                self.attempts[attempt.target.upstream.name, _how(attempt, exchange)] += 1
        if len(addresses) > 1:
            self.failovers[(protocol,)] += 1

    def _row(self, exchange: Exchange, flow: str, target: Target | None) -> Row:
        ended = exchange.ended_at or self._clock()
        usage = exchange.usage
        cost = self._cost(target, usage) if target is not None and usage is not None else None
        if cost is not None:
            self.cost += cost
        elif usage is not None:
            self.unpriced += 1
        error = exchange.error
        return Row(
            id=exchange.seed.id,
            flow=flow,
            ended=ended,
            protocol=exchange.codec.NAME,
            namespace=exchange.surface.namespace,
            asked=exchange.model[:256],
            target=target.address if target is not None else "",
            status=exchange.status,
            streamed=exchange.streaming,
            cancelled=exchange.cancelled,
            attempts=len(exchange.attempts),
            first=None if exchange.head_at is None else max(0.0, exchange.head_at - exchange.started),
            total=max(0.0, ended - exchange.started),
            tokens={} if usage is None else {kind: n for kind in _TOKENS if (n := getattr(usage, kind))},
            cost=cost,
            warnings=len(exchange.warnings),
            error="" if error is None else f"{error.kind}: {error.message[:300]}",
        )

    def _chart(self, row: Row) -> None:
        start = int(row.ended) // SLOT * SLOT
        if not self.slots or self.slots[-1].start < start:
            self.slots.append(Slot(start, Counter()))
        counts = self.slots[-1].counts
        counts["requests"] += 1
        if row.error:
            counts["errors"] += 1
        for kind, count in row.tokens.items():
            counts[_SIDE[kind]] += count

    def _label(self, exchange: Exchange, target: Target) -> str:
        key = (target.upstream, target.model)
        found = self._labels.get(key)
        if found is None:
            if len(self._labels) >= _MOST_MODELS:
                return OTHER
            found = self._labels[key] = target.model if _known(exchange, target) else OTHER
        return found

    def price(self, exchange: Exchange) -> float | None:
        """What an exchange cost, in US dollars; None: not known."""
        attempt, usage = exchange.attempt, exchange.usage
        return None if attempt is None or usage is None else self._cost(attempt.target, usage)

    def _cost(self, target: Target, usage: Usage) -> float | None:
        """US dollars; None: nobody knows the price."""
        key = (target.upstream, target.model)
        if key not in self._prices:
            if len(self._prices) >= _MOST_MODELS:
                return None
            self._prices[key] = priced(target.model, target.upstream.provider)
        return dollars(self._prices[key], usage)


def _timed(histograms: dict[tuple[str, ...], Histogram], key: tuple[str, ...], seconds: float) -> None:
    found = histograms.get(key)
    if found is None:
        found = histograms[key] = Histogram()
    found.add(seconds)


def _known(exchange: Exchange, target: Target) -> bool:
    """Whether the config or the catalogue names a target's model."""
    models = exchange.settings.models.values()
    if any(ref.upstream == target.upstream.name and ref.model == target.model for m in models for ref in m.targets):
        return True
    provider = target.upstream.provider
    return provider is not None and provider.model(target.model) is not None


def _how(attempt: Attempt, exchange: Exchange) -> str:
    """How an attempt ended: its status, or the kind of its error where there is none."""
    if attempt.status is not None:
        return str(attempt.status)
    if attempt.error is not None:
        return attempt.error.kind
    return "cancelled" if exchange.cancelled else "none"
