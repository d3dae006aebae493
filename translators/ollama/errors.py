"""Errors of Ollama, both ways: a status and one sentence, without codes or types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from ..body import WRONG
from ..codec import ErrorReply
from ..faults import classify, kind_of_status, plain_message, retry_after, token_numbers
from ..model import ApiError, ErrorKind
from .wire import encode

# kind -> status; that of a client's or a server's mistake stays its own
_STATUS: dict[ErrorKind, int] = {
    "invalid_request": 400,
    "unsupported": 400,
    "context_too_long": 400,
    "refused": 400,
    "auth": 401,
    "billing": 402,
    "permission": 403,
    "not_found": 404,
    "too_large": 413,
    "rate_limit": 429,
    "server": 500,
    "conflict": 500,
    "timeout": 500,
    "not_built": 501,
    "disconnected": 502,
    "overloaded": 503,
}
_OWN_STATUS = frozenset({"invalid_request", "server", "unsupported"})

_ANY = msgspec.json.Decoder()


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """An upstream's error answer, in whatever shape. Header names are lower case."""
    try:
        value = _ANY.decode(body)
    except WRONG:
        value = plain_message(body)
    error = error_of(value, status)
    wait = retry_after(headers, error.message)
    return msgspec.structs.replace(error, retry_after=wait, request_id=headers.get("x-request-id"))


def error_of(value: Any, status: int = 200) -> ApiError:
    """The error in a decoded body or line. `status` 200: it came inside a successful answer."""
    message = _sentence(value) or f"the upstream answered with status {status}"
    code = _code(value)
    kind = classify(status if status >= 400 else 500, code, None, message)
    if status < 400:
        status = _STATUS[kind]
    tokens = token_numbers(message) if kind == "context_too_long" else None
    return ApiError(status, kind, message, code, tokens=tokens)


def _sentence(value: Any) -> str:
    """Gateways before an Ollama server answer with OpenAI's object, or with text."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return next((_sentence(value[name]) for name in ("error", "message", "detail") if value.get(name)), "")
    return ""


def _code(value: Any) -> str | None:
    inner = value.get("error") if isinstance(value, dict) else None
    code = inner.get("code") or inner.get("type") if isinstance(inner, dict) else None
    return code if isinstance(code, str) else None


def error_body(error: ApiError) -> bytes:
    """The JSON of an error, as a body or as the last line of a stream."""
    return encode({"error": _said(error)})


def _said(error: ApiError) -> str:
    if error.kind != "context_too_long":
        return error.message
    if error.tokens is not None:
        prompt, limit = error.tokens
        return f"prompt too long; exceeded max context length: {prompt} tokens, at most {limit}"
    known = error.message.lower().startswith("prompt too long")
    return error.message if known else f"prompt too long; exceeded max context length: {error.message}"


def render_error(error: ApiError) -> ErrorReply:
    status = _STATUS[error.kind]
    if error.kind in _OWN_STATUS and error.status >= 400 and kind_of_status(error.status) == kind_of_status(status):
        status = error.status
    headers = {"content-type": "application/json"}
    if error.retry_after is not None and error.kind != "billing":
        headers["retry-after"] = str(math.ceil(error.retry_after))
    return status, headers, error_body(error)
