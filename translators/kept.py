"""What a request takes for granted that somebody kept: earlier answers and items, by their id.

Between two protocols nothing is kept here, so such a request is refused, whatever the policy: the model would answer
another conversation. Clients know these errors, and send the whole conversation again.
"""

from __future__ import annotations

from typing import Any

from .model import BadRequest, Opaque, Request

_RESPONSES, _ANTHROPIC = "openai-responses", "anthropic"


def demand_whole(request: Request) -> None:
    """Raises `BadRequest` where the request does not hold all that it speaks of."""
    if request.previous_id is not None:
        why = f"no response {request.previous_id[:100]!r} is kept here; send the whole conversation"
        raise BadRequest(why, "previous_response_id", code="previous_response_not_found")
    _check_thread(request.extra.get(_ANTHROPIC, {}).get("thread"))
    for message in request.messages:
        for part in message.parts:
            if type(part) is Opaque and part.protocol == _RESPONSES:
                _check(part)


def _check_thread(thread: Any) -> None:
    """Anthropic's SDK runs tools in a thread, of which only the first request holds the whole conversation."""
    if isinstance(thread, dict) and thread.get("type") == "continue":
        id = str(thread.get("previous_message_id") or "")[:100]
        why = f"thread: no message {id!r} is kept here; send the whole conversation"
        raise BadRequest(why, "thread.previous_message_id", code="thread_not_found")


def _check(part: Opaque) -> None:
    if part.kind == "item_reference":
        id = str(part.raw.get("id") or "")[:100]
        raise BadRequest(f"Item with id {id!r} not found: no items are kept here; send the item itself", "input")
