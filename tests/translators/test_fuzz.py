"""The doors hold: whatever comes in, a stream ends in events, a request in `BadRequest`, an error in an `ApiError`.

Seeds are the wires of the transcripts, changed at a random place: a node of the JSON taken out, put twice, or replaced
by any other value; bytes flipped, cut, or put in.
"""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import lawful
from tests.strategies import JSON, SEED
from tests.strategies import TRANSCRIBED as CODECS
from translators.arguments import to_utf8
from translators.body import with_model
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS, Codec, Traits, Wire
from translators.events import fold
from translators.model import ApiError, BadRequest, Format, Message, Request, Text, Tool, UpstreamFault
from translators.pretty import request_text, response_text

EACH = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
EXAMPLES = settings().max_examples  # of the profile
TRANSCRIPTS = Path(__file__).parent.parent / "transcripts"

# Fields of all kinds in one request, so that every parser is reached.
CROWDED = {
    "openai-chat": {
        "model": "m", "max_tokens": 5, "max_completion_tokens": 6, "stop": ["x"], "n": 1, "temperature": 1, "seed": 1,
        "logprobs": True, "top_logprobs": 2, "logit_bias": {"5": 1}, "stream": True, "user": "u",
        "metadata": {"a": "b"},
        "stream_options": {"include_usage": True}, "service_tier": "auto", "reasoning_effort": "low",
        "reasoning": {"effort": "high", "max_tokens": 5}, "modalities": ["text"], "store": False, "verbosity": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "name": "u", "content": [
                {"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "f"}}]},
            {"role": "assistant", "content": None, "refusal": None, "reasoning_content": "r", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "d", "type": "custom", "custom": {"name": "g", "input": "x"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
            {"role": "tool", "tool_call_id": "d", "content": [{"type": "text", "text": "r"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "function_call": {
                "name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "r"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}},
            {"type": "custom", "custom": {"name": "g", "format": {"type": "grammar", "grammar": {
                "syntax": "lark", "definition": "start: x"}}}}],
        "functions": [{"name": "h"}], "web_search_options": {},
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
            {"type": "function", "function": {"name": "f"}}]}},
    },
    "anthropic": {
        "model": "m", "max_tokens": 2000, "stop_sequences": ["x"], "temperature": 1, "top_p": 0.5, "top_k": 3,
        "stream": True, "metadata": {"user_id": "u"}, "service_tier": "auto", "speed": "fast",
        "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "image", "source": {"type": "url", "url": "http://x"}},
                {"type": "document", "title": "t", "context": "c", "citations": {"enabled": True}, "source": {
                    "type": "content", "content": [{"type": "text", "text": "x"}]}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "r", "signature": "s"}, {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "t", "citations": [{"type": "char_location", "cited_text": "x",
                    "document_index": 0, "start_char_index": 0, "end_char_index": 1, "document_title": "t"}]},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "s", "content": [
                    {"type": "web_search_result", "title": "t", "url": "http://x", "encrypted_content": "e"}]},
                {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c", "is_error": True, "content": [
                    {"type": "text", "text": "r"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]}]},
            {"role": "system", "content": "later"},
        ],
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True,
             "cache_control": {"type": "ephemeral"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            {"type": "bash_20250124", "name": "bash"}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    },
}  # fmt: skip


@cache
def wires(protocol: str, form: str) -> tuple[bytes, ...]:
    """The transcripts' files of one form: request.json, response.json, stream.txt."""
    found = tuple(path.read_bytes() for path in sorted(TRANSCRIPTS.glob(f"*/{protocol}.{form}")))
    assert found, f"no transcripts for {protocol}.{form}"
    return found


_CHANGE = st.sampled_from(["delete", "replace", "duplicate", "wrap"])
_OTHER = JSON | st.sampled_from([-1, 10**30, 1e308, [[]], {}, "\ud83d", "x" * 300, [None], {"type": 7}, {"type": "x"}])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all nodes below the root."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    out = []
    for key, child in children:
        out += [(*path, key), *places(child, (*path, key))]
    return out


@st.composite
def mutants(draw: st.DrawFn, value: Any) -> bytes:
    """The JSON, with up to three nodes changed."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        nodes = places(value)
        if not nodes:
            break
        *above, last = draw(st.sampled_from(nodes))
        holder = value
        for key in above:
            holder = holder[key]
        match draw(_CHANGE):
            case "delete":
                del holder[last]
            case "replace":
                holder[last] = copy.deepcopy(draw(_OTHER))
            case "duplicate" if isinstance(holder, list):
                holder.insert(last, copy.deepcopy(holder[last]))
            case "duplicate":
                holder[f"{last}_"] = copy.deepcopy(holder[last])
            case "wrap":
                holder[last] = draw(st.sampled_from([[holder[last]], {"type": holder[last]}, {"text": holder[last]}]))
    return json.dumps(value).encode()


# ------------------------------------------------------------------------------------------------ requests


@EACH
@settings(max_examples=2 * EXAMPLES)
@given(data=st.data())
def test_a_changed_request_is_read_or_refused(codec: Codec, data: st.DataObject) -> None:
    seeds = [CROWDED[codec.NAME], *map(json.loads, wires(codec.NAME, "request.json"))]
    body = data.draw(st.sampled_from(seeds[:1] * 5 + seeds).flatmap(mutants))
    try:
        request = codec.parse_request(Wire("/", body))
    except BadRequest as error:
        assert error.error.status == 400 and error.error.message
        return
    request_text(request)
    for other in CODECS.values():  # what was read can be said to anyone, and read there
        rendered = other.render_request(request)
        assert rendered == other.render_request(request)
        if any(map(_says_something, request.messages)):
            other.parse_request(rendered.wire)


def _says_something(message: Message) -> bool:
    return any(not isinstance(part, Text) or part.text.strip() for part in message.parts)


_KEYWORDS = st.sampled_from(
    "type properties required additionalProperties items anyOf oneOf allOf not enum const default $ref $defs"
    " definitions description format pattern minItems maximum nullable patternProperties if then prefixItems".split()
)
_LEAF = st.sampled_from(["object", "string", ["string", "null"], "#", "#/$defs/a", "#/properties/p", ["p"], [["p"]]])
_SCHEMA_KEY = _KEYWORDS | st.sampled_from(["p", "a"])
_SCHEMA = st.recursive(
    JSON | _LEAF,
    lambda inner: st.dictionaries(_SCHEMA_KEY, inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=10,
)


@EACH
@settings(max_examples=2 * EXAMPLES)
@given(schema=st.dictionaries(_KEYWORDS, _SCHEMA, max_size=5), strict=st.none() | st.booleans())
def test_any_schema_can_be_said(codec: Codec, schema: dict[str, Any], strict: bool | None) -> None:
    """Clients send schemas that are none; that is for the upstream to refuse, not for us to fall over."""
    before = copy.deepcopy(schema)
    request = Request("m", [Message("user", (Text("hi"),))], [Tool("f", None, schema, strict)], max_output=5)
    request.format = Format("schema", schema, "n", None, strict)
    for traits in (DEFAULT_TRAITS, Traits(structured=False, strict_tools=False)):
        codec.parse_request(codec.render_request(request, traits).wire)
    assert schema == before


@EACH
def test_the_crowded_request_is_read_whole(codec: Codec) -> None:
    request = codec.parse_request(Wire("/", json.dumps(CROWDED[codec.NAME]).encode()))
    assert len(request.messages) >= 4 and request.tools and request.tool_choice


@EACH
@given(body=st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | JSON.map(lambda v: json.dumps(v).encode()))
def test_junk_as_a_request_is_refused(codec: Codec, body: bytes) -> None:
    for read in (lambda: codec.parse_request(Wire("/", body)), lambda: codec.relay(Wire("/", body), "generate", "m")):
        try:
            read()
        except BadRequest as error:
            assert error.error.status == 400
    try:
        codec.peek(Wire("/", body))
    except BadRequest as error:
        assert error.error.message


@given(data=st.data())
def test_a_changed_body_keeps_its_meaning_under_another_model(data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(list(CROWDED.values())).flatmap(mutants))
    expected = {**json.loads(body), "model": "other"}
    assert json.loads(with_model(body, "other")) == json.loads(to_utf8(json.dumps(expected, ensure_ascii=False)))


# ------------------------------------------------------------------------------------------------ answers


@EACH
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_a_changed_answer_is_read_or_refused(codec: Codec, data: st.DataObject) -> None:
    seeds = list(map(json.loads, wires(codec.NAME, "response.json")))
    body = data.draw(st.sampled_from(seeds).flatmap(mutants))
    try:
        response = codec.parse_response(body, SEED)
    except (msgspec.DecodeError, UnicodeDecodeError, UpstreamFault):
        return
    response_text(response)
    for other in CODECS.values():
        other.parse_response(other.render_response(response, Request(), SEED), SEED)


@st.composite
def changed_bytes(draw: st.DrawFn, stream: bytes) -> bytes:
    """Bytes flipped, taken out, doubled or put in."""
    out = bytearray(stream)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(len(out) - 1, 0)))
        size = draw(st.integers(1, 40))
        match draw(st.sampled_from(["flip", "cut", "double", "put"])):
            case "flip" if out:
                out[at] = draw(st.integers(0, 255))
            case "cut":
                del out[at : at + size]
            case "double":
                out[at:at] = out[at : at + size]
            case _:
                out[at:at] = draw(st.binary(max_size=6) | st.sampled_from([b"\n\n", b"data: ", b'"', b"{", b"null"]))
    return bytes(out)


@st.composite
def changed_events(draw: st.DrawFn, stream: bytes) -> bytes:
    """Frames whose JSON is changed, or which are taken out, doubled or moved."""
    frames = stream.split(b"\n\n")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(frames) - 1))
        head, found, data = frames[at].partition(b"data: ")
        match draw(st.sampled_from(["change", "delete", "double", "move"])):
            case "change" if found and data.startswith(b"{"):
                frames[at] = head + found + draw(mutants(json.loads(data)))
            case "delete" if len(frames) > 1:
                del frames[at]
            case "double":
                frames.insert(at, frames[at])
            case _:
                frames.append(frames.pop(at))
    return b"\n\n".join(frames)


@EACH
@settings(max_examples=2 * EXAMPLES)
@given(data=st.data(), cuts=st.lists(st.integers(0, 4000), max_size=4))
def test_a_changed_stream_ends_lawfully(codec: Codec, data: st.DataObject, cuts: list[int]) -> None:
    seeds = st.sampled_from(wires(codec.NAME, "stream.txt"))
    stream = data.draw(seeds.flatmap(changed_events) | seeds.flatmap(changed_bytes))
    decoder = codec.decoder(SEED)
    events = [event for piece in lawful.chunks(stream, cuts) for event in decoder.feed(piece)] + decoder.feed(b"")
    assert decoder.crash is None, decoder.crash
    lawful.check(events)
    response_text(fold(events))
    for other in CODECS.values():
        encoder = other.encoder(Request(stream=True), SEED)
        lawful.check(_read(other, b"".join(map(encoder.encode, events))))


def _read(codec: Codec, stream: bytes) -> list[Any]:
    decoder = codec.decoder(SEED)
    events = (decoder.feed(stream) if stream else []) + decoder.feed(b"")
    assert decoder.crash is None, decoder.crash
    return events


@EACH
@given(pieces=st.lists(st.binary(min_size=1, max_size=30), max_size=6))
def test_junk_as_a_stream_is_a_failure(codec: Codec, pieces: list[bytes]) -> None:
    decoder = codec.decoder(SEED)
    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.feed(b"")
    assert decoder.crash is None, decoder.crash
    lawful.check(events)


STATUSES = st.sampled_from([200, 204, 400, 404, 429, 500, 529])
KINDS = st.sampled_from(["text/event-stream", "application/json", "text/html", ""])


@pytest.mark.parametrize("client", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("upstream", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("stream", [True, False])
@settings(max_examples=EXAMPLES // 2)
@given(status=STATUSES, kind=KINDS, data=st.data(), broken=st.booleans())
def test_an_answer_never_crashes(
    client: Codec, upstream: Codec, stream: bool, status: int, kind: str, data: st.DataObject, broken: bool
) -> None:
    asked = Request("m", [Message("user", (Text("hi"),))], max_output=5, stream=stream)
    wire = client.render_request(asked).wire
    bridge = Bridge(
        client, upstream, wire, None if client is upstream else asked, model="m", stream=stream,
        traits=DEFAULT_TRAITS, policy="balanced", seed=SEED,
    )  # fmt: skip
    answer = bridge.answer(status, {"content-type": kind})
    seeds = st.sampled_from(wires(upstream.NAME, "stream.txt") + wires(upstream.NAME, "response.json"))
    pieces = data.draw(st.lists(seeds.flatmap(changed_bytes) | st.binary(min_size=1, max_size=40), max_size=2))
    out = b"".join(answer.feed(piece) for piece in pieces if piece)
    out += answer.broken(ApiError(502, "disconnected", "gone")) if broken else answer.feed(b"")
    assert answer.crash is None, answer.crash
    assert answer.done
    assert (answer.head is None) == (answer.error is not None)
    if answer.head is None:
        assert out == b"" and answer.error is not None
        reply = client.render_error(answer.error)
        assert 400 <= reply[0] < 600
    elif answer.head.streamed and not answer.verbatim:
        lawful.check(_read(client, out))


# ------------------------------------------------------------------------------------------------ errors


ERRORS = [
    {"error": {"message": "m", "type": "rate_limit_error", "param": "p", "code": "c"}},
    {"type": "error", "error": {"type": "overloaded_error", "message": "m", "details": {"error_code": "x"}}},
    [{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "46s"}]}}],
    {"error": "text"},
    {"detail": [{"loc": ["body"], "msg": "m"}]},
]


@EACH
@given(
    status=st.integers(100, 599),
    body=st.sampled_from(ERRORS).flatmap(mutants) | st.binary(max_size=40) | JSON.map(lambda v: json.dumps(v).encode()),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date", "x-ratelimit-reset-requests", "request-id",
                         "x-ratelimit-remaining-requests", "anthropic-ratelimit-tokens-reset"]),
        st.text(max_size=8) | st.sampled_from(["0", "7", "1e999", "nan", "Fri, 20 Nov 2026 12:00:00 GMT",
                                               "2026-11-20T12:00:00Z", "9" * 400, "6m0s"]),
    ),
)  # fmt: skip
def test_any_error_can_be_read_and_said(codec: Codec, status: int, body: bytes, headers: dict[str, str]) -> None:
    error = codec.parse_error(status, headers, body)
    assert error.message and (status < 400 or error.status == status)
    for other in CODECS.values():
        status, headers, said = other.render_error(error)
        assert 400 <= status < 600 and json.loads(said)
        assert all(value.isprintable() for value in headers.values())
        assert other.parse_error(status, headers, said).message
