"""Streams of Chat Completions upstreams, regular and odd. The wires are written by hand, after what servers send."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import lawful
from translators import openai_chat as chat
from translators.codec import DEFAULT_TRAITS, Seed, Traits
from translators.events import Event, Failure, Finish, Fold, PartDelta, PartEnd, PartStart, Start
from translators.model import ApiError, Audio, Blob, Citation, Image, Part, Refusal, Response, Text, Thinking, ToolCall

SEED = Seed("s" * 24, 1)
DONE = b"data: [DONE]\n\n"


def frame(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(delta: Any, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return frame({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


def calls(*deltas: Any) -> bytes:
    return chunk({"tool_calls": list(deltas)})


def call(index: int | None = None, id: str | None = None, name: str | None = None, args: str | None = None) -> Any:
    function = {"name": name, "arguments": args}
    delta: dict[str, Any] = {"function": {key: value for key, value in function.items() if value is not None}}
    if index is not None:
        delta["index"] = index
    if id is not None:
        delta |= {"id": id, "type": "function"}
    return delta


def read(*frames: bytes, traits: Traits = DEFAULT_TRAITS, pieces: Sequence[bytes] | None = None) -> list[Event]:
    decoder = chat.decoder(SEED, traits)
    events = [event for piece in (pieces or frames) for event in decoder.feed(piece)]
    events += decoder.feed(b"")
    assert decoder.crash is None
    lawful.check(events)
    return events


def whole(*frames: bytes, traits: Traits = DEFAULT_TRAITS) -> Response:
    folded = Fold()
    for event in read(*frames, traits=traits):
        folded.add(event)
    assert folded.failure is None
    return folded.response


def parts(*frames: bytes, traits: Traits = DEFAULT_TRAITS) -> tuple[Part, ...]:
    return whole(*frames, traits=traits).parts


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
CALLED = chunk({}, "tool_calls")


def test_an_ordinary_stream() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17,
             "prompt_tokens_details": {"cached_tokens": 4},
             "completion_tokens_details": {"reasoning_tokens": 3}}  # fmt: skip
    response = whole(
        ROLE,
        chunk({"content": "Let "}),
        chunk({"content": "me look."}),
        calls(call(0, "call_a", "ls", "")),
        calls(call(0, args='{"p":')),
        calls(call(0, args='"."}')),
        CALLED,
        frame({"id": "c1", "choices": [], "usage": usage}),
        DONE,
    )
    assert response.parts == (Text("Let me look."), ToolCall("call_a", "ls", '{"p":"."}'))
    assert (response.id, response.model, response.reason) == ("c1", "m", "tool_call")
    counted = response.usage
    assert counted is not None and counted.raw == usage
    assert (counted.input, counted.cache_read, counted.output, counted.reasoning) == (6, 4, 4, 3)


def test_each_text_delta_goes_out_at_once() -> None:
    decoder = chat.decoder(SEED)
    assert decoder.feed(ROLE) == [Start("c1", "m")]
    assert decoder.feed(chunk({"content": "a"})) == [PartStart(0, Text("")), PartDelta(0, "a")]
    assert decoder.feed(chunk({"content": "b"})) == [PartDelta(0, "b")]
    assert decoder.feed(STOP) == []
    assert decoder.feed(DONE) == [PartEnd(0), Finish("end")]


WHOLE_CALLS = (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "f", '{"x":2}'))


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param(
            [calls(call(None, "a", "f", "")), calls(call(args='{"x"')), calls(call(args=":1}")),
             calls(call(None, "b", "f", '{"x":2}'))],
            WHOLE_CALLS, id="no index",
        ),
        pytest.param(
            [calls(call(0, "a", "f", '{"x":1}')), calls(call(0, "b", "f", '{"x":2}'))], WHOLE_CALLS, id="one index",
        ),
        pytest.param(
            [calls(call(0, None, "f", '{"x":1}')), calls(call(0, None, "f", '{"x":2}'))],
            (ToolCall(SEED.item("call_", 0), "f", '{"x":1}'), ToolCall(SEED.item("call_", 1), "f", '{"x":2}')),
            id="one index and no ids",
        ),
        pytest.param(
            [calls(call(0, "a", "f", "")), calls(call(1, args='{"x"')), calls(call(2, args=":1}")),
             calls(call(3, "b", "f", "")), calls(call(4, args='{"x":2}'))],
            WHOLE_CALLS, id="index counts deltas",
        ),
        pytest.param(
            [calls(call(0, "a", "f", "")), calls(call(1, "a", args='{"x"')), calls(call(2, "a", args=":1}")),
             calls(call(3, "b", "f", '{"x":2}'))],
            WHOLE_CALLS, id="index drifts, id repeated",
        ),
        pytest.param(
            [calls(call(0, "a", "f", "")), calls(call(0, "a", "f", '{"x"')), calls(call(0, "a", "f", ":1}")),
             calls(call(0, "a", "f", "")), calls(call(1, "b", "f", '{"x":2}'))],
            WHOLE_CALLS, id="id and name repeated",
        ),
        pytest.param(
            [calls(call(0, "a", None, "")), calls(call(0, None, "f", "")), calls(call(0, args='{"x":1}')),
             calls(call(1, "b", None, '{"x"')), calls(call(1, None, "f")), calls(call(1, args=":2}"))],
            WHOLE_CALLS, id="name late",
        ),
        pytest.param(
            [calls(call(0, "a", "get_", "")), calls(call(0, None, "weather")), calls(call(0, args="{}"))],
            (ToolCall("a", "get_weather", "{}"),), id="name in pieces",
        ),
        pytest.param(
            [calls(call(0, None, "f", "")), calls(call(0, "a")), calls(call(0, args="{}"))],
            (ToolCall("a", "f", "{}"),), id="id late",
        ),
        pytest.param(
            [calls(call(0, "a", "f", '{"x":1}'), call(1, "b", "f", '{"x":2}'))], WHOLE_CALLS, id="several in a chunk",
        ),
        pytest.param(
            [calls(call(None, "a", "f", '{"x":1}'), call(None, "b", "f", '{"x":2}'))], WHOLE_CALLS,
            id="several in a chunk without index",
        ),
        pytest.param(
            [calls(call(0, "a", "f", "")), calls(call(1, "b", "f", "")), calls(call(1, args='{"x"')),
             calls(call(0, args='{"x":')), calls(call(1, args=":2}")), calls(call(0, args="1}"))],
            WHOLE_CALLS, id="interleaved",
        ),
        pytest.param(
            [chunk({"content": "", "tool_calls": [{"id": "a", "type": "function",
                                                   "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}]}),
             calls(call(1, "b", "f", '{"x":2}'))],
            WHOLE_CALLS, id="index and object in the function",
        ),
        pytest.param(
            [calls(call(0, "a", "f", "")), chunk({"content": None, "tool_calls": None}), calls(call(0, args='{"x":1}')),
             chunk({"content": "", "tool_calls": []}), calls(call(1, "b", "f", '{"x":2}'))],
            WHOLE_CALLS, id="empty deltas between",
        ),
        pytest.param(
            [calls(call(0, "a", "f", '{"x":1}')), calls(call(1, "a", "f", '{"x":2}'))],
            (ToolCall("a", "f", '{"x":1}'), ToolCall(SEED.item("call_", 1), "f", '{"x":2}')),
            id="one id for two calls",
        ),
        pytest.param([calls(call(0, "a", "f", "")), calls(call(1, "b", "g"))],
                     (ToolCall("a", "f"), ToolCall("b", "g")), id="no arguments"),
        pytest.param([calls(call(0, "a", None, "{}")), calls(call(1, "b", "f", "{}"))],
                     (ToolCall("b", "f", "{}"),), id="a call without a name is left out"),
        pytest.param([chunk({"function_call": {"name": "f", "arguments": ""}}),
                      chunk({"function_call": {"arguments": '{"x":1}'}})],
                     (ToolCall(SEED.item("call_", 0), "f", '{"x":1}'),), id="legacy function"),
        pytest.param([calls({"index": 0, "id": "a", "type": "custom", "custom": {"name": "p", "input": "{*"}}),
                      calls({"index": 0, "custom": {"input": "} {}"}})],
                     (ToolCall("a", "p", "{*} {}", True),), id="custom"),
    ],
)  # fmt: skip
def test_tool_calls(frames: list[bytes], expected: tuple[Part, ...]) -> None:
    response = whole(ROLE, *frames, CALLED, DONE)
    assert response.parts == expected
    assert response.reason == "tool_call"


def test_a_second_call_streams_once_the_first_is_complete() -> None:
    decoder = chat.decoder(SEED)
    decoder.feed(ROLE + calls(call(0, "a", "f", '{"x":1}')))
    begun = decoder.feed(calls(call(1, "b", "f", '{"x"')))
    assert begun == [PartEnd(0), PartStart(1, ToolCall("b", "f")), PartDelta(1, '{"x"')]
    assert decoder.feed(calls(call(1, args=":2}"))) == [PartDelta(1, ":2}")]


def test_a_held_call_is_let_go_when_the_one_before_it_completes() -> None:
    decoder = chat.decoder(SEED)
    decoder.feed(ROLE + calls(call(0, "a", "f", '{"x"')) + calls(call(1, "b", "g", '{"y"')))
    assert decoder.feed(calls(call(0, args=":1}"))) == [
        PartDelta(0, ":1}"), PartEnd(0), PartStart(1, ToolCall("b", "g")), PartDelta(1, '{"y"'),
    ]  # fmt: skip


def test_text_after_a_complete_call_streams() -> None:
    decoder = chat.decoder(SEED)
    decoder.feed(ROLE + calls(call(0, "a", "f", "{}")))
    assert decoder.feed(chunk({"content": "so"})) == [PartEnd(0), PartStart(1, Text("")), PartDelta(1, "so")]


def test_reasoning_and_text_take_turns() -> None:
    deltas = [{"reasoning_content": "R1"}, {"content": "T1"}, {"reasoning": "R2"}, {"content": "T2"}]
    frames = map(chunk, deltas)
    assert parts(ROLE, *frames, STOP, DONE) == (Thinking("R1"), Text("T1"), Thinking("R2"), Text("T2"))


def test_reasoning_said_twice_counts_once() -> None:
    details = [{"type": "reasoning.text", "text": "hm"}]
    frames = [chunk({"content": "", "reasoning": "hm", "reasoning_details": details}), chunk({"content": "T"})]
    assert parts(ROLE, *frames, STOP, DONE) == (Thinking("hm"), Text("T"))
    assert parts(ROLE, chunk({"content": "", "reasoning_details": details}), STOP, DONE) == (Thinking("hm"),)


def test_content_in_pieces_of_a_list() -> None:
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "T"}]
    assert parts(ROLE, chunk({"content": content}), STOP, DONE) == (Thinking("hm"), Text("T"))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_think_tags(size: int) -> None:
    text = "\n<think>\nhm </thin k></think>\n\nHello <think> there"
    frames = [chunk({"content": text[at : at + size]}) for at in range(0, len(text), size)]
    said = parts(ROLE, *frames, STOP, DONE, traits=Traits(think_tags=True))
    assert [part.text.strip() for part in said if isinstance(part, Thinking)] == ["hm </thin k>"]
    assert said[-1] == Text("Hello <think> there") and len(said) == 2


def test_a_closing_tag_alone_is_taken_out_of_a_stream() -> None:
    frames = [chunk({"content": text}) for text in ("hm</th", "ink>\n\nSo </think>")]
    said = parts(ROLE, *frames, STOP, DONE, traits=Traits(think_tags=True))
    assert said == (Text("hmSo </think>"),)


def test_without_the_trait_tags_are_text() -> None:
    assert parts(ROLE, chunk({"content": "<think>x</think>y"}), STOP, DONE) == (Text("<think>x</think>y"),)


def test_half_a_tag_at_the_end_is_text() -> None:
    assert parts(ROLE, chunk({"content": "<thi"}), STOP, DONE, traits=Traits(think_tags=True)) == (Text("<thi"),)


def test_refusal() -> None:
    response = whole(ROLE, chunk({"refusal": "I "}), chunk({"refusal": "won't"}), STOP, DONE)
    assert (response.parts, response.reason) == ((Refusal("I won't"),), "refusal")


def test_citations_and_pictures() -> None:
    cited = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "title": "T", "url": "https://x"}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
    frames = [chunk({"content": "so"}), chunk({"annotations": [cited]})]
    assert parts(ROLE, *frames, STOP, DONE) == (Text("so", (Citation("https://x", "T", None, 0, 2),)),)
    assert parts(ROLE, chunk({"images": [picture]}), STOP, DONE) == (Image(Blob("image/png", "iVBO")),)


@pytest.mark.parametrize(
    ("finish", "more", "reason", "stop"),
    [
        ("stop", {}, "end", None),
        ("length", {}, "length", None),
        ("content_filter", {}, "content_filter", None),
        ("eos", {}, "end", None),
        ("tool_calls", {}, "end", None),
        ("MAX_TOKENS", {}, "length", None),
        ("stop", {"stop_reason": "END"}, "stop_sequence", "END"),
        ("stop", {"matched_stop": "END"}, "stop_sequence", "END"),
        ("stop", {"stop_reason": 151645}, "end", None),
    ],
)
def test_reasons(finish: str, more: dict[str, Any], reason: str, stop: str | None) -> None:
    response = whole(ROLE, chunk({"content": "x"}, finish, **more), DONE)
    assert (response.reason, response.stop_sequence) == (reason, stop)
    assert response.parts == (Text("x"),), "content and reason in one chunk"


def test_stop_after_a_call_means_the_call() -> None:
    assert whole(ROLE, calls(call(0, "a", "f", "{}")), STOP, DONE).reason == "tool_call"
    assert whole(ROLE, calls(call(0, "a", "f", '{"x')), chunk({}, "length"), DONE).reason == "length"


def test_usage_wherever_it_comes() -> None:
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    some = {"prompt_tokens": 5, "completion_tokens": 1}
    more = {"prompt_tokens": 5.0, "completion_tokens": 2, "prompt_tokens_details": None, "prompt_cache_hit_tokens": 3}

    def used(*usages: Any) -> tuple[int, int, int] | None:
        frames = [frame({"id": "c1", "choices": [{"delta": {"content": "x"}}], "usage": usage}) for usage in usages]
        usage = whole(*frames, STOP, DONE).usage
        return (usage.input, usage.cache_read, usage.output) if usage else None

    assert used(zero, some, more) == (2, 3, 2)
    assert used(some, zero) == (5, 0, 1)
    assert used(None) is None
    assert used({"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 9, "reasoning_tokens": 3}) == (5, 0, 1)


def test_the_end_without_done() -> None:
    assert whole(ROLE, chunk({"content": "x"}), STOP).reason == "end"


def test_done_without_a_reason() -> None:
    assert whole(ROLE, chunk({"content": "x"}), DONE).reason == "end"
    assert whole(ROLE, calls(call(0, "a", "f", "{}")), DONE).reason == "tool_call"


def test_the_end_without_either_is_a_failure_but_for_lenient_targets() -> None:
    events = read(ROLE, chunk({"content": "half a sen"}))
    assert isinstance(events[-1], Failure) and events[-1].error.kind == "disconnected"
    assert PartDelta(0, "half a sen") in events
    assert whole(ROLE, chunk({"content": "x"}), traits=Traits(lenient_end=True)).reason == "end"
    assert isinstance(read(DONE)[-1], Failure), "an empty stream is no answer"


def test_what_comes_after_done_is_passed_over() -> None:
    assert parts(ROLE, chunk({"content": "x"}), STOP, DONE, chunk({"content": "y"})) == (Text("x"),)


def test_a_broken_connection_after_the_reason_is_an_end() -> None:
    decoder = chat.decoder(SEED)
    decoder.feed(ROLE + chunk({"content": "x"}) + STOP)
    assert decoder.broken(ApiError(502, "disconnected", "gone"))[-1] == Finish("end")


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        ({"error": {"message": "x", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}, "rate_limit", 429),
        ({"error": {"message": "x", "code": 502}}, "server", 502),
        ({"error": "boom"}, "server", 502),
        ({"object": "error", "message": "maximum context length is 10", "code": 400}, "context_too_long", 400),
        ({"detail": "busy"}, "server", 502),
        ([{"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}], "overloaded", 503),
        ({"id": "c1", "error": {"code": 429, "message": "x"},
          "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]}, "rate_limit", 429),
    ],
)  # fmt: skip
def test_errors_inside_a_stream(data: Any, kind: str, status: int) -> None:
    for before in ([], [ROLE, chunk({"content": "x"})]):
        last = read(*before, frame(data))[-1]
        assert isinstance(last, Failure) and (last.error.kind, last.error.status) == (kind, status)


def test_a_server_that_gives_up() -> None:
    last = read(ROLE, chunk({}, "insufficient_system_resource"), DONE)[-1]
    assert isinstance(last, Failure) and last.error.kind == "overloaded"


def test_odd_frames_are_passed_over() -> None:
    frames = [
        frame({"id": "", "model": "", "choices": [], "prompt_filter_results": []}),  # Azure
        b": OPENROUTER PROCESSING\n\n",
        b"data: {broken\n\n",
        frame({"id": "c1", "choices": [{"index": 0, "delta": None}]}),
        frame({"id": "c1", "choices": None}),
        frame({}),
        b"data: true\n\n",
        chunk({"content": "ok"}),
        frame({"choices": [{"index": 1, "delta": {"content": "another answer"}}]}),
    ]
    assert parts(*frames, STOP, DONE) == (Text("ok"),)


def test_one_json_body_in_place_of_a_stream() -> None:
    message = {"role": "assistant", "content": "Not streamed", "tool_calls": [call(None, "a", "f", "{}")]}
    body = {"id": "c1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 8, "completion_tokens": 3}}  # fmt: skip
    for text in (json.dumps(body), json.dumps(body, indent=2)):
        response = whole(text.encode())
        assert response.parts == (Text("Not streamed"), ToolCall("a", "f", "{}"))
        assert response.usage is not None and response.usage.output == 3


STREAM = b"".join(
    [ROLE, chunk({"reasoning_content": "Łódź"}), chunk({"content": "東京 🎉"}), calls(call(0, "a", "f", "")),
     calls(call(0, args='{"c":"🎉"}')), CALLED, DONE]
)  # fmt: skip


def test_any_cut_of_the_bytes_gives_the_same() -> None:
    expected = read(STREAM)
    assert read(pieces=list(lawful.each_byte(STREAM))) == expected
    assert read(pieces=list(lawful.chunks(STREAM.replace(b"\n", b"\r\n"), range(7, len(STREAM) * 2, 7)))) == expected


def test_a_stream_cut_off_anywhere_ends_once() -> None:
    for end in range(0, len(STREAM), 13):
        read(STREAM[:end])


strings = st.sampled_from(["", "a", "b", "f", "g", "{", "}", '{"x":1}', '{"x"', ":1}", "<think>", "</think>"])
functions = st.fixed_dictionaries({}, optional={"name": strings | st.none(), "arguments": strings | st.none()})
deltas = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": strings | st.none(),
        "reasoning_content": strings | st.none(),
        "refusal": strings,
        "tool_calls": st.none()
        | st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": st.integers(0, 2) | st.none(),
                    "id": strings | st.none(),
                    "type": st.sampled_from(["function", "custom"]),
                    "function": functions | st.none(),
                },
            ),
            max_size=3,
        ),
        "function_call": functions,
    },
)
choices = st.fixed_dictionaries(
    {"delta": deltas | st.none()},
    optional={"index": st.integers(0, 1), "finish_reason": st.sampled_from([None, "stop", "tool_calls", "x"])},
)
bodies = st.fixed_dictionaries(
    {"choices": st.none() | st.lists(choices, max_size=2)},
    optional={"usage": st.none() | st.dictionaries(st.sampled_from(["prompt_tokens", "x"]), st.integers() | st.none())},
)


@settings(max_examples=150, deadline=None)
@given(st.lists(bodies, max_size=12), st.booleans(), st.booleans())
def test_whatever_comes_is_lawful(frames: list[Any], done: bool, tags: bool) -> None:
    events = read(*map(frame, frames), *([DONE] if done else []), traits=Traits(think_tags=tags))
    ids = [event.part.id for event in events if isinstance(event, PartStart) and isinstance(event.part, ToolCall)]
    assert len(set(ids)) == len(ids) and all(ids)


def test_a_spoken_answer_is_one_part_with_its_words() -> None:
    pieces = [{"id": "audio_1", "transcript": "Hel"}, {"data": "YWI="}, {"data": "Yw==", "transcript": "lo"}]
    last = {"audio": {"expires_at": 9}}
    spoken = whole(*(chunk({"audio": piece}) for piece in pieces), chunk({}, "stop"), chunk(last), DONE)
    assert spoken.parts == (Audio(Blob(data="YWJj"), "Hello", {"openai-chat": {"id": "audio_1"}}),)
    message = {"content": None, "audio": {"id": "audio_1", "data": "YWJj", "transcript": "Hello", "expires_at": 9}}
    body = json.dumps({"id": "c1", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}]})
    assert chat.parse_response(body.encode(), SEED).parts == spoken.parts
    broken = whole(chunk({"audio": {"data": "é"}}), chunk({}, "stop"), DONE)
    assert broken.parts == (Audio(Blob(data=""), "[a piece of sound that is no base64]"),)


def test_other_answers_than_the_first_are_told_of() -> None:
    decoder = chat.decoder(SEED)
    other = frame({"id": "c1", "choices": [{"index": 1, "delta": {"content": "B"}, "finish_reason": "stop"}]})
    events = decoder.feed(chunk({"content": "A"}) + other + other + chunk({}, "stop") + DONE)
    assert [event.text for event in events if isinstance(event, PartDelta)] == ["A"]
    assert [(loss.path, loss.code) for loss in decoder.losses] == [("stream", "dropped")]
