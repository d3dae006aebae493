"""The same protocol on both sides: the client's bytes, as an Anthropic upstream takes them."""

from __future__ import annotations

from typing import Any

import msgspec

from ..body import replace, top_level, typed
from ..carry import marked, ours
from .messages import EMPTY_TURN

_STR = msgspec.json.Decoder(str)
_MESSAGES = msgspec.json.Decoder(list[Any])


def relay_body(body: bytes, model: str) -> bytes:
    """The body with the model's name replaced and all else as it is.

    Thoughts of other providers' models, from the time when this conversation went elsewhere, bear our mark; Anthropic
    would refuse them, so they are taken out. Raises `BadRequest` where the body is no JSON object."""
    fields = top_level(body)
    changes: dict[str, Any] = {}
    if "model" not in fields or typed(fields, "model", _STR) != model:
        changes["model"] = model
    if marked(body) and "messages" in fields:
        messages = typed(fields, "messages", _MESSAGES)
        cleaned = [_unmarked(message) for message in messages]
        if any(new is not old for new, old in zip(cleaned, messages, strict=True)):
            changes["messages"] = cleaned
    return replace(body, changes) if changes else body


def _unmarked(message: Any) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or not any(map(_is_marked, content)):
        return message
    return {**message, "content": [block for block in content if not _is_marked(block)] or EMPTY_TURN}


def _is_marked(block: Any) -> bool:
    if not isinstance(block, dict) or block.get("type") not in ("thinking", "redacted_thinking"):
        return False
    return ours(block.get("signature") or block.get("data"))
