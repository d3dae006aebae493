"""The doors hold: whatever comes in, a stream ends in events, a request in `BadRequest`, an error in an `ApiError`.

Seeds are wires with fields of all kinds (`crowded`) and those of the transcripts, changed: each node of the JSON taken
out or replaced by junk, one after the other; then several nodes at random places, put twice or wrapped; and bytes
flipped, cut, or put in.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import crowded, lawful
from tests.dialects import DIALECTS, Dialect
from tests.strategies import JSON, SEED
from translators import CODECS
from translators.arguments import to_utf8
from translators.body import with_model
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS, Codec, Traits, Wire
from translators.events import Event, PartDelta, fold, unfold
from translators.model import (
    ApiError,
    BadRequest,
    Format,
    Message,
    Reasoning,
    Request,
    Response,
    Text,
    Tool,
    UpstreamFault,
)
from translators.pretty import request_text, response_text

EACH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
EXAMPLES = settings().max_examples  # of the profile
TRANSCRIPTS = Path(__file__).parent.parent / "transcripts"
ASKED = Request(stream=True, reasoning=Reasoning("medium", visible=True))


def transcripts(protocol: str, form: str) -> list[bytes]:
    """The transcripts' files of one form: request.json, response.json, stream.txt."""
    return [path.read_bytes() for path in sorted(TRANSCRIPTS.glob(f"*/{protocol}.{form}"))]


@cache
def requests(dialect: Dialect) -> list[Any]:
    """The crowded one first."""
    return [crowded.REQUESTS[dialect.name], *map(json.loads, transcripts(dialect.name, "request.json"))]


@cache
def answers(dialect: Dialect) -> list[Any]:
    return [crowded.ANSWERS[dialect.name], *map(json.loads, transcripts(dialect.name, "response.json"))]


@cache
def streams(dialect: Dialect) -> list[bytes]:
    codec = dialect.codec
    response = codec.parse_response(json.dumps(crowded.ANSWERS[dialect.name]).encode(), SEED)
    encoder = codec.encoder(ASKED, SEED)
    return [b"".join(map(encoder.encode, unfold(response))), *transcripts(dialect.name, "stream.txt")]


