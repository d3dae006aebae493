"""The conversations of `transcripts/`, and what each protocol makes of them.

A folder holds one conversation: `exchange.json` is the neutral request and answer, `PROTOCOL.request.json`,
`.response.json` and `.stream.txt` the wires. What a protocol cannot say is written down beside them: `losses.json` has
for each protocol the losses of rendering the request (path, code, and what strict, balanced and max_compat make of it),
and `PROTOCOL.parsed.json` is a merge patch (RFC 7396): what reading those wires gives instead of the neutral `request`
and `response` (`stream`: of the stream alone).
"""

from __future__ import annotations

import json
from functools import cache, reduce
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from addons.export.transcript import ALWAYS, merge, native
from translators import CODECS
from translators.codec import DEFAULT_TRAITS, Codec, Rendered, Traits, Wire
from translators.custom import Customs
from translators.model import Part, Request, Response, ToolResult

ROOT = Path(__file__).parent / "transcripts"
NAMES = sorted(path.parent.name for path in ROOT.glob("*/exchange.json"))

Json = dict[str, Any]

# What the provider of the protocol takes that an unknown server may not.
TRAITS = dict.fromkeys(CODECS, DEFAULT_TRAITS) | {
    "openai-chat": Traits(custom_tools=True),
    "openai-responses": Traits(custom_tools=True, prefill=False),
}
# How each protocol asks for a whole answer and for a stream.
WHOLE: dict[str, Json] = {
    "openai-chat": {"stream": None, "stream_options": None},
    "openai-responses": {"stream": None},
    "anthropic": {"stream": None},
    "gemini": {},
    "ollama": {"stream": False},
}
PATHS = {
    "openai-chat": ("/chat/completions",) * 2,
    "openai-responses": ("/responses",) * 2,
    "anthropic": ("/messages",) * 2,
    "gemini": ("/models/m:generateContent", "/models/m:streamGenerateContent?alt=sse"),
    "ollama": ("/chat",) * 2,
}


class Exchange(msgspec.Struct, forbid_unknown_fields=True):
    request: Request
    response: Response


@cache
def load(name: str, file: str) -> Any:
    path = ROOT / name / file
    return json.loads(path.read_bytes()) if path.exists() else {}


def exchange(name: str) -> Exchange:
    return msgspec.convert(load(name, "exchange.json"), Exchange)


def patches(name: str, codec: Codec, form: str) -> list[Json]:
    """What reading a form (`request`, `response`, `stream`) of this protocol changes."""
    said: Json = load(name, f"{codec.NAME}.parsed.json")
    first = ALWAYS.get(codec.NAME, {}) if form == "request" else said.get("response", {}) if form == "stream" else {}
    return [patch for patch in (first, said.get(form, {})) if patch]


def asked(name: str, codec: Codec, *lost: Json) -> Request:
    """The neutral request as far as this protocol understands it, with these patches."""
    return msgspec.convert(_patched(load(name, "exchange.json")["request"], codec, lost), Request)


def answered(name: str, codec: Codec, *lost: Json) -> Response:
    return msgspec.convert(_patched(load(name, "exchange.json")["response"], codec, lost), Response)


def _patched(plain: Any, codec: Codec, lost: tuple[Json, ...]) -> Any:
    return reduce(merge, lost, native(plain, codec.NAME))


def rendered(codec: Codec, request: Request) -> Rendered:
    """As a bridge has it rendered: freeform tools are functions where the target takes none."""
    if not (codec.CUSTOM_TOOLS and TRAITS[codec.NAME].custom_tools):
        request = Customs(request).wrap(request)
    return codec.render_request(request, TRAITS[codec.NAME])


def losses(name: str, codec: Codec) -> list[list[str]]:
    found: list[list[str]] = load(name, "losses.json").get(codec.NAME, [])
    return found


def wire(name: str, codec: Codec, *, stream: bool = True) -> Wire:
    """The request, in one line as SDKs send it (arguments keep their white space)."""
    body = load(name, f"{codec.NAME}.request.json")
    if not stream:
        body = merge(body, WHOLE[codec.NAME])
    return Wire(PATHS[codec.NAME][stream], msgspec.json.encode(body), {"content-type": "application/json"})


def response(name: str, codec: Codec) -> bytes:
    return msgspec.json.encode(load(name, f"{codec.NAME}.response.json"))


def stream(name: str, codec: Codec) -> bytes:
    return (ROOT / name / f"{codec.NAME}.stream.txt").read_bytes()


def comparable(response: Response) -> Response:
    """Less two facts that are different by nature: the answer's id, and the upstream's own usage numbers."""
    assert response.usage is not None
    return replace(response, id="", usage=replace(response.usage, raw={}), extra=_said(response.extra))


def _said(facts: Any) -> Any:
    """Without nulls, which a merge patch cannot say."""
    if not isinstance(facts, dict):
        return facts
    return {name: _said(value) for name, value in facts.items() if value is not None}


def nameless(request: Request) -> Request:
    """Gemini's results repeat the name of the tool, which every call has."""
    messages = [replace(message, parts=tuple(map(_nameless, message.parts))) for message in request.messages]
    return replace(request, messages=messages)


def _nameless(part: Part) -> Part:
    return replace(part, name=None) if isinstance(part, ToolResult) else part
