"""The shapes of an answer, whole or in chunks, and its usage.

A chunk's `delta` and an answer's `message` have the same fields, and servers mix them up, so one struct reads both. It
is permissive: what a struct does not name is passed over, and anything may be null.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from .. import logprobs
from ..codec import Seed
from ..media import blob_of_url
from ..model import Audio, Blob, Citation, Image, Logprob, Reason, Refusal, Text, Thinking, Usage
from .reasoning import reasoning_text
from .wire import NAME, decoder, dumps


class WireFunctionDelta(Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    input: str | None = None
    index: int | None = None  # Ollama puts it here


class WireCallDelta(Struct, gc=False):
    index: int | None = None
    id: str | int | None = None
    type: str | None = None
    function: WireFunctionDelta | None = None
    custom: WireFunctionDelta | None = None
    extra_content: Any = None  # Google: the signature of the thought behind the call


class WireDelta(Struct, gc=False):
    content: str | list[Any] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    tool_calls: list[WireCallDelta] | None = None
    refusal: str | None = None
    function_call: WireFunctionDelta | None = None
    annotations: list[Any] | None = None
    images: list[Any] | None = None
    audio: dict[str, Any] | None = None


class WireChoice(Struct, gc=False):
    index: int | None = None
    delta: WireDelta | None = None
    message: WireDelta | None = None
    finish_reason: str | None = None
    stop_reason: Any = None  # vLLM: the stop sequence that matched, or a token id
    matched_stop: Any = None  # SGLang
    logprobs: Any = None


class WireGroq(Struct, gc=False):
    usage: dict[str, Any] | None = None


class WireAnswer(Struct, gc=False):
    choices: list[WireChoice] | None = None
    id: str | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    object: str | None = None
    message: Any = None
    detail: Any = None
    x_groq: WireGroq | None = None

    @property
    def failed(self) -> bool:
        """Whether it is an error in the place of an answer. vLLM and FastAPI have their own forms of it."""
        if self.error is not None:
            return self.error not in ("", {}, [], False)
        return self.choices is None and (self.object == "error" or self.message is not None or self.detail is not None)


ANSWER: msgspec.json.Decoder[WireAnswer] = decoder(WireAnswer)

# ------------------------------------------------------------------------------------------------ the end

REASONS: dict[str, Reason] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
    "max_tokens": "length",
    "model_length": "length",  # Mistral: the context is full
    "tool_use": "tool_call",
    "refusal": "refusal",
    "safety": "content_filter",
}
# Ends that are none: the server gave up. DeepSeek's, and OpenRouter's.
BROKEN = {"insufficient_system_resource": 503, "error": 502}


def end_of(choice: WireChoice, calls: int, refused: bool) -> tuple[Reason, str | None]:
    """Why the answer is over, and the stop sequence that ended it. What no one knows is an ordinary end.

    Servers say `stop` after a tool call, and `tool_calls` without one: agents stop there in the first case, and hang in
    the other."""
    reason = REASONS.get((choice.finish_reason or "").lower(), "end")
    if calls and reason == "end":
        return "tool_call", None
    if reason == "tool_call" and not calls:
        return "end", None
    if reason == "end":
        for matched in (choice.stop_reason, choice.matched_stop):
            if isinstance(matched, str) and matched:
                return "stop_sequence", matched
        if refused:
            return "refusal", None
    return reason, None


def logprobs_of(choice: WireChoice) -> tuple[Logprob, ...]:
    return logprobs.read(choice.logprobs.get("content")) if isinstance(choice.logprobs, dict) else ()


# ------------------------------------------------------------------------------------------------ pieces of a message

Piece = tuple[type[Text] | type[Thinking] | type[Refusal], str]


def pieces(delta: WireDelta) -> list[Piece]:
    """The prose of a message or delta, in order."""
    out: list[Piece] = []
    thought = reasoning_text(delta.reasoning_content, delta.reasoning, delta.reasoning_details)
    if thought:
        out.append((Thinking, thought))
    if isinstance(delta.content, str):
        out.append((Text, delta.content))
    elif delta.content:
        out += [_piece(item) for item in delta.content]  # Mistral's reasoning models
    if delta.refusal:
        out.append((Refusal, delta.refusal))
    return [(kind, text) for kind, text in out if text]


def _piece(item: Any) -> Piece:
    if isinstance(item, dict):
        if item.get("type") in ("thinking", "reasoning"):
            return Thinking, reasoning_text(item.get("thinking"), item.get("text"))
        if item.get("type") == "refusal":
            return Refusal, reasoning_text(item.get("refusal"), None)
    return Text, reasoning_text(item, None)


def arguments_of(body: WireFunctionDelta) -> str:
    """The text of a call's arguments; some servers send the object itself."""
    value = body.arguments if body.arguments is not None else body.input
    return value if isinstance(value, str) else "" if value is None else dumps(value)


