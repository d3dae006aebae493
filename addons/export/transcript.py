"""As a case for our tests: a folder for `tests/transcripts`; `tests/transcribed.py` says how one is laid out. The
conversation is the client's and the model's; each protocol's files are what its codec makes of them today, so a case is
read before it is believed.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec.structs import replace

from addons.export import redact
from addons.export.asked import Asked, ExportError
from addons.neutral import in_own_words
from addons.views.reading import Unreadable, answer_of, asked
from translators import CODECS
from translators.codec import Codec, Seed
from translators.events import fold, unfold
from translators.model import BadRequest, Part, Request, Response, ToolResult, Usage

SEED = Seed("seed0seed0seed0seed0seed", 1_700_000_000)

# What a request of a protocol says beside the conversation, and another's does not, however plain it is: Responses can
# keep answers (which nobody else does, so that the reasoning must come with its token), Ollama names its window and
# always says how much it used.
ALWAYS: dict[str, Any] = {
    "openai-responses": {
        "store": False,
        "extra": {"openai-responses": {"include": ["reasoning.encrypted_content"]}},
    },
    "ollama": {"include_usage": None, "extra": {"ollama": {"options": {"num_ctx": 4096}}}},
}


def transcript(said: Asked) -> dict[str, str]:
    """Raises `ExportError` where there is no conversation, or no whole answer, or a protocol cannot say it at all."""
    try:
        found = asked(said.surface.protocol, said.surface.purpose, said.surface.path, said.body)
        answer = answer_of(said.record)
    except Unreadable as error:
        raise ExportError(str(error)) from None
    if not isinstance(found, Request) or not isinstance(answer.value, Response) or answer.running or answer.error:
        raise ExportError("a transcript is a request for an answer, and that answer, whole")
    request, response = _plain(found), _plain_answer(answer.value)
    files: dict[str, Any] = {"exchange.json": {"request": _built(request), "response": _built(response)}}
    losses = {}
    for codec in CODECS.values():
        try:
            own, lost = _files(codec, request, response)
        except BadRequest as error:
            raise ExportError(f"{codec.NAME} cannot say this conversation: {error}") from None
        files |= own
        if lost:
            losses[codec.NAME] = lost
    if losses:
        files["losses.json"] = losses
    texts = {name: one if isinstance(one, str) else json.dumps(one, indent=1, ensure_ascii=False) + "\n"
             for name, one in files.items()}  # fmt: skip
    return {name: redact.secrets(text) for name, text in texts.items()}


def _plain(request: Request) -> Request:
    return replace(request, model="m", stream=True, include_usage=True)


def _plain_answer(response: Response) -> Response:
    usage = replace(response.usage or Usage(1, output=1), raw={})
    return replace(response, id="", model="m", usage=usage)


def _files(codec: Codec, request: Request, response: Response) -> tuple[dict[str, Any], list[list[str]]]:
    """The files of one protocol, and the losses of its request."""
    name = codec.NAME
    streamed, whole = in_own_words(codec, request), in_own_words(codec, replace(request, stream=False))
    answer = _of(response, name, Response)
    read, read_whole = codec.parse_request(streamed.wire), codec.parse_request(whole.wire)
    body = codec.render_response(answer, read_whole, SEED)
    encoder = codec.encoder(read, SEED)
    stream = b"".join(map(encoder.encode, unfold(answer)))
    decoder = codec.decoder(SEED)
    told = fold(decoder.feed(stream) + decoder.feed(b""))
    files: dict[str, Any] = {
        f"{name}.request.json": json.loads(streamed.wire.body),
        f"{name}.response.json": json.loads(body),
        f"{name}.stream.txt": stream.decode(),
    }
    first = _patch(_built(answer), _comparable(codec.parse_response(body, SEED)))
    parsed = {
        "request": _patch(merge(native(_built(request), name), ALWAYS.get(name, {})), _built(_nameless(read))),
        "response": first,
        "stream": _patch(merge(_built(answer), first), _comparable(told)),
    }
    if parsed := {form: patch for form, patch in parsed.items() if patch}:
        files[f"{name}.parsed.json"] = parsed
    return files, sorted([loss.path, loss.code, "/".join(loss.rule)] for loss in streamed.losses)


def _built(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def _of(value: Any, protocol: str, kind: Any) -> Any:
    return msgspec.convert(native(_built(value), protocol), kind)


def native(value: Any, protocol: str) -> Any:
    """Without what only other protocols understand."""
    if isinstance(value, list):
        return [native(item, protocol) for item in value]
    if not isinstance(value, dict):
        return value
    out = {name: native(item, protocol) for name, item in value.items() if name != "extra"}
    own = {name: facts for name, facts in value.get("extra", {}).items() if name == protocol}
    return {**out, "extra": own} if own else out


def _comparable(response: Response) -> Any:
    return _built(replace(response, id="", usage=replace(response.usage or Usage(), raw={})))


def _nameless(request: Request) -> Request:
    """Gemini's results repeat the name of the tool, which every call has."""

    def nameless(part: Part) -> Part:
        return replace(part, name=None) if isinstance(part, ToolResult) else part

    messages = [replace(message, parts=tuple(map(nameless, message.parts))) for message in request.messages]
    return replace(request, messages=messages)


def _patch(before: Any, after: Any) -> Any:
    """The merge patch (RFC 7396) from one object to another."""
    changed = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if old == value and name in before:
            continue
        both = isinstance(old, dict) and isinstance(value, dict)
        changed[name] = _patch(old, value) if both else value
    return changed


def merge(target: Any, patch: Any) -> Any:
    """What a merge patch (RFC 7396) makes of `target`: null takes a field away, lists are replaced."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = merge(out.get(name), value)
    return out
