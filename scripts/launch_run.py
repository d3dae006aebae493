"""The two processes of a launch: the proxy, which ends when we do, and the client, which has the terminal.

The client is in our process group, so Ctrl-C and Ctrl-Z reach it from the terminal itself; we only stand by. What is
sent to us alone is passed on. The proxy is in a session of its own, out of reach of the terminal, and holds a pipe of
ours: when we are gone, even killed, it sees the pipe's end and goes too (`addons/leash.py`).
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from scripts.terminal import FAILED, Trouble

LEASH = "LLM_LINK_LEASH"
PATIENCE = 30.0  # seconds for the proxy to be ready
GRACE = 5.0  # seconds for a client that was told to end, and for the proxy
PR_SET_PDEATHSIG = 1
CANNOT_RUN = 126  # what a shell says of such a program


class Busy(Exception):
    """Another program was faster on the port that looked free."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Proxy:
    """The proxy that a launch starts. `log`: the file with all that it says; `passing`: it is one in the client's way,
    and has no door of its own to knock at."""

    def __init__(
        self, words: Sequence[str], environ: Mapping[str, str], port: int, log: Path, passing: bool = False
    ) -> None:
        self.url, self.port, self.log, self.passing = f"http://127.0.0.1:{port}", port, log, passing
        held, self._leash = os.pipe()
        try:
            with log.open("wb") as out:
                self.process = subprocess.Popen(
                    words,
                    env={**environ, LEASH: str(held)},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    pass_fds=(held,),
                    start_new_session=True,
                )
        finally:
            os.close(held)

    def wait_ready(self) -> None:
        """Raises `Busy`, or `Trouble` where it does not come up."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.process.poll() is not None:
                if "already in use" in self.said():
                    raise Busy
                raise Trouble(f"the proxy ended with {self.process.returncode}:\n{self.said()[-3000:]}", FAILED)
            if self._answers():
                return
            time.sleep(0.03)
        raise Trouble(f"the proxy is not ready after {PATIENCE:.0f} s:\n{self.said()[-3000:]}", FAILED)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200 or self.passing
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def web_url(self) -> str:
        """mitmweb's address with its token, as its log names it; "" where it does not."""
        found = re.search(r"http://[\w.:]+/\?token=\w+", self.said())
        return found[0] if found else ""

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._leash)
        self.process.terminate()
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def interrupted(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def orderly() -> None:
    """A signal that would end us at once unwinds instead, so that what was started is stopped."""
    for number in ENDING[:3]:
        signal.signal(number, interrupted)


def run_client(words: Sequence[str], environ: Mapping[str, str], folder: Path | None = None) -> int:
    """Runs the client with our terminal until it ends. Its exit code, or 128 and the signal that ended it.

    From then on nothing stops us from putting things away: that is soon done."""
    try:
        with kept_terminal():
            return Client(words, environ, folder).wait()
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)


class Client:
    def __init__(self, words: Sequence[str], environ: Mapping[str, str], folder: Path | None) -> None:
        self.pid = 0
        self.early: list[int] = []
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._from_terminal)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._told)
        signal.signal(signal.SIGALRM, self._impatient)
        # No threads are ours but the demo's model, which holds no lock that a new process needs.
        environ = {**environ, "PWD": str(folder.resolve())} if folder else environ
        try:
            self.process = subprocess.Popen(words, env=environ, cwd=folder, preexec_fn=ender())
        except OSError as error:
            raise Trouble(f"{words[0]} cannot be run: {error.strerror}", CANNOT_RUN) from None
        self.pid = self.process.pid
        for number in self.early:
            self._send(number)

    def _send(self, number: int) -> None:
        if not self.pid:
            self.early.append(number)
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _from_terminal(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C: the terminal has told the client too; a client that hears it twice may take it for two."""
        if not in_foreground():
            self._send(number)

    def _told(self, number: int, frame: FrameType | None) -> None:
        self._send(number)
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    def _impatient(self, number: int, frame: FrameType | None) -> None:
        self._send(signal.SIGKILL)

    def wait(self) -> int:
        while True:
            _, status = os.waitpid(self.pid, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                stop_too()
                continue
            self.process.returncode = os.waitstatus_to_exitcode(status)  # subprocess need not wait for it again
            signal.setitimer(signal.ITIMER_REAL, 0)
            code = self.process.returncode
            return code if code >= 0 else 128 - code


def stop_too() -> None:
    """The client suspended itself: the shell must see us stop, or it would wait for ever. `fg` wakes us both."""
    if in_foreground():
        os.kill(os.getpid(), signal.SIGSTOP)


def in_foreground() -> bool:
    """Whether a terminal sends its signals to our group, and so to the client."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def ender() -> Callable[[], object] | None:
    """What runs in the client's process before it is the client: Linux is to hang up on it when we are killed."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return lambda: library.prctl(PR_SET_PDEATHSIG, signal.SIGHUP)


@contextlib.contextmanager
def kept_terminal() -> Iterator[None]:
    """The terminal's settings after the client are those before it, also where it was killed."""
    modes: list[Any] | None = None
    if sys.stdin.isatty():
        import termios

        modes = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        if modes is not None and in_foreground():
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, modes)


# ------------------------------------------------------------------------------------------------ what stays behind


def stop_leftovers(mark: str, home: Path) -> None:
    """Ends what the client left running in its private home (a daemon of its own, say); other programs that were
    started from it stay. `mark`: `NAME=VALUE` that its environment has. Linux only: elsewhere it cannot be seen."""
    found = list(leftovers(mark.encode(), str(home)))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if found and number == signal.SIGTERM:
            time.sleep(0.2)


def leftovers(mark: bytes, home: str) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            words = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
            if home in words or os.readlink(entry / "exe").startswith(home):
                yield int(entry.name)
