"""What rules do to requests and events, as pure functions: patched bodies, mended streams, changed texts."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import requests, responses
from translators import CODECS
from translators.codec import Wire
from translators.editing import change_texts
from translators.embed import EmbedRequest
from translators.events import Event, Finish, Fold, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate, unfold
from translators.mending import Mender
from translators.model import Request, Response, Text, Thinking, ToolCall
from translators.rewrite import rewritten


def lawful(events: list[Event]) -> None:
    """Start first, parts numbered and never two open, one end."""
    index, is_open = -1, False
    assert isinstance(events[0], Start) and isinstance(events[-1], Finish)
    for event in events[1:-1]:
        match event:
            case PartStart():
                assert not is_open and event.index == index + 1
                index, is_open = event.index, True
            case PartDelta():
                assert is_open and event.index == index
            case PartEnd():
                assert is_open and event.index == index
                is_open = False
            case _:
                assert isinstance(event, Ping | UsageUpdate)
    assert not is_open


@given(responses())
def test_a_lawful_stream_stays_as_it_is(response: Response) -> None:
    events = unfold(response)
    if response.reason != "tool_call" or any(isinstance(part, ToolCall) for part in response.parts):
        assert [*Mender()(events)] == events


@given(responses(), st.lists(st.integers(0, 2), max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_what_rules_break_is_mended(response: Response, fates: list[int], strangers: list[int]) -> None:
    """Events dropped, doubled, and parts put in anywhere."""
    mender, out = Mender(), list[Event]()
    for n, event in enumerate(unfold(response)):
        copies = 1 if isinstance(event, Finish) or n >= len(fates) else fates[n]
        made: list[Event] = [event] * copies
        if n in strangers:
            made = [PartStart(n % 3, Thinking("")), PartDelta(n % 3, "x"), *made]
        out += mender(made)
    lawful(out)


def test_a_dropped_part_takes_its_words_with_it() -> None:
    response = Response((Thinking("hm"), Text("yes"), ToolCall("c", "t", "{}")), "tool_call")
    mender, fold = Mender(), Fold()
    for event in unfold(response):
        dropped = isinstance(event, PartStart) and isinstance(event.part, Thinking | ToolCall)
        for out in mender([] if dropped else [event]):
            fold.add(out)
    assert fold.response.parts == (Text("yes"),) and fold.response.reason == "end"


BODIES = {
    "openai-chat": b'{"model":"m","odd":{"a":1},"max_completion_tokens":9,"messages":[{"role":"user","content":"x"}]}',
    "openai-responses": b'{"model":"m", "odd": {"a":1},"max_output_tokens":99,"input":"x"}',
    "anthropic": b'{"model":"m", "odd": {"a":1},"max_tokens":9,"messages":[{"role":"user","content":"x"}]}',
    "gemini": b'{"odd": {"a":1}, "contents":[{"parts":[{"text":"x"}]}]}',
    "ollama": b'{"model":"m", "odd": {"a":1},"messages":[{"role":"user","content":"x"}]}',
}


@pytest.mark.parametrize("protocol", BODIES)
def test_only_what_was_edited_changes_in_a_body(protocol: str) -> None:
    codec = CODECS[protocol]
    path = "/v1beta/models/m:generateContent" if protocol == "gemini" else "/"
    own = Wire(path, BODIES[protocol])
    before = codec.parse_request(own)
    after = codec.parse_request(own)
    after.temperature = 0.5
    wire, _ = rewritten(own, codec.render_request(before), codec.render_request(after))
    said, now = msgspec.json.decode(own.body), msgspec.json.decode(wire.body)
    assert {name: now[name] for name in said} == said and len(now) == len(said) + 1
    assert "num_ctx" not in now.get("options", {})
    assert codec.parse_request(Wire(path, wire.body)) == after
    same, _ = rewritten(own, codec.render_request(before), codec.render_request(before))
    assert same.body == own.body


def test_a_field_by_another_name_is_not_there_twice() -> None:
    codec = CODECS["openai-chat"]
    own = Wire("/", BODIES["openai-chat"])
    before, after = codec.parse_request(own), codec.parse_request(own)
    after.max_output = 5
    wire, _ = rewritten(own, codec.render_request(before), codec.render_request(after))
    said = msgspec.json.decode(wire.body)
    assert [said.get(name) for name in ("max_tokens", "max_completion_tokens")].count(5) == 1
    assert codec.parse_request(wire) == after


@given(requests())
def test_a_request_is_the_same_after_a_snapshot(request: Request) -> None:
    """By which a rule is undone, and by which is seen whether it changed anything."""
    said = msgspec.json.encode(request)
    again = msgspec.json.decode(said, type=Request)
    assert again == request and msgspec.json.encode(again) == said


@given(requests())
def test_texts_that_do_not_change_leave_a_request_alone(request: Request) -> None:
    before = msgspec.json.encode(request)
    change_texts(request, lambda text: text)
    assert msgspec.json.encode(request) == before


def test_texts_of_embeddings_change() -> None:
    request = EmbedRequest(["a", [1, 2]])
    change_texts(request, str.upper)
    assert request.inputs == ["A", [1, 2]]
