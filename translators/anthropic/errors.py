"""Errors, both ways: status, type and sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from ..body import WRONG
from ..faults import classify, header_id, output_overflow, plain_message, retry_after, token_numbers
from ..model import ApiError, ErrorKind
from .wire import encode

# kind -> status and type. What Anthropic has no word for becomes the nearest one that is retried, or is not, like it
KINDS: dict[ErrorKind, tuple[int, str]] = {
    "invalid_request": (400, "invalid_request_error"),
    "unsupported": (400, "invalid_request_error"),
    "context_too_long": (400, "invalid_request_error"),
    "auth": (401, "authentication_error"),
    "billing": (402, "billing_error"),
    "permission": (403, "permission_error"),
    "not_found": (404, "not_found_error"),
    "conflict": (409, "conflict_error"),
    "too_large": (413, "request_too_large"),
    "rate_limit": (429, "rate_limit_error"),
    "server": (500, "api_error"),
    "disconnected": (500, "api_error"),
    "not_built": (501, "api_error"),
    "timeout": (504, "timeout_error"),
    "overloaded": (529, "overloaded_error"),
    "refused": (400, "invalid_request_error"),
}

# What an in-stream error would have been as a status
_STATUS = {name: status for status, name in reversed(KINDS.values())}

# Codes that Anthropic itself gives in `details`, and ours
_SPEND = frozenset(
    {"enforced_spend_limit_reached", "contract_spend_limit_reached", "linked_organization_spend_limit_reached"}
)
_CODES = _SPEND | {
    "ramp_limit_exceeded", "tool_name_conflict", "organization_on_hold", "thread_not_found", "unsupported_translation",
}

_HOPELESS: frozenset[ErrorKind] = frozenset({"billing", "not_built"})  # trying again will not help

_BODY = msgspec.json.Decoder()


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """An upstream's error answer, in whatever shape. Header names are lower case."""
    try:
        value = _BODY.decode(body)
    except WRONG:
        value = plain_message(body)
    error = read_error(value, status)
    wait = retry_after(headers, error.message)
    request_id = headers.get("request-id") or headers.get("x-request-id") or error.request_id
    return msgspec.structs.replace(error, retry_after=wait, request_id=request_id)


def read_error(value: Any, status: int | None = None) -> ApiError:
    """The error in a decoded body or event. `status` None: it came inside an answer that said 200."""
    outer = value[0] if isinstance(value, list) and value else value
    inner = outer.get("error", outer) if isinstance(outer, dict) else outer
    type = _str(inner.get("type")) if isinstance(inner, dict) else None
    message = _message(inner) or _message(outer) or (f"HTTP status {status}" if status else "unknown error")
    details = inner.get("details") if isinstance(inner, dict) else None
    code = _str(details.get("error_code")) if isinstance(details, dict) else None
    if status is None or status < 400:
        status = _STATUS.get(type or "", 500)
    kind = classify(status, code, type, message)
    request_id = _str(outer.get("request_id")) if isinstance(outer, dict) else None
    tokens = token_numbers(message) if kind == "context_too_long" else None
    return ApiError(status, kind, message, code, tokens=tokens, request_id=request_id)


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _message(value: Any) -> str:
    """The sentence, wherever a server that only resembles Anthropic puts it."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        for name in ("message", "detail", "error"):
            if found := value.get(name):
                return _message(found)
    if isinstance(value, list):
        return "; ".join(filter(None, map(_message, value)))
    return ""


def render_error(error: ApiError) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for a client of this protocol."""
    headers = {"content-type": "application/json"}
    if error.request_id and (id := header_id(error.request_id)):
        headers["request-id"] = id
    if error.kind in _HOPELESS:
        headers["x-should-retry"] = "false"
    elif error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
        if error.retry_after % 1:  # Anthropic's own SDKs read it
            headers["retry-after-ms"] = str(math.ceil(error.retry_after * 1000))
    return KINDS[error.kind][0], headers, error_body(error)


def error_body(error: ApiError) -> bytes:
    """The JSON of an error, as a body or as the data of an `error` event."""
    inner: dict[str, Any] = {"type": KINDS[error.kind][1], "message": _sentence(error)}
    if error.code in _CODES:
        inner["details"] = {"error_code": error.code}
    body: dict[str, Any] = {"type": "error", "error": inner}
    if error.request_id:
        body["request_id"] = error.request_id
    return encode(body)


_TOO_LONG = "prompt is too long"


def _sentence(error: ApiError) -> str:
    """Claude Code reads the sentence: with these two it compacts its history, or asks for less output."""
    message = error.message
    if error.kind != "context_too_long":
        return message
    if overflow := output_overflow(message):
        prompt, output, limit = overflow
        return (
            f"input length and `max_tokens` exceed context limit: {prompt} + {output} > {limit},"
            " decrease input length or `max_tokens` and try again"
        )
    if numbers := error.tokens or token_numbers(message):
        return f"{_TOO_LONG}: {numbers[0]} tokens > {numbers[1]} maximum"
    return message if message.lower().startswith(_TOO_LONG) else f"{_TOO_LONG}: {message}"
