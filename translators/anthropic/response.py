"""Whole answers, both ways, and the words for how an answer ends."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..carry import sealed
from ..codec import DEFAULT_TRAITS, Seed, Traits
from ..endings import REFUSED
from ..events import Finish
from ..media import described
from ..model import (
    ApiError,
    Audio,
    File,
    Image,
    Opaque,
    Part,
    Reason,
    Refusal,
    Request,
    Response,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    UpstreamFault,
    Usage,
)
from ..tokens import estimate, estimate_text
from .blocks import parse_blocks, render_input
from .errors import read_error
from .usage import parse_usage, render_usage
from .wire import NAME, Block, Missing, encode, mark, own

# ------------------------------------------------------------------------------------------------ how it ends

REASONS_IN: dict[str, Reason] = {
    "end_turn": "end",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_call",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_window",
}
REASONS_OUT: dict[Reason, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_call": "tool_use",
    "refusal": "refusal",
    "content_filter": "refusal",
    "pause": "pause_turn",
    "context_window": "model_context_window_exceeded",
    "other": "end_turn",
}

def read_reason(said: str, calls: int) -> Reason:
    """A reason that nobody knows yet is no reason to break."""
    reason = REASONS_IN.get(said, "other")
    if calls and reason == "end":  # servers that only resemble Anthropic: agents would stop there
        return "tool_call"
    return "end" if reason == "tool_call" and not calls else reason


def read_detail(stop_details: Any) -> str | None:
    """A refusal's explanation."""
    found = stop_details.get("explanation") if isinstance(stop_details, dict) else None
    return found if isinstance(found, str) else None


def write_reason(finish: Finish, calls: int, extra: dict[str, Any]) -> dict[str, Any]:
    """`stop_reason` and what belongs to it. Many upstreams say "stop" after a tool call, or announce one and make none;
    clients go by the reason."""
    reason = finish.reason
    if calls and reason in ("end", "other"):
        reason = "tool_call"
    if not calls and reason == "tool_call":
        reason = "end"
    said: dict[str, Any] = {"stop_reason": extra.get("stop_reason") or REASONS_OUT[reason]}
    if said["stop_reason"] == "stop_sequence" and finish.stop_sequence is None:
        said["stop_reason"] = "end_turn"  # it is not known which one
    said["stop_sequence"] = finish.stop_sequence if said["stop_reason"] == "stop_sequence" else None
    if details := extra.get("stop_details"):
        said["stop_details"] = details
    elif reason in ("refusal", "content_filter"):
        said["stop_details"] = {"type": "refusal", "category": None, "explanation": finish.detail}
    return said


# ------------------------------------------------------------------------------------------------ parsing


class MessageOut(Struct):
    content: list[Block] | UnsetType | None = UNSET
    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: dict[str, Any] | None = None
    type: str = "message"
    error: Any = None
    container: Any = None
    diagnostics: Any = None
    context_management: Any = None
    input_transformations: Any = None
    stop_details: Any = None


CARRIED = ("container", "diagnostics", "context_management", "input_transformations", "stop_details")

_MESSAGE = msgspec.json.Decoder(MessageOut)
_GENERIC = msgspec.json.Decoder()


def parse_response(body: bytes, seed: Seed, traits: Traits = DEFAULT_TRAITS) -> Response:
    """Raises `msgspec.DecodeError` where the body is no answer, `UpstreamFault` where it is an error."""
    message = _MESSAGE.decode(body)
    if message.type == "error" or message.error is not None:
        raise UpstreamFault(read_error(_GENERIC.decode(body)))
    if isinstance(message.content, UnsetType):
        raise msgspec.ValidationError("the answer has no content")
    extra = {name: value for name in CARRIED if (value := getattr(message, name)) is not None}
    try:
        parts = parse_blocks(named(message.content or [], seed), lambda: _GENERIC.decode(body)["content"])
    except Missing as missing:
        raise msgspec.ValidationError(f"content{missing.path} is missing") from None
    calls = sum(type(part) is ToolCall for part in parts)
    said = message.stop_reason or ("tool_use" if calls else "end_turn")
    reason = read_reason(said, calls)
    if reason == "other":
        extra["stop_reason"] = said
    usage = parse_usage(message.usage) if message.usage is not None else None
    detail = read_detail(extra.get("stop_details"))
    keep = {NAME: extra} if extra else {}
    return Response(parts, reason, message.id, message.model, usage, message.stop_sequence, detail, keep)


