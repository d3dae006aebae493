"""The soak in its short form, and how it judges."""

from __future__ import annotations

from collections import Counter

import pytest

from scripts import soak
from scripts.bench_wire import BODIES
from scripts.judge import ANSWER, ERROR


def test_nothing_is_lost_and_nothing_stays(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = soak.measure(clients=30, seconds=15, seed=1)
    assert verdict.faults == [], verdict.total()
    got = verdict.tally.got
    assert set(got) == {ANSWER, ERROR, soak.LEFT} and verdict.tally.turns > 50
    assert 0 < len(capsys.readouterr().out.splitlines()) <= soak.LINES


def good() -> soak.Tally:
    return soak.Tally(Counter({ANSWER: 5}), Counter(list(BODIES)), [], [100] * 20)


def test_what_is_wrong_is_said_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(tally: soak.Tally, leaks: dict[str, tuple[int, int]], log: str) -> tuple[int, str]:
        monkeypatch.setattr(soak, "measure", lambda *_: soak.Verdict(tally, leaks, soak.LONG, log))
        return soak.main([]), capsys.readouterr().out

    assert ended(good(), {}, "")[0] == 0
    lost, deaf, fat = good(), good(), good()
    lost.add("anthropic", "cc-live", "hang")
    deaf.answered = Counter(list(BODIES)[1:])
    fat.sizes = [*range(100, 140)]
    for verdict, told in (
        (ended(lost, {}, ""), "MISS anthropic on cc-live: hang"),
        (ended(deaf, {}, ""), "MISS openai-chat: no client got an answer"),
        (ended(fat, {}, ""), "GROWTH"),
        (ended(good(), {"tasks": (1, 2)}, ""), "LEAK tasks: 1 before, 2 after"),
        (ended(good(), {}, "Traceback (most recent"), "Traceback"),
    ):
        assert verdict[0] == 1 and told in verdict[1]


def test_warming_up_is_no_growth() -> None:
    tally = good()
    tally.sizes = [50] * 4 + [100] * 16
    assert tally.growth() == 1.0
