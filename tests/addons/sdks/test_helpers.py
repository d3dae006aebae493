"""What the SDKs offer above a plain call, as their users write it: parsed answers, functions that are called by
themselves, chats that keep their history, counts and lists. Each against every upstream."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import ollama
import openai
import pytest
from google.genai import types as gm
from pydantic import BaseModel

from tests.addons.sdks.clients import Client, chat_tool, claude_tool
from tests.addons.sdks.conftest import SHORT
from tests.addons.sdks.forms import check_request
from tests.addons.sdks.functions import get_time, get_weather
from tests.addons.sdks.reads import Asked, read
from tests.addons.sdks.said import (
    ANSWER,
    CITY,
    SYSTEM,
    TALKS,
    TEXT,
    THOUGHT,
    TOOLS,
    WEATHER,
    ZONE,
)
from tests.addons.sdks.stub import COUNTED
from tests.harness import Upstream


class Answer(BaseModel):
    city: str
    days: list[int]


class GetWeather(BaseModel):
    city: str


WANTED = Answer(**ANSWER)
CALL = ("call", CITY.name, CITY.arguments)
DONE = [("user", "Weather?"), CALL, ("result", CITY.name, f"rain in {CITY.arguments['city']}")]


@pytest.fixture
def sdk(clients: dict[str, Client], request: pytest.FixtureRequest) -> Any:
    """That which the test's name begins with."""
    names = {"chat": "openai-chat", "responses": "openai-responses", "claude": "anthropic"}
    word = request.function.__name__.split("_")[1]
    return clients[names.get(word, word)].sdk


@pytest.fixture
def model(upstream: str) -> str:
    return SHORT[upstream] + "_{}"


def arrived(provider: Upstream, upstream: str, own: str) -> Asked:
    seen = provider.seen[-1]
    if upstream != own:
        check_request(seen.path, seen.json)
    asked = read(seen.path, seen.json)
    assert asked.protocol == upstream
    return asked


# ------------------------------------------------------------------------------------------------ openai, chat

USER: Any = [{"role": "user", "content": "Weather?"}]


def test_chat_parses_by_a_model(sdk: openai.OpenAI, model: str, provider: Upstream, upstream: str) -> None:
    given: Any = {"model": model.format("json"), "messages": USER, "response_format": Answer}
    parsed = sdk.chat.completions.parse(**given).choices[0].message.parsed
    assert parsed == WANTED
    schema = arrived(provider, upstream, "openai-chat").schema
    assert schema and list(schema["properties"]) == ["city", "days"]
    with sdk.chat.completions.stream(**given) as stream:
        done = [event for event in stream if event.type == "content.done"]
    assert [event.parsed for event in done] == [WANTED]


def test_chat_parses_arguments_and_takes_its_message_back(
    sdk: openai.OpenAI, model: str, provider: Upstream, upstream: str
) -> None:
    tools = [openai.pydantic_function_tool(GetWeather, name="get_weather")]
    given: Any = {"model": model.format("bare-call"), "tools": tools}
    with sdk.chat.completions.stream(**given, messages=USER) as stream:
        events = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        message = stream.get_final_completion().choices[0].message
    assert [event.parsed_arguments for event in events] == [GetWeather(city=CITY.arguments["city"])]
    whole = sdk.chat.completions.parse(**given, messages=USER).choices[0].message
    for echo in (message, whole):
        assert echo.tool_calls and echo.tool_calls[0].function.parsed_arguments == events[0].parsed_arguments
        result = {"role": "tool", "tool_call_id": echo.tool_calls[0].id, "content": get_weather(**CITY.arguments)}
        assert sdk.chat.completions.parse(**given, messages=[*USER, echo, result]).choices[0].message.content
        assert arrived(provider, upstream, "openai-chat").items == DONE


def test_chat_streams_raw_chunks(sdk: openai.OpenAI, model: str, upstream: str) -> None:
    tools: Any = [chat_tool(tool) for tool in TOOLS]
    given: Any = {"model": model.format("parallel"), "messages": USER, "tools": tools, "stream": True}
    chunks = list(sdk.chat.completions.create(**given))
    assert chunks[0].choices[0].delta.role == "assistant" and len({chunk.id for chunk in chunks}) == 1
    ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert set(ends[:-1]) == {None} and ends[-1] == "tool_calls"
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert [call.index for call in calls if call.id] == [0, 1]
    for index, call in enumerate((CITY, ZONE)):
        mine = [one.function for one in calls if one.index == index]
        assert [one.name for one in mine if one.name] == [call.name]
        assert json.loads("".join(one.arguments or "" for one in mine)) == call.arguments
    if upstream != "openai-chat":  # it was not asked for
        assert all(chunk.usage is None for chunk in chunks)