def named(blocks: list[Block], seed: Seed) -> list[Block]:
    """Servers that only resemble Anthropic leave ids out; a call needs one."""
    for n, block in enumerate(blocks):
        if block.type == "tool_use":
            block.id = block.id or seed.item("toolu_", n)
            block.name = block.name or "unknown"
    return blocks


# ------------------------------------------------------------------------------------------------ rendering


def render_response(response: Response, asked: Request, seed: Seed) -> bytes:
    extra = own(response.extra)
    hidden = hides(asked)
    content = [block for part in response.parts for block in render_answer(part, hidden)]
    if not content and (words := spoken(response.reason, response.detail)) is not None:
        content = [answer_text(words)]
    calls = sum(block["type"] == "tool_use" for block in content)
    finish = Finish(response.reason, response.stop_sequence, response.detail)
    usage = response.usage or estimated(asked, sum(estimate_text(_written(part)) for part in response.parts))
    others = {name: extra[name] for name in CARRIED if name in extra and name != "stop_details"}
    return encode({
        "id": message_id(response.id, seed),
        "type": "message",
        "role": "assistant",
        "model": asked.model or response.model,
        "content": content,
        **write_reason(finish, calls, extra),
        "usage": render_usage(usage),
        **others,
    })


def refusal(error: ApiError) -> Response | None:
    """A prompt that was refused: Claude refuses in an answer."""
    return Response((), "refusal", detail=error.message)


def spoken(reason: Reason, detail: str | None) -> str | None:
    """What an empty answer says of itself; a refusal is explained in `stop_details`."""
    return detail if reason not in REFUSED else None


def hides(asked: Request) -> bool:
    """Whether the client asked not to see the thoughts."""
    return asked.reasoning is not None and asked.reasoning.visible is False


def message_id(upstream: str, seed: Seed) -> str:
    """The upstream's id where it is one of Anthropic's."""
    return upstream if upstream.startswith("msg_") else seed.item("msg_", 0)


def estimated(asked: Request, output: int) -> Usage:
    """For upstreams that do not count: clients need numbers, and Claude Code compacts by them."""
    return Usage(estimate(asked), output=max(1, output), estimated=True)


def _written(part: Part) -> str:
    match part:
        case Text() | Thinking() | Refusal():
            return part.text
        case ToolCall():
            return part.name + part.arguments
        case _:
            return ""


def render_answer(part: Part, hidden: bool) -> list[dict[str, Any]]:
    """The blocks of one part of an answer: one, or none where an Anthropic client can have none of it."""
    match part:
        case Text():
            return [answer_text(part.text, [own(citation.extra) for citation in part.citations])] if part.text else []
        case Refusal():
            return [answer_text(part.text)] if part.text else []
        case Thinking():
            return answer_thought(part, part.text, own(part.extra), hidden)
        case ToolCall():
            return [{
                "type": "tool_use", "id": part.id, "name": part.name, "input": render_input(part), **own(part.extra),
            }]
        case ServerTool():
            raw = own(part.extra).get("raw")
            return [raw] if raw is not None else []  # its results could not be replayed; the text speaks of them
        case Opaque():
            if part.protocol == NAME:
                return [part.raw]
            return [answer_text(part.text)] if part.text else []
        case Image() | Audio() | File():
            return [answer_text(described(part))]
        case _:
            return []


def answer_text(text: str, citations: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": text}
    if citations and all(citations):
        block["citations"] = citations
    return block


def answer_thought(part: Thinking, text: str, token: dict[str, Any], hidden: bool) -> list[dict[str, Any]]:
    """A block that the client can send back: with Anthropic's token, or with our mark."""
    if part.redacted:
        return [{"type": "redacted_thinking", "data": token["data"]}] if token.get("data") else []
    if signature := token.get("signature"):
        shown = "" if hidden and sealed(signature) else text  # Anthropic itself hides what it must
        return [{"type": "thinking", "thinking": shown, "signature": signature}]
    if not text:
        return []
    if hidden:
        return [{"type": "thinking", "thinking": "", "signature": mark(text)}]
    return [{"type": "thinking", "thinking": text, "signature": mark()}]
