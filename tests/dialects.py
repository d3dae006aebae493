"""What each protocol makes of what it is told: the tables by which the laws compare.

A law says "what was said comes back". No protocol can say everything, so a `Dialect` lists what its protocol has no
word for and what comes back in its place; `asked` and `answered` apply the lists to a neutral request or answer. What
stands in no list must come back as it was. A field without a word must be told as a `Loss` (`told`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from translators import CODECS
from translators.codec import DEFAULT_TRAITS, Codec, Traits
from translators.fields import named
from translators.model import (
    File,
    Image,
    Message,
    Part,
    Reason,
    Request,
    Response,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from translators.policy import Loss

Fields = Mapping[str, str]  # field of the neutral request -> the path under which its loss is told


Ending = Literal["finish", "failure"]


class Dialect(msgspec.Struct, kw_only=True, eq=False):  # one of each: hashed by identity
    codec: Codec
    path: str = "/"  # of a client's request
    framing: tuple[bytes, bytes] = (b"\n\n", b"data: ")  # what stands between frames of a stream, and before the JSON
    traits: Traits = DEFAULT_TRAITS  # of a target that can say the most
    # ---- requests
    conversation: str  # the field of the body that holds the turns
    unsaid: Fields = {}  # what a request of this protocol cannot say
    bent: Fields = {}  # what it can say nearly
    least_output: int = 1
    tiers: Mapping[str, str | None] = {}  # those that come back as another one
    picture: Callable[[Part], str] | None = None  # the words for media that cannot be sent; None: all can
    joined: bool = False  # a message has one text
    nameless: bool = False  # documents have no names
    order: Callable[[Request], str] | None = None  # a choice of tools that can only be said in words
    side: tuple[str, ...] = ()  # fields of its own in every request, which mean nothing to others
    # ---- answers
    strict: bool = False  # a call whose arguments are no object is said to be malformed
    reasons: Mapping[Reason, Reason] = {}  # those that come back as another one, of an answer without calls
    call_reasons: Mapping[Reason, Reason] = {}  # the same with calls
    usage: Mapping[str, str | None] = {}  # counters that are counted in another one; None: in none
    ending: Callable[[bytes], Ending]  # how a stream for a client ends, if it does so as its clients expect

    @property
    def name(self) -> str:
        return self.codec.NAME

    def __repr__(self) -> str:
        return self.name


# ------------------------------------------------------------------------------------------------ the tables


def _data(stream: bytes, end: bytes) -> list[bytes]:
    """The data of a stream of server-sent events, which must be whole ones."""
    assert stream.endswith(end), stream[-80:]
    frames = stream.removesuffix(end).split(end)
    return [line.removeprefix(b"data: ") for frame in frames for line in frame.split(b"\n") if line[:6] == b"data: "]


def _chat_ending(stream: bytes) -> Ending:
    *before, last = _data(stream, b"\n\n")
    chunks = [json.loads(data) for data in before]
    reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    if last == b"[DONE]":
        assert len(reasons) == 1
        return "finish"
    assert not reasons and json.loads(last)["error"]["message"]
    return "failure"


_OVER: dict[str, Ending] = {
    "response.completed": "finish", "response.incomplete": "finish", "response.failed": "failure",
    "message_stop": "finish", "error": "failure",
}  # fmt: skip


def _named_ending(stream: bytes) -> Ending:
    """Of the protocols whose events have types, of which some are the end."""
    types = [json.loads(data)["type"] for data in _data(stream, b"\n\n")]
    assert [type for type in types if type in _OVER] == types[-1:], types
    return _OVER[types[-1]]


def _gemini_ending(stream: bytes) -> Ending:
    found = re.fullmatch(rb'(?s)(.*?)(?:\n(\{"error":[^\n]*\})\n+)?', stream)
    assert found is not None
    chunks = [json.loads(data) for data in _data(found[1], b"\r\n\r\n")] if found[1] else []
    reasons = [n for n, chunk in enumerate(chunks) if chunk["candidates"][0].get("finishReason")]
    if found[2] is not None:
        assert not reasons and json.loads(found[2])["error"]["message"]
        return "failure"
    assert reasons == [len(chunks) - 1], stream
    return "finish"


def _ollama_ending(stream: bytes) -> Ending:
    assert stream.endswith(b"\n")
    lines = [json.loads(line) for line in stream.splitlines()]
    over = [n for n, line in enumerate(lines) if line.get("done") or "error" in line]
    assert over == [len(lines) - 1], stream
    return "failure" if "error" in lines[-1] else "finish"


_NO_LIMITS = {"min_p": "min_p", "repeat_penalty": "repeat_penalty"}
_PENALTIES = {"presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty"}


def _blank(part: Part) -> str:
    """Gemini's words for a file that only its address is known of."""
    assert isinstance(part, Image) and part.blob.url is not None
    return f"[image omitted: {part.blob.url}]"


def _linked(part: Part) -> str:
    if isinstance(part, Image):
        return f"[image: {part.blob.url}]"
    assert isinstance(part, File)
    return f"[file {part.name or 'document'} omitted]"


