"""The laws that hold for every codec and every pair of codecs (design: one strategy tests them all)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests import lawful
from tests.strategies import SEED, plain_request, plain_response, requests, responses, rich_responses
from tests.strategies import TRANSCRIBED as CODECS
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS, Codec, Wire
from translators.events import Event, Failure, fold, unfold
from translators.model import ApiError, Message, Request, Response, Text

EACH = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
PAIRS = [pytest.param(a, b, id=f"{a.NAME}-{b.NAME}") for a, b in product(CODECS.values(), repeat=2)]
EACH_PAIR = pytest.mark.parametrize(("client", "upstream"), PAIRS)

ASKED = Request(model="m", stream=True, include_usage=True)
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
def test_a_whole_answer_comes_back(codec: Codec, response: Response) -> None:
    body = codec.render_response(response, ASKED, SEED)
    assert plain_response(codec.parse_response(body, SEED)) == plain_response(response)


@EACH
@given(response=responses(), cuts=CUTS)
def test_a_streamed_answer_comes_back_at_any_chunking(codec: Codec, response: Response, cuts: list[int]) -> None:
    events = decoded(codec, lawful.chunks(streamed(codec, response), cuts))
    lawful.check(events)
    assert plain_response(fold(events)) == plain_response(response)


@EACH
@given(response=responses())
def test_streamed_and_whole_say_the_same(codec: Codec, response: Response) -> None:
    events = decoded(codec, [streamed(codec, response)])
    assert plain_response(fold(events)) == plain_response(codec.parse_response(whole(codec, response), SEED))


@EACH
@given(response=rich_responses())
def test_anything_neutral_can_be_said_to_a_client(codec: Codec, response: Response) -> None:
    """Perhaps in other words; but it renders, twice to the same bytes, and what comes out can be read."""
    body = codec.render_response(response, ASKED, SEED)
    assert body == codec.render_response(response, ASKED, SEED)
    codec.parse_response(body, SEED)
    stream = streamed(codec, response)
    assert stream == streamed(codec, response)
    events = decoded(codec, [stream])
    lawful.check(events)
    assert not isinstance(events[-1], Failure), events[-1]


@EACH
@given(response=responses(), place=st.integers(0, 3000))
def test_a_wire_that_is_cut_ends_in_one_failure_or_finish(codec: Codec, response: Response, place: int) -> None:
    stream = streamed(codec, response)
    events = decoded(codec, [stream[: place % (len(stream) + 1)]])
    lawful.check(events)


@EACH
def test_a_failure_in_the_middle_of_a_stream_is_read_as_one(codec: Codec) -> None:
    error = ApiError(529, "overloaded", "too much to do")
    encoder = codec.encoder(ASKED, SEED)
    begun = unfold(Response((Text("a"),)))[:3]
    events = decoded(codec, [encoder.encode(event) for event in (*begun, Failure(error))])
    lawful.check(events)
    last = events[-1]
    assert isinstance(last, Failure) and (last.error.kind, last.error.message) == ("overloaded", "too much to do")


# ------------------------------------------------------------------------------------------------ requests


@EACH
@given(request=requests())
def test_a_request_comes_back(codec: Codec, request: Request) -> None:
    rendered = codec.render_request(request)
    assert rendered.losses == [] and plain_request(codec.parse_request(rendered.wire)) == plain_request(request)


@EACH
@given(request=requests())
def test_rendering_is_deterministic(codec: Codec, request: Request) -> None:
    assert codec.render_request(request) == codec.render_request(request)


@EACH
@given(request=requests(), more=requests())
def test_rendering_is_append_only(codec: Codec, request: Request, more: Request) -> None:
    """A longer history begins with what the shorter one was, as prompt caches and signed thoughts demand."""
    turn = [Message("assistant", (Text("so"),)), *(m for m in more.messages if m.role != "system")]
    longer = replace(request, messages=[*request.messages, *turn])
    short, long = (json.loads(codec.render_request(q).wire.body) for q in (request, longer))
    assert long["messages"][: len(short["messages"])] == short["messages"]
    short, long = ({**body, "messages": None} for body in (short, long))
    assert short == long


@EACH
@given(request=requests())
def test_a_relayed_body_changes_in_its_model_only(codec: Codec, request: Request) -> None:
    wire = codec.render_request(request).wire
    assert codec.peek(wire) == (request.model, request.stream)
    relayed = codec.relay(wire, "generate", "other").body
    assert codec.peek(Wire(wire.path, relayed)) == ("other", request.stream)
    got = codec.parse_request(Wire(wire.path, relayed))
    assert plain_request(got) == plain_request(replace(request, model="other"))


# ------------------------------------------------------------------------------------------------ pairs


def bridged(client: Codec, upstream: Codec, request: Request, stream: bool) -> Bridge:
    request = replace(request, stream=stream, include_usage=True)
    wire = client.render_request(request).wire
    asked = None if client is upstream else client.parse_request(wire)
    return Bridge(
        client, upstream, wire, asked, model="real", stream=stream, traits=DEFAULT_TRAITS, policy="strict", seed=SEED
    )


@EACH_PAIR
@given(request=requests())
def test_a_request_through_every_pair(client: Codec, upstream: Codec, request: Request) -> None:
    bridge = bridged(client, upstream, request, request.stream)
    got = upstream.parse_request(bridge.wire)
    assert plain_request(got) == plain_request(replace(request, model="real"))
    assert bridge.warnings == []


@EACH_PAIR
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("answers_streamed", [True, False], ids=["stream-comes", "body-comes"])
@settings(max_examples=20)
@given(response=responses(), cuts=CUTS)
def test_an_answer_through_every_pair(
    client: Codec, upstream: Codec, stream: bool, answers_streamed: bool, response: Response, cuts: list[int]
) -> None:
    """Also where a stream was asked for and one body comes, and the other way round."""
    bridge = bridged(client, upstream, Request("m", [Message("user", (Text("hi"),))], max_output=5), stream)
    kind = "text/event-stream" if answers_streamed else "application/json"
    answer = bridge.answer(200, {"content-type": kind})
    named = replace(response, model="real")
    say = streamed if answers_streamed else whole
    wire = say(upstream, named, ASKED_REAL)
    out = b"".join([answer.feed(piece) for piece in lawful.chunks(wire, cuts)] + [answer.feed(b"")])
    assert answer.crash is None and answer.error is None and answer.done
    assert answer.head is not None and (answer.head.status, answer.head.streamed) == (200, stream)
    model = "real" if answer.verbatim else "m"
    assert model.encode() in out
    if stream:
        events = decoded(client, [out])
        lawful.check(events)
        got = fold(events)
    else:
        got = client.parse_response(out, SEED)
    assert plain_response(got) == plain_response(replace(response, model=model))
    assert answer.usage is not None and replace(answer.usage, raw={}) == response.usage


ASKED_REAL = replace(ASKED, model="real")


@EACH_PAIR
@given(response=responses(), place=st.integers(0, 3000))
def test_an_answer_that_breaks_off_through_every_pair(
    client: Codec, upstream: Codec, response: Response, place: int
) -> None:
    bridge = bridged(client, upstream, Request("m", [Message("user", (Text("hi"),))], max_output=5), True)
    answer = bridge.answer(200, {"content-type": "text/event-stream"})
    wire = streamed(upstream, response)
    error = ApiError(502, "disconnected", "gone")
    out = answer.feed(wire[: place % len(wire)] or b": \n") + answer.broken(error)
    assert answer.crash is None and answer.done
    if answer.head is None:
        assert answer.error is not None and out == b""
    else:
        events = decoded(client, [out])
        lawful.check(events)
        failed = isinstance(events[-1], Failure)
        assert failed == (answer.failure is not None), (events[-1], answer.failure)
