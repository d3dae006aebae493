"""The model list and the one model that Ollama's clients ask for.

Clients read more from it than names: `llm` merges models of one digest, litellm looks for tools in the template and for
the context in `model_info`, user interfaces switch tools, pictures and thinking on by the capabilities.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ..model import ModelInfo
from .wire import Json, encode, timestamp

_ARCHITECTURE = "llm-link"
_TEMPLATE = "{{ if .System }}{{ .System }}{{ end }}{{ if .Tools }}{{ .Tools }}{{ end }}{{ .Prompt }}"
_PLAIN_TEMPLATE = "{{ if .System }}{{ .System }}{{ end }}{{ .Prompt }}"


def render_models(models: Sequence[ModelInfo], query: str = "") -> bytes:
    """All of them: this list has no pages."""
    return encode({"models": [_row(model) for model in models]})


def render_model(model: ModelInfo) -> bytes:
    size = model.context_window
    info: Json = {"general.architecture": _ARCHITECTURE, "general.basename": model.name or model.id}
    if size:
        info[f"{_ARCHITECTURE}.context_length"] = size
    return encode(
        {
            "license": "",
            "modelfile": f"FROM {model.id}",
            "parameters": f"num_ctx {size}" if size else "",
            "template": _TEMPLATE if model.tools else _PLAIN_TEMPLATE,
            "details": _details(model),
            "model_info": info,
            "capabilities": _capabilities(model),
            "modified_at": timestamp(model.created),
        }
    )


def _row(model: ModelInfo) -> Json:
    return {
        "name": model.id,
        "model": model.id,
        "modified_at": timestamp(model.created),
        "size": 0,
        "digest": hashlib.sha256(model.id.encode()).hexdigest(),
        "details": _details(model),
    }


def _details(model: ModelInfo) -> Json:
    family = model.owner or _ARCHITECTURE
    return {
        "parent_model": "",
        "format": "remote",
        "family": family,
        "families": [family],
        "parameter_size": "",
        "quantization_level": "",
    }


def _capabilities(model: ModelInfo) -> list[str]:
    if model.embedding:
        return ["embedding"]
    able = (("completion", True), ("tools", model.tools), ("vision", model.vision), ("thinking", model.reasoning))
    return [name for name, can in able if can]
