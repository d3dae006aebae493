"""Streams as the providers themselves send them: a whole one, one that is cut, and one that ends in an error.

`golden` holds one turn (a thought where the protocol has one, a text, a call), `broken` a text and then an error, in
each of the forms that a provider has for it.
"""

from __future__ import annotations

import pytest

from tests import lawful
from tests.strategies import SEED
from tests.transcribed import ROOT, comparable
from translators import CODECS
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS, Codec
from translators.events import Failure, Finish, Fold, fold
from translators.model import ApiError, Message, Request, Text, Thinking, ToolCall, Usage
from translators.policy import POLICIES

EACH = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
EACH_CLIENT = pytest.mark.parametrize("client", CODECS.values(), ids=CODECS)
HEADERS = {
    name: {"content-type": "application/x-ndjson" if codec.STREAM == "lines" else "text/event-stream"}
    for name, codec in CODECS.items()
}


def golden(codec: Codec) -> bytes:
    return (ROOT / "golden" / f"{codec.NAME}.txt").read_bytes()


def bridged(client: Codec, upstream: Codec) -> Bridge:
    asked = Request("m", [Message("user", (Text("hi"),))], stream=True)
    traits, policy = DEFAULT_TRAITS, POLICIES[-1]  # never a refusal
    wire = client.render_request(asked).wire
    return Bridge(client, upstream, wire, asked, model="m", stream=True, traits=traits, policy=policy, seed=SEED)


# What a provider says of the tokens: Ollama knows neither caches nor thoughts.
USAGES = {"ollama": Usage(10, output=7)}
# Chat has no official thoughts; a summary is marked so.
THOUGHTS = {"openai-chat": "", "openai-responses": "**Plan**", "gemini": "**Plan**\n\n"}
# From here on the provider has said why the answer ends.
SAID = {
    "openai-chat": b'"tool_calls"}',
    "openai-responses": b'"status":"completed","background"',
    "anthropic": b'"stop_reason":"tool_use"',
    "gemini": b'"finishReason"',
    "ollama": b'"done":true',
}


@EACH
def test_the_golden_stream(codec: Codec) -> None:
    decoder = codec.decoder(SEED)
    events = decoder.feed(golden(codec)) + decoder.feed(b"")
    lawful.check(events)
    said = fold(events)
    thoughts = "".join(part.text for part in said.parts if isinstance(part, Thinking))
    assert thoughts == THOUGHTS.get(codec.NAME, "Plan")
    texts = [part.text for part in said.parts if isinstance(part, Text)]
    calls = [(part.id, part.name, part.arguments) for part in said.parts if isinstance(part, ToolCall)]
    assert (texts, calls) == (["Let me look."], [("call_a", "ls", '{"p":"."}')])
    assert comparable(said).usage == USAGES.get(codec.NAME, Usage(6, 4, 0, 4, 3))
    assert said.reason == "tool_call" and decoder.losses == []


@EACH
def test_the_golden_stream_cut_anywhere(codec: Codec) -> None:
    """One end, all parts closed; and no end that is made up: before the reason came, it is a failure."""
    stream = golden(codec)
    said = stream.index(SAID[codec.NAME])
    for place in range(0, len(stream), 1 + len(stream) // 4000):
        decoder = codec.decoder(SEED)
        events = decoder.feed(stream[:place]) if place else []
        assert not any(isinstance(event, Finish | Failure) for event in events) or place > said
        events += decoder.feed(b"")
        lawful.check(events)
        assert isinstance(events[-1], Failure) or place > said


@EACH
def test_the_golden_stream_split_in_two(codec: Codec) -> None:
    """At every byte, or in a long one at every third or fourth."""
    stream = golden(codec)
    decoder = codec.decoder(SEED)
    whole = fold(decoder.feed(stream) + decoder.feed(b""))
    for place in range(1, len(stream), 1 + len(stream) // 2500):
        decoder = codec.decoder(SEED)
        assert fold(decoder.feed(stream[:place]) + decoder.feed(stream[place:]) + decoder.feed(b"")) == whole


@EACH
@EACH_CLIENT
def test_the_golden_stream_broken_off_through_a_bridge(client: Codec, codec: Codec) -> None:
    """What the client reads then is lawful too, and a failure where ours was one."""
    stream = golden(codec)
    for place in range(0, len(stream), 97):
        answer = bridged(client, codec).answer(200, HEADERS[codec.NAME])
        out = answer.feed(stream[:place]) if place else b""
        out += answer.broken(ApiError(502, "disconnected", "gone"))
        assert answer.done and answer.crash is None and (answer.head is None) == (out == b"")
        if answer.head is not None and answer.head.status == 200:
            decoder = client.decoder(SEED)
            events = decoder.feed(out) + decoder.feed(b"")
            lawful.check(events)
            assert isinstance(events[-1], Failure) == (answer.failure is not None)


# ------------------------------------------------------------------------------------------------ errors in a stream

BROKEN = sorted(path.name for path in (ROOT / "broken").iterdir())


def broken(name: str) -> tuple[Codec, bytes]:
    return CODECS[name.partition(".")[0]], (ROOT / "broken" / name).read_bytes()


@pytest.mark.parametrize("name", BROKEN)
def test_an_error_in_a_stream(name: str) -> None:
    codec, stream = broken(name)
    for pieces in ([stream], lawful.each_byte(stream)):
        decoder, told = codec.decoder(SEED), Fold()
        events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.feed(b"")
        lawful.check(events)
        for event in events:
            told.add(event)
        assert told.parts == [Text("Let me")] and told.failure is not None
        assert told.failure.kind == "overloaded" and told.failure.message


@EACH_CLIENT
@pytest.mark.parametrize("name", BROKEN)
def test_an_error_in_a_stream_through_a_bridge(name: str, client: Codec) -> None:
    """The client reads what was said before, then that it failed and why; and the stream is over."""
    upstream, stream = broken(name)
    for pieces in ([stream], lawful.chunks(stream, range(7, len(stream), 31))):
        answer = bridged(client, upstream).answer(200, HEADERS[upstream.NAME])
        out = b"".join([answer.feed(piece) for piece in pieces] + [answer.feed(b"")])
        assert answer.done and answer.failure is not None and answer.failure.kind == "overloaded"
        assert answer.head is not None and answer.head.status == 200
        decoder, told = client.decoder(SEED), Fold()
        events = decoder.feed(out) + decoder.feed(b"")
        lawful.check(events)
        for event in events:
            told.add(event)
        assert told.parts == [Text("Let me")] and told.failure is not None
        assert (told.failure.kind, told.failure.message) == ("overloaded", answer.failure.message)
