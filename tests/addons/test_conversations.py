"""Turns of one conversation are tied together, whatever the client changes in its history that is not said."""

from __future__ import annotations

import pytest

from addons.conversations import Conversations, session_of
from translators.model import Message, Request, Text, Thinking, ToolCall, ToolResult

SYSTEM = Message("system", (Text("Be terse."),))
ASK = Message("user", (Text("Weather?"),))
CALL = Message("assistant", (Thinking("Hm."), ToolCall("t1", "look", '{"city":"Oslo"}')))
RESULT = Message("user", (ToolResult("t1", (Text("rain"),)),))


def _request(*messages: Message, **more: str) -> Request:
    return Request(messages=[*messages], **more)


def test_each_turn_knows_the_one_before_and_what_is_new() -> None:
    known = Conversations()
    first = known.place("", "f1", _request(SYSTEM, ASK), {})
    second = known.place("", "f2", _request(SYSTEM, ASK, CALL, RESULT), {})
    assert (first.number, first.known, first.previous) == (1, 0, "")
    assert (second.id, second.number, second.known, second.previous) == (first.id, 2, 2, "f1")


def test_the_same_history_again_is_the_same_turn() -> None:
    known = Conversations()
    known.place("", "f1", _request(ASK), {})
    second = known.place("", "f2", _request(ASK, CALL, RESULT), {})
    again = known.place("", "f3", _request(ASK, CALL, RESULT), {})
    assert (again.number, again.known, again.previous) == (second.number, second.known, "f1")


def test_thoughts_and_cache_marks_may_come_and_go() -> None:
    known = Conversations()
    marked = Message("user", (Text("Weather?", cache="5m", extra={"anthropic": {"x": 1}}),))
    known.place("", "f1", _request(marked), {})
    silent = Message("assistant", CALL.parts[1:])
    known.place("", "f2", _request(ASK, CALL, RESULT), {})
    third = known.place("", "f3", _request(ASK, silent, RESULT, CALL), {})
    assert (third.number, third.known, third.previous) == (3, 3, "f2")


def test_a_turn_that_goes_on_from_an_earlier_one() -> None:
    known = Conversations()
    known.place("", "f1", _request(ASK), {})
    known.place("", "f2", _request(ASK, CALL, RESULT), {})
    branch = known.place("", "f3", _request(ASK, Message("assistant", (Text("No."),)), ASK), {})
    assert (branch.number, branch.known, branch.previous) == (2, 1, "f1")


def test_others_are_others() -> None:
    known = Conversations()
    first = known.place("a", "f1", _request(SYSTEM, ASK), {})
    assert known.place("b", "f2", _request(SYSTEM, ASK, CALL), {}).number == 1  # another client
    assert known.place("a", "f3", _request(ASK, CALL), {}).id != first.id  # another system prompt
    assert known.place("a", "f4", _request(SYSTEM, RESULT), {}).id != first.id  # other first words


def test_a_session_may_change_its_system_prompt_and_has_several_conversations() -> None:
    known, headers = Conversations(), {"x-claude-code-session-id": "s-1"}
    first = known.place("", "f1", _request(SYSTEM, ASK), headers)
    second = known.place("", "f2", _request(Message("system", (Text("Tuesday."),)), ASK, CALL, RESULT), headers)
    assert (second.id, second.number, second.session) == (first.id, 2, "s-1")
    assert known.place("", "f3", _request(SYSTEM, RESULT), headers).id != first.id


@pytest.mark.parametrize(
    ("request_", "headers", "session"),
    [
        (_request(), {"session-id": "abc"}, "abc"),
        (_request(user='{"device_id":"d","account_uuid":"","session_id":"0f7c1a52-aaaa"}'), {}, "0f7c1a52-aaaa"),
        (_request(user="user_1_account__session_0f7c1a52-bbbb"), {}, "0f7c1a52-bbbb"),
        (_request(cache_key="key-1"), {}, "key-1"),
        (_request(user="ada"), {}, ""),
        (_request(), {"session-id": "x" * 900}, "x" * 64),
    ],
)
def test_the_clients_own_name_for_its_session(request_: Request, headers: dict[str, str], session: str) -> None:
    assert session_of(request_, headers) == session


def test_the_number_of_conversations_is_bounded() -> None:
    known = Conversations(3)
    for n in range(9):
        known.place("", f"f{n}", _request(Message("user", (Text(f"{n}"),))), {})
    assert len(known) == 3
    assert known.place("", "x", _request(Message("user", (Text("8"),)), CALL), {}).number == 2
    assert known.place("", "y", _request(Message("user", (Text("0"),)), CALL), {}).number == 1


def test_a_history_without_words() -> None:
    known = Conversations()
    assert known.place("", "f1", _request(), {}).number == 1
    assert known.place("", "f2", _request(SYSTEM), {}).number == 1
