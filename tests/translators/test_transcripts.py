"""Conversations on the wire: each file is what the protocol says, and all mean the one neutral exchange beside them.

A folder holds one conversation: `exchange.json` is the neutral request and answer, `PROTOCOL.request.json`,
`.response.json` and `.stream.txt` the wires, `losses.json` what a protocol cannot say. `PROTOCOL.parsed.json` tells
what reading those wires gives where it is not the neutral exchange, because of those losses (`stream`: of the stream
alone).

Two facts are not compared, since they are different by nature: the answer's id, and the upstream's own usage numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests import lawful
from tests.strategies import SEED
from tests.strategies import TRANSCRIBED as CODECS
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS, Codec, Wire
from translators.events import Failure, Finish, fold, unfold
from translators.model import ApiError, Message, Request, Response, Text, Thinking, ToolCall, Usage
from translators.policy import POLICIES

ROOT = Path(__file__).parent.parent / "transcripts"
NAMES = sorted(path.parent.name for path in ROOT.glob("*/exchange.json"))
FILES = [pytest.param(name, codec, id=f"{name}-{codec.NAME}") for name in NAMES for codec in CODECS.values()]
EACH_FILE = pytest.mark.parametrize(("name", "codec"), FILES)


class Exchange(msgspec.Struct):
    request: Request
    response: Response


class Parsed(msgspec.Struct, forbid_unknown_fields=True):
    request: Request | None = None
    response: Response | None = None
    stream: Response | None = None


def exchange(name: str) -> Exchange:
    return msgspec.json.decode((ROOT / name / "exchange.json").read_bytes(), type=Exchange)


def parsed(name: str, codec: Codec) -> Parsed:
    path = ROOT / name / f"{codec.NAME}.parsed.json"
    return msgspec.json.decode(path.read_bytes(), type=Parsed) if path.exists() else Parsed()


def losses(name: str, codec: Codec) -> list[list[str]]:
    path = ROOT / name / "losses.json"
    found: dict[str, list[list[str]]] = json.loads(path.read_bytes()) if path.exists() else {}
    return found.get(codec.NAME, [])


def wire(name: str, codec: Codec, form: str) -> bytes:
    """The bytes of a stream as they are; a body in one line, as SDKs send it (arguments keep their white space)."""
    data = (ROOT / name / f"{codec.NAME}.{form}").read_bytes()
    return data if form.endswith(".txt") else msgspec.json.encode(json.loads(data))


def comparable(response: Response) -> Response:
    assert response.usage is not None
    return replace(response, id="", usage=replace(response.usage, raw={}))


def bridged(client: Codec, upstream: Codec, asked: Request) -> Bridge:
    traits, policy = DEFAULT_TRAITS, POLICIES[-1]  # never a refusal
    return Bridge(client, upstream, Wire("/"), asked, model="m", stream=True, traits=traits, policy=policy, seed=SEED)


def test_there_are_enough() -> None:
    assert len(NAMES) >= 20


@EACH_FILE
def test_the_request_is_read(name: str, codec: Codec) -> None:
    expected = parsed(name, codec).request or exchange(name).request
    assert codec.parse_request(Wire("/", wire(name, codec, "request.json"))) == expected


@EACH_FILE
def test_the_request_is_written(name: str, codec: Codec) -> None:
    rendered = codec.render_request(exchange(name).request)
    assert json.loads(rendered.wire.body) == json.loads(wire(name, codec, "request.json"))
    assert sorted([loss.path, loss.code] for loss in rendered.losses) == losses(name, codec)


@EACH_FILE
def test_the_answer_is_read(name: str, codec: Codec) -> None:
    expected = parsed(name, codec).response or exchange(name).response
    assert comparable(codec.parse_response(wire(name, codec, "response.json"), SEED)) == expected


@EACH_FILE
def test_the_answer_is_written(name: str, codec: Codec) -> None:
    told = exchange(name)
    body = codec.render_response(told.response, told.request, SEED)
    assert json.loads(body) == json.loads(wire(name, codec, "response.json"))


@EACH_FILE
def test_the_stream_is_read_whole_and_byte_by_byte(name: str, codec: Codec) -> None:
    said = parsed(name, codec)
    expected = said.stream or said.response or exchange(name).response
    stream = wire(name, codec, "stream.txt")
    for pieces in ([stream], lawful.each_byte(stream)):
        decoder = codec.decoder(SEED)
        events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.feed(b"")
        lawful.check(events)
        assert decoder.losses == [] and comparable(fold(events)) == expected


@EACH_FILE
def test_the_stream_is_written_to_the_byte(name: str, codec: Codec) -> None:
    told = exchange(name)
    encoder = codec.encoder(told.request, SEED)
    assert b"".join(map(encoder.encode, unfold(told.response))).decode() == wire(name, codec, "stream.txt").decode()


@EACH_FILE
def test_from_every_other_protocol(name: str, codec: Codec) -> None:
    """A client of the other protocol, this one upstream: the file in, the other's file out, where neither loses."""
    for client in CODECS.values():
        if client is codec or (ROOT / name / f"{client.NAME}.parsed.json").exists():
            continue
        told = exchange(name)
        asked = client.parse_request(Wire("/", wire(name, client, "request.json")))
        bridge = bridged(client, codec, asked)
        assert json.loads(bridge.wire.body) == json.loads(wire(name, codec, "request.json"))
        answer = bridge.answer(200, {"content-type": "text/event-stream"})
        out = answer.feed(wire(name, codec, "stream.txt")) + answer.feed(b"")
        if not (ROOT / name / f"{codec.NAME}.parsed.json").exists():
            assert _data(out) == _data(wire(name, client, "stream.txt"))
        assert answer.finish is not None and told.response.usage is not None
        assert answer.usage is not None and answer.usage.completion == told.response.usage.completion