def citations(annotations: list[Any] | None) -> tuple[Citation, ...]:
    return tuple(filter(None, map(_citation, annotations or ())))


def _citation(annotation: Any) -> Citation | None:
    cited = annotation.get("url_citation") if isinstance(annotation, dict) else None
    if not isinstance(cited, dict) or not isinstance(cited.get("url"), str):
        return None
    title, text = (value if isinstance(value := cited.get(name), str) else None for name in ("title", "content"))
    start, end = (value if isinstance(value := cited.get(name), int) else None for name in ("start_index", "end_index"))
    return Citation(cited["url"], title, text, start, end)


def images(items: list[Any] | None) -> list[Image]:
    """Pictures that the model made, as OpenRouter hands them out."""
    out = []
    for item in items or ():
        url = item.get("image_url") if isinstance(item, dict) else None
        url = url.get("url") if isinstance(url, dict) else url
        if isinstance(url, str):
            out.append(Image(blob_of_url(url)))
    return out


class Sound:
    """What the model spoke, whole or in pieces: each piece of the bytes is base64 of its own."""

    def __init__(self) -> None:
        self._id = ""
        self._data: list[bytes] = []
        self._words: list[str] = []

    def add(self, piece: Mapping[str, Any]) -> None:
        id, data, words = (value if isinstance(value := piece.get(name), str) else "" for name in _SOUND)
        self._id = id or self._id
        self._words.append(words)
        try:
            self._data.append(b64decode(data + "=" * (-len(data) % 4)))
        except ValueError:
            self._words.append("[a piece of sound that is no base64]")

    def take(self) -> Audio | None:
        """The part; None where nothing was spoken."""
        data, words = b64encode(b"".join(self._data)).decode(), "".join(self._words)
        self._data, self._words = [], []
        if not data and not words:
            return None
        return Audio(Blob(data=data), words or None, {NAME: {"id": self._id}} if self._id else {})


_SOUND = ("id", "data", "transcript")


def audio_object(part: Audio, seed: Seed) -> dict[str, Any]:
    """A sound as Chat says it. It is kept nowhere: its id is worth nothing."""
    id = part.extra.get(NAME, {}).get("id") or seed.item("audio_", 0)
    spoken = {"id": id, "data": part.blob.data or "", "transcript": part.transcript or ""}
    return {**spoken, "expires_at": seed.created}


def image_link(blob: Blob) -> str:
    """Chat has no pictures in answers: a link in Markdown is what clients can show."""
    url = blob.url or f"data:{blob.media_type or 'image/png'};base64,{blob.data or ''}"
    return f"![image]({url})"


# ------------------------------------------------------------------------------------------------ usage


def parse_usage(raw: Mapping[str, Any]) -> Usage:
    """Chat's counters contain each other: the prompt its cached tokens, the completion its reasoning."""
    prompt, completion = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
    inside = raw.get("prompt_tokens_details") or {}
    outside = raw.get("completion_tokens_details") or {}
    read = (
        _count(inside, "cached_tokens")
        or _count(raw, "prompt_cache_hit_tokens")  # DeepSeek
        or _count(raw, "cached_tokens")  # Moonshot
        or _count(raw, "cache_read_input_tokens")
    )
    write = _count(inside, "cache_write_tokens") or _count(raw, "cache_creation_input_tokens")
    reasoning = _count(outside, "reasoning_tokens") or _count(raw, "reasoning_tokens")
    if reasoning and _count(raw, "total_tokens") == prompt + completion + reasoning:
        completion += reasoning  # xAI counts it apart
    reasoning = min(reasoning, completion)
    return Usage(max(0, prompt - read - write), read, write, completion - reasoning, reasoning, raw=dict(raw))


def _count(raw: Any, name: str) -> int:
    value = raw.get(name) if isinstance(raw, Mapping) else None
    return max(0, int(value)) if isinstance(value, int | float) and value == value else 0


def render_usage(usage: Usage | None) -> dict[str, Any]:
    usage = usage or Usage()
    inside = {"cached_tokens": usage.cache_read}
    if usage.cache_write:
        inside["cache_write_tokens"] = usage.cache_write
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": inside,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
