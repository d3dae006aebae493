"""The sink makes a lawful stream of whatever a machine says, and the decoder is a door that never raises."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import lawful
from translators.events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate, fold
from translators.framing import LineFramer, SseFramer
from translators.model import ApiError, Blob, Citation, Image, Part, Refusal, Text, Thinking, ToolCall, Usage
from translators.stream import Machine, Sink, StreamDecoder

ERROR = ApiError(502, "server", "it broke")


def said(*steps: Callable[[Sink], object]) -> list[Event]:
    sink = Sink()
    for step in steps:
        step(sink)
    return sink.events


def test_start_comes_first_and_once() -> None:
    events = said(lambda s: s.start("a", "m"), lambda s: s.start("b", "n"), lambda s: s.open(0, Text("")))
    assert events == [Start("a", "m"), PartStart(0, Text(""))]


def test_a_part_brings_a_start_with_it() -> None:
    assert said(lambda s: s.open(0, Text(""))) == [Start(), PartStart(0, Text(""))]


def test_what_is_interleaved_is_held_back_and_comes_in_order() -> None:
    a, b, c = (ToolCall(id, "f") for id in "abc")
    events = said(
        lambda s: s.open("a", a),
        lambda s: s.open("b", b),
        lambda s: s.delta("b", "1"),
        lambda s: s.open("c", c),
        lambda s: s.delta("a", "2"),
        lambda s: s.close("c"),
        lambda s: s.delta("b", "3"),
        lambda s: s.close("a"),
        lambda s: s.delta("b", "4"),
        lambda s: s.close("b", (), {"p": {"x": 1}}),
    )
    assert events[1:] == [
        PartStart(0, a), PartDelta(0, "2"), PartEnd(0),
        PartStart(1, b), PartDelta(1, "1"), PartDelta(1, "3"), PartDelta(1, "4"), PartEnd(1, (), {"p": {"x": 1}}),
        PartStart(2, c), PartEnd(2),
    ]  # fmt: skip


def test_a_held_part_keeps_its_citations() -> None:
    cited = (Citation(url="u"),)
    events = said(
        lambda s: s.open(0, ToolCall("a", "f")),
        lambda s: s.open(1, Text("")),
        lambda s: s.delta(1, "t"),
        lambda s: s.close(1, cited, {"p": {}}),
        lambda s: s.close(0),
    )
    assert events[-1] == PartEnd(1, cited, {"p": {}})


def test_the_finish_is_held_to_the_end_and_comes_after_the_usage() -> None:
    sink = Sink()
    sink.open(0, Text(""))
    sink.finish(Finish("length"))
    sink.finish(Finish("end"))
    sink.usage(Usage(input=1))
    sink.usage(Usage(input=2))
    assert sink.events == [Start(), PartStart(0, Text(""))]
    sink.end()
    assert sink.events[2:] == [PartEnd(0), UsageUpdate(Usage(input=2)), Finish("end")]
    assert sink.done


def test_an_end_without_a_finish_is_a_failure_that_closes_the_parts() -> None:
    sink = Sink()
    sink.open(0, ToolCall("a", "f"))
    sink.open(1, ToolCall("b", "f"))
    sink.end()
    lawful.check(sink.events)
    *_, last = sink.events
    assert isinstance(last, Failure) and last.error.kind == "disconnected"


def test_a_failure_closes_what_is_open_and_gives_the_usage() -> None:
    events = said(lambda s: s.open(0, Text("")), lambda s: s.usage(Usage(output=3)), lambda s: s.fail(ERROR))
    assert events[2:] == [PartEnd(0, cut=True), UsageUpdate(Usage(output=3)), Failure(ERROR)]


_AFTER: list[Callable[[Sink], object]] = [
    lambda s: s.start("again"),
    lambda s: s.open("new", Text("")),
    lambda s: s.whole(Text("new")),
    lambda s: s.prose(Text, "new"),
    lambda s: s.delta(0, "new"),
    lambda s: s.close(0),
    lambda s: s.ping(),
    lambda s: s.usage(Usage(input=9)),
    lambda s: s.finish(Finish("length")),
    lambda s: s.fail(ERROR),
    lambda s: s.end(),
]


@pytest.mark.parametrize("step", _AFTER)
@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("failed", [True, False])
def test_done_is_final(step: Callable[[Sink], object], opened: bool, failed: bool) -> None:
    sink = Sink()
    if opened:
        sink.open(0, Text(""))
    if failed:
        sink.fail(ERROR)
    else:
        sink.finish(Finish())
        sink.end()
    before = list(sink.events)
    step(sink)
    assert sink.events == before


def test_prose_without_boundaries_becomes_one_part_for_each_kind() -> None:
    sink = Sink()
    said: list[tuple[Any, str]] = [(Thinking, "a"), (Thinking, "b"), (Text, "c"), (Text, ""), (Refusal, "d")]
    for kind, text in said:
        sink.prose(kind, text)
    sink.finish(Finish())
    sink.end()
    lawful.check(sink.events)
    assert fold(sink.events).parts == (Thinking("ab"), Text("c"), Refusal("d"))


def test_prose_behind_an_open_call_stays_one_part() -> None:
    sink = Sink()
    sink.open(0, ToolCall("a", "f"))
    said: list[tuple[Any, str]] = [(Text, "x"), (Text, "y"), (Thinking, "z"), (Text, "w")]
    for kind, text in said:
        sink.prose(kind, text)
    sink.delta(0, "{}")
    sink.finish(Finish())
    sink.end()
    lawful.check(sink.events)
    assert fold(sink.events).parts == (ToolCall("a", "f", "{}"), Text("xy"), Thinking("z"), Text("w"))


def test_a_tool_call_ends_the_prose_before_it() -> None:
    sink = Sink()
    sink.prose(Text, "x")
    sink.open(0, ToolCall("a", "f"))
    sink.close(0)
    sink.prose(Text, "y")
    assert [type(e) for e in sink.events] == [
        Start, PartStart, PartDelta, PartEnd, PartStart, PartEnd, PartStart, PartDelta,
    ]  # fmt: skip


def test_a_whole_part_comes_with_its_text_as_a_delta() -> None:
    image = Image(Blob(url="u"))
    assert said(lambda s: s.whole(image))[1:] == [PartStart(0, image), PartEnd(0)]
    events = said(lambda s: s.whole(ToolCall("a", "f", "{}")))
    assert events[1:] == [PartStart(0, ToolCall("a", "f")), PartDelta(0, "{}"), PartEnd(0)]


def test_a_ping_before_the_start_is_kept_back() -> None:
    assert said(lambda s: s.ping()) == []
    assert said(lambda s: s.start(), lambda s: s.ping()) == [Start(), Ping()]


def test_what_is_held_is_limited() -> None:
    sink = Sink(hold_limit=10)
    sink.open(0, ToolCall("a", "f"))
    sink.open(1, ToolCall("b", "f"))
    sink.delta(1, "x" * 8)
    assert not sink.done
    sink.delta(1, "x" * 8)
    lawful.check(sink.events)
    assert sink.done and isinstance(sink.events[-1], Failure)


def test_what_went_out_no_longer_counts_as_held() -> None:
    sink = Sink(hold_limit=10)
    for n in range(6):
        sink.open((n, "a"), ToolCall("a", "f"))
        sink.open((n, "b"), ToolCall("b", "f"))
        sink.delta((n, "b"), "x" * 8)
        sink.close((n, "a"))
        sink.close((n, "b"))
    assert not sink.done


def test_many_waiting_parts_cost_linear_time() -> None:
    sink = Sink()
    began = time.process_time()
    for n in range(40_000):
        sink.open(n, ToolCall("a", "f"))
    sink.finish(Finish())
    sink.end()
    assert time.process_time() - began < 1.5  # quadratic: 4 s and more
    lawful.check(sink.events)


_PARTS: list[Part] = [Text(""), Thinking(""), ToolCall("a", "f"), Refusal("")]
_KEYS = st.integers(0, 3)
_STEP: st.SearchStrategy[Callable[[Sink], Any]] = st.one_of(
    st.just(lambda s: s.start("i", "m")),
    st.builds(lambda k, p: lambda s: s.open(k, p), _KEYS, st.sampled_from(_PARTS)),
    st.builds(lambda k, t: lambda s: s.delta(k, t), _KEYS, st.sampled_from(["", "a", "b"])),
    st.builds(lambda k: lambda s: s.close(k), _KEYS),
    st.builds(lambda c, t: lambda s: s.prose(c, t), st.sampled_from([Text, Thinking, Refusal]), st.sampled_from("xy")),
    st.just(lambda s: s.close_prose()),
    st.just(lambda s: s.whole(ToolCall("w", "f", "{}"))),
    st.just(lambda s: s.usage(Usage(1))),
    st.just(lambda s: s.ping()),
    st.just(lambda s: s.finish(Finish("length"))),
    st.builds(lambda n: (lambda s: s.fail(ERROR)) if n == 0 else (lambda s: None), st.integers(0, 6)),
)


@given(st.lists(_STEP, max_size=30))
def test_whatever_a_machine_says_the_stream_is_lawful(steps: list[Callable[[Sink], Any]]) -> None:
    sink = Sink()
    for step in steps:
        step(sink)
        lawful.check(sink.events, ended=False) if not sink.done else None
    sink.end()
    lawful.check(sink.events)


@given(st.lists(st.tuples(_KEYS, st.sampled_from("abc")), max_size=20))
def test_nothing_that_is_held_gets_lost(deltas: list[tuple[int, str]]) -> None:
    sink = Sink()
    for key, text in deltas:
        sink.open(key, ToolCall(str(key), "f"))
        sink.delta(key, text)
    sink.finish(Finish())
    sink.end()
    calls = {part.id: part.arguments for part in fold(sink.events).parts if isinstance(part, ToolCall)}
    expected: dict[str, str] = {}
    for key, text in deltas:
        expected[str(key)] = expected.get(str(key), "") + text
    assert calls == expected and list(calls) == list(expected)


# ------------------------------------------------------------------------------------------------ the decoder


class Echo(Machine):
    """Reads `{"text": …}`, `{"stop": true}`, and crashes on request."""

    def frame(self, event: str | None, data: bytes) -> None:
        value = msgspec.json.decode(data)
        if value.get("crash"):
            raise KeyError("crash")
        if value.get("fail"):
            self.sink.fail(ERROR)
        if "text" in value:
            self.sink.prose(Text, value["text"])
        if value.get("stop"):
            self.sink.finish(Finish())


def decoder() -> StreamDecoder:
    return StreamDecoder(SseFramer(), Echo())


def test_the_end_of_the_bytes_ends_the_stream() -> None:
    door = decoder()
    events = door.feed(b'data: {"text":"a"}\n\ndata: {"stop":true}\n\n') + door.feed(b"")
    lawful.check(events)
    assert door.done and fold(events).parts == (Text("a"),)
    assert door.feed(b"data: {}\n\n") == [] and door.feed(b"") == []


def test_the_last_event_counts_without_its_blank_line() -> None:
    door = decoder()
    assert isinstance((door.feed(b'data: {"stop":true}') + door.feed(b""))[-1], Finish)


def test_a_frame_that_cannot_be_read_is_passed_over_and_noted() -> None:
    door = decoder()
    events = door.feed(b'data: {"te\n\ndata: \xff\n\ndata: {"text":"a"}\n\ndata: {"stop":true}\n\n') + door.feed(b"")
    assert isinstance(events[-1], Finish)
    assert [(loss.path, loss.code) for loss in door.losses] == [("stream", "skipped")] * 2


def test_a_deeply_nested_frame_is_passed_over() -> None:
    door = decoder()
    assert door.feed(b"data: " + b"[" * 100_000 + b"\n\n") == [] and len(door.losses) == 1


def test_a_crash_of_the_machine_is_a_failure() -> None:
    door = decoder()
    events = door.feed(b'data: {"text":"a"}\n\ndata: {"crash":true}\n\ndata: {"text":"b"}\n\n')
    lawful.check(events)
    assert isinstance(door.crash, KeyError) and isinstance(events[-1], Failure) and "crash" not in str(events[-1])


def test_nothing_follows_a_failure_of_the_same_frame() -> None:
    events = decoder().feed(b'data: {"fail":true,"text":"a"}\n\ndata: {"text":"b"}\n\n')
    assert events == [Failure(ERROR)]


def test_a_frame_that_is_too_long_is_a_failure() -> None:
    door = StreamDecoder(LineFramer(32), Echo())
    events = door.feed(b"x" * 40)
    assert isinstance(events[-1], Failure) and door.done


def test_a_broken_connection_is_a_failure_that_closes_the_parts() -> None:
    door = decoder()
    events = door.feed(b'data: {"text":"a"}\n\n') + door.broken(ERROR)
    lawful.check(events)
    assert events[-1] == Failure(ERROR)
    assert door.broken(ERROR) == []


def test_a_connection_that_breaks_after_everything_was_said_is_no_failure() -> None:
    door = decoder()
    events = door.feed(b'data: {"text":"a"}\n\ndata: {"stop":true}\n\n') + door.broken(ERROR)
    assert isinstance(events[-1], Finish)


def test_the_first_bytes_may_choose_another_framing() -> None:
    def guess(data: bytes) -> LineFramer | None:
        return LineFramer() if data.startswith(b"{") else None

    lines = StreamDecoder(SseFramer(), Echo(), guess)
    assert fold(lines.feed(b'{"text":"a"}\n{"stop":true}\n') + lines.feed(b"")).parts == (Text("a"),)
    events = StreamDecoder(SseFramer(), Echo(), guess)
    assert fold(events.feed(b'data: {"text":"a"}\n\n') + events.feed(b"")).parts == (Text("a"),)
