"""What several processes on one port cannot do together: each counts and changes for itself alone.

A rate that is counted in each of N processes is N times as high, so it is refused. The control surface would change the
one process that a request happens to reach, so it is off.
"""

from __future__ import annotations

from collections.abc import Iterator

from .settings_model import File, Rate
from .settings_yaml import KeyPath

ONE_ONLY = "is counted in each process for itself: leave it out, or serve without --workers"


def together(workers: int) -> str:
    """What the start line says of several processes."""
    return f", {workers} processes, each without a control surface" if workers > 1 else ""


def counted(file: File) -> Iterator[KeyPath]:
    """The places of rates that are set."""
    places: list[tuple[KeyPath, Rate]] = [(("limits", "rate"), file.limits.rate)]
    places += [(("upstreams", name, "rate"), upstream.rate) for name, upstream in file.upstreams.items()]
    keys = file.auth.keys if file.auth is not None else ()
    places += [(("auth", "keys", n, "rate"), key.rate) for n, key in enumerate(keys)]
    yield from (path for path, rate in places if any(rate.model_dump().values()))