def _data(stream: bytes) -> list[Any]:
    """The data of the stream's frames, less the numbers that come earlier from one upstream than from another."""
    frames = [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: {")]
    for frame in frames:
        frame.get("message", {}).pop("usage", None)
    return frames


# ------------------------------------------------------------------------------------------------ golden streams

EACH = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


def golden(codec: Codec) -> bytes:
    """One turn (a thought where the protocol has one, a text, a call) as the provider itself streams it."""
    return (ROOT / "golden" / f"{codec.NAME}.txt").read_bytes()


@EACH
def test_the_golden_stream(codec: Codec) -> None:
    decoder = codec.decoder(SEED)
    events = decoder.feed(golden(codec)) + decoder.feed(b"")
    lawful.check(events)
    parts = [part for part in fold(events).parts if not isinstance(part, Thinking)]
    assert parts == [Text("Let me look."), ToolCall("call_a", "ls", '{"p":"."}')]
    assert comparable(fold(events)).usage == Usage(6, 4, 0, 4, 3)
    assert fold(events).reason == "tool_call" and decoder.losses == []


@EACH
def test_the_golden_stream_cut_at_every_byte(codec: Codec) -> None:
    """One end, all parts closed; and no end that is made up: before the reason came, it is a failure."""
    stream = golden(codec)
    said = stream.index(b'"tool_calls"}' if codec.NAME == "openai-chat" else b'"stop_reason":"tool_use"')
    for place in range(len(stream)):
        decoder = codec.decoder(SEED)
        events = decoder.feed(stream[:place]) if place else []
        assert not any(isinstance(event, Finish | Failure) for event in events) or place > said
        events += decoder.feed(b"")
        lawful.check(events)
        assert isinstance(events[-1], Failure) or place > said


@EACH
def test_the_golden_stream_broken_at_every_byte_through_a_bridge(codec: Codec) -> None:
    """What the client of the other protocol reads then is lawful too, and a failure where ours was one."""
    stream = golden(codec)
    (client,) = (other for other in CODECS.values() if other is not codec)
    asked = Request("m", [Message("user", (Text("hi"),))], stream=True)
    for place in range(0, len(stream), 7):
        bridge = bridged(client, codec, asked)
        answer = bridge.answer(200, {"content-type": "text/event-stream"})
        out = answer.feed(stream[:place] or b":\n") + answer.broken(ApiError(502, "disconnected", "gone"))
        assert answer.done and answer.crash is None and (answer.head is None) == (out == b"")
        if answer.head is not None:
            decoder = client.decoder(SEED)
            events = decoder.feed(out) + decoder.feed(b"")
            lawful.check(events)
            assert isinstance(events[-1], Failure) == (answer.failure is not None)


# ------------------------------------------------------------------------------------------------ errors

ERRORS: dict[str, dict[str, Any]] = json.loads((ROOT / "errors" / "neutral.json").read_bytes())
EACH_ERROR = pytest.mark.parametrize("name", ERRORS)


def error(name: str, codec: Codec) -> tuple[int, dict[str, str], bytes]:
    said = json.loads((ROOT / "errors" / f"{codec.NAME}.json").read_bytes())[name]
    return said["status"], said["headers"], msgspec.json.encode(said["body"])


@EACH
@EACH_ERROR
def test_an_error_is_read(name: str, codec: Codec) -> None:
    status, headers, body = error(name, codec)
    found = codec.parse_error(status, headers, body)
    expected = {**ERRORS[name], "status": status, "request_id": "req_1"}
    facts = json.loads(msgspec.json.encode(found))
    assert {key: facts.get(key) for key in expected} == expected


@EACH
@EACH_ERROR
def test_an_error_is_written(name: str, codec: Codec) -> None:
    status, headers, body = error(name, codec)
    neutral = msgspec.convert({"status": status, "message": "m", "request_id": "req_1", **ERRORS[name]}, ApiError)
    got = codec.render_error(neutral)
    assert (got[0], got[1], json.loads(got[2])) == (status, headers, json.loads(body))


@EACH_ERROR
def test_an_error_from_every_other_protocol(name: str) -> None:
    for upstream in CODECS.values():
        for client in CODECS.values():
            got = client.render_error(upstream.parse_error(*error(name, upstream)))
            status, headers, body = error(name, client)
            assert (got[0], got[1], json.loads(got[2])) == (status, headers, json.loads(body)), upstream.NAME
