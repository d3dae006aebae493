"""What a Chat upstream is sent: an allow-list, in the order that strict servers demand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import openai_chat as chat
from translators.codec import DEFAULT_TRAITS, Rendered, Traits, Wire
from translators.model import (
    Audio,
    Blob,
    File,
    Format,
    HostedTool,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from translators.policy import BALANCED_REJECT, INFO, STRICT_REJECT, STRICT_REJECT_WARN, WARN, Rule

HI = Message("user", (Text("hi"),))
PNG = Image(Blob("image/png", "iVBO"))
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
STRICT = {**SCHEMA, "required": ["a"], "additionalProperties": False}


def user(*parts: Part) -> Message:
    return Message("user", parts)


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


def rendered(messages: list[Message] | None = None, traits: Traits = DEFAULT_TRAITS, **fields: Any) -> Rendered:
    request = Request(model="up", messages=[HI] if messages is None else messages, **fields)
    first = chat.render_request(request, traits)
    assert chat.render_request(request, traits).wire == first.wire, "the same request, the same bytes"
    return first


def body(messages: list[Message] | None = None, traits: Traits = DEFAULT_TRAITS, **fields: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(rendered(messages, traits, **fields).wire.body)
    return value


def sent(*messages: Message, traits: Traits = DEFAULT_TRAITS) -> list[Any]:
    out: list[Any] = body(list(messages), traits)["messages"]
    return out


def lost(messages: list[Message] | None = None, traits: Traits = DEFAULT_TRAITS, **fields: Any) -> dict[str, Rule]:
    return {loss.path: loss.rule for loss in rendered(messages, traits, **fields).losses}


def test_the_least() -> None:
    out = rendered()
    assert out.wire == Wire(
        "/chat/completions",
        b'{"model":"up","messages":[{"role":"user","content":"hi"}]}',
        {"content-type": "application/json"},
    )
    assert list(out.losses) == []


# ---- messages


def test_leading_operators_are_one_message_without_the_billing_header() -> None:
    billing = Text("x-anthropic-billing-header: cch=1;", extra={"anthropic": {"billing": True}})
    messages = sent(
        Message("system", (billing, Text("a", cache="5m"), Text("b"))), Message("developer", (Text("c"),)), HI
    )
    assert messages == [{"role": "system", "content": "a\n\nb\n\nc"}, {"role": "user", "content": "hi"}]
    assert sent(Message("system", (billing,)), HI) == [{"role": "user", "content": "hi"}]
    assert sent(Message("system", (Text("a"),)), HI, traits=Traits(system_role="developer"))[0]["role"] == "developer"


def test_operators_in_the_middle() -> None:
    middle = Message("developer", (Text("now"),))
    assert sent(HI, assistant(Text("a")), middle)[2] == {"role": "system", "content": "now"}
    traits = Traits(mid_system=False)
    assert sent(HI, assistant(Text("a")), middle, traits=traits)[2] == {
        "role": "user",
        "content": "<system-reminder>\nnow\n</system-reminder>",
    }
    assert lost([HI, middle], traits) == {"messages[1]": WARN}


def test_user_content() -> None:
    assert sent(user(Text("a"), Text(""), Text("b")))[0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert sent(user())[0]["content"] == ""
    url = Image(Blob(url="https://example.com/c.png"), "low")
    assert sent(user(PNG, url))[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/c.png", "detail": "low"}},
    ]


def test_files_and_sounds() -> None:
    parts = (
        File(Blob("application/pdf", "JVBE"), "a.pdf"),
        File(Blob("text/plain", "aGVsbG8="), "a.txt"),
        File(Blob(text="plain")),
        File(Blob(file_id="file-1"), extra={"openai-chat": {}}),
        Audio(Blob("audio/wav", "UklG")),
    )
    assert sent(user(*parts))[0]["content"] == [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        {"type": "text", "text": "File: a.txt\nhello"},
        {"type": "text", "text": "plain"},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
    ]


@pytest.mark.parametrize(
    ("part", "traits", "rule"),
    [
        (PNG, Traits(input=("text",)), STRICT_REJECT_WARN),
        (File(Blob("application/pdf", "JVBE")), Traits(input=("text", "image")), STRICT_REJECT_WARN),
        (File(Blob(url="https://example.com/a.pdf")), DEFAULT_TRAITS, BALANCED_REJECT),
        (File(Blob(file_id="file_abc")), DEFAULT_TRAITS, BALANCED_REJECT),
        (Image(Blob(file_id="file_abc")), DEFAULT_TRAITS, BALANCED_REJECT),
        (Audio(Blob("audio/ogg", "T2dn")), DEFAULT_TRAITS, BALANCED_REJECT),
        (Opaque("anthropic", "search_result", {}, "found"), DEFAULT_TRAITS, STRICT_REJECT_WARN),
    ],
)
def test_what_the_target_cannot_take_leaves_a_note_and_a_loss(part: Part, traits: Traits, rule: Rule) -> None:
    message = user(Text("see"), part)
    assert [item["type"] for item in sent(message, traits=traits)[0]["content"]] == ["text", "text"]
    assert list(lost([message], traits).values()) == [rule]


def test_results_come_first_and_their_media_behind_all_of_them() -> None:
    messages = sent(
        HI,
        assistant(Text("let me see"), ToolCall("c1", "shot", "{}"), ToolCall("c2", "ls", "")),
        user(
            ToolResult("c1", (Text("a picture"), PNG)),
            ToolResult("c2", (Text("no"), Text("way")), error=True),
            Text("and hurry"),
        ),
    )
    assert messages[1:] == [
        {
            "role": "assistant",
            "content": "let me see",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "shot", "arguments": "{}"}},
                {"id": "c2", "type": "function", "function": {"name": "ls", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a picture\n\n[image 1 follows]"},
        {"role": "tool", "tool_call_id": "c2", "content": "Error: no\n\nway"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "[image 1]"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
                {"type": "text", "text": "and hurry"},
            ],
        },
    ]


def test_media_of_results_waits_for_a_message_of_its_own() -> None:
    history = [HI, assistant(ToolCall("c1", "shot")), user(ToolResult("c1", (PNG,))), assistant(Text("nice"))]
    assert [message["role"] for message in sent(*history)] == ["user", "assistant", "tool", "user", "assistant"]
    assert lost(history) == {"messages[2]": WARN}


def test_assistant_turns() -> None:
    assert sent(HI, assistant(ToolCall("c", "f", '{"a": 1.0}')))[1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.0}'}}],
    }
    assert sent(HI, assistant(Refusal("no")))[1] == {"role": "assistant", "content": None, "refusal": "no"}
    assert sent(HI, assistant(Text("a"), Text("b")))[1] == {"role": "assistant", "content": "a\n\nb"}
    assert len(sent(HI, assistant(Thinking("hm")))) == 1, "nothing is left of it"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [("", "{}"), ("null", "{}"), ('{"a":1}{"b":2}', '{"a":1}'), ('{"a', '{"input":"{\\"a"}'), ('"x"', '{"input":"x"}')],
)
def test_arguments_are_json_objects(arguments: str, text: str) -> None:
    call = sent(HI, assistant(ToolCall("c", "f", arguments)))[1]["tool_calls"][0]
    assert call["function"]["arguments"] == text


def test_thoughts_go_back_only_where_the_target_wants_them() -> None:
    turn = assistant(Thinking("hm"), ToolCall("c", "f", "{}"))
    assert "reasoning_content" not in sent(HI, turn)[1]
    assert sent(HI, turn, traits=Traits(replay="reasoning_content"))[1]["reasoning_content"] == "hm"
    assert sent(HI, turn, traits=Traits(replay="reasoning"))[1]["reasoning"] == "hm"
    assert lost([HI, turn, user(ToolResult("c"))]) == {"messages.thinking": INFO}


def test_what_a_provider_did_itself_is_told_in_words() -> None:
    turn = assistant(ServerTool("web_search", "call", text="[searched: cats]"), Text("Found."))
    assert sent(HI, turn)[1]["content"] == "[searched: cats]\n\nFound."
    assert lost([HI, turn]) == {"messages[1]": STRICT_REJECT_WARN}


def test_calls_without_results_are_answered() -> None:
    messages = sent(HI, assistant(ToolCall("c", "f", "{}")), user(Text("stop that")))
    assert messages[2:] == [
        {"role": "tool", "tool_call_id": "c", "content": "[no result]"},
        {"role": "user", "content": "stop that"},
    ]


def test_a_model_that_continues_no_assistant_is_asked_to() -> None:
    traits = Traits(prefill=False)
    assert sent(HI, assistant(Text("Once")), traits=traits)[2] == {"role": "user", "content": "Continue."}
    assert lost([HI, assistant(Text("Once"))], traits) == {"messages": STRICT_REJECT_WARN}


def test_cache_marks() -> None:
    marked = user(Text("a", cache="12h"))
    assert sent(marked) == [{"role": "user", "content": "a"}]
    assert lost([marked]) == {"cache_control": INFO}
    assert sent(marked, traits=Traits(cache_marks=True))[0]["content"] == [
        {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
    ]


# ---- tools


def test_tools() -> None:
    out = body(tools=[Tool("a", "A", SCHEMA), Tool("b"), Tool("a", "again")], parallel_tools=False)
    assert out["tools"] == [
        {"type": "function", "function": {"name": "a", "description": "A", "parameters": SCHEMA}},
        {"type": "function", "function": {"name": "b", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert out["parallel_tool_calls"] is False and "tool_choice" not in out


def test_no_choice_without_tools() -> None:
    out = body(tool_choice=ToolChoice("auto"), parallel_tools=True)
    assert out.keys() == {"model", "messages"}


def test_strict_only_where_asked_and_possible() -> None:
    def function(tool: Tool, traits: Traits = DEFAULT_TRAITS) -> dict[str, Any]:
        value: dict[str, Any] = body(tools=[tool], traits=traits)["tools"][0]["function"]
        return value

    assert function(Tool("a", schema=STRICT, strict=True))["strict"] is True
    assert "strict" not in function(Tool("a", schema=STRICT))
    assert "strict" not in function(Tool("a", schema=SCHEMA, strict=True))
    assert "strict" not in function(Tool("a", schema=STRICT, strict=True), Traits(strict_tools=False))
    assert lost(tools=[Tool("a", schema=SCHEMA, strict=True)]) == {"tools[0].strict": WARN}


def test_a_freeform_tool() -> None:
    tool = Tool("patch", "Edit files.", custom=True, grammar={"syntax": "lark", "definition": "start: x"})
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}}
    assert body(tools=[tool])["tools"] == [
        {"type": "custom", "custom": {"name": "patch", "description": "Edit files.", "format": grammar}}
    ]
    assert sent(HI, assistant(ToolCall("c", "patch", "*** x", custom=True)))[1]["tool_calls"] == [
        {"id": "c", "type": "custom", "custom": {"name": "patch", "input": "*** x"}}
    ]
    choice = ToolChoice("named", ("patch",))
    assert body(tools=[tool], tool_choice=choice)["tool_choice"] == {"type": "custom", "custom": {"name": "patch"}}


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("named", ("a",)), {"type": "function", "function": {"name": "a"}}),
        (
            ToolChoice("allowed", ("a",), True),
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "a"}}]},
            },
        ),
    ],
)
def test_choices(choice: ToolChoice, wire: Any) -> None:
    assert body(tools=[Tool("a"), Tool("b")], tool_choice=choice)["tool_choice"] == wire


def test_a_forced_tool_where_thinking_forbids_it() -> None:
    fields: dict[str, Any] = {"tools": [Tool("a")], "tool_choice": ToolChoice("required")}
    traits = Traits(forced_tools=False)
    assert body(traits=traits, reasoning=Reasoning("high"), **fields)["tool_choice"] == "auto"
    assert body(traits=traits, reasoning=Reasoning("off"), **fields)["tool_choice"] == "required"
    assert lost(traits=traits, reasoning=Reasoning("high"), **fields) == {"tool_choice": STRICT_REJECT_WARN}


def test_hosted_tools() -> None:
    search = HostedTool("web_search", "web_search", "anthropic", {"type": "web_search_20250305"})
    assert [tool["function"]["name"] for tool in body(tools=[search, Tool("a")])["tools"]] == ["a"]
    assert lost(tools=[search, Tool("a")]) == {"tools[0]": STRICT_REJECT}
    assert lost(tools=[search]) == {"tools[0]": BALANCED_REJECT}
    assert "tools" not in body(tools=[search])
    forced = ToolChoice("named", ("web_search",))
    assert lost(tools=[search, Tool("a")], tool_choice=forced) == {
        "tools[0]": BALANCED_REJECT,
        "tool_choice": BALANCED_REJECT,
    }
    assert "tool_choice" not in body(tools=[search, Tool("a")], tool_choice=forced)


def test_tools_that_anthropics_clients_run_are_functions() -> None:
    bash = HostedTool("bash", "bash", "anthropic", {"type": "bash_20250124", "name": "bash"})
    function = body(tools=[bash])["tools"][0]["function"]
    assert function["name"] == "bash" and set(function["parameters"]["properties"]) == {"command", "restart"}


def test_search_options_of_a_chat_client_go_back() -> None:
    tool = HostedTool("web_search", "web_search", "openai-chat", {"web_search_options": {"search_context_size": "low"}})
    assert body(tools=[tool])["web_search_options"] == {"search_context_size": "low"}


# ---- settings


def test_limits_and_stops() -> None:
    assert body(max_output=9)["max_tokens"] == 9
    assert body(max_output=9, traits=Traits(max_tokens_field="max_completion_tokens"))["max_completion_tokens"] == 9
    assert body(max_output=9000, traits=Traits(max_output=8192))["max_tokens"] == 8192
    assert lost(max_output=9000, traits=Traits(max_output=8192)) == {"max_tokens": STRICT_REJECT}
    assert body(stop=["1", "2", "3", "4", "5"])["stop"] == ["1", "2", "3", "4"]
    assert lost(stop=["1", "2", "3", "4", "5"]) == {"stop": STRICT_REJECT_WARN}
    assert "stop" not in body(stop=["1"], traits=Traits(drop=("stop",)))


def test_sampling() -> None:
    out = body(temperature=2.5, top_p=0.5, seed=1, presence_penalty=0.1, frequency_penalty=0.2, logprobs=0, n=2)
    assert out["temperature"] == 2 and out["top_p"] == 0.5 and out["seed"] == 1 and out["n"] == 2
    assert out["logprobs"] is True and "top_logprobs" not in out
    gated = Traits(drop=("temperature", "top_p"))
    assert body(temperature=1, top_p=1, traits=gated).keys() == {"model", "messages"}
    assert lost(temperature=1, traits=gated) == {"temperature": STRICT_REJECT}
    assert lost(top_k=40, min_p=0.1, background=True) == {
        "top_k": STRICT_REJECT,
        "min_p": WARN,
        "background": STRICT_REJECT_WARN,
    }


def test_identity() -> None:
    assert body(user="u1", safety_id="s", cache_key="k", tier="standard_only") == {
        "model": "up",
        "messages": [{"role": "user", "content": "hi"}],
        "user": "u1",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "service_tier": "default",
    }
    assert len(body(user='{"device_id":"' + "x" * 80)["user"]) == 64
    assert "metadata" not in body(metadata={"a": "b"})
    assert body(metadata={"a": "b"}, store=True)["metadata"] == {"a": "b"}


@pytest.mark.parametrize(
    ("reasoning", "traits", "wire"),
    [
        (Reasoning("high"), Traits(), {"reasoning_effort": "high"}),
        (Reasoning("off"), Traits(), {"reasoning_effort": "none"}),
        (Reasoning("auto"), Traits(), {}),
        (Reasoning("xhigh", 32000), Traits(efforts=("low", "high")), {"reasoning_effort": "high"}),
        (Reasoning("minimal"), Traits(efforts=("low", "high")), {"reasoning_effort": "low"}),
        (Reasoning("off"), Traits(efforts=("low", "high")), {"reasoning_effort": "low"}),
        (Reasoning("high"), Traits(reasoning="thinking"), {"thinking": {"type": "enabled"}}),
        (Reasoning("off"), Traits(reasoning="thinking"), {"thinking": {"type": "disabled"}}),
        (
            Reasoning("high", 9000),
            Traits(reasoning="enable_thinking"),
            {"enable_thinking": True, "thinking_budget": 9000},
        ),
        (Reasoning("off"), Traits(reasoning="enable_thinking"), {"enable_thinking": False}),
        (Reasoning("low"), Traits(reasoning="reasoning"), {"reasoning": {"effort": "low"}}),
        (Reasoning("high"), Traits(reasoning="none"), {}),
        (None, Traits(reasoning="thinking"), {}),
    ],
)
def test_reasoning(reasoning: Reasoning | None, traits: Traits, wire: dict[str, Any]) -> None:
    out = body(reasoning=reasoning, traits=traits)
    assert {name: value for name, value in out.items() if name not in ("model", "messages")} == wire


def test_formats() -> None:
    assert body(format=Format("json"))["response_format"] == {"type": "json_object"}
    assert body(format=Format("schema", STRICT, "my name"))["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "my_name", "schema": STRICT, "strict": True},
    }
    assert body(format=Format("schema", SCHEMA))["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": SCHEMA},
    }
    plain = body(format=Format("schema", SCHEMA), traits=Traits(structured=False))
    assert plain["response_format"] == {"type": "json_object"}
    assert plain["messages"][0]["role"] == "system" and '"properties"' in plain["messages"][0]["content"]


def test_streams_ask_for_usage_where_that_is_known() -> None:
    assert body(stream=True)["stream_options"] == {"include_usage": True}
    out = body(stream=True, traits=Traits(stream_usage=False))
    assert out["stream"] is True and "stream_options" not in out


def test_foreign_fields_stay_behind_with_a_loss_and_own_ones_go_back() -> None:
    extra = {
        "anthropic": {"context_management": {}, "mcp_servers": [], "cache_control": {}},
        "ollama": {"options": {"num_ctx": 1}},
        "openai-responses": {"moderation": {"model": "x"}},
        "openai-chat": {"brand_new": 1, "model": "never"},
    }
    out = body(extra=extra)
    assert out.keys() == {"model", "messages", "moderation", "brand_new"} and out["model"] == "up"
    assert lost(extra=extra) == {
        "context_management": STRICT_REJECT,
        "mcp_servers": BALANCED_REJECT,
        "cache_control": INFO,
        "options": INFO,
    }


def test_a_chat_request_survives_the_neutral_model() -> None:
    wire = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "u"}, {"type": "image_url", "image_url": {"url": "https://x/y"}}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "patch", "input": "*** x"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "done"},
        ],
        "tools": [{"type": "custom", "custom": {"name": "patch", "description": "d", "format": {
            "type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}}}}],
        "tool_choice": {"type": "custom", "custom": {"name": "patch"}},
        "reasoning_effort": "low",
        "max_tokens": 5,
        "stop": ["x"],
        "top_k": 3,
        "repetition_penalty": 1.1,
        "brand_new": {"a": 1},
    }  # fmt: skip
    request = chat.parse_request(Wire("/", json.dumps(wire).encode()))
    out = chat.render_request(request)
    assert json.loads(out.wire.body) == wire
    assert list(out.losses) == []


def test_a_longer_history_renders_to_the_same_beginning() -> None:
    history = [
        Message("system", (Text("s"),)),
        HI,
        assistant(Thinking("t"), ToolCall("c", "f", '{ "a" : 1 }')),
        user(ToolResult("c", (PNG, Text("x")))),
        assistant(Text("a")),
        user(Text("more"), PNG),
    ]
    whole = sent(*history)
    for end in (2, 5, 6):
        part = sent(*history[:end])
        assert whole[: len(part)] == part
