"""The list of models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..model import ModelInfo
from ..paging import page, parameters, size
from .wire import encode


def render_models(models: Sequence[ModelInfo], query: str = "") -> bytes:
    """The page that `limit`, `after_id` and `before_id` ask for; where nothing is asked, all in one."""
    asked = parameters(query)
    after, before = asked.get("after_id", ""), asked.get("before_id", "")
    found = page(
        models, size(asked, "limit", 1, 1000), after=after, before=before, mark="after_id" if after else "before_id"
    )
    rows = [_row(model) for model in found.models]
    return encode({
        "data": rows,
        "first_id": rows[0]["id"] if rows else None,
        "last_id": rows[-1]["id"] if rows else None,
        "has_more": found.more,
    })


def render_model(model: ModelInfo) -> bytes:
    return encode(_row(model))


def _row(model: ModelInfo) -> dict[str, Any]:
    created = datetime.fromtimestamp(model.created, UTC)
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name or model.id,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": model.context_window or None,
        "max_tokens": model.max_output or None,
    }
