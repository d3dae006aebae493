"""A whole answer is a stream that came at once."""

from __future__ import annotations

from hypothesis import given

from tests import lawful
from tests.strategies import rich_responses
from translators.events import (
    Event,
    Failure,
    Finish,
    Fold,
    PartDelta,
    PartEnd,
    PartStart,
    Ping,
    Start,
    UsageUpdate,
    fold,
    unfold,
)
from translators.model import ApiError, Blob, Citation, Image, Response, Text, ToolCall, Usage


@given(rich_responses())
def test_folding_undoes_unfolding(response: Response) -> None:
    events = unfold(response)
    lawful.check(events)
    assert fold(events) == response


def test_a_part_that_does_not_grow_comes_whole() -> None:
    image = Image(Blob(url="u"))
    assert unfold(Response((image,)))[1:3] == [PartStart(0, image), PartEnd(0)]


def test_text_comes_as_deltas_and_citations_at_the_end() -> None:
    text = Text("ab", (Citation("u"),), extra={"p": {"x": 1}})
    assert unfold(Response((text,)))[1:4] == [
        PartStart(0, Text("")), PartDelta(0, "ab"), PartEnd(0, (Citation("u"),), {"p": {"x": 1}}),
    ]  # fmt: skip


def test_the_last_usage_counts_and_pings_do_not() -> None:
    end = Finish("length", "s", "d", {"p": {"x": 1}})
    events: list[Event] = [Start("i", "m", Usage(1)), Ping(), UsageUpdate(Usage(2)), end]
    assert fold(events) == Response((), "length", "i", "m", Usage(2), "s", "d", {"p": {"x": 1}})


def test_a_failure_is_kept() -> None:
    error = ApiError(502, "server", "x")
    folded = Fold()
    for event in (Start(), PartStart(0, ToolCall("c", "f")), PartDelta(0, "{"), PartEnd(0), Failure(error)):
        folded.add(event)
    assert folded.failure == error and folded.finish is None
    assert folded.response.parts == (ToolCall("c", "f", "{"),)
