"""What went wrong, in the words of no protocol: reading the kind of an error, how long to wait, and what was too long.

Providers say the same trouble in many ways: a code, a type, a sentence, or only a status. They are asked in this order,
since the later ones are vaguer: a 400 may be a prompt that is too long, an empty account or a typing mistake. There is
no clock here: a date is measured against the `date` header of the same answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any

from .model import ErrorKind

MESSAGE_LIMIT = 300  # characters kept of a body that is no JSON

_STATUS: dict[int, ErrorKind] = {
    400: "invalid_request",
    401: "auth",
    402: "billing",
    403: "permission",
    404: "not_found",
    405: "invalid_request",
    407: "server",  # the egress proxy wants a password: nothing that the client can mend
    408: "timeout",
    409: "conflict",
    412: "conflict",
    413: "too_large",
    422: "invalid_request",
    425: "overloaded",
    429: "rate_limit",
    431: "too_large",
    451: "refused",
    499: "disconnected",
    503: "overloaded",
    504: "timeout",
    522: "timeout",
    524: "timeout",
    529: "overloaded",
}

# Codes and types that say it all. What is not here (invalid_request_error, api_error, …) leaves it to text and status.
_CODES: dict[str, ErrorKind] = {
    "authentication_error": "auth",
    "invalid_api_key": "auth",
    "permission_error": "permission",
    "permission_denied": "permission",
    "unsupported_country_region_territory": "permission",
    "organization_on_hold": "permission",
    "billing_error": "billing",
    "insufficient_quota": "billing",
    "credit_balance_exhausted": "billing",
    "billing_hard_limit_reached": "billing",
    "enforced_spend_limit_reached": "billing",
    "contract_spend_limit_reached": "billing",
    "linked_organization_spend_limit_reached": "billing",
    "insufficient_balance": "billing",
    "usage_not_included": "billing",
    "not_found_error": "not_found",
    "model_not_found": "not_found",
    "thread_not_found": "not_found",
    "conflict_error": "conflict",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_exceeded_error": "rate_limit",
    "usage_limit_reached": "rate_limit",  # of a subscription's hours: it says when it is over
    "ramp_limit_exceeded": "rate_limit",
    "slow_down": "rate_limit",
    "tokens": "rate_limit",
    "requests": "rate_limit",
    "overloaded_error": "overloaded",
    "server_is_overloaded": "overloaded",
    "service_unavailable_error": "overloaded",
    "engine_overloaded_error": "overloaded",
    "timeout_error": "timeout",
    "content_policy_violation": "refused",
    "content_filter": "refused",
    "invalid_prompt": "refused",
    "data_inspection_failed": "refused",
    "context_length_exceeded": "context_too_long",
    "context_window_exceeded": "context_too_long",
    "model_context_window_exceeded": "context_too_long",
}

_TEXTS: tuple[tuple[re.Pattern[str], ErrorKind], ...] = (
    (re.compile(r"credit balance is too low|insufficient balance|exceeded your current quota", re.I), "billing"),
    (re.compile(r"api key not valid|invalid api key|incorrect api key", re.I), "auth"),
    (  # inside a stream, where there is no status: Ollama has nothing but words, gateways may have no code
        re.compile(
            r"maximum pending requests exceeded"
            r"|(?:server|model|engine|service) (?:is )?(?:currently )?(?:busy|overloaded)|^overloaded\W*$",
            re.I,
        ),
        "overloaded",
    ),
)

_OVERFLOW = re.compile(
    r"maximum context length|maximum context limit|maximum prompt length"
    r"|exceed(?:s|ed)? (?:the )?(?:model'?s? )?context (?:window|limit|length)"
    r"|context (?:window|limit|length) (?:is )?exceed(?:ed|s limit)|greater than the context length"
    r"|prompt is too long|prompt too long|prompt exceeds (?:the )?max(?:imum)? length|input is too long for requested"
    r"|exceeds the maximum number of tokens allowed|input token count|input tokens exceed the configured limit"
    r"|exceeds the available context size|longer than the model'?s? context length|exceeded model token limit"
    r"|current length is \S+ while limit is|maximum input length is|range of input length should be"
    r"|prompt token count of \S+ exceeds|tokens in request more than max tokens allowed|`inputs` tokens \+"
    r"|too many tokens|reduce the length of the (?:messages|input prompt)",
    re.I,
)
_NO_OVERFLOW = frozenset({"string_above_max_length", "array_above_max_length"})

_NUMBER = r"(\d[\d,]*)"
_PROMPT = re.compile(
    r"(?:prompt is too long: |resulted in |requested(?: a total of| about)?:? |token count (?:\(|is |of )"
    r"|current length is |request has |(?:prompt|request) (?:contains|has) (?:at least )?|(?:request|input|prompt) \("
    r"|exceeded max context length: )"
    + _NUMBER,
    re.I,
)
_LIMIT = re.compile(
    r"(?:maximum (?:context|prompt) (?:length|limit) (?:is|of) |maximum input length is |allowed \(|allowed is "
    r"|context (?:size|length|window) \(|context (?:size|length|window) (?:is|of) |limit is |limit of |token limit: "
    r"|up to |tokens, at most |input length should be \[\d+, ?|> ?(?=[\d,]+ maximum))" + _NUMBER,
    re.I,
)
_ANTHROPIC_SUM = re.compile(rf"exceed context limit: {_NUMBER} \+ {_NUMBER} > {_NUMBER}", re.I)
_OPENAI_SUM = re.compile(
    rf"{_NUMBER} (?:tokens )?(?:in|from) the (?:messages|prompt|input)[^()]*?"
    rf"{_NUMBER} ?(?:tokens )?(?:in|for) the (?:completion|output)",
    re.I,
)
_AVAILABLE = re.compile(rf"context size \({_NUMBER} tokens, available {_NUMBER}", re.I)
_VLLM_SUM = re.compile(
    rf"too large: {_NUMBER}\. [^()]*?context length is {_NUMBER} tokens[^()]*?request has {_NUMBER} input", re.I
)


def kind_of_status(status: int) -> ErrorKind:
    """What a bare HTTP status means. An error in an answer that said 200 counts as the server's."""
    fallback: ErrorKind = "invalid_request" if 400 <= status < 500 else "server"
    return _STATUS.get(status, fallback)


