"""Conversation: what was said, in neutral words, and what became of it. What is new since the turn before comes first,
since a viewer shows the first lines of a text and an agent's history has thousands."""

from __future__ import annotations

import time
from collections.abc import Sequence

from addons.views.reading import Unreadable, answer_of, asked_by_client
from addons.views.record import Record, Shown, Turn
from addons.views.text import attempt_line, body_text, number, outcome, seconds, wrapped
from translators.embed import EmbedRequest
from translators.model import Message, Request, Response
from translators.pretty import (
    asked_text,
    heading,
    message_text,
    response_text,
    result_text,
    settings_text,
    table,
    tools_text,
    usage_text,
)

_OPERATOR = ("system", "developer")


def asked(shown: Shown) -> str:
    """What the client sent."""
    try:
        request = asked_by_client(shown)
    except Unreadable as error:
        return f"{error}\n\n{body_text(shown.request.body)}"
    if isinstance(request, EmbedRequest):
        return asked_text(request)
    blocks = [settings_text(request), *_messages(request, shown.record.conversation), *_tools(request)]
    return wrapped("\n".join(blocks))


def _messages(request: Request, turn: Turn | None) -> list[str]:
    messages = request.messages
    first = next((n for n, message in enumerate(messages) if message.role not in _OPERATOR), len(messages))
    known = max(first, min(turn.known if turn is not None else 0, len(messages)))
    told = [heading(_title(turn, len(messages) - known))] if turn is not None and turn.id else []
    told += map(message_text, messages[known:])
    if known > first:
        told += [heading(f"said before: {number(known - first, 'message')}"), *map(message_text, messages[first:known])]
    return [*told, *map(message_text, messages[:first])]


def _title(turn: Turn, new: int) -> str:
    since = f", {number(new, 'new message')}" if turn.number > 1 else ""
    return f"turn {turn.number} of conversation #{turn.id}{since}"


def _tools(request: Request) -> list[str]:
    return [heading("tools") + "\n" + tools_text(request.tools)] if request.tools else []


def answered(shown: Shown) -> str:
    """Who, where, how long, how many tokens; the answer so far; what was lost."""
    record = shown.record
    return wrapped("\n".join(block for block in (facts(record), answer(record), losses(record)) if block))


def facts(record: Record) -> str:
    client, usage = record.client, record.usage
    streamed = ", streamed" if client.stream else ""
    rows = [["client", f"{client.protocol}, model {client.model or '-'}{streamed}"]]
    rows += [[f"attempt {number}", attempt_line(attempt)] for number, attempt in enumerate(record.attempts, 1)]
    rows.append(["answer", outcome(record)])
    rows.append(["time", _times(record)])
    if usage is not None:
        rows.append(["tokens", usage_text(usage)])
    if (turn := record.conversation) is not None and turn.id:
        session = f", session {turn.session}" if turn.session else ""
        rows.append(["conversation", f"#{turn.id}, turn {turn.number}{session}"])
    rows.append(["request id", record.id])
    return table(rows)


def _times(record: Record) -> str:
    times, start = record.timings, record.timings.started
    heads = [attempt.headers_at for attempt in record.attempts if attempt.headers_at]
    steps = [("answered", heads[-1] if heads else None), ("first byte", times.head), ("done", times.ended)]
    began = time.strftime("%H:%M:%S", time.localtime(start))
    return ", ".join([began, *(f"{what} after {seconds(at - start)}" for what, at in steps if at)])


def answer(record: Record) -> str:
    """As neutral text, from the copy of the upstream's bytes."""
    response = record.attempt.response if record.attempt is not None else None
    if response is None:
        return ""
    try:
        found = answer_of(record)
    except Unreadable:
        return body_text(response.body, response.size)
    value = found.value
    text = response_text(value, found.running) if isinstance(value, Response) else result_text(value)
    more = response.size - len(response.body)
    text += f"\n… {more} more bytes were not kept" if more > 0 else ""
    return f"{text}\n{heading('broke off')}\n  {found.error}" if found.error else text


def losses(record: Record) -> str:
    told = set(record.warnings)
    rows = [["!" if loss in told else "", *loss] for loss in record.losses]
    return heading("not said as it was asked") + "\n" + table(rows) if rows else ""


def new_messages(request: Request, turn: Turn | None) -> Sequence[Message]:
    """Those that the turn before did not have."""
    return request.messages[turn.known if turn is not None else 0 :]
