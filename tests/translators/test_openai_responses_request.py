"""Requests of Responses, both ways, by literal wires."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import openai_responses as codec
from translators.codec import Traits, Wire
from translators.model import (
    BadRequest,
    Blob,
    HostedTool,
    Image,
    Message,
    Opaque,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

NAME = "openai-responses"


def parse(**body: Any) -> Request:
    return codec.parse_request(Wire("/v1/responses", json.dumps({"model": "m", **body}).encode()))


def render(request: Request, traits: Traits | None = None) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(codec.render_request(request, traits or Traits()).wire.body)
    return body


def said(*messages: Message, **more: Any) -> dict[str, Any]:
    return render(Request(model="m", messages=list(messages), **more))


HI = Message("user", (Text("Hi"),))

# ------------------------------------------------------------------------------------------------ parsing


def test_input_may_be_a_text_or_items_without_a_type() -> None:
    assert parse(input="Hi").messages == [HI]
    assert parse(input=[{"role": "user", "content": "Hi"}]).messages == [HI]
    assert parse(input="Hi", instructions="Be brief.").messages == [Message("system", (Text("Be brief."),)), HI]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "input"),
        ({"input": [{}]}, "input[0].type"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        ({"input": [{"role": "user", "content": 3}]}, "input[0].content"),
        ({"input": "x", "tool_choice": "perhaps"}, "tool_choice"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(**body)
    assert caught.value.error.param == path


def test_a_run_of_the_assistants_items_is_one_message() -> None:
    request = parse(input=[
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "tok"},
        {"type": "message", "role": "assistant", "id": "msg_1", "phase": "commentary",
         "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "read", "arguments": "{\"a\": 1}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "exec", "input": "x\n", "namespace": "functions"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [
            {"type": "input_text", "text": "two"}, {"type": "input_image", "image_url": "data:image/png;base64,aGk="}]},
    ])  # fmt: skip
    assert request.messages == [
        Message("assistant", (
            Thinking("", True, extra={NAME: {"id": "rs_1", "encrypted_content": "tok"}}),
            Text("Let me see.", extra={NAME: {"id": "msg_1", "phase": "commentary"}}),
            ToolCall("c1", "read", '{"a": 1}', extra={NAME: {"id": "fc_1"}}),
            ToolCall("c2", "exec", "x\n", True, "functions"),
        )),
        Message("user", (
            ToolResult("c1", (Text("one"),)),
            ToolResult("c2", (Text("two"), Image(Blob("image/png", "aGk="))), custom=True),
        )),
    ]  # fmt: skip


def test_tools_of_all_kinds_and_those_that_come_with_the_items() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
    request = parse(
        input=[
            {"type": "additional_tools", "role": "developer", "tools": [
                {"type": "function", "name": "read", "description": "the later one", "parameters": {}},
                {"type": "namespace", "name": "functions", "description": "d", "tools": [
                    {"type": "custom", "name": "exec", "format": grammar}]},
            ]},
            {"role": "user", "content": "Hi"},
        ],
        tools=[
            {"type": "function", "name": "read", "parameters": {"type": "object"}, "strict": True},
            {"type": "web_search", "external_web_access": True},
        ],
        tool_choice={"type": "web_search"},
    )  # fmt: skip
    assert request.messages == [HI]
    assert request.tools == [
        Tool("read", None, {"type": "object"}, True),
        HostedTool("web_search", "web_search", NAME, {"type": "web_search", "external_web_access": True}),
        Tool("exec", custom=True, grammar={"syntax": "lark", "definition": "start: x"}, namespace="functions",
             extra={NAME: {"namespace_description": "d"}}),
    ]  # fmt: skip
    assert request.tool_choice == ToolChoice("named", ("web_search",))


def test_a_tool_search_of_the_clients_is_a_function_that_brings_tools() -> None:
    found = {"type": "function", "name": "found", "parameters": {"type": "object", "properties": {}}}
    request = parse(
        input=[
            {"type": "tool_search_call", "execution": "client", "call_id": "s", "arguments": {"query": "q"}},
            {"type": "tool_search_output", "execution": "client", "call_id": "s", "tools": [found]},
        ],
        tools=[{"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}],
    )
    assert [tool.name for tool in request.tools] == ["tool_search", "found"]
    call, result = request.messages[0].parts[0], request.messages[1].parts[0]
    assert isinstance(call, ToolCall) and (call.name, call.arguments) == ("tool_search", '{"query":"q"}')
    assert isinstance(result, ToolResult) and result.parts == (Text("Tools that are available now: found"),)
    body = render(request)
    assert body["input"][0]["type"] == "tool_search_call" and body["input"][1]["tools"] == [found]


def test_a_found_tool_that_is_none_is_refused() -> None:
    for junk in (None, 7, "f", []):
        with pytest.raises(BadRequest) as caught:
            parse(input=[{"type": "tool_search_output", "call_id": "s", "tools": [junk]}])
        assert caught.value.error.param == "input[0].tools[0]"


def test_an_id_that_is_no_text_becomes_one() -> None:
    call = {"type": "local_shell_call", "call_id": 7, "action": {"type": "exec", "command": ["ls"]}}
    request = parse(input=[call, {"type": "local_shell_call_output", "call_id": 7, "output": "r"}])
    assert [part.id for message in request.messages for part in message.parts] == ["7", "7"]  # type: ignore[union-attr]


def test_a_limit_below_nothing_is_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        parse(input="x", max_output_tokens=-1)
    assert caught.value.error.param == "max_output_tokens"


def test_settings() -> None:
    request = parse(
        input="x", max_output_tokens=99, previous_response_id="resp_1", conversation="conv_1", store=False,
        reasoning={"effort": "high", "summary": "auto", "context": "all_turns"},
        include=["reasoning.encrypted_content"],
        text={"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
    )  # fmt: skip
    assert (request.max_output, request.previous_id, request.store, request.verbosity) == (99, "resp_1", False, "low")
    assert request.reasoning == Reasoning("high", None, True, "auto", {NAME: {"context": "all_turns"}})
    assert request.format.schema == {"type": "object"}
    assert request.extra == {NAME: {"conversation": "conv_1", "include": ["reasoning.encrypted_content"]}}


def test_items_that_nobody_knows_are_carried() -> None:
    item = {"type": "compaction", "encrypted_content": "x"}
    request = parse(input=[item, {"role": "user", "content": "Hi"}])
    assert request.messages[0] == Message("assistant", (Opaque(NAME, "compaction", item),))
    assert render(request)["input"][0] == item


# ------------------------------------------------------------------------------------------------ rendering


def test_a_conversation_as_items() -> None:
    call = ToolCall("c1", "read", '{"a":1}')
    body = said(
        Message("system", (Text("Be brief."),)),
        HI,
        Message("assistant", (Thinking("hm", extra={"anthropic": {"signature": "s"}}), Text("Yes."), call)),
        Message("user", (ToolResult("c1", (Text("bad"),), error=True), Text("Go on"))),
    )
    assert body["instructions"] == "Be brief."
    assert body["input"] == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "message", "role": "assistant",
         "content": [{"type": "output_text", "text": "Yes.", "annotations": []}]},
        {"type": "function_call", "call_id": "c1", "name": "read", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "Error: bad"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on"}]},
    ]  # fmt: skip
    assert body["store"] is False and body["include"] == ["reasoning.encrypted_content"]


def test_ids_go_back_only_where_the_upstream_stored_them() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "tok"}
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "x"}
    kept, bare = (render(parse(input=[thought, call, output], store=store))["input"] for store in (True, False))
    assert [item.get("id") for item in kept] == ["rs_1", "fc_1", None]
    assert bare[0] == {"type": "reasoning", "summary": [], "encrypted_content": "tok"} and "id" not in bare[1]


def test_namespaces_are_put_together_again() -> None:
    space = {"type": "namespace", "name": "ns", "description": "d", "tools": [
        {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": False}
        for name in ("a", "b")]}  # fmt: skip
    assert render(parse(input="x", tools=[space]))["tools"] == [space]


def test_limits_and_what_cannot_be_said() -> None:
    rendered = codec.render_request(Request(model="m", messages=[HI], max_output=3, stop=["END"], seed=1, n=2))
    assert json.loads(rendered.wire.body)["max_output_tokens"] == 16
    assert {loss.path for loss in rendered.losses} == {"max_tokens", "stop", "seed", "n"}


def test_a_choice_names_the_tool_by_its_kind() -> None:
    tools: list[Tool | HostedTool] = [Tool("f"), Tool("x", custom=True)]
    body = said(HI, tools=tools, tool_choice=ToolChoice("named", ("x",)))
    assert body["tool_choice"] == {"type": "custom", "name": "x"}
    body = said(HI, tools=tools, tool_choice=ToolChoice("allowed", ("f",), True))
    assert body["tool_choice"] == {
        "type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}],
    }  # fmt: skip


def test_reasoning_is_asked_for_by_effort() -> None:
    assert said(HI, reasoning=Reasoning("high"))["reasoning"] == {"effort": "high", "summary": "auto"}
    assert said(HI, reasoning=Reasoning("off"))["reasoning"] == {"effort": "none"}
    assert "reasoning" not in render(Request(messages=[HI], reasoning=Reasoning("auto")), Traits(reasoning="none"))
