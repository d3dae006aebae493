"""A whole answer, both ways, and the items that it is made of.

The texts of an answer that follow each other are one message item, every thought and call is an item of its own. The
encoder of streams builds its items with the same functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from .. import logprobs
from ..codec import DEFAULT_TRAITS, Seed, Traits
from ..endings import last_words
from ..media import described
from ..model import (
    Audio,
    BadRequest,
    File,
    Image,
    Logprob,
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
    UpstreamFault,
    Usage,
)
from ..openai_effort import wire_name
from . import local
from .errors import unfinished
from .items import parts_of
from .parts import render_citations
from .tools import declarations, render_choice
from .usage import parse_usage, render_usage
from .wire import KIND, Json, decoder, encode, own

# ------------------------------------------------------------------------------------------------ wire to neutral


class WireDetails(Struct):
    reason: str | None = None


class WireResponse(Struct):
    output: list[Raw] | None = None
    id: str | None = None
    model: str | None = None
    status: str | None = None
    object: str | None = None
    error: Any = None
    incomplete_details: WireDetails | None = None
    usage: dict[str, Any] | None = None


ANSWER: msgspec.json.Decoder[WireResponse] = decoder(WireResponse)
_ANY = msgspec.json.Decoder()

# Why a response is incomplete. What no one knows is cut short all the same, and never a good end.
_INCOMPLETE: dict[str, Reason] = {"content_filter": "content_filter", "steered": "end"}


def parse_response(body: bytes, seed: Seed, traits: Traits = DEFAULT_TRAITS) -> Response:
    """Raises `UpstreamFault` where the body is an error, `msgspec.DecodeError` where it is no answer."""
    answer = ANSWER.decode(body)
    if answer.status in ("failed", "cancelled") or answer.error:
        raise UpstreamFault(unfinished(_ANY.decode(body)))
    if answer.output is None:
        raise msgspec.ValidationError("Object missing required field `output`")
    parts = [part for raw in answer.output for part in parts_of_answer(raw)]
    usage = parse_usage(answer.usage) if answer.usage else None
    return Response(tuple(parts), reason_of(answer, parts), answer.id or "", answer.model or "", usage)


def parts_of_answer(raw: Raw) -> list[Part]:
    """Raises `msgspec.ValidationError` where the item lacks what its kind must have."""
    type = KIND.decode(raw).type or "message"
    try:
        parts = parts_of(type, raw, "output", ids=False)
    except BadRequest as error:  # here it is the upstream's mistake
        raise msgspec.ValidationError(str(error)) from None
    return _with_logprobs(parts, raw) if type == "message" else parts


def _with_logprobs(parts: list[Part], raw: Raw) -> list[Part]:
    """The parts of a message, which are those of its content one for one. A client's history needs none of this."""
    content = _ANY.decode(raw).get("content")
    if not isinstance(content, list) or len(content) != len(parts):
        return parts
    return [_with(part, said) for part, said in zip(parts, content, strict=True)]


def _with(part: Part, said: Any) -> Part:
    tokens = logprobs.read(said.get("logprobs")) if isinstance(part, Text) and isinstance(said, dict) else ()
    return msgspec.structs.replace(part, logprobs=tokens) if tokens else part


def reason_of(answer: WireResponse, parts: Iterable[Part]) -> Reason:
    if answer.status == "incomplete":
        details = answer.incomplete_details
        return _INCOMPLETE.get((details.reason if details is not None else None) or "", "length")
    kinds = {type(part) for part in parts}
    return "tool_call" if ToolCall in kinds else "refusal" if Refusal in kinds else "end"


# ------------------------------------------------------------------------------------------------ items

COMPLETED = "completed"
INCOMPLETE = "incomplete"


def output_text(text: str, cited: Sequence[Json] = (), tokens: Sequence[Logprob] = ()) -> Json:
    told = logprobs_list(tokens)
    return {"type": "output_text", "text": text, "annotations": list(cited), "logprobs": told}


def logprobs_list(tokens: Sequence[Logprob]) -> list[Json]:
    """Bytes must be there."""
    return logprobs.write(tokens, fill=True)


def refusal(text: str) -> Json:
    return {"type": "refusal", "refusal": text}


