"""`llm-link serve --workers N`: several real processes on one port, that stop together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from addons.settings import SettingsError, load
from scripts import workers
from scripts.terminal import Trouble
from tests.harness import Conn, Seen, Upstream, clean_environ, free_port, serving

ROOT = Path(__file__).resolve().parent.parent
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="--workers is for Linux: it runs there")


@dataclass
class Crew:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def workers(self) -> list[int]:
        """The processes below, by their ids."""
        return children(self.process.pid)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what: object, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def started(folder: Path, url: str, count: int) -> Crew:
    port = free_port()
    words = ["serve", "--base-url", f"{url}/v1", "--port", port, "--workers", count, "--llm-api-key", "sk-llm-1"]
    argv = [str(word) for word in (sys.executable, ROOT / "scripts" / "cli.py", *words)]
    log = folder / "log"
    with log.open("wb") as out:
        environ = {**clean_environ(), "HOME": str(folder)}
        process = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=folder, env=environ)
    crew = Crew(process, port, log)
    try:
        wait_for(lambda: process.poll() is not None or listeners(port) == count)
        assert process.poll() is None, log.read_text()
    except BaseException:
        process.kill()
        raise
    return crew


def listeners(port: int) -> int:
    """How many sockets listen on a port of 127.0.0.1."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1] == f"0100007F:{port:04X}" and row[3] == "0A" for row in rows)


def answer(conn: Conn, seen: Seen) -> None:
    conn.json({"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]})


upstream = serving(answer)


@pytest.fixture
def crew(upstream: Upstream, tmp_path: Path) -> Iterator[Crew]:
    found = started(tmp_path, upstream.url, 2)
    yield found
    found.process.kill()
    found.process.wait(10)


@LINUX
def test_all_of_them_serve_and_stop_together(crew: Crew, tmp_path: Path) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}

    def ask(_: int) -> tuple[int, str]:
        url = f"http://127.0.0.1:{crew.port}/v1/messages"
        got = httpx.post(url, json={**asked, "max_tokens": 9}, timeout=30)
        return got.status_code, got.json()["content"][0]["text"]

    processes = crew.workers
    before = {pid: written(pid) for pid in processes}
    assert len(processes) == 2
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(40))) == {(200, "yes")}
    assert all(written(pid) - before[pid] > 10 for pid in processes)  # each had its share
    assert httpx.get(f"http://127.0.0.1:{crew.port}/ready").status_code == 200
    assert httpx.get(f"http://127.0.0.1:{crew.port}/api/info").status_code in (403, 404)  # each would tell of itself
    assert not any(b"sk-llm-1" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes)
    assert "2 processes, each without a control surface" in crew.log.read_text()
    second_start_is_refused(crew.port, tmp_path)
    crew.process.send_signal(signal.SIGTERM)
    assert crew.process.wait(20) == 0
    assert not any(map(alive, processes)) and listeners(crew.port) == 0


def written(pid: int) -> int:
    """How often a process wrote to anything."""
    return int(Path(f"/proc/{pid}/io").read_text().split("syscw: ")[1].split()[0])


def second_start_is_refused(port: int, folder: Path) -> None:
    """The kernel would let it share the port."""
    words = ["serve", "--base-url", "http://127.0.0.1:9/v1", "--port", port, "--workers", 2]
    argv = [str(word) for word in (sys.executable, ROOT / "scripts" / "cli.py", *words)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=folder, env=clean_environ(), timeout=60)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "already in use" in done.stderr
    assert listeners(port) == 2


@LINUX
def test_where_one_ends_the_others_are_stopped(crew: Crew) -> None:
    first, second = crew.workers
    os.kill(second, signal.SIGKILL)
    assert crew.process.wait(20) == 1
    assert not alive(first) and "ended (signal SIGKILL); the others are stopped too" in crew.log.read_text()


@LINUX
def test_they_do_not_outlive_who_looks_after_them(crew: Crew) -> None:
    processes = crew.workers
    crew.process.kill()
    crew.process.wait(10)
    wait_for(lambda: not any(map(alive, processes)))


def test_what_several_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Trouble, match="mitmweb shows one process"):
        workers.check(2, web=True)
    with pytest.raises(Trouble, match="more than 64"):
        workers.check(65, web=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Trouble, match="only Linux"):
        workers.check(2, web=False)


CONFIG = """\
auth: {mode: proxy_key, keys: [{value: a, rate: {concurrent: 2}}]}
upstreams: {up: {base_url: "http://127.0.0.1:9/v1", protocol: openai-chat, rate: {requests_per_minute: 5}}}
limits: {rate: {tokens_per_minute: 7}}
control: {keys: [{value: admin}]}
"""


def test_what_is_counted_in_one_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    assert load(path, {}, serve={}).control.enabled
    with pytest.raises(SettingsError) as refused:
        load(path, {}, serve={"workers": 2})
    keys = [problem.key for problem in refused.value.problems]
    assert keys == ["auth.keys[0].rate", "upstreams.up.rate", "limits.rate"]
    path.write_text(CONFIG.replace("5", "0").replace("2", "0").replace("7", "0"))
    settings = load(path, {}, serve={"workers": 2})
    assert not settings.control.enabled


def test_the_port_is_asked_for_before_anything_starts() -> None:
    from scripts import ports

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Trouble, match="--web-port") as trouble:
        ports.demand([("127.0.0.1", taken.getsockname()[1])], "--web-port")
    assert trouble.value.code == 1
    with pytest.raises(Trouble, match="no such address"):
        ports.demand([("192.0.2.1", 8080)])
    ports.demand([("127.0.0.1", free_port())])