def _ordered(request: Request) -> str:
    """What an Ollama model is told, since it cannot be forced."""
    choice = request.tool_choice
    if choice is None or choice.kind not in ("required", "named") or not request.tools:
        return ""
    if choice.kind == "named" and len(request.tools) > 1:
        return f"You must answer with a call of the tool {choice.names[0]}."
    return "You must answer with a tool call."


DIALECTS: dict[str, Dialect] = {
    "openai-chat": Dialect(
        codec=CODECS["openai-chat"],
        conversation="messages",
        ending=_chat_ending,
        unsaid={**_NO_LIMITS, "top_k": "top_k", "max_tool_calls": "max_tool_calls"},
        reasons={"stop_sequence": "end", "pause": "end", "other": "end", "context_window": "length",
                 "refusal": "content_filter", "tool_call": "end"},
        call_reasons={"context_window": "length", "refusal": "content_filter", "stop_sequence": "end", "pause": "end"},
        usage={"cache_write_1h": None},
    ),
    "openai-responses": Dialect(
        codec=CODECS["openai-responses"],
        conversation="input",
        ending=_named_ending,
        unsaid={**_NO_LIMITS, **_PENALTIES, "top_k": "top_k", "seed": "seed", "logit_bias": "logit_bias",
                "stop": "stop"},
        least_output=16,
        side=("include",),
        reasons={"stop_sequence": "end", "pause": "end", "other": "end", "context_window": "length",
                 "refusal": "content_filter", "tool_call": "end"},
        call_reasons={"context_window": "length", "refusal": "content_filter", "stop_sequence": "end", "pause": "end"},
        usage={"cache_write_1h": None},
    ),
    "anthropic": Dialect(
        codec=CODECS["anthropic"],
        conversation="messages",
        ending=_named_ending,
        unsaid={**_NO_LIMITS, **_PENALTIES, "seed": "seed", "logit_bias": "logit_bias", "logprobs": "logprobs",
                "verbosity": "verbosity", "max_tool_calls": "max_tool_calls", "metadata": "metadata",
                "cache_key": "cache_key", "store": "store"},
        reasons={"content_filter": "refusal", "other": "end", "tool_call": "end"},
        call_reasons={"content_filter": "refusal"},
    ),
    "gemini": Dialect(
        codec=CODECS["gemini"],
        path="/v1beta/models/m:streamGenerateContent?alt=sse",
        framing=(b"\r\n\r\n", b"data: "),
        traits=Traits(reasoning="level"),
        conversation="contents",
        ending=_gemini_ending,
        unsaid={**_NO_LIMITS, "logit_bias": "logit_bias", "verbosity": "verbosity", "max_tool_calls": "max_tool_calls",
                "cache_key": "cache_key", "user": "user", "safety_id": "safety_id",
                "parallel_tools": "parallel_tool_calls"},
        bent={"metadata": "metadata"},
        tiers={"auto": None},
        picture=_blank,
        nameless=True,
        strict=True,
        reasons={"stop_sequence": "end", "other": "end", "context_window": "length", "refusal": "content_filter",
                 "pause": "other", "tool_call": "end"},
        call_reasons={"context_window": "length", "refusal": "content_filter", "stop_sequence": "end", "pause": "end"},
        usage={"cache_write": "input", "cache_write_1h": None},
    ),
    "ollama": Dialect(
        codec=CODECS["ollama"],
        framing=(b"\n", b""),
        conversation="messages",
        ending=_ollama_ending,
        unsaid={"logit_bias": "logit_bias", "verbosity": "verbosity", "max_tool_calls": "max_tool_calls",
                "cache_key": "cache_key", "user": "user", "safety_id": "safety_id", "metadata": "metadata",
                "tier": "tier", "store": "store", "parallel_tools": "parallel_tools", "tool_choice": "tool_choice"},
        picture=_linked,
        joined=True,
        order=_ordered,
        side=("options",),
        reasons={"stop_sequence": "end", "other": "end", "context_window": "length", "refusal": "end",
                 "content_filter": "end", "pause": "end", "tool_call": "end"},
        call_reasons={"context_window": "length", "refusal": "end", "content_filter": "end", "stop_sequence": "end",
                      "pause": "end"},
        usage={"cache_read": "input", "cache_write": "input", "reasoning": "output", "cache_write_1h": None},
    ),
}  # fmt: skip

# ------------------------------------------------------------------------------------------------ requests

_DEFAULTS = Request()


def says(request: Request, field: str) -> bool:
    """Whether the request demands something by this field, and not what is so in any case."""
    value = getattr(request, field)
    if field == "parallel_tools":
        return value is False
    return bool(value) and not (field == "tool_choice" and value.kind == "auto")


def asked(dialect: Dialect, request: Request) -> Request:
    """The request as it comes back from a wire of this protocol, but for what no law speaks of (`plain_request`)."""
    order = dialect.order(request) if dialect.order is not None else ""
    out = replace(
        request,
        messages=_messages(dialect, request.messages, order),
        max_output=max(request.max_output or 0, dialect.least_output),
        tier=dialect.tiers.get(request.tier or "", request.tier),
    )
    if dialect.order is not None and request.tool_choice is not None:
        out = replace(out, tools=_left(request))
    return replace(out, **{name: getattr(_DEFAULTS, name) for name in dialect.unsaid})