def classify(status: int, code: str | None, type: str | None, message: str, again: bool = False) -> ErrorKind:
    """The kind of an error: by its code, its type, its text, its status, whichever says enough first.

    `again`: it says when to try again. Google's limit of a minute is a quota in words, but no lack of money; and tokens
    that are too many for a minute are not too many for the model."""
    for name in (code, type):
        if name is not None and (kind := _CODES.get(name)) is not None:
            return kind
    if status != 429 and is_context_overflow(message, code):
        return "context_too_long"
    for pattern, kind in _TEXTS:
        if pattern.search(message) and not (again and kind == "billing"):
            return kind
    return kind_of_status(status)


def is_context_overflow(message: str, code: str | None) -> bool:
    """Whether the prompt was too long for the model. A single string that is too long is another matter."""
    if code == "context_length_exceeded":
        return True
    return code not in _NO_OVERFLOW and _OVERFLOW.search(message) is not None


def token_numbers(message: str) -> tuple[int, int] | None:
    """(tokens of the request, limit) as the message of an overflow names them; None where one of the two is missing."""
    summed = output_overflow(message)
    if summed is not None:
        return summed[0] + summed[1], summed[2]
    if both := _AVAILABLE.search(message):
        return _int(both[1]), _int(both[2])
    prompt, limit = _PROMPT.search(message), _LIMIT.search(message)
    return (_int(prompt[1]), _int(limit[1])) if prompt and limit else None


def output_overflow(message: str) -> tuple[int, int, int] | None:
    """(input, output, limit) where the input alone would fit, but not with the output that was asked for.

    Clients can mend this one by asking for less output, and Claude Code does."""
    if found := _ANTHROPIC_SUM.search(message):
        return _int(found[1]), _int(found[2]), _int(found[3])
    if found := _VLLM_SUM.search(message):
        return _int(found[3]), _int(found[1]), _int(found[2])
    limit = _LIMIT.search(message)
    if limit and (found := _OPENAI_SUM.search(message)) and _int(found[1]) < _int(limit[1]):
        return _int(found[1]), _int(found[2]), _int(limit[1])
    return None


