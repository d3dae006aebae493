"""A whole answer, both ways."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .. import logprobs
from ..arguments import as_object
from ..body import WRONG
from ..codec import DEFAULT_TRAITS, Seed, Traits
from ..endings import last_words
from ..events import Failure, Fold
from ..media import described
from ..model import (
    ApiError,
    Audio,
    Blob,
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
    ToolCall,
    UpstreamFault,
    Usage,
)
from ..think import split_whole
from .answer import Calls, image_of, message_of, reason_of, usage_of
from .errors import error_of
from .stream import decoder
from .wire import ANSWER, GENERATE, IMAGES_NULL, LOADS, NAME, Json, WireAnswerMessage, encode, timestamp

# ------------------------------------------------------------------------------------------------ wire to neutral

def parse_response(body: bytes, seed: Seed, traits: Traits = DEFAULT_TRAITS) -> Response:
    """Raises `UpstreamFault` where the body is an error, `msgspec.DecodeError` where it is no answer."""
    try:
        answer = ANSWER.decode(body)
    except WRONG:
        if b"\n" not in body.strip():
            raise
        return _of_lines(body, seed, traits)
    if answer.error is not None:
        raise UpstreamFault(error_of(msgspec.json.decode(body)))
    message = message_of(answer)
    if message is None:
        raise msgspec.ValidationError("Object missing required field `message`")
    parts = _parts(message, seed, traits)
    if tokens := logprobs.read(answer.logprobs):
        logprobs.put(tokens, parts)
    calls = sum(isinstance(part, ToolCall) for part in parts)
    return Response(tuple(parts), reason_of(answer, calls), "", answer.model or "", usage_of(answer))


def _of_lines(body: bytes, seed: Seed, traits: Traits) -> Response:
    """Servers that stream in any case, under the label of one body."""
    lines, fold = decoder(seed, traits), Fold()
    for event in [*lines.feed(body), *lines.feed(b"")]:
        if isinstance(event, Failure):
            raise UpstreamFault(event.error)
        fold.add(event)
    return fold.response


def _parts(message: WireAnswerMessage, seed: Seed, traits: Traits) -> list[Part]:
    parts: list[Part] = [Thinking(message.thinking)] if message.thinking else []
    if message.content and traits.think_tags:
        parts += (kind(text) for kind, text in split_whole(message.content))
    elif message.content:
        parts.append(Text(message.content))
    parts += map(image_of, message.images or ())
    calls = Calls(seed)
    parts += (call for wire in message.tool_calls or () if (call := calls.read(wire)) is not None)
    return parts


# ------------------------------------------------------------------------------------------------ neutral to wire

FINISH: dict[Reason, str] = {
    "end": "stop",
    "length": "length",
    "stop_sequence": "stop",
    "tool_call": "stop",
    "refusal": "stop",
    "content_filter": "stop",
    "pause": "stop",
    "context_window": "length",
    "other": "stop",
}


class Asked:
    """What of a client's request decides how it is answered."""

    def __init__(self, request: Request) -> None:
        self.model = request.model
        self.generate = bool(request.extra.get(NAME, {}).get(GENERATE))
        self.thoughts = request.reasoning is None or request.reasoning.visible is not False
        self.logprobs = request.logprobs is not None
        self.loads = request.extra.get(NAME, {}).get(LOADS)
        self.images_null = bool(request.extra.get(NAME, {}).get(IMAGES_NULL))

    def ending(self, reason: Reason, usage: Usage | None) -> Json:
        """The fields of a last line. How long it took is not known here: 1 ns, since clients divide by it."""
        usage = usage or Usage()
        return {
            "done": True,
            "done_reason": self.loads or FINISH[reason],
            "total_duration": 1,
            "load_duration": 0,
            "prompt_eval_count": usage.prompt,
            "prompt_eval_duration": 1,
            "eval_count": usage.completion,
            "eval_duration": 1,
        }



def refusal(error: ApiError) -> Response | None:
    """A prompt that was refused: Ollama's models say so in words."""
    return Response((Text(error.message),))


def render_response(response: Response, asked: Request, seed: Seed) -> bytes:
    wants = Asked(asked)
    body = {
        "model": wants.model or response.model,
        "created_at": timestamp(seed.created),
        **_said(response, wants),
        **_logprobs(response, wants),
        **wants.ending(response.reason, response.usage),
    }
    return encode(body)


def _said(response: Response, wants: Asked) -> Json:
    parts = response.parts
    content = "".join(part.text if isinstance(part, Text | Refusal) else in_words(part) for part in parts)
    spoke = any(not isinstance(part, Thinking) for part in parts)
    content += closing(response.reason, response.detail, spoke, any(isinstance(part, Refusal) for part in parts))
    thought = "".join(part.text for part in parts if isinstance(part, Thinking)) if wants.thoughts else ""
    images = [part.blob.data for part in parts if isinstance(part, Image) and part.blob.data is not None]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    return said(wants, content, thought, images, [wire_call(call, n) for n, call in enumerate(calls)])


def _logprobs(response: Response, wants: Asked) -> Json:
    return told(wants, [token for part in response.parts if isinstance(part, Text) for token in part.logprobs])


def told(wants: Asked, tokens: Sequence[Logprob]) -> Json:
    """The log probabilities of a line's text, where the client asked for them."""
    return {"logprobs": logprobs.write(tokens)} if tokens and wants.logprobs else {}


def closing(reason: Reason, detail: str | None, said: bool, refused: bool) -> str:
    """The last words of an answer: there is no field for them."""
    words = last_words(reason, detail, said, refused)
    return "" if words is None else f"\n\n{words.text}" if said else words.text


def said(
    wants: Asked, content: str = "", thought: str = "", images: Sequence[str] = (), calls: Sequence[Json] = ()
) -> Json:
    """What the model said, in the shape of the endpoint that was asked. `/api/generate` knows no calls."""
    more: Json = {"thinking": thought} if thought else {}
    if wants.generate:
        return {"response": content, **more, **({"image": images[0]} if images else {})}
    message: Json = {"role": "assistant", "content": content, **more}
    if images or wants.images_null:
        message["images"] = list(images) or None
    if calls:
        message["tool_calls"] = list(calls)
    return {"message": message}


def in_words(part: Part) -> str:
    """What the model made and Ollama cannot hold."""
    match part:
        case Image():
            return link_of(part.blob)
        case Audio() | File():
            return described(part)
        case _:
            return ""


def link_of(blob: Blob) -> str:
    """Pictures are raw base64 here; one that is elsewhere is a link in Markdown."""
    return f"![image]({blob.url})" if blob.data is None and blob.url is not None else ""


def wire_call(call: ToolCall, n: int) -> Json:
    arguments, _ = as_object(call.arguments)
    if call.custom:
        arguments = msgspec.Raw(encode({"input": call.arguments}))
    return {"id": call.id, "function": {"index": n, "name": call.name, "arguments": arguments}}
