"""Errors of the two OpenAI protocols, both ways.

Servers of these protocols have a form each: OpenAI's object, Gemini's list around it, vLLM's flat one, FastAPI's
`detail`, Ollama's plain text, codes that are numbers, messages that are objects, and HTML from what stands in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .codec import ErrorReply
from .faults import classify, duration, header_id, kind_of_status, plain_message, retry_after, token_numbers, until
from .model import ApiError, ErrorKind, Response

_ANY = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode
_WRONG = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# Where an error comes inside an answer that said 200: the status that it would have had.
_STATUS: dict[ErrorKind, int] = {
    "invalid_request": 400,
    "unsupported": 400,
    "context_too_long": 400,
    "auth": 401,
    "permission": 403,
    "billing": 402,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "rate_limit": 429,
    "overloaded": 503,
    "timeout": 504,
    "refused": 400,
}
# Names that stand for a status in the `type`, `status` or `code` of an error.
_NAMES: dict[str, int] = {
    "invalid_request_error": 400,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "BadRequestError": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "NotFoundError": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "INTERNAL": 500,
    "server_error": 500,
}
_MESSAGE_LIMIT = 4000

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    try:
        value = _ANY.decode(body)
    except _WRONG:
        value = None
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    if isinstance(value, dict):
        return error_of(value, status, headers)
    message = plain_message(body) or f"the upstream answered with status {status}"
    return _error(status if status >= 400 else 0, message, None, None, None, headers, None)


def error_of(value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> ApiError:
    """The error that an object holds, at its top or under `error`. `status` 200: it stands in a successful answer."""
    inner = value.get("error")
    if isinstance(inner, list) and inner:
        inner = inner[0]
    fields: Mapping[str, Any] = inner if isinstance(inner, dict) else value
    if isinstance(inner, str):
        message = value["message"] if isinstance(value.get("message"), str) else inner
    else:
        message = _first_text(fields, "message", "detail", "msg", "error", "errors", "error_description")
    headers = headers or {}
    raw = fields.get("metadata")
    if isinstance(raw, dict) and isinstance(raw.get("raw"), str):  # OpenRouter: what its provider said
        message = f"{message}: {raw['raw']}"
    code, kind = fields.get("code"), _name(fields.get("type")) or _name(fields.get("status"))
    wait = _retry_info(fields.get("details"))
    if wait is None:
        wait = _resets(fields, headers)
    param = fields.get("param")
    message = message[:_MESSAGE_LIMIT] or f"the upstream answered with status {status}"
    said = _status_of(code, fields.get("status")) if status < 400 else status
    return _error(said, message, _name(code), kind, _name(param), headers, wait)


def _error(
    status: int, message: str, code: str | None, type: str | None, param: str | None, headers: Mapping[str, str],
    wait: float | None,
) -> ApiError:
    guess = status or _NAMES.get(code or "") or _NAMES.get(type or "") or 0
    wait = wait if wait is not None else retry_after(headers, message)
    kind = classify(guess or 502, code, type, message, again=wait is not None)
    status = status or _STATUS.get(kind) or guess or 502
    tokens = token_numbers(message) if kind == "context_too_long" else None
    request_id = headers.get("x-request-id") or headers.get("request-id")
    return ApiError(status, kind, message, code or None, param or None, wait, tokens, request_id)


def _status_of(code: Any, status: Any) -> int:
    """The status that an error names itself; 0 where it names none."""
    for value in (code, status):
        if isinstance(value, int | float) and 400 <= value < 600:
            return int(value)
        if isinstance(value, str) and value.isdigit() and 400 <= int(value) < 600:
            return int(value)
    return 0


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _first_text(fields: Mapping[str, Any], *names: str) -> str:
    return next((_text(fields[name]) for name in names if fields.get(name)), "")


def _text(value: Any) -> str:
    """A message that is a text, an object with one, or a list of complaints (FastAPI)."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _first_text(value, "message", "msg", "detail") or _encode(value).decode()
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    return _encode(value).decode()


def _resets(fields: Mapping[str, Any], headers: Mapping[str, str]) -> float | None:
    """When the limit of a ChatGPT subscription is over."""
    seconds = fields.get("resets_in_seconds")
    if isinstance(seconds, int | float) and seconds >= 0:
        return float(seconds)
    return until(fields["resets_at"], headers) if fields.get("resets_at") else None


def _retry_info(details: Any) -> float | None:
    """Gemini's own way to say how long to wait, which its Chat endpoint keeps."""
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(detail.get("retryDelay"), str):
            return duration(detail["retryDelay"])
    return None


# ------------------------------------------------------------------------------------------------ neutral to wire

# kind -> status, type, code; a code of None: as it came. The status of a client's or a server's mistake stays its own.
_SAID: dict[ErrorKind, tuple[int, str, str | None]] = {
    "invalid_request": (400, "invalid_request_error", None),
    "unsupported": (400, "invalid_request_error", "unsupported_translation"),
    "context_too_long": (400, "invalid_request_error", "context_length_exceeded"),
    "auth": (401, "invalid_request_error", "invalid_api_key"),
    "permission": (403, "invalid_request_error", None),
    "billing": (429, "insufficient_quota", "insufficient_quota"),
    "not_found": (404, "invalid_request_error", "model_not_found"),
    "conflict": (409, "invalid_request_error", None),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "rate_limit": (429, "rate_limit_error", "rate_limit_exceeded"),
    "overloaded": (503, "service_unavailable_error", "server_is_overloaded"),
    "timeout": (504, "server_error", "timeout"),
    "server": (500, "server_error", None),
    "refused": (400, "invalid_request_error", "content_policy_violation"),
    "disconnected": (502, "server_error", "upstream_error"),
    "not_built": (501, "invalid_request_error", "not_built"),
}
_OWN_CODE = frozenset({"not_found", "refused", "too_large", "not_built", "unsupported"})  # theirs is better than ours
_OWN_STATUS = frozenset({"invalid_request", "server", "unsupported"})


def refusal(error: ApiError) -> Response | None:
    """OpenAI says it with an error."""
    return None


class Overflow(msgspec.Struct, frozen=True):
    """What a protocol says of a prompt that is too long: the field to blame, and the words by which its agents know
    that they must compact."""

    param: str
    words: Callable[[ApiError], str]


def error_object(error: ApiError, overflow: Overflow) -> dict[str, Any]:
    """What stands under `error`, in a body or in a stream."""
    _, type, code = _SAID[error.kind]
    if code is None or (error.kind in _OWN_CODE and error.code):
        code = error.code
    message, param = error.message, error.param
    if error.kind == "context_too_long":
        message, param = overflow.words(error), overflow.param  # an upstream's word for it may be another
    return {"message": message, "type": type, "param": param, "code": code}


def render_error(error: ApiError, overflow: Overflow) -> ErrorReply:
    status = _SAID[error.kind][0]
    if error.kind in _OWN_STATUS and error.status >= 400 and kind_of_status(error.status) == kind_of_status(status):
        status = error.status
    headers = {"content-type": "application/json"}
    if error.kind == "billing":
        headers["x-should-retry"] = "false"
    elif error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
        headers["retry-after-ms"] = str(math.ceil(error.retry_after * 1000))
    if error.request_id and (id := header_id(error.request_id)):
        headers["x-request-id"] = id
    return status, headers, _encode({"error": error_object(error, overflow)})
