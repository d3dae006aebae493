"""Tool results that hold pictures as JSON text.

Codex and MCP bridges send what a tool returned as one string, a list of parts with data URLs in it. As text a picture
costs a hundred times its tokens and cannot be seen; so such a string becomes the parts that it spells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .media import blob_of_url
from .model import Blob, Image, Part, Text

_ANY = msgspec.json.Decoder()
_MARKS = ("data:image/", '"image/')  # a data URL, or the media type that stands beside the data


def unpacked(text: str) -> list[Part] | None:
    """The parts that the text spells; None where it is anything but a list of texts and at least one picture."""
    if text[:1] not in "[{ \n" or not any(mark in text for mark in _MARKS):
        return None
    try:
        found = _ANY.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    if isinstance(found, dict):  # MCP's result around its content, or one part
        found = found["content"] if isinstance(found.get("content"), list) else [found]
    parts = [_part(item) for item in found] if isinstance(found, list) else []
    if not any(isinstance(part, Image) for part in parts) or None in parts:
        return None
    return [part for part in parts if part is not None]


def _part(item: Any) -> Part | None:
    if not isinstance(item, dict):
        return None
    parse = _PARSERS.get(str(item.get("type")))
    return parse(item) if parse is not None else None


def _text(item: dict[str, Any]) -> Part | None:
    text = item.get("text")
    return Text(text) if isinstance(text, str) else None


def _by_url(item: dict[str, Any]) -> Part | None:
    url = item.get("image_url")
    url = url.get("url") if isinstance(url, dict) else url
    return Image(blob_of_url(url)) if isinstance(url, str) and url.startswith("data:image/") else None


def _image(item: dict[str, Any]) -> Part | None:
    """MCP's image, or Anthropic's."""
    source = item.get("source")
    source = source if isinstance(source, dict) else item
    kind, data = source.get("media_type") or source.get("mimeType"), source.get("data")
    return Image(Blob(kind, data)) if isinstance(kind, str) and isinstance(data, str) else None


_PARSERS: dict[str, Callable[[dict[str, Any]], Part | None]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "input_image": _by_url,
    "image_url": _by_url,
    "image": _image,
}
