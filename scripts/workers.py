"""`llm-link serve --workers N`: several processes that listen on one port, for more than one core can do.

The kernel spreads the connections over them (SO_REUSEPORT), which Linux alone does evenly. This process only looks
after them: it passes signals on, and where one ends the others are stopped too, so that a supervisor sees it. Where it
dies itself, the kernel ends them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from scripts.terminal import FAILED, fail, warn

PATIENCE = 10.0  # seconds between asking a process to stop and ending it
MOST = 64
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# One process: asyncio itself opens the sockets, with the one flag more. It goes with its parent, whose number it is
# told, since that one may have died before it could ask for that.
WORKER = """
import asyncio, ctypes, functools, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv.pop(1)): sys.exit(1)
asyncio.start_server = functools.partial(asyncio.start_server, reuse_port=True)
sys.argv[0] = "mitmdump"
from mitmproxy.tools.main import mitmdump
mitmdump()
"""


def check(workers: int, web: bool) -> None:
    """Refuses what several processes cannot do."""
    if web:
        fail("--workers: mitmweb shows one process; leave out --web or --workers")
    if sys.platform != "linux":
        fail("--workers: only Linux spreads the connections of one port over several processes")
    if workers > MOST:
        fail(f"--workers: {workers} is more than {MOST}; one for each core is enough")


def run(workers: int, words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Until stopped, or until one of them ends. `words`: mitmdump's. That the port is free was asked before: they do
    not mind each other, nor would they mind a second start."""
    return Crew(workers, words, environ).run()


class Crew:
    def __init__(self, workers: int, words: Sequence[str], environ: Mapping[str, str]) -> None:
        self._argv = [sys.executable, "-c", WORKER, str(os.getpid()), *words]
        self._environ, self._count = dict(environ), workers
        self._processes: list[subprocess.Popen[bytes]] = []
        self._asked = False  # somebody told us to stop

    def run(self) -> int:
        for number in STOPS:
            signal.signal(number, self._stop)
        try:
            for _ in range(self._count):
                if not self._asked:
                    self._processes.append(self._start())
            code = self._watch()
        finally:
            self._end()
        return code

    def _start(self) -> subprocess.Popen[bytes]:
        """In a group of its own: Ctrl-C on a terminal is for us, to be passed on once."""
        return subprocess.Popen(self._argv, env=self._environ, stdin=subprocess.DEVNULL, process_group=0)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.send_signal(number)

    def _watch(self) -> int:
        """Waits for any of them. Signals interrupt the wait and are passed on by their handler."""
        if not self._processes:  # we were stopped before the first
            return 0
        pids = {process.pid: n for n, process in enumerate(self._processes, 1)}
        ended = self._wait_for_one()
        if self._asked:
            return 0
        warn(f"process {pids[ended.pid]} of {len(pids)} ended ({_how(ended.returncode)}); the others are stopped too")
        return FAILED

    def _wait_for_one(self) -> subprocess.Popen[bytes]:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        assert found is not None
        process = next(process for process in self._processes if process.pid == found.si_pid)
        process.wait()
        return process

    def _end(self) -> None:
        self._tell(signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        for process in self._processes:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
