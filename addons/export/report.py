"""As a bug report: both sides of an exchange with every attempt, for an issue. Credentials were never in it, and what
looks like a key is taken out of the bodies too; `redacted_report` leaves out all texts.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from addons.export import redact
from addons.export.asked import Asked
from addons.views.record import Attempt, Headers, Record
from addons.views.text import attempt_line, body_text, outcome, seconds

_MOST = 60_000  # characters of a body


def report(asked: Asked) -> str:
    return _report(asked, lambda body: body)


def redacted_report(asked: Asked) -> str:
    return _report(asked, redact.texts)


def _report(asked: Asked, said: Callable[[str], str]) -> str:
    record = asked.record
    blocks = ["# An exchange of LLM Link", "\n".join(_facts(asked, record)), *_troubles(record)]
    blocks += ["## What the client sent", f"`{asked.method} {asked.path}`"]
    blocks += [_headers(asked.headers), _body(asked.body, said)]
    for number, attempt in enumerate(record.attempts, 1):
        blocks += _attempt(number, attempt, said)
    blocks += ["## What the client got", _body(record.sent.body, said, record.sent.size)]
    return redact.secrets("\n\n".join(block for block in blocks if block)) + "\n"


def _facts(asked: Asked, record: Record) -> list[str]:
    client, times = record.client, record.timings
    streamed = ", streamed" if client.stream else ""
    lines = [
        f"- LLM Link {_version('llm-link')}, mitmproxy {_version('mitmproxy')}",
        f"- Python {platform.python_version()}, {platform.system()}",
        f"- client: {client.protocol or asked.surface.protocol}, model `{client.model or '-'}`{streamed}",
        *(f"- attempt {n}: {attempt_line(one)}" for n, one in enumerate(record.attempts, 1)),
        f"- outcome: {outcome(record)}",
    ]
    if times.ended:
        first = f", first byte after {seconds(times.head - times.started)}" if times.head else ""
        lines.append(f"- took {seconds(times.ended - times.started)}{first}")
    return lines


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of a checkout"


def _troubles(record: Record) -> list[str]:
    if not record.losses:
        return []
    rows = [f"| `{path}` | {code} | {why} |" for path, code, why in record.losses]
    return ["## What was changed or lost", "\n".join(["| field | what | why |", "|---|---|---|", *rows])]


def _attempt(number: int, attempt: Attempt, said: Callable[[str], str]) -> list[str]:
    blocks = [f"## Attempt {number}: {attempt.upstream}/{attempt.model}"]
    if (sent := attempt.request) is not None:
        blocks += [f"`{sent.method} {sent.url}`", _headers(sent.headers), _body(sent.body, said, sent.size)]
    if (got := attempt.response) is not None:
        blocks += [f"answered {got.status}", _headers(got.headers), _body(got.body, said, got.size)]
    if attempt.error is not None:
        blocks.append(f"{attempt.error.kind}: {said(attempt.error.message)}")
    return blocks


def _headers(headers: Headers) -> str:
    return _fenced("\n".join(f"{name}: {value}" for name, value in headers))


def _body(body: bytes, said: Callable[[str], str], size: int = 0) -> str:
    text = body_text(said(body.decode("utf-8", "replace")).encode(), 0)
    more = max(size - len(body), 0) + max(len(text) - _MOST, 0)
    return _fenced(text[:_MOST] + (f"\n… {more} more" if more else ""))


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}" if text else ""