def first_often(seeds: list[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(seeds[:1] * 5 + seeds)


# ------------------------------------------------------------------------------------------------ changes


JUNK: tuple[Any, ...] = (None, 1, -1.5, "x", True, [], {}, [None], [[]], [{}], {"x": {}}, "\ud83d")


def spoiled(value: Any) -> Iterator[Any]:
    """The value with one thing in it replaced or left out, for each thing and each kind of junk."""
    yield from JUNK
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        for junk in spoiled(inner):
            out = dict(value) if isinstance(value, dict) else list(value)
            out[key] = junk
            yield out
        if isinstance(value, dict):
            yield {name: kept for name, kept in value.items() if name != key}


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


def read_or_refused(dialect: Dialect, body: bytes) -> Request | None:
    try:
        request = dialect.codec.parse_request(Wire(dialect.path, body))
    except BadRequest as error:
        assert error.error.status == 400 and error.error.message
        return None
    request_text(request)
    return request


@EACH
def test_a_spoiled_request_is_read_or_refused(dialect: Dialect) -> None:
    found = [read_or_refused(dialect, json.dumps(value).encode()) for value in spoiled(requests(dialect)[0])]
    good = [request for request in found if request is not None]
    assert len(good) > 100 and len(found) - len(good) > 100
    for request in good:
        json.loads(dialect.codec.render_request(request).wire.body)


@EACH
@settings(max_examples=2 * EXAMPLES)
@given(data=st.data())
def test_a_changed_request_is_read_or_refused(dialect: Dialect, data: st.DataObject) -> None:
    request = read_or_refused(dialect, data.draw(first_often(requests(dialect)).flatmap(mutants)))
    if request is None:
        return
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
def test_any_schema_can_be_said(dialect: Dialect, schema: dict[str, Any], strict: bool | None) -> None:
    """Clients send schemas that are none; that is for the upstream to refuse, not for us to fall over."""
    before = copy.deepcopy(schema)
    request = Request("m", [Message("user", (Text("hi"),))], [Tool("f", None, schema, strict)], max_output=5)
    request.format = Format("schema", schema, "n", None, strict)
    for traits in (DEFAULT_TRAITS, Traits(structured=False, strict_tools=False)):
        dialect.codec.parse_request(dialect.codec.render_request(request, traits).wire)
    assert schema == before


@EACH
def test_the_crowded_wires_are_read_whole(dialect: Dialect) -> None:
    request = read_or_refused(dialect, json.dumps(requests(dialect)[0]).encode())
    assert request is not None and len(request.messages) >= 4 and request.tools and request.tool_choice
    response = dialect.codec.parse_response(json.dumps(answers(dialect)[0]).encode(), SEED)
    assert len({type(part) for part in response.parts}) >= 4 and response.usage is not None


@EACH
@given(body=st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | JSON.map(lambda v: json.dumps(v).encode()))
@example(b'{"messages": ' + b"[" * 5000)
@example(b'{"contents": ' + b"[" * 5000)
@example(b"\xff\xfe")
def test_junk_as_a_request_is_refused(dialect: Dialect, body: bytes) -> None:
    codec, wire = dialect.codec, Wire(dialect.path, body)
    count = codec.SERVICES.get("count_tokens", codec).parse_request
    for read in (codec.parse_request, lambda wire: codec.relay(wire, "generate", "m"), codec.peek, count):
        try:
            read(wire)
        except BadRequest as error:
            assert error.error.status == 400 and error.error.message


_BODIES_WITH_MODEL = [body for body in crowded.REQUESTS.values() if "model" in body]


@given(data=st.data())
def test_a_changed_body_keeps_its_meaning_under_another_model(data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(_BODIES_WITH_MODEL).flatmap(mutants))
    expected = {**json.loads(body), "model": "other"}
    assert json.loads(with_model(body, "other")) == json.loads(to_utf8(json.dumps(expected, ensure_ascii=False)))


# ------------------------------------------------------------------------------------------------ answers


def answer_or_none(dialect: Dialect, body: bytes) -> Response | None:
    try:
        response = dialect.codec.parse_response(body, SEED)
    except (msgspec.DecodeError, UnicodeDecodeError, UpstreamFault):
        return None
    response_text(response)
    return response


@EACH
def test_a_spoiled_answer_is_read_or_is_none(dialect: Dialect) -> None:
    """Also where it comes as the only frame of a stream."""
    after, before = dialect.framing
    read = []
    for value in spoiled(answers(dialect)[0]):
        body = json.dumps(value).encode()
        read.append(answer_or_none(dialect, body))
        lawful.check(events_of(dialect.codec, [before + body + after]))
    assert 50 < sum(response is None for response in read) < len(read) - 100


@EACH
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_a_changed_answer_is_read_or_refused(dialect: Dialect, data: st.DataObject) -> None:
    response = answer_or_none(dialect, data.draw(first_often(answers(dialect)).flatmap(mutants)))
    if response is not None:
        for other in CODECS.values():
            with contextlib.suppress(UpstreamFault):  # what Gemini makes of a call whose arguments are no JSON
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
def changed_events(draw: st.DrawFn, stream: bytes, framing: tuple[bytes, bytes]) -> bytes:
    """Frames whose JSON is changed, or which are taken out, doubled or moved."""
    between, before = framing
    frames = stream.split(between)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(frames) - 1))
        head, found, data = frames[at].partition(before) if before else (b"", b"", frames[at])
        match draw(st.sampled_from(["change", "delete", "double", "move"])):
            case "change" if data.startswith(b"{") and (value := _json(data)) is not None:
                frames[at] = head + found + draw(mutants(value))
            case "delete" if len(frames) > 1:
                del frames[at]
            case "double":
                frames.insert(at, frames[at])
            case _:
                frames.append(frames.pop(at))
    return between.join(frames)


def _json(data: bytes) -> Any:
    """None for one that was changed before, into no JSON of Python's."""
    try:
        return json.loads(data)
    except ValueError:
        return None


def events_of(codec: Codec, pieces: list[bytes]) -> list[Event]:
    decoder = codec.decoder(SEED)
    events = [event for piece in pieces if piece for event in decoder.feed(piece)] + decoder.feed(b"")
    assert decoder.crash is None, decoder.crash
    return events


