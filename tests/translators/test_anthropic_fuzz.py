"""Requests and streams that resemble Anthropic's: what is sent on is what Anthropic demands, and every stream ends.

What holds for all protocols is tested in `test_fuzz.py`."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests import lawful
from translators import anthropic
from translators.codec import Seed, Traits, Wire
from translators.model import BadRequest, Request

SEED = Seed("abcdefghijklmnopqrstuvwx", 1_700_000_000)

junk = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from(["text", "tool_use", "tool_result", "thinking", "image", "document", "base64", "url", "user",
                       "assistant", "system", "auto", "any", "enabled", "adaptive", "server_tool_use"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def shaped(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of these fields, each of a right or a wrong kind."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, junk))


block = st.one_of(
    junk,
    shaped(["type", "text", "id", "name", "input", "tool_use_id", "content", "source", "citations", "cache_control"]),
    st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=5)}),
    st.fixed_dictionaries({"type": st.just("tool_use"), "id": st.sampled_from("ab"), "name": st.just("x"),
                           "input": st.dictionaries(st.text(max_size=2), junk, max_size=2)}),
    st.fixed_dictionaries({"type": st.just("tool_result"), "tool_use_id": st.sampled_from("abc"), "content": junk}),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": st.text(max_size=3), "signature": st.sampled_from(
        ["", "EqQB", "px1.", "px1.!", "px1.w6k="])}),
    st.fixed_dictionaries({"type": st.just("server_tool_use"), "input": junk}),
    st.fixed_dictionaries({"type": st.just("web_search_tool_result"), "content": junk}),
)
message = st.fixed_dictionaries({
    "role": st.sampled_from(["user", "assistant", "system"]),
    "content": st.text(max_size=3) | st.lists(block, max_size=3),
})
body = st.fixed_dictionaries(
    {"max_tokens": st.integers(0, 9000), "messages": st.lists(message, min_size=1, max_size=5)},
    optional={
        "system": st.text(max_size=3) | st.lists(block, max_size=2) | junk,
        "tools": st.lists(shaped(["name", "type", "input_schema", "strict", "cache_control"]), max_size=2) | junk,
        "tool_choice": shaped(["type", "name", "disable_parallel_tool_use"]),
        "thinking": shaped(["type", "budget_tokens", "display"]),
        "output_config": shaped(["effort", "format"]),
        "metadata": junk, "temperature": junk, "stop_sequences": junk, "new_field": junk,
    },
)


@given(body)
def test_a_request_is_refused_or_sent_on(fields: dict[str, Any]) -> None:
    wire = Wire("/v1/messages", json.dumps(fields).encode())
    try:
        request = anthropic.parse_request(wire)
    except BadRequest as refused:
        assert refused.error.status == 400
        return
    for traits in (Traits(), Traits(reasoning="adaptive", mid_system=False, prefill=False, forced_tools=False)):
        sent = json.loads(anthropic.render_request(request, traits).wire.body)
        check(sent)
        again = anthropic.parse_request(Wire("/v1/messages", json.dumps(sent).encode()))
        check(json.loads(anthropic.render_request(again, traits).wire.body))


def check(sent: dict[str, Any]) -> None:
    """What Anthropic demands of every request."""
    assert sent["messages"][0]["role"] == "user"
    waiting: list[str] = []
    before = ""
    for turn in sent["messages"]:
        role, content = turn["role"], turn["content"]
        assert content and (role != before), sent
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        results = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        if role != "user":
            assert not waiting and not (role == "user" and results)
        else:
            assert results == waiting
            assert [b["type"] == "tool_result" for b in blocks] == sorted(
                (b["type"] == "tool_result" for b in blocks), reverse=True)
            waiting = []
        for b in blocks:
            assert b["type"] != "text" or b["text"].strip() or (role == "assistant" and turn is sent["messages"][-1])
            assert b["type"] != "thinking" or b["signature"]
            assert b["type"] != "tool_use" or isinstance(b["input"], dict)
        if role == "assistant":
            waiting = [b["id"] for b in blocks if b["type"] == "tool_use"]
        before = role
    assert not waiting


event = st.fixed_dictionaries(
    {"type": st.sampled_from(["message_start", "content_block_start", "content_block_delta", "content_block_stop",
                              "message_delta", "message_stop", "ping", "error", "new"])},
    optional={
        "index": st.integers(0, 2) | junk,
        "content_block": block,
        "delta": st.fixed_dictionaries(
            {"type": st.sampled_from(["text_delta", "thinking_delta", "input_json_delta", "signature_delta", "x"])},
            optional={
                **dict.fromkeys(["text", "thinking", "partial_json", "signature"], st.text(max_size=3)),
                "stop_reason": st.sampled_from(["end_turn", "tool_use", "new"]),
            },
        ) | junk,
        "message": shaped(["id", "model", "content", "usage"]) | junk,
        "usage": junk, "error": junk,
    },
)


@given(st.lists(event, max_size=12), st.lists(st.integers(0, 900), max_size=6), st.booleans())
def test_every_stream_ends_once(events: list[Any], cuts: list[int], named: bool) -> None:
    names = [f"event: {event['type']}\n".encode() if named else b"" for event in events]
    datas = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    wire = b"".join(name + data for name, data in zip(names, datas, strict=True))
    found = []
    for pieces in ([wire] if wire else [], lawful.chunks(wire, cuts)):
        decoder = anthropic.decoder(SEED)
        out = [event for piece in pieces for event in decoder.feed(piece)] + decoder.feed(b"")
        assert decoder.crash is None
        lawful.check(out)
        found.append(out)
        encoder = anthropic.encoder(Request(model="m"), SEED)
        for frame in filter(None, b"".join(map(encoder.encode, out)).split(b"\n\n")):
            name, data = frame.split(b"\n")
            assert json.loads(data.removeprefix(b"data: "))["type"] == name.removeprefix(b"event: ").decode()
    assert found[0] == found[1]
