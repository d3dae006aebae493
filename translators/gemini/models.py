"""The list of models."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import ModelInfo
from .wire import Json, encode

_METHODS = ["generateContent", "streamGenerateContent", "countTokens"]
_SIZES = (("context_window", "inputTokenLimit"), ("max_output", "outputTokenLimit"))


def render_models(models: Sequence[ModelInfo]) -> bytes:
    """One page that holds them all."""
    return encode({"models": [_row(model) for model in models]})


def render_model(model: ModelInfo) -> bytes:
    return encode(_row(model))


def _row(model: ModelInfo) -> Json:
    row: Json = {
        "name": f"models/{model.id}",
        "baseModelId": model.id,
        "version": "001",
        "displayName": model.name or model.id,
        "description": model.owner or model.name or model.id,
        "supportedGenerationMethods": _METHODS,
        "thinking": model.reasoning,
    }
    row.update((wire, size) for name, wire in _SIZES if (size := getattr(model, name)))
    return row