# ------------------------------------------------------------------------------------------------ openai, responses


def test_responses_parses_by_a_model(sdk: openai.OpenAI, model: str, provider: Upstream, upstream: str) -> None:
    given: Any = {"model": model.format("json"), "input": "Where?", "text_format": Answer}
    assert sdk.responses.parse(**given).output_parsed == WANTED
    asked = arrived(provider, upstream, "openai-responses")
    assert asked.schema and list(asked.schema["properties"]) == ["city", "days"]
    assert asked.items == [("user", "Where?")]


def test_responses_parses_a_stream(clients: dict[str, Client], model: str, upstream: str) -> None:
    given: Any = {"model": model.format("json"), "input": "Where?", "text_format": Answer}
    streaming: Any = clients["openai-responses"]
    with streaming.streaming.responses.stream(**given) as stream:
        stream.until_done()
        assert stream.get_final_response().output_parsed == WANTED


def test_responses_parses_arguments_and_takes_its_items_back(
    sdk: openai.OpenAI, model: str, provider: Upstream, upstream: str
) -> None:
    tools = [openai.pydantic_function_tool(GetWeather, name="get_weather")]
    flat = [{"type": "function", **tool["function"]} for tool in tools]
    given: Any = {"model": model.format("bare-call"), "tools": flat}
    first = sdk.responses.parse(**given, input=USER)
    (call,) = [item for item in first.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": get_weather(**CITY.arguments)}
    assert sdk.responses.parse(**given, input=[*USER, *first.output, result]).output_text == "It rains."
    assert arrived(provider, upstream, "openai-responses").items == DONE


@pytest.mark.without(upstream=["anthropic", "gemini", "ollama"])  # they have no part for a refusal
def test_responses_parses_a_refusal(sdk: openai.OpenAI, model: str) -> None:
    answer = sdk.responses.parse(model=model.format("refusal"), input="Where?", text_format=Answer)
    (message,) = [item for item in answer.output if item.type == "message"]
    assert message.content[0].type == "refusal" and answer.output_parsed is None


# ------------------------------------------------------------------------------------------------ anthropic


def test_claude_parses_by_a_model(sdk: anthropic.Anthropic, model: str, provider: Upstream, upstream: str) -> None:
    given: Any = {"model": model.format("json"), "messages": USER, "max_tokens": 500, "output_format": Answer}
    assert sdk.messages.parse(**given).parsed_output == WANTED
    schema = arrived(provider, upstream, "anthropic").schema
    assert schema and list(schema["properties"]) == ["city", "days"]
    with sdk.messages.stream(**given) as stream:
        assert stream.get_final_message().parsed_output == WANTED


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_claude_runs_tools_by_itself(
    sdk: anthropic.Anthropic, model: str, provider: Upstream, upstream: str, stream: bool
) -> None:
    tools = [anthropic.beta_tool(get_weather), anthropic.beta_tool(get_time)]
    given: Any = {"model": model.format("bare-call"), "messages": USER, "max_tokens": 500, "tools": tools}
    runner = sdk.beta.messages.tool_runner(**given, stream=stream, max_iterations=4)
    last: Any = [turn.get_final_message() if stream else turn for turn in runner][-1]
    assert last.content[0].text == "It rains." and last.stop_reason == "end_turn"
    asked = arrived(provider, upstream, "anthropic")
    assert asked.items == DONE and list(asked.tools) == ["get_weather", "get_time"]


def test_claude_streams_raw_events(sdk: anthropic.Anthropic, model: str, upstream: str) -> None:
    given: Any = {"model": model.format("think-call"), "messages": USER, "max_tokens": 500}
    given |= {"tools": [claude_tool(WEATHER)], "thinking": {"type": "adaptive", "display": "summarized"}}
    events: Any = list(sdk.messages.create(**given, stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    begun = [event for event in events if event.type == "content_block_start"]
    assert [(event.index, event.content_block.type) for event in begun] == [(0, "thinking"), (1, "tool_use")]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop")


def test_claude_counts(sdk: anthropic.Anthropic, model: str, provider: Upstream, upstream: str) -> None:
    before = len(provider.seen)
    given: Any = {"model": model.format("text"), "messages": USER, "system": SYSTEM, "tools": [claude_tool(WEATHER)]}
    counted = sdk.messages.count_tokens(**given).input_tokens
    if len(provider.seen) > before:
        assert counted == COUNTED
    else:  # estimated here
        assert 20 < counted < 700


# ------------------------------------------------------------------------------------------------ google-genai


def test_gemini_parses_by_a_model(sdk: Any, model: str, provider: Upstream, upstream: str) -> None:
    given: Any = {"model": model.format("json"), "contents": "Where?"}
    config = gm.GenerateContentConfig(response_mime_type="application/json", response_schema=Answer)
    assert sdk.models.generate_content(**given, config=config).parsed == WANTED
    asked = arrived(provider, upstream, "gemini")
    assert asked.schema and list(asked.schema["properties"]) == ["city", "days"]
    assert asked.items == [("user", "Where?")]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ["bare-call", "parallel", "think-call"])
def test_gemini_calls_functions_by_itself(
    sdk: Any, model: str, provider: Upstream, upstream: str, name: str, stream: bool
) -> None:
    thinking = gm.ThinkingConfig(include_thoughts=True) if name == "think-call" else None
    config = gm.GenerateContentConfig(tools=[get_weather, get_time], thinking_config=thinking)
    given: Any = {"model": model.format(name), "contents": "Weather?", "config": config}
    if stream:
        text = "".join(chunk.text or "" for chunk in sdk.models.generate_content_stream(**given))
    else:
        answer = sdk.models.generate_content(**given)
        text = answer.text
        assert len(answer.automatic_function_calling_history) == 3
    assert text == TALKS[name][1].text
    asked = arrived(provider, upstream, "gemini")
    calls = TALKS[name][0].calls
    results = {"get_weather": f"rain in {CITY.arguments['city']}", "get_time": "noon in CET"}
    assert asked.spoken == [
        ("user", "Weather?"),
        *[("call", call.name, call.arguments) for call in calls],
        *[("result", call.name, results[call.name]) for call in calls],
    ]
    assert asked.tools["get_weather"]["properties"]["city"]["type"].lower() == "string"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_gemini_chats(sdk: Any, model: str, provider: Upstream, upstream: str, stream: bool) -> None:
    config = gm.GenerateContentConfig(
        system_instruction=SYSTEM, thinking_config=gm.ThinkingConfig(include_thoughts=True)
    )
    chat = sdk.chats.create(model=model.format("think"), config=config)

    def send(text: str) -> tuple[str, str]:
        answers = chat.send_message_stream(text) if stream else [chat.send_message(text)]
        parts = [part for answer in answers for part in answer.candidates[0].content.parts]
        thought = "".join(part.text for part in parts if part.thought)
        return thought, "".join(part.text for part in parts if not part.thought)

    assert send("Hi") == (THOUGHT, TEXT) and send("And?") == (THOUGHT, "Once more.")
    asked = arrived(provider, upstream, "gemini")
    assert asked.system == SYSTEM
    if upstream != "gemini":
        assert asked.items == [("user", "Hi"), ("assistant", TEXT), ("user", "And?")]


def test_gemini_chats_with_functions(sdk: Any, model: str, provider: Upstream, upstream: str) -> None:
    config = gm.GenerateContentConfig(tools=[get_weather, get_time])
    chat = sdk.chats.create(model=model.format("twice"), config=config)
    assert chat.send_message("Weather?").text == "Rain at noon."
    assert chat.send_message("Thanks.").text == "Rain at noon."
    assert arrived(provider, upstream, "gemini").spoken == [
        *DONE,
        ("assistant", "And now the time."),
        ("call", ZONE.name, ZONE.arguments),
        ("result", ZONE.name, "noon in CET"),
        ("assistant", "Rain at noon."),
        ("user", "Thanks."),
    ]


def test_gemini_counts(sdk: Any, model: str, provider: Upstream, upstream: str) -> None:
    before = len(provider.seen)
    counted = sdk.models.count_tokens(model=model.format("text"), contents="How many tokens have I?").total_tokens
    if len(provider.seen) > before:
        assert counted == COUNTED
    else:  # estimated here
        assert 3 < counted < 60


# ------------------------------------------------------------------------------------------------ ollama


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_ollama_generates(sdk: ollama.Client, model: str, provider: Upstream, upstream: str, stream: bool) -> None:
    answer = sdk.generate(model.format("think"), "Hi", system=SYSTEM, think=True, stream=stream)
    lines: Any = list(answer) if stream else [answer]
    assert "".join(line.response for line in lines) == TEXT
    assert "".join(line.thinking or "" for line in lines) == THOUGHT
    assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True]
    assert (lines[-1].done_reason, lines[-1].prompt_eval_count, lines[-1].eval_count) == ("stop", 20, 9)
    asked = arrived(provider, upstream, "ollama")
    assert (asked.system, asked.items) == (SYSTEM, [("user", "Hi")])


@pytest.mark.parametrize("name", ["call", "parallel"])
def test_ollama_takes_functions(sdk: ollama.Client, model: str, provider: Upstream, upstream: str, name: str) -> None:
    """As its documentation does it: functions as tools, the message appended as it is, results by the tool's name."""
    functions = {"get_weather": get_weather, "get_time": get_time}
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    given: Any = {"model": model.format(name), "messages": messages, "tools": list(functions.values())}
    first = sdk.chat(**given)
    messages.append(first.message)
    for call in first.message.tool_calls or ():
        said = functions[call.function.name](**call.function.arguments)
        messages.append({"role": "tool", "content": said, "tool_name": call.function.name})
    assert sdk.chat(**given).message.content == TALKS[name][1].text
    asked = arrived(provider, upstream, "ollama")
    calls = TALKS[name][0].calls
    assert asked.tools["get_weather"]["properties"]["city"] == {"type": "string", "description": "Its name."}
    assert [item for item in asked.items if item[0] == "call"] == [("call", c.name, c.arguments) for c in calls]
    assert asked.items[-1][0] == "result" and [item[1] for item in asked.items[-len(calls) :]] == [
        c.name for c in calls
    ]


def test_ollama_parses_by_a_schema(sdk: ollama.Client, model: str, provider: Upstream, upstream: str) -> None:
    messages = [{"role": "user", "content": "Where?"}]
    answer = sdk.chat(model.format("json"), messages, format=Answer.model_json_schema())
    assert Answer.model_validate_json(answer.message.content or "") == WANTED
    schema = arrived(provider, upstream, "ollama").schema
    assert schema and list(schema["properties"]) == ["city", "days"]


@pytest.mark.parametrize("think", [True, False, "low", "medium", "high"])
def test_ollama_says_how_much_to_think(
    sdk: ollama.Client, model: str, provider: Upstream, upstream: str, think: Any
) -> None:
    sdk.chat(model.format("text"), [{"role": "user", "content": "Hi"}], think=think)
    body, asked = provider.seen[-1].json, arrived(provider, upstream, "ollama")
    if upstream == "ollama":
        assert body["think"] == think
    elif think is False:
        assert asked.thinks is False
    elif think is True and upstream.startswith("openai"):
        assert asked.thinks is None  # the model's own effort
    else:
        assert asked.thinks is True
    if isinstance(think, str) and upstream.startswith("openai"):
        assert (body.get("reasoning") or {}).get("effort", body.get("reasoning_effort")) == think


# ------------------------------------------------------------------------------------------------ lists


def test_every_client_lists_and_gets_models(clients: dict[str, Client], upstream: str) -> None:
    name = f"{SHORT[upstream]}_text"
    sdks: Any = {key: client.sdk for key, client in clients.items()}
    assert name in [model.id for model in sdks["openai-chat"].models.list()]
    assert sdks["openai-chat"].models.retrieve(name).id == name
    assert name in [model.id for model in sdks["anthropic"].models.list()]
    assert sdks["anthropic"].models.retrieve(name).type == "model"
    assert f"models/{name}" in [model.name for model in sdks["gemini"].models.list()]
    assert sdks["gemini"].models.get(model=name).name == f"models/{name}"
    assert name in [model.model for model in sdks["ollama"].list().models]
    assert "completion" in (sdks["ollama"].show(name).capabilities or ())
