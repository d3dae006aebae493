"""`llm-link doctor`: what works here and what does not, one finding a line with what to do about it.

Only looks: no file is written, no program's settings are changed, and no key is ever shown. What takes long (programs
that say their version, upstreams that are asked) runs side by side, each with a time limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Literal

State = Literal["ok", "warn", "fail", "skip"]
STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}


@dataclass(frozen=True)
class Finding:
    """`area`: what kind of thing; `name`: which one; `detail`: how it is; `advice`: what to do, "" where nothing is."""

    area: str
    name: str
    state: State
    detail: str
    advice: str = ""


@dataclass(frozen=True)
class Asked:
    """What the command line said. `timeout`: seconds for each step of each upstream."""

    config: Path | None = None
    provider: str | None = None
    base_url: str | None = None
    env_file: Path | None = None
    host: str | None = None
    port: int | None = None
    web_port: int = 8081
    offline: bool = False
    timeout: float = 10.0


def side_by_side[A, B](work: Callable[[A], B], items: Iterable[A], seconds: float, late: Callable[[A], B]) -> list[B]:
    """`work` for each item, each in a thread of its own; `late` for those that take longer. A thread that hangs (in a
    look-up of a name, say) does not hold up the end of the program."""
    started = [(item, _start(work, item)) for item in items]
    found = []
    for item, future in started:
        try:
            found.append(future.result(seconds))
        except TimeoutError:
            found.append(late(item))
    return found


def _start[A, B](work: Callable[[A], B], item: A) -> Future[B]:
    future: Future[B] = Future()

    def run() -> None:
        try:
            future.set_result(work(item))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def findings(asked: Asked) -> list[Finding]:
    """All of them, in the order in which a person would fix them."""
    from scripts import doctor_clients, doctor_config, doctor_machine

    here = doctor_config.read(asked)
    return [
        *doctor_machine.programs(),
        *doctor_machine.certificates(),
        *doctor_machine.ports(here.host, here.port, asked.web_port),
        *here.findings,
        *doctor_config.keys(here),
        *doctor_config.upstreams(here, asked),
        *doctor_clients.clients(here.host, here.port),
    ]


def report(found: Sequence[Finding]) -> int:
    """The table. 1: something failed."""
    from scripts.terminal import Mark, print_table

    rows = [(f.area, f.name, Mark(f.state, STYLES[f.state]), f.detail) for f in found]
    print_table(("area", "what", "state", "how it is"), rows)
    advice = [f for f in found if f.advice]
    if advice:
        print("\nWhat to do:")
        for f in advice:
            print(f"  {f.name}: {f.advice}")
    return exit_code(found)


def exit_code(found: Sequence[Finding]) -> int:
    return 1 if any(f.state == "fail" for f in found) else 0


def as_values(found: Sequence[Finding]) -> dict[str, Any]:
    return {"good": not exit_code(found), "findings": [asdict(f) for f in found]}
