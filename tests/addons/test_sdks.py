"""The official SDKs as oracles: through a real mitmdump, both directions, whole, streamed, and with their helpers.

What they make of our bytes is asserted, and what they sent is what the upstream has to understand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.harness import Conn, Proxy, Seen, Upstream, proxy

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TEXT = "Naïve 東京 🎉 — ok"
CALLS = (("call_a", "get_weather", '{"city": "Łódź"}'), ("call_b", "get_time", "{}"))


# ------------------------------------------------------------------------------------------------ a Chat upstream


def chat_upstream(conn: Conn, seen: Seen) -> None:
    body = seen.json
    if body["model"] == "limited":
        conn.json({"error": {"message": "slow", "type": "rate_limit_error"}}, 429, {"retry-after": "7"})
        return
    if body["model"] == "breaks":
        conn.stream()
        conn.chunk(_chat_frame({"role": "assistant", "content": "Half"}))
        conn.chunk('data: {"error": {"message": "lost it", "type": "server_error"}}\n\n')
        conn.end()
        return
    usage = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}
    usage |= {"prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 4}}
    calls = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in CALLS]
    if not body.get("stream"):
        message = {"role": "assistant", "content": TEXT, "reasoning_content": "Let me think.", "tool_calls": calls}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": "x"}
        conn.json({**head, "choices": [choice], "usage": usage})
        return
    conn.stream()
    conn.chunk(_chat_frame({"role": "assistant", "content": ""}))
    conn.chunk(_chat_frame({"reasoning_content": "Let me"}) + _chat_frame({"reasoning_content": " think."}))
    for start in range(0, len(TEXT), 3):
        conn.chunk(_chat_frame({"content": TEXT[start : start + 3]}))
    for index, call in enumerate(calls):
        arguments = call["function"]["arguments"]
        name = {"name": call["function"]["name"]}
        conn.chunk(_chat_frame({"tool_calls": [{"index": index, **call, "function": name}]}))
        for start in range(0, len(arguments), 5):
            piece = {"index": index, "function": {"arguments": arguments[start : start + 5]}}
            conn.chunk(_chat_frame({"tool_calls": [piece]}))
    conn.chunk(_chat_frame({}, "tool_calls"))
    last = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [], "usage": usage}
    conn.chunk(f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n")
    conn.end()


def _chat_frame(delta: dict[str, Any], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n"


# ------------------------------------------------------------------------------------------------ an Anthropic upstream


def anthropic_upstream(conn: Conn, seen: Seen) -> None:
    body = seen.json
    if body["model"] == "overloaded":
        conn.json({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529)
        return
    usage = {"input_tokens": 12, "cache_read_input_tokens": 8, "cache_creation_input_tokens": 0, "output_tokens": 9}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "x", "stop_sequence": None}
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "Let me think.", "signature": "c2ln"},
        {"type": "text", "text": TEXT},
        *({"type": "tool_use", "id": i, "name": n, "input": json.loads(a)} for i, n, a in CALLS),
    ]
    if not body.get("stream"):
        conn.json({**message, "content": blocks, "stop_reason": "tool_use", "usage": usage})
        return
    conn.stream()

    def event(kind: str, **more: Any) -> None:
        conn.chunk(f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n")

    start = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    event("message_start", message=start)
    event("ping")
    for index, block in enumerate(blocks):
        event("content_block_start", index=index, content_block=_empty(block))
        for delta in _deltas(block):
            event("content_block_delta", index=index, delta=delta)
        event("content_block_stop", index=index)
    event("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 9})
    event("message_stop")
    conn.end()


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    blank = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}, "tool_use": {"input": {}}}
    return {**block, **blank[block["type"]]}


def _deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    match block["type"]:
        case "thinking":
            texts = [{"type": "thinking_delta", "thinking": block["thinking"]}]
            return [*texts, {"type": "signature_delta", "signature": block["signature"]}]
        case "text":
            return [{"type": "text_delta", "text": block["text"][n : n + 4]} for n in range(0, len(block["text"]), 4)]
        case _:
            text = json.dumps(block["input"])
            return [{"type": "input_json_delta", "partial_json": text[n : n + 6]} for n in range(0, len(text), 6)]


# ------------------------------------------------------------------------------------------------ fixtures


@pytest.fixture(scope="module")
def chat() -> Iterator[Upstream]:
    server = Upstream(chat_upstream)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def claude() -> Iterator[Upstream]:
    server = Upstream(anthropic_upstream)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, chat: Upstream, claude: Upstream) -> Iterator[Proxy]:
    config = {
        "auth": {"mode": "none"},
        "upstreams": {
            "chat": {"protocol": "openai-chat", "base_url": chat.url + "/v1", "api_key": {"value": "k-chat"}},
            "claude": {"protocol": "anthropic", "base_url": claude.url, "api_key": {"value": "k-claude"}},
        },
        "retry": {"attempts": 1},
    }
    with proxy(tmp_path_factory.mktemp("sdks"), config) as running:
        yield running


@pytest.fixture
def ant(link: Proxy) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=link.url, api_key="dummy", max_retries=0, _strict_response_validation=True
    )


@pytest.fixture
def oai(link: Proxy) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{link.url}/v1", api_key="dummy", max_retries=0, _strict_response_validation=True
    )


ANT: dict[str, Any] = {
    "model": "chat/m",
    "max_tokens": 3000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Weather and time?"}]}],
    "tools": [
        {"name": "get_weather", "description": "Weather", "input_schema": SCHEMA},
        {"name": "get_time", "description": "Time", "input_schema": {"type": "object", "properties": {}}},
    ],
}
OAI: dict[str, Any] = {
    "model": "claude/m",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather and time?"}],
    "tools": [
        {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": SCHEMA}},
        {"type": "function", "function": {"name": "get_time", "description": "Time"}},
    ],
}


def check_message(message: anthropic.types.Message) -> None:
    thinking, text, weather, clock = message.content
    assert thinking.type == "thinking" and thinking.thinking == "Let me think."
    assert text.type == "text" and text.text == TEXT
    assert weather.type == clock.type == "tool_use"
    assert (weather.id, weather.name, weather.input) == ("call_a", "get_weather", {"city": "Łódź"})
    assert (clock.id, clock.name, clock.input) == ("call_b", "get_time", {})
    assert message.stop_reason == "tool_use" and message.model == "chat/m"
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (12, 8, 9)


def check_completion(completion: Any) -> None:
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content == TEXT and completion.model == "claude/m"
    calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls]
    assert calls == [("call_a", "get_weather", {"city": "Łódź"}), ("call_b", "get_time", {})]
    assert completion.usage.prompt_tokens == 20 and completion.usage.prompt_tokens_details.cached_tokens == 8
    assert completion.usage.completion_tokens == 9


# ------------------------------------------------------------------------------------------------ anthropic on Chat


def test_anthropic_whole(ant: anthropic.Anthropic, chat: Upstream) -> None:
    check_message(ant.messages.create(**ANT))
    body = chat.seen[-1].json
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert [tool["function"]["name"] for tool in body["tools"]] == ["get_weather", "get_time"]


def test_anthropic_stream_helper(ant: anthropic.Anthropic) -> None:
    with ant.messages.stream(**ANT) as stream:
        text = "".join(stream.text_stream)
        check_message(stream.get_final_message())
    assert text == TEXT


def test_anthropic_raw_stream(ant: anthropic.Anthropic) -> None:
    kinds = [event.type for event in ant.messages.create(**ANT, stream=True)]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 4


def test_anthropic_second_turn(ant: anthropic.Anthropic, chat: Upstream) -> None:
    first = ant.messages.create(**ANT)
    results = [
        {"type": "tool_result", "tool_use_id": "call_a", "content": "rain"},
        {"type": "tool_result", "tool_use_id": "call_b", "is_error": True, "content": [{"type": "text", "text": "no"}]},
    ]
    history = [*ANT["messages"], {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    ant.messages.create(**{**ANT, "messages": history})
    roles = [message["role"] for message in chat.seen[-1].json["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool"]
    assistant = chat.seen[-1].json["messages"][2]
    assert [call["function"]["arguments"] for call in assistant["tool_calls"]] == ['{"city":"Łódź"}', "{}"]
    assert "no" in chat.seen[-1].json["messages"][4]["content"]


def test_anthropic_errors(ant: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.RateLimitError) as limited:
        ant.messages.create(**{**ANT, "model": "chat/limited"})
    assert limited.value.response.headers["retry-after"] == "7"
    with (
        pytest.raises(anthropic.APIStatusError, match="lost it"),
        ant.messages.stream(**{**ANT, "model": "chat/breaks"}) as stream,
    ):
        stream.until_done()
    with pytest.raises(anthropic.NotFoundError):
        ant.messages.create(**{**ANT, "model": "nobody"})


def test_anthropic_counts_and_lists(ant: anthropic.Anthropic) -> None:
    counted = ant.messages.count_tokens(**{k: v for k, v in ANT.items() if k != "max_tokens"})
    assert 100 < counted.input_tokens < 700
    assert list(ant.models.list()) is not None


# ------------------------------------------------------------------------------------------------ openai on Anthropic


def test_openai_whole(oai: openai.OpenAI, claude: Upstream) -> None:
    check_completion(oai.chat.completions.create(**OAI))
    seen = claude.seen[-1]
    assert seen.headers["x-api-key"] == "k-claude" and seen.headers["anthropic-version"] and seen.path == "/v1/messages"
    assert seen.json["system"] and seen.json["tools"][1]["input_schema"]["type"] == "object"


def test_openai_stream_helper(oai: openai.OpenAI) -> None:
    with oai.chat.completions.stream(**OAI, stream_options={"include_usage": True}) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        check_completion(stream.get_final_completion())
    assert text == TEXT


def test_openai_raw_stream(oai: openai.OpenAI) -> None:
    chunks = list(oai.chat.completions.create(**OAI, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[-1].choices[0].finish_reason == "tool_calls"
    assert len({chunk.id for chunk in chunks}) == 1 and all(chunk.usage is None for chunk in chunks)


def test_openai_second_turn(oai: openai.OpenAI, claude: Upstream) -> None:
    first = oai.chat.completions.create(**OAI).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": "call_b", "content": "noon"},
        {"role": "tool", "tool_call_id": "call_a", "content": [{"type": "text", "text": "rain"}]},
    ]
    oai.chat.completions.create(**{**OAI, "messages": [*OAI["messages"], first, *results]})
    user, assistant, answers = claude.seen[-1].json["messages"]
    thought, *rest = assistant["content"]  # which the client never saw a signature of
    assert thought == {"type": "thinking", "thinking": "Let me think.", "signature": "c2ln"}
    assert [block["type"] for block in rest] == ["text", "tool_use", "tool_use"]
    assert [block["tool_use_id"] for block in answers["content"]] == ["call_a", "call_b"] and user["role"] == "user"


def test_openai_errors(oai: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as overloaded:
        oai.chat.completions.create(**{**OAI, "model": "claude/overloaded"})
    assert overloaded.value.status_code == 503 and overloaded.value.code == "server_is_overloaded"
    with pytest.raises(openai.BadRequestError, match="n"):
        oai.chat.completions.create(**{**OAI, "n": 3})


# ------------------------------------------------------------------------------------------------ the same protocol


def test_both_on_their_own_protocol(ant: anthropic.Anthropic, oai: openai.OpenAI) -> None:
    message = ant.messages.create(**{**ANT, "model": "claude/m"})
    assert message.content[0].type == "thinking" and message.content[0].signature == "c2ln"
    with ant.messages.stream(**{**ANT, "model": "claude/m"}) as stream:
        final = stream.get_final_message()
    assert [block.type for block in final.content] == [block.type for block in message.content]
    completion = oai.chat.completions.create(**{**OAI, "model": "chat/m"})
    assert completion.choices[0].message.content == TEXT
