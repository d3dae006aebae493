"""Client side and Upstream side: what went over each wire, byte for byte but for line breaks in JSON."""

from __future__ import annotations

from addons.views.record import Attempt, Shown
from addons.views.text import attempt_line, message_text
from translators.pretty import heading


def client_request(shown: Shown) -> str:
    request = shown.request
    return message_text("from the client", request.first, request.headers, request.body)


def client_answer(shown: Shown) -> str:
    """The body is the record's own copy, which is there while the answer runs and after the client hung up."""
    record, response = shown.record, shown.response
    if response is None:
        return ""
    body, size = (record.sent.body, record.sent.size) if record.sent.size else (response.body, 0)
    return message_text("to the client", response.first, response.headers, body, size)


def upstream_request(shown: Shown) -> str:
    """Attempt by attempt; the last one, which is the one that counts, first."""
    return _each(shown, lambda number, attempt: _sent(number, attempt))


def upstream_answer(shown: Shown) -> str:
    return _each(shown, lambda number, attempt: _received(number, attempt))


def _each(shown: Shown, block: object) -> str:
    assert callable(block)
    numbered = list(enumerate(shown.record.attempts, 1))
    return "\n\n".join(block(*each) for each in reversed(numbered)) or "no attempt was made"


def _sent(number: int, attempt: Attempt) -> str:
    title, request = f"attempt {number}: to {attempt.upstream}", attempt.request
    if request is None:
        return f"{heading(title)}\n{attempt_line(attempt)}"
    return message_text(title, f"{request.method} {request.url}", request.headers, request.body, request.size)


def _received(number: int, attempt: Attempt) -> str:
    title, response = f"attempt {number}: from {attempt.upstream}", attempt.response
    if response is None:
        return f"{heading(title)}\n{attempt_line(attempt)}"
    return message_text(title, str(response.status), response.headers, response.body, response.size)
