"""Rate-limit headers: OpenAI's `x-ratelimit-*` and Anthropic's `anthropic-ratelimit-*` say the same in two ways.

OpenAI writes the reset as a duration (`6m0s`, `23ms`), Anthropic as an RFC 3339 time. The other protocols have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from .faults import duration

_WHAT = ("requests", "tokens")
_FIELDS = ("limit", "remaining", "reset")

_NAMES: dict[str, Callable[[str, str], str]] = {
    "openai-chat": lambda what, field: f"x-ratelimit-{field}-{what}",
    "openai-responses": lambda what, field: f"x-ratelimit-{field}-{what}",
    "anthropic": lambda what, field: f"anthropic-ratelimit-{what}-{field}",
}
_MARKS = {"openai-chat": "x-ratelimit-", "openai-responses": "x-ratelimit-", "anthropic": "anthropic-ratelimit-"}

_LONGEST = 1e9  # seconds; beyond it there is no date to write


def seconds_of(text: str) -> float | None:
    """`6m0s`, `1.5s`, `23ms` or a bare number of seconds. None where it is none of these."""
    try:
        seconds: float | None = float(text)
    except ValueError:
        seconds = duration(text, whole=True)
    return seconds if seconds is not None and 0 <= seconds < _LONGEST else None


def translate_limits(headers: Mapping[str, str], source: str, target: str, now: int) -> dict[str, str]:
    """The rate-limit headers of a response, as the target protocol names and writes them. `now`: Unix seconds."""
    mark = _MARKS.get(source)
    if mark is None or target not in _NAMES or not any(name.startswith(mark) for name in headers):
        return {}
    out = {}
    for what in _WHAT:
        for field in _FIELDS:
            value = headers.get(_NAMES[source](what, field))
            if value is not None and field == "reset":
                value = _reset(value, source, target, now)
            if value is not None:
                out[_NAMES[target](what, field)] = value
    return out


def _reset(value: str, source: str, target: str, now: int) -> str | None:
    if _MARKS[source] == _MARKS[target]:
        return value
    if source == "anthropic":
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return f"{max(0, math.ceil(at.timestamp() - now))}s"
    seconds = seconds_of(value)
    if seconds is None:
        return None
    return datetime.fromtimestamp(now + math.ceil(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
