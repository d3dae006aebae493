"""The soak: many streaming clients of all protocols for a long time, on upstreams of all protocols that fail at random.

Every turn must end with its answer or an honest error in the client's protocol; the proxy's memory must be flat once it
is warm, and when all is over nothing may be alive in it that was not before. Some clients keep their connection, some
hang up in the middle of an answer. Exits with 1 on any miss.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.bench_house import UPSTREAMS, Proxy, free_port
from scripts.bench_wire import BODIES, request
from scripts.census import Line, bad_upstream, census, grown, proxy, settled
from scripts.judge import ANSWER, ERROR, judge

PATIENCE = 60.0  # seconds, after which a client that got no end is a hang
TIMEOUT = {"connect": 1, "first_byte": 1.5, "idle": 1.5, "total": 20}
WARM = 0.2  # the share of the time after which memory must be flat
FLAT = 1.10  # times what the memory was, once warm
LONG = 60.0  # seconds; a run shorter than that never gets warm, and says nothing of memory
HANG_UP = 0.05  # the share of the turns that the client leaves
LEFT = "left"  # by the client
TURNS = 4  # on one connection, at most
CHOICES = ("order", "round_robin", "least_busy", "weighted", "fastest")
LINES = 10  # of progress


def config(ports: dict[str, int], port: int) -> dict[str, Any]:
    """For each upstream protocol a model `PROTOCOL-live-*` with three targets of different protocols, and a model
    `PROTOCOL-dead-*` whose first target nobody can reach."""
    server = f"http://127.0.0.1:{ports['server']}/v1"
    dead = (free_port(), ports["reset"], ports["black_hole"])
    names, models = list(UPSTREAMS), {}
    upstreams = {
        name: {"protocol": protocol, "base_url": server, "timeout": TIMEOUT} for name, protocol in UPSTREAMS.items()
    }
    for n, name in enumerate(names):
        place = f"http://127.0.0.1:{dead[n % len(dead)]}/v1"
        upstreams[f"{name}-dead"] = {**upstreams[name], "base_url": place}
        second, third = names[(n + 1) % 5], names[(n + 3) % 5]
        targets = [f"{one}/fault-anything" for one in (name, second, third)]
        models[f"{name}-live"] = {"targets": targets, "choose": CHOICES[n]}
        models[f"{name}-dead"] = [f"{name}-dead/fault-anything", f"{second}/fault-anything"]
    return {
        "listen": f"127.0.0.1:{port}",
        "auth": {"mode": "none"},
        "upstreams": upstreams,
        "models": models,
        "retry": {"attempts": 3, "max_wait": 0.2, "cooldown": 0.5},
        "limits": {"sse_frame": 1_000_000, "capture": "64KiB"},
        "logging": {"level": "warning"},
    }


@dataclass
class Tally:
    """What the clients got so far, and the proxy's memory on the way."""

    got: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)  # by the client's protocol
    misses: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def add(self, client: str, model: str, got: str) -> None:
        self.got[got] += 1
        self.answered[client] += got == ANSWER
        if got not in (ANSWER, ERROR, LEFT):
            self.misses.append(f"{client} on {model}: {got}")

    @property
    def turns(self) -> int:
        return sum(self.got.values())

    def growth(self) -> float:
        """How many times the memory of the first quarter is that of the last, once warm."""
        warm = self.sizes[int(len(self.sizes) * WARM) :]
        quarter = max(1, len(warm) // 4)
        return statistics.median(warm[-quarter:]) / statistics.median(warm[:quarter])


class Client:
    """One client: turn after turn, until the time is over."""

    def __init__(self, protocol: str, port: int, chance: random.Random, tally: Tally) -> None:
        self.protocol, self.port, self.chance, self.tally = protocol, port, chance, tally
        self.line: Line | None = None

    async def run(self, end: float) -> None:
        await asyncio.sleep(self.chance.uniform(0, 1))
        while time.monotonic() < end:
            model = f"{self.chance.choice(list(UPSTREAMS))}-{self.chance.choice(('live', 'live', 'dead'))}"
            self.tally.add(self.protocol, model, await self.turn(model))
            await asyncio.sleep(self.chance.uniform(0, 0.5))
        self.hang_up()

    async def turn(self, model: str) -> str:
        leaves = self.chance.random() < HANG_UP
        data = request(self.protocol, model, stream=True)
        try:
            async with asyncio.timeout(PATIENCE):
                line = await self.connected()
                if leaves:
                    return await self.leave(line, data)
                status, body = await line.ask(data)
        except TimeoutError:
            self.hang_up()
            return "hang"
        except (OSError, EOFError, ValueError) as error:
            self.hang_up()
            return f"cut below HTTP: {type(error).__name__}"
        if line.closes or self.chance.random() < 1 / TURNS:
            self.hang_up()
        return judge(self.protocol, True, status, body)

    async def leave(self, line: Line, data: bytes) -> str:
        """Hang up while the answer is on its way, or before there is any of it."""
        line.writer.write(data)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(line.reader.read(1), self.chance.uniform(0, 1))
        self.hang_up()
        return LEFT

    async def connected(self) -> Line:
        self.line = self.line or await Line.open(self.port)
        return self.line

    def hang_up(self) -> None:
        if self.line is not None:
            self.line.close()
        self.line = None


@dataclass(frozen=True)
class Verdict:
    tally: Tally
    leaks: dict[str, tuple[int, int]]  # what: before, after
    seconds: float
    log: str

    @property
    def faults(self) -> list[str]:
        """Everything that must not be, in words."""
        tally = self.tally
        found = [f"MISS {miss}" for miss in tally.misses[:20]]
        found += [f"MISS {protocol}: no client got an answer" for protocol in BODIES if not tally.answered[protocol]]
        found += [f"LEAK {name}: {was} before, {now} after" for name, (was, now) in self.leaks.items()]
        if self.seconds >= LONG and tally.growth() > FLAT:
            found.append(f"GROWTH memory is {tally.growth():.2f} times what it was when warm")
        if "Traceback" in self.log:
            found.append(self.log[self.log.index("Traceback") :][:3000])
        return found

    def total(self) -> str:
        tally, got = self.tally, self.tally.got
        cuts = sum(count for what, count in got.items() if "cut" in what)
        return (
            f"{tally.turns} turns in {self.seconds:.0f} s: {got[ANSWER]} answers, {got[ERROR]} errors in shape, "
            f"{got[LEFT]} left by the client, {got['hang']} hangs, {cuts} cuts, {len(tally.misses)} misses, "
            f"{len(self.leaks)} leaks; memory {tally.sizes[-1] / 1e6:.0f} MB, {tally.growth():.2f} times the warm one"
        )


async def watch(proxy: Proxy, tally: Tally, seconds: float) -> None:
    """Sample the memory, and say now and then how it goes."""
    began, shown = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:  # what comes later is the rest of the last turns
        await asyncio.sleep(min(1.0, seconds / 60))
        tally.sizes.append(proxy.rss())
        if passed >= (shown + 1) * seconds / LINES:
            shown += 1
            got = tally.got
            told = f"{got[ANSWER]} answers, {got[ERROR]} errors, {len(tally.misses)} misses"
            print(f"{passed:5.0f} s  {tally.turns} turns: {told}; {tally.sizes[-1] / 1e6:.0f} MB", flush=True)


async def load(port: int, tally: Tally, clients: int, seconds: float, seed: int) -> None:
    protocols, end = list(BODIES), time.monotonic() + seconds
    everyone = (Client(protocols[n % 5], port, random.Random(f"{seed}.{n}"), tally) for n in range(clients))
    await asyncio.gather(*(client.run(end) for client in everyone))


async def watched(proxy: Proxy, tally: Tally, clients: int, seconds: float, seed: int) -> None:
    watcher = asyncio.create_task(watch(proxy, tally, seconds))
    try:
        await load(proxy.port, tally, clients, seconds, seed)
    finally:
        watcher.cancel()


def measure(clients: int, seconds: float, seed: int) -> Verdict:
    with tempfile.TemporaryDirectory() as name, bad_upstream(seed) as ports:
        port, folder = free_port(), Path(name)
        with proxy(folder, config(ports, port), port) as running:
            asyncio.run(load(port, Tally(), 10, 2, seed))
            time.sleep(1)
            before, began, tally = census(running), time.monotonic(), Tally()
            asyncio.run(watched(running, tally, clients, seconds, seed + 1))
            took = time.monotonic() - began
            after = settled(running, before, 15)
        log = (folder / "proxy.log").read_text("utf-8", "replace")
    return Verdict(tally, grown(before, after), took, log)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600, metavar="N", help="how long (600)")
    parser.add_argument("--clients", type=int, default=200, metavar="N", help="how many at once (200)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what the clients and upstreams do (1)")
    args = parser.parse_args(argv)
    verdict = measure(args.clients, args.seconds, args.seed)
    for fault in verdict.faults:
        print(fault)
    print(verdict.total())
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