@EACH
@settings(max_examples=2 * EXAMPLES)
@given(data=st.data(), cuts=st.lists(st.integers(0, 4000), max_size=4))
def test_a_changed_stream_ends_lawfully(dialect: Dialect, data: st.DataObject, cuts: list[int]) -> None:
    """And so does what is made of it for each client, in its protocol's own way."""
    seeds = first_often(streams(dialect))
    by_event = seeds.flatmap(lambda stream: changed_events(stream, dialect.framing))
    stream = data.draw(by_event | seeds.flatmap(changed_bytes))
    events = events_of(dialect.codec, [stream])
    lawful.check(events)
    pieces = list(lawful.chunks(stream, cuts))
    assert joined(events_of(dialect.codec, pieces)) == joined(events)
    response_text(fold(events))
    for other in DIALECTS.values():
        encoder = other.codec.encoder(ASKED, SEED)
        said = b"".join(map(encoder.encode, events))
        other.ending(said)
        lawful.check(events_of(other.codec, [said]))


def joined(events: list[Event]) -> list[Event]:
    """Without the places where a text was cut."""
    out: list[Event] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(event, PartDelta) and isinstance(last, PartDelta):
            out[-1] = PartDelta(event.index, last.text + event.text)
        else:
            out.append(event)
    return out


@EACH
@given(pieces=st.lists(st.binary(min_size=1, max_size=30), max_size=6))
def test_junk_as_a_stream_is_a_failure(dialect: Dialect, pieces: list[bytes]) -> None:
    lawful.check(events_of(dialect.codec, pieces))


STATUSES = st.sampled_from([200, 204, 400, 404, 429, 500, 529])
KINDS = st.sampled_from(["text/event-stream", "application/json", "application/x-ndjson", "text/html", ""])


@pytest.mark.parametrize("client", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@settings(max_examples=2 * EXAMPLES)
@given(
    upstream=st.sampled_from(list(DIALECTS.values())), status=STATUSES, kind=KINDS, data=st.data(), broken=st.booleans()
)
def test_an_answer_never_crashes(
    client: Dialect, upstream: Dialect, stream: bool, status: int, kind: str, data: st.DataObject, broken: bool
) -> None:
    asked = Request("m", [Message("user", (Text("hi"),))], max_output=5, stream=stream)
    bridge = Bridge(
        client.codec,
        upstream.codec,
        client.codec.render_request(asked).wire,
        None if client is upstream else asked,
        model="m",
        stream=stream,
        traits=DEFAULT_TRAITS,
        policy="max_compat",
        seed=SEED,
    )
    answer = bridge.answer(status, {"content-type": kind})
    bodies = [json.dumps(body).encode() for body in answers(upstream)]
    seeds = st.sampled_from(streams(upstream) + bodies)
    pieces = data.draw(st.lists(seeds.flatmap(changed_bytes) | st.binary(min_size=1, max_size=40), max_size=2))
    out = b"".join(answer.feed(piece) for piece in pieces if piece)
    out += answer.broken(ApiError(502, "disconnected", "gone")) if broken else answer.feed(b"")
    assert answer.crash is None, answer.crash
    assert answer.done
    assert (answer.head is None) == (answer.error is not None)
    if answer.head is None:
        assert out == b"" and answer.error is not None
        reply = client.codec.render_error(answer.error)
        assert 400 <= reply[0] < 600
    elif answer.head.streamed and not answer.verbatim:
        client.ending(out)
        lawful.check(events_of(client.codec, [out]))


# ------------------------------------------------------------------------------------------------ errors


ERRORS = [
    {"error": {"message": "m", "type": "rate_limit_error", "param": "p", "code": "c"}},
    {"type": "error", "error": {"type": "overloaded_error", "message": "m", "details": {"error_code": "x"}}},
    [{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "46s"}]}}],
    {"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error", "message": "m"}}},
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
def test_any_error_can_be_read_and_said(dialect: Dialect, status: int, body: bytes, headers: dict[str, str]) -> None:
    error = dialect.codec.parse_error(status, headers, body)
    assert error.message and (status < 400 or error.status == status)
    for other in CODECS.values():
        status, headers, said = other.render_error(error)
        assert 400 <= status < 600 and json.loads(said)
        assert all(value.isprintable() for value in headers.values())
        assert other.parse_error(status, headers, said).message
