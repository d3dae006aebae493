"""Answers and streams of Responses, both ways, by literal wires."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import lawful
from tests.strategies import SEED
from translators import CODECS
from translators import openai_responses as codec
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS, Traits, Wire
from translators.events import Event, Failure, Finish, PartDelta, Ping, fold, unfold
from translators.model import (
    ApiError,
    BadRequest,
    Citation,
    Refusal,
    Request,
    Response,
    Text,
    Thinking,
    Tool,
    ToolCall,
    UpstreamFault,
    Usage,
)

NAME = "openai-responses"
ASKED = Request(model="asked", stream=True)


def wire(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


def read(stream: bytes) -> list[Event]:
    decoder = codec.decoder(SEED)
    events = decoder.feed(stream) + decoder.feed(b"")
    assert decoder.crash is None and decoder.losses == []
    lawful.check(events)
    return events


def written(events: list[Event], asked: Request = ASKED) -> list[dict[str, Any]]:
    """The events of a stream, whose numbers and names are checked here."""
    encoder = codec.encoder(asked, SEED)
    frames = b"".join(map(encoder.encode, events)).decode().strip().split("\n\n")
    out = []
    for number, frame in enumerate(frames):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert event["type"] == name.removeprefix("event: ")
        assert event["sequence_number"] == number
        out.append(event)
    return out


FULL = Response(
    (
        Thinking("Plan", extra={NAME: {"encrypted_content": "tok"}}),
        Text("Let me", (Citation("http://x", "X", None, 0, 3),)),
        Text(" look."),
        ToolCall("call_a", "apply_patch", "*** Begin", True),
        ToolCall("call_b", "read", "", namespace="mcp__files__"),
    ),
    "tool_call",
    "resp_up",
    "up",
    Usage(6, 4, 0, 4, 3),
)


def test_the_order_of_a_stream() -> None:
    events = written(unfold(FULL))
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done",
        "output_item.done", "output_item.added", "content_part.added", "output_text.delta",
        "output_text.annotation.added", "output_text.done", "content_part.done",
        "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
        "output_item.done", "output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done",
        "output_item.done", "output_item.added", "function_call_arguments.delta", "function_call_arguments.done",
        "output_item.done", "completed",
    ]  # fmt: skip
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    last = events[-1]["response"]
    assert last["output"] == done and last["model"] == "asked" and last["id"] == "resp_up"
    assert done[0]["encrypted_content"] == "tok"
    assert done[2] | {"id": ""} == {
        "id": "", "type": "custom_tool_call", "status": "completed", "call_id": "call_a", "name": "apply_patch",
        "input": "*** Begin",
    }  # fmt: skip
    assert (done[3]["namespace"], done[3]["name"], done[3]["arguments"]) == ("mcp__files__", "read", "{}")
    assert last["usage"] == {
        "input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 17,
    }  # fmt: skip
    assert events[0]["response"]["usage"] is None and events[0]["response"]["output"] == []


def test_a_whole_answer_is_the_last_event_of_its_stream() -> None:
    assert json.loads(codec.render_response(FULL, ASKED, SEED)) == written(unfold(FULL))[-1]["response"]


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("end", "completed", None),
        ("stop_sequence", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("context_window", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        ("refusal", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_how_an_answer_ends(reason: Any, status: str, details: Any) -> None:
    last = written(unfold(Response((Text("a"),), reason)))[-1]
    assert last["type"] == f"response.{status}"
    assert (last["response"]["status"], last["response"]["incomplete_details"]) == (status, details)
    assert last["response"]["output"][0]["status"] == status


def test_a_refusal_is_a_part() -> None:
    events = written(unfold(Response((), "refusal", detail="No.")))
    assert events[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]
    assert events[-1]["type"] == "response.completed"
    assert fold(read(wire(*events))) == Response((Refusal("No."),), "refusal", f"resp_{SEED.id}", "asked", Usage(
        raw=events[-1]["response"]["usage"]))  # fmt: skip


def test_a_failure_names_the_wait_and_closes_what_is_open() -> None:
    begun = unfold(Response((Text("a"),)))[:3]
    events = written([*begun, Failure(ApiError(429, "rate_limit", "Slow down.", retry_after=1.5))])
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"] == {
        "code": "rate_limit_exceeded", "message": "Slow down. Please try again in 1.5s.",
    }  # fmt: skip
    failure = read(wire(*events))[-1]
    assert isinstance(failure, Failure) and (failure.error.kind, failure.error.retry_after) == ("rate_limit", 1.5)


def test_keep_alives_are_numbered_events() -> None:
    encoder = codec.encoder(ASKED, SEED)
    assert encoder.keep_alive() == b""
    encoder.encode(unfold(FULL)[0])
    alive = b'event: keepalive\ndata: {"type":"keepalive","sequence_number":%d}\n\n'
    assert encoder.keep_alive() == alive % 2 and encoder.encode(Ping()) == alive % 3


def test_a_search_for_tools_goes_back_as_one() -> None:
    search = Tool("tool_search", extra={NAME: {"raw": {"type": "tool_search", "execution": "client"}}})
    asked = Request(model="m", tools=[search], stream=True)
    answer = Response((ToolCall("c", "tool_search", '{"query":"q"}'),), "tool_call")
    events = written(unfold(answer), asked)
    item = events[-1]["response"]["output"][0]
    assert (item["type"], item["arguments"], item["call_id"]) == ("tool_search_call", {"query": "q"}, "c")
    assert json.loads(codec.render_response(answer, asked, SEED))["output"] == [item]


# ------------------------------------------------------------------------------------------------ reading

CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "m", "output": []}}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
DONE = {"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": None}}


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([{"type": "response.output_item.done", "output_index": 0, "item": CALL}], id="no-added"),
        pytest.param([{"type": "response.output_item.done", "item": CALL}], id="no-index"),
        pytest.param([
            {"type": "response.output_item.added", "output_index": 0, "item": {**CALL, "arguments": ""}},
            {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a"'},
            {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a":1}'},
        ], id="a-delta-lost"),
        pytest.param([
            {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a":1}'},
            {"type": "response.output_item.done", "output_index": 0, "item": CALL},
        ], id="deltas-before-the-name"),
        pytest.param([
            {"type": "response.output_item.added", "output_index": 0, "item": {**CALL, "arguments": ""}},
            {"type": "response.output_item.done", "output_index": 0, "item": CALL},
            {"type": "response.what_is_this", "new": True},
        ], id="arguments-only-when-done"),
    ],
)  # fmt: skip
def test_calls_of_servers_that_leave_much_out(events: list[dict[str, Any]]) -> None:
    answer = fold(read(wire(CREATED, *events, DONE)))
    assert answer.parts == (ToolCall("c", "f", '{"a":1}'),) and answer.reason == "tool_call"


def test_items_that_only_the_last_event_has() -> None:
    response = {"id": "r", "model": "m", "status": "completed", "output": [CALL]}
    last = {"type": "response.completed", "response": response}
    assert fold(read(wire(last))).parts == (ToolCall("c", "f", '{"a":1}'),)


def test_text_repaired_by_its_end_and_a_thoughts_token() -> None:
    events = [
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "Pl"},
        {"type": "response.output_item.done", "output_index": 0, "item": {
            "type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Plan"}],
            "encrypted_content": "tok"}},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "He"},
        {"type": "response.output_text.done", "output_index": 1, "content_index": 0, "text": "Hello"},
    ]  # fmt: skip
    assert fold(read(wire(CREATED, *events, DONE))).parts == (
        Thinking("Plan", summary=True, extra={NAME: {"encrypted_content": "tok"}}), Text("Hello"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "server_is_overloaded", "message": "busy", "param": None},
        {"type": "error", "error": {"code": "server_is_overloaded", "message": "busy"}},
        {"type": "response.failed", "response": {"status": "failed", "error": {
            "code": "server_is_overloaded", "message": "busy"}}},
    ],
)  # fmt: skip
def test_errors_flat_nested_and_failed(event: dict[str, Any]) -> None:
    last = read(wire(CREATED, event))[-1]
    assert isinstance(last, Failure) and (last.error.kind, last.error.message) == ("overloaded", "busy")


def test_a_stream_without_an_end_broke_off() -> None:
    last = read(wire(CREATED, {"type": "response.output_text.delta", "output_index": 0, "delta": "a"}))[-1]
    assert isinstance(last, Failure) and last.error.kind == "disconnected"


def test_whole_answers() -> None:
    body = json.dumps({"id": "r", "model": "m", "status": "incomplete", "output": [CALL],
                       "incomplete_details": {"reason": "max_output_tokens"}})  # fmt: skip
    assert codec.parse_response(body.encode(), SEED) == Response((ToolCall("c", "f", '{"a":1}'),), "length", "r", "m")
    with pytest.raises(UpstreamFault) as caught:
        codec.parse_response(b'{"status":"failed","error":{"code":"invalid_prompt","message":"no"}}', SEED)
    assert caught.value.error.kind == "refused"


@pytest.mark.parametrize(("why", "reason"), [
    ("max_output_tokens", "length"), ("max_messages", "length"), ("something_new", "length"), (None, "length"),
    ("content_filter", "content_filter"), ("steered", "end"),
])  # fmt: skip
def test_an_incomplete_answer_is_no_good_end(why: str | None, reason: str) -> None:
    details = {"reason": why} if why else None
    body = json.dumps({"id": "r", "model": "m", "status": "incomplete", "output": [], "incomplete_details": details})
    assert codec.parse_response(body.encode(), SEED).reason == reason


# ------------------------------------------------------------------------------------------------ errors and bridges


def test_errors() -> None:
    status, _, body = codec.render_error(ApiError(400, "context_too_long", "too much"))
    assert status == 400 and json.loads(body)["error"] == {
        "message": "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "type": "invalid_request_error", "param": "input", "code": "context_length_exceeded",
    }  # fmt: skip


def test_a_previous_response_that_nobody_kept() -> None:
    wire = Wire("/v1/responses", b'{"model":"m","input":"x","previous_response_id":"resp_x"}')
    with pytest.raises(BadRequest) as caught:
        Bridge(codec, CODECS["openai-chat"], wire, codec.parse_request(wire), model="up", stream=False,
               traits=DEFAULT_TRAITS, policy="max_compat", seed=SEED)  # fmt: skip
    status, _, body = codec.render_error(caught.value.error)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["param"]) == (400, "previous_response_not_found", "previous_response_id")


def test_codex_on_a_chat_upstream() -> None:
    tools = [
        {"type": "custom", "name": "apply_patch", "format": {"type": "text"}},
        {"type": "namespace", "name": "mcp__x__", "description": "d", "tools": [
            {"type": "function", "name": "read", "parameters": {"type": "object", "properties": {}}}]},
    ]  # fmt: skip
    body = {"model": "m", "stream": True, "tools": tools, "input": [{"role": "developer", "content": "You are Codex"},
                                                                     {"role": "user", "content": "Hi"}]}  # fmt: skip
    wire = Wire("/v1/responses", json.dumps(body).encode())
    bridge = Bridge(codec, CODECS["openai-chat"], wire, codec.parse_request(wire), model="up", stream=True,
                    traits=Traits(), policy="balanced", seed=SEED)  # fmt: skip
    sent = json.loads(bridge.wire.body)
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["apply_patch", "mcp__x__read"]
    answer = bridge.answer(200, {"content-type": "text/event-stream"})
    calls = [{"index": 0, "id": "c0", "function": {"name": "apply_patch", "arguments": '{"input":"*** \\"x\\""}'}},
             {"index": 1, "id": "c1", "function": {"name": "mcp__x__read", "arguments": "{}"}}]  # fmt: skip
    chunk = {"id": "x", "choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": "tool_calls"}]}
    out = answer.feed(b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(chunk).encode()) + answer.feed(b"")
    last = json.loads(out.strip().rsplit(b"data: ", 1)[1])
    assert last["type"] == "response.completed"
    first, second = last["response"]["output"]
    assert (first["type"], first["name"], first["input"]) == ("custom_tool_call", "apply_patch", '*** "x"')
    assert (second["type"], second["name"], second["namespace"]) == ("function_call", "read", "mcp__x__")


def test_the_end_comes_once() -> None:
    events = read(wire(CREATED, DONE, DONE))
    assert [type(event) for event in events].count(Finish) == 1 and not any(isinstance(e, PartDelta) for e in events)
