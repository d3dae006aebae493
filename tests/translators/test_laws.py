"""The laws that hold for every codec and every pair of codecs (design: one strategy tests them all)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests import lawful
from tests.dialects import DIALECTS, Dialect, answered, asked, places, plain_request, plain_response, told, told_to
from tests.strategies import SEED, requests, responses, rich_responses
from translators.arguments import is_object
from translators.bridge import Bridge
from translators.codec import Codec
from translators.events import Event, Failure, fold, unfold
from translators.model import ApiError, Message, Reasoning, Request, Response, Text, ToolCall, UpstreamFault

EACH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
EACH_CLIENT = pytest.mark.parametrize("client", DIALECTS.values(), ids=DIALECTS)

ASKED = Request(model="m", stream=True, include_usage=True, reasoning=Reasoning("medium", visible=True))
EXAMPLES = settings().max_examples  # of the profile
CUTS = st.lists(st.integers(0, 3000), max_size=8)


def streamed(codec: Codec, response: Response, asked: Request = ASKED) -> bytes:
    encoder = codec.encoder(asked, SEED)
    return b"".join(encoder.encode(event) for event in unfold(response))


def whole(codec: Codec, response: Response, asked: Request = ASKED) -> bytes:
    return codec.render_response(response, asked, SEED)


def decoded(codec: Codec, pieces: Iterable[bytes]) -> list[Event]:
    decoder = codec.decoder(SEED)
    events = [event for piece in pieces if piece for event in decoder.feed(piece)]
    events += decoder.feed(b"")
    assert decoder.crash is None, decoder.crash
    return events


# ------------------------------------------------------------------------------------------------ answers


@EACH
@given(response=responses())
def test_a_whole_answer_comes_back(dialect: Dialect, response: Response) -> None:
    got = dialect.codec.parse_response(whole(dialect.codec, response), SEED)
    assert plain_response(got) == plain_response(answered(dialect, response))


@EACH
@given(response=responses(), cuts=CUTS)
def test_a_streamed_answer_comes_back_at_any_chunking(dialect: Dialect, response: Response, cuts: list[int]) -> None:
    events = decoded(dialect.codec, lawful.chunks(streamed(dialect.codec, response), cuts))
    lawful.check(events)
    assert plain_response(fold(events)) == plain_response(answered(dialect, response))


@EACH
@given(response=rich_responses())
def test_anything_neutral_can_be_said_to_a_client(dialect: Dialect, response: Response) -> None:
    """Perhaps in other words; but it renders, twice to the same bytes, and what comes out can be read."""
    codec = dialect.codec
    body, stream = whole(codec, response), streamed(codec, response)
    assert (body, stream) == (whole(codec, response), streamed(codec, response))
    assert dialect.ending(stream) == "finish"
    events = decoded(codec, [stream])
    lawful.check(events)
    try:
        codec.parse_response(body, SEED)
        assert not isinstance(events[-1], Failure), events[-1]
    except UpstreamFault as fault:
        calls = [part for part in response.parts if isinstance(part, ToolCall)]
        assert dialect.strict and any(not call.custom and not is_object(call.arguments) for call in calls)
        assert isinstance(events[-1], Failure) and events[-1].error == fault.error


@EACH
@given(response=responses(), place=st.integers(0, 3000))
def test_a_wire_that_is_cut_ends_in_one_failure_or_finish(dialect: Dialect, response: Response, place: int) -> None:
    stream = streamed(dialect.codec, response)
    events = decoded(dialect.codec, [stream[: place % (len(stream) + 1)]])
    lawful.check(events)


@EACH
def test_a_failure_in_the_middle_of_a_stream_is_read_as_one(dialect: Dialect) -> None:
    error = ApiError(529, "overloaded", "too much to do")
    encoder = dialect.codec.encoder(ASKED, SEED)
    begun = unfold(Response((Text("a"),)))[:3]
    events = decoded(dialect.codec, [encoder.encode(event) for event in (*begun, Failure(error))])
    lawful.check(events)
    last = events[-1]
    assert isinstance(last, Failure) and last.error.message == "too much to do", last


# ------------------------------------------------------------------------------------------------ requests


@EACH
@given(request=requests())
def test_a_request_comes_back(dialect: Dialect, request: Request) -> None:
    """But for what the protocol cannot say, which is told as a loss, and nothing else is. Always to the same bytes."""
    rendered = dialect.codec.render_request(request, dialect.traits)
    assert rendered == dialect.codec.render_request(request, dialect.traits)
    got = dialect.codec.parse_request(rendered.wire)
    assert plain_request(got) == plain_request(asked(dialect, request))
    assert places(rendered.losses) == told(dialect, request)


@EACH
@given(request=requests(), more=requests())
def test_rendering_is_append_only(dialect: Dialect, request: Request, more: Request) -> None:
    """Each turn's conversation begins with what the turn before it was, as prompt caches and signed thoughts demand."""
    later = [message for message in more.messages if message.role != "system"]
    messages = [*request.messages, Message("assistant", (Text("so"),)), *later]
    before: list[Any] = []
    rest = None
    for end, message in enumerate(messages, 1):
        if message.role != "user":
            continue
        turn = replace(request, messages=messages[:end])
        body = json.loads(dialect.codec.render_request(turn, dialect.traits).wire.body)
        said = body.pop(dialect.conversation)
        body.get("options", {}).pop("num_ctx", None)  # the size of Ollama's window, which grows
        assert said[: len(before)] == before and rest in (None, body)
        before, rest = said, body


