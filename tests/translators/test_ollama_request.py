"""What Ollama's clients send, read into the neutral model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import ollama
from translators.codec import Wire
from translators.model import (
    BadRequest,
    Blob,
    Format,
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

USER = {"role": "user", "content": "Hi"}
CALL = {"function": {"name": "ls", "arguments": {"p": "."}}}
PNG, JPEG = "iVBORw0KGgoAAAA", "/9j/4AAQSkZJRg"


def parse(path: str = "/api/chat", **fields: Any) -> Request:
    body = fields if "generate" in path else {"model": "m", "messages": [USER], **fields}
    return ollama.parse_request(Wire(path, json.dumps(body).encode()))


def messages(*wires: Any) -> list[Message]:
    return parse(messages=list(wires)).messages


def refused(path: str = "/api/chat", **fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(path, **fields)
    assert caught.value.error.status == 400
    return caught.value


# ------------------------------------------------------------------------------------------------ settings


def test_the_smallest_request() -> None:
    assert parse() == Request(model="m", messages=[Message("user", (Text("Hi"),))], stream=True)


@pytest.mark.parametrize(("said", "streams"), [({}, True), ({"stream": True}, True), ({"stream": False}, False)])
def test_a_stream_is_what_is_wanted_unless_the_client_says_otherwise(said: dict[str, bool], streams: bool) -> None:
    assert parse(**said).stream is streams
    assert ollama.peek(Wire("/api/chat", json.dumps({"model": "m", **said}).encode())) == ("m", streams)


def test_options_have_their_places_and_the_rest_is_kept() -> None:
    request = parse(
        options={
            "num_predict": 7, "stop": ["END", ""], "temperature": 1, "top_p": 0.5, "top_k": 4.0, "min_p": 0.1,
            "seed": 3, "presence_penalty": 1, "frequency_penalty": 2, "repeat_penalty": 1.1,
            "num_ctx": 8192, "mirostat": 2, "num_gpu": None,
        },
        keep_alive="5m",
        name="aider sends it",
    )  # fmt: skip
    assert (request.max_output, request.stop, request.temperature, request.top_p) == (7, ["END"], 1, 0.5)
    assert (request.top_k, request.min_p, request.seed, request.repeat_penalty) == (4, 0.1, 3, 1.1)
    assert (request.presence_penalty, request.frequency_penalty) == (1, 2)
    kept = {"options": {"num_ctx": 8192, "mirostat": 2}, "keep_alive": "5m", "name": "aider sends it"}
    assert request.extra == {"ollama": kept}


def test_one_stop_sequence_may_be_a_text_and_no_limit_is_a_negative_one() -> None:
    request = parse(options={"stop": "END", "num_predict": -2})
    assert request.stop == ["END"] and request.max_output is None
    assert request.extra == {"ollama": {"options": {"num_predict": -2}}}


@pytest.mark.parametrize(
    ("think", "reasoning"),
    [(True, Reasoning("auto")), (False, Reasoning("off")), ("low", Reasoning("low")), ("max", Reasoning("max"))],
)
def test_think(think: Any, reasoning: Reasoning) -> None:
    assert parse(think=think).reasoning == reasoning


@pytest.mark.parametrize(
    ("format", "read"),
    [("", Format()), ("json", Format("json")), ({"type": "object"}, Format("schema", {"type": "object"}))],
)
def test_format(format: Any, read: Format) -> None:
    assert parse(format=format).format == read


def test_log_probabilities() -> None:
    assert parse(logprobs=True, top_logprobs=3).logprobs == 3
    assert parse(logprobs=True).logprobs == 0
    assert parse(logprobs=False).logprobs is None


def test_tools_and_a_choice() -> None:
    schema = {"type": "object", "properties": {"p": {"type": "string"}}}
    function = {"name": "ls", "description": "lists", "parameters": schema}
    request = parse(tools=[{"type": "function", "function": function}], tool_choice={"function": {"name": "ls"}})
    assert request.tools == [Tool("ls", "lists", schema)] and request.tool_choice == ToolChoice("named", ("ls",))
    assert parse(tool_choice="required").tool_choice == ToolChoice("required")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"messages": [{"role": "user", "content": [1]}]}, "messages[0].content"),
        ({"messages": [{"role": "robot"}]}, "messages[0].role"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]},
         "messages[0].tool_calls[0].function.name"),
        ({"think": "wild"}, "think"),
        ({"format": "xml"}, "format"),
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"tools": [{"function": {}}]}, "tools[0].function"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_its_place(fields: dict[str, Any], path: str) -> None:
    assert refused(**fields).error.param == path


# ------------------------------------------------------------------------------------------------ messages


def test_a_conversation_with_calls_and_ids() -> None:
    system, user, assistant, results = messages(
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Look.", "images": [PNG, f"data:image/jpeg;base64,{JPEG}"]},
        {"role": "assistant", "content": "So.", "thinking": "Hm.", "tool_calls": [{"id": "a", **CALL}]},
        {"role": "tool", "tool_call_id": "a", "tool_name": "ls", "content": "x", "images": [PNG]},
    )
    assert system == Message("system", (Text("Be brief."),))
    png, jpeg = Image(Blob("image/png", PNG)), Image(Blob("image/jpeg", JPEG))
    assert user == Message("user", (Text("Look."), png, jpeg))
    assert assistant == Message("assistant", (Thinking("Hm."), Text("So."), ToolCall("a", "ls", '{"p": "."}')))
    assert results == Message("user", (ToolResult("a", (Text("x"), png)),))


def test_arguments_stay_the_bytes_that_they_were() -> None:
    body = (
        b'{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":'
        b'{ "n": 1.50,  "t": "\\u00e9" }}},{"id":"b","function":{"name":"f","arguments":"{\\"q\\":1}"}}]}]}'
    )
    first, second = ollama.parse_request(Wire("/api/chat", body)).messages[0].parts
    assert isinstance(first, ToolCall) and first.arguments == '{ "n": 1.50,  "t": "\\u00e9" }'
    assert isinstance(second, ToolCall) and second.arguments == '{"q":1}'


def test_calls_without_ids_get_the_same_ones_on_each_turn() -> None:
    history = [USER, {"role": "assistant", "tool_calls": [CALL, CALL]}]
    once, again = messages(*history), messages(*history, {"role": "tool", "content": "x"}, USER)
    assert once == again[:2]
    ids = [part.id for part in once[1].parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 2 and all(ollama.CALL_ID.fullmatch(id) for id in ids)


def test_results_without_ids_find_their_calls_by_name_and_order() -> None:
    def call(name: str) -> Any:
        return {"function": {"name": name, "arguments": {}}}

    _, assistant, results = messages(
        USER,
        {"role": "assistant", "tool_calls": [call("a"), call("b"), call("a"), call("c")]},
        {"role": "tool", "tool_name": "b", "content": "1"},
        {"role": "tool", "tool_name": "a", "content": "2"},
        {"role": "tool", "name": "a", "content": "3"},
        {"role": "tool", "content": "4"},
    )
    a, b, second_a, c = (part.id for part in assistant.parts if isinstance(part, ToolCall))
    assert [part.id for part in results.parts if isinstance(part, ToolResult)] == [b, a, second_a, c]


def test_a_result_whose_call_lost_its_id_is_matched_by_its_name() -> None:
    _, assistant, results = messages(
        USER,
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_name": "ls", "tool_call_id": "call_that_we_once_gave", "content": "x"},
    )
    (call,), (result,) = assistant.parts, results.parts
    assert isinstance(call, ToolCall) and isinstance(result, ToolResult) and result.id == call.id


def test_a_late_result_keeps_the_id_of_an_earlier_call() -> None:
    _, _, _, results = messages(
        USER,
        {"role": "assistant", "tool_calls": [{"id": "old", **CALL}]},
        {"role": "assistant", "tool_calls": [{"id": "new", **CALL}]},
        {"role": "tool", "tool_name": "ls", "tool_call_id": "old", "content": "x"},
    )
    assert isinstance(results.parts[0], ToolResult) and results.parts[0].id == "old"


# ------------------------------------------------------------------------------------------------ /api/generate


def test_generate_is_a_conversation_of_one_prompt() -> None:
    request = parse(
        "/api/generate?x=1", model="m", prompt="Hi", system="Be brief.", images=[PNG], options={"seed": 1},
        raw=False, context=[], suffix="", template="", keep_alive=0,
    )  # fmt: skip
    image = Image(Blob("image/png", PNG))
    assert request.messages == [Message("system", (Text("Be brief."),)), Message("user", (Text("Hi"), image))]
    assert request.stream and request.seed == 1
    assert request.extra["ollama"]["generate"] is True and request.extra["ollama"]["keep_alive"] == 0


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
@pytest.mark.parametrize(("alive", "loads"), [("5m", "load"), (None, "load"), (0, "unload")])
def test_without_a_prompt_the_model_is_loaded(path: str, alive: Any, loads: str) -> None:
    request = parse(path, model="m", messages=[], prompt="", keep_alive=alive)
    assert request.messages == [] and request.extra["ollama"]["loads"] == loads