def message_item(id: str, content: list[Json], status: str, phase: str | None = None) -> Json:
    item: Json = {"id": id, "type": "message", "status": status, "role": "assistant", "content": content}
    return {**item, "phase": phase} if phase else item


def reasoning_item(id: str, text: str, token: str | None) -> Json:
    """The thought as a summary, which is what clients show."""
    summary = [{"type": "summary_text", "text": text}] if text else []
    item: Json = {"id": id, "type": "reasoning", "summary": summary}
    return {**item, "encrypted_content": token} if token else item


_PREFIXES = {"function_call": "fc_", "custom_tool_call": "ctc_", "tool_search_call": "tsc_"}
_PLAIN = ("function_call", "custom_tool_call")


def call_prefix(kind: str) -> str:
    return _PREFIXES.get(kind) or local.prefix(kind)


def call_item(id: str, kind: str, call: ToolCall, text: str, status: str) -> Json:
    item: Json = {"id": id, "type": kind, "status": status, "call_id": call.id}
    if kind not in _PLAIN:
        return local.call_item(item, kind, text)
    item["name"] = call.name
    if call.namespace:
        item["namespace"] = call.namespace
    return {**item, ("input" if call.custom else "arguments"): text}


def plain_item(part: Part, id: str) -> Json | None:
    """A part that has no text of its own as an item; None where an answer has no such item."""
    match part:
        case Opaque() if part.protocol == "openai-responses" and isinstance(part.raw, dict):
            return part.raw
        case ServerTool():
            raw = own(part.extra).get("raw")
            if raw is not None or part.family != "web_search" or part.phase != "call":
                return raw
            action = {"type": "search", "query": part.text}
            return {"id": "ws_" + id, "type": "web_search_call", "status": COMPLETED, "action": action}
        case Image() if part.blob.data is not None:
            return {"id": "ig_" + id, "type": "image_generation_call", "status": COMPLETED, "result": part.blob.data}
        case _:
            return None


def in_words(part: Part) -> str:
    """What an answer of this protocol cannot hold; "" where nothing needs to be said."""
    match part:
        case Opaque():
            return part.text
        case Image() | Audio() | File():
            return described(part)
        case _:
            return ""


# ------------------------------------------------------------------------------------------------ the response around

_DETAILS: dict[Reason, str] = {
    "length": "max_output_tokens",
    "context_window": "max_output_tokens",
    "content_filter": "content_filter",
}


def incomplete_of(reason: Reason, refused: bool) -> str | None:
    """Why the response is incomplete; None where it is complete. A refusal without a word counts as filtered."""
    return "content_filter" if reason == "refusal" and not refused else _DETAILS.get(reason)


class Asked:
    """What of a client's request decides how it is answered, and what of it the answer repeats."""

    def __init__(self, request: Request, seed: Seed) -> None:
        self._request, self._seed = request, seed
        typed = ((tool.name, local.item_type(tool)) for tool in request.tools if isinstance(tool, Tool))
        self._kinds = {name: kind for name, kind in typed if kind is not None}
        self.thoughts = request.reasoning is None or request.reasoning.visible is not False
        self.logprobs = request.logprobs is not None
        self._tools = Raw(encode(declarations(request)))

    def kind_of(self, call: ToolCall) -> str:
        """The type of a call's item."""
        known = self._kinds.get(call.name) if call.namespace is None else None
        return known or ("custom_tool_call" if call.custom else "function_call")

    def response(self, id: str, model: str, status: str, output: list[Json]) -> Json:
        """The response object, complete but for how it ended."""
        request = self._request
        choice = render_choice(request, request.tool_choice) if request.tool_choice is not None else None
        return {
            "id": id if id.startswith("resp_") else f"resp_{self._seed.id}",
            "object": "response",
            "created_at": self._seed.created,
            "status": status,
            "background": bool(request.background),
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": request.max_output,
            "max_tool_calls": request.max_tool_calls,
            "metadata": request.metadata or {},
            "model": request.model or model,
            "output": output,
            "parallel_tool_calls": request.parallel_tools is not False,
            "previous_response_id": request.previous_id,
            "prompt_cache_key": request.cache_key,
            "reasoning": self._reasoning(),
            "safety_identifier": request.safety_id,
            "service_tier": request.tier or "default",
            "store": request.store is not False,
            "temperature": 1.0 if request.temperature is None else request.temperature,
            "text": self._text(),
            "tool_choice": choice or "auto",
            "tools": self._tools,
            "top_p": 1.0 if request.top_p is None else request.top_p,
            "truncation": request.truncation or "disabled",
            "usage": None,
            "user": request.user,
        }

    def _reasoning(self) -> Json:
        asked = self._request.reasoning
        if asked is None:
            return {"effort": None, "summary": None}
        effort = None if asked.effort == "auto" else wire_name(asked.effort)
        return {"effort": effort, "summary": asked.summary if asked.summary != "none" else None}

    def _text(self) -> Json:
        form = self._request.format
        kinds: dict[str, Json] = {"text": {"type": "text"}, "json": {"type": "json_object"}}
        shape = kinds.get(form.kind) or {
            "type": "json_schema",
            "name": form.name or "response",
            "description": form.description,
            "schema": form.schema,
            "strict": form.strict,
        }
        return {"format": shape, "verbosity": self._request.verbosity or "medium"}


