"""Conversations on the wire: each file is what the protocol says, and all mean the one neutral exchange beside them.

`transcribed` tells how the files are laid out; `test_transcript_pairs` puts them through a bridge.
"""

from __future__ import annotations

import json

import msgspec
import pytest

from tests import lawful
from tests.strategies import SEED
from tests.transcribed import (
    NAMES,
    PATHS,
    ROOT,
    answered,
    asked,
    comparable,
    exchange,
    load,
    losses,
    nameless,
    patches,
    rendered,
    response,
    stream,
    wire,
)
from translators import CODECS
from translators.codec import Codec
from translators.events import fold, unfold
from translators.model import Request

FILES = [pytest.param(name, codec, id=f"{name}-{codec.NAME}") for name in NAMES for codec in CODECS.values()]
EACH_FILE = pytest.mark.parametrize(("name", "codec"), FILES)
EACH = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


def read(name: str, codec: Codec, *, streamed: bool = True) -> Request:
    return nameless(codec.parse_request(wire(name, codec, stream=streamed)))


def test_there_are_enough() -> None:
    assert len(NAMES) >= 40


def test_every_patch_and_loss_belongs_to_a_protocol_and_changes_something() -> None:
    for name in NAMES:
        known = {f"{codec}.{form}" for codec in CODECS for form in ("request.json", "response.json", "stream.txt")}
        known |= {f"{codec}.parsed.json" for codec in CODECS} | {"exchange.json", "losses.json"}
        assert {path.name for path in (ROOT / name).iterdir()} <= known, name
        assert set(load(name, "losses.json")) <= set(CODECS), name
        for codec in CODECS.values():
            said = load(name, f"{codec.NAME}.parsed.json")
            assert set(said) <= {"request", "response", "stream"} and all(said.values()), (name, codec.NAME)


@EACH_FILE
def test_the_request_is_read(name: str, codec: Codec) -> None:
    expected = asked(name, codec, *patches(name, codec, "request"))
    assert read(name, codec) == expected
    whole = read(name, codec, streamed=False)
    assert whole == msgspec.structs.replace(expected, stream=False, include_usage=whole.include_usage)


@EACH_FILE
def test_the_request_is_written(name: str, codec: Codec) -> None:
    for streamed in (True, False):
        request = msgspec.structs.replace(exchange(name).request, stream=streamed)
        got = rendered(codec, request)
        assert got.wire.path == PATHS[codec.NAME][streamed]
        assert json.loads(got.wire.body) == json.loads(wire(name, codec, stream=streamed).body)
        assert sorted([loss.path, loss.code, "/".join(loss.rule)] for loss in got.losses) == losses(name, codec)


# The same in another spelling: one text in a list or not, two texts of an operator's or one.
RESPELT = {("refused-in-history", "anthropic"), ("two-systems", "gemini")}


@EACH_FILE
def test_what_was_read_is_written_again(name: str, codec: Codec) -> None:
    """A client's request, changed by a rule and rendered for an upstream of the same protocol, loses nothing more."""
    again = json.loads(rendered(codec, codec.parse_request(wire(name, codec))).wire.body)
    assert again == json.loads(wire(name, codec).body) or (name, codec.NAME) in RESPELT


@EACH_FILE
def test_the_answer_is_read(name: str, codec: Codec) -> None:
    expected = answered(name, codec, *patches(name, codec, "response"))
    assert comparable(codec.parse_response(response(name, codec), SEED)) == expected


@EACH_FILE
def test_the_answer_is_written(name: str, codec: Codec) -> None:
    body = codec.render_response(answered(name, codec), codec.parse_request(wire(name, codec, stream=False)), SEED)
    assert json.loads(body) == load(name, f"{codec.NAME}.response.json")


@EACH_FILE
def test_the_stream_is_read_whole_and_byte_by_byte(name: str, codec: Codec) -> None:
    expected = answered(name, codec, *patches(name, codec, "stream"))
    said = stream(name, codec)
    for pieces in ([said], lawful.each_byte(said)):
        decoder = codec.decoder(SEED)
        events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.feed(b"")
        lawful.check(events)
        assert decoder.losses == [] and comparable(fold(events)) == expected


@EACH_FILE
def test_the_stream_is_written_to_the_byte(name: str, codec: Codec) -> None:
    encoder = codec.encoder(codec.parse_request(wire(name, codec)), SEED)
    written = b"".join(map(encoder.encode, unfold(answered(name, codec))))
    assert written.decode() == stream(name, codec).decode()


TALK = {"openai-chat": "messages", "openai-responses": "input", "anthropic": "messages", "gemini": "contents",
        "ollama": "messages"}  # fmt: skip


@EACH_FILE
def test_a_longer_conversation_begins_as_the_shorter_one_did(name: str, codec: Codec) -> None:
    """Turn by turn: else prompt caches miss, and signed thoughts are refused."""
    request = exchange(name).request
    whole = json.loads(rendered(codec, request).wire.body)
    for at, message in enumerate(request.messages):
        if at and message.role == "assistant":
            shorter = msgspec.structs.replace(request, messages=request.messages[:at])
            before = json.loads(rendered(codec, shorter).wire.body)
            talk = before.pop(TALK[codec.NAME])
            assert whole[TALK[codec.NAME]][: len(talk)] == talk
            assert before == {field: value for field, value in whole.items() if field != TALK[codec.NAME]}
