"""The config file is rewritten while many clients ask: every request gets its answer."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

from scripts.bench_wire import BODIES, request
from scripts.census import Line, bad_upstream
from scripts.judge import ANSWER, judge
from tests.harness import Proxy, proxy

CLIENTS = 10  # two of each protocol: one streams
UPSTREAMS = {"a": "openai-chat", "b": "anthropic", "c": "gemini"}
USED = "the changed config is in use"


def settings(port: int, targets: list[str], idle: int = 5, **more: Any) -> str:
    base = f"http://127.0.0.1:{port}/v1"
    document = {
        "auth": {"mode": "none"},
        "upstreams": {
            name: {"protocol": protocol, "base_url": base, "timeout": {"idle": idle}}
            for name, protocol in UPSTREAMS.items()
        },
        "models": {"m": [f"{target}/fault-steady" for target in targets]},
        **more,
    }
    return json.dumps(document)


async def client(n: int, link: Proxy, over: asyncio.Event, got: Counter[str]) -> None:
    protocol, streamed = list(BODIES)[n // 2], n % 2 == 0
    data, line = request(protocol, "m", stream=streamed), await Line.open(link.port)
    while not over.is_set():
        try:
            status, body = await asyncio.wait_for(line.ask(data), 30)
            got[judge(protocol, streamed, status, body)] += 1
        except (OSError, EOFError, ValueError) as error:
            got[repr(error)] += 1
            line = await Line.open(link.port)
    line.close()


async def said(link: Proxy, text: str, times: int) -> None:
    async with asyncio.timeout(20):
        while link.log.count(text) < times:
            await asyncio.sleep(0.05)


async def rewrite(link: Proxy, upstream: int, got: Counter[str]) -> None:
    assert link.config is not None
    good = [
        settings(upstream, ["b", "c"]),
        settings(upstream, ["c"], idle=4),
        settings(upstream, ["b", "a"], retry={"attempts": 2}),
    ]
    for n, text in enumerate(good, 1):
        link.config.write_text('{"upstreams": {"a": {"protocol": "none"')
        await said(link, "the changed config is not used", n)
        await enough(got)
        link.config.write_text(text)
        await said(link, USED, n)
        await enough(got)
    await write_slowly(link.config, good[0])


async def write_slowly(config: Path, text: str) -> None:
    """Again and again, in two steps: what is there in between would be a good config, of nothing."""
    for _ in range(20):
        config.write_text("")
        await asyncio.sleep(0.05)
        config.write_text(text)
        await asyncio.sleep(0.03)


async def enough(got: Counter[str]) -> None:
    """Some turns of every client."""
    until = got.total() + CLIENTS
    async with asyncio.timeout(30):
        while got.total() < until:
            await asyncio.sleep(0.05)


def test_a_reload_under_load_loses_no_request(tmp_path: Path) -> None:
    got: Counter[str] = Counter()

    async def run(link: Proxy, upstream: int) -> None:
        over = asyncio.Event()
        everyone = asyncio.gather(*(client(n, link, over, got) for n in range(CLIENTS)))
        try:
            await rewrite(link, upstream, got)
        finally:
            over.set()
            await everyone

    with bad_upstream() as ports:
        document = json.loads(settings(ports["server"], ["a"]))
        with proxy(tmp_path, document) as link:
            asyncio.run(run(link, ports["server"]))
            assert "Traceback" not in link.log
            used = {target for target in UPSTREAMS if f"-> {target}/fault-steady" in link.log}
    assert set(got) == {ANSWER}, got
    assert used == set(UPSTREAMS)
