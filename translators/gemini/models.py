"""The list of models."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import ModelInfo
from ..paging import page, parameters, size
from .wire import Json, encode

_METHODS = ["generateContent", "streamGenerateContent", "countTokens"]
_EMBEDDING = ["embedContent", "batchEmbedContents", "countTokens"]
_CAMEL = {"page_size": "pageSize", "page_token": "pageToken"}
_SIZES = (("context_window", "inputTokenLimit"), ("max_output", "outputTokenLimit"))


def render_models(models: Sequence[ModelInfo], query: str = "") -> bytes:
    """The page that `pageSize` and `pageToken` ask for; where nothing is asked, all in one."""
    asked = {_CAMEL.get(name, name): value for name, value in parameters(query).items()}
    after = asked.get("pageToken", "")
    found = page(models, size(asked, "pageSize", 0, 1000), after=after, mark="pageToken")
    body: Json = {"models": [_row(model) for model in found.models]}
    if found.more:
        body["nextPageToken"] = found.models[-1].id
    return encode(body)


def render_model(model: ModelInfo) -> bytes:
    return encode(_row(model))


def _row(model: ModelInfo) -> Json:
    row: Json = {
        "name": f"models/{model.id}",
        "baseModelId": model.id,
        "version": "001",
        "displayName": model.name or model.id,
        "description": model.owner or model.name or model.id,
        "supportedGenerationMethods": _EMBEDDING if model.embedding else _METHODS,
        "thinking": model.reasoning,
    }
    row.update((wire, size) for name, wire in _SIZES if (size := getattr(model, name)))
    return row
