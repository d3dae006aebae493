"""Gemini requests, both ways: literal wires in, literal wires out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import gemini
from translators.codec import DEFAULT_TRAITS, Seed, Traits, Wire
from translators.gemini.wire import SENTINEL
from translators.model import (
    BadRequest,
    Blob,
    File,
    Format,
    HostedTool,
    Image,
    Message,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from translators.tokens import Count

PATH = "/v1beta/models/m:generateContent"
LEVEL = Traits(reasoning="level")
USER = Message("user", (Text("hi"),))


def parse(body: dict[str, Any], path: str = PATH) -> Request:
    return gemini.parse_request(Wire(path, json.dumps(body).encode()))


def said(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def generation(**config: Any) -> Request:
    return parse(said(generationConfig=config))


def render(traits: Traits = DEFAULT_TRAITS, **fields: Any) -> tuple[dict[str, Any], list[str]]:
    fields.setdefault("messages", [USER])
    rendered = gemini.render_request(Request(model="m", **fields), traits)
    return json.loads(rendered.wire.body), [f"{loss.path}={loss.code}" for loss in rendered.losses]


# ------------------------------------------------------------------------------------------------ the path


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/v1beta/models/gemini-3:generateContent", "gemini-3", False),
        ("/v1/models/a%2Fb:streamGenerateContent?alt=sse", "a/b", True),
        ("/v1/models/llama:8b:generateContent", "llama:8b", False),
        ("/v1/models", "", False),
    ],
)
def test_model_and_verb_come_from_the_path(path: str, model: str, stream: bool) -> None:
    assert gemini.peek(Wire(path, b"{}")) == (model, stream)


def test_peek_wants_an_object() -> None:
    with pytest.raises(BadRequest):
        gemini.peek(Wire(PATH, b'{"contents": ['))


def test_claims_both_versions_and_both_verbs() -> None:
    assert gemini.claims("POST", "/v1/models/m:generateContent")
    assert gemini.claims("POST", "/v1beta/models/m:streamGenerateContent")
    assert not gemini.claims("POST", "/v1beta/models/m:countTokens")
    assert not gemini.claims("GET", "/v1/models/m:generateContent")


def test_a_relayed_request_keeps_its_bytes_and_loses_its_key() -> None:
    body = b'{ "contents": [],  "x": 1.50 }'
    made = gemini.relay(Wire("/v1/models/m:streamGenerateContent?alt=sse&key=secret", body), "generate", "a/b")
    assert made.path == "/models/a%2Fb:streamGenerateContent?alt=sse"
    assert made.body == body


def test_a_model_in_the_body_is_replaced_too() -> None:
    body = b'{"generateContentRequest": {"model": "models/m", "contents": []}}'
    made = gemini.relay(Wire("/v1/models/m:countTokens", body), "count_tokens", "other")
    assert made.path == "/models/other:countTokens"
    assert made.body == b'{"generateContentRequest": {"model": "models/other", "contents": []}}'


def test_a_model_is_one_segment_of_the_path() -> None:
    whole = gemini.render_request(Request(model="a/../b", messages=[USER]))
    assert whole.wire.path == "/models/a%2F..%2Fb:generateContent"
    streamed = gemini.render_request(Request(model="m", messages=[USER], stream=True))
    assert streamed.wire.path == "/models/m:streamGenerateContent?alt=sse"


# ------------------------------------------------------------------------------------------------ parsing


def test_both_spellings_are_one() -> None:
    request = parse({
        "system_instruction": {"parts": {"text": "terse"}},
        "contents": [{"parts": [{"text": "a"}, {"inline_data": {"mime_type": "image/png", "data": "__8-_w"}}]}],
        "generation_config": {"max_output_tokens": 9, "stop_sequences": ["E"], "thinking_config": {
            "include_thoughts": True, "thinking_level": "HIGH"}},
        "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"mime_type": {}}}]}],
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
    })
    assert request.messages == [
        Message("system", (Text("terse"),)),
        Message("user", (Text("a"), Image(Blob("image/png", data="//8+/w==")))),
    ]
    assert (request.max_output, request.stop) == (9, ["E"])
    assert request.reasoning == Reasoning("high", None, True)
    assert request.tools == [Tool("f", None, {"mime_type": {}})]
    assert request.tool_choice == ToolChoice("named", ("f",))


def test_what_a_user_owns_keeps_its_spelling() -> None:
    request = parse({"contents": [
        {"role": "model", "parts": [{"function_call": {"name": "f", "args": {"inline_data": {"mime_type": 1.50}}}}]},
    ]})
    (call,) = request.messages[0].parts
    assert isinstance(call, ToolCall) and json.loads(call.arguments) == {"inline_data": {"mime_type": 1.5}}


def test_arguments_stay_as_they_were() -> None:
    body = b'{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{"n": 1.50}}}]}]}'
    (call,) = gemini.parse_request(Wire(PATH, body)).messages[0].parts
    assert isinstance(call, ToolCall) and call.arguments == '{"n": 1.50}'


def test_calls_without_ids_are_paired_in_order_for_each_name() -> None:
    def call(name: str, n: int) -> dict[str, Any]:
        return {"functionCall": {"name": name, "args": {"n": n}}}

    def result(name: str, text: str) -> dict[str, Any]:
        return {"functionResponse": {"name": name, "response": {"output": text}}}

    body = {"contents": [
        {"role": "model", "parts": [call("f", 1), call("g", 1), call("f", 2)]},
        {"role": "user", "parts": [result("f", "one"), result("f", "two"), result("g", "three")]},
    ]}
    calls, results = (message.parts for message in parse(body).messages)
    ids = [part.id for part in calls if isinstance(part, ToolCall)]
    assert len(set(ids)) == 3 and ids == [part.id for part in parse(body).messages[0].parts]  # type: ignore[union-attr]
    assert [(part.id, part.parts) for part in results if isinstance(part, ToolResult)] == [
        (ids[0], (Text("one"),)), (ids[2], (Text("two"),)), (ids[1], (Text("three"),)),
    ]


@pytest.mark.parametrize(
    ("response", "text", "error"),
    [
        ({"output": "x"}, "x", False),
        ({"result": "x"}, "x", False),
        ({"error": "bad"}, "bad", True),
        ({"error": {"code": 1}}, '{"code":1}', True),
        ({"a": 1, "b": 2}, '{"a": 1, "b": 2}', False),
    ],
)
def test_a_results_text(response: Any, text: str, error: bool) -> None:
    parts = [{"functionResponse": {"id": "i", "name": "f", "response": response}}]
    (result,) = parse({"contents": [{"role": "user", "parts": parts}]}).messages[0].parts
    assert result == ToolResult("i", (Text(text),), "f", error)


def test_a_signature_stays_with_its_part_but_not_our_stand_in() -> None:
    def call(signature: str) -> Any:
        parts = [{"functionCall": {"id": "i", "name": "f"}, "thoughtSignature": signature}]
        return parse({"contents": [{"role": "model", "parts": parts}]}).messages[0].parts[0]

    assert call("c2ln") == ToolCall("i", "f", "{}", extra={"gemini": {"signature": "c2ln"}})
    assert call(SENTINEL) == ToolCall("i", "f", "{}")


def test_a_streamed_answer_that_comes_back_chunk_by_chunk_is_one() -> None:
    """Google's SDK keeps a chat's streamed answer as the contents that it came in."""
    call = {"functionCall": {"id": "a", "name": "f", "args": {}}}
    answer = {"functionResponse": {"id": "a", "name": "f", "response": {"output": "1"}}}
    chunks: list[Any] = [{"text": "Pl", "thought": True}, {"text": "an", "thought": True}, {"text": "Hel"}]
    chunks += [{"text": "lo."}, {"text": "", "thoughtSignature": "c2ln"}, {"text": ""}, call, {"text": ""}]
    contents = [{"role": "model", "parts": [chunk]} for chunk in chunks]
    user = {"role": "user", "parts": [{"text": "one"}, {"text": "two"}]}
    request = parse({"contents": [user, *contents, {"role": "user", "parts": [answer]}]})
    assert [message.role for message in request.messages] == ["user", "assistant", "user"]
    assert [part.text for part in request.messages[0].parts if isinstance(part, Text)] == ["one", "two"]
    signed = Text("", extra={"gemini": {"signature": "c2ln"}})
    assert request.messages[1].parts == (Thinking("Plan"), Text("Hello."), signed, ToolCall("a", "f", "{}"))


def test_the_settings() -> None:
    request = generation(
        temperature=1, topP=0.5, topK=40.0, candidateCount=2, seed=7, presencePenalty=0.1, frequencyPenalty=0.2,
        responseLogprobs=True, logprobs=3, responseModalities=["TEXT", "IMAGE"], mediaResolution="X",
    )  # fmt: skip
    assert (request.temperature, request.top_p, request.top_k, request.n, request.seed) == (1, 0.5, 40, 2, 7)
    assert (request.presence_penalty, request.frequency_penalty, request.logprobs) == (0.1, 0.2, 3)
    assert request.modalities == ["text", "image"]
    assert request.extra == {"gemini": {"generationConfig": {"mediaResolution": "X"}}}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"thinkingBudget": 0}, Reasoning("off")),
        ({"thinkingBudget": -1}, Reasoning("auto")),
        ({"thinkingBudget": 8192, "includeThoughts": False}, Reasoning("medium", 8192, False)),
        ({"thinkingLevel": "low"}, Reasoning("low")),
        ({"includeThoughts": True}, Reasoning("auto", None, True)),
        ({}, None),
    ],
)
def test_thinking(config: Any, expected: Reasoning | None) -> None:
    assert generation(thinkingConfig=config).reasoning == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"responseMimeType": "application/json"}, Format("json")),
        ({"responseMimeType": "text/plain"}, Format()),
        ({"responseJsonSchema": {"type": "object"}}, Format("schema", {"type": "object"})),
        ({"responseSchema": {"type": "STRING", "nullable": True}}, Format("schema", {"type": ["string", "null"]})),
        ({"responseFormat": [{"text": {"mime_type": "application/json", "schema": {"a": 1}}}]},
         Format("schema", {"a": 1})),
    ],
)  # fmt: skip
def test_the_form_of_the_answer(config: Any, expected: Format) -> None:
    assert generation(**config).format == expected


@pytest.mark.parametrize(
    ("calling", "expected"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto")),
        ({"mode": "NONE"}, ToolChoice("none")),
        ({"mode": "ANY"}, ToolChoice("required")),
        ({"mode": "ANY", "allowedFunctionNames": ["a", "b"]}, ToolChoice("allowed", ("a", "b"), True)),
        ({"mode": "VALIDATED"}, ToolChoice("auto")),
    ],
)
def test_the_choice_of_tools(calling: Any, expected: ToolChoice) -> None:
    assert parse(said(toolConfig={"functionCallingConfig": calling})).tool_choice == expected


def test_googles_own_tools_and_fields_are_carried() -> None:
    request = parse(said(tools=[{"googleSearch": {}}, {"codeExecution": {}}], safetySettings=[{"x": 1}]))
    assert [tool.family for tool in request.tools if isinstance(tool, HostedTool)] == ["web_search", "code_execution"]
    body = json.loads(gemini.render_request(request).wire.body)
    assert body["tools"] == [{"googleSearch": {}}, {"codeExecution": {}}] and body["safetySettings"] == [{"x": 1}]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "contents"),
        ({"contents": [{"role": "robot", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"functionCall": {}}]}]}, "contents[0].parts[0].functionCall.name"),
        ({"contents": [{"role": "user", "parts": [{"functionCall": {"name": "f"}}]}]}, "contents[0].role"),
        (said(generationConfig={"topP": "x"}), "generationConfig.topP"),
        (said(generationConfig={"maxOutputTokens": -1}), "generationConfig.maxOutputTokens"),
        (said(toolConfig={"functionCallingConfig": {"mode": "X"}}), "toolConfig.functionCallingConfig.mode"),
    ],
)
def test_what_is_wrong_is_named(body: Any, path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(body)
    assert caught.value.error.param == path


def test_a_turn_that_calls_is_the_models_where_it_does_not_say() -> None:
    (message,) = parse({"contents": [{"parts": [{"functionCall": {"name": "f"}}]}]}).messages
    assert message.role == "assistant"


def test_counting_both_forms() -> None:
    inner = said(systemInstruction={"parts": [{"text": "s"}]})
    for body in (inner, {"generateContentRequest": {"model": "models/m", **inner}}):
        wire = Wire("/v1/models/m:countTokens", json.dumps(body).encode())
        request = gemini.counting.parse_request(wire)
        assert [message.role for message in request.messages] == ["system", "user"] and request.model == "m"
    made = gemini.counting.render_request(request)
    assert made.wire.path == "/models/m:countTokens"
    assert json.loads(made.wire.body) == {"generateContentRequest": {"model": "models/m", **inner}}
    counted = gemini.counting.render_response(Count(7), request, Seed("", 0))
    assert gemini.counting.parse_response(counted) == Count(7)


# ------------------------------------------------------------------------------------------------ rendering


def test_a_conversation_with_tools() -> None:
    body, losses = render(messages=[
        Message("system", (Text("one"),)),
        Message("developer", (Text("two"),)),
        Message("user", (Text(""), Text("go"))),
        Message("assistant", (Text("ok"), ToolCall("a", "f", '{"n": 1}'), ToolCall("b", "g", ""))),
        Message("user", (ToolResult("b", (Text("no"),), error=True),)),
        Message("system", (Text("careful"),)),
        Message("user", (ToolResult("a", (Text('{"x":1}'),)), Text("on"))),
    ])  # fmt: skip
    assert body == {
        "systemInstruction": {"parts": [{"text": "one"}, {"text": "two"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [
                {"text": "ok"},
                {"functionCall": {"id": "a", "name": "f", "args": {"n": 1}}},
                {"functionCall": {"id": "b", "name": "g", "args": {}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "a", "name": "f", "response": {"x": 1}}},
                {"functionResponse": {"id": "b", "name": "g", "response": {"error": "no"}}},
                {"text": "[system] careful"},
                {"text": "on"},
            ]},
        ],
    }  # fmt: skip
    assert losses == ["messages[1].role=approximated", "messages[5]=moved"]


def test_gemini_wants_a_users_turn_first_and_last() -> None:
    body, _ = render(messages=[Message("system", (Text("s"),))])
    assert body["contents"] == [{"role": "user", "parts": [{"text": "."}]}]
    body, losses = render(Traits(prefill=False), messages=[Message("assistant", (Text("a"),))])
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    assert losses == ["messages=approximated"]


def test_the_first_call_of_a_step_is_signed_where_the_model_demands_it() -> None:
    own = {"gemini": {"signature": "c2ln"}}
    messages = [
        USER,
        Message("assistant", (ToolCall("a", "f"), ToolCall("b", "f"))),
        Message("user", (ToolResult("a"), ToolResult("b"))),
        Message("assistant", (Thinking("hm"), ToolCall("c", "f", extra=own))),
        Message("user", (ToolResult("c"),)),
    ]

    def signatures(traits: Traits) -> list[str | None]:
        body, _ = render(traits, messages=messages)
        parts = [part for content in body["contents"] for part in content["parts"] if "functionCall" in part]
        return [part.get("thoughtSignature") for part in parts]

    assert signatures(LEVEL) == [SENTINEL, None, "c2ln"]
    assert signatures(DEFAULT_TRAITS) == [None, None, "c2ln"]


def test_media() -> None:
    picture = Image(Blob("image/png", data="aGk="))
    calls = [USER, Message("assistant", (ToolCall("a", "f"),))]
    results = Message("user", (ToolResult("a", (Text("see"), picture)), Text("?")))
    shape = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    body, _ = render(messages=[*calls, results])
    assert body["contents"][-1]["parts"][1:] == [shape, {"text": "?"}]
    body, _ = render(LEVEL, messages=[*calls, results])
    assert body["contents"][-1]["parts"][0]["functionResponse"]["parts"] == [shape]
    linked = Image(Blob(url="https://x.example/a.png"))
    body, losses = render(messages=[Message("user", (linked, File(Blob(text="t"), "a.txt")))])
    assert body["contents"][0]["parts"][1] == {"text": "File: a.txt\nt"}
    assert losses[0] == "contents[0]=omitted"
    body, _ = render(Traits(input=("image", "url")), messages=[Message("user", (linked,))])
    shape = {"fileData": {"mimeType": "image/png", "fileUri": "https://x.example/a.png"}}
    assert body["contents"][0]["parts"] == [shape]


def test_tools_and_their_choice() -> None:
    tools: list[Tool | HostedTool] = [
        Tool("f", "does", {"type": "object", "properties": {"k": {"const": "x"}}}),
        Tool("g"),
        HostedTool("web_search", "web_search", "anthropic", {"type": "web_search_20250305"}),
        HostedTool("bash", "bash", "anthropic", {"type": "bash_20250124"}),
    ]
    body, losses = render(tools=tools, tool_choice=ToolChoice("named", ("f",)), parallel_tools=False)
    (declared,) = body["tools"]
    functions = declared["functionDeclarations"]
    assert [function["name"] for function in functions] == ["f", "g", "bash"]
    assert functions[0] == {"name": "f", "description": "does", "parametersJsonSchema": {
        "type": "object", "properties": {"k": {"enum": ["x"]}}}}
    assert functions[1] == {"name": "g"}
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}
    assert losses == ["tools[3]=emulated", "tools[2]=dropped", "parallel_tool_calls=dropped"]
    body, _ = render(LEVEL, tools=tools)
    assert body["tools"][1:] == [{"googleSearch": {}}]
    body, _ = render(tools=tools, tool_choice=ToolChoice("allowed", ("g",)))
    assert body["tools"] == [{"functionDeclarations": [{"name": "g"}]}]


@pytest.mark.parametrize(
    ("reasoning", "traits", "expected"),
    [
        (Reasoning("high"), LEVEL, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (Reasoning("max", None, False), LEVEL, {"thinkingLevel": "HIGH", "includeThoughts": False}),
        (Reasoning("off"), Traits(reasoning="level", efforts=("low", "high")), {"thinkingLevel": "LOW"}),
        (Reasoning("auto"), LEVEL, {"includeThoughts": True}),
        (Reasoning("medium"), DEFAULT_TRAITS, {"thinkingBudget": 8192, "includeThoughts": True}),
        (Reasoning("low", 2000), DEFAULT_TRAITS, {"thinkingBudget": 2000, "includeThoughts": True}),
        (Reasoning("off"), DEFAULT_TRAITS, {"thinkingBudget": 0}),
        (Reasoning("off"), Traits(efforts=("low",)), {"thinkingBudget": 128}),
        (Reasoning("auto"), DEFAULT_TRAITS, {"thinkingBudget": -1, "includeThoughts": True}),
    ],
)
def test_thinking_is_asked_for_in_the_models_way(reasoning: Reasoning, traits: Traits, expected: Any) -> None:
    assert render(traits, reasoning=reasoning)[0]["generationConfig"]["thinkingConfig"] == expected


def test_settings_go_out_and_what_has_no_place_is_told() -> None:
    body, losses = render(
        Traits(max_output=50, drop=("seed",)), max_output=99, stop=list("abcdef"), temperature=3, top_k=4, seed=1,
        logprobs=0, tier="default", metadata={"Team": "A B"}, verbosity="low", n=2,
        format=Format("schema", {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}}),
    )  # fmt: skip
    assert body["generationConfig"] == {
        "maxOutputTokens": 50, "stopSequences": list("abcde"), "temperature": 2, "topK": 4, "responseLogprobs": True,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object", "properties": {
            "a": {"type": "string", "description": '{pattern: "x"}'}}},
    }  # fmt: skip
    assert (body["serviceTier"], body["labels"]) == ("standard", {"team": "a_b"})
    assert losses == [
        "max_output=clamped", "stop=truncated", "temperature=clamped", "seed=dropped", "format.schema=approximated",
        "metadata=approximated", "verbosity=dropped", "n=dropped",
    ]  # fmt: skip


@pytest.mark.parametrize(("field", "role"), [("functionCall.args", "model"), ("functionResponse.response", "user")])
def test_what_is_no_text_is_refused_with_its_place(field: str, role: str) -> None:
    kind, name = field.encode().split(b".")
    part = b'{"%b":{"name":"ls","%b":{"p":"\xff"}}}' % (kind, name)
    body = b'{"contents":[{"role":"%b","parts":[{"text":"."},%b]}]}' % (role.encode(), part)
    with pytest.raises(BadRequest) as refused:
        gemini.parse_request(Wire("/v1beta/models/m:generateContent", body))
    assert refused.value.error.param == f"contents[0].parts[1].{field}"
