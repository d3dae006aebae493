"""What an Anthropic client sends, as the neutral model has it. The wires are written out by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import anthropic
from translators.anthropic.relay import relay_body
from translators.codec import Wire
from translators.model import (
    BadRequest,
    Blob,
    File,
    Format,
    HostedTool,
    Image,
    Message,
    Opaque,
    Reasoning,
    Request,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)


def parse(headers: dict[str, str] | None = None, **fields: Any) -> Request:
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], **fields}
    return anthropic.parse_request(Wire("/v1/messages", json.dumps(body).encode(), headers or {}))


def parts(*blocks: Any, role: str = "user") -> tuple[Any, ...]:
    return parse(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts


def refused(body: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        anthropic.parse_request(Wire("/v1/messages", body))
    return caught.value


# ---- the conversation


def test_system_stands_in_front_with_its_cache_marks() -> None:
    request = parse(system=[
        {"type": "text", "text": "You are A.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ])
    assert request.messages == [
        Message("system", (Text("You are A.", cache=""), Text("Be brief.", cache="1h"))),
        Message("user", (Text("hi"),)),
    ]


def test_system_may_be_a_string_and_may_come_in_the_middle() -> None:
    request = parse(system="Lead.", messages=[
        {"role": "user", "content": "one"}, {"role": "system", "content": "Mid."},
        {"role": "assistant", "content": "a"},
    ])
    assert [(m.role, m.parts[0]) for m in request.messages] == [
        ("system", Text("Lead.")), ("user", Text("one")), ("system", Text("Mid.")), ("assistant", Text("a")),
    ]


BILLING = "x-anthropic-billing-header: cc_version=2.1.160; cch=9f3ab;"


@pytest.mark.parametrize("system", [
    [{"type": "text", "text": BILLING}, {"type": "text", "text": "You are Claude Code."}],
    f"{BILLING}\n\nYou are Claude Code.",
])
def test_the_billing_line_of_claude_code_can_be_told_apart(system: Any) -> None:
    first, second = parse(system=system).messages[0].parts
    assert first == Text(BILLING, extra={"anthropic": {"billing": True}})
    assert second == Text("You are Claude Code.")


def test_tool_input_stays_the_text_that_was_sent() -> None:
    raw = b'{"path": "a.py", "n": 1.0,\n "e": "\\u00e9", "big": 12345678901234567890}'
    body = (
        b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"go"},{"role":"assistant","content":'
        b'[{"type":"tool_use","id":"toolu_1","name":"Read","input":' + raw + b'}]}]}'
    )
    call = anthropic.parse_request(Wire("/v1/messages", body)).messages[1].parts[0]
    assert call == ToolCall("toolu_1", "Read", raw.decode())


def test_tool_results_in_every_form() -> None:
    results = parts(
        {"type": "tool_result", "tool_use_id": "a", "content": "rain"},
        {"type": "tool_result", "tool_use_id": "b", "is_error": True, "content": [
            {"type": "text", "text": "no"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
        ]},
        {"type": "tool_result", "tool_use_id": "c"},
        {"type": "tool_result", "tool_use_id": "d", "content": {"a": 1}},
        {"type": "tool_result", "tool_use_id": "e", "content": 5},
        {"type": "tool_result", "tool_use_id": "f", "content": [{"type": "tool_reference", "tool_name": "Grep"}],
         "cache_control": {"type": "ephemeral"}},
    )
    assert results == (
        ToolResult("a", (Text("rain"),)),
        ToolResult("b", (Text("no"), Image(Blob("image/png", "QUJD"))), error=True),
        ToolResult("c"),
        ToolResult("d", (Text('{"a":1}'),)),
        ToolResult("e", (Text("5"),)),
        ToolResult("f", (Opaque(
            "anthropic", "tool_reference", {"type": "tool_reference", "tool_name": "Grep"}, "[tool Grep is available]",
        ),), cache=""),
    )


def test_thoughts_keep_their_tokens() -> None:
    found = parts(
        {"type": "thinking", "thinking": "plan", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "thinking", "thinking": "", "signature": ""},
        role="assistant",
    )
    assert found == (
        Thinking("plan", extra={"anthropic": {"signature": "EqQB"}}),
        Thinking("", True, extra={"anthropic": {"data": "xyz"}}),
        Thinking(""),
    )


def test_a_thought_with_our_mark_is_nobodys() -> None:
    shown, hidden = parts(
        {"type": "thinking", "thinking": "seen", "signature": "px1."},
        {"type": "thinking", "thinking": "", "signature": "px1.aGlkZGVuIMOp"},
        role="assistant",
    )
    assert shown == Thinking("seen")
    assert hidden == Thinking("hidden é")


def test_images_and_documents() -> None:
    assert parts(
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpg", "data": "QUJD"}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}, "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
         "title": "a.pdf", "context": "c", "citations": {"enabled": True}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hello"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "one"}]}},
    ) == (
        Image(Blob("image/jpeg", "QUJD")),
        Image(Blob(url="https://x/y.png"), cache=""),
        Image(Blob(file_id="file_1"), extra={"anthropic": {"file": True}}),
        File(Blob("application/pdf", "JVBERi0="), "a.pdf", "c", True),
        File(Blob("text/plain", text="hello")),
        File(Blob("text/plain", text="one"), extra={"anthropic": {"content": [{"type": "text", "text": "one"}]}}),
    )


def test_what_the_provider_ran_is_kept_whole_and_said_in_words() -> None:
    call = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "fjord"}}
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
        {"type": "web_search_result", "url": "https://n.no", "title": "Fjords", "encrypted_content": "E"},
    ]}
    assert parts(call, result, role="assistant") == (
        ServerTool("web_search", "call", "srvtoolu_1", "[web_search fjord]", {"anthropic": {"raw": call}}),
        ServerTool("web_search", "result", "srvtoolu_1", "[1 results: Fjords — https://n.no]",
                   {"anthropic": {"raw": result}}),
    )


def test_unknown_blocks_are_carried() -> None:
    block = {"type": "hologram", "depth": [1, {"a": None}]}
    assert parts({"type": "text", "text": "see"}, block) == (Text("see"), Opaque("anthropic", "hologram", block))


def test_citations_of_an_answer_in_the_history() -> None:
    raw = {"type": "char_location", "cited_text": "snow", "document_index": 0, "document_title": "W",
           "start_char_index": 3, "end_char_index": 7}
    (text,) = parts({"type": "text", "text": "It snows.", "citations": [raw]}, role="assistant")
    (citation,) = text.citations
    assert (citation.title, citation.text, citation.extra) == ("W", "snow", {"anthropic": raw})
    assert parts({"type": "text", "text": "x", "citations": None}, role="assistant") == (Text("x"),)


# ---- settings


@pytest.mark.parametrize(("fields", "reasoning"), [
    ({}, None),
    ({"thinking": {"type": "disabled"}}, Reasoning("off")),
    ({"thinking": {"type": "enabled", "budget_tokens": 500}}, Reasoning("minimal", 500)),
    ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, Reasoning("medium", 8192)),
    ({"thinking": {"type": "enabled", "budget_tokens": 31999, "display": "omitted"}},
     Reasoning("xhigh", 31999, False)),
    ({"thinking": {"type": "adaptive"}}, Reasoning("auto")),
    ({"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "max"}},
     Reasoning("max", visible=True)),
    ({"output_config": {"effort": "low"}}, Reasoning("low")),
    ({"thinking": {"type": "between_tools"}}, Reasoning("off", extra={"anthropic": {"type": "between_tools"}})),
])
def test_reasoning(fields: dict[str, Any], reasoning: Reasoning | None) -> None:
    assert parse(**fields).reasoning == reasoning


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize("fields", [
    {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    {"output_format": {"type": "json_schema", "schema": SCHEMA}},
])
def test_the_form_of_the_answer(fields: dict[str, Any]) -> None:
    assert parse(**fields).format == Format("schema", SCHEMA)


@pytest.mark.parametrize(("choice", "expected", "parallel"), [
    ({"type": "auto"}, ToolChoice("auto"), None),
    ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required"), False),
    ({"type": "tool", "name": "Bash", "disable_parallel_tool_use": False}, ToolChoice("named", ("Bash",)), True),
    ({"type": "none"}, ToolChoice("none"), None),
])
def test_tool_choice(choice: Any, expected: ToolChoice, parallel: bool | None) -> None:
    request = parse(tool_choice=choice)
    assert (request.tool_choice, request.parallel_tools) == (expected, parallel)


def test_tools() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
    bash = {"type": "bash_20250124", "name": "bash"}
    toolset = {"type": "computer_toolset_20260801", "display_width_px": 1}
    request = parse(tools=[
        {"name": "Read", "description": "Reads", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"},
         "defer_loading": True},
        {"type": "custom", "name": "Ping", "input_schema": {"type": "object"}, "strict": True},
        search, bash, toolset,
    ])
    assert request.tools == [
        Tool("Read", "Reads", SCHEMA, cache="", extra={"anthropic": {"defer_loading": True}}),
        Tool("Ping", schema={"type": "object"}, strict=True),
        HostedTool("web_search", "web_search", "anthropic", search),
        HostedTool("bash", "bash", "anthropic", bash),
        HostedTool("computer", "computer", "anthropic", toolset),
    ]


def test_sampling_and_identity() -> None:
    request = parse(
        temperature=0.5, top_p=0.9, top_k=5, stop_sequences=["END"], stream=True, metadata={"user_id": "u"},
        service_tier="standard_only",
    )
    assert (request.temperature, request.top_p, request.top_k) == (0.5, 0.9, 5)
    assert (request.stop, request.stream, request.user, request.tier) == (["END"], True, "u", "default")
    assert (request.model, request.max_output, request.extra) == ("m", 100, {})
    assert parse(speed="fast").tier == "fast"


def test_what_only_anthropic_knows_is_carried() -> None:
    request = parse(
        {"anthropic-beta": "a,b"}, context_management={"edits": []}, cache_control={"type": "ephemeral"},
        output_config={"effort": "high", "task_budget": {"type": "tokens", "total": 5}}, future_field=[1],
    )
    assert request.extra == {"anthropic": {
        "context_management": {"edits": []}, "cache_control": {"type": "ephemeral"},
        "output_config": {"task_budget": {"type": "tokens", "total": 5}}, "future_field": [1], "betas": "a,b",
    }}


def test_null_counts_as_absent() -> None:
    request = parse(tools=None, tool_choice=None, stop_sequences=None, metadata=None, thinking=None, system=None)
    assert request == parse()


def test_a_count_needs_no_max_tokens() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    assert anthropic.counting.parse_request(Wire("/v1/messages/count_tokens", body)).messages == parse().messages


# ---- bad input


HI = b'"messages":[{"role":"user","content":"hi"}]'


@pytest.mark.parametrize(("body", "path", "message"), [
    (b"{" + HI + b"}", "max_tokens", "max_tokens: Field required"),
    (b'{"max_tokens":5}', "messages", "messages: Field required"),
    (b'{"max_tokens":5,"messages":[]}', "messages", "messages: at least one message is required"),
    (b'{"max_tokens":-1,' + HI + b"}", "max_tokens", "greater than or equal to 0"),
    (b'{"max_tokens":"5",' + HI + b"}", "max_tokens", "max_tokens: Expected `int`"),
    (b'{"max_tokens":5,"messages":"hi"}', "messages", "messages: Expected `array`"),
    (b'{"max_tokens":5,"messages":[{"content":"x"}]}', "messages[0]", "role"),
    (b'{"max_tokens":5,"messages":[{"role":"user","content":"x"},{"role":"tool","content":"x"}]}',
     "messages[1].role", "messages[1].role: Input should be 'user', 'assistant' or 'system'"),
    (b'{"max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":7}]}]}',
     "messages[0].content[0].text", "Expected `str | null`"),
    (b'{"max_tokens":5,"messages":[{"role":"user","content":7}]}', "messages[0].content", "got `int`"),
    (b'{"max_tokens":5,"messages":[{"role":"assistant","content":[{"type":"tool_use","name":"x","input":{}}]}]}',
     "messages[0].content[0].id", "Field required"),
    (b'{"max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":""},{"type":"tool_result"}]}]}',
     "messages[0].content[1].tool_use_id", "Field required"),
    (b'{"max_tokens":5,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":'
     b'[{"type":"image"}]}]}]}', "messages[0].content[0].content[0].source", "Field required"),
    (b'{"max_tokens":5,"messages":[{"role":"assistant","content":[{"type":"tool_result","tool_use_id":"a"}]}]}',
     "messages[0].content[0]", "tool_result blocks can only be in user messages"),
    (b'{"max_tokens":5,"tools":[{"input_schema":{}}],' + HI + b"}", "tools[0].name", "Field required"),
    (b'{"max_tokens":5,"tool_choice":{"type":"some"},' + HI + b"}", "tool_choice.type", "Input should be"),
    (b'{"max_tokens":5,"thinking":{"type":"enabled"},' + HI + b"}", "thinking.budget_tokens", "Field required"),
    (b'{"max_tokens":5,"thinking":{"type":"deep"},' + HI + b"}", "thinking.type", "Input should be"),
    (b'{"max_tokens":5,"output_config":{"effort":"huge"},' + HI + b"}", "output_config.effort", "Input should be"),
    (b"[]", None, "must be a JSON object"),
    (b"{", None, "not valid JSON"),
    (b"\xff\xfe", None, "not valid JSON"),
    (b"[" * 100_000, None, "must be a JSON object"),
    (b'{"max_tokens":5,"messages":' + b"[" * 100_000 + b"}", None, ""),
])
def test_bad_input_names_the_place(body: bytes, path: str | None, message: str) -> None:
    error = refused(body).error
    assert (error.status, error.kind) == (400, "invalid_request")
    assert error.param == path
    assert message in error.message


def test_half_a_surrogate_pair_is_repaired() -> None:
    body = b'{"max_tokens":5,"messages":[{"role":"user","content":"cut \\ud83d"}]}'
    assert anthropic.parse_request(Wire("/v1/messages", body)).messages[0].parts == (Text("cut \ufffd"),)


def test_unknown_blocks_next_to_half_a_surrogate_pair() -> None:
    body = b'{"max_tokens":5,"messages":[{"role":"user","content":[{"type":"new","a":"\\ud83d"}]}]}'
    parts = anthropic.parse_request(Wire("/v1/messages", body)).messages[0].parts
    assert parts == (Opaque("anthropic", "new", {"type": "new", "a": "\ufffd"}),)


@pytest.mark.parametrize(("method", "path", "expected"), [
    ("POST", "/v1/messages", True), ("POST", "/messages", True), ("GET", "/v1/messages", False),
    ("POST", "/v1/messages/count_tokens", False), ("POST", "/v1/chat/completions", False),
])
def test_claims(method: str, path: str, expected: bool) -> None:
    assert anthropic.claims(method, path) is expected


# ---- the same protocol on both sides


def test_relaying_changes_the_model_and_nothing_else() -> None:
    body = b'{ "model" : "claude-x",\n "temperature":1.0, "messages": [ {"role":"user","content":"\\u00e9"} ]}'
    assert relay_body(body, "glm-4.6") == body.replace(b'"claude-x"', b'"glm-4.6"')
    assert relay_body(body, "claude-x") is body


def test_relaying_takes_out_the_thoughts_of_others() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "foreign", "signature": "px1."},
        {"type": "thinking", "thinking": "own", "signature": "EqQB"},
        {"type": "text", "text": "ok"},
    ]}]}).encode()
    sent = json.loads(relay_body(body, "m"))
    assert [block["type"] for block in sent["messages"][1]["content"]] == ["thinking", "text"]
    assert sent["messages"][1]["content"][0]["thinking"] == "own"
