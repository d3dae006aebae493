"""Real processes for tests: a scripted upstream on loopback, and LLM Link in a real mitmdump before it.

The upstream is plain sockets and threads, so that it can misbehave in every way that a provider can: refuse, hang, lie
about its length, die in the middle of a frame.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from mitmproxy.certs import CertStore

from tests import forked
from tests.forked import Forked

ROOT = Path(__file__).resolve().parent.parent
Process = Forked | subprocess.Popen[bytes]


@dataclass
class Seen:
    """One request as the upstream got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Conn:
    """What a script does with one request: write heads, chunks, or nothing."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.keep = True

    def raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.whole(json.dumps(value).encode(), status, {"content-type": "application/json", **(headers or {})})

    def whole(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.raw(_head(status, {"content-length": str(len(body)), **(headers or {})}) + body)

    def stream(self, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.raw(
            _head(status, {"content-type": "text/event-stream", "transfer-encoding": "chunked", **(headers or {})})
        )

    def chunk(self, data: bytes | str) -> None:
        data = data.encode() if isinstance(data, str) else data
        self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self.raw(b"0\r\n\r\n")

    def close(self) -> None:
        self.keep = False
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


def _head(status: int, headers: dict[str, str]) -> bytes:
    return (f"HTTP/1.1 {status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode()


Script = Callable[[Conn, Seen], None]


class Listener:
    """A server of plain sockets: each connection in a thread of its own, in `serve`."""

    def listen(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Starts; `port` 0: a free one, which is given back."""
        self._server = socket.create_server((host, port))
        threading.Thread(target=self._accept, daemon=True).start()
        return int(self._server.getsockname()[1])

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # stopped
            while True:
                sock, _ = self._server.accept()
                threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock: socket.socket) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self._server.close()


@dataclass
class Upstream(Listener):
    """Plays `script` for every request; `seen` are the requests so far."""

    script: Script
    seen: list[Seen] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)  # the proxy closed a connection under a script
    port: int = 0  # 0: a free one
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        self.port = self.listen(self.host, self.port)
        self.url = f"http://127.0.0.1:{self.port}"

    def serve(self, sock: socket.socket) -> None:
        reader = sock.makefile("rb")
        conn = Conn(sock)
        try:
            while conn.keep and (seen := _read(reader)) is not None:
                self.seen.append(seen)
                self.script(conn, seen)
        except OSError:
            self.gone.set()
        finally:
            sock.close()


def serving(script: Script) -> Any:
    """The fixture `upstream` of a module: one that plays `script`."""

    @pytest.fixture(scope="module", name="upstream")
    def upstream() -> Iterator[Upstream]:
        server = Upstream(script)
        yield server
        server.stop()

    return upstream


