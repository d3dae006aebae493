"""What goes to an Anthropic upstream. The requests are neutral, the wires are written out by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import anthropic
from translators.codec import Seed, Traits
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
from translators.policy import BALANCED_REJECT, REJECT, STRICT_REJECT, WARN, action
from translators.tokens import Count

HI = Message("user", (Text("hi"),))


def say(role: Any, *parts: Part | str) -> Message:
    return Message(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def send(*messages: Message, traits: Traits | None = None, **fields: Any) -> tuple[dict[str, Any], list[Any]]:
    """The body, and the losses as (path, code)."""
    request = Request(model="claude-x", messages=list(messages) or [HI], **fields)
    rendered = anthropic.render_request(request, traits or Traits())
    assert rendered.wire.path == "/messages"
    return json.loads(rendered.wire.body), list(rendered.losses)


def codes(losses: list[Any]) -> list[tuple[str, str]]:
    return [(loss.path, loss.code) for loss in losses]


# ---- the conversation


def test_the_least_request() -> None:
    rendered = anthropic.render_request(Request(model="claude-x", messages=[HI]))
    assert rendered.wire.body == (
        b'{"model":"claude-x","messages":[{"role":"user","content":"hi"}],"max_tokens":32000}'
    )
    assert rendered.wire.headers == {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    assert rendered.losses == []


def test_the_leading_system_messages_become_system() -> None:
    body, _ = send(say("system", "First."), say("developer", "Second."), HI)
    assert body["system"] == [{"type": "text", "text": "First."}, {"type": "text", "text": "Second."}]
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert send(say("system", "Only."), HI)[0]["system"] == "Only."
    marked = send(Message("system", (Text("A", cache="1h"),)), HI)[0]["system"]
    assert marked == [{"type": "text", "text": "A", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]


def test_a_request_of_system_alone_gets_a_turn() -> None:
    body, _ = send(say("system", "Be."))
    assert body["messages"] == [{"role": "user", "content": "."}]


def test_an_image_in_the_system_prompt_goes_to_the_user() -> None:
    body, losses = send(Message("system", (Text("See."), Image(Blob(url="https://x/y.png")))), HI)
    assert body["system"] == "See."
    assert body["messages"] == [{"role": "user", "content": [
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}, {"type": "text", "text": "hi"},
    ]}]
    assert ("messages[0]", "moved") in codes(losses)


def test_a_system_message_in_the_middle_keeps_its_role_behind_the_users_turn() -> None:
    body, losses = send(say("user", "one"), say("assistant", "two"), say("developer", "Mid."), say("user", "three"))
    assert body["messages"] == [
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"}, {"role": "system", "content": "Mid."},
    ]
    assert losses == []


def test_a_system_message_that_stands_alone_is_said_by_the_user() -> None:
    body, _ = send(say("user", "one"), say("assistant", "two"), say("system", "Mid."))
    assert body["messages"][-1] == {"role": "user", "content": "<system-reminder>Mid.</system-reminder>"}


def test_where_the_model_takes_no_system_message_in_the_middle() -> None:
    body, losses = send(
        say("user", "one"), say("assistant", "two"), say("system", "Mid."), say("user", "three"),
        traits=Traits(mid_system=False),
    )
    assert body["messages"][2:] == [{"role": "user", "content": [
        {"type": "text", "text": "<system-reminder>Mid.</system-reminder>"}, {"type": "text", "text": "three"},
    ]}]
    assert codes(losses) == [("messages.role", "approximated")]


CALL = ToolCall("toolu_1", "Bash", '{"n": 1.0}')
RESULT = ToolResult("toolu_1", (Text("ok"),))


@pytest.mark.parametrize("mid_system", [True, False])
def test_a_system_message_does_not_part_call_and_result(mid_system: bool) -> None:
    body, _ = send(
        HI, say("assistant", CALL), say("system", "Mid."), say("user", RESULT), traits=Traits(mid_system=mid_system)
    )
    assert body["messages"][2]["role"] == "user"
    assert body["messages"][2]["content"][0] == {"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}


def test_the_users_turn_comes_first_and_turns_alternate() -> None:
    body, _ = send(say("assistant", "Welcome."), say("user", "a"), say("user", "b"))
    assert body["messages"] == [
        {"role": "user", "content": "."}, {"role": "assistant", "content": "Welcome."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]


def test_empty_texts_are_left_out() -> None:
    body, _ = send(say("user", "", "real", " \n"), say("assistant", ""), say("user", "more"))
    assert body["messages"] == [{"role": "user", "content": [
        {"type": "text", "text": "real"}, {"type": "text", "text": "more"},
    ]}]


def test_calls_and_results() -> None:
    failed = ToolResult("b", (Text(""),), error=True)
    picture = ToolResult("a", (Text("see"), Image(Blob("image/png", "QUJD"))), cache="")
    body, _ = send(
        HI, say("assistant", "look", ToolCall("a", "Shot", '{"z": 1.50, "a": null}'), ToolCall("b", "Ping")),
        say("user", picture, failed, "and hurry"),
    )
    assert body["messages"][1:] == [
        {"role": "assistant", "content": [
            {"type": "text", "text": "look"},
            {"type": "tool_use", "id": "a", "name": "Shot", "input": {"z": 1.5, "a": None}},
            {"type": "tool_use", "id": "b", "name": "Ping", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": [
                {"type": "text", "text": "see"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
            ], "cache_control": {"type": "ephemeral"}},
            {"type": "tool_result", "tool_use_id": "b", "content": "Error", "is_error": True},
            {"type": "text", "text": "and hurry"},
        ]},
    ]


def test_arguments_go_out_as_they_came() -> None:
    request = Request(messages=[HI, say("assistant", CALL), say("user", RESULT)])
    assert b'"input":{"n": 1.0}' in anthropic.render_request(request).wire.body


@pytest.mark.parametrize(("arguments", "sent"), [
    ("", {}), ("null", {}), ('"x"', {"input": "x"}), ('{"a":1}{"b":2}', {"a": 1}),
    ('{"a": "cut', {"input": '{"a": "cut'}),
])
def test_arguments_that_are_no_object(arguments: str, sent: Any) -> None:
    body, _ = send(HI, say("assistant", ToolCall("a", "x", arguments)), say("user", ToolResult("a", (Text("r"),))))
    assert body["messages"][1]["content"][0]["input"] == sent


def test_only_thoughts_that_anthropic_signed_go_back() -> None:
    signed = Thinking("own", extra={"anthropic": {"signature": "EqQB"}})
    redacted = Thinking("", True, extra={"anthropic": {"data": "xyz"}})
    foreign = Thinking("foreign", extra={"openai-chat": {"x": 1}})
    body, losses = send(HI, say("assistant", signed, redacted, foreign, "ok"), say("user", "go"))
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "own", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "ok"},
    ]
    assert codes(losses) == [("messages.thinking", "dropped")]
    assert {action(loss, policy) for loss in losses for policy in ("strict", "balanced", "max_compat")} == {"info"}


def test_a_turn_of_foreign_thoughts_alone_is_gone() -> None:
    body, _ = send(HI, say("assistant", Thinking("foreign")), say("user", "go"))
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_a_longer_history_begins_with_the_bytes_of_the_shorter_one() -> None:
    history = [
        say("system", "S"), HI, say("assistant", "look", CALL), say("user", RESULT),
        say("assistant", "done"), say("user", "next"), say("assistant", ToolCall("b", "Bash", "{}")),
        say("user", ToolResult("b", (Text("x"),)), "more"),
    ]
    before = b""
    for end in (2, 4, 6, 8):
        body = anthropic.render_request(Request(model="m", messages=history[:end])).wire.body
        head = body[: body.rindex(b'],"max_tokens"')]
        assert head.startswith(before)
        before = head


def test_prefill() -> None:
    assert send(HI, say("assistant", "The answer is "))[0]["messages"][-1] == {
        "role": "assistant", "content": "The answer is",
    }
    body, losses = send(HI, say("assistant", "The"), traits=Traits(prefill=False))
    assert body["messages"][-1] == {"role": "user", "content": "Continue."}
    assert action(losses[0], "strict") == "reject"


# ---- images, documents and what else there is


def one(part: Part, traits: Traits | None = None) -> tuple[Any, list[Any]]:
    body, losses = send(say("user", part, "?"), traits=traits)
    return body["messages"][0]["content"][0], losses


PNG = "iVBORw0KGgoAAAAN"


@pytest.mark.parametrize(("part", "block"), [
    (Image(Blob("image/jpg", "QUJD")), {"type": "image", "source": {
        "type": "base64", "media_type": "image/jpeg", "data": "QUJD"}}),
    (Image(Blob("image/jpeg", f"{PNG[:8]}\n{PNG[8:]}\r\n")), {"type": "image", "source": {
        "type": "base64", "media_type": "image/jpeg", "data": PNG}}),
    (Image(Blob("image/jpeg", PNG)), {"type": "image", "source": {
        "type": "base64", "media_type": "image/png", "data": PNG}}),
    (Image(Blob("application/pdf", "JVBERi0x")), {"type": "document", "source": {
        "type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"}}),
    (Image(Blob(file_id="f"), extra={"anthropic": {"file": True}}), {"type": "image", "source": {
        "type": "file", "file_id": "f"}}),
    (File(Blob("application/pdf", "JVBERi0x"), "a.pdf", "ctx", True), {
        "type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
        "title": "a.pdf", "context": "ctx", "citations": {"enabled": True}}),
    (File(Blob(url="https://x/a.pdf")), {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}}),
    (File(Blob("text/markdown", "IyDDqQ=="), "a.md"), {"type": "document", "source": {
        "type": "text", "media_type": "text/plain", "data": "# é"}, "title": "a.md"}),
    (File(Blob(text="plain")), {"type": "document", "source": {
        "type": "text", "media_type": "text/plain", "data": "plain"}}),
    (Refusal("I cannot."), {"type": "text", "text": "I cannot."}),
    (Opaque("anthropic", "container_upload", {"type": "container_upload", "file_id": "f"}),
     {"type": "container_upload", "file_id": "f"}),
])
def test_parts_that_anthropic_takes(part: Part, block: Any) -> None:
    found, losses = one(part)
    assert found == block
    assert losses == []


@pytest.mark.parametrize(("part", "rule"), [
    (Audio(Blob("audio/wav", "QUJD")), BALANCED_REJECT),
    (Image(Blob("image/tiff", "QUJD")), BALANCED_REJECT),
    (Image(Blob(file_id="of-another-provider")), BALANCED_REJECT),
    (File(Blob("application/zip", "UEsDBA==")), BALANCED_REJECT),
    (Opaque("gemini", "video", {}, "a film"), STRICT_REJECT),
])
def test_parts_that_it_does_not_take_leave_a_note(part: Part, rule: Any) -> None:
    block, losses = one(part)
    assert block["type"] == "text" and block["text"].strip()
    assert [(loss.path, loss.rule) for loss in losses] == [("messages[0]", rule)]


def test_a_model_without_eyes() -> None:
    block, losses = one(Image(Blob("image/png", PNG)), Traits(input=("text",)))
    assert block == {"type": "text", "text": "[image left out: this model takes no images]"}
    assert [action(loss, "balanced") for loss in losses] == ["warn"]


def test_what_another_provider_ran_is_told() -> None:
    searched = ServerTool("web_search", "result", "x", "[2 results]", {"openai-chat": {}})
    body, losses = send(HI, say("assistant", searched, "so"), say("user", "go"))
    assert body["messages"][1]["content"][0] == {"type": "text", "text": "[2 results]"}
    assert codes(losses) == [("messages[1]", "approximated")]


def test_at_most_four_cache_marks() -> None:
    turns = [say("user", *(Text(f"t{n}", cache="") for n in range(6)))]
    body, _ = send(*turns, tools=[Tool("a", cache="")])
    marks = [block.get("cache_control") for block in body["messages"][0]["content"]]
    assert marks == [None, None, *[{"type": "ephemeral"}] * 4]
    assert "cache_control" not in body["tools"][0]


# ---- tools


def test_tools_and_their_schemas() -> None:
    body, losses = send(tools=[
        Tool("plain", "Does it", {"type": "object", "properties": {"a": {"type": "string"}}}),
        Tool("bare"),
        Tool("union", schema={"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
                              "properties": {"a": {}, "b": {}}}),
        Tool("plain", "again"),
        HostedTool("bash", "bash", "anthropic", {"type": "bash_20250124", "name": "bash"}),
    ])
    assert body["tools"] == [
        {"name": "plain", "description": "Does it", "input_schema": {
            "type": "object", "properties": {"a": {"type": "string"}}}},
        {"name": "bare", "input_schema": {"type": "object", "properties": {}}},
        {"name": "union", "input_schema": {
            "type": "object", "properties": {"a": {}, "b": {}},
            "description": "Give at least one of these sets of properties: (a); (b)."}},
        {"type": "bash_20250124", "name": "bash"},
    ]
    assert codes(losses) == [("tools[2].schema", "approximated"), ("tools[3]", "dropped")]


def test_strict_tools() -> None:
    closed = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    body, losses = send(tools=[Tool("a", schema=closed, strict=True)])
    assert body["tools"][0]["strict"] is True and losses == []
    narrow = {**closed, "properties": {"a": {"type": "string", "maxLength": 3}}}
    body, losses = send(tools=[Tool("a", schema=narrow, strict=True)])
    assert body["tools"][0] == {"name": "a", "input_schema": narrow}
    assert codes(losses) == [("tools[0].strict", "dropped")]
    body, _ = send(tools=[Tool("a", schema=closed, strict=True)], traits=Traits(strict_tools=False))
    assert "strict" not in body["tools"][0]


TOOLS = [Tool("a"), Tool("b")]


@pytest.mark.parametrize(("choice", "parallel", "wire", "names"), [
    (None, None, None, ["a", "b"]),
    (None, False, {"type": "auto", "disable_parallel_tool_use": True}, ["a", "b"]),
    (ToolChoice("auto"), True, {"type": "auto"}, ["a", "b"]),
    (ToolChoice("none"), False, {"type": "none"}, ["a", "b"]),
    (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}, ["a", "b"]),
    (ToolChoice("named", ("b",)), None, {"type": "tool", "name": "b"}, ["a", "b"]),
    (ToolChoice("allowed", ("b",), required=True), None, {"type": "any"}, ["b"]),
    (ToolChoice("allowed", ("a",)), None, {"type": "auto"}, ["a"]),
])
def test_tool_choice(choice: Any, parallel: Any, wire: Any, names: list[str]) -> None:
    body, _ = send(tools=TOOLS, tool_choice=choice, parallel_tools=parallel)
    assert body.get("tool_choice") == wire
    assert [tool["name"] for tool in body["tools"]] == names


def test_a_target_that_always_calls_as_many_as_it_likes() -> None:
    body, losses = send(tools=TOOLS, parallel_tools=False, traits=Traits(parallel_tools=False))
    assert "tool_choice" not in body and codes(losses) == [("parallel_tools", "dropped")]


def test_a_choice_without_tools_is_left_out() -> None:
    body, _ = send(tool_choice=ToolChoice("required"), parallel_tools=False)
    assert "tool_choice" not in body and "tools" not in body


def test_a_tool_of_another_provider() -> None:
    search = HostedTool("web_search", "web_search", "openai-chat", {})
    body, losses = send(tools=[search, Tool("a")], tool_choice=ToolChoice("auto"))
    assert [tool["name"] for tool in body["tools"]] == ["web_search", "a"]
    body, losses = send(tools=[search, Tool("a")], tool_choice=ToolChoice("auto"), traits=Traits(search=False))
    assert [tool["name"] for tool in body["tools"]] == ["a"]
    assert losses[-1].rule == STRICT_REJECT
    forced = Reasoning("high", 2000)
    body, losses = send(
        tools=[search], tool_choice=ToolChoice("required"), traits=Traits(search=False), reasoning=forced
    )
    assert body["thinking"]["budget_tokens"] == 2000, "there is nothing left that could be forced"
    assert "tools" not in body and "tool_choice" not in body
    assert losses[-1].rule == BALANCED_REJECT


def test_a_forced_tool_where_the_model_cannot_be_forced() -> None:
    body, losses = send(
        tools=TOOLS, tool_choice=ToolChoice("named", ("a",)), traits=Traits(reasoning="adaptive", forced_tools=False)
    )
    assert body["tool_choice"] == {"type": "auto"}
    assert body["messages"][-1]["content"] == [
        {"type": "text", "text": "hi"},
        {"type": "text", "text": "<system-reminder>You must call the tool a now.</system-reminder>"},
    ]
    assert [action(loss, "balanced") for loss in losses] == ["warn"]


# ---- reasoning and the size of the answer


@pytest.mark.parametrize(("style", "reasoning", "max_output", "thinking", "effort"), [
    ("", None, 100, None, None),
    ("", Reasoning("off"), 100, {"type": "disabled"}, None),
    ("", Reasoning("medium"), 20000, {"type": "enabled", "budget_tokens": 8192}, None),
    ("budget", Reasoning("xhigh", 31999, False), 64000,
     {"type": "enabled", "budget_tokens": 31999, "display": "omitted"}, None),
    ("budget", Reasoning("minimal", 500), 4000, {"type": "enabled", "budget_tokens": 1024}, None),
    ("budget", Reasoning("high"), 4000, {"type": "enabled", "budget_tokens": 3200}, None),
    ("budget", Reasoning("high", 9000), 9001, {"type": "enabled", "budget_tokens": 9000}, None),
    ("budget", Reasoning("high"), 64, None, None),
    ("adaptive", Reasoning("auto"), 100, {"type": "adaptive"}, None),
    ("adaptive", Reasoning("minimal"), 100, {"type": "adaptive"}, "low"),
    ("adaptive", Reasoning("xhigh", visible=True), 100, {"type": "adaptive", "display": "summarized"}, "xhigh"),
    ("adaptive", Reasoning("off"), 100, {"type": "disabled"}, None),
    ("adaptive", Reasoning("off", extra={"anthropic": {"type": "between_tools"}}), 100,
     {"type": "between_tools"}, None),
    ("always", Reasoning("off"), 100, None, "low"),
    ("always", Reasoning("high"), 100, None, "high"),
    ("none", Reasoning("high"), 100, None, None),
])
def test_reasoning(style: str, reasoning: Any, max_output: int, thinking: Any, effort: str | None) -> None:
    body, _ = send(traits=Traits(reasoning=style), reasoning=reasoning, max_output=max_output)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert body["max_tokens"] == max_output


def test_an_effort_that_the_model_lacks_becomes_the_next_lower_one() -> None:
    traits = Traits(reasoning="adaptive", efforts=("low", "medium", "high"))
    body, losses = send(traits=traits, reasoning=Reasoning("max"))
    assert body["output_config"] == {"effort": "high"}
    assert codes(losses) == [("reasoning.effort", "approximated")]
    body, losses = send(traits=traits, reasoning=Reasoning("off"))
    assert body["output_config"] == {"effort": "low"} and "thinking" not in body
    assert action(losses[0], "balanced") == "warn"


def test_max_tokens() -> None:
    assert send(traits=Traits(max_output=8192))[0]["max_tokens"] == 8192
    body, losses = send(traits=Traits(max_output=8192), max_output=64000)
    assert body["max_tokens"] == 8192
    assert codes(losses) == [("max_output", "clamped")]
    assert send(reasoning=Reasoning("max", 60000))[0]["max_tokens"] == 92000


def test_a_chain_of_calls_without_a_thought_cannot_be_thought_on() -> None:
    history = [HI, say("assistant", CALL), say("user", RESULT)]
    body, losses = send(*history, reasoning=Reasoning("low"))
    assert "thinking" not in body
    assert codes(losses) == [("reasoning", "dropped")]
    signed = Thinking("t", extra={"anthropic": {"signature": "s"}})
    body, _ = send(HI, say("assistant", signed, CALL), say("user", RESULT), reasoning=Reasoning("low"))
    assert body["thinking"]["type"] == "enabled"
    earlier = [HI, say("assistant", signed, Text("So.")), HI]
    body, losses = send(*earlier, *history[1:], reasoning=Reasoning("low"))
    assert body["thinking"]["type"] == "enabled" and not losses
    body, _ = send(*history, reasoning=Reasoning("low"), traits=Traits(reasoning="adaptive"))
    assert body["thinking"] == {"type": "adaptive"}


def test_a_forced_tool_turns_a_budget_off() -> None:
    body, losses = send(tools=TOOLS, tool_choice=ToolChoice("required"), reasoning=Reasoning("low"))
    assert body["tool_choice"] == {"type": "any"} and "thinking" not in body
    assert [action(loss, "balanced") for loss in losses] == ["warn"]


# ---- the other settings


def test_sampling() -> None:
    assert send(temperature=0.4)[0]["temperature"] == 0.4
    body, losses = send(temperature=1.7)
    assert body["temperature"] == 1.0 and codes(losses) == [("temperature", "clamped")]
    body, losses = send(temperature=0.5, top_p=0.9)
    assert "top_p" not in body and codes(losses) == [("top_p", "dropped")]
    body, losses = send(temperature=0.5, top_p=0.9, top_k=3, traits=Traits(version="2026-10-21"))
    assert not {"temperature", "top_p", "top_k"} & set(body)
    assert [loss.rule for loss in losses] == [WARN] * 3
    body, _ = send(temperature=0.5, reasoning=Reasoning("low"))
    assert "temperature" not in body
    assert "temperature" not in send(temperature=0.5, traits=Traits(drop=("temperature",)))[0]


def test_the_version_is_the_targets() -> None:
    rendered = anthropic.render_request(Request(messages=[HI]), Traits(version="2026-10-21"))
    assert rendered.wire.headers["anthropic-version"] == "2026-10-21"


def test_stop_sequences() -> None:
    body, losses = send(stop=["END", " \n"])
    assert body["stop_sequences"] == ["END"] and codes(losses) == [("stop", "dropped")]
    assert "stop_sequences" not in send(stop=["\n"])[0]


def test_the_form_of_the_answer() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    body, losses = send(format=Format("schema", schema, "x"))
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": {
        "type": "object", "properties": {"n": {"type": "integer", "description": "{minimum: 1}"}}, "required": ["n"],
        "additionalProperties": False,
    }}}
    assert codes(losses) == [("format.schema", "approximated")]
    body, losses = send(say("system", "S"), HI, format=Format("json"))
    assert [block["text"] for block in body["system"]] == [
        "S", "Reply with one JSON object only, without any other text.",
    ]
    assert action(losses[0], "strict") == "reject"
    body, _ = send(format=Format("schema", schema), traits=Traits(structured=False))
    assert "output_config" not in body and '"minimum":1' in body["system"]


def test_identity_and_tier() -> None:
    assert send(user="u-1")[0]["metadata"] == {"user_id": "u-1"}
    hashed = send(user="ada@example.org")[0]["metadata"]["user_id"]
    assert len(hashed) == 64 and "@" not in hashed
    assert send(tier="default")[0]["service_tier"] == "standard_only"
    assert send(tier="priority")[0]["service_tier"] == "auto"
    assert send(tier="fast")[0]["speed"] == "fast"
    assert codes(send(tier="flex")[1]) == [("tier", "dropped")]


@pytest.mark.parametrize(("field", "value", "actions"), [
    ("seed", 7, ("warn", "warn", "warn")),
    ("presence_penalty", 0.1, ("warn", "warn", "warn")),
    ("logit_bias", {"1": -100.0}, ("reject", "warn", "info")),
    ("logprobs", 0, ("reject", "warn", "info")),
    ("n", 2, ("reject", "reject", "warn")),
    ("verbosity", "low", ("warn", "warn", "warn")),
    ("min_p", 0.1, ("info", "info", "info")),
    ("cache_key", "k", ("info", "info", "info")),
    ("store", True, ("warn", "warn", "warn")),
    ("modalities", ["text", "audio"], ("reject", "reject", "reject")),
])
def test_what_anthropic_has_no_field_for(field: str, value: Any, actions: tuple[str, ...]) -> None:
    body, losses = send(**{field: value})
    assert set(body) == {"model", "messages", "max_tokens"}
    assert [loss.path for loss in losses] == [field]
    assert tuple(action(losses[0], policy) for policy in ("strict", "balanced", "max_compat")) == actions


def test_nothing_is_said_of_what_was_not_asked() -> None:
    assert send(store=False, modalities=["text"], n=1)[1] == []


def test_anthropics_own_fields_go_back_to_it() -> None:
    extra = {"anthropic": {"context_management": {"edits": []}, "output_config": {"task_budget": {"total": 5}},
                           "betas": "a,b"}, "openai-chat": {"prediction": {}}}
    rendered = anthropic.render_request(Request(
        model="m", messages=[HI], extra=extra, reasoning=Reasoning("low")), Traits(reasoning="adaptive"))
    body = json.loads(rendered.wire.body)
    assert body["context_management"] == {"edits": []}
    assert body["output_config"] == {"task_budget": {"total": 5}, "effort": "low"}
    assert rendered.wire.headers["anthropic-beta"] == "a,b"
    assert "prediction" not in body and "betas" not in body


def test_counting() -> None:
    request = Request(model="m", messages=[say("system", "S"), HI], tools=[Tool("a")], max_output=5, temperature=0.1)
    rendered = anthropic.counting.render_request(request)
    assert rendered.wire.path == "/messages/count_tokens"
    assert json.loads(rendered.wire.body) == {
        "model": "m", "system": "S", "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "a", "input_schema": {"type": "object", "properties": {}}}],
    }
    assert anthropic.counting.render_response(Count(42), request, Seed("", 0)) == b'{"input_tokens":42}'
    assert anthropic.counting.parse_response(b'{"input_tokens":42,"x":1}') == Count(42)


def test_rejected_by_every_policy() -> None:
    assert send(previous_id="resp_1")[1][0].rule == REJECT
