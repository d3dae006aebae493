"""Errors, both ways: `{"error": {"code", "message", "status", "details"}}`, in a list where a stream was asked for.

How long to wait stands in the details, as a `RetryInfo`: Gemini's CLI looks nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from ..body import WRONG
from ..codec import ErrorReply
from ..faults import classify, duration, kind_of_status, plain_message, retry_after, token_numbers
from ..model import ApiError, ErrorKind
from .wire import Json, encode

# kind -> HTTP status and Google's name for it
KINDS: dict[ErrorKind, tuple[int, str]] = {
    "invalid_request": (400, "INVALID_ARGUMENT"),
    "unsupported": (400, "INVALID_ARGUMENT"),
    "context_too_long": (400, "INVALID_ARGUMENT"),
    "auth": (401, "UNAUTHENTICATED"),
    "permission": (403, "PERMISSION_DENIED"),
    "billing": (429, "RESOURCE_EXHAUSTED"),
    "not_found": (404, "NOT_FOUND"),
    "conflict": (409, "ABORTED"),
    "too_large": (413, "INVALID_ARGUMENT"),
    "rate_limit": (429, "RESOURCE_EXHAUSTED"),
    "overloaded": (503, "UNAVAILABLE"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
    "server": (500, "INTERNAL"),
    "refused": (400, "INVALID_ARGUMENT"),
    "disconnected": (503, "UNAVAILABLE"),
    "not_built": (501, "UNIMPLEMENTED"),
}
# Google's names -> the status that they stand for, where an error comes inside an answer that said 200
_STATUS: dict[str, int] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
# The reason in an `ErrorInfo`, which says more than the status: a wrong key is a 400
_REASONS: dict[str, ErrorKind] = {
    "API_KEY_INVALID": "auth",
    "API_KEY_EXPIRED": "auth",
    "ACCESS_TOKEN_EXPIRED": "auth",
    "API_KEY_SERVICE_BLOCKED": "permission",
    "SERVICE_DISABLED": "permission",
    "BILLING_DISABLED": "billing",
}
_TYPE = "type.googleapis.com/google.rpc."
_OWN_STATUS = frozenset({"invalid_request", "server", "unsupported"})  # theirs is better than ours
_ANY = msgspec.json.Decoder()

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    try:
        value = _ANY.decode(body)
    except WRONG:
        value = {"error": {"message": plain_message(body)}}
    return read_error(value, status, headers)


def read_error(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> ApiError:
    """The error in a decoded body or chunk. `status` 200: it stands in an answer that said so."""
    headers = headers or {}
    outer = value[0] if isinstance(value, list) and value else value
    inner = outer.get("error", outer) if isinstance(outer, dict) else outer
    fields: Json = inner if isinstance(inner, dict) else {"message": inner}
    name, said = fields.get("status"), fields.get("code")
    if status < 400:
        status = said if isinstance(said, int) and 400 <= said < 600 else _STATUS.get(str(name), 500)
    message = fields.get("message")
    text = message if isinstance(message, str) and message else f"the upstream answered with status {status}"
    details = fields.get("details")
    wait, kind, reason = _details(details if isinstance(details, list) else [])
    wait = wait if wait is not None else retry_after(headers, text)
    kind = kind or classify(status, reason, name if isinstance(name, str) else None, text, again=wait is not None)
    tokens = token_numbers(text) if kind == "context_too_long" else None
    return ApiError(status, kind, text, reason, retry_after=wait, tokens=tokens)


def _details(details: list[Any]) -> tuple[float | None, ErrorKind | None, str | None]:
    """How long to wait, the kind where the details say it, and the reason."""
    wait: float | None = None
    kind: ErrorKind | None = None
    reason: str | None = None
    for detail in details:
        if not isinstance(detail, dict):
            continue
        if isinstance(detail.get("retryDelay"), str):
            wait = duration(detail["retryDelay"])
        if isinstance(detail.get("reason"), str):
            reason = detail["reason"]
            kind = _REASONS.get(reason, kind)
        violations = detail.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict) and violation.get("quotaId"):  # the message is the same for all quotas
                day = "PerDay" in str(violation["quotaId"])
                kind = "billing" if day else kind or "rate_limit"  # for a quota of the day no waiting helps
    return wait, kind, reason


# ------------------------------------------------------------------------------------------------ neutral to wire


def render_error(error: ApiError) -> ErrorReply:
    headers = {"content-type": "application/json"}
    if error.retry_after is not None and error.kind != "billing":
        headers["retry-after"] = str(math.ceil(error.retry_after))
    return _status(error), headers, error_body(error)


def _status(error: ApiError) -> int:
    status = KINDS[error.kind][0]
    if error.kind in _OWN_STATUS and error.status >= 400 and kind_of_status(error.status) == kind_of_status(status):
        return error.status
    return status


def error_body(error: ApiError) -> bytes:
    """The JSON of an error, as a body or as the last thing in a stream."""
    inner: Json = {"code": _status(error), "message": _sentence(error), "status": KINDS[error.kind][1]}
    details: list[Json] = []
    if error.retry_after is not None and error.kind != "billing":
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{math.ceil(error.retry_after)}s"})
    if error.kind == "billing":  # the CLI tries a 429 ten times, but for a quota of the day
        violation = {"quotaId": "UpstreamQuotaPerDay", "description": error.message}
        details.append({"@type": f"{_TYPE}QuotaFailure", "violations": [violation]})
    if error.param:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if error.code:
        details.append({"@type": f"{_TYPE}ErrorInfo", "reason": error.code})
    if details:
        inner["details"] = details
    return encode({"error": inner})


def _sentence(error: ApiError) -> str:
    """In the words by which agents know that they must compact."""
    known = "exceeds the maximum number of tokens allowed"
    if error.kind != "context_too_long" or known in error.message:
        return error.message
    if numbers := error.tokens or token_numbers(error.message):
        return f"The input token count ({numbers[0]}) {known} ({numbers[1]})."
    return f"The input token count {known}: {error.message}"