def _int(digits: str) -> int:
    return int(digits.replace(",", ""))


_UNPRINTABLE = re.compile(r"[^!-~]")
_ID_LIMIT = 128


def header_id(id: str) -> str:
    """A request id that may stand in a header, whatever an upstream's body gave for one."""
    return _UNPRINTABLE.sub("", id)[:_ID_LIMIT]


# ------------------------------------------------------------------------------------------------ how long to wait

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT = r"(ms|milliseconds?|d|days?|h|hours?|m|min|minutes?|s|sec|seconds?)(?![a-z])"
_STEP = re.compile(rf"\s*(\d+(?:\.\d+)?)\s*{_UNIT}[\s,]*", re.I)
_AGAIN = re.compile(r"(?:try again|retry) (?:in|after) (?=\d)", re.I)
_RESETS = (
    ("anthropic-ratelimit-{}-remaining", "anthropic-ratelimit-{}-reset"),
    ("x-ratelimit-remaining-{}", "x-ratelimit-reset-{}"),
)
_LIMITED = ("requests", "tokens", "input-tokens", "output-tokens")


def retry_after(headers: Mapping[str, str], message: str = "") -> float | None:
    """Seconds to wait, as the answer says: retry-after-ms, retry-after, a used-up limit's reset, or its text.

    Header names are lower case. None where it does not say: nothing is made up."""
    now = _date(headers.get("date", ""))
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    wait = _number(value)
    if wait is None:
        wait = duration(value) if value[:1].isdigit() else _until(_date(value), now)
    if wait is None:
        wait = _reset(headers, now)
    return wait if wait is not None else _from_text(message)


def until(unix: Any, headers: Mapping[str, str]) -> float | None:
    """Seconds until a time that is given in Unix seconds."""
    now, then = _date(headers.get("date", "")), _number(str(unix))
    return max(0.0, then - now.timestamp()) if now and then is not None else None


def duration(text: str, whole: bool = False) -> float | None:
    """Seconds of "6m0s", "11.054s", "23ms", "2 minutes": what such a text begins with, or (`whole`) consists of; None
    where it does not."""
    total, at = 0.0, 0
    while (step := _STEP.match(text, at)) is not None:
        unit = step[2].lower()
        total += float(step[1]) * _UNITS["ms" if unit.startswith(("ms", "mil")) else unit[0]]
        at = step.end()
    return total if at and not (whole and at < len(text)) else None


def _from_text(message: str) -> float | None:
    found = _AGAIN.search(message)
    return duration(message[found.end() : found.end() + 80]) if found else None


def _reset(headers: Mapping[str, str], now: datetime | None) -> float | None:
    """When the limits that are used up are full again: the latest of them."""
    waits = []
    if headers.get("anthropic-ratelimit-unified-status") == "rejected":
        waits.append(until(headers.get("anthropic-ratelimit-unified-reset", ""), headers))
    for remaining, reset in _RESETS:
        for name in _LIMITED:
            if headers.get(remaining.format(name)) == "0":
                value = headers.get(reset.format(name), "")
                waits.append(duration(value) if "T" not in value else _until(_date(value), now))
    return max((wait for wait in waits if wait is not None), default=None)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _date(text: str) -> datetime | None:
    """An RFC 3339 or an HTTP date."""
    parse = datetime.fromisoformat if text[:4].isdigit() else parsedate_to_datetime
    try:
        date = parse(text)
    except (ValueError, IndexError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _until(then: datetime | None, now: datetime | None) -> float | None:
    return max(0.0, (then - now).total_seconds()) if then and now else None


# ------------------------------------------------------------------------------------------------ bodies without JSON

_TITLE = re.compile(r"<(title|h1)[^>]*>([^<]*)</\1>", re.I)
_HIDDEN = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.I | re.S)
_TAG = re.compile(r"<[^<>]*>")


def plain_message(body: bytes) -> str:
    """A short sentence from a body of any kind, without markup: gateways answer with HTML pages or bare text."""
    text = body[:8_000].decode("utf-8", "replace")
    if title := _TITLE.search(text):
        text = title[2]
    elif "<" in text:
        text = _TAG.sub(" ", _HIDDEN.sub(" ", text))
    return " ".join(unescape(text).split())[:MESSAGE_LIMIT]
