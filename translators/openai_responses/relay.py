"""The same protocol on both sides: the client's bytes, as a Responses upstream takes them."""

from __future__ import annotations

from typing import Any

import msgspec

from ..body import replace, top_level, typed
from ..carry import marked, ours

_ITEMS = msgspec.json.Decoder(list[Any])


def relay_body(body: bytes, model: str) -> bytes:
    """The client's own body with another model name.

    Reasoning items of other providers' models, from the time when this conversation went elsewhere, hold a token of
    ours, which no upstream can read: they are taken out. Raises `BadRequest` where the body is no JSON object."""
    fields = top_level(body)
    changes: dict[str, Any] = {"model": model}
    if marked(body) and bytes(fields.get("input", b""))[:1] == b"[":
        items = typed(fields, "input", _ITEMS)
        kept = [item for item in items if not _carries(item)]
        if len(kept) < len(items):
            changes["input"] = kept
    return replace(body, changes)


def _carries(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "reasoning" and ours(item.get("encrypted_content"))
