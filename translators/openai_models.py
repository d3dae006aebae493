"""The model list of OpenAI, which its two protocols share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from .model import ModelInfo

_encode = msgspec.json.Encoder().encode

_SIZES = (("context_window", "context_window"), ("max_output", "max_output_tokens"))


def _row(model: ModelInfo) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owner or "llm-link",
    }
    row.update((wire, size) for name, wire in _SIZES if (size := getattr(model, name)))
    return row


def render_models(models: Sequence[ModelInfo], query: str = "") -> bytes:
    """All of them: this list has no pages."""
    return _encode({"object": "list", "data": [_row(model) for model in models]})


def render_model(model: ModelInfo) -> bytes:
    return _encode(_row(model))