@EACH
@given(request=requests())
def test_a_relayed_body_changes_in_its_model_only(dialect: Dialect, request: Request) -> None:
    codec = dialect.codec
    wire = codec.render_request(request, dialect.traits).wire
    assert codec.peek(wire) == (request.model, request.stream)
    relayed = codec.relay(wire, "generate", "other")
    assert codec.peek(relayed) == ("other", request.stream)
    got = codec.parse_request(relayed)
    assert plain_request(got) == plain_request(asked(dialect, replace(request, model="other")))


# ------------------------------------------------------------------------------------------------ pairs

HELLO = Request("m", [Message("user", (Text("hi"),))], max_output=5000, reasoning=Reasoning("medium", visible=True))


def bridged(client: Dialect, upstream: Dialect, request: Request) -> Bridge:
    wire = client.codec.render_request(request, client.traits).wire
    said = None if client is upstream else client.codec.parse_request(wire)
    return Bridge(
        client.codec, upstream.codec, wire, said, model="real", stream=request.stream, traits=upstream.traits,
        policy="max_compat", seed=SEED,
    )  # fmt: skip


@EACH_CLIENT
@given(request=requests())
def test_a_request_through_every_pair(client: Dialect, request: Request) -> None:
    """What the client could say arrives, but for what the upstream's protocol cannot say, and that is told."""
    heard = asked(client, replace(request, model="real"))
    for upstream in DIALECTS.values():
        bridge = bridged(client, upstream, request)
        got = upstream.codec.parse_request(bridge.wire)
        assert plain_request(got) == plain_request(asked(upstream, heard)), upstream
        expected = set() if client is upstream else told_to(client, told(upstream, heard))
        assert places(bridge.losses) - {*client.side} == expected, upstream


def kinds(dialect: Dialect, stream: bool) -> str:
    return dialect.codec.encoder(ASKED, SEED).content_type if stream else "application/json"


@EACH_CLIENT
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("comes_streamed", [True, False], ids=["stream-comes", "body-comes"])
@settings(max_examples=EXAMPLES // 2)
@given(response=responses(), cuts=CUTS)
def test_an_answer_through_every_pair(
    client: Dialect, stream: bool, comes_streamed: bool, response: Response, cuts: list[int]
) -> None:
    """Also where a stream was asked for and one body comes, and the other way round."""
    for upstream in DIALECTS.values():
        bridge = bridged(client, upstream, replace(HELLO, stream=stream, include_usage=True))
        answer = bridge.answer(200, {"content-type": kinds(upstream, comes_streamed)})
        say = streamed if comes_streamed else whole
        wire = say(upstream.codec, replace(response, model="real"), ASKED_REAL)
        out = b"".join([answer.feed(piece) for piece in lawful.chunks(wire, cuts)] + [answer.feed(b"")])
        assert answer.crash is None and answer.error is None and answer.done
        assert answer.head is not None and (answer.head.status, answer.head.streamed) == (200, stream)
        heard = answered(upstream, replace(response, model="real" if answer.verbatim else "m"))
        got = read(client, out, stream)
        assert plain_response(got) == plain_response(answered(client, heard)), upstream
        assert answer.usage is not None and replace(answer.usage, raw={}) == heard.usage, upstream
        assert got.usage is not None and response.usage is not None
        assert (got.usage.prompt, got.usage.completion) == (response.usage.prompt, response.usage.completion)


def read(client: Dialect, out: bytes, stream: bool) -> Response:
    """What a client understands."""
    if not stream:
        return client.codec.parse_response(out, SEED)
    assert client.ending(out) == "finish"
    events = decoded(client.codec, [out])
    lawful.check(events)
    return fold(events)


ASKED_REAL = replace(ASKED, model="real")


@EACH_CLIENT
@given(response=responses(), place=st.integers(0, 3000))
def test_an_answer_that_breaks_off_through_every_pair(client: Dialect, response: Response, place: int) -> None:
    for upstream in DIALECTS.values():
        bridge = bridged(client, upstream, replace(HELLO, stream=True))
        answer = bridge.answer(200, {"content-type": kinds(upstream, True)})
        wire = streamed(upstream.codec, response)
        piece = wire[: place % len(wire)]
        out = (answer.feed(piece) if piece else b"") + answer.broken(ApiError(502, "disconnected", "gone"))
        assert answer.crash is None and answer.done
        if answer.head is None:
            assert answer.error is not None and out == b""
            continue
        events = decoded(client.codec, [out])
        lawful.check(events)
        failed = isinstance(events[-1], Failure)
        assert failed == (answer.failure is not None), (upstream, events[-1], answer.failure)
        if not answer.verbatim:
            assert client.ending(out) == ("failure" if failed else "finish"), upstream
