"""The fault suite in its short form, and its judges."""

from __future__ import annotations

import pytest

from scripts import faults
from scripts.bench_wire import BODIES, path_of, voice_of
from scripts.fault_upstream import FAULTS
from scripts.judge import ANSWER, ERROR, judge


def test_every_client_gets_its_answer_or_an_honest_error() -> None:
    verdict = faults.measure(short=True)
    assert {case.fault for case, _ in verdict.results} == {*faults.PLACES, *FAULTS}
    assert verdict.misses == [] and verdict.leaks == {}, verdict.log[-3000:]
    assert verdict.good, verdict.log[-3000:]


@pytest.mark.parametrize("protocol", list(BODIES))
def test_the_judges_know_an_answer_from_a_cut_one(protocol: str) -> None:
    said = voice_of(path_of(protocol, "m", True).encode())
    assert judge(protocol, True, 200, said.begin + said.delta + said.end) == ANSWER
    assert judge(protocol, False, 200, said.whole) == ANSWER
    for cut in (b"", said.begin, said.begin + said.delta * 2, said.begin + said.delta[:-5]):
        assert judge(protocol, True, 200, cut) not in (ANSWER, ERROR), cut
    assert judge(protocol, False, 200, said.whole[:-9]) not in (ANSWER, ERROR)
    assert judge(protocol, False, 200, b"{}") not in (ANSWER, ERROR)
    assert judge(protocol, False, 502, b"<html>") not in (ANSWER, ERROR)
    assert judge(protocol, False, 502, b'{"error": {}}') not in (ANSWER, ERROR)
    assert judge(protocol, False, 204, b"") not in (ANSWER, ERROR)


ERRORS = [
    ("openai-chat", b'data: {"error":{"message":"m","type":"server_error","param":null,"code":null}}\n\n'),
    ("openai-responses", b'event: response.failed\ndata: {"type":"response.failed","response":{}}\n\n'),
    ("anthropic", b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"m"}}\n\n'),
    ("gemini", b'{"error":{"code":500,"message":"m","status":"INTERNAL"}}'),
    ("ollama", b'{"error":"m"}\n'),
]


@pytest.mark.parametrize(("protocol", "end"), ERRORS)
def test_the_judges_know_an_error_in_a_stream(protocol: str, end: bytes) -> None:
    said = voice_of(path_of(protocol, "m", True).encode())
    assert judge(protocol, True, 200, said.begin + said.delta + end) == ERROR


def test_a_miss_is_said_and_ends_with_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    case = faults.Case("sick", "cc", "anthropic", True, False)
    verdict = faults.Verdict([(case, "hang")], {"tasks": (1, 2)}, 1.0, "")
    monkeypatch.setattr(faults, "measure", lambda *_: verdict)
    assert faults.main([]) == 1
    out = capsys.readouterr().out
    assert "MISS sick: anthropic on openai-chat, streamed: hang" in out and "LEAK tasks: 1 before, 2 after" in out
    assert out.rstrip().endswith("1 hangs, 0 quiet cuts, 1 misses, 1 leaks")