def finished(response: Json, incomplete: str | None, usage: Usage | None) -> Json:
    """The response object at its end."""
    response["usage"] = render_usage(usage)
    if incomplete is not None:
        response["status"], response["incomplete_details"] = INCOMPLETE, {"reason": incomplete}
    return response


# ------------------------------------------------------------------------------------------------ neutral to wire


def render_response(response: Response, asked: Request, seed: Seed) -> bytes:
    wants = Asked(asked, seed)
    refused = bool(response.detail) or any(isinstance(part, Refusal) for part in response.parts)
    incomplete = incomplete_of(response.reason, refused)
    output = _Output(wants, seed).items(response, incomplete)
    whole = wants.response(response.id, response.model, COMPLETED, output)
    return encode(finished(whole, incomplete, response.usage))


class _Output:
    """The items of a whole answer."""

    def __init__(self, wants: Asked, seed: Seed) -> None:
        self._wants, self._seed = wants, seed
        self._out: list[Json] = []
        self._content: list[Json] = []
        self._phase: str | None = None

    def items(self, response: Response, incomplete: str | None) -> list[Json]:
        for part in response.parts:
            self._part(part)
        refused = any(isinstance(part, Refusal) for part in response.parts)
        words = last_words(response.reason, response.detail, bool(self._out or self._content), refused)
        if words is not None:
            self._content.append(refusal(words.text) if isinstance(words, Refusal) else output_text(words.text))
        self._message()
        if incomplete is not None and self._out and "status" in self._out[-1]:
            self._out[-1] = {**self._out[-1], "status": INCOMPLETE}
        return self._out

    def _part(self, part: Part) -> None:
        match part:
            case Text() if part.text:
                tokens = part.logprobs if self._wants.logprobs else ()
                self._say(output_text(part.text, render_citations(part.text, part.citations), tokens), part)
            case Refusal() if part.text:
                self._say(refusal(part.text), part)
            case Text() | Refusal():
                pass
            case Thinking():
                self._thought(part)
            case ToolCall():
                self._message()
                kind = self._wants.kind_of(part)
                text = part.arguments if part.custom else part.arguments or "{}"
                self._out.append(call_item(self._id(call_prefix(kind)), kind, part, text, COMPLETED))
            case _:
                item = plain_item(part, f"{self._seed.id}{len(self._out) + bool(self._content):02d}")
                if item is not None:
                    self._message()
                    self._out.append(item)
                elif text := in_words(part):
                    self._content.append(output_text(text))

    def _say(self, content: Json, part: Text | Refusal) -> None:
        phase = own(part.extra).get("phase")
        if phase is not None and self._content:
            self._message()
        self._phase = phase or self._phase
        self._content.append(content)

    def _thought(self, part: Thinking) -> None:
        token = own(part.extra).get("encrypted_content")
        text = part.text if self._wants.thoughts else ""
        if text or token:
            self._message()
            self._out.append(reasoning_item(self._id("rs_"), text, token))

    def _message(self) -> None:
        if self._content:
            self._out.append(message_item(self._id("msg_"), self._content, COMPLETED, self._phase))
        self._content, self._phase = [], None

    def _id(self, prefix: str) -> str:
        return self._seed.item(prefix, len(self._out))
