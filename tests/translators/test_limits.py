"""Rate-limit headers, from one protocol's way of writing them to the other's."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.limits import seconds_of, translate_limits

NOW = 1_700_000_000  # 2023-11-14T22:13:20Z
OPENAI = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "6m0s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "60",
    "anthropic-ratelimit-requests-remaining": "59",
    "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:21Z",
    "anthropic-ratelimit-tokens-limit": "150000",
    "anthropic-ratelimit-tokens-remaining": "149984",
    "anthropic-ratelimit-tokens-reset": "2023-11-14T22:19:20Z",
}


def test_from_openai_to_anthropic() -> None:
    assert translate_limits({**OPENAI, "x-request-id": "r"}, "openai-chat", "anthropic", NOW) == ANTHROPIC


def test_from_anthropic_to_openai() -> None:
    back = translate_limits(ANTHROPIC, "anthropic", "openai-chat", NOW)
    assert back == {**OPENAI, "x-ratelimit-reset-tokens": "360s"}


def test_between_the_two_of_openai_nothing_changes() -> None:
    assert translate_limits(OPENAI, "openai-chat", "openai-responses", NOW) == OPENAI


@pytest.mark.parametrize(
    ("source", "target"),
    [("gemini", "anthropic"), ("anthropic", "gemini"), ("ollama", "openai-chat"), ("openai-chat", "ollama")],
)
def test_protocols_without_such_headers(source: str, target: str) -> None:
    assert translate_limits({**OPENAI, **ANTHROPIC}, source, target, NOW) == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1), ("23ms", 0.023), ("6m0s", 360), ("1h2m3s", 3723), ("1d", 86400), ("1.5s", 1.5), ("7", 7), ("0", 0),
        ("", None), ("soon", None), ("1x", None), ("nan", None), ("inf", None), ("-3", None), ("1e400", None),
        ("5s soon", None), ("9" * 400 + "s", None),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("reset", "expected"),
    [
        ("2023-11-14T22:13:20Z", "0s"),
        ("2023-11-14T22:13:20.5Z", "1s"),
        ("2023-11-15T00:13:20+02:00", "0s"),
        ("2023-11-14T22:13:30", "10s"),  # without a zone: UTC, wherever we run
        ("2001-01-01T00:00:00Z", "0s"),
        ("soon", None),
        ("", None),
    ],
)
def test_dates(reset: str, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "Asia/Tokyo")
    time.tzset()
    try:
        out = translate_limits({"anthropic-ratelimit-tokens-reset": reset}, "anthropic", "openai-chat", NOW)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert out.get("x-ratelimit-reset-tokens") == expected


@given(st.text(max_size=12) | st.from_regex(r"[-+]?\d{1,400}(\.\d+)?(e\d+)?(ms|s|m|h|d)?", fullmatch=True))
def test_no_value_of_a_header_can_break_it(value: str) -> None:
    both = {"x-ratelimit-reset-tokens": value, "anthropic-ratelimit-tokens-reset": value}
    for source, target in (("openai-chat", "anthropic"), ("anthropic", "openai-chat")):
        out = translate_limits(both, source, target, NOW)
        assert all(text.isascii() and text.isprintable() for text in out.values())
