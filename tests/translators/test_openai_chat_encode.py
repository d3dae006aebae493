"""What a Chat client gets back, streamed or whole, read by eye and by the official SDK."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx2
import msgspec
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import lawful
from translators import openai_chat as chat
from translators.codec import Seed
from translators.events import (
    Event,
    Failure,
    Finish,
    PartDelta,
    PartEnd,
    PartStart,
    Ping,
    Start,
    UsageUpdate,
    fold,
    unfold,
)
from translators.model import (
    ApiError,
    Blob,
    Citation,
    Image,
    Message,
    Reasoning,
    Refusal,
    Request,
    Response,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    Usage,
)

SEED = Seed("s" * 24, 1763600000)
ASKED = Request(model="asked", messages=[Message("user", (Text("hi"),))], stream=True, include_usage=True)
ANSWER = Response(
    (Thinking("hm"), Text("Let me look."), ToolCall("call_a", "ls", '{"p":"."}'), ToolCall("call_b", "pwd")),
    "tool_call",
    "msg_1",
    "upstream",
    Usage(6, 4, 0, 4, 3),
)


def encoded(events: Sequence[Event], asked: Request = ASKED) -> bytes:
    encoder = chat.encoder(asked, SEED)
    return b"".join(encoder.encode(event) for event in events)


def chunks(events: Sequence[Event], asked: Request = ASKED) -> list[Any]:
    frames = encoded(events, asked).split(b"\n\n")[:-1]
    assert frames[-1] == b"data: [DONE]"
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-1]]


def deltas(response: Response, asked: Request = ASKED) -> list[Any]:
    return [choice["delta"] for chunk in chunks(unfold(response), asked) for choice in chunk["choices"]]


def client(body: bytes, kind: str, status: int = 200, headers: dict[str, str] | None = None) -> openai.OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"content-type": kind, **(headers or {})}, content=body)

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(
        api_key="k", base_url="http://x/v1", http_client=transport, max_retries=0, _strict_response_validation=True
    )


def test_a_whole_stream_to_the_byte() -> None:
    events: list[Event] = [Start("up", "up"), PartStart(0, Text("")), PartDelta(0, 'a"\n\u2028'), PartEnd(0)]
    events += [UsageUpdate(Usage(1, 0, 0, 2)), Finish("end")]
    head = (
        'data: {"id":"chatcmpl-ssssssssssssssssssssssss","object":"chat.completion.chunk","created":1763600000,'
        '"model":"asked","choices":'
    )
    tail = ',"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
    assert encoded(events).decode() == (
        head + '[{"index":0,"delta":{"role":"assistant","content":""}' + tail
        + head + '[{"index":0,"delta":{"content":"a\\"\\n\u2028"}' + tail
        + head + '[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}\n\n'
        + head + '[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,'
        '"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}\n\n'
        "data: [DONE]\n\n"
    )  # fmt: skip


def header(index: int, id: str, name: str) -> Any:
    function = {"name": name, "arguments": ""}
    return {"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}


def test_the_deltas_of_an_answer() -> None:
    assert deltas(ANSWER) == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"content": "Let me look."},
        header(0, "call_a", "ls"),
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"p":"."}'}}]},
        header(1, "call_b", "pwd"),
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]


def test_usage_only_where_asked_and_then_last() -> None:
    quiet = chunks(unfold(ANSWER), Request(model="m", stream=True))
    assert all("usage" not in chunk for chunk in quiet) and quiet[-1]["choices"][0]["finish_reason"] == "tool_calls"
    loud = chunks(unfold(ANSWER))
    assert [chunk["usage"] for chunk in loud[:-1]] == [None] * (len(loud) - 1)
    assert loud[-1]["choices"] == [] and loud[-1]["usage"]["total_tokens"] == 17
    without = chunks(unfold(Response((Text("x"),))))
    assert without[-1]["usage"]["total_tokens"] == 0, "asked is asked"


def test_thoughts_that_the_client_wants_hidden_stay_hidden() -> None:
    asked = Request(model="m", reasoning=Reasoning("low", visible=False))
    assert not any("reasoning_content" in delta for delta in deltas(ANSWER, asked))
    message = json.loads(chat.render_response(ANSWER, asked, SEED))["choices"][0]["message"]
    assert "reasoning_content" not in message


def test_a_refusal_is_to_be_read() -> None:
    response = Response((Refusal("I cannot."),), "refusal")
    assert {"refusal": "I cannot."} in deltas(response)
    choice = json.loads(chat.render_response(response, ASKED, SEED))["choices"][0]
    assert (choice["message"]["content"], choice["message"]["refusal"]) == (None, "I cannot.")
    assert choice["finish_reason"] == "stop"
    explained = Response((Text("I "),), "refusal", detail="policy")
    assert {"refusal": "policy"} in deltas(explained)
    assert json.loads(chat.render_response(explained, ASKED, SEED))["choices"][0]["message"]["refusal"] == "policy"


def test_parts_that_chat_has_no_place_for() -> None:
    response = Response((ServerTool("web_search", "call"), Image(Blob(url="https://x/y.png")), Text("!")))
    assert deltas(response)[1:-1] == [{"content": "![image](https://x/y.png)"}, {"content": "!"}]
    message = json.loads(chat.render_response(response, ASKED, SEED))["choices"][0]["message"]
    assert message["content"] == "![image](https://x/y.png)!"


def test_failure_ping_and_keep_alive() -> None:
    error = ApiError(529, "overloaded", "Overloaded", "overloaded_error")
    assert encoded([Start(), Failure(error)]).split(b"\n\n", 1)[1] == (
        b'data: {"error":{"message":"Overloaded","type":"service_unavailable_error","param":null,'
        b'"code":"server_is_overloaded"}}\n\n'
    )
    assert encoded([Start(), Ping()]).endswith(b"\n\n: keepalive\n\n") and chat.keep_alive() == b": keepalive\n\n"


def test_a_client_of_functions_gets_a_function_call() -> None:
    asked = Request(model="m", tools=[Tool("ls", extra={"openai-chat": {"legacy": True}})])
    assert deltas(ANSWER, asked)[3:] == [
        {"function_call": {"name": "ls", "arguments": ""}},
        {"function_call": {"arguments": '{"p":"."}'}},
        {},
    ]
    choice = json.loads(chat.render_response(ANSWER, asked, SEED))["choices"][0]
    assert choice["message"]["function_call"] == {"name": "ls", "arguments": '{"p":"."}'}
    assert choice["finish_reason"] == "function_call" and "tool_calls" not in choice["message"]


PATCH = '*** Begin "x"\n'


def test_a_freeform_call() -> None:
    response = Response((ToolCall("c", "p", PATCH, True),), "tool_call")
    assert [delta["tool_calls"][0] for delta in deltas(response)[1:-1]] == [
        {"index": 0, "id": "c", "type": "custom", "custom": {"name": "p", "input": ""}},
        {"index": 0, "custom": {"input": PATCH}},
    ]
    message = json.loads(chat.render_response(response, ASKED, SEED))["choices"][0]["message"]
    assert message["tool_calls"] == [{"id": "c", "type": "custom", "custom": {"name": "p", "input": PATCH}}]


def test_a_whole_answer() -> None:
    assert json.loads(chat.render_response(ANSWER, ASKED, SEED)) == {
        "id": "chatcmpl-ssssssssssssssssssssssss",
        "object": "chat.completion",
        "created": 1763600000,
        "model": "asked",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Let me look.",
                    "refusal": None,
                    "reasoning_content": "hm",
                    "annotations": [],
                    "tool_calls": [
                        {"id": "call_a", "type": "function", "function": {"name": "ls", "arguments": '{"p":"."}'}},
                        {"id": "call_b", "type": "function", "function": {"name": "pwd", "arguments": "{}"}},
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 7,
            "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    }
    bare = json.loads(chat.render_response(Response((ToolCall("c", "f", "{}"),), "tool_call"), ASKED, SEED))
    assert bare["choices"][0]["message"]["content"] is None
    assert json.loads(chat.render_response(Response(), ASKED, SEED))["choices"][0]["message"]["content"] == ""


def test_citations_count_in_the_whole_content() -> None:
    cited = Text("sky", (Citation("https://x", "T"), Citation(None, "a file")))
    out = json.loads(chat.render_response(Response((Text("The "), cited)), ASKED, SEED))
    assert out["choices"][0]["message"]["annotations"] == [
        {"type": "url_citation", "url_citation": {"start_index": 4, "end_index": 7, "title": "T", "url": "https://x"}}
    ]


def test_the_sdk_reads_the_stream() -> None:
    sdk = client(encoded(unfold(ANSWER)), "text/event-stream")
    tools: Any = [{"type": "function", "function": {"name": "ls", "parameters": {}}}]
    with sdk.chat.completions.stream(
        model="asked", messages=[], tools=tools, stream_options={"include_usage": True}
    ) as stream:
        final = stream.get_final_completion()
    message = final.choices[0].message
    assert message.role == "assistant" and message.content == "Let me look."
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []] == [
        ("call_a", "ls", '{"p":"."}'),
        ("call_b", "pwd", "{}"),
    ]
    assert final.usage is not None and final.usage.total_tokens == 17
    assert final.choices[0].finish_reason == "tool_calls"


def test_the_sdk_reads_the_whole() -> None:
    answer = client(chat.render_response(ANSWER, ASKED, SEED), "application/json").chat.completions.create(
        model="asked", messages=[]
    )
    assert answer.choices[0].message.content == "Let me look." and answer.model == "asked"
    assert answer.usage is not None and answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 4


def test_the_sdk_sees_a_failure_in_the_stream() -> None:
    failed = [Start(), PartStart(0, Text("")), PartDelta(0, "x"), PartEnd(0), Failure(ApiError(500, "server", "boom"))]
    sdk = client(encoded(failed), "text/event-stream")
    with pytest.raises(openai.APIError, match="boom"):
        list(sdk.chat.completions.create(model="m", messages=[], stream=True))


texts = st.text(min_size=1, max_size=8)
prose = st.builds(Text, texts) | st.builds(Thinking, texts) | st.builds(Refusal, texts)
arguments = st.dictionaries(texts, st.integers() | texts, max_size=2).map(json.dumps)


def answers(parts: list[Any], count: Usage | None) -> Response:
    """Chat cannot tell two texts in a row apart, nor what comes between its calls."""
    kept = [part for n, part in enumerate(parts) if n == 0 or type(part) is not type(parts[n - 1])]
    calls = [ToolCall(f"call_{n}", f"tool-{n}", text) for n, text in enumerate(p for p in kept if isinstance(p, str))]
    said = tuple(part for part in kept if not isinstance(part, str))
    said = tuple(part for n, part in enumerate(said) if n == 0 or type(part) is not type(said[n - 1]))
    refused = any(isinstance(part, Refusal) for part in said)
    reason: Any = "tool_call" if calls else "refusal" if refused else "end"
    return Response((*said, *calls), reason, "chatcmpl-1", "m", count)


counts = st.builds(Usage, *[st.integers(1, 9)] * 5)
whole_answers = st.builds(answers, st.lists(prose | arguments, max_size=6), counts)


@settings(max_examples=150, deadline=None)
@given(whole_answers, st.lists(st.integers(0, 3000), max_size=8))
def test_what_is_written_reads_the_same(response: Response, cuts: list[int]) -> None:
    asked = Request(model="m", include_usage=True)
    decoder = chat.decoder(SEED)
    wire = encoded(unfold(response), asked)
    events = [event for piece in lawful.chunks(wire, cuts) for event in decoder.feed(piece)]
    assert decoder.done and decoder.crash is None
    again = fold(events)
    assert again.usage is not None
    assert msgspec.structs.replace(again, usage=msgspec.structs.replace(again.usage, raw={})) == response
