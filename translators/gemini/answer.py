"""The shapes of an answer, whole or in chunks, which are the same; how it ends, its usage and its sources."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, zip_longest
from typing import Any

import msgspec
from msgspec import Struct

from ..logprobs import Logprobs, token_of
from ..model import Citation, Logprob, Reason, Usage
from .wire import Json, WirePart


class WireAnswerContent(Struct, rename="camel"):
    parts: list[WirePart] | None = None


class WireCandidate(Struct, rename="camel"):
    content: WireAnswerContent | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    grounding_metadata: Any = None
    citation_metadata: Any = None
    logprobs_result: Any = None


class WireFeedback(Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class WireAnswer(Struct, rename="camel"):
    candidates: list[WireCandidate] | None = None
    prompt_feedback: WireFeedback | None = None
    usage_metadata: Json | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None

    @property
    def says_nothing(self) -> bool:
        """Whether it is no answer at all."""
        return self.candidates is None and self.prompt_feedback is None and self.usage_metadata is None


ANSWER: msgspec.json.Decoder[WireAnswer] = msgspec.json.Decoder(WireAnswer)

# ------------------------------------------------------------------------------------------------ log probabilities


def parse_logprobs(raw: Any) -> Logprobs:
    """Two lists beside each other: the tokens, and the likeliest ones of each place. Numbers of tokens mean nothing
    to others."""
    if not isinstance(raw, dict):
        return ()
    chosen, top = raw.get("chosenCandidates"), raw.get("topCandidates")
    places = top if isinstance(top, list) else []
    if not isinstance(chosen, list):
        return ()
    pairs = zip_longest(chosen, places[: len(chosen)])
    return tuple([token for one, others in pairs if (token := _token(one, _tokens(others))) is not None])


def _token(raw: Any, top: Logprobs = ()) -> Logprob | None:
    return token_of(raw.get("token"), raw.get("logProbability"), top=top) if isinstance(raw, dict) else None


def _tokens(place: Any) -> Logprobs:
    found = place.get("candidates") if isinstance(place, dict) else None
    return tuple([token for raw in found if (token := _token(raw)) is not None]) if isinstance(found, list) else ()


def render_logprobs(tokens: Iterable[Logprob]) -> Json:
    tokens = list(tokens)
    out: Json = {"chosenCandidates": [_candidate(token) for token in tokens]}
    if any(token.top for token in tokens):
        out["topCandidates"] = [{"candidates": [_candidate(other) for other in token.top]} for token in tokens]
    return out


def _candidate(token: Logprob) -> Json:
    return {"token": token.token, "logProbability": token.logprob}


# ------------------------------------------------------------------------------------------------ the end

REASONS: dict[str, Reason] = {
    "STOP": "end",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
# Ends that are none where nothing was said: the model tried, and Google threw it away.
BROKEN = frozenset({
    "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE",
})  # fmt: skip
FINISH: dict[Reason, str] = {
    "end": "STOP",
    "length": "MAX_TOKENS",
    "stop_sequence": "STOP",
    "tool_call": "STOP",
    "refusal": "SAFETY",
    "content_filter": "SAFETY",
    "pause": "OTHER",
    "context_window": "MAX_TOKENS",
    "other": "STOP",
}


def read_reason(said: str, calls: int) -> Reason:
    """Gemini says STOP after a tool call. What no one knows is no reason to break."""
    reason = REASONS.get(said, "other")
    return "tool_call" if calls and reason in ("end", "other") else reason


# ------------------------------------------------------------------------------------------------ usage


def parse_usage(raw: Mapping[str, Any]) -> Usage:
    """The prompt holds its cached tokens; the candidates do not hold the thoughts."""
    prompt, cached = _count(raw, "promptTokenCount"), _count(raw, "cachedContentTokenCount")
    tools, thoughts = _count(raw, "toolUsePromptTokenCount"), _count(raw, "thoughtsTokenCount")
    written = _count(raw, "candidatesTokenCount")
    if not written and "candidatesTokenCount" not in raw:
        written = max(0, _count(raw, "totalTokenCount") - prompt - tools - thoughts)
    return Usage(max(0, prompt - cached) + tools, cached, 0, written, thoughts, raw=dict(raw))


def _count(raw: Mapping[str, Any], name: str) -> int:
    value = raw.get(name)
    return max(0, int(value)) if isinstance(value, int | float) and value == value else 0


def render_usage(usage: Usage) -> Json:
    out = {"promptTokenCount": usage.prompt, "candidatesTokenCount": usage.output}
    if usage.cache_read:
        out["cachedContentTokenCount"] = usage.cache_read
    if usage.reasoning:
        out["thoughtsTokenCount"] = usage.reasoning
    return {**out, "totalTokenCount": usage.prompt + usage.completion}


# ------------------------------------------------------------------------------------------------ sources

# Gemini counts bytes of UTF-8, we count characters.


def parse_citations(grounding: Any, cited: Any, text: str) -> tuple[Citation, ...]:
    """The sources of a text: `groundingMetadata` of a search, or `citationMetadata`."""
    places = _Places(text)
    found: list[Citation] = []
    if isinstance(grounding, dict):
        chunks = _dicts(grounding.get("groundingChunks"))
        for support in _dicts(grounding.get("groundingSupports")):
            start, end = places.of(support.get("segment"))
            indices = support.get("groundingChunkIndices")
            for n in indices if isinstance(indices, list) else ():
                if isinstance(n, int) and 0 <= n < len(chunks):
                    found.append(_source(chunks[n], start, end, text))
        if not found:
            found = [_source(chunk, None, None, text) for chunk in chunks]
    if isinstance(cited, dict):
        for source in _dicts(cited.get("citations") or cited.get("citationSources")):
            start, end = places.of(source)
            found.append(Citation(_str(source.get("uri")), _str(source.get("title")), None, start, end))
    return tuple(citation for citation in found if citation.url is not None)


def _source(chunk: Json, start: int | None, end: int | None, text: str) -> Citation:
    page = next((value for value in chunk.values() if isinstance(value, dict)), {})
    said = text[start:end] if end is not None else None
    return Citation(_str(page.get("uri")), _str(page.get("title")), said, start, end)


def _dicts(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None


class _Places:
    """Byte offsets of a text as character offsets."""

    def __init__(self, text: str) -> None:
        self._ends: list[int] | None = None if text.isascii() else list(accumulate(len(c.encode()) for c in text))

    def of(self, segment: Any) -> tuple[int | None, int | None]:
        if not isinstance(segment, dict) or not isinstance(segment.get("endIndex"), int):
            return None, None
        start = segment.get("startIndex")
        return self._char(start if isinstance(start, int) else 0), self._char(segment["endIndex"])

    def _char(self, at: int) -> int:
        return at if self._ends is None else bisect_right(self._ends, at)


def render_grounding(text: str, citations: Sequence[Citation]) -> Json:
    """`groundingMetadata` for sources with an address; empty where there is none."""
    cited = [citation for citation in citations if citation.url is not None]
    pages = {citation.url: citation.title or citation.url for citation in cited}
    order = list(pages)
    supports = [
        {"segment": _segment(text, citation), "groundingChunkIndices": [order.index(citation.url)]}
        for citation in cited
    ]
    if not cited:
        return {}
    return {
        "groundingChunks": [{"web": {"uri": url, "title": title}} for url, title in pages.items()],
        "groundingSupports": supports,
    }


def _segment(text: str, citation: Citation) -> Json:
    start, end = citation.start or 0, citation.end if citation.end is not None else len(text)
    first = len(text[:start].encode("utf-8", "replace"))
    said = text[start:end]
    return {"startIndex": first, "endIndex": first + len(said.encode("utf-8", "replace")), "text": said}
