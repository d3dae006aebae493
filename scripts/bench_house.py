"""The processes of the bench: a stub upstream, plain mitmproxy and ours, each on a free loopback port, and their cost.

CPU and memory are those of the proxy's process alone, out of `/proc`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.serve import program

HERE = Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")

UPSTREAMS = {
    "cc": "openai-chat",
    "rs": "openai-responses",
    "an": "anthropic",
    "gm": "gemini",
    "ol": "ollama",
}

LOST = "lost-"  # before an upstream's name: one that refuses connections stands before it

# What a pass-through of plain mitmproxy needs, so that it streams where we do.
PLAIN = """
def responseheaders(flow):
    if flow.response.headers.get("content-type", "").startswith(("text/event-stream", "application/x-ndjson")):
        flow.response.stream = True
"""


@dataclass
class Proxy:
    """A running proxy, its port and its cost."""

    process: subprocess.Popen[bytes]
    port: int
    start: float  # seconds until it answered

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def rss(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def running(argv: list[str], port: int, up: Callable[[int], bool], log: Path) -> Iterator[Proxy]:
    began = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        while not up(port):
            if process.poll() is not None or time.perf_counter() - began > 30:
                raise RuntimeError(f"{argv[:4]} did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.01)
        yield Proxy(process, port, time.perf_counter() - began)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def stub() -> Iterator[int]:
    argv = [sys.executable, "-m", "scripts.bench_load"]
    process = subprocess.Popen(argv, cwd=HERE.parent, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        stop(process)


class House:
    """Starts the legs. `plain` passes everything on; `ours` has an upstream of each protocol."""

    def __init__(self, folder: Path, upstream: int) -> None:
        self.folder, self.upstream = folder, upstream
        self.refusing = socket.socket()  # bound and not listening: nobody else can take its port
        self.refusing.bind(("127.0.0.1", 0))
        (folder / "plain.py").write_text(PLAIN)

    def plain(self) -> contextlib.AbstractContextManager[Proxy]:
        port = free_port()
        options = ("flow_detail=0", "termlog_verbosity=warn", "connection_strategy=lazy", "keep_host_header=true")
        argv = [*program("mitmdump"), "--mode", f"reverse:http://127.0.0.1:{self.upstream}"]
        argv += ["--listen-host", "127.0.0.1", "--listen-port", str(port), "-s", str(self.folder / "plain.py")]
        argv += [word for option in options for word in ("--set", option)]
        return running(argv, port, listens, self.folder / "plain.log")

    def ours(self) -> contextlib.AbstractContextManager[Proxy]:
        port = free_port()
        base = f"http://127.0.0.1:{self.upstream}/v1"
        nowhere = f"http://127.0.0.1:{self.refusing.getsockname()[1]}/v1"
        places = {"": base, LOST: nowhere}
        config = {
            "listen": f"127.0.0.1:{port}",
            "auth": {"mode": "none"},
            "upstreams": {
                f"{place}{name}": {"protocol": protocol, "base_url": url}
                for place, url in places.items()
                for name, protocol in UPSTREAMS.items()
            },
            "models": {
                **{f"{name}-*": f"{name}/*" for name in UPSTREAMS},
                **{f"{LOST}{name}-*": [f"{LOST}{name}/*", f"{name}/*"] for name in UPSTREAMS},
            },
            "retry": {"cooldown": 0},
            "logging": {"level": "warning"},
        }
        path = self.folder / "llm-link.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        argv = [sys.executable, str(HERE / "cli.py"), "serve", "--config", str(path)]
        return running(argv, port, ready, self.folder / "ours.log")