def says_hello(conn: Conn, seen: Seen) -> None:
    """A model of openai-chat that says Hello, whole or as a stream."""
    head = {"id": "c", "created": 1, "model": "x"}
    if not seen.json.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
        conn.json({**head, "object": "chat.completion", "choices": [choice]})
        return
    conn.stream()
    for delta, finish in (({"role": "assistant", "content": "Hello"}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        conn.chunk(f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n")
    conn.chunk("data: [DONE]\n\n")
    conn.end()


def _read(reader: Any) -> Seen | None:
    line = reader.readline().decode("latin-1").split()
    if len(line) < 2:
        return None
    headers: dict[str, str] = {}
    while (row := reader.readline().decode("utf-8", "surrogateescape").strip()) != "":
        name, _, value = row.partition(":")
        headers[name.lower()] = value.strip()
    return Seen(line[0], line[1], headers, reader.read(int(headers.get("content-length", "0"))))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def clean_environ() -> dict[str, str]:
    """The environment without anything that would configure LLM Link or a client."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_API_KEY", "_BASE_URL", "_AUTH_TOKEN")) and not name.startswith("LLM_LINK")
    }


class Proxy:
    """A running mitmdump with our addon."""

    def __init__(self, process: Process, port: int, log: Path, config: Path | None) -> None:
        self.process, self.port, self.log_path, self.config = process, port, log, config
        self.url = f"http://127.0.0.1:{port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    def wait_log(self, text: str, seconds: float = 5.0) -> None:
        end = time.monotonic() + seconds
        while text not in self.log:
            assert time.monotonic() < end, f"{text!r} never came up in the log:\n{self.log}"
            time.sleep(0.05)

    def cpu(self) -> float:
        """CPU seconds of the process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@functools.cache
def _authority() -> Path:
    """mitmproxy's own certificate authority, made once: each new one costs 0.1 s."""
    folder = tempfile.TemporaryDirectory(prefix="llm-link-ca-")
    atexit.register(folder.cleanup)
    CertStore.from_store(folder.name, "mitmproxy", 2048)
    return Path(folder.name)


def _start(before: tuple[str, ...], command: list[str], environ: dict[str, str], folder: Path, log: Path) -> Process:
    log.unlink(missing_ok=True)
    if not before:
        return forked.mitmproxy(Path(command[0]).name, command[1:], environ, folder, log)
    with log.open("wb") as out:
        return subprocess.Popen(
            [*before, *command], env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )


@contextlib.contextmanager
def proxy(
    tmp: Path,
    config: dict[str, Any] | None = None,
    *,
    reverse: str = "http://127.0.0.1:9",
    mode: str = "",
    environ: dict[str, str] | None = None,
    arguments: tuple[str, ...] = (),
    program: str = "mitmdump",
    port: int = 0,
    before: tuple[str, ...] = (),
) -> Iterator[Proxy]:
    """Start a proxy on a free port and wait until it is ready. `config` is written to a file in `tmp`; `before`: a
    command that executes the rest of the line (without one, the process is forked from one that has imported all)."""
    port = port or free_port()
    at = mode if "@" in mode or mode.startswith("local") else f"{mode or f'reverse:{reverse}'}@127.0.0.1:{port}"
    path: Path | None = None
    command = [str(Path(sys.executable).parent / program), "-s", str(ROOT / "addons" / "llm_link.py")]
    command += ["--mode", at, "--set", f"confdir={tmp / 'mitmproxy'}"]
    if not (tmp / "mitmproxy").exists():
        shutil.copytree(_authority(), tmp / "mitmproxy")
    if config is not None:
        path = tmp / "llm-link.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
        command += ["--set", f"llm_link_config={path}"]
    command += arguments
    log = tmp / "proxy.log"
    process = _start(before, command, {**clean_environ(), "PYTHONUNBUFFERED": "1", **(environ or {})}, tmp, log)
    running = Proxy(process, port, log, path)
    try:
        if mode.startswith(("local", "transparent")):  # nobody can connect to it who was not redirected
            running.wait_log("redirector started" if mode.startswith("local") else " listening at ", 20)
        else:
            _wait_ready(running, bool(mode))
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _wait_ready(running: Proxy, other: bool = False) -> None:
    """`other`: the mode is one in which no door of ours can be asked; any answer will do."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert running.process.poll() is None, f"the proxy ended:\n{running.log}"
        try:
            status = httpx.get(f"{running.url}/ready", timeout=10).status_code
            if status == 200 or other:
                return
        except httpx.HTTPError:
            pass  # not listening yet
        time.sleep(0.05)
    raise AssertionError(f"the proxy is not ready:\n{running.log}")


def config(*upstreams: Upstream, protocol: str = "openai-chat", **more: Any) -> dict[str, Any]:
    """A config with upstreams `u0`, `u1`, … and model `m` for all of them in order."""
    base = "/v1" if protocol.startswith("openai") else ""
    return {
        "auth": {"mode": "none"},
        "upstreams": {
            f"u{n}": {"protocol": protocol, "base_url": upstream.url + base, "api_key": {"value": f"key-{n}"}}
            for n, upstream in enumerate(upstreams)
        },
        "models": {"m": [f"u{n}/model-{n}" for n in range(len(upstreams))]},
        **more,
    }
