"""The parts of a message or of a tool's output, both ways.

Users and tools may say text, images and files; what the assistant said is `output_text` or `refusal`. A part that the
target cannot take becomes a line of text that says what was there, and a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..codec import Traits
from ..media import blob_of_url, clean_base64, data_url, plain_text
from ..model import Audio, BadRequest, Blob, Citation, File, Image, Opaque, Part, Refusal, ServerTool, Text, Thinking
from ..policy import BALANCED_REJECT, INFO, STRICT_REJECT_WARN, WARN, Losses, Rule
from .wire import NAME, Json, WireMark, WirePart, dumps

_BREAKPOINT_TTLS = frozenset({"30m", "12h"})

# ------------------------------------------------------------------------------------------------ wire to neutral

Content = str | Sequence[WirePart | str] | None


def parse_content(content: Content, path: str, raw: Callable[[], Any]) -> list[Part]:
    """The parts of a content that is text or a list. `raw` gives it as plain values, for parts that nobody knows."""
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)]
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


def _mark(mark: WireMark | None) -> str | None:
    return None if mark is None else mark.ttl or ""


def _parse_text(part: WirePart, path: str) -> Part:
    text = _required(part.text, f"{path}.text")
    return Text(text, citations(part.annotations), _mark(part.prompt_cache_breakpoint))


def _parse_refusal(part: WirePart, path: str) -> Part:
    return Refusal(_required(part.refusal, f"{path}.refusal"))


def _parse_image(part: WirePart, path: str) -> Part:
    mark, detail = _mark(part.prompt_cache_breakpoint), part.detail
    if part.image_url is None:
        blob = Blob(file_id=_required(part.file_id, f"{path}.image_url"))
        return Image(blob, _detail(detail), mark, {NAME: {}})
    if isinstance(part.image_url, str):
        url = part.image_url
    else:  # Chat's form
        url, detail = part.image_url.url, part.image_url.detail or detail
    blob = blob_of_url(url)
    if blob.media_type is not None and not blob.media_type.startswith("image/"):
        return File(blob, cache=mark)
    return Image(blob, _detail(detail), mark)


def _detail(said: str | None) -> str | None:
    return None if said == "auto" else said


def _parse_file(part: WirePart, path: str) -> Part:
    mark = _mark(part.prompt_cache_breakpoint)
    if part.file_data is not None:
        blob = blob_of_url(part.file_data)
        if blob.url is not None:
            blob = Blob("application/pdf", clean_base64(part.file_data))
        return File(blob, part.filename, cache=mark)
    if part.file_url is not None:
        return File(blob_of_url(part.file_url), part.filename, cache=mark)
    return File(Blob(file_id=_required(part.file_id, f"{path}.file_data")), part.filename, cache=mark, extra={NAME: {}})


def _parse_audio(part: WirePart, path: str) -> Part:
    audio = _required(part.input_audio, f"{path}.input_audio")
    return Audio(Blob(f"audio/{audio.format or 'wav'}", clean_base64(audio.data)))


_PARSERS: dict[str, Callable[[WirePart, str], Part]] = {
    "input_text": _parse_text,
    "output_text": _parse_text,
    "text": _parse_text,
    "summary_text": _parse_text,
    "reasoning_text": _parse_text,
    "refusal": _parse_refusal,
    "input_image": _parse_image,
    "image_url": _parse_image,
    "input_file": _parse_file,
    "input_audio": _parse_audio,
}


def citations(annotations: list[Any] | None) -> tuple[Citation, ...]:
    return tuple(filter(None, map(_citation, annotations or ())))


def _citation(raw: Any) -> Citation | None:
    if not isinstance(raw, dict):
        return None
    url, title = (value if isinstance(value := raw.get(name), str) else None for name in ("url", "title"))
    if raw.get("type") != "url_citation" or url is None:
        return Citation(None, title or raw.get("filename"), extra={NAME: raw})
    start, end = (value if isinstance(value := raw.get(name), int) else None for name in ("start_index", "end_index"))
    return Citation(url, title, None, start, end)


def render_citations(text: str, cited: Sequence[Citation]) -> list[Json]:
    """Citations as annotations of one text, in whose characters they count."""
    out: list[Json] = []
    for citation in cited:
        raw = citation.extra.get(NAME)
        if raw:
            out.append(raw)
        elif citation.url is not None:
            start, end = citation.start or 0, citation.end if citation.end is not None else len(text)
            title = citation.title or ""
            out.append(
                {"type": "url_citation", "url": citation.url, "title": title, "start_index": start, "end_index": end}
            )
    return out


# ------------------------------------------------------------------------------------------------ neutral to wire


def render_input(part: Part, path: str, traits: Traits, losses: Losses) -> Json:
    """One part of a user's message or of a tool's output. What the target cannot take becomes text that says so."""
    match part:
        case Text():
            return _marked({"type": "input_text", "text": part.text}, part.cache, path, traits, losses)
        case Image():
            return _marked(_render_image(part, path, traits, losses), part.cache, path, traits, losses)
        case File():
            return _marked(_render_file(part, path, traits, losses), part.cache, path, traits, losses)
        case Audio():
            what = f"audio: {part.transcript}" if part.transcript else "audio omitted"
            return _note(path, what, "the target takes no audio", losses, BALANCED_REJECT)
        case Opaque(protocol=protocol, raw=raw) if protocol == NAME and isinstance(raw, dict):
            return raw
        case _:
            return {"type": "input_text", "text": summary(part, path, losses)}


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


def _note(path: str, what: str, why: str, losses: Losses, rule: Rule) -> Json:
    losses.add(path, "omitted", why, rule)
    return {"type": "input_text", "text": f"[{what}]"}


def _foreign(part: Image | File) -> bool:
    return NAME not in part.extra and "openai-chat" not in part.extra


def _render_image(part: Image, path: str, traits: Traits, losses: Losses) -> Json:
    blob = part.blob
    if "image" not in traits.input:
        return _note(path, "image omitted", "the model takes no images", losses, STRICT_REJECT_WARN)
    if blob.url is not None and "image_url" in traits.drop:
        why = "the target takes images as data, not by their address"
        return _note(path, f"image: {blob.url}", why, losses, BALANCED_REJECT)
    out: Json = {"type": "input_image", "detail": part.detail or "auto"}
    if blob.file_id is None:
        return {**out, "image_url": blob.url if blob.url is not None else data_url(blob, "image/png")}
    if _foreign(part):
        return _note(path, "image omitted", "a file id is valid at its own provider only", losses, BALANCED_REJECT)
    return {**out, "file_id": blob.file_id}


def _render_file(part: File, path: str, traits: Traits, losses: Losses) -> Json:
    blob = part.blob
    if part.citations:
        losses.add(f"{path}.citations", "dropped", "the target cites no documents", WARN)
    text = plain_text(blob)
    if text is not None:
        heading = f"File: {part.name}\n" if part.name else ""
        context = f"{part.context}\n" if part.context else ""
        return {"type": "input_text", "text": heading + context + text}
    name = part.name or "document.pdf"
    if "pdf" not in traits.input:
        return _note(path, f"file {name} omitted", "the model takes no files", losses, STRICT_REJECT_WARN)
    if blob.file_id is not None:
        if _foreign(part):
            why = "a file id is valid at its own provider only"
            return _note(path, f"file {name} omitted", why, losses, BALANCED_REJECT)
        return {"type": "input_file", "file_id": blob.file_id}
    if blob.url is not None:
        return {"type": "input_file", "file_url": blob.url}
    return {"type": "input_file", "filename": name, "file_data": data_url(blob, "application/pdf")}


def summary(part: Part, path: str, losses: Losses) -> str:
    """In words, a part that only its own protocol can replay."""
    match part:
        case ServerTool():
            losses.add(path, "summarised", "the target cannot replay what the provider's tool did", STRICT_REJECT_WARN)
            return part.text or f"[{part.family} {part.phase}]"
        case Opaque():
            losses.add(path, "summarised", f"the target knows no {part.kind}", STRICT_REJECT_WARN)
            return part.text or f"[{part.kind}]"
        case Text() | Refusal() | Thinking():
            return part.text
        case _:
            losses.add(path, "summarised", "such a part has no place here", STRICT_REJECT_WARN)
            return dumps({"type": type(part).__name__.lower()})
