"""mitmproxy's programs in processes that need not import everything anew, which is most of what a start costs.

A server with mitmproxy and our modules in it, one for each process that runs tests, forks for every proxy. What runs
there is what the program runs. `test_packaging.py`, `test_demo.py`, `test_launch.py` and others start the program."""

from __future__ import annotations

import contextlib
import functools
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOADED = ["mitmproxy.tools.dump", "mitmproxy.tools.web.master", "addons.link", "addons.saving", "addons.views"]


@functools.cache
def _context() -> multiprocessing.context.ForkServerContext:
    # The server looks for modules in its working folder, and passes over one that it does not find.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*LOADED, __name__])
    with contextlib.chdir(ROOT):
        forkserver.ensure_running()
    return context


class Forked:
    """A process with what the tests use of `subprocess.Popen`. `command`: a program of mitmproxy and its arguments."""

    def __init__(self, command: list[str], environ: dict[str, str], folder: Path, log: Path) -> None:
        self._process = _context().Process(target=_run, args=(command, environ, str(folder), str(log)))
        self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired after `timeout` seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(command: list[str], environ: dict[str, str], folder: str, log: str) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, source in enumerate((os.open(os.devnull, os.O_RDONLY), out, out)):
        os.dup2(source, number)
    sys.stdout = open(1, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 (as long as the process)
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1)  # noqa: SIM115
    sys.argv = list(command)
    sys.exit(getattr(importlib.import_module("mitmproxy.tools.main"), Path(command[0]).name)())
