"""The texts of the views, from records as they are, as they were, and as they should never be."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import contentviews, http
from mitmproxy.test.tflow import tflow

from addons import marks
from addons.exchange import METADATA
from addons.views import VIEWS
from addons.views.compare import changes
from addons.views.text import wrapped

ASK: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 99,
    "top_k": 5,
    "system": "Be terse.",
    "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"city": "Oslo"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "rain"}]},
    ],
    "tools": [
        {"name": "look", "description": "Looks out", "input_schema": {"type": "object"}},
        {"name": "wait", "input_schema": {"type": "object"}},
    ],
}
SENT = {
    "model": "glm",
    "max_tokens": 99,
    "messages": [
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": "Weather!"},
        {"role": "assistant", "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"city":"Oslo"}'}}]},
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
    ],
}  # fmt: skip


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


PIECES = (
    _chunk({"role": "assistant", "content": ""}),
    _chunk({"reasoning_content": "Hmm, rain."}),
    _chunk({"content": "It pours"}),
    _chunk({"content": " down."}) + _chunk({}, "stop") + b"data: [DONE]\n\n",
)
START = b'{"type":"message_start","message":{"id":"a","role":"assistant","content":[]}}'
ANSWER = b"event: message_start\ndata: " + START + b"\n\n"


def record(**changed: Any) -> dict[str, Any]:
    body = json.dumps(SENT).encode()
    answer = b"".join(PIECES)
    sizes = [len(piece) for piece in PIECES]
    return {
        "version": 1,
        "id": "r1",
        "client": {"protocol": "anthropic", "purpose": "generate", "model": "claude-x", "stream": True},
        "attempts": [
            {
                "upstream": "down", "protocol": "openai-chat", "model": "a", "request": None, "response": None,
                "error": {"status": 502, "kind": "disconnected", "message": "no", "retry_after": None},
                "started": 100.0, "headers_at": None, "ended": 100.1,
            },
            {
                "upstream": "zhipu", "protocol": "openai-chat", "model": "glm",
                "request": {"method": "POST", "url": "http://z:1/v1/chat/completions",
                            "headers": [["authorization", "***"], ["host", "z:1"]], "body": body, "size": len(body)},
                "response": {"status": 200, "headers": [["content-type", "text/event-stream"]], "body": answer,
                             "size": len(answer),
                             "marks": f"{sizes[0]}+150 {sizes[1]}+20 {sizes[2]}+30 {sizes[3]}+900"},
                "error": None, "started": 100.1, "headers_at": 100.2, "ended": 101.2,
            },
        ],
        "warnings": [["top_k", "dropped", "Chat Completions has no top_k"]],
        "losses": [["top_k", "dropped", "Chat Completions has no top_k"], ["tools.0", "moved", "elsewhere"]],
        "status": 200,
        "error": None,
        "cancelled": False,
        "sent": {"body": ANSWER, "size": len(ANSWER), "streamed": True, "marks": f"{len(ANSWER)}+150 0+40 9+10 9+900"},
        "timings": {"started": 100.0, "head": 100.2, "ended": 101.2},
        "usage": {"input": 10, "cache_read": 30, "cache_write": 0, "output": 7, "reasoning": 2, "estimated": False},
        "conversation": {"id": "c1", "number": 2, "known": 2, "previous": "r0", "session": ""},
        **changed,
    }  # fmt: skip


def flow(found: Any, body: bytes | None = None) -> http.HTTPFlow:
    made = tflow(resp=True)
    made.request.path, made.request.method = "/v1/messages", "POST"
    made.request.content = json.dumps(ASK).encode() if body is None else body
    made.response = http.Response.make(200, ANSWER, {"content-type": "text/event-stream"})
    made.metadata[METADATA] = found
    return made


def shown(name: str, side: str, made: http.HTTPFlow) -> str:
    view = next(view for view in VIEWS if view.name == f"LLM {name}")
    message = made.request if side == "request" else made.response
    assert message is not None
    return view.prettify(message.content or b"", contentviews.Metadata(flow=made, http_message=message))


EXPECTED = {
    ("Conversation", "request"): (
        "turn 2 of conversation #c1, 2 new messages", "result [t1]", "said before: 1 message", "call look [t1]",
        "Be terse.", "Looks out",
    ),
    ("Conversation", "response"): (
        "attempt 1     down/a (openai-chat): disconnected: no", "zhipu/glm (openai-chat): 200",
        "thinking: Hmm, rain.", "It pours down.", "!  top_k    dropped", "   tools.0  moved", "#c1, turn 2",
        "10 input, 30 cache read",
    ),
    ("Client side", "request"): ("POST /v1/messages HTTP/1.1", '  "top_k": 5,'),
    ("Client side", "response"): ("200 OK", "event: message_start"),
    ("Upstream side", "request"): ("attempt 2: to zhipu", "authorization: ***", '  "model": "glm",', "to down"),
    ("Upstream side", "response"): ("attempt 2: from zhipu", "data: [DONE]", "disconnected: no"),
    ("Diff", "request"): (
        "top_k: dropped", "tools.0: moved (the client was not told)", '  - "claude-x"\n  + "glm"',
        '  - "Weather?"\n  + "Weather!"', '  - {"name":"look",', "added", "not sent on",
    ),
    ("Diff", "response"): ('  - "c"\n  + "a"', "It pours down."),
    ("Stream", "request"): (
        "first byte   after 150 ms", "first token  after 170 ms", "longest gap  900 ms, at 200 ms; 1 slow spot",
        "+0.900  ◀ slow", "thinking: Hmm, rain.", "keep-alive", "text, end: down. · end",
    ),
    ("Usage", "request"): (
        "cache hits            30  75% of the prompt", "first bytes of the answer  after 150 ms",
        "9.5 while the answer came", "2 new messages", "1 message said before", "2 tools",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "side"), EXPECTED)
def test_what_each_view_says(name: str, side: str) -> None:
    text = shown(name, side, flow(record()))
    for words in EXPECTED[name, side]:
        assert words in text, f"{words!r} is not in\n{text}"


def test_the_diff_tells_what_rules_did_from_what_translation_did() -> None:
    before = {"model": "claude-x", "messages": [], "temperature": 1.0}
    said = json.dumps(before).encode(), json.dumps(before | {"temperature": 0.2}).encode()
    found = record()
    found["rules"] = {
        "request": {"by": ["cool"], "before": said[0], "after": said[1]},
        "targets": {"by": ["route"], "before": ["a/b"], "after": ["c/d", "a/b"]},
        "events": {"by": ["redact"]},
        "reports": [{"rule": "bad", "hook": "llm_event", "at": "bad.py:3", "why": "KeyError: 'x'"}],
    }
    text = shown("Diff", "request", flow(found))
    rules, _, translation = text.partition("changed in neutral words")
    for words in (
        "cool changed the request\n  temperature\n    - 1.0\n    + 0.2", "route changed the targets", '    + "c/d"',
        "redact changed the answer while it came", "bad failed in llm_event (bad.py:3): KeyError: 'x'",
    ):  # fmt: skip
        assert words in rules
    assert "temperature\n  - 0.2" in translation  # which the upstream was not told
    found["rules"]["request"]["after"] = said[1][:20]
    assert "cool changed the request" in shown("Diff", "request", flow(found))


def test_a_record_of_the_first_version_has_all_views() -> None:
    old = record()
    del old["conversation"], old["sent"]["marks"], old["attempts"][1]["response"]["marks"]
    for name, side in EXPECTED:
        text = shown(name, side, flow(old))
        assert text and "turn 2" not in text
    assert "was not kept" in shown("Stream", "response", flow(old))


def test_an_exchange_that_has_just_begun() -> None:
    young = record(attempts=[], losses=[], warnings=[], status=None, usage=None)
    young["timings"] |= {"head": None, "ended": None}
    young["sent"] = {"body": b"", "size": 0, "streamed": False}
    made = flow(young)
    made.response = None
    assert "Weather?" in shown("Conversation", "request", made)
    assert shown("Diff", "request", made) == "nothing was sent upstream"
    assert "no attempt was made" in shown("Stream", "request", made)
    assert "no tokens were counted yet" in shown("Usage", "request", made)


def test_the_same_protocol_compares_the_bodies() -> None:
    ours = record(losses=[], warnings=[])
    attempt = ours["attempts"][1]
    attempt["protocol"] = "anthropic"
    attempt["request"]["body"] = json.dumps(ASK | {"model": "other"}).encode()
    assert "changed in the body: 1 place" in (text := shown("Diff", "request", flow(ours)))
    assert 'model\n  - "claude-x"\n  + "other"' in text
    attempt["request"]["body"] = json.dumps(ASK).encode()
    assert "the same" in shown("Diff", "request", flow(ours))
    ours["sent"] = {"body": attempt["response"]["body"], "size": attempt["response"]["size"], "streamed": True}
    assert "on both sides" in shown("Diff", "response", flow(ours))


def test_a_foreign_flow_is_none_of_ours() -> None:
    plain = tflow(resp=True)
    for view in VIEWS:
        for message in (plain.request, plain.response):
            assert message is not None
            metadata = contentviews.Metadata(flow=plain, http_message=message)
            assert view.render_priority(b"", metadata) < 0
            if view.name == "LLM Neutral":  # which any client's request may be read as
                continue
            with pytest.raises(ValueError, match="no exchange of LLM Link"):
                view.prettify(b"", metadata)
            with pytest.raises(ValueError, match="no exchange of LLM Link"):
                view.prettify(b"", contentviews.Metadata())


# ------------------------------------------------------------------------------------------------ junk

_JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20), st.binary(max_size=40),
    st.just([]), st.just({}), st.just([["a", "b"]]), st.just({"status": "x"}),
    st.sampled_from(["", "gemini", "ollama", "openai-responses", "embed", "count_tokens", "models", "1+1 x 3+"]),
    st.just("9" * 40 + "+1"),
)  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a record with each of its keys."""
    for key in range(len(value)) if isinstance(value, list) else list(value):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


