"""What the proxy costs: translated, through plain mitmproxy and direct, in one run, as ratios.

CPU is that of the proxy's process alone (`/proc/PID/stat`), so neither the load nor the stub upstream counts, and a
noisy machine hardly matters. Rounds of the compared legs alternate. Everything is on loopback; a run takes under
three minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts import bench_load as load
from scripts.bench_house import HERE, LOST, UPSTREAMS, House, Proxy, stub
from scripts.bench_wire import BODIES, encoded, path_of
from scripts.bench_wire import request as http_request

# The goals: how much translating may cost.
REQUEST_CPU = 1.25  # times a pass-through's CPU a request
FRAME_ALONE_CPU = 1.25  # times a pass-through's CPU a frame
FRAME_MANY_CPU = 20e-6  # seconds over a pass-through's CPU a frame
FIRST_TOKEN = 2e-3  # seconds over direct
FAILOVER = 10e-3  # seconds that a first target which refuses the connection adds to the first token
CODEC_RATIO = 2.5  # times a bare decode and encode
PAIR = 2.0  # times the cheapest pair's CPU an event that is written
START = 1.0  # seconds over plain mitmdump
IDLE = 60e6  # bytes over plain mitmdump
GROWTH = 2e6  # bytes that 5 MB and more of a stream may add when the bounded copies are full


@dataclass
class Row:
    what: str
    direct: str = ""
    plain: str = ""
    ours: str = ""
    goal: str = ""
    good: bool | None = None  # None: there is no goal


# ------------------------------------------------------------------------------------------------ what is measured

# leg -> the client's protocol and the upstream that its models name
LEGS = {"an->cc": ("anthropic", "cc"), "cc->an": ("openai-chat", "an"), "an->an": ("anthropic", "an")}


def us(seconds: float) -> str:
    return f"{seconds * 1e6:,.{0 if seconds >= 1e-4 else 1}f} µs"


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f} ms"


def mb(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"


@dataclass
class Bench:
    house: House
    plain: Proxy
    ours: Proxy
    scale: float  # 1: the whole run; less: a shorter one

    def load(self, port: int, request: bytes, **options: int | float) -> load.Tally:
        return asyncio.run(load.run(port, request, **options))  # type: ignore[arg-type]

    def cost(self, proxy: Proxy, request: bytes, **options: int | float) -> tuple[float, load.Tally]:
        """CPU seconds a request, and the run's tally."""
        before = proxy.cpu()
        tally = self.load(proxy.port, request, **options)
        return (proxy.cpu() - before) / tally.requests, tally

    def pair(
        self, request: bytes, rounds: int, **options: int | float
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """(CPU a request, requests a second) through plain mitmproxy and through us: the best of the rounds."""
        runs = [[self.cost(proxy, request, **options) for proxy in (self.plain, self.ours)] for _ in range(rounds)]
        plain, ours = (
            (min(cpu for cpu, _ in side), max(tally.rate for _, tally in side)) for side in zip(*runs, strict=True)
        )
        return plain, ours

    def requests(self) -> Iterator[Row]:
        for leg, (protocol, upstream) in LEGS.items():
            request = http_request(protocol, f"{upstream}-plain-0")
            direct = self.load(self.house.upstream, request, connections=16, seconds=self.scale)
            plain, ours = self.pair(request, 2, connections=16, seconds=2 * self.scale)
            yield Row(
                f"{leg}  requests/s, 16 connections",
                f"{direct.rate:,.0f}",
                f"{plain[1]:,.0f}",
                f"{ours[1]:,.0f} ({ours[1] / plain[1]:.2f}x)",
            )
            yield self.ratio(f"{leg}  CPU a request", plain[0], ours[0], REQUEST_CPU)

    def ratio(self, what: str, plain: float, ours: float, goal: float) -> Row:
        ratio = ours / plain
        return Row(what, "", us(plain), f"{us(ours)} ({ratio:.2f}x)", f"<= {goal}x", ratio <= goal)

    def big_requests(self) -> Iterator[Row]:
        for leg, (protocol, upstream) in LEGS.items():
            request = http_request(protocol, f"{upstream}-plain-0", messages=200, size=4000)
            plain, ours = self.pair(request, 1, connections=4, count=int(60 * self.scale) or 4)
            ratio = ours[0] / plain[0]
            yield Row(f"{leg}  CPU a request of 1 MB", "", ms(plain[0]), f"{ms(ours[0])} ({ratio:.2f}x)")

    def first_token(self) -> Iterator[Row]:
        for leg, (protocol, upstream) in LEGS.items():
            request = http_request(protocol, f"{upstream}-burst-5")
            count = int(200 * self.scale) or 20
            ports = (self.house.upstream, self.plain.port, self.ours.port)
            direct, plain, ours = (statistics.median(self.load(port, request, count=count).first) for port in ports)
            added = ours - direct
            good = added <= FIRST_TOKEN
            yield Row(
                f"{leg}  time to first token",
                ms(direct),
                f"{ms(plain)} (+{ms(plain - direct)})",
                f"{ms(ours)} (+{ms(added)})",
                f"<= +{ms(FIRST_TOKEN)}",
                good,
            )

    def failover(self) -> Iterator[Row]:
        """What the client waits longer where the first of two targets refuses the connection."""
        count = int(200 * self.scale) or 20
        for leg, (protocol, upstream) in LEGS.items():
            names = (f"{upstream}-burst-5", f"{LOST}{upstream}-burst-5")
            runs = (self.load(self.ours.port, http_request(protocol, name), count=count) for name in names)
            one, two = (statistics.median(run.first) for run in runs)
            what, shown = f"{leg}  a refused target before the good one", f"{ms(two)} (+{ms(two - one)})"
            yield Row(what, "", "", shown, f"<= +{ms(FAILOVER)}", two - one <= FAILOVER)

    def frames_alone(self) -> Iterator[Row]:
        frames = int(1500 * self.scale) or 100
        for leg, (protocol, upstream) in LEGS.items():
            request = http_request(protocol, f"{upstream}-alone-{frames}")
            plain, ours = self.pair(request, 2, count=2, connections=2)
            row = self.ratio(f"{leg}  CPU a frame, each alone", plain[0] / frames, ours[0] / frames, FRAME_ALONE_CPU)
            yield row

    def frames_many(self) -> Iterator[Row]:
        frames = 20_000
        for leg, (protocol, upstream) in LEGS.items():
            request = http_request(protocol, f"{upstream}-burst-{frames}")
            count = int(3 * self.scale) or 1
            plain, ours = self.pair(request, 2, count=count)
            added = (ours[0] - plain[0]) / frames
            yield Row(
                f"{leg}  CPU a frame, many to a read",
                "",
                us(plain[0] / frames),
                f"{us(ours[0] / frames)} (+{us(added)})",
                f"<= +{us(FRAME_MANY_CPU)}",
                added <= FRAME_MANY_CPU,
            )

    def pairs(self) -> Iterator[Row]:
        """What one event written to the client costs, for every client on every upstream."""
        frames = int(10_000 * self.scale) or 500
        costs: dict[str, float] = {}
        for _ in range(3 if self.scale >= 1 else 1):
            for name in UPSTREAMS:
                for protocol in BODIES:
                    cost, _ = self.cost(self.ours, http_request(protocol, f"{name}-burst-{frames}"), count=2)
                    leg = f"{protocol} -> {UPSTREAMS[name]}"
                    costs[leg] = min(costs.get(leg, cost), cost)
        cheapest = min(costs.values())
        for leg, cost in costs.items():
            ratio = cost / cheapest
            shown, goal = f"{us(cost / frames)} ({ratio:.2f}x)", f"<= {PAIR}x the cheapest"
            yield Row(f"{leg}  CPU an event written", "", "", shown, goal, ratio <= PAIR)

    def memory(self) -> Iterator[Row]:
        """What the last two thirds of a long stream add, when the bounded copies are full and its buffers have grown.

        The proxy is a fresh one: its heap has no room left over from other work. The text of an answer whose reasoning
        the client cannot carry is kept until its end, a twentieth of the stream here."""
        for leg, (protocol, upstream) in LEGS.items():
            with self.house.ours() as fresh:
                self.load(fresh.port, http_request(protocol, f"{upstream}-burst-100"), count=5)
                sizes, total = sizes_during(fresh, http_request(protocol, f"{upstream}-burst-120000"))
            growth = max(sizes) - sizes[len(sizes) // 3]
            what = f"{leg}  memory that the rest of a stream of {mb(total)} adds"
            yield Row(what, "", "", mb(growth), f"<= {mb(GROWTH)}", growth <= GROWTH)


def sizes_during(proxy: Proxy, request: bytes, step: int = 200_000) -> tuple[list[int], int]:
    """The proxy's memory at every so many bytes of one long answer, and the length of that."""
    sizes: list[int] = []

    def watch(received: int) -> None:
        if received >= len(sizes) * step:
            sizes.append(proxy.rss())

    return sizes, asyncio.run(load.run(proxy.port, request, count=1, watch=watch)).bytes


def codecs() -> Iterator[Row]:
    """Parsing and rendering a conversation of 200 messages, against a bare decode and encode of the same body."""
    import msgspec

    from translators import CODECS
    from translators.codec import Wire

    def best(work: Callable[[], object], rounds: int) -> float:
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return min(times)

    decoder, encoder = msgspec.json.Decoder(), msgspec.json.Encoder()
    for size, rounds in ((1_000_000, 15), (10_000_000, 4)):
        for client, upstream in (("anthropic", "openai-chat"), ("openai-chat", "anthropic")):
            body = encoded(BODIES[client][1]("m", True, 200, size // 260))
            wire = Wire(path_of(client, "m", True), body)
            bare = best(lambda body=wire.body: encoder.encode(decoder.decode(body)), rounds)  # type: ignore[misc]

            def translate(wire: Wire = wire, client: str = client, upstream: str = upstream) -> None:
                CODECS[upstream].render_request(CODECS[client].parse_request(wire))

            ours = best(translate, rounds)
            ratio = ours / bare
            yield Row(
                f"{client} -> {upstream}  parse and render {mb(len(wire.body))}",
                ms(bare),
                "",
                f"{ms(ours)} ({ratio:.2f}x)",
                f"<= {CODEC_RATIO}x",
                ratio <= CODEC_RATIO,
            )


def starts(house: House, rounds: int) -> Iterator[Row]:
    """Bytecode is there, as it is after an installation: mitmproxy's is."""
    for folder in ("addons", "scripts", "translators"):
        compileall.compile_dir(HERE.parent / folder, quiet=2)
    plain, ours, idle = [], [], []
    for _ in range(rounds):
        with house.plain() as proxy:
            plain.append(proxy.start)
            plain_idle = proxy.rss()
        with house.ours() as proxy:
            ours.append(proxy.start)
            idle.append(proxy.rss() - plain_idle)
    added = min(ours) - min(plain)
    yield Row("start", "", ms(min(plain)), f"{ms(min(ours))} (+{ms(added)})", f"<= +{ms(START)}", added <= START)
    more = min(idle)
    yield Row("idle memory", "", mb(plain_idle), f"+{mb(more)}", f"<= +{mb(IDLE)}", more <= IDLE)


# ------------------------------------------------------------------------------------------------ the run

SECTIONS = (
    "codecs", "start", "requests", "big_requests", "first_token", "failover", "frames_alone", "frames_many", "pairs",
    "memory",
)  # fmt: skip


def measure(sections: list[str], scale: float) -> Iterator[Row]:
    if "codecs" in sections:
        yield from codecs()
    rest = [name for name in sections if name not in ("codecs", "start")]
    with tempfile.TemporaryDirectory() as folder, stub() as upstream:
        house = House(Path(folder), upstream)
        if "start" in sections:
            yield from starts(house, 3 if scale >= 1 else 1)
        if not rest:
            return
        with house.plain() as plain, house.ours() as ours:
            bench = Bench(house, plain, ours, scale)
            for name in rest:
                yield from getattr(bench, name)()


VERDICT = {True: "PASS", False: "MISS", None: ""}


def show(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="LLM Link: what translating costs", caption="codecs: the first column is msgspec alone")
    for name in ("", "direct", "plain mitmproxy", "LLM Link", "goal", ""):
        table.add_column(name, justify="left" if name == "" else "right", no_wrap=True)
    for row in rows:
        colour = {True: "green", False: "bold red", None: ""}[row.good]
        table.add_row(row.what, row.direct, row.plain, row.ours, row.goal, VERDICT[row.good], style=colour)
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a goal is missed")
    parser.add_argument("--quick", action="store_true", help="a tenth of the load: does it run at all?")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="measure only this; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to FILE")
    args = parser.parse_args(argv)
    if not Path("/proc/self/stat").exists():
        print("scripts/bench reads /proc, which this system does not have", file=sys.stderr)
        return 2
    rows = list(measure(args.only or list(SECTIONS), 0.1 if args.quick else 1.0))
    show(rows)
    if args.json:
        Path(args.json).write_text(json.dumps([vars(row) for row in rows], indent=1))
    missed = [row.what for row in rows if row.good is False]
    return 1 if missed and args.strict else 0


if __name__ == "__main__":
    sys.exit(main())
