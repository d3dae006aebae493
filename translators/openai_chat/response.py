"""A whole answer, both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from .. import logprobs
from ..codec import DEFAULT_TRAITS, Seed, Traits
from ..endings import last_words
from ..media import described
from ..model import (
    ApiError,
    Audio,
    File,
    Image,
    Logprob,
    Part,
    Reason,
    Refusal,
    Request,
    Response,
    Text,
    Thinking,
    Tool,
    ToolCall,
    UpstreamFault,
)
from ..think import split_whole
from .answer import (
    ANSWER,
    BROKEN,
    Sound,
    WireCallDelta,
    WireChoice,
    WireDelta,
    WireFunctionDelta,
    arguments_of,
    audio_object,
    citations,
    end_of,
    image_link,
    images,
    logprobs_of,
    parse_usage,
    pieces,
    render_usage,
)
from .errors import error_of, parse_error
from .reasoning import call_side, signed_details
from .tools import LEGACY
from .wire import NAME, encode

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_response(body: bytes, seed: Seed, traits: Traits = DEFAULT_TRAITS) -> Response:
    """Raises `UpstreamFault` where the body is an error, `msgspec.DecodeError` where it is no answer."""
    try:
        answer = ANSWER.decode(body)
    except msgspec.ValidationError:
        if isinstance(msgspec.json.decode(body), list):  # Gemini's form of an error
            raise UpstreamFault(parse_error(200, {}, body)) from None
        raise
    if answer.failed:
        raise UpstreamFault(error_of(msgspec.json.decode(body)))
    if answer.choices is None:
        raise msgspec.ValidationError("Object missing required field `choices`")
    choice = next((choice for choice in answer.choices if not choice.index), None) or WireChoice(finish_reason="stop")
    if choice.finish_reason in BROKEN:
        raise UpstreamFault(gave_up(choice.finish_reason))
    message = choice.message or choice.delta or WireDelta()
    parts = _parts(message, seed, traits)
    if tokens := logprobs_of(choice):
        logprobs.put(tokens, parts)
    calls = sum(isinstance(part, ToolCall) for part in parts)
    refused = any(isinstance(part, Refusal) for part in parts)
    reason, stop = end_of(choice, calls, refused)
    usage = parse_usage(answer.usage) if answer.usage else None
    return Response(tuple(parts), reason, answer.id or "", answer.model or "", usage, stop)


def gave_up(reason: str) -> ApiError:
    status = BROKEN[reason]
    return ApiError(status, "overloaded" if status == 503 else "server", f"the upstream gave up: {reason}")


def _parts(message: WireDelta, seed: Seed, traits: Traits) -> list[Part]:
    parts: list[Part] = []
    for kind, text in pieces(message):
        if kind is Text and traits.think_tags:
            parts += (sort(piece) for sort, piece in split_whole(text))
        else:
            parts.append(kind(text))
    cited = citations(message.annotations)
    if cited:
        at = next((n for n, part in enumerate(parts) if isinstance(part, Text)), None)
        if at is not None:
            parts[at] = msgspec.structs.replace(parts[at], citations=cited)
    if details := signed_details([message.reasoning_details]):
        at = next((n for n, part in enumerate(parts) if isinstance(part, Thinking)), None)
        if at is None:
            parts.insert(0, Thinking("", True, extra=details))
        else:
            parts[at] = msgspec.structs.replace(parts[at], extra=details)
    parts += images(message.images)
    if message.audio is not None:
        sound = Sound()
        sound.add(message.audio)
        parts += filter(None, [sound.take()])
    calls = list(message.tool_calls or ())
    if message.function_call is not None:
        calls.append(WireCallDelta(function=message.function_call))
    ids: set[str] = set()
    for n, call in enumerate(calls):
        part = _call(call, n, seed, ids)
        if part is not None:
            ids.add(part.id)
            parts.append(part)
    return parts


def _call(call: WireCallDelta, n: int, seed: Seed, taken: set[str]) -> ToolCall | None:
    body = call.function or call.custom or WireFunctionDelta()
    if not body.name:
        return None
    id = str(call.id) if call.id not in (None, "") else ""
    if not id or id in taken:
        id = seed.item("call_", n)
    custom = call.custom is not None or call.type == "custom"
    return ToolCall(id, body.name, arguments_of(body), custom, extra=call_side(call.extra_content))


# ------------------------------------------------------------------------------------------------ neutral to wire

FINISH: dict[Reason, str] = {
    "end": "stop",
    "length": "length",
    "stop_sequence": "stop",
    "tool_call": "tool_calls",
    "refusal": "content_filter",  # "stop" where there is a refusal to read
    "content_filter": "content_filter",
    "pause": "stop",
    "context_window": "length",
    "other": "stop",
}


def finish_of(reason: Reason, refused: bool, calls: int, legacy: bool) -> str:
    """Upstreams say "stop" after a call, and announce one that they do not make: agents stop there, or hang."""
    said = "stop" if refused and reason == "refusal" else FINISH[reason]
    if said not in ("stop", "tool_calls"):
        return said
    return "stop" if not calls or reason == "refusal" else "function_call" if legacy else "tool_calls"


def answer_id(id: str, seed: Seed) -> str:
    return id if id.startswith("chatcmpl-") else f"chatcmpl-{seed.id}"


class Asked:
    """What of a client's request decides how it is answered."""

    def __init__(self, request: Request, seed: Seed) -> None:
        self.seed = seed
        self.audio = "audio" in request.modalities
        functions = (tool.extra.get(NAME, {}) for tool in request.tools if isinstance(tool, Tool))
        self.model = request.model
        self.usage = request.include_usage
        self.logprobs = request.logprobs is not None
        self.legacy = any(extra.get(LEGACY) for extra in functions)
        self.thoughts = request.reasoning is None or request.reasoning.visible is not False


