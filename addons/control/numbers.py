"""Numbers: `/metrics` in Prometheus' text format, and `/api/stats` for people and the dashboard."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from addons.choosing import Health
from addons.control.facts import ExchangeRow, LiveRow, Point, Stats, Times, Totals, UpstreamHealth
from addons.exchange import Exchange
from addons.stats import BUCKETS, SLOT, SLOTS, Histogram, Row
from addons.stats import Stats as Counted

if TYPE_CHECKING:
    from addons.running import Running

_TEXT = "text/plain; version=0.0.4; charset=utf-8"

# name -> what it says, the field of `Stats`, labels
_COUNTERS = {
    "llm_link_requests": ("Requests that are over.", "requests", ("protocol", "upstream", "model", "status")),
    "llm_link_errors": ("Requests that ended in an error.", "errors", ("protocol", "upstream", "kind")),
    "llm_link_tokens": ("Tokens, as upstreams count them.", "tokens", ("protocol", "upstream", "model", "kind")),
    "llm_link_attempts": ("Requests to upstreams.", "attempts", ("upstream", "status")),
    "llm_link_failovers": ("Requests that more than one target was tried for.", "failovers", ("protocol",)),
    "llm_link_bytes": ("Bytes of bodies.", "bytes", ("side", "direction")),
}
_HISTOGRAMS = {
    "llm_link_first_byte_seconds": ("Until the client got the beginning of its answer.", "first"),
    "llm_link_request_seconds": ("Until a request was over.", "total"),
}
_UPSTREAM = {
    "llm_link_upstream_up": ("0: it failed and cools down; else 1.", lambda row: float(row.status != "cooling")),
    "llm_link_upstream_cooldown_seconds": ("Until it is asked again.", lambda row: row.cooldown_seconds),
    "llm_link_upstream_in_flight": ("Attempts that run.", lambda row: float(row.in_flight)),
    "llm_link_upstream_first_byte_seconds": (
        "Average time until an answer began, the newest count most.",
        lambda row: row.first_byte_seconds or 0.0,
    ),
}

_UNSEEN = Health()


def router(running: Running) -> APIRouter:
    routes = APIRouter(tags=["numbers"])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(running))
    ProcessCollector(registry=registry)

    @routes.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The metrics."}},
    )
    async def metrics() -> Response:
        """All numbers in Prometheus' text format."""
        return Response(generate_latest(registry), media_type=_TEXT)

    @routes.get("/api/stats")
    async def stats() -> Stats:
        """What runs, what ran lately, and how well: everything that the dashboard shows."""
        return _stats(running)

    return routes


