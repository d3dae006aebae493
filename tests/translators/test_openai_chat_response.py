"""Whole answers of Chat Completions upstreams."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from translators import openai_chat as chat
from translators.codec import DEFAULT_TRAITS, Seed, Traits
from translators.model import Citation, Refusal, Request, Response, Text, Thinking, ToolCall, UpstreamFault, Usage

SEED = Seed("s" * 24, 1)
CITED = {"type": "url_citation", "url_citation": {"url": "https://x", "title": "T", "start_index": 0, "end_index": 2}}


def answer(message: Any, finish: str | None = "stop", traits: Traits = DEFAULT_TRAITS, **more: Any) -> Response:
    choice = {"index": 0, "message": message, "finish_reason": finish, **more}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return chat.parse_response(json.dumps(body).encode(), SEED, traits)


def test_an_ordinary_answer() -> None:
    body = (
        b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
        b'{"role":"assistant","content":"Hi","refusal":null,"reasoning_content":"hm","annotations":[],"tool_calls":'
        b'[{"id":"a","type":"function","function":{"name":"f","arguments":"{\\"x\\": 1.0}"}}]},"logprobs":null,'
        b'"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":10,"completion_tokens":7,"total_tokens":17,'
        b'"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":1},'
        b'"completion_tokens_details":{"reasoning_tokens":3}}}'
    )
    response = chat.parse_response(body, SEED)
    assert response.parts == (Thinking("hm"), Text("Hi"), ToolCall("a", "f", '{"x": 1.0}'))
    assert (response.reason, response.id, response.model) == ("tool_call", "chatcmpl-1", "m")
    assert response.usage == Usage(5, 4, 1, 4, 3, raw=json.loads(body)["usage"])


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": "x", "reasoning": "r"}, (Thinking("r"), Text("x"))),
        ({"content": "x", "reasoning_details": [{"text": "r"}]}, (Thinking("r"), Text("x"))),
        ({"content": [{"type": "text", "text": "x"}]}, (Text("x"),)),
        ({"content": None}, ()),
        ({"content": None, "refusal": "no"}, (Refusal("no"),)),
        ({"content": "x", "tool_calls": []}, (Text("x"),)),
        (
            {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
            (ToolCall(SEED.item("call_", 0), "f", '{"a":1}'),),
        ),
        ({"function_call": {"name": "f", "arguments": "{}"}}, (ToolCall(SEED.item("call_", 0), "f", "{}"),)),
        (
            {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "p", "input": "***"}}]},
            (ToolCall("c", "p", "***", True),),
        ),
        ({"content": "so", "annotations": [CITED]}, (Text("so", (Citation("https://x", "T", None, 0, 2),)),)),
    ],
)  # fmt: skip
def test_messages(message: Any, parts: Any) -> None:
    assert answer(message).parts == parts


def test_reasons() -> None:
    called = {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}
    assert answer(called, "stop").reason == "tool_call"
    assert answer(called, "length").reason == "length"
    assert answer({"content": "x"}, "tool_calls").reason == "end"
    assert answer({"content": "x"}, None).reason == "end"
    assert answer({"content": "x"}, "whatever").reason == "end"
    assert answer({"content": None, "refusal": "no"}).reason == "refusal"
    stopped = answer({"content": "x"}, "stop", stop_reason="END")
    assert (stopped.reason, stopped.stop_sequence) == ("stop_sequence", "END")


def test_think_tags() -> None:
    tags = Traits(think_tags=True)
    assert answer({"content": "<think>a</think>\n\nb"}, traits=tags).parts == (Thinking("a"), Text("b"))
    assert answer({"content": "a\n</think>\n\nb"}, traits=tags).parts == (Thinking("a"), Text("b"))
    assert answer({"content": "b"}, traits=tags).parts == (Text("b"),)


def test_no_choices_is_an_empty_answer() -> None:
    assert chat.parse_response(b'{"id":"c1","choices":[]}', SEED).parts == ()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":{"message":"Rate limit","code":429}}', "rate_limit"),
        (b'[{"error":{"message":"x","code":503,"status":"UNAVAILABLE"}}]', "overloaded"),
        (b'{"object":"error","message":"The model does not exist","code":404}', "not_found"),
        (b'{"choices":[{"message":{"content":""},"finish_reason":"error"}]}', "server"),
    ],
)
def test_an_error_that_calls_itself_an_answer(body: bytes, kind: str) -> None:
    with pytest.raises(UpstreamFault) as caught:
        chat.parse_response(body, SEED)
    assert caught.value.error.kind == kind


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":1}', b"[]x", b"7"])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        chat.parse_response(body, SEED)


def test_an_answer_survives_both_ways() -> None:
    response = Response(
        (Thinking("t"), Text("x"), ToolCall("c", "f", '{"a":1}')), "tool_call", "chatcmpl-9", "m",
        Usage(5, 4, 1, 4, 3, raw={}),
    )  # fmt: skip
    again = chat.parse_response(chat.render_response(response, Request(model="m"), SEED), SEED)
    assert again.usage is not None
    assert msgspec.structs.replace(again, usage=msgspec.structs.replace(again.usage, raw={})) == response
