"""What mitmweb holds of many exchanges: the newest, within `keep`, however many there were; the same for saved files.

`keep` bounds the bodies that are held. Around each held exchange Python keeps objects (headers, connections, records),
for which `AROUND` bytes are allowed. Exits with 1 where the memory or the files are above their bound.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.bench_house import HERE, UPSTREAMS, Proxy, free_port, ready, running, stub
from scripts.bench_wire import BODIES, request
from scripts.census import Line

CLIENTS = 8  # at once
AROUND = 64 << 10  # bytes around the bodies of one exchange
SLACK = 32 << 20  # bytes of a process that has worked for a while
WARM = 100  # exchanges before the memory is read for the first time


@dataclass(frozen=True)
class Bounds:
    exchanges: int = 2000
    bytes: int = 64 << 20
    saved: int = 64 << 20

    @property
    def memory(self) -> int:
        """Bytes that may come on top of what an idle mitmweb has."""
        return self.bytes + self.exchanges * AROUND + SLACK


@dataclass(frozen=True)
class Verdict:
    bounds: Bounds
    answered: int
    asked: int
    idle: int  # bytes of memory before
    sizes: list[int]  # on the way
    saved: int  # bytes of the files
    files: int
    seconds: float
    log: str

    @property
    def faults(self) -> list[str]:
        most = max(self.sizes) - self.idle
        found = []
        if self.answered < self.asked:
            found.append(f"MISS {self.asked - self.answered} of {self.asked} were not answered")
        if most > self.bounds.memory:
            found.append(f"MEMORY {most >> 20} MiB on top of an idle one; {self.bounds.memory >> 20} MiB are the bound")
        if not 0 < self.saved <= self.bounds.saved:
            found.append(f"FILES {self.saved} bytes are saved; {self.bounds.saved} are the bound")
        if "Traceback" in self.log:
            found.append(self.log[self.log.index("Traceback") :][:3000])
        return found

    def total(self) -> str:
        half, bound = self.sizes[len(self.sizes) // 2], self.idle + self.bounds.memory
        return (
            f"{self.answered} exchanges in {self.seconds:.0f} s; memory {self.idle >> 20} MiB idle, "
            f"{max(self.sizes) >> 20} MiB at most, {half >> 20} MiB after half of them, {self.sizes[-1] >> 20} MiB "
            f"at the end (bound {bound >> 20} MiB); {self.saved >> 20} MiB in {self.files} files"
        )


def start(folder: Path, upstream: int, bounds: Bounds) -> tuple[list[str], int]:
    """The words that start mitmweb, and its port."""
    port, web = free_port(), free_port()
    config = {
        "listen": f"127.0.0.1:{port}",
        "auth": {"mode": "none"},
        "upstreams": {
            name: {"protocol": protocol, "base_url": f"http://127.0.0.1:{upstream}/v1"}
            for name, protocol in UPSTREAMS.items()
        },
        "models": {f"{name}-*": f"{name}/*" for name in UPSTREAMS},
        "keep": {"exchanges": bounds.exchanges, "bytes": bounds.bytes},
        "logging": {"level": "warning"},
    }
    (folder / "llm-link.yaml").write_text(json.dumps(config))  # JSON is YAML
    cli = [sys.executable, str(HERE / "cli.py"), "serve", "--config", str(folder / "llm-link.yaml")]
    save = ["--save", str(folder / "saved"), "--save-size", str(bounds.saved)]
    return [*cli, "--web", "--web-port", str(web), *save], port


def requests(count: int) -> Iterator[bytes]:
    """Of every client protocol to every upstream's, streamed and not, with histories of different lengths."""
    pairs = [(client, name) for client in BODIES for name in UPSTREAMS]
    for n in range(count):
        client, name = pairs[n % len(pairs)]
        yield request(client, f"{name}-model", messages=2 + n % 7 * 2, size=400 + n % 5 * 400, stream=bool(n % 3))


async def client(port: int, asks: Iterator[bytes], answered: list[int]) -> None:
    line = await Line.open(port)
    for data in asks:
        status, _ = await line.ask(data)
        answered.append(status == 200)
    line.close()


async def load(proxy: Proxy, count: int, sizes: list[int]) -> int:
    """Ask so many times; how many were answered."""
    asks, answered = requests(count), list[int]()
    clients = asyncio.gather(*(client(proxy.port, asks, answered) for _ in range(CLIENTS)))
    while not clients.done():
        await asyncio.wait([clients], timeout=1)
        sizes.append(proxy.rss())
        if len(sizes) % 30 == 0:
            print(f"{len(answered):7} exchanges, {sizes[-1] >> 20} MiB", flush=True)
    await clients
    return sum(answered)


def measure(count: int, bounds: Bounds) -> Verdict:
    with tempfile.TemporaryDirectory() as name, stub() as upstream:
        folder = Path(name)
        words, port = start(folder, upstream, bounds)
        with running(words, port, ready, folder / "proxy.log") as process:
            proxy = Proxy(process.process, port, process.start)
            asyncio.run(load(proxy, WARM, []))
            idle, sizes, began = proxy.rss(), list[int](), time.monotonic()
            answered = asyncio.run(load(proxy, count, sizes))
            seconds = time.monotonic() - began
        files = [path.stat().st_size for path in (folder / "saved").iterdir()]
        log = (folder / "proxy.log").read_text("utf-8", "replace")
    return Verdict(bounds, answered, count, idle, sizes, sum(files), len(files), seconds, log)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/hold", description=__doc__.partition("\n")[0])
    parser.add_argument("--exchanges", type=int, default=50_000, metavar="N", help="how many (50000)")
    args = parser.parse_args(argv)
    verdict = measure(args.exchanges, Bounds())
    for fault in verdict.faults:
        print(fault)
    print(verdict.total())
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