class _Numbers(Collector):
    """Our counters as Prometheus knows them, made when somebody asks."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def collect(self) -> Iterator[Metric]:
        stats = self._running.stats
        for name, (text, field, labels) in _COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=labels)
            for values, count in getattr(stats, field).items():
                counter.add_metric(values, count)
            yield counter
        for name, (text, field) in _HISTOGRAMS.items():
            yield _histogram(name, text, getattr(stats, field))
        cost = CounterMetricFamily("llm_link_cost_dollars", "What priced exchanges cost, in US dollars.")
        cost.add_metric((), stats.cost)
        yield cost
        yield _gauge("llm_link_in_flight", "Requests that run.", len(self._running.live))
        yield _gauge("llm_link_start_time_seconds", "Unix time of the start.", stats.started)
        info = GaugeMetricFamily("llm_link_info", "The version.", labels=("version",))
        info.add_metric((self._running.version,), 1)
        yield info
        yield from self._upstreams()

    def _upstreams(self) -> Iterator[Metric]:
        rows = upstream_health(self._running)
        for name, (text, value) in _UPSTREAM.items():
            gauge = GaugeMetricFamily(name, text, labels=("namespace", "upstream"))
            for row in rows:
                gauge.add_metric((row.namespace, row.name), value(row))
            yield gauge


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _histogram(name: str, text: str, found: dict[tuple[str, ...], Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=("protocol", "upstream", "model"))
    for labels, histogram in found.items():
        buckets, below = [], 0
        for bound, count in zip(BUCKETS, histogram.counts, strict=True):
            below += count
            buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", below))
        family.add_metric(labels, buckets, histogram.sum)
    return family


# ---------------------------------------------------------------------------------------------- for people


def upstream_health(running: Running) -> list[UpstreamHealth]:
    """How each upstream in use did lately."""
    rows, healths = [], running.board.healths()
    for namespace, settings in running.all_settings():
        for upstream in settings.upstreams.values():
            seen = healths.get((upstream.name, upstream.root), _UNSEEN)
            cooling, failing = seen.wait > 0, seen.silent > 0
            rows.append(
                UpstreamHealth(
                    name=upstream.name,
                    namespace=namespace,
                    protocol=upstream.protocol,
                    address=upstream.root,
                    status="cooling" if cooling else "failing" if failing else "ok" if seen.asked else "unused",
                    cooldown_seconds=round(seen.wait, 3),
                    in_flight=seen.busy,
                    first_byte_seconds=seen.first_byte or None,
                    silent_failures=seen.silent,
                )
            )
    return rows


def _stats(running: Running) -> Stats:
    stats, now = running.stats, time.time()
    tokens = dict.fromkeys(("input", "cache_read", "cache_write", "output", "reasoning"), 0)
    for (*_, kind), count in stats.tokens.items():
        tokens[kind] += count
    prompt = tokens["input"] + tokens["cache_read"] + tokens["cache_write"]
    return Stats(
        time=now,
        version=running.version,
        instance_id=running.instance_id,
        uptime_seconds=now - stats.started,
        in_flight=len(running.live),
        mitmweb=running.web or None,
        totals=Totals(
            requests=stats.requests.total(),
            errors=stats.errors.total(),
            cancelled=sum(count for key, count in stats.requests.items() if key[-1] == "cancelled"),
            failovers=stats.failovers.total(),
            attempts=stats.attempts.total(),
            tokens=tokens,
            cache_hit_ratio=tokens["cache_read"] / prompt if prompt else None,
            cost=stats.cost,
            unpriced=stats.unpriced,
        ),
        first=_times(first for _, first, _ in stats.samples if first is not None),
        total=_times(total for _, _, total in stats.samples),
        slot_seconds=SLOT,
        slots=_points(stats, now),
        upstreams=upstream_health(running),
        live=[_live(running, flow.id, exchange, now) for flow, exchange in [*running.live.values()][-200:]],
        recent=[_recent(running, row) for row in reversed(stats.recent)],
    )


def _times(found: Iterable[float]) -> Times:
    times = sorted(found)
    return Times(p50=_at(times, 0.5), p95=_at(times, 0.95), p99=_at(times, 0.99), count=len(times))


def _at(times: Sequence[float], share: float) -> float | None:
    """The nearest rank."""
    return times[min(len(times) - 1, int(share * len(times)))] if times else None


def _points(stats: Counted, now: float) -> list[Point]:
    """The last half hour."""
    times: dict[int, tuple[list[float], list[float]]] = {}
    for ended, first, total in stats.samples:
        firsts, totals = times.setdefault(int(ended) // SLOT * SLOT, ([], []))
        totals.append(total)
        if first is not None:
            firsts.append(first)
    points = []
    for start, counts in stats.slots:
        if start <= now - SLOT * (SLOTS + 1):
            continue
        first, total = (sorted(found) for found in times.get(start, ([], [])))
        said = {name: counts.get(name, 0) for name in ("requests", "errors", "input", "output")}
        points.append(
            Point(time=start, first_p50=_at(first, 0.5), total_p50=_at(total, 0.5), total_p95=_at(total, 0.95), **said)
        )
    return points


def _link(running: Running, flow: str) -> str | None:
    return f"{running.web}/#/flows/{flow}/request" if running.web and flow else None


def _live(running: Running, flow: str, exchange: Exchange, now: float) -> LiveRow:
    attempt = exchange.attempt
    return LiveRow(
        id=exchange.seed.id,
        link=_link(running, flow),
        started=exchange.started,
        protocol=exchange.codec.NAME,
        namespace=exchange.surface.namespace,
        model=exchange.model[:256],
        target=attempt.target.address if attempt is not None else "",
        attempts=len(exchange.attempts),
        streamed=exchange.stream,
        bytes=exchange.sent.size,
        seconds=max(0.0, now - exchange.started),
    )


def _recent(running: Running, row: Row) -> ExchangeRow:
    return ExchangeRow(
        id=row.id,
        link=_link(running, row.flow),
        started=row.ended - row.total,
        protocol=row.protocol,
        namespace=row.namespace,
        model=row.asked,
        target=row.target,
        status=row.status,
        streamed=row.streamed,
        cancelled=row.cancelled,
        attempts=row.attempts,
        first_seconds=row.first,
        seconds=row.total,
        tokens=row.tokens,
        cost=row.cost,
        warnings=row.warnings,
        error=row.error,
    )
