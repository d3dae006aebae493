"""A Chat client's request, as it really comes, in neutral words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import openai_chat as chat
from translators.codec import Wire
from translators.model import (
    Audio,
    BadRequest,
    Blob,
    File,
    Format,
    HostedTool,
    Image,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

HELLO = {"role": "user", "content": "hi"}


def parsed(messages: list[Any] | None = None, **fields: Any) -> Request:
    body = {"model": "m", "messages": [HELLO] if messages is None else messages, **fields}
    return chat.parse_request(Wire("/v1/chat/completions", json.dumps(body).encode()))


def refused(messages: Any = None, **fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parsed(messages, **fields)
    return caught.value


def test_what_it_claims() -> None:
    assert chat.claims("POST", "/v1/chat/completions") and chat.claims("POST", "/chat/completions")
    assert not chat.claims("GET", "/v1/chat/completions") and not chat.claims("POST", "/v1/completions")


def test_roles_and_texts() -> None:
    request = parsed(
        [
            {"role": "system", "content": "s"},
            {"role": "developer", "content": [{"type": "text", "text": "d"}]},
            {"role": "user", "content": "u", "name": "ann"},
            {"role": "assistant", "content": "a"},
        ]
    )
    assert request.messages == [
        Message("system", (Text("s"),)),
        Message("developer", (Text("d"),)),
        Message("user", (Text("u"),), "ann"),
        Message("assistant", (Text("a"),)),
    ]


def test_media_of_a_user() -> None:
    content = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AAEC", "detail": "high"}},
        {"type": "image_url", "image_url": "https://example.com/cat.png"},
        {"type": "image_url", "image_url": {"url": "data:application/pdf;base64,JVBE"}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JV\nBE", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "hologram", "text": "whee", "depth": 3},
    ]
    parts = parsed([{"role": "user", "content": content}]).messages[0].parts
    assert parts == (
        Text("look"),
        Image(Blob("image/jpeg", "AAEC"), "high"),
        Image(Blob(url="https://example.com/cat.png")),
        File(Blob("application/pdf", "JVBE")),
        Audio(Blob("audio/mpeg", "UklG")),
        File(Blob("application/pdf", "JVBE"), "a.pdf"),
        File(Blob(file_id="file-1"), extra={"openai-chat": {}}),
        Opaque("openai-chat", "hologram", {"type": "hologram", "text": "whee", "depth": 3}, "whee"),
    )


def test_cache_marks_of_both_styles() -> None:
    content = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
    ]
    parts = parsed([{"role": "user", "content": content}]).messages[0].parts
    assert parts == (Text("a", cache=""), Text("b", cache="12h"))


def test_tool_calls_and_results_are_grouped() -> None:
    request = parsed(
        [
            HELLO,
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "hm",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"p":1}'}},
                    {"id": "c2", "type": "function", "function": {"name": "ls", "arguments": {"p": 2}}},
                    {"id": "c3", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
            {"role": "tool", "tool_call_id": "c3", "content": {"exit": 0}},
            {"role": "user", "content": "go on"},
        ]
    )
    assert request.messages[1].parts == (
        Thinking("hm"),
        ToolCall("c1", "ls", '{"p":1}'),
        ToolCall("c2", "ls", '{"p":2}'),
        ToolCall("c3", "patch", "*** Begin", True),
    )
    assert request.messages[2] == Message(
        "user",
        (
            ToolResult("c1", (Text("one"),)),
            ToolResult("c2", (Text("two"),)),
            ToolResult("c3", (Text('{"exit":0}'),), custom=True),
        ),
    )
    assert request.messages[3] == Message("user", (Text("go on"),))


@pytest.mark.parametrize(
    ("content", "parts"),
    [("", ()), (None, ()), (7, (Text("7"),)), ([], ()), (["x"], (Text("x"),)), ({"a": None}, (Text('{"a":null}'),))],
)
def test_odd_tool_results(content: Any, parts: tuple[Text, ...]) -> None:
    call = {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]}
    request = parsed([HELLO, call, {"role": "tool", "tool_call_id": "c", "content": content}])
    assert request.messages[2].parts == (ToolResult("c", parts),)


def test_missing_ids_are_made_and_matched_in_order() -> None:
    calls = [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "g", "arguments": "{}"}}]
    history = [HELLO, {"role": "assistant", "tool_calls": calls}, {"role": "tool", "content": "1"},
               {"role": "tool", "content": "2"}]  # fmt: skip
    request, again = parsed(history), parsed(history)
    made = [part.id for part in request.messages[1].parts if isinstance(part, ToolCall)]
    assert [part.id for part in request.messages[2].parts if isinstance(part, ToolResult)] == made
    assert len(set(made)) == 2 and all(chat.CALL_ID.fullmatch(id) for id in made)
    assert request == again


def test_legacy_functions() -> None:
    request = parsed(
        [
            HELLO,
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "42"},
        ],
        functions=[{"name": "f", "parameters": {"type": "object", "properties": {}}}],
        function_call={"name": "f"},
    )
    assert request.messages[1].parts == (ToolCall("fn_1", "f", "{}"),)
    assert request.messages[2].parts == (ToolResult("fn_1", (Text("42"),), "f"),)
    assert request.tools == [
        Tool("f", schema={"type": "object", "properties": {}}, extra={"openai-chat": {"legacy": True}})
    ]
    assert request.tool_choice == ToolChoice("named", ("f",))


def test_refusals_and_empty_assistants() -> None:
    refusal = {"role": "assistant", "content": None, "refusal": "no"}
    request = parsed([HELLO, refusal, {"role": "assistant", "content": ""}])
    assert request.messages[1:] == [Message("assistant", (Refusal("no"),)), Message("assistant", ())]


def test_tools_of_every_shape() -> None:
    request = parsed(
        tools=[
            {"type": "function", "function": {"name": "a", "description": "A", "parameters": {"type": "object"}}},
            {"type": "function", "name": "flat", "parameters": {"type": "object"}, "strict": True},
            {"type": "custom", "custom": {"name": "free"}},
            {
                "type": "custom",
                "custom": {
                    "name": "patch",
                    "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}},
                },
            },
            {"type": "web_search_preview", "search_context_size": "low"},
        ]
    )
    assert request.tools == [
        Tool("a", "A", {"type": "object"}),
        Tool("flat", None, {"type": "object"}, True),
        Tool("free", custom=True),
        Tool("patch", custom=True, grammar={"syntax": "lark", "definition": "start: x"}),
        HostedTool(
            "web_search", "web_search_preview", "openai-chat",
            {"type": "web_search_preview", "search_context_size": "low"},
        ),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wire", "choice"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ("any", ToolChoice("required")),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "tool"}, ToolChoice("required")),
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("named", ("f",))),
        ({"type": "function", "name": "f"}, ToolChoice("named", ("f",))),
        ({"type": "tool", "name": "f"}, ToolChoice("named", ("f",))),
        ({"type": "custom", "custom": {"name": "f"}}, ToolChoice("named", ("f",))),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            ToolChoice("allowed", ("f",), True),
        ),
    ],
)
def test_choices(wire: Any, choice: ToolChoice) -> None:
    assert parsed(tool_choice=wire).tool_choice == choice


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"reasoning_effort": "none"}, Reasoning("off")),
        ({"reasoning_effort": "xhigh"}, Reasoning("xhigh")),
        ({"reasoning_effort": None}, None),
        ({"reasoning_effort": {"effort": "low", "summary": "auto"}}, Reasoning("low", summary="auto")),
        ({"reasoning": {"max_tokens": 5000, "exclude": True}}, Reasoning("medium", 5000, False)),
        ({"reasoning": {"enabled": False}}, Reasoning("off")),
        ({"thinking": {"type": "enabled", "budget_tokens": 500}}, Reasoning("minimal", 500)),
        ({"thinking": {"type": "disabled"}}, Reasoning("off")),
        ({"enable_thinking": True}, Reasoning("auto")),
    ],
)
def test_reasoning(fields: dict[str, Any], reasoning: Reasoning | None) -> None:
    request = parsed(**fields)
    assert request.reasoning == reasoning
    assert request.extra == {}


def test_settings() -> None:
    request = parsed(
        max_tokens=9,
        max_completion_tokens=10,
        stop="END",
        temperature=0,
        top_p=0.5,
        seed=7,
        logprobs=True,
        top_logprobs=3,
        logit_bias={"50256": -100},
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        user="u",
        safety_identifier="s",
        metadata={"a": "b"},
        store=True,
        service_tier="flex",
        prompt_cache_key="k",
        verbosity="low",
        n=2,
        tools=None,
        audio={"voice": "alloy", "format": "wav"},
        web_search_options={"search_context_size": "low"},
        brand_new=[1, 2],
    )
    assert request.max_output == 10 and request.stop == ["END"] and request.temperature == 0
    assert request.logprobs == 3 and request.logit_bias == {"50256": -100} and request.parallel_tools is False
    assert request.format == Format("schema", {"type": "object"}, "n")
    assert request.stream and request.include_usage and request.n == 2 and request.cache_key == "k"
    assert request.tools == [
        HostedTool(
            "web_search", "web_search", "openai-chat", {"web_search_options": {"search_context_size": "low"}}
        )
    ]  # fmt: skip
    assert request.extra == {"openai-chat": {"audio": {"voice": "alloy", "format": "wav"}, "brand_new": [1, 2]}}


@pytest.mark.parametrize(
    ("messages", "fields", "path"),
    [
        ([], {}, "messages"),
        ("hi", {}, "messages"),
        ([{"content": "x"}], {}, "messages[0]"),
        ([{"role": "king", "content": "x"}], {}, "messages[0].role"),
        ([{"role": "user", "content": [{"type": "text"}]}], {}, "messages[0].content[0].text"),
        ([{"role": "user", "content": {"a": 1}}], {}, "messages[0].content"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], {}, "messages[0].content[0].image_url"),
        ([{"role": "assistant", "tool_calls": [{"id": "c"}]}], {}, "messages[0].tool_calls[0].function"),
        (None, {"temperature": "hot"}, "temperature"),
        (None, {"n": 0}, "n"),
        (None, {"tools": [{"type": "function", "function": {}}]}, "tools[0].function"),
        (None, {"tool_choice": "sometimes"}, "tool_choice"),
        (None, {"reasoning_effort": "huge"}, "reasoning_effort"),
        (None, {"response_format": {"type": "xml"}}, "response_format.type"),
        (None, {"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    ],
)
def test_what_is_wrong_is_named(messages: Any, fields: dict[str, Any], path: str) -> None:
    error = refused(messages, **fields).error
    assert error.param == path and error.status == 400 and path in error.message


def test_missing_messages_and_broken_json() -> None:
    with pytest.raises(BadRequest, match="messages is required"):
        chat.parse_request(Wire("/", b'{"model": "m"}'))
    with pytest.raises(BadRequest, match="not valid JSON"):
        chat.parse_request(Wire("/", b'{"model": "m", "messages": ['))


def test_relay_changes_nothing_but_the_model() -> None:
    body = b'{ "model": "a", "messages":[{"role":"user","content":"\\u00e9"}], "x": 1.0 }'
    relayed = chat.relay(Wire("/v1/chat/completions?a=b", body), "generate", "b")
    assert relayed.path == "/chat/completions?a=b" and relayed.body == body.replace(b'"a"', b'"b"')
