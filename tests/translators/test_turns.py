"""The order of turns: every call answered at once, whatever order the client sent."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from translators.model import Message, Part, Text, ToolCall, ToolResult
from translators.policy import STRICT_REJECT, STRICT_REJECT_WARN, Loss
from translators.turns import settle


def call(id: str) -> ToolCall:
    return ToolCall(id, "t", "{}")


def result(id: str, text: str = "ok") -> ToolResult:
    return ToolResult(id, (Text(text),))


def user(*parts: Part) -> Message:
    return Message("user", parts)


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


SYSTEM = Message("system", (Text("note"),))
HI = Text("hi")


def shown(messages: list[Message]) -> list[tuple[str, list[str]]]:
    def show(part: Part) -> str:
        match part:
            case Text():
                return part.text
            case ToolCall():
                return f"call {part.id}"
            case ToolResult():
                return f"result {part.id}: {''.join(p.text for p in part.parts if isinstance(p, Text))}"
            case _:
                return type(part).__name__

    return [(message.role, [show(part) for part in message.parts]) for message in messages]


def test_a_conversation_in_order_comes_back_as_the_same_list() -> None:
    messages = [user(HI), assistant(HI, call("1"), call("2")), user(result("1"), result("2"), HI), assistant(HI)]
    losses: list[Loss] = []
    assert settle(messages, losses) is messages
    assert settle(messages, losses, merge=False) is messages
    assert losses == []


def test_a_system_message_between_call_and_result_goes_behind_the_result() -> None:
    losses: list[Loss] = []
    settled = settle([user(HI), assistant(call("1")), SYSTEM, user(result("1"), HI)], losses)
    assert shown(settled) == [
        ("user", ["hi"]),
        ("assistant", ["call 1"]),
        ("user", ["result 1: ok", "hi"]),
        ("system", ["note"]),
    ]
    assert losses == []


def test_a_system_message_after_an_unanswered_call_follows_the_made_up_result() -> None:
    losses: list[Loss] = []
    settled = settle([user(HI), assistant(call("1")), SYSTEM], losses)
    assert shown(settled)[1:] == [
        ("assistant", ["call 1"]),
        ("user", ["result 1: [no result]"]),
        ("system", ["note"]),
    ]


def test_assistant_text_between_call_and_result_joins_the_call() -> None:
    for merge in (True, False):
        settled = settle([user(HI), assistant(call("1")), assistant(Text("busy")), user(result("1"))], [], merge=merge)
        assert shown(settled)[1:] == [("assistant", ["call 1", "busy"]), ("user", ["result 1: ok"])]


def test_a_run_of_assistant_messages_with_a_call_is_one_turn() -> None:
    said = [assistant(Text("a")), assistant(Text("b")), assistant(call("1")), user(result("1"))]
    assert shown(settle(said, [], merge=False)) == [("assistant", ["a", "b", "call 1"]), ("user", ["result 1: ok"])]
    late = [assistant(call("1")), user(), assistant(Text("a")), user(result("1")), assistant(call("2"))]
    assert shown(settle(late, [], merge=False))[2:] == [
        ("user", []), ("assistant", ["a", "call 2"]), ("user", ["result 2: [no result]"]),
    ]  # fmt: skip


def test_calls_in_messages_of_their_own_are_one_batch_and_are_answered_in_their_order() -> None:
    settled = settle(
        [user(HI), assistant(call("1")), assistant(call("2")), user(result("2")), user(result("1"))], [], merge=False
    )
    assert shown(settled)[1:] == [("assistant", ["call 1", "call 2"]), ("user", ["result 1: ok", "result 2: ok"])]


def test_a_late_result_is_brought_to_its_call() -> None:
    settled = settle([user(HI), assistant(call("1")), user(HI), assistant(HI), user(result("1", "late"))], [])
    assert shown(settled) == [
        ("user", ["hi"]),
        ("assistant", ["call 1"]),
        ("user", ["result 1: late", "hi"]),
        ("assistant", ["hi"]),
    ]


def test_a_missing_result_is_made_up_with_a_loss() -> None:
    losses: list[Loss] = []
    settled = settle([user(HI), assistant(call("1"), call("2")), user(result("2"), HI)], losses)
    assert shown(settled)[2] == ("user", ["result 1: [no result]", "result 2: ok", "hi"])
    assert [(loss.code, loss.rule) for loss in losses] == [("emulated", STRICT_REJECT)]


def test_an_orphan_result_becomes_text_with_a_loss() -> None:
    losses: list[Loss] = []
    orphan = ToolResult("9", (Text("gone"),), name="ls")
    assert shown(settle([user(orphan, HI)], losses)) == [("user", ["[tool result ls] gone", "hi"])]
    assert [loss.rule for loss in losses] == [STRICT_REJECT_WARN]


def test_of_two_results_for_a_call_the_last_counts() -> None:
    losses: list[Loss] = []
    settled = settle([user(HI), assistant(call("1")), user(result("1", "old"), result("1", "new"))], losses)
    assert shown(settled)[2] == ("user", ["result 1: new"])
    assert len(losses) == 1


def test_ids_that_are_used_again_are_told_apart() -> None:
    settled = settle(
        [user(HI), assistant(call("a"), call("a")), user(result("a", "1"), result("a", "2")), assistant(call("a")),
         user(result("a", "3"))],
        [],
    )  # fmt: skip
    assert shown(settled)[1:] == [
        ("assistant", ["call a", "call a_2"]),
        ("user", ["result a: 1", "result a_2: 2"]),
        ("assistant", ["call a_3"]),
        ("user", ["result a_3: 3"]),
    ]


def test_neighbours_of_one_role_are_merged_where_roles_must_alternate_only() -> None:
    messages = [user(HI), user(Text("you")), assistant(HI), assistant(Text("too"))]
    assert shown(settle(messages, [])) == [("user", ["hi", "you"]), ("assistant", ["hi", "too"])]
    assert settle(messages, [], merge=False) is messages


def test_a_longer_history_begins_as_the_shorter_one_did() -> None:
    history = [
        user(HI), assistant(call("1")), SYSTEM, user(result("1")), assistant(HI, call("2"), call("3")),
        user(result("3"), result("2")), assistant(HI), user(HI), SYSTEM, user(HI),
    ]  # fmt: skip
    whole = settle(history, [], merge=False)
    for end in (4, 6, 7, 8):
        part = settle(history[:end], [], merge=False)
        assert whole[: len(part)] == part


def test_settling_twice_changes_nothing() -> None:
    messages = [user(HI), assistant(call("1")), SYSTEM, assistant(HI), user(HI), user(result("1"), result("8"))]
    once = settle(messages, [])
    assert settle(once, []) is once


ids = st.sampled_from(["1", "2", "3"])
texts = st.builds(Text, st.text("ab", max_size=2))
turns = st.one_of(
    st.builds(lambda parts: user(*parts), st.lists(st.builds(result, ids) | texts, max_size=3)),
    st.builds(lambda parts: assistant(*parts), st.lists(st.builds(call, ids) | texts, max_size=3)),
    st.just(SYSTEM),
)


def texts_of(messages: list[Message]) -> list[str]:
    return sorted(p.text for m in messages for p in m.parts if isinstance(p, Text) and not p.text.startswith("[tool"))


@settings(max_examples=300, deadline=None)
@given(st.lists(turns, max_size=9), st.booleans())
def test_whatever_is_sent_comes_out_in_order(messages: list[Message], merge: bool) -> None:
    settled = settle(messages, [], merge=merge)
    seen: set[str] = set()
    for before, message in zip([None, *settled], settled, strict=False):
        calls = [p.id for p in before.parts if isinstance(p, ToolCall)] if before is not None else []
        results = [p.id for p in message.parts if isinstance(p, ToolResult)]
        assert results == calls, "each call is answered at once, and nothing else is"
        assert all(isinstance(p, ToolResult) for p in message.parts[: len(results)])
        assert seen.isdisjoint(calls) and len(set(calls)) == len(calls)
        seen.update(calls)
        if merge and before is not None and message.role in ("user", "assistant"):
            assert before.role != message.role
    assert not any(isinstance(p, ToolCall) for p in (settled[-1].parts if settled else ()))
    assert texts_of(settled) == texts_of(messages), "nothing that was said is lost"
    assert settle(settled, [], merge=merge) is settled
