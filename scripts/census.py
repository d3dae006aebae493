"""A real mitmdump with LLM Link and a count of what is alive in it, a misbehaving upstream, and a client that is just
a socket: what the fault suite and the soak stand on.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.bench_house import HERE, Proxy, ready, running, stop
from scripts.serve import ADDON, program

# Asked by its path, and answered by this script inside the proxy: what is alive there.
CENSUS = """
import asyncio, gc, json
from mitmproxy import ctx, http
from mitmproxy.proxy import server

def request(flow):
    if flow.request.path == "/census":
        gc.collect()
        kinds = {}
        for one in gc.get_objects():
            name = type(one).__name__
            if name in ("Exchange", "Attempt", "LinkStream", "HTTPFlow", "Answer", "HttpClient"):
                kinds[name] = kinds.get(name, 0) + 1
        kinds["tasks"] = len(asyncio.all_tasks())
        flow.response = http.Response.make(200, json.dumps(kinds), {"content-type": "application/json"})
"""


@contextlib.contextmanager
def bad_upstream(seed: int = 0) -> Iterator[dict[str, int]]:
    """Its ports, by name. `seed`: of what it does where it is asked to do anything."""
    argv = [sys.executable, "-m", "scripts.fault_upstream", str(seed)]
    process = subprocess.Popen(argv, cwd=HERE.parent, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        stop(process)


@contextlib.contextmanager
def proxy(folder: Path, document: dict[str, Any], port: int) -> Iterator[Proxy]:
    """LLM Link in a real mitmdump, with the census beside it."""
    path, script = folder / "llm-link.yaml", folder / "census.py"
    path.write_text(json.dumps(document))  # JSON is YAML
    script.write_text(CENSUS)
    argv = [*program("mitmdump"), "-s", str(ADDON), "-s", str(script), "--mode", "reverse:http://127.0.0.1:9"]
    argv += ["--set", f"llm_link_config={path}", "--set", "flow_detail=0", "--set", "termlog_verbosity=warn"]
    with running(argv, port, ready, folder / "proxy.log") as process:
        yield process


def census(proxy: Proxy) -> dict[str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    try:
        connection.request("GET", "/census")
        found: dict[str, int] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    found["descriptors"] = len(list(Path(f"/proc/{proxy.process.pid}/fd").iterdir()))
    return found


def settled(proxy: Proxy, before: dict[str, int], seconds: float) -> dict[str, int]:
    """What is alive, once it is no more than before, or when the time is over."""
    end = time.monotonic() + seconds
    while True:
        now = census(proxy)
        if all(now.get(name, 0) <= before.get(name, 0) for name in {*now, *before}) or time.monotonic() > end:
            return now
        time.sleep(0.5)


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, tuple[int, int]]:
    """What there is more of than before: both counts."""
    return {name: (before.get(name, 0), count) for name, count in after.items() if count > before.get(name, 0)}


class Line:
    """A client's connection. All methods raise `OSError`, `EOFError` or `ValueError` where HTTP breaks."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.closes = False  # the other side says so

    @classmethod
    async def open(cls, port: int) -> Line:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 24))

    async def ask(self, data: bytes) -> tuple[int, bytes]:
        """Status and body of the answer, and the end of the message must have come."""
        status, fields = await self.begin(data)
        if "chunked" not in fields.get("transfer-encoding", ""):
            return status, await self.reader.readexactly(int(fields.get("content-length", "0")))
        pieces = []
        while piece := await self.piece():
            pieces.append(piece)
        return status, b"".join(pieces)

    async def begin(self, data: bytes) -> tuple[int, dict[str, str]]:
        """Send a request, and read the head of its answer."""
        self.writer.write(data)
        await self.writer.drain()
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        self.closes = fields.get("connection") == "close"
        return int(head.split()[1]), fields

    async def piece(self) -> bytes:
        """One chunk of a chunked answer; the last is empty."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    def close(self) -> None:
        self.writer.close()


async def ask(port: int, data: bytes) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    line = await Line.open(port)
    try:
        return await line.ask(data)
    finally:
        line.close()
