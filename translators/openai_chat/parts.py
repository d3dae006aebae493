"""The parts of a message's content, both ways.

Chat takes text, images, audio and files from users, and nothing but text from tools. A part that the target cannot take
becomes a line of text that says what was there, and a loss: a client resends its history each turn, and one picture
must not end a session.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..codec import Traits
from ..media import blob_of_url, data_url, plain_text
from ..model import Audio, BadRequest, Blob, Extra, File, Image, Opaque, Part, Refusal, ServerTool, Text, Thinking
from ..policy import BALANCED_REJECT, INFO, STRICT_REJECT_WARN, WARN, Losses, Rule
from .wire import NAME, WireFile, WireMark, WireMessage, WirePart, dumps

_SPACE = re.compile(r"\s+")
_AUDIO_FORMATS = {"audio/wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "pcm16": "audio/pcm"}
_BREAKPOINT_TTLS = frozenset({"30m", "12h"})

Json = dict[str, Any]

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_content(message: WireMessage, path: str, raw: Callable[[], Any]) -> list[Part]:
    """The parts of a content that is text or a list. `raw` gives it as plain values, for parts that nobody knows."""
    content = message.content
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list):
        raise BadRequest(f"{path} must be a string or a list of parts", path)
    parts: list[Part] = []
    for index, item in enumerate(content):
        if isinstance(item, str):
            parts.append(Text(item))
        else:
            parse = _PARSERS.get(item.type)
            parts.append(parse(item, f"{path}[{index}]") if parse else _opaque(item, raw()[index]))
    return parts


def _opaque(part: WirePart, raw: Any) -> Part:
    return Opaque(NAME, part.type, raw, part.text or "")


def _required[T](value: T | None, path: str) -> T:
    if value is None:
        raise BadRequest(f"{path} is required", path)
    return value


def mark_of(*marks: WireMark | None) -> str | None:
    """The cache mark's time to live, "" for the default; None where there is no mark."""
    return next((mark.ttl or "" for mark in marks if mark is not None), None)


def _mark(part: WirePart) -> str | None:
    return mark_of(part.cache_control, part.prompt_cache_breakpoint)


def _parse_text(part: WirePart, path: str) -> Part:
    return Text(_required(part.text, f"{path}.text"), cache=_mark(part))


def _parse_refusal(part: WirePart, path: str) -> Part:
    return Refusal(_required(part.refusal, f"{path}.refusal"))


def _parse_thinking(part: WirePart, path: str) -> Part:
    return Thinking(_required(part.thinking if part.thinking is not None else part.text, f"{path}.thinking"))


def _parse_image(part: WirePart, path: str) -> Part:
    if part.image_url is None and part.file_id is not None:
        return Image(Blob(file_id=part.file_id), part.detail, _mark(part), {NAME: {}})
    if isinstance(part.image_url, str):
        url, detail = part.image_url, part.detail
    else:
        image = _required(part.image_url, f"{path}.image_url")
        url, detail = image.url, image.detail
    blob = blob_of_url(url)
    if blob.media_type is not None and not blob.media_type.startswith("image/"):
        return File(blob, cache=_mark(part))  # PDFs come as `image_url` from clients that know no files
    return Image(blob, detail, _mark(part))


def _parse_audio(part: WirePart, path: str) -> Part:
    audio = _required(part.input_audio, f"{path}.input_audio")
    kind = audio.format or "wav"
    return Audio(Blob(media_type=_AUDIO_TYPES.get(kind, f"audio/{kind}"), data=_SPACE.sub("", audio.data)))


def _parse_file(part: WirePart, path: str) -> Part:
    file = part.file or WireFile(part.file_data, part.file_id, part.filename)
    if file.file_data is not None:
        blob = blob_of_url(file.file_data)
        if blob.url is not None and not blob.url.startswith(("http:", "https:")):
            blob = Blob(media_type="application/pdf", data=_SPACE.sub("", file.file_data))
        return File(blob, file.filename, cache=_mark(part))
    if file.file_url is not None:
        return File(blob_of_url(file.file_url), file.filename, cache=_mark(part))
    blob = Blob(file_id=_required(file.file_id, f"{path}.file.file_data"))
    return File(blob, file.filename, cache=_mark(part), extra={NAME: {}})


_PARSERS: dict[str, Callable[[WirePart, str], Part]] = {
    "text": _parse_text,
    "input_text": _parse_text,  # parts of Responses' shape, which some clients send here
    "output_text": _parse_text,
    "refusal": _parse_refusal,
    "thinking": _parse_thinking,  # Mistral's and LiteLLM's clients
    "image_url": _parse_image,
    "input_image": _parse_image,
    "input_audio": _parse_audio,
    "file": _parse_file,
    "input_file": _parse_file,
}


# ------------------------------------------------------------------------------------------------ neutral to wire


