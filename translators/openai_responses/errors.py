"""Errors of Responses: OpenAI's, in this protocol's words, and those inside a stream or a failed response.

A `response.failed` event has a code from a closed list and no HTTP status. Codex goes by that code: some end the turn,
the others are tried again, after the time that the message names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from .. import openai_errors as openai
from ..codec import ErrorReply
from ..model import ApiError, ErrorKind
from ..openai_errors import parse_error

OVERFLOW = "Your input exceeds the context window of this model. Please adjust your input and try again."

# ------------------------------------------------------------------------------------------------ wire to neutral

# Codes that only a failed response has; the others are those of any OpenAI error.
_CODES: dict[str, tuple[int, ErrorKind]] = {
    "server_error": (500, "server"),
    "invalid_prompt": (400, "refused"),
    "bio_policy": (400, "refused"),
    "misalignment_policy_violation": (400, "refused"),
    "vector_store_timeout": (504, "timeout"),
    "data_residency_mismatch": (403, "permission"),
}


def error_of(value: Mapping[str, Any]) -> ApiError:
    """The error in an event or a failed response: nested under `error`, or flat."""
    error = openai.error_of(value)
    code = error.code or ""
    status, kind = _CODES.get(code, (0, "server"))
    if not status and "image" in code:
        status, kind = 400, "invalid_request"
    return replace(error, status=status, kind=kind) if status and error.kind in ("server", "refused") else error


def unfinished(response: Mapping[str, Any]) -> ApiError:
    """What a response says that has failed, or was cancelled."""
    if response.get("error"):
        return error_of(response)
    return ApiError(502, "server", f"the upstream's response ended as {response.get('status') or 'failed'}")


# ------------------------------------------------------------------------------------------------ neutral to wire

_FAILED: dict[ErrorKind, str] = {
    "invalid_request": "invalid_prompt",
    "unsupported": "invalid_prompt",
    "context_too_long": "context_length_exceeded",
    "auth": "invalid_prompt",
    "permission": "invalid_prompt",
    "billing": "insufficient_quota",
    "not_found": "invalid_prompt",
    "conflict": "server_error",
    "too_large": "invalid_prompt",
    "rate_limit": "rate_limit_exceeded",
    "overloaded": "server_error",  # a code of its own is no Responses one, and makes Codex give up at once
    "timeout": "server_error",
    "server": "server_error",
    "refused": "invalid_prompt",
    "disconnected": "server_error",
    "not_built": "invalid_prompt",
}
_OVERFLOW = openai.Overflow("input", lambda error: OVERFLOW)


def failed_object(error: ApiError) -> dict[str, Any]:
    """What stands under `error` in a response that failed."""
    message = OVERFLOW if error.kind == "context_too_long" else error.message
    if error.kind == "rate_limit" and error.retry_after is not None and "try again in" not in message.lower():
        seconds = math.ceil(error.retry_after * 1000) / 1000  # Codex reads the wait from here
        message = f"{message.rstrip(' .')}. Please try again in {seconds:g}s."
    return {"code": _FAILED[error.kind], "message": message}


def render_error(error: ApiError) -> ErrorReply:
    return openai.render_error(error, _OVERFLOW)


__all__ = ["OVERFLOW", "error_of", "failed_object", "parse_error", "render_error", "unfinished"]
