"""The bytes of pictures and files: data URLs, what type they are, and files that are text."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote_to_bytes

from .model import Audio, Blob, File, Image

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,", re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_MAGIC = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi0": "application/pdf",
}
_MEDIA_TYPES = {"image/jpg": "image/jpeg", "audio/x-wav": "audio/wav", "audio/wave": "audio/wav"}


def blob_of_url(url: str) -> Blob:
    """A data URL taken apart, or the URL itself."""
    found = _DATA_URL.match(url)
    if found is None:
        return Blob(url=url)
    media_type = found[1].lower() or "text/plain"
    data = url[found.end() :]
    if not found[3]:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return Blob(_MEDIA_TYPES.get(media_type, media_type), _SPACE.sub("", data) if " " in data or "\n" in data else data)


def plain_text(blob: Blob) -> str | None:
    """The text of a document that is one; None where it is something else."""
    if blob.text is not None:
        return blob.text
    if blob.data is None or not (media_type(blob) or "").startswith("text/"):
        return None
    try:
        return base64.b64decode(clean_base64(blob.data) + "==").decode("utf-8", "replace")
    except ValueError:  # no base64 after all
        return None


def described(part: Image | Audio | File) -> str:
    """What the model made, in words, for clients whose protocol has no such thing in answers."""
    if isinstance(part, Audio) and part.transcript:
        return part.transcript
    what = part.blob.url or part.blob.file_id or part.blob.media_type or "no type"
    return f"[{type(part).__name__.lower()}: {what}]"


def data_url(blob: Blob, default: str) -> str:
    return f"data:{blob.media_type or default};base64,{blob.data or ''}"


def media_type(blob: Blob) -> str | None:
    """The type that the bytes show, else the one that was declared: clients mislabel, and write image/jpg."""
    if blob.data is not None:
        start = blob.data[:24].lstrip()
        for magic, kind in _MAGIC.items():
            if start.startswith(magic):
                return kind
    return spelled(blob.media_type)


def spelled(declared: str | None) -> str | None:
    """A declared media type without parameters, in the spelling that providers take; None where there is none."""
    kind = (declared or "").partition(";")[0].strip().lower()
    return "image/jpeg" if kind == "image/jpg" else kind or None


def clean_base64(data: str) -> str:
    """Without the line ends that some encoders put in."""
    return "".join(data.split()) if any(blank in data for blank in "\n\r \t") else data
