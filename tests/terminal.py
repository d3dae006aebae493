"""A real terminal for a program: what it shows is read, and keys are pressed where it asks."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

INTERRUPT = "\x03"  # Ctrl-C; pressed again until something happens


def _own() -> None:
    """Makes the terminal the one that Ctrl-C comes from and that passwords are asked on."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@dataclass
class Shown:
    code: int
    text: str


def converse(
    argv: Sequence[object], answers: Sequence[tuple[str, str]], cwd: Path, environ: dict[str, str], seconds: float = 60
) -> Shown:
    """Runs a program on a terminal of its own. `answers`: what to type once the first has been shown, in this order.

    Raises `AssertionError` with what was shown where a question does not come."""
    terminal, side = pty.openpty()
    words = [str(word) for word in argv]
    process = subprocess.Popen(
        words, stdin=side, stdout=side, stderr=side, cwd=cwd, env=environ, start_new_session=True, preexec_fn=_own
    )
    os.close(side)
    shown, seen, waiting, keys = "", 0, list(answers), ""
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            if waiting and (at := shown.find(waiting[0][0], seen)) >= 0:
                seen = at + len(waiting[0][0])
                keys = waiting.pop(0)[1]
                os.write(terminal, keys.encode())
                continue
            if not select.select([terminal], [], [], 3)[0]:
                if keys == INTERRUPT:  # it is lost where it comes right before `input` begins to wait
                    os.write(terminal, keys.encode())
                continue
            try:
                data = os.read(terminal, 65536)
            except OSError:  # how Linux says that the other side is closed
                data = b""
            if not data:
                break
            shown += data.decode("utf-8", "replace")
        else:
            process.kill()
    finally:
        os.close(terminal)
        code = process.wait(10)
    assert not waiting, f"never asked {waiting[0][0]!r}:\n{shown}"
    return Shown(code, shown.replace("\r\n", "\n"))
