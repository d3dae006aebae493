"""Stop sequences that are cut here: the same cut at any chunking, in visible text only."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import lawful
from translators.events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate, fold
from translators.model import ApiError, Part, Response, Text, Thinking, ToolCall, Usage
from translators.stops import StopCutter

USAGE = UsageUpdate(Usage(output=9))


def cut(stops: list[str], parts: list[tuple[Part, list[str]]], end: Event | None = None) -> list[Event]:
    events: list[Event] = [Start("i", "m")]
    for index, (part, texts) in enumerate(parts):
        events += [PartStart(index, part), *(PartDelta(index, text) for text in texts if text), PartEnd(index)]
    events += [Ping(), USAGE, end or Finish("length")]
    cutter = StopCutter(stops)
    return [out for event in events for out in cutter(event)]


def answer(stops: list[str], *texts: str) -> Response:
    events = cut(stops, [(Text(""), list(texts))])
    lawful.check(events)
    return fold(events)


@pytest.mark.parametrize(
    ("stops", "text", "left", "hit"),
    [
        (["END"], "one END two", "one ", "END"),
        (["END"], "one EN", "one EN", None),  # what was held back comes after all
        (["END"], "ENEND", "EN", "END"),
        (["aab"], "aaab", "a", "aab"),
        (["END"], "END", "", "END"),
        (["b", "abcd"], "abcd", "a", "b"),  # the first that is complete
        (["ab", "b"], "xab", "x", "ab"),
        (["😀"], "a😀b", "a", "😀"),
        (["\n\n"], "a\n\nb", "a", "\n\n"),
        ([""], "abc", "abc", None),
        ([], "abc", "abc", None),
    ],
)
def test_the_cut(stops: list[str], text: str, left: str, hit: str | None) -> None:
    for texts in ([text], list(text)):
        response = answer(stops, *texts)
        assert response.parts == (Text(left),)
        assert (response.reason, response.stop_sequence) == (("stop_sequence", hit) if hit else ("length", None))
        assert response.usage == USAGE.usage


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    st.text("ab", max_size=14),
    st.lists(st.integers(1, 13), max_size=6),
)
def test_the_chunks_do_not_matter(stops: list[str], text: str, cuts: list[int]) -> None:
    places = [0, *sorted(set(cuts)), len(text)]
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert answer(stops, *pieces) == answer(stops, text)
    left = answer(stops, text).parts[0]
    assert isinstance(left, Text) and not any(stop in left.text for stop in stops)


def test_thoughts_and_arguments_are_not_cut() -> None:
    events = cut(["x"], [(Thinking(""), ["axb"]), (ToolCall("i", "f"), ['{"x":1}']), (Text(""), ["yxz"])])
    lawful.check(events)
    assert fold(events).parts == (Thinking("axb"), ToolCall("i", "f", '{"x":1}'), Text("y"))


def test_after_the_cut_nothing_but_usage_comes() -> None:
    events = cut(["x"], [(Text(""), ["axb", "c"]), (ToolCall("i", "f"), ["{}"]), (Text(""), ["more"])])
    lawful.check(events)
    assert fold(events) == Response((Text("a"),), "stop_sequence", "i", "m", USAGE.usage, "x")


def test_a_sequence_does_not_reach_over_two_parts() -> None:
    events = cut(["ab"], [(Text(""), ["xa"]), (Text(""), ["by"])])
    assert fold(events).parts == (Text("xa"), Text("by"))


def test_a_failure_after_the_cut_is_no_failure() -> None:
    error = ApiError(502, "server", "gone")
    assert cut(["x"], [(Text(""), ["ax"])], Failure(error))[-1] == Finish("stop_sequence", "x")
    assert cut(["x"], [(Text(""), ["a"])], Failure(error))[-1] == Failure(error)


def test_only_as_much_is_held_back_as_could_become_a_sequence() -> None:
    cutter = StopCutter(["<|end|>"])
    cutter(PartStart(0, Text("")))
    assert cutter(PartDelta(0, "hello <")) == [PartDelta(0, "hello ")]
    assert cutter(PartDelta(0, "|e")) == []
    assert cutter(PartDelta(0, "x ")) == [PartDelta(0, "<|ex ")]
