"""Images and documents, both ways, and what stands for those that cannot be sent."""

from __future__ import annotations

import base64
from typing import Any

from ..codec import Traits
from ..media import clean_base64, media_type, spelled
from ..model import Audio, Blob, File, Image
from ..policy import BALANCED_REJECT, INFO, STRICT_REJECT_WARN, Loss, Rule
from .wire import NAME, Block, CitationsSetting, Missing, Source, cache_control, cache_ttl, own

IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_TEXTUAL = ("application/json", "application/xml", "application/yaml", "application/x-yaml", "application/javascript")


class Target:
    """What the renderers of one message's parts need to know, and where they report what they had to leave out."""

    def __init__(self, traits: Traits, losses: list[Loss]) -> None:
        self.inputs, self.drop, self.losses = traits.input, traits.drop, losses
        self.role = "user"
        self.index = 0  # of the message

    def lose(self, code: str, why: str, rule: Rule, field: str = "") -> None:
        where = f"messages[{self.index}]"
        self.losses.append(Loss(f"{where}.{field}" if field else where, code, why, rule))


# ------------------------------------------------------------------------------------------------ parsing


def _blob(source: Source | str | None) -> tuple[Blob, dict[str, Any]]:
    """The bytes, and what has to be remembered of the source to write it again."""
    if source is None:
        raise Missing(".source")
    if not isinstance(source, Source):
        return Blob(text=source), {}
    match source.type:
        case "url":
            return Blob(source.media_type, url=source.url), {}
        case "file":
            return Blob(source.media_type, file_id=source.file_id), {"file": True}
        case "text":
            return Blob(source.media_type or "text/plain", text=source.data or ""), {}
        case "content":
            return Blob("text/plain", text=flat_text(source.content)), {"content": source.content}
        case _:
            return Blob(spelled(source.media_type), data=source.data or ""), {}


def flat_text(content: Any) -> str:
    """The text in a string, a block or a list of blocks, given as plain values."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n\n".join(filter(None, map(flat_text, content)))
    if isinstance(content, dict):
        return content["text"] if isinstance(content.get("text"), str) else f"[{content.get('type', 'block')}]"
    return ""


def parse_image(block: Block) -> Image:
    blob, remember = _blob(block.source)
    if block.transformations is not None:
        remember["transformations"] = block.transformations
    return Image(blob, cache=cache_ttl(block.cache_control), extra={NAME: remember} if remember else {})


def parse_document(block: Block) -> File:
    blob, remember = _blob(block.source)
    setting = block.citations
    cite = isinstance(setting, CitationsSetting) and bool(setting.enabled)
    cache = cache_ttl(block.cache_control)
    return File(blob, block.title, block.context, cite, cache, {NAME: remember} if remember else {})


# ------------------------------------------------------------------------------------------------ rendering


def note(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def with_cache(block: dict[str, Any], cache: str | None) -> dict[str, Any]:
    if cache is not None:
        block["cache_control"] = cache_control(cache)
    return block


def render_image(part: Image, target: Target) -> dict[str, Any]:
    kind = media_type(part.blob)
    if kind == "application/pdf" or (kind or "").startswith("text/"):  # inside an image_url
        return render_file(File(part.blob, cache=part.cache, extra=part.extra), target)
    if target.role == "assistant":
        return left_out("image", "an assistant's turn takes no images", STRICT_REJECT_WARN, target)
    if "image" not in target.inputs:
        return left_out("image", "this model takes no images", STRICT_REJECT_WARN, target)
    if part.blob.url is not None and "image_url" in target.drop:
        why = f"the target takes images as data, not by their address ({part.blob.url})"
        return left_out("image", why, BALANCED_REJECT, target)
    source = _source(part.blob, own(part.extra), kind)
    if source is None or (part.blob.data is not None and kind not in IMAGE_TYPES):
        why = f"Anthropic takes no image of this kind ({kind or 'a file id'})"
        return left_out("image", why, BALANCED_REJECT, target)
    if part.detail not in (None, "auto"):
        target.lose("dropped", "Anthropic has no levels of detail", INFO, "detail")
    block: dict[str, Any] = {"type": "image", "source": source}
    if changes := own(part.extra).get("transformations"):
        block["transformations"] = changes
    return with_cache(block, part.cache)


def render_file(part: File, target: Target) -> dict[str, Any]:
    kind = media_type(part.blob)
    if target.role == "assistant":
        return left_out("document", "an assistant's turn takes no documents", STRICT_REJECT_WARN, target)
    source = _document_source(part.blob, own(part.extra), kind)
    if source is None:
        why = f"Anthropic takes no document of this kind ({kind or 'a file id'})"
        return left_out("document", why, BALANCED_REJECT, target)
    if source["type"] == "base64" and "pdf" not in target.inputs:
        return left_out("document", "this model takes no PDF", STRICT_REJECT_WARN, target)
    block: dict[str, Any] = {"type": "document", "source": source}
    if part.name:
        block["title"] = part.name
    if part.context:
        block["context"] = part.context
    if part.citations:
        block["citations"] = {"enabled": True}
    return with_cache(block, part.cache)


def _source(blob: Blob, remembered: dict[str, Any], kind: str | None) -> dict[str, Any] | None:
    if blob.data is not None:
        return {"type": "base64", "media_type": kind, "data": clean_base64(blob.data)}
    if blob.url is not None:
        return {"type": "url", "url": blob.url}
    if blob.file_id is not None and remembered.get("file"):
        return {"type": "file", "file_id": blob.file_id}
    return None


def _document_source(blob: Blob, remembered: dict[str, Any], kind: str | None) -> dict[str, Any] | None:
    if "content" in remembered:
        return {"type": "content", "content": remembered["content"]}
    if blob.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": blob.text}
    if blob.data is None or kind == "application/pdf":
        return _source(blob, remembered, kind)
    if kind is None or kind.startswith("text/") or kind in _TEXTUAL:
        try:
            text = base64.b64decode(clean_base64(blob.data)).decode()
        except ValueError:  # not text after all
            return None
        return {"type": "text", "media_type": "text/plain", "data": text}
    return None


def left_out(what: str, why: str, rule: Rule, target: Target) -> dict[str, Any]:
    """A note stands where the part was, so that the model does not wonder what the talk is about."""
    target.lose("dropped", why, rule)
    return note(f"[{what} left out: {why}]")


def render_audio(part: Audio, target: Target) -> dict[str, Any]:
    target.lose("dropped", "Anthropic takes no audio", BALANCED_REJECT)
    return note(part.transcript or "[audio left out: this model takes none]")