@given(st.data())
def test_a_broken_record_is_a_text_or_a_value_error(data: st.DataObject) -> None:
    found = copy.deepcopy(record())
    for _ in range(data.draw(st.integers(1, 4))):
        places = list(_places(found))
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        if isinstance(holder, dict) and data.draw(st.booleans()):
            del holder[key]
        else:
            holder[key] = data.draw(_JUNK)
    body = data.draw(st.one_of(st.none(), st.binary(max_size=60)))
    _all_views(flow(found, body))


@given(st.integers(0, 2000), st.integers(0, 2000), st.binary(max_size=9))
def test_bodies_that_break_off_anywhere(client: int, upstream: int, junk: bytes) -> None:
    found = record()
    found["sent"]["body"] = (ANSWER * 9)[:client] + junk
    response = found["attempts"][1]["response"]
    response["body"] = response["body"][:upstream] + junk
    made = flow(found, json.dumps(ASK).encode()[:client] + junk)
    _all_views(made)


def _all_views(made: http.HTTPFlow) -> None:
    for view in VIEWS:
        for message in (made.request, made.response):
            metadata = contentviews.Metadata(flow=made, http_message=message)
            with contextlib.suppress(ValueError):  # mitmproxy says so in the view's place
                assert isinstance(view.prettify(b"", metadata), str)


