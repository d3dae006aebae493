"""Images, sounds and files, both ways, and what stands for those that cannot be sent."""

from __future__ import annotations

import re

from ..codec import Traits
from ..media import plain_text
from ..model import Audio, Blob, File, Image
from ..policy import BALANCED_REJECT, INFO, STRICT_REJECT_WARN, Loss, Rule
from .wire import NAME, Json, WireBlob, own, standard_base64

Media = Image | Audio | File

# Addresses of files that Google keeps for one account: nobody else can read them
_KEPT = re.compile(r"files/|gs://|https://generativelanguage\.googleapis\.com/")
_READ_BY_GOOGLE = re.compile(r"https?://(www\.)?(youtube\.com|youtu\.be)/")
_TYPES: dict[str, str] = {"image/jpg": "image/jpeg", "audio/x-wav": "audio/wav", "audio/wave": "audio/wav"}
_NEEDS = {Image: "image", Audio: "audio", File: "pdf"}  # what `Traits.input` must hold
_DEFAULTS = {Image: "image/png", Audio: "audio/wav", File: "application/pdf"}
_DETAILS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH", "original": "MEDIA_RESOLUTION_ULTRA_HIGH"}

# ------------------------------------------------------------------------------------------------ parsing


def parse_inline(wire: WireBlob) -> Media:
    kind = (wire.mime_type or "").lower() or "application/octet-stream"
    return _media(kind, Blob(_TYPES.get(kind, kind), data=standard_base64(wire.data)))


def parse_file(wire: WireBlob) -> Media:
    """A file by its address: one that Google keeps is a file id, which is worth nothing elsewhere."""
    kept = _KEPT.match(wire.file_uri) is not None
    blob = Blob(wire.mime_type, file_id=wire.file_uri) if kept else Blob(wire.mime_type, url=wire.file_uri)
    return _media(wire.mime_type or "", blob, kept)


def _media(kind: str, blob: Blob, kept: bool = False) -> Media:
    extra: dict[str, Json] = {NAME: {"kept": True}} if kept else {}
    if kind.startswith("image/"):
        return Image(blob, extra=extra)
    if kind.startswith("audio/"):
        return Audio(blob, extra=extra)
    return File(blob, extra=extra)


# ------------------------------------------------------------------------------------------------ rendering


def render_media(part: Media, path: str, traits: Traits, losses: list[Loss]) -> Json:
    """One part. What the target cannot take becomes a line of text that says so: a client resends its history each
    turn, and one picture must not end a session."""
    kind, blob = type(part), part.blob
    what = kind.__name__.lower()
    if isinstance(part, File) and (text := plain_text(blob)) is not None:
        return _text_file(part, text, path, losses)
    if _NEEDS[kind] not in traits.input:
        return _omitted(part, path, f"the model takes no {_NEEDS[kind]}", STRICT_REJECT_WARN, losses)
    if blob.file_id is not None and "kept" not in own(part.extra):
        return _omitted(part, path, "a file id is valid at its own provider only", BALANCED_REJECT, losses)
    address = blob.file_id or blob.url
    if address is not None:
        if blob.url is not None and not _READ_BY_GOOGLE.match(blob.url) and "url" not in traits.input:
            why = f"the target takes no {what} by its address"
            return _omitted(part, path, why, BALANCED_REJECT, losses)
        return {"fileData": {"mimeType": blob.media_type or _DEFAULTS[kind], "fileUri": address}}
    if isinstance(part, File) and part.citations:
        losses.append(Loss(f"{path}.citations", "dropped", "Gemini cites no documents of the prompt", INFO))
    media_type = _TYPES.get(blob.media_type or "", blob.media_type) or _DEFAULTS[kind]
    out: Json = {"inlineData": {"mimeType": media_type, "data": standard_base64(blob.data or "")}}
    detail = part.detail if isinstance(part, Image) else None
    if detail in _DETAILS and "detail" in traits.input:
        out["mediaResolution"] = {"level": _DETAILS[detail or ""]}
    elif detail not in (None, "auto"):
        losses.append(Loss(f"{path}.detail", "dropped", "the target takes no level of detail", INFO))
    return out


def _text_file(part: File, text: str, path: str, losses: list[Loss]) -> Json:
    losses.append(Loss(path, "approximated", "a text file became text of the message", INFO))
    heading = f"File: {part.name}\n" if part.name else ""
    context = f"{part.context}\n" if part.context else ""
    return {"text": heading + context + text}


def _omitted(part: Media, path: str, why: str, rule: Rule, losses: list[Loss]) -> Json:
    losses.append(Loss(path, "omitted", why, rule))
    if isinstance(part, Audio) and part.transcript:
        return {"text": part.transcript}
    name = part.name if isinstance(part, File) and part.name else type(part).__name__.lower()
    return {"text": f"[{name} omitted: {part.blob.url or part.blob.media_type or 'no address'}]"}
