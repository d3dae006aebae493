"""Neutral requests and answers.

`responses` and `requests` hold what most protocols can say; what one of them makes of the rest stands in `dialects`.
`rich_responses` holds everything that the neutral model can say of an answer.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import strategies as st

from translators import CODECS
from translators.codec import Seed
from translators.model import (
    Blob,
    Citation,
    File,
    Format,
    Image,
    Logprob,
    Message,
    Opaque,
    Part,
    Reason,
    Refusal,
    Request,
    Response,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)

SEED = Seed("seed0seed0seed0seed0seed", 1_700_000_000)

# The protocols that every transcript is written in, and whose values the strategies here can say without a loss. The
# others have tests of their own, `test_<protocol>_*.py`.
TRANSCRIBED = {name: CODECS[name] for name in ("openai-chat", "anthropic")}

# Characters that have broken translators: JSON's own, line ends of three kinds, two code units, private use.
_CHARS = st.sampled_from('ab "\\/\n\r\t{}[]:,\u2028\u0000é漢😀\ufffd\ue000') | st.characters(exclude_categories=["Cs"])
TEXT = st.text(_CHARS, min_size=1, max_size=12).filter(lambda text: text.strip() != "")
NAME = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,10}", fullmatch=True)

_SCALAR = st.none() | st.booleans() | st.integers(-9, 9**15) | st.text(_CHARS, max_size=6)
_KEY = st.text(_CHARS, max_size=4)
JSON = st.recursive(_SCALAR, lambda v: st.lists(v, max_size=2) | st.dictionaries(_KEY, v, max_size=2), max_leaves=4)
OBJECT = st.dictionaries(_KEY, JSON, max_size=3)
ARGUMENTS = st.builds(
    lambda value, ascii_only: json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")), OBJECT, st.booleans()
)

# ------------------------------------------------------------------------------------------------ answers

COUNT = st.integers(0, 10**6)
USAGES = st.builds(Usage, COUNT, COUNT, COUNT, COUNT, COUNT)


@st.composite
def responses(draw: st.DrawFn) -> Response:
    """A thought, a text, calls, each or none of them, in the order in which every protocol has them."""
    parts: list[Part] = []
    if draw(st.booleans()):
        parts.append(Thinking(draw(TEXT)))
    if draw(st.booleans()):
        parts.append(Text(draw(TEXT)))
    calls = draw(st.lists(st.tuples(NAME, ARGUMENTS), max_size=3))
    parts += [ToolCall(f"call_{n}", name, arguments) for n, (name, arguments) in enumerate(calls)]
    reason: Reason = draw(st.sampled_from(["tool_call", "length"] if calls else ["end", "length", "content_filter"]))
    return Response(tuple(parts), reason, "", "m", draw(USAGES))


_EXTRA: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.just({"anthropic": {"signature": "s"}})
_CITATIONS = st.lists(
    st.builds(Citation, st.none() | st.just("http://x"), st.none() | TEXT, st.none() | TEXT), max_size=2
).map(tuple)
_LOGPROBS = st.sampled_from([(), (Logprob("a", -0.5, (97,), (Logprob("b", -1.5),)), Logprob("", -1.0))])
_BLOBS = st.sampled_from([Blob("image/png", "aGk="), Blob(url="http://x/a.png"), Blob(file_id="f")])
_ANY_PART: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, st.text(_CHARS, max_size=8), _CITATIONS, extra=_EXTRA, logprobs=_LOGPROBS),
    st.builds(Thinking, st.text(_CHARS, max_size=8), extra=_EXTRA, summary=st.booleans()),
    st.builds(Thinking, st.just(""), st.just(True), extra=st.just({"anthropic": {"data": "d"}})),
    st.builds(Refusal, TEXT, _EXTRA),
    st.builds(ToolCall, NAME, NAME, ARGUMENTS | TEXT, st.booleans(), st.none() | NAME),
    st.builds(Image, _BLOBS),
    st.builds(File, _BLOBS),
    st.builds(ServerTool, st.just("web_search"), st.sampled_from(["call", "result"]), NAME, TEXT),
    st.builds(Opaque, st.sampled_from(["anthropic", "openai-chat"]), st.just("odd"), st.just({"type": "odd"}), TEXT),
)


@st.composite
def rich_responses(draw: st.DrawFn) -> Response:
    """Anything that the neutral model can say of an answer."""
    reasons = "end length stop_sequence tool_call refusal content_filter pause context_window other"
    return Response(
        tuple(draw(st.lists(_ANY_PART, max_size=5))),
        draw(st.sampled_from(reasons.split())),
        draw(st.sampled_from(["", "msg_1", "chatcmpl-1", "x"])),
        draw(st.sampled_from(["", "m"])),
        draw(st.none() | USAGES),
        draw(st.none() | TEXT),
        draw(st.none() | TEXT),
        draw(st.just({}) | st.just({"anthropic": {"container": {"id": "c"}}})),
    )


# ------------------------------------------------------------------------------------------------ requests

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
PDF = base64.b64encode(b"%PDF-1.4 00").decode()
_MEDIA: list[Part] = [
    Image(Blob("image/png", PNG)),
    Image(Blob(url="https://example.com/a.png")),
    File(Blob("application/pdf", PDF), "a.pdf"),
]
_SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {}},
    {"type": "object", "properties": {"p": {"type": "string", "description": "a path"}}, "required": ["p"]},
    {"type": "object", "properties": {"n": {"type": ["integer", "null"]}, "l": {"type": "array", "items": {}}}},
]
_FORMATS = [
    Format(),
    Format("schema", {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
                      "additionalProperties": False}),
]  # fmt: skip


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """A system prompt or none, then turns; calls are answered at once and the user has the last word."""
    messages: list[Message] = []
    if draw(st.booleans()):
        messages.append(Message("system", (Text(draw(TEXT)),)))
    ids = iter(range(100))
    for _ in range(draw(st.integers(0, 2))):
        messages.append(_user(draw))
        said: tuple[Part, ...] = (Text(draw(TEXT)),) if draw(st.booleans()) else ()
        calls = [
            ToolCall(f"call_{next(ids)}", name, arguments)
            for name, arguments in draw(st.lists(st.tuples(NAME, ARGUMENTS), min_size=not said, max_size=2))
        ]
        messages.append(Message("assistant", (*said, *calls)))
        if calls:
            results = tuple(ToolResult(call.id, (Text(draw(TEXT)),)) for call in calls)
            messages += [Message("user", results), Message("assistant", (Text(draw(TEXT)),))]
    messages.append(_user(draw))
    return messages


def _user(draw: st.DrawFn) -> Message:
    parts: list[Part] = [Text(draw(TEXT)), *draw(st.lists(st.sampled_from(_MEDIA), max_size=1))]
    return Message("user", tuple(parts))


_SETTINGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "heat": st.sampled_from([{"temperature": 0.0}, {"temperature": 0.5}, {"temperature": 1.0}, {"top_p": 0.5}]),
    "top_k": st.just({"top_k": 40}),
    "min_p": st.just({"min_p": 0.1}),
    "seed": st.just({"seed": 7}),
    "penalties": st.just({"presence_penalty": 0.5, "frequency_penalty": -0.5}),
    "repeat": st.just({"repeat_penalty": 1.1}),
    "logit_bias": st.just({"logit_bias": {"5": 1.0}}),
    "logprobs": st.sampled_from([{"logprobs": 1}, {"logprobs": 5}]),
    "verbosity": st.just({"verbosity": "low"}),
    "max_tool_calls": st.just({"max_tool_calls": 3}),
    "metadata": st.just({"metadata": {"team": "blue"}, "store": True}),
    "cache_key": st.just({"cache_key": "k"}),
    "user": st.builds(lambda name: {"user": name}, NAME),
    "tier": st.sampled_from([{"tier": "auto"}, {"tier": "default"}]),
    "stop": st.builds(lambda stop: {"stop": stop}, st.lists(TEXT, min_size=1, max_size=4)),
}


@st.composite
def requests(draw: st.DrawFn) -> Request:
    names = draw(st.lists(NAME, max_size=3, unique=True))
    tools = [Tool(name, draw(st.none() | TEXT), draw(st.sampled_from(_SCHEMAS))) for name in names]
    choice = None
    if tools:
        choices = [ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice("named", (names[0],))]
        choice = draw(st.none() | st.sampled_from(choices))
    parallel = draw(st.none() | st.booleans()) if choice is not None and choice.kind != "none" else None
    settings = draw(st.lists(st.sampled_from(sorted(_SETTINGS)), max_size=4, unique=True))
    return Request(
        model=draw(st.sampled_from(["m", "vendor/model:tag", "modèle"])),
        messages=draw(conversations()),
        tools=list(tools),
        tool_choice=choice,
        parallel_tools=parallel,
        format=draw(st.sampled_from(_FORMATS)),
        max_output=draw(st.integers(1, 100_000)),
        stream=draw(st.booleans()),
        **{field: value for name in settings for field, value in draw(_SETTINGS[name]).items()},
    )
