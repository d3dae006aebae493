"""Ends the proxy when the program that started it is gone, however it went.

The starter keeps the writing end of a pipe and we have the reading end, whose number is in `LLM_LINK_LEASH`. Nothing is
ever written: when the starter ends, even killed, the system closes its end and ours becomes readable.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

VARIABLE = "LLM_LINK_LEASH"


def hold(end: Callable[[], object]) -> None:
    """Calls `end`, once, when the starter is gone. Without the variable nobody holds us."""
    text = os.environ.pop(VARIABLE, "")
    if not text.isdigit():
        return
    descriptor, loop = int(text), asyncio.get_running_loop()

    def gone() -> None:
        loop.remove_reader(descriptor)
        end()

    loop.add_reader(descriptor, gone)
