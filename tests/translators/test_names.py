"""Tool names and call ids that a target takes, and back."""

from __future__ import annotations

import re

from translators.model import Message, Request, Text, Tool, ToolCall, ToolChoice, ToolResult
from translators.names import Names, fit_call_id


class Chat:
    TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
    TOOL_NAME_LENGTH = 64
    CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Gemini:
    TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
    TOOL_NAME_LENGTH = 128
    CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def names_of(request: Request) -> list[str]:
    return [tool.name for tool in request.tools]


def test_what_fits_is_the_same_object() -> None:
    request = Request(
        tools=[Tool("ls"), Tool("mcp__files__list")],
        messages=[Message("assistant", (ToolCall("call_1", "ls"),)), Message("user", (ToolResult("call_1"),))],
    )
    assert Names(request, Chat).fit(request) is request


def test_a_cleaned_name_never_takes_the_name_of_a_valid_one() -> None:
    request = Request(tools=[Tool("a.b"), Tool("a_b"), Tool("a/b")])
    names = Names(request, Chat)
    fitted = names_of(names.fit(request))
    assert fitted[1] == "a_b" and len(set(fitted)) == 3
    assert all(Chat.TOOL_NAME.fullmatch(name) for name in fitted)
    assert [names.restore(name) for name in fitted] == [(None, "a.b"), (None, "a_b"), (None, "a/b")]


def test_long_names_are_shortened_differently() -> None:
    long = [f"mcp__server__{'x' * 60}_{n}" for n in range(3)]
    request = Request(tools=[Tool(name) for name in long])
    names = Names(request, Chat)
    fitted = names_of(names.fit(request))
    assert len(set(fitted)) == 3 and all(len(name) <= 64 for name in fitted)
    assert [names.restore(name)[1] for name in fitted] == long


def test_a_namespace_is_flattened_and_restored_with_choice_history_and_result() -> None:
    request = Request(
        tools=[Tool("list", namespace="mcp__fs__"), Tool("list")],
        tool_choice=ToolChoice("named", ("list",)),
        messages=[
            Message("assistant", (ToolCall("c", "list", namespace="mcp__fs__"),)),
            Message("user", (ToolResult("c", (Text("x"),), name="list"),)),
        ],
    )
    names = Names(request, Chat)
    fitted = names.fit(request)
    assert names_of(fitted) == ["mcp__fs__list", "list"]
    assert fitted.messages[0].parts[0] == ToolCall("c", "mcp__fs__list")
    assert fitted.tool_choice == ToolChoice("named", ("list",))
    assert names.restore_part(ToolCall("c", "mcp__fs__list"), Chat) == ToolCall("c", "list", namespace="mcp__fs__")
    assert request.tools[0].namespace == "mcp__fs__", "the client's request stays as it was"


def test_a_choice_of_a_renamed_tool_is_renamed_too() -> None:
    request = Request(tools=[Tool("go", namespace="ns")], tool_choice=ToolChoice("named", ("go",)))
    assert Names(request, Chat).fit(request).tool_choice == ToolChoice("named", ("ns__go",))


def test_tools_of_the_history_alone_are_renamed_as_well() -> None:
    request = Request(messages=[Message("assistant", (ToolCall("c", "old tool"),))])
    assert Names(request, Chat).fit(request).messages[0].parts[0] == ToolCall("c", "old_tool")


def test_a_name_that_begins_with_a_digit_gets_a_letter_for_gemini() -> None:
    request = Request(tools=[Tool("7zip"), Tool("a.b:c")])
    names = Names(request, Gemini)
    assert names_of(names.fit(request)) == ["_7zip", "a.b:c"]
    assert names.restore("_7zip") == (None, "7zip")


def test_a_tool_that_nobody_declared_keeps_its_name() -> None:
    names = Names(Request(tools=[Tool("a.b")]), Chat)
    assert names.restore("made_up") == (None, "made_up")
    part = ToolCall("c", "made_up")
    assert names.restore_part(part, Chat) is part


def test_ids_fit_and_call_and_result_still_meet() -> None:
    request = Request(
        tools=[],
        messages=[
            Message("assistant", (ToolCall("functions.Bash:0", "ls"), ToolCall("x" * 65, "ls"))),
            Message("user", (ToolResult("functions.Bash:0"), ToolResult("x" * 65))),
        ],
    )
    fitted = Names(request, Chat).fit(request)
    calls, results = fitted.messages[0].parts, fitted.messages[1].parts
    ids = [part.id for part in calls if isinstance(part, ToolCall)]
    assert ids == [part.id for part in results if isinstance(part, ToolResult)]
    assert len(set(ids)) == 2 and all(re.fullmatch(r"call_[a-z2-7]{24}", id) for id in ids)


def test_an_id_is_fitted_the_same_way_each_time() -> None:
    assert fit_call_id("ok-1", Chat.CALL_ID) == "ok-1"
    assert fit_call_id("not ok", Chat.CALL_ID) == fit_call_id("not ok", Chat.CALL_ID) != fit_call_id("no", Chat.CALL_ID)


def test_the_answer_gets_an_id_that_the_client_takes() -> None:
    names = Names(Request(), Chat)
    restored = names.restore_part(ToolCall("a b", "ls"), Chat)
    assert isinstance(restored, ToolCall) and Chat.CALL_ID.fullmatch(restored.id)