def _left(request: Request) -> list[Any]:
    """The tools, where a choice can be said only by leaving the others out."""
    choice = request.tool_choice
    assert choice is not None
    kept = () if choice.kind == "none" else choice.names or tuple(tool.name for tool in request.tools)
    return [tool for tool in request.tools if tool.name in kept]


_MEDIA = "(media)"


def told(dialect: Dialect, request: Request) -> set[str]:
    """Where the losses must be that rendering this request is told of."""
    fields = {path for field, path in {**dialect.unsaid, **dialect.bent}.items() if says(request, field)}
    if (request.max_output or 0) < dialect.least_output:
        fields.add("max_tokens")
    if any(unsendable(dialect, part) for message in request.messages for part in message.parts):
        fields.add(_MEDIA)
    return fields


def places(losses: Iterable[Loss]) -> set[str]:
    """The paths of losses; those in the conversation can only be of media here."""
    return {_MEDIA if re.match("messages|contents|input", loss.path) else loss.path for loss in losses}


def told_to(client: Dialect, paths: set[str]) -> set[str]:
    """The paths in the words of a client."""
    return {named(path, client.name) for path in paths}


def unsendable(dialect: Dialect, part: Part) -> bool:
    match dialect.picture, part:
        case None, _:
            return False
        case _, Image():
            return part.blob.data is None
        case _, File():
            return dialect.joined  # only images beside the one text
    return False


def _messages(dialect: Dialect, messages: Sequence[Message], order: str) -> list[Message]:
    out = [replace(message, parts=_parts(dialect, message.parts)) for message in messages]
    if order and out and out[0].role == "system":
        (said,) = out[0].parts
        assert isinstance(said, Text)
        out[0] = Message("system", (Text(f"{said.text}\n\n{order}"),))
    elif order:
        out.insert(0, Message("system", (Text(order),)))
    return out


def _parts(dialect: Dialect, parts: Sequence[Part]) -> tuple[Part, ...]:
    out: list[Part] = []
    for part in parts:
        if unsendable(dialect, part):
            assert dialect.picture is not None
            part = Text(dialect.picture(part))
        if isinstance(part, File) and dialect.nameless:
            part = replace(part, name=None)
        before = out[-1] if out else None
        if dialect.joined and isinstance(part, Text) and isinstance(before, Text):
            out[-1] = Text(f"{before.text}\n\n{part.text}")
        else:
            out.append(part)
    return tuple(out)


def plain_request(request: Request) -> Request:
    """Without what no law speaks of, because the protocols differ in it by nature.

    A schema's name and strictness (OpenAI's two only, and they want a name), whether usage is wanted at the end of a
    stream (Chat only), the names of tools on results (Gemini and Ollama), what a document without a name is
    called, and that "several calls at once" and "keep nothing" are said by saying nothing."""
    return replace(
        request,
        messages=[replace(message, parts=tuple(map(_plain, message.parts))) for message in request.messages],
        format=replace(request.format, name=None, strict=None, description=None),
        parallel_tools=request.parallel_tools if request.parallel_tools is False else None,
        store=request.store or None,
        include_usage=False,
        extra={},
    )


# In a stream of lines, what a reader may take for the end of one stands as an escape.
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def _plain(part: Part) -> Part:
    match part:
        case ToolResult():
            return replace(part, name=None)
        case File():
            return replace(part, name=part.name or "document.pdf")
        case Thinking():
            return replace(part, summary=False, extra={})
        case ToolCall():
            return replace(part, arguments=part.arguments.translate(_LINE_ENDS), extra={})
        case Image() | Text():
            return replace(part, extra={})
    return part


# ------------------------------------------------------------------------------------------------ answers


def answered(dialect: Dialect, response: Response) -> Response:
    """The answer as it comes back from a wire of this protocol, but for what no law speaks of (`plain_response`)."""
    calls = any(isinstance(part, ToolCall) for part in response.parts)
    reason = (dialect.call_reasons if calls else dialect.reasons).get(response.reason, response.reason)
    if calls and reason in ("end", "other"):
        reason = "tool_call"
    usage = counted(dialect, response.usage) if response.usage is not None else None
    return replace(response, reason=reason, usage=usage)


def counted(dialect: Dialect, usage: Usage) -> Usage:
    """The counters of this protocol, which are disjoint here."""
    for counter, other in dialect.usage.items():
        count = getattr(usage, counter)
        more = {other: getattr(usage, other) + count} if other is not None else {}
        usage = replace(usage, **{counter: 0}, **more)
    return usage


def plain_response(response: Response) -> Response:
    """Without the id, of which each protocol has its own form, the raw usage, opaque facts, and whether a thought is
    a digest of one (Responses says nothing else)."""
    usage = replace(response.usage, raw={}) if response.usage is not None else None
    return replace(response, id="", usage=usage, extra={}, parts=tuple(map(_plain, response.parts)))
