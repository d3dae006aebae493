"""The fault suite: upstreams that misbehave in every way, each for every client protocol, streamed and not.

Real sockets, a real mitmdump, no codec of ours in the judging. Every client must get its answer or an honest error in
its own protocol, soon; and when all is over the proxy must hold no task, no connection and no exchange more than
before. Prints a table with counts, last the totals; exits with 1 on any miss.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.bench_house import UPSTREAMS, free_port
from scripts.bench_wire import BODIES, request
from scripts.census import ask, bad_upstream, census, grown, proxy, settled
from scripts.fault_upstream import FAULTS
from scripts.judge import ANSWER, ERROR, judge

PATIENCE = 12.0  # seconds, after which a client that got no end is a hang
AT_ONCE = 16
TIMEOUT = {"connect": 0.8, "first_byte": 0.8, "idle": 0.8, "total": 8}
FRAME_LIMIT = 1_000_000
# Where an upstream cannot even be reached, or breaks off at once.
PLACES = ("refused", "reset", "black_hole", "tls")
# What is no fault: the answer is good, and must come through.
GOOD = frozenset(("good", "stale", "drip", "wrong_type"))
# Faults that show before a byte of the answer: with another target in line the client gets its answer.
EARLY = frozenset((*PLACES, "slow_headers", "close_early", "no_http", "html", "gzip_garbage", "empty", "error_first",
                   "overloaded", "limited", "sick"))  # fmt: skip


@dataclass(frozen=True)
class Case:
    fault: str
    upstream: str  # its short name
    client: str
    streamed: bool
    spare: bool  # a good target stands behind the bad one

    @property
    def model(self) -> str:
        place = self.fault if self.fault in PLACES else "server"
        word = "spare" if self.spare else "alone"
        kind = "stream" if self.streamed else "plain"
        return f"{word}.{self.upstream}.{place}.{kind}-fault-{self.fault}"

    @property
    def expected(self) -> frozenset[str]:
        if self.fault in GOOD or (self.spare and self.fault in EARLY):
            return frozenset((ANSWER,))
        if self.spare and not self.streamed:
            return frozenset((ANSWER, ERROR))
        return frozenset((ERROR,)) if not self.spare else frozenset((ANSWER, ERROR))


def config(ports: dict[str, int], port: int) -> dict[str, Any]:
    where = {
        "server": f"http://127.0.0.1:{ports['server']}/v1",
        "refused": f"http://127.0.0.1:{free_port()}/v1",
        "reset": f"http://127.0.0.1:{ports['reset']}/v1",
        "black_hole": f"http://127.0.0.1:{ports['black_hole']}/v1",
        "tls": f"https://127.0.0.1:{ports['server']}/v1",
    }
    upstreams = {
        f"{name}-{place}": {"protocol": protocol, "base_url": url, "timeout": TIMEOUT}
        for name, protocol in UPSTREAMS.items()
        for place, url in where.items()
    }
    models: dict[str, Any] = {}
    for name in UPSTREAMS:
        for place in where:
            models[f"alone.{name}.{place}.*"] = f"{name}-{place}/*"
            models[f"spare.{name}.{place}.*"] = [f"{name}-{place}/*", f"{name}-server/fault-good"]
    return {
        "listen": f"127.0.0.1:{port}",
        "auth": {"mode": "none"},
        "upstreams": upstreams,
        "models": models,
        "retry": {"attempts": 2, "max_wait": 0, "cooldown": 0},
        "limits": {"sse_frame": FRAME_LIMIT, "capture": "64KiB"},
        "logging": {"level": "warning"},
    }


async def run(case: Case, port: int, places: asyncio.Semaphore) -> str:
    """What the client got: `ANSWER`, `ERROR`, or what is wrong."""
    async with places:
        try:
            data = request(case.client, case.model, stream=case.streamed)
            status, body = await asyncio.wait_for(ask(port, data), PATIENCE)
        except TimeoutError:
            return "hang"
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            return f"cut below HTTP: {type(error).__name__}"
    return judge(case.client, case.streamed, status, body)


def cases(short: bool) -> list[Case]:
    """Every fault for every client, streamed and not, on an upstream of its own protocol and on a foreign one; the
    short form leaves out the foreign half where nothing depends on it."""
    protocols = list(BODIES)
    short_of = {protocol: name for name, protocol in UPSTREAMS.items()}
    found = []
    for at, fault in enumerate((*PLACES, *FAULTS)):
        for n, client in enumerate(protocols):
            foreign = short_of[protocols[(n + 1 + at % 4) % 5]]
            for streamed in (True, False):
                for upstream in (short_of[client], foreign):
                    found.append(Case(fault, upstream, client, streamed, False))
                if fault in EARLY and not (short and n % 2):
                    found.append(Case(fault, foreign, client, streamed, True))
    return found


async def run_all(todo: list[Case], port: int) -> list[str]:
    places = asyncio.Semaphore(AT_ONCE)
    return await asyncio.gather(*(run(case, port, places) for case in todo))


@dataclass(frozen=True)
class Verdict:
    results: list[tuple[Case, str]]
    leaks: dict[str, tuple[int, int]]  # what: before, after
    seconds: float
    log: str

    @property
    def misses(self) -> list[tuple[Case, str]]:
        return [(case, got) for case, got in self.results if got not in case.expected]

    @property
    def good(self) -> bool:
        return not self.misses and not self.leaks and "Traceback" not in self.log


def measure(short: bool, only: str = "") -> Verdict:
    todo = [case for case in cases(short) if not only or case.fault == only]
    with tempfile.TemporaryDirectory() as name, bad_upstream() as ports:
        port, folder = free_port(), Path(name)
        with proxy(folder, config(ports, port), port) as running_proxy:
            warm = [case for case in todo if case.fault == "good"] or todo[:1]
            asyncio.run(run_all(warm, port))
            time.sleep(1)
            before, began = census(running_proxy), time.monotonic()
            results = asyncio.run(run_all(todo, port))
            seconds = time.monotonic() - began
            after = settled(running_proxy, before, 15)
        log = (folder / "proxy.log").read_text("utf-8", "replace")
    return Verdict(list(zip(todo, results, strict=True)), grown(before, after), seconds, log)


def show(verdict: Verdict) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="LLM Link: what clients get when upstreams fail")
    for name in ("fault", *BODIES, "answers", "errors", "misses"):
        table.add_column(name, justify="left" if name == "fault" else "right", no_wrap=True)
    by_fault: dict[str, list[tuple[Case, str]]] = {}
    for case, got in verdict.results:
        by_fault.setdefault(case.fault, []).append((case, got))
    for fault, rows in by_fault.items():
        cells = []
        for client in BODIES:
            mine = [(case, got) for case, got in rows if case.client == client]
            bad = sum(got not in case.expected for case, got in mine)
            cells.append(f"{len(mine) - bad}/{len(mine)}")
        missed = sum(got not in case.expected for case, got in rows)
        kinds = Counter(got for _, got in rows)
        style = "bold red" if missed else None
        table.add_row(fault, *cells, str(kinds[ANSWER]), str(kinds[ERROR]), str(missed), style=style)
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    for case, got in verdict.misses:
        kind = "streamed" if case.streamed else "whole"
        spare = ", with a spare" if case.spare else ""
        console.print(
            f"MISS {case.fault}: {case.client} on {UPSTREAMS[case.upstream]}, {kind}{spare}: {got}", soft_wrap=True
        )
    for name, (was, now) in verdict.leaks.items():
        console.print(f"LEAK {name}: {was} before, {now} after")
    if "Traceback" in verdict.log:
        console.print(verdict.log[verdict.log.index("Traceback") :][:3000], markup=False)
    got = Counter(got for _, got in verdict.results)
    hangs = got["hang"]
    cuts = sum(count for what, count in got.items() if "cut" in what)
    print(
        f"{len(verdict.results)} exchanges in {verdict.seconds:.0f} s: {got[ANSWER]} answers, "
        f"{got[ERROR]} errors in shape, {hangs} hangs, {cuts} quiet cuts, "
        f"{len(verdict.misses)} misses, {len(verdict.leaks)} leaks"
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="the form that the test suite runs")
    parser.add_argument("--only", metavar="FAULT", default="", help="one fault alone")
    args = parser.parse_args(argv)
    verdict = measure(args.short, args.only)
    show(verdict)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
