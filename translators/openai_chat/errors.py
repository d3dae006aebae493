"""Errors of Chat Completions: OpenAI's, in this protocol's words for a prompt that is too long."""

from __future__ import annotations

from typing import Any

from .. import openai_errors as openai
from ..codec import ErrorReply
from ..model import ApiError
from ..openai_errors import error_of, parse_error


def _overflow(error: ApiError) -> str:
    """In the words by which agents know that they must compact."""
    if error.tokens is not None:
        prompt, limit = error.tokens
        return (
            f"This model's maximum context length is {limit} tokens. However, your messages resulted in {prompt} "
            "tokens. Please reduce the length of the messages."
        )
    known = "maximum context length is" in error.message or "exceeds the context window" in error.message
    return error.message if known else f"This model's maximum context length is exceeded: {error.message}"


_OVERFLOW = openai.Overflow("messages", _overflow)


def error_object(error: ApiError) -> dict[str, Any]:
    """What stands under `error`, in a body or in a stream."""
    return openai.error_object(error, _OVERFLOW)


def render_error(error: ApiError) -> ErrorReply:
    return openai.render_error(error, _OVERFLOW)


__all__ = ["error_object", "error_of", "parse_error", "render_error"]