# ------------------------------------------------------------------------------------------------ parts


def test_long_lines_are_broken_between_words_and_nothing_is_lost() -> None:
    line = "    " + "word " * 60 + "x" * 300
    broken = wrapped(f"short\n\n{line}\n  end")
    assert broken.startswith("short\n\n    word word") and broken.endswith("\n  end")
    assert broken.split() == ["short", *line.split(), "end"]
    assert all(part.startswith("    word") for part in broken.split("\n")[2:5])


@given(st.text())
def test_breaking_lines_keeps_all_that_is_no_blank(text: str) -> None:
    assert "".join(wrapped(text).split()) == "".join(text.split())


def test_marks_are_bounded_and_keep_their_order() -> None:
    passed = marks.Marks()
    for n in range(1, 10_001):
        passed.add(n * 10, 5.0 + n / 100)
    found = list(marks.read(passed.text(5.0)))
    assert marks.MOST / 4 < len(found) < marks.MOST
    assert found[0] == (10, 10) and 9_000 < sum(size for size, _ in found) / 10 <= 10_000
    assert [ms for _, ms in found] == sorted(ms for _, ms in found) and found[-1][1] > 90_000


@given(st.recursive(st.one_of(st.none(), st.integers(), st.text(max_size=5)), lambda inner: st.one_of(
    st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=4))))  # fmt: skip
def test_a_value_has_no_change_to_itself(value: Any) -> None:
    assert list(changes(value, copy.deepcopy(value))) == []


def test_a_list_that_got_longer_shows_what_is_new() -> None:
    found = list(changes({"a": [1, 2, 3]}, {"a": [0, 1, 2, 4]}))
    assert [(change.path, change.before, change.after) for change in found] == [
        ("a[0] of the new", "", "0"),
        ("a[2]", "3", "4"),
    ]
