"""The same protocol on both sides: the client's bytes, as a Gemini upstream takes them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from ..body import replace, top_level, typed
from ..carry import marked, ours
from .wire import FIELDS, SENTINEL, Json

_CONTENTS = msgspec.json.Decoder(list[Any] | dict[str, Any])
_ROWS: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])
_SIGNATURES = ("thoughtSignature", "thought_signature")
_CALLS = ("functionCall", "function_call")


def relay_body(body: bytes, model: str) -> bytes:
    """The client's own body; where it names a model, another one.

    Signatures that are ours, from the time when this conversation went elsewhere, are taken out: no upstream can read
    them. Raises `BadRequest` where the body is no JSON object."""
    fields = top_level(body)
    for name in ("generateContentRequest", "generate_content_request"):
        if name in fields:
            inner = bytes(fields[name])
            outer: dict[str, Raw] = typed(fields, name, FIELDS)
            changes = _changes(outer, inner, model)
            if changes:
                return replace(body, {name: Raw(replace(inner, changes))})
    if "requests" in fields:  # of batchEmbedContents
        rows: list[Raw] = typed(fields, "requests", _ROWS)
        return replace(body, {"requests": [_renamed(row, f"requests[{n}]", model) for n, row in enumerate(rows)]})
    changes = _changes(fields, body, model)
    return replace(body, changes) if changes else body


def _renamed(row: Raw, at: str, model: str) -> Raw:
    named = "model" in typed({at: row}, at, FIELDS)
    return Raw(replace(bytes(row), {"model": f"models/{model}"})) if named else row


def _changes(fields: dict[str, Raw], body: bytes, model: str) -> Json:
    changes: Json = {"model": f"models/{model}"} if "model" in fields else {}
    if marked(body) and "contents" in fields:
        contents = typed(fields, "contents", _CONTENTS)
        cleaned = list(map(_cleaned, contents)) if isinstance(contents, list) else _cleaned(contents)
        if cleaned != contents:
            changes["contents"] = cleaned
    return changes


def _cleaned(content: Any) -> Any:
    parts = content.get("parts") if isinstance(content, dict) else None
    found = parts if isinstance(parts, list) else [parts]
    if not any(map(_signature, found)):
        return content
    kept = [part for old in found if (part := _unsigned(old)) is not None]
    return {**content, "parts": kept or [{"text": "."}]}


def _signature(part: Any) -> str:
    """The field of a part that holds a token of ours; "" for none."""
    if not isinstance(part, dict):
        return ""
    return next((name for name in _SIGNATURES if ours(part.get(name))), "")


def _unsigned(part: Any) -> Any:
    """The part without its signature; None for one that was there for it. A call needs one in its place."""
    field = _signature(part)
    if not field:
        return part
    if any(name in part for name in _CALLS):
        return {**part, field: SENTINEL}
    rest = {name: value for name, value in part.items() if name != field}
    return None if rest.get("thought") or rest == {"text": ""} else rest
