"""What mitmweb holds, in the short form of scripts/hold, and how it judges."""

from __future__ import annotations

import dataclasses

from scripts.hold import Bounds, Verdict, measure

BOUNDS = Bounds(exchanges=100, bytes=1 << 20, saved=1 << 20)


def test_memory_and_files_stay_within_their_bounds() -> None:
    verdict = measure(600, BOUNDS)
    assert verdict.faults == [], verdict.total()
    assert verdict.answered == 600 and verdict.files > 8


def test_what_is_too_much_is_said() -> None:
    good = Verdict(BOUNDS, 9, 9, 100 << 20, [101 << 20], 99, 1, 1.0, "")
    assert good.faults == [] and "9 exchanges" in good.total()
    for changed, told in (
        ({"answered": 8}, "MISS 1 of 9"),
        ({"sizes": [100 << 20, 300 << 20, 101 << 20]}, "MEMORY 200 MiB"),
        ({"saved": 2 << 20}, "FILES"),
        ({"saved": 0}, "FILES"),
        ({"log": "Traceback (most recent"}, "Traceback"),
    ):
        assert told in dataclasses.replace(good, **changed).faults[0]  # type: ignore[arg-type]
