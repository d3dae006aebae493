"""Answers of Ollama upstreams, whole and streamed. The wires are written by hand, after what servers send."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import lawful
from tests.strategies import SEED, rich_responses
from translators import ollama
from translators.codec import DEFAULT_TRAITS, Traits
from translators.events import Event, Failure, Fold, fold, unfold
from translators.model import (
    ApiError,
    Blob,
    Image,
    Request,
    Response,
    Text,
    Thinking,
    ToolCall,
    UpstreamFault,
    Usage,
)

HEAD = {"model": "up", "created_at": "2026-11-20T00:00:00.123456789Z"}
DONE = {
    "done": True, "done_reason": "stop", "total_duration": 9, "load_duration": 1, "prompt_eval_count": 10,
    "prompt_eval_duration": 2, "eval_count": 7, "eval_duration": 3,
}  # fmt: skip
USAGE = Usage(10, output=7, raw={"prompt_eval_count": 10, "eval_count": 7})
PNG, JPEG = "iVBORw0KGgoAAAA", "/9j/4AAQSkZJRg"
FORMS = st.booleans().map(lambda generate: Request(model="m", extra={"ollama": {"generate": True}} if generate else {}))


def line(message: Any = None, **more: Any) -> bytes:
    body = {**HEAD, "message": {"role": "assistant", "content": "", **(message or {})}, "done": False, **more}
    return json.dumps(body).encode() + b"\n"


def call(name: str, arguments: Any, id: str | None = None, index: int = 0) -> Any:
    head = {"id": id} if id is not None else {}
    return {**head, "function": {"index": index, "name": name, "arguments": arguments}}


def read(*pieces: bytes, traits: Traits = DEFAULT_TRAITS) -> list[Event]:
    decoder = ollama.decoder(SEED, traits)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    events += decoder.feed(b"")
    assert decoder.crash is None
    lawful.check(events)
    return events


def streamed(*lines: bytes, traits: Traits = DEFAULT_TRAITS) -> Response:
    folded = Fold()
    for event in read(*lines, traits=traits):
        folded.add(event)
    assert folded.failure is None
    return folded.response


def whole(message: Any, traits: Traits = DEFAULT_TRAITS, **more: Any) -> Response:
    return ollama.parse_response(line(message, **{**DONE, **more}), SEED, traits)


def failure(*lines: bytes, traits: Traits = DEFAULT_TRAITS) -> ApiError:
    end = read(*lines, traits=traits)[-1]
    assert isinstance(end, Failure)
    return end.error


LAST = line(**DONE)


# ------------------------------------------------------------------------------------------------ what is said

GOLDEN = (
    line({"thinking": "Pl"}), line({"thinking": "an"}), line({"content": "Let me "}), line({"content": "look."}),
    line({"tool_calls": [call("ls", {"p": "."}, "call_a")]}), LAST,
)  # fmt: skip


def test_an_ordinary_stream() -> None:
    parts = (Thinking("Plan"), Text("Let me look."), ToolCall("call_a", "ls", '{"p": "."}'))
    assert streamed(*GOLDEN) == Response(parts, "tool_call", "", "up", USAGE)


def test_the_same_answer_whole() -> None:
    message = {"thinking": "Plan", "content": "Let me look.", "tool_calls": [call("ls", {"p": "."}, "call_a")]}
    assert whole(message) == streamed(*GOLDEN)


def test_the_stream_may_be_cut_anywhere() -> None:
    wire = b"".join(GOLDEN)
    assert fold(read(*lawful.each_byte(wire))) == fold(read(wire)) == streamed(*GOLDEN)


def test_two_calls_of_index_0_are_two_and_ids_may_be_missing_or_repeated() -> None:
    separate = streamed(line({"tool_calls": [call("a", {})]}), line({"tool_calls": [call("b", {})]}), LAST)
    together = streamed(line({"tool_calls": [call("a", {}), call("b", {})]}), LAST)
    calls = (ToolCall(f"call_{SEED.id}", "a", "{}"), ToolCall(f"call_{SEED.id}01", "b", "{}"))
    assert separate.parts == together.parts == whole({"tool_calls": [call("a", {}), call("b", {})]}).parts == calls
    twice = streamed(line({"tool_calls": [call("a", {}, "x"), call("a", {}, "x")]}), LAST)
    assert [part.id for part in twice.parts if isinstance(part, ToolCall)] == ["x", f"call_{SEED.id}01"]


def test_arguments_are_the_bytes_that_came() -> None:
    wire = b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{ "n":1.50, "t":"\\u00e9" }}}]}}\n'
    (part,) = streamed(wire, LAST).parts
    assert isinstance(part, ToolCall) and part.arguments == '{ "n":1.50, "t":"\\u00e9" }'


def test_a_call_without_a_name_is_none() -> None:
    assert streamed(line({"tool_calls": [{"function": {"arguments": {}}}]}), LAST).parts == ()


def test_pictures() -> None:
    images = (Image(Blob("image/png", PNG)), Image(Blob("image/jpeg", JPEG)))
    assert streamed(line({"images": [PNG, JPEG]}), LAST).parts == whole({"images": [PNG, JPEG]}).parts == images


def test_answers_of_generate() -> None:
    lines = [{"thinking": "Hm.", "response": ""}, {"response": "Hel"}, {"response": "lo"}, {"response": "", **DONE}]
    wire = b"".join(json.dumps({**HEAD, "done": False, **line}).encode() + b"\n" for line in lines)
    body = json.dumps({**HEAD, "response": "Hello", "thinking": "Hm.", "context": [1], **DONE}).encode()
    expected = Response((Thinking("Hm."), Text("Hello")), "end", "", "up", USAGE)
    assert streamed(wire) == ollama.parse_response(body, SEED) == expected


def test_thoughts_inside_the_text() -> None:
    traits = Traits(think_tags=True)
    lines = (line({"content": "<thi"}), line({"content": "nk>Hm.</th"}), line({"content": "ink>\n\nSo."}), LAST)
    parts = (Thinking("Hm."), Text("So."))
    assert streamed(*lines, traits=traits).parts == parts
    assert whole({"content": "<think>Hm.</think>\n\nSo."}, traits).parts == parts
    assert whole({"content": "<think>Hm."}).parts == (Text("<think>Hm."),)


@pytest.mark.parametrize(
    ("said", "reason"), [("stop", "end"), ("length", "length"), ("load", "end"), ("unload", "end"), ("new", "end")]
)
def test_reasons(said: str, reason: str) -> None:
    assert whole({"content": "x"}, done_reason=said).reason == reason
    assert streamed(line(**{**DONE, "done_reason": said})).reason == reason


def test_a_length_stop_with_calls_stays_one() -> None:
    assert whole({"tool_calls": [call("a", {})]}, done_reason="length").reason == "length"


def test_counters_may_be_missing() -> None:
    assert whole({"content": "x"}, prompt_eval_count=None).usage == Usage(output=7, raw={"eval_count": 7})
    assert whole({"content": "x"}, prompt_eval_count=None, eval_count=None).usage is None


# ------------------------------------------------------------------------------------------------ what goes wrong


def test_an_error_in_the_stream() -> None:
    error = failure(line({"content": "x"}), b'{"error":"model runner has unexpectedly stopped"}\n', LAST)
    assert (error.kind, error.status, error.message) == ("server", 500, "model runner has unexpectedly stopped")
    assert failure(b'{"error":"prompt too long; exceeded max context length"}\n').kind == "context_too_long"


def test_a_stream_without_its_last_line_broke_off() -> None:
    assert failure(line({"content": "x"})).kind == "disconnected"
    assert failure().kind == "disconnected"
    assert streamed(line({"content": "x"}), traits=Traits(lenient_end=True)).parts == (Text("x"),)


def test_lines_that_cannot_be_read_are_passed_over() -> None:
    decoder = ollama.decoder(SEED)
    events = decoder.feed(b"what?\n\n[1]\n" + line({"content": "x"}) + LAST) + decoder.feed(b"")
    lawful.check(events)
    assert fold(events).parts == (Text("x"),) and [loss.code for loss in decoder.losses] == ["skipped", "skipped"]


def test_an_answer_that_is_an_error() -> None:
    with pytest.raises(UpstreamFault) as caught:
        ollama.parse_response(b'{"error":"overloaded"}', SEED)
    assert caught.value.error.message == "overloaded"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>", b'{"models":[]}', b'{"message":1}'])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        ollama.parse_response(body, SEED)


def test_a_stream_under_the_label_of_one_body() -> None:
    assert ollama.parse_response(b"".join(GOLDEN), SEED) == streamed(*GOLDEN)
    with pytest.raises(UpstreamFault):
        ollama.parse_response(line({"content": "x"}) + b'{"error":"boom"}\n', SEED)


# ------------------------------------------------------------------------------------------------ the way back


@given(rich_responses(), FORMS)
def test_whatever_is_answered_each_line_is_one_and_the_last_one_says_so(response: Response, asked: Request) -> None:
    encoder = ollama.encoder(asked, SEED)
    wire = b"".join(encoder.encode(event) for event in unfold(response))
    lines = [json.loads(line) for line in wire.decode().splitlines()]
    assert len(lines) == wire.count(b"\n") and wire.endswith(b"\n")
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    body = json.loads(ollama.render_response(response, asked, SEED))
    key = "response" if asked.extra else "message"
    assert all(key in line for line in [*lines, body])
