"""Diff: what became of the client's words on their way to the upstream, and of its answer on the way back.

Two protocols have few field names in common, so both sides are read back into neutral values, and these are compared;
with the same protocol on both sides the bodies themselves are. What could not be said is a loss, with its reason.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from addons.views.compare import Change, changes
from addons.views.reading import (
    Answer,
    Unreadable,
    answer_of,
    answered,
    asked_by_client,
    asked_of,
    header,
)
from addons.views.record import Attempt, Shown
from addons.views.ruled import ruled
from addons.views.text import count_bytes, number
from translators.body import WRONG
from translators.model import Request, ToolCall
from translators.pretty import heading, table

_MOST = 200  # changes that are shown
_KEPT_TO_ONE = frozenset(("extra", "raw", "protocol"))  # what only one protocol understands
_STEP = re.compile(r"[^.\[\]]+")


def requests(shown: Shown) -> str:
    """The client's request beside what the last attempt sent."""
    record, attempt = shown.record, shown.record.attempt
    blocks = [_losses(shown), ruled(record.rules)]
    if attempt is None or attempt.request is None:
        return "\n".join([*blocks, "nothing was sent upstream"]).strip()
    if attempt.protocol == record.client.protocol:
        blocks.append(_bodies(shown.request.body, attempt.request.body, attempt.request.size))
    else:
        blocks.append(_compared(lambda: _neutral(_asked(shown)), lambda: _neutral(_asked_of(shown, attempt))))
    blocks.append(_headers(shown, attempt))
    return "\n".join(block for block in blocks if block)


def answers(shown: Shown) -> str:
    """The upstream's answer beside what the client got."""
    record, attempt = shown.record, shown.record.attempt
    if attempt is None or attempt.response is None:
        return "there is no answer of an upstream"
    if attempt.response.body == record.sent.body and attempt.response.size == record.sent.size:
        return f"the same {count_bytes(record.sent.size)} on both sides"
    return _compared(lambda: _answer(answer_of(record)), lambda: _answer(_got(shown)))


def _asked(shown: Shown) -> Any:
    """What was to be translated: the client's request, as rules left it."""
    rules = shown.record.rules
    after = rules.request.after if rules is not None and rules.request is not None else []
    if not isinstance(after, (bytes, str)):
        return asked_by_client(shown)
    try:
        return msgspec.json.decode(after, type=Request)
    except WRONG:  # it was too long to be kept whole, or is no conversation
        return asked_by_client(shown)


def _asked_of(shown: Shown, attempt: Attempt) -> Any:
    return asked_of(attempt, shown.record.client.purpose)


def _got(shown: Shown) -> Answer:
    """What the client got, read by its own protocol."""
    record, response = shown.record, shown.response
    if response is None:
        raise Unreadable("the client has got nothing yet")
    kind = header(response.headers, "content-type")
    body = record.sent.body if record.sent.size else response.body
    return answered(record.client.protocol, record.client.purpose, kind, record.status or 200, body)


def _answer(answer: Answer) -> Any:
    return _neutral(answer.value)


def _neutral(value: Any) -> Any:
    """Plain values of a neutral one, less what is empty and what only one protocol understands."""
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        said = {name: _neutral(getattr(value, name)) for name in value.__struct_fields__ if name not in _KEPT_TO_ONE}
        if isinstance(value, ToolCall):
            said["arguments"] = _arguments(value.arguments)
        return {**({"type": tag} if tag else {}), **{k: v for k, v in said.items() if v not in (None, [], {}, "")}}
    return [_neutral(each) for each in value] if isinstance(value, (list, tuple)) else value


def _arguments(text: str) -> Any:
    """As values: blanks between them are no change."""
    try:
        return msgspec.json.decode(text)
    except WRONG:
        return text


def _compared(before: Callable[[], Any], after: Callable[[], Any]) -> str:
    try:
        one = before()
    except Unreadable as error:
        return f"the one side cannot be read: {error}"
    try:
        return _told(list(changes(one, after())), "in neutral words")
    except Unreadable as error:
        return f"the other side cannot be read: {error}"


def _bodies(before: bytes, after: bytes, size: int) -> str:
    """Two bodies of the same protocol."""
    if before == after:
        return f"the same {count_bytes(size)} went upstream"
    if size > len(after):
        return f"only the first {len(after)} of {size} bytes were kept"
    try:
        return _told(list(changes(msgspec.json.decode(before), msgspec.json.decode(after))), "in the body")
    except WRONG as error:
        return f"the bodies cannot be compared: {error}"


def _told(found: Sequence[Change], where: str) -> str:
    if not found:
        return f"nothing was changed {where}"
    lines = [heading(f"changed {where}: {number(len(found), 'place')}")]
    for change in found[:_MOST]:
        lines.append(f"{change.path or 'all of it'}")
        lines += [f"  - {change.before}"] if change.before else []
        lines += [f"  + {change.after}"] if change.after else []
    return "\n".join([*lines, f"… and {len(found) - _MOST} more"] if len(found) > _MOST else lines)


def _losses(shown: Shown) -> str:
    """What could not be said as it was asked: the client's own words, what became of them and why."""
    record = shown.record
    if not record.losses:
        return ""
    told = set(record.warnings)
    body = _decoded(shown.request.body)
    lines = [heading(f"not said as it was asked: {len(record.losses)}")]
    for loss in record.losses:
        path, code, why = loss
        lines.append(f"{path}: {code}{'' if loss in told else ' (the client was not told)'}")
        value = _at(body, path)
        lines += [f"  - {value}"] if value else []
        lines.append(f"  {why}")
    return "\n".join(lines)


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except WRONG:
        return None


def _at(value: Any, path: str) -> str:
    """What the client said there; "" where the path leads nowhere."""
    for step in _STEP.findall(path):
        if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return ""
    text = msgspec.json.encode(value).decode("utf-8", "replace")
    return text if len(text) < _MOST else f"{text[:_MOST]}…"


def _headers(shown: Shown, attempt: Attempt) -> str:
    assert attempt.request is not None
    ours = {name.lower(): value for name, value in shown.request.headers}
    theirs = {name.lower(): value for name, value in attempt.request.headers}
    both = ours.keys() & theirs.keys()
    rows = [
        ("sent on", [name for name in theirs if name in both and ours[name] == theirs[name]]),
        ("other value", [name for name in theirs if name in both and ours[name] != theirs[name]]),
        ("added", [name for name in theirs if name not in both]),
        ("not sent on", [name for name in ours if name not in both]),
    ]
    lines = [[what if not n else "", line] for what, names in rows for n, line in enumerate(_wrapped(names))]
    return heading("headers") + "\n" + table(lines)


def _wrapped(names: Sequence[str]) -> list[str]:
    return textwrap.wrap(", ".join(names), 64, break_on_hyphens=False)
