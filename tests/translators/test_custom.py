"""Freeform tools as functions, and back: at any chunking, whatever the model makes of the wrapper."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import lawful
from translators.custom import Customs
from translators.events import Event, Finish, PartDelta, PartEnd, PartStart, Start, fold
from translators.model import Message, Request, Text, Tool, ToolCall, ToolResult

PATCH = Tool("apply_patch", "Edit files.", custom=True, grammar={"syntax": "lark", "definition": "start: x"})
REQUEST = Request(model="m", tools=[PATCH, Tool("ls", schema={"type": "object"})])


def unwrapped(pieces: Sequence[str], name: str = "apply_patch") -> ToolCall:
    events: list[Event] = [Start(), PartStart(0, ToolCall("c", name))]
    events += [PartDelta(0, piece) for piece in pieces if piece] + [PartEnd(0), Finish("tool_call")]
    customs = Customs(REQUEST)
    out = [event for given in events for event in customs(given)]
    lawful.check(out)
    (call,) = fold(out).parts
    assert isinstance(call, ToolCall)
    return call


CASES = [
    ('{"input":"*** Begin"}', "*** Begin"),
    ('{"input": "a\\nb\\t\\"c\\" \\\\ \\/ \\u00e9 \\ud83d\\ude00 😀"}', 'a\nb\t"c" \\ / é 😀 😀'),
    ('\n { "input" : "x" } trailing', "x"),
    ('{"patch":"x"}', "x"),
    ('{"content":"x"}', "x"),
    ('{"text":"x"}', "x"),
    ('{"input":""}', ""),
    ("", ""),
    ("{}", "{}"),
    ("*** Begin Patch\n+ x", "*** Begin Patch\n+ x"),  # no wrapper at all
    ('"a bare\\nstring"', "a bare\nstring"),
    ('{"command":"x"}', "x"),  # the only text is it
    ('{"a":"x","b":"y"}', '{"a":"x","b":"y"}'),
    ('{"input":["x"]}', '{"input":["x"]}'),
    ('{"input":"cut off', "cut off"),
    ('{"input":"cut off \\', "cut off \\"),
    ('{"input":"cut off \\u12', "cut off \\u12"),
    ('{"input":"half \\ud83d', "half \ufffd"),
    ('{"input":"half \\ud83d end"}', "half \ufffd end"),
    ('{"input":"half \\ud83d"}', "half \ufffd"),
    ('{"input":"two \\ud83d\\ud83d\\ude00"}', "two \ufffd😀"),
    ('{"input":"C:\\dir\\x"}', "C:\\dir\\x"),  # escapes that JSON does not have
    ('{"input":"\\u12 \\uzz"}', "\\u12 \\uzz"),
    ('{"input":"raw\nline"}', "raw\nline"),
]


@pytest.mark.parametrize(("arguments", "expected"), CASES)
def test_the_text_comes_out_of_its_wrapper(arguments: str, expected: str) -> None:
    for size in (1, 2, 3, 5, 1000):
        call = unwrapped([arguments[at : at + size] for at in range(0, len(arguments), size)])
        assert (call.arguments, call.custom) == (expected, True), f"in pieces of {size}"


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n\u2028😀{}'), max_size=20),
    st.booleans(),
    st.lists(st.integers(1, 80), max_size=10),
)
def test_any_text_at_any_chunking(text: str, ascii_only: bool, cuts: list[int]) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only)
    places = [0, *sorted(set(cuts)), len(arguments)]
    pieces = [arguments[a:b] for a, b in pairwise(places)]
    assert unwrapped(pieces).arguments == text


def test_an_escaped_backslash_before_a_chunk_s_end_is_no_half_of_a_pair() -> None:
    assert unwrapped(['{"input":"\\\\ud83d', '\\ude00"}']).arguments == "\\ud83d\ufffd"
    assert unwrapped(['{"input":"\\\\\\ud83d', '\\ude00"}']).arguments == "\\😀"


def test_the_text_streams() -> None:
    customs = Customs(REQUEST)
    customs(PartStart(0, ToolCall("c", "apply_patch")))
    assert list(customs(PartDelta(0, '{"input":"ab'))) == [PartDelta(0, "ab")]
    assert list(customs(PartDelta(0, "cd\\"))) == [PartDelta(0, "cd")]
    assert list(customs(PartDelta(0, 'n"}'))) == [PartDelta(0, "\n")]


def test_other_calls_stay_as_they_are() -> None:
    assert unwrapped(['{"input":"x"}'], "ls") == ToolCall("c", "ls", '{"input":"x"}')


def test_wrapping_makes_functions_and_the_grammar_is_told() -> None:
    tool, other = Customs(REQUEST).wrap(REQUEST).tools
    assert isinstance(tool, Tool) and not tool.custom and tool.grammar is None and other is REQUEST.tools[1]
    assert tool.schema is not None and tool.schema["required"] == ["input"]
    assert "start: x" in tool.schema["properties"]["input"]["description"]
    assert tool.description is not None and tool.description.startswith("Edit files.")


def test_wrapping_and_unwrapping_a_history() -> None:
    text = 'a "b"\n\u2028 😀'
    history = [
        Message("assistant", (ToolCall("c", "apply_patch", text, custom=True), Text("t"))),
        Message("user", (ToolResult("c", (Text("done"),), custom=True),)),
    ]
    wrapped = Customs(REQUEST).wrap(Request(messages=history))
    call, result = wrapped.messages[0].parts[0], wrapped.messages[1].parts[0]
    assert isinstance(call, ToolCall) and not call.custom and isinstance(result, ToolResult) and not result.custom
    assert call.arguments == '{"input":"a \\"b\\"\\n\u2028 😀"}'  # deterministic, for the sake of caches
    assert unwrapped([call.arguments]).arguments == text


def test_a_request_without_freeform_tools_is_not_touched() -> None:
    request = Request(tools=[Tool("ls")], messages=[Message("user", (Text("hi"),))])
    assert Customs(request).wrap(request) is request
