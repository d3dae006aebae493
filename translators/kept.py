"""What a request takes for granted that somebody kept: earlier answers and items, by their id.

Between two protocols nothing is kept here, so such a request is refused, whatever the policy: the model would answer
another conversation. Clients know these errors, and send the whole conversation again.
"""

from __future__ import annotations

from .model import BadRequest, Opaque, Request

_RESPONSES = "openai-responses"


def demand_whole(request: Request) -> None:
    """Raises `BadRequest` where the request does not hold all that it speaks of."""
    if request.previous_id is not None:
        why = f"no response {request.previous_id[:100]!r} is kept here; send the whole conversation"
        raise BadRequest(why, "previous_response_id", code="previous_response_not_found")
    for message in request.messages:
        for part in message.parts:
            if type(part) is Opaque and part.protocol == _RESPONSES:
                _check(part)


def _check(part: Opaque) -> None:
    if part.kind == "item_reference":
        id = str(part.raw.get("id") or "")[:100]
        raise BadRequest(f"Item with id {id!r} not found: no items are kept here; send the item itself", "input")
