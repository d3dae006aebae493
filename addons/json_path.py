"""One field of a JSON text, named by a path: `messages[0].content`."""

from __future__ import annotations

import json
import re
from typing import Any

_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(-?\d+)\]")


class PathError(ValueError):
    """Says what is wrong with a path, and where."""


def put(body: bytes, path: str, value: str | None) -> bytes:
    """The body with one field set. `value`: JSON, or else a text; None takes the field out. Raises `PathError`, and
    `ValueError` for a body that is no JSON."""
    whole = json.loads(body)
    steps = _steps(path)
    at = whole
    for n, step in enumerate(steps[:-1]):
        at = _into(at, step, path, n)
    _set(at, steps[-1], path, value)
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def _steps(path: str) -> list[str | int]:
    found = [*_STEP.finditer(path)]
    if not found or "".join(match[0] for match in found) != path:
        raise PathError(f"{path!r} is no path such as messages[0].content")
    return [match[1] if match[1] is not None else int(match[2]) for match in found]


def _into(at: Any, step: str | int, path: str, n: int) -> Any:
    if isinstance(step, str) and isinstance(at, dict) and step not in at:
        return at.setdefault(step, {})
    try:
        return at[step]
    except (KeyError, IndexError, TypeError):
        raise PathError(f"{path!r} leads nowhere at its step {n + 1}, {step!r}") from None


def _set(at: Any, step: str | int, path: str, value: str | None) -> None:
    try:
        if isinstance(step, int) and not isinstance(at, list):
            raise TypeError
        if value is None:
            del at[step]
        elif isinstance(at, list) and step == len(at):
            at.append(_value(value))
        else:
            at[step] = _value(value)
    except (KeyError, IndexError, TypeError):
        raise PathError(f"{path!r} leads nowhere at its last step, {step!r}") from None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