def render_media(part: Part, path: str, traits: Traits, losses: Losses) -> Json:
    """One part of a user's message. What the target cannot take becomes text that says so."""
    match part:
        case Text():
            return _marked({"type": "text", "text": part.text}, part.cache, path, traits, losses)
        case Image():
            return _marked(_render_image(part, path, traits, losses), part.cache, path, traits, losses)
        case Audio():
            return _render_audio(part, path, traits, losses)
        case File():
            return _marked(_render_file(part, path, traits, losses), part.cache, path, traits, losses)
        case _:
            return {"type": "text", "text": summary(part, path, losses)}


def _marked(out: Json, cache: str | None, path: str, traits: Traits, losses: Losses) -> Json:
    if cache is None:
        return out
    if not traits.cache_marks:
        losses.add("cache_control", "dropped", "the target takes no cache breakpoints", INFO)
        return out
    mark: Json = {"mode": "explicit"}
    if cache in _BREAKPOINT_TTLS:
        mark["ttl"] = cache
    elif cache:
        losses.add(f"{path}.cache_control.ttl", "dropped", "the target knows other times to live", INFO)
    return {**out, "prompt_cache_breakpoint": mark}


def note(path: str, what: str, why: str, losses: Losses, rule: Rule) -> Json:
    losses.add(path, "omitted", why, rule)
    return {"type": "text", "text": f"[{what}]"}


def _foreign_file(part: Image | File) -> bool:
    return NAME not in part.extra and "openai-responses" not in part.extra


def _render_image(part: Image, path: str, traits: Traits, losses: Losses) -> Json:
    blob = part.blob
    if "image" not in traits.input:
        return note(path, "image omitted", "the model takes no images", losses, STRICT_REJECT_WARN)
    if blob.file_id is not None:
        why = "a file id is valid at its own provider only"
        return note(path, "image omitted", why, losses, BALANCED_REJECT)
    if blob.url is not None and "image_url" in traits.drop:
        why = "the target takes images as data, not by their address"
        return note(path, f"image: {blob.url}", why, losses, BALANCED_REJECT)
    image: Json = {"url": blob.url if blob.url is not None else data_url(blob, "image/png")}
    if part.detail is not None and "detail" not in traits.drop:
        image["detail"] = part.detail
    elif part.detail not in (None, "auto"):
        losses.add(f"{path}.detail", "dropped", "the target takes no level of detail", INFO)
    return {"type": "image_url", "image_url": image}


def _render_audio(part: Audio, path: str, traits: Traits, losses: Losses) -> Json:
    kind = _AUDIO_FORMATS.get(part.blob.media_type or "")
    if "audio" not in traits.input or kind is None or part.blob.data is None:
        text = f"audio: {part.transcript}" if part.transcript else "audio omitted"
        return note(path, text, "the target takes wav and mp3 data at most", losses, BALANCED_REJECT)
    return {"type": "input_audio", "input_audio": {"data": part.blob.data, "format": kind}}


def _render_file(part: File, path: str, traits: Traits, losses: Losses) -> Json:
    blob = part.blob
    if part.citations:
        losses.add(f"{path}.citations", "dropped", "the target cites no documents", WARN)
    text = plain_text(blob)
    if text is not None:
        heading = f"File: {part.name}\n" if part.name else ""
        context = f"{part.context}\n" if part.context else ""
        return {"type": "text", "text": heading + context + text}
    name = part.name or "document.pdf"
    if blob.file_id is not None:
        if _foreign_file(part):
            why = "a file id is valid at its own provider only"
            return note(path, f"file {name} omitted", why, losses, BALANCED_REJECT)
        return {"type": "file", "file": {"file_id": blob.file_id}}
    if blob.url is not None:
        why = "the target takes files as data, not by their address"
        return note(path, f"file {name}: {blob.url}", why, losses, BALANCED_REJECT)
    if "pdf" not in traits.input:
        return note(path, f"file {name} omitted", "the model takes no files", losses, STRICT_REJECT_WARN)
    return {"type": "file", "file": {"filename": name, "file_data": data_url(blob, "application/pdf")}}


def summary(part: Part, path: str, losses: Losses) -> str:
    """In words, a part that only its own protocol can replay."""
    match part:
        case ServerTool():
            losses.add(path, "summarised", "the target cannot replay what the provider's tool did", STRICT_REJECT_WARN)
            return part.text or f"[{part.family} {part.phase}]"
        case Opaque():
            losses.add(path, "summarised", f"the target knows no {part.kind}", STRICT_REJECT_WARN)
            return part.text or f"[{part.kind}]"
        case Refusal() | Thinking():
            return part.text
        case _:
            losses.add(path, "summarised", "such a part has no place here", STRICT_REJECT_WARN)
            return dumps({"type": type(part).__name__.lower()})


def own(extra: Extra) -> bool:
    """Whether this protocol's client said it: then what is peculiar to Chat may be said again."""
    return NAME in extra
