"""The fuzzer: a hundred thousand hostile requests at every door of a real proxy, which must stay up.

After each batch a good request must get its answer. Every answer must be HTTP, in the shape of the door's protocol, and
no 5xx of ours: the upstream here is a good one. No key may come out at either end, no traceback be in the log, and
memory and file descriptors must be what they were. Prints counts by kind and status, last the totals; exits with 1 on
any miss.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.bench_house import Proxy, free_port
from scripts.bench_wire import BODIES, request
from scripts.faults import census, proxy, settled
from scripts.fuzz_corpus import CLIENT_KEY
from scripts.fuzz_input import Case, Drawer
from scripts.fuzz_wire import Answer, Client, Upstream, Wrong
from scripts.judge import ANSWER, ERROR, ERROR_BODY, judge

BATCH = 1000
AT_ONCE = 6
PATIENCE = 20.0  # seconds, after which a client that got no end is a hang
UPSTREAM_KEY = "sk-fuzz-of-the-upstream-31cc"
MEMORY = 48 << 20  # bytes that the process may grow by once it is warm
SHOWN = 20  # misses that are told in full
LIMIT = 1 << 20

_KEYS = (CLIENT_KEY.encode(), UPSTREAM_KEY.encode())


# ------------------------------------------------------------------------------------------------ the judge


def fault(case: Case, answer: Answer) -> str:
    """What is wrong with an answer; "": nothing."""
    if any(key in answer.body or key.decode() in "".join(answer.fields.values()) for key in _KEYS):
        return "a key came out"
    if answer.status >= 500 and answer.status != 501:
        return f"a {answer.status} of ours: {answer.body[:200]!r}"
    if case.head:
        return ""
    kind = answer.fields.get("content-type", "")
    if answer.status >= 400:
        if case.alone and kind.startswith("text/plain") and answer.status in (400, 413, 431):
            return ""  # it was no HTTP
        shapes = [case.protocol] if case.protocol else list(ERROR_BODY)
        return "" if any(judge(one, False, answer.status, answer.body) == ERROR for one in shapes) else _out(answer)
    if "event-stream" in kind or "ndjson" in kind:
        shapes = [case.protocol] if case.protocol else list(ERROR_BODY)
        good = (ANSWER, ERROR)
        return "" if any(_streamed(one, answer.body) in good for one in shapes) else _out(answer)
    page = kind.startswith("text/html") and b"/dashboard" in case.data.partition(b"\r\n")[0]
    return "" if page or kind.startswith("text/plain") or _is_json(answer.body) else _out(answer)


def _out(answer: Answer) -> str:
    return f"{answer.status} out of shape: {answer.fields.get('content-type')} {answer.body[:200]!r}"


def _streamed(protocol: str, body: bytes) -> str:
    try:
        return judge(protocol, True, 200, body)
    except (AttributeError, TypeError, KeyError):
        return "another protocol's"


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


# ------------------------------------------------------------------------------------------------ a run


@dataclass
class Tally:
    """What came of a run. `grown`: what is alive in the proxy and was not before: name -> before, after."""

    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    misses: list[tuple[Case, str]] = field(default_factory=list)
    sent: int = 0
    good: int = 0
    batches: int = 0
    seconds: float = 0.0
    memory: list[int] = field(default_factory=list)
    grown: dict[str, tuple[int, int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    log: str = ""

    @property
    def growth(self) -> int:
        """The bytes that the process grew by, once the first tenth had made it warm."""
        return self.memory[-1] - self.memory[len(self.memory) // 10]

    @property
    def faults(self) -> list[str]:
        found = [f"{case.kind}: {why}: {case.data[:300]!r}" for case, why in self.misses]
        found += self.wrong
        found += [f"{name}: {was} before, {now} after" for name, (was, now) in self.grown.items()]
        if self.good < self.batches:
            found.append(f"{self.batches - self.good} good requests after a batch got no answer")
        if self.growth > MEMORY:
            found.append(f"memory grew by {self.growth >> 20} MiB")
        found += [f"the log holds {word!r}" for word in ("Traceback", CLIENT_KEY, UPSTREAM_KEY) if word in self.log]
        return found


class Run:
    def __init__(self, drawer: Drawer, count: int, running: Proxy) -> None:
        self.drawer, self.count, self.proxy = drawer, count, running
        self.tally = Tally()

    async def go(self) -> None:
        clients = [Client(self.proxy.port) for _ in range(AT_ONCE)]
        left = self.count
        while left > 0 and self.proxy.process.poll() is None:
            cases = self.drawer.cases(min(BATCH, left))
            await asyncio.gather(*(self.work(client, cases) for client in clients))
            left -= BATCH
            await self.check()
        for client in clients:
            client.close()

    async def work(self, client: Client, cases: Iterator[Case]) -> None:
        for case in cases:
            self.tally.sent += 1
            try:
                answers = await asyncio.wait_for(client.ask(case), PATIENCE)
            except TimeoutError:
                self.miss(client, case, "hang")
            except (Wrong, OSError, asyncio.IncompleteReadError, ValueError) as error:
                self.miss(client, case, f"{type(error).__name__}: {error}")
            else:
                for answer in answers:
                    self.tally.statuses[case.kind, str(answer.status)] += 1
                    if why := fault(case, answer):
                        self.miss(client, case, why)
                if not answers:
                    self.tally.statuses[case.kind, "closed"] += 1

    def miss(self, client: Client, case: Case, why: str) -> None:
        client.close()
        self.tally.misses.append((case, why))

    async def check(self) -> None:
        """A good request after a batch."""
        self.tally.batches += 1
        self.tally.memory.append(self.proxy.rss())
        for protocol in BODIES:
            client, data = Client(self.proxy.port), request(protocol, "anthropic", stream=False)
            try:
                (answer,) = await asyncio.wait_for(client.ask(Case("good", data, protocol)), PATIENCE)
            except (TimeoutError, Wrong, OSError, asyncio.IncompleteReadError):
                return
            finally:
                client.close()
            if judge(protocol, False, answer.status, answer.body) != ANSWER:
                return
        self.tally.good += 1


def config(upstream: int, port: int) -> dict[str, Any]:
    key = {"value": UPSTREAM_KEY}
    url = f"http://127.0.0.1:{upstream}"
    bases = {protocol: f"{url}/v1" if protocol.startswith("openai") else url for protocol in BODIES}
    return {
        "listen": f"127.0.0.1:{port}",
        "auth": {"mode": "none"},
        "upstreams": {name: {"protocol": name, "base_url": base, "api_key": key} for name, base in bases.items()},
        "models": {**{name: f"{name}/m" for name in BODIES}, "*": "openai-chat/*"},
        "retry": {"attempts": 1},
        "limits": {"request_body": LIMIT, "capture": "64KiB"},
        "logging": {"level": "debug"},
    }


async def fuzz(count: int, number: int, folder: Path) -> Tally:
    upstream, port, drawer = Upstream(), free_port(), Drawer(number)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, limit=1 << 22)
    with proxy(folder, config(server.sockets[0].getsockname()[1], port), port) as running:
        run = Run(drawer, count, running)
        await run.check()
        await asyncio.to_thread(settled_files, folder)
        before, began = await asyncio.to_thread(census, running), time.monotonic()
        run.tally = tally = Tally()
        await run.go()
        tally.seconds = time.monotonic() - began
        if running.process.poll() is not None:
            tally.wrong.append("the proxy is down")
        else:
            after = await asyncio.to_thread(settled, running, before, 15)
            tally.grown = {name: (before.get(name, 0), n) for name, n in after.items() if n > before.get(name, 0)}
    server.close()
    tally.wrong += upstream.wrong
    tally.log = (folder / "proxy.log").read_text("utf-8", "replace")
    return tally


def settled_files(folder: Path) -> None:
    """The thread that writes usage opens its files with the first row; they are there until the end."""
    end = time.monotonic() + 10
    while not (folder / "llm-link.db-shm").exists() and time.monotonic() < end:
        time.sleep(0.05)


def measure(count: int, number: int) -> Tally:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(fuzz(count, number, Path(folder)))


def show(tally: Tally) -> None:
    kinds = sorted({kind for kind, _ in tally.statuses})
    for kind in kinds:
        counts = {status: n for (one, status), n in sorted(tally.statuses.items()) if one == kind}
        print(f"{kind:28}", "  ".join(f"{status}: {n}" for status, n in counts.items()))
    faults = tally.faults
    for line in faults[:SHOWN]:
        print("MISS", line)
    if "Traceback" in tally.log:
        print(tally.log[tally.log.index("Traceback") :][:3000])
    total: Counter[str] = Counter()
    for (_, status), n in tally.statuses.items():
        total[status] += n
    print("all:", "  ".join(f"{status}: {n}" for status, n in sorted(total.items())))
    print(
        f"{tally.sent} requests in {tally.seconds:.0f} s, {tally.good} of {tally.batches} checks good, "
        f"memory {tally.growth / (1 << 20):+.1f} MiB to {tally.memory[-1] >> 20} MiB, {len(faults)} misses"
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed says the same things")
    args = parser.parse_args(argv)
    tally = measure(args.requests, args.seed)
    show(tally)
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