def render_response(response: Response, asked: Request, seed: Seed) -> bytes:
    wants = Asked(asked, seed)
    message = _message(response, wants)
    calls = sum(isinstance(part, ToolCall) for part in response.parts)
    finish = finish_of(response.reason, message["refusal"] is not None, calls, wants.legacy)
    tokens = [token for part in response.parts if isinstance(part, Text) for token in part.logprobs]
    told = logprobs_object(tokens) if tokens and wants.logprobs else None
    choice = {"index": 0, "message": message, "logprobs": told, "finish_reason": finish}
    return encode(
        {
            "id": answer_id(response.id, seed),
            "object": "chat.completion",
            "created": seed.created,
            "model": wants.model or response.model,
            "choices": [choice],
            "usage": render_usage(response.usage),
        }
    )


def logprobs_object(tokens: Sequence[Logprob]) -> dict[str, Any]:
    return {"content": logprobs.write(tokens), "refusal": None}


def _message(response: Response, wants: Asked) -> dict[str, Any]:
    parts = response.parts
    sounds = [part for part in parts if isinstance(part, Audio)] if wants.audio else []
    content = "".join(part.text if isinstance(part, Text) else shown(part, wants) for part in parts)
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    said = any(not isinstance(part, Thinking) for part in parts)
    match last_words(response.reason, response.detail, said, bool(refusal)):
        case Refusal(text=text):
            refusal = text
        case Text(text=text):
            content = text
    thought = "".join(part.text for part in parts if isinstance(part, Thinking))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": refusal or None}
    if not content and (calls or refusal):
        message["content"] = None
    if thought and wants.thoughts:
        message["reasoning_content"] = thought
    if sounds:
        message["audio"] = audio_object(sounds[0], wants.seed)
    message["annotations"] = _annotations(parts, wants)
    if calls and wants.legacy:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments or "{}"}
    elif calls:
        message["tool_calls"] = [_tool_call(call) for call in calls]
    return message


def shown(part: Part, wants: Asked) -> str:
    """In words, what the model made besides text."""
    match part:
        case Image():
            return image_link(part.blob)
        case Audio() if wants.audio:
            return ""
        case Audio() | File():
            return described(part)
        case _:
            return ""


def _tool_call(call: ToolCall) -> dict[str, Any]:
    if call.custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _annotations(parts: Sequence[Part], wants: Asked) -> list[dict[str, Any]]:
    """Citations with a URL; their places count in the whole content here."""
    out: list[dict[str, Any]] = []
    at = 0
    for part in parts:
        if isinstance(part, Text):
            for cited in part.citations:
                if cited.url is not None:
                    start = at + (cited.start or 0)
                    end = at + (cited.end if cited.end is not None else len(part.text))
                    place = {"start_index": start, "end_index": end, "title": cited.title or "", "url": cited.url}
                    out.append({"type": "url_citation", "url_citation": place})
            at += len(part.text)
        else:
            at += len(shown(part, wants))
    return out
