"""Our programs, and mitmproxy's, in processes that need not import all anew, which is most of what a start costs.

A server with all modules in it, one for each process that runs tests, forks for every program. What runs there is what
the program runs. `test_packaging.py`, `test_demo.py`, `test_launch.py` and others start the programs themselves."""

from __future__ import annotations

import contextlib
import functools
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

from scripts.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
LOADED = ["mitmproxy.tools.dump", "mitmproxy.tools.web.master", "addons.link", "addons.saving", "addons.views"]
LOADED += [f"scripts.commands.{row.module}" for row in COMMANDS.values()]


@functools.cache
def _context() -> ForkServerContext:
    # The server looks for modules in its working folder, and passes over one that it does not find.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*LOADED, __name__])
    with contextlib.chdir(ROOT):
        forkserver.ensure_running()
    return context


class Forked:
    """A process with what the tests use of `subprocess.Popen`. `entry`: "module:function"; `argv`: with its own name
    first; `files`: what it reads, writes and complains to."""

    def __init__(
        self, entry: str, argv: list[str], environ: dict[str, str], folder: Path, files: tuple[Path, Path, Path]
    ) -> None:
        told = (entry, argv, environ, str(folder), [str(file) for file in files])
        self._process = _context().Process(target=_run, args=told)
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


def mitmproxy(program: str, arguments: list[str], environ: dict[str, str], folder: Path, log: Path) -> Forked:
    """`program`: mitmdump or mitmweb."""
    files = (Path(os.devnull), log, log)
    return Forked(f"mitmproxy.tools.main:{program}", [program, *arguments], environ, folder, files)


def llm_link(*words: object, cwd: Path, environ: dict[str, str], typed: str = "") -> subprocess.CompletedProcess[str]:
    """Runs `llm-link` to its end. `typed`: what it reads."""
    argv = [str(ROOT / "scripts" / "cli.py"), *map(str, words)]
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "in"), Path(folder, "out"), Path(folder, "err")
        files[0].write_text(typed, "utf-8")
        process = Forked("scripts.cli:main", argv, environ, cwd, files)
        try:
            code = process.wait(60)
        finally:
            process.kill()
        return subprocess.CompletedProcess(argv, code, *(file.read_text("utf-8") for file in files[1:]))


def _run(entry: str, argv: list[str], environ: dict[str, str], folder: str, files: list[str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    for number, file in enumerate(files):
        opened = os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    # Strict, as where the locale is UTF-8: in that of C, what is no text gets through.
    coding = environ.get("PYTHONIOENCODING", "utf-8")
    sys.stdin = open(0, encoding=coding)  # noqa: SIM115 (all three as long as the process)
    sys.stdout = open(1, "w", encoding=coding, buffering=1)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding=coding, errors="backslashreplace", buffering=1)  # noqa: SIM115
    sys.argv = argv
    module, _, function = entry.partition(":")
    sys.exit(getattr(importlib.import_module(module), function)())
