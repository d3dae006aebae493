"""Answers of and for the Anthropic protocol: whole and streamed. The wires are written out by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from tests import lawful
from translators import anthropic
from translators.codec import Seed
from translators.events import (
    Event,
    Failure,
    Finish,
    Fold,
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
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Response,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    UpstreamFault,
    Usage,
)

SEED = Seed("abcdefghijklmnopqrstuvwx", 1_700_000_000)
ASKED = Request(model="asked-for", messages=[])

# ---- whole answers


def parse(**fields: Any) -> Response:
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [],
            "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 2}}
    return anthropic.parse_response(json.dumps({**body, **fields}).encode(), SEED)


CITED = {"type": "char_location", "cited_text": "snow", "document_index": 0, "document_title": "W",
         "start_char_index": 3, "end_char_index": 7}


def test_a_whole_answer() -> None:
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
    response = parse(
        content=[
            {"type": "thinking", "thinking": "plan", "signature": "EqQB"},
            {"type": "text", "text": "It snows.", "citations": [CITED]},
            search,
            {"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {"p": 1.0}},
        ],
        stop_reason="tool_use",
        usage={"input_tokens": 10, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 5, "output_tokens": 9,
               "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3},
               "output_tokens_details": {"thinking_tokens": 4}, "server_tool_use": {"web_search_requests": 1}},
        container={"id": "c"},
    )
    assert response.parts == (
        Thinking("plan", extra={"anthropic": {"signature": "EqQB"}}),
        Text("It snows.", (Citation(title="W", text="snow", extra={"anthropic": CITED}),)),
        ServerTool("web_search", "call", "srvtoolu_1", "[web_search q]", {"anthropic": {"raw": search}}),
        ToolCall("toolu_1", "ls", '{"p": 1.0}'),
    )
    assert (response.id, response.model, response.reason) == ("msg_1", "claude-x", "tool_call")
    assert response.extra == {"anthropic": {"container": {"id": "c"}}}
    usage = response.usage
    assert usage is not None
    assert (usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h) == (10, 5, 7, 3)
    assert (usage.output, usage.reasoning, usage.prompt, usage.completion) == (5, 4, 22, 9)


@pytest.mark.parametrize(("said", "reason"), [
    ("end_turn", "end"), ("max_tokens", "length"), ("stop_sequence", "stop_sequence"), ("pause_turn", "pause"),
    ("refusal", "refusal"), ("model_context_window_exceeded", "context_window"), ("something_new", "other"),
    ("tool_use", "end"), (None, "end"),
])
def test_stop_reasons_of_answers_without_calls(said: str | None, reason: str) -> None:
    assert parse(content=[{"type": "text", "text": "x"}], stop_reason=said).reason == reason


def test_a_call_counts_as_one_whatever_the_reason_says() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    assert parse(content=[call], stop_reason="end_turn").reason == "tool_call"
    assert parse(content=[call], stop_reason="max_tokens").reason == "length"


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    response = parse(stop_reason="refusal", stop_details=details)
    assert (response.detail, response.extra) == ("No.", {"anthropic": {"stop_details": details}})


def test_a_call_without_an_id_gets_one() -> None:
    (call,) = parse(content=[{"type": "tool_use", "name": "ls", "input": {}}]).parts
    assert call == ToolCall("toolu_abcdefghijklmnopqrstuvwx", "ls", "{}")


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'{"content": 5}', b"", b'{"content":[{"type":"image"}]}'])
def test_a_body_that_is_no_answer(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        anthropic.parse_response(body, SEED)


def test_an_error_that_says_200() -> None:
    with pytest.raises(UpstreamFault) as caught:
        anthropic.parse_response(b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', SEED)
    assert caught.value.error == ApiError(529, "overloaded", "busy")


def render(response: Response, asked: Request = ASKED) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(anthropic.render_response(response, asked, SEED))
    return body


def test_an_answer_of_another_provider() -> None:
    assert render(Response(
        (Thinking("plan"), Text("Hi"), Refusal("No"), ToolCall("call_1", "ls", '{"p": 1.0}')),
        "end", "chatcmpl-1", "glm", Usage(40, 60, 0, 6, 3, raw={"prompt_tokens": 100}),
    )) == {
        "id": "msg_abcdefghijklmnopqrstuvwx", "type": "message", "role": "assistant", "model": "asked-for",
        "content": [
            {"type": "thinking", "thinking": "plan", "signature": "px1."}, {"type": "text", "text": "Hi"},
            {"type": "text", "text": "No"}, {"type": "tool_use", "id": "call_1", "name": "ls", "input": {"p": 1.0}},
        ],
        "stop_reason": "tool_use", "stop_sequence": None,
        "usage": {"input_tokens": 40, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 60,
                  "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 3}},
    }


@pytest.mark.parametrize(("response", "said"), [
    (Response((Text("x"),), "end"), ("end_turn", None)),
    (Response((Text("x"),), "tool_call"), ("end_turn", None)),
    (Response((Text("x"),), "length"), ("max_tokens", None)),
    (Response((Text("x"),), "stop_sequence", stop_sequence="END"), ("stop_sequence", "END")),
    (Response((Text("x"),), "stop_sequence"), ("end_turn", None)),
    (Response((Text("x"),), "other"), ("end_turn", None)),
    (Response((Text("x"),), "context_window"), ("model_context_window_exceeded", None)),
    (Response((), "content_filter"), ("refusal", None)),
    (Response((ServerTool("web_search", "call", extra={"anthropic": {"raw": {"type": "server_tool_use"}}}),)),
     ("end_turn", None)),
    (Response((), "other", extra={"anthropic": {"stop_reason": "compaction"}}), ("compaction", None)),
])
def test_how_it_ends(response: Response, said: tuple[str, str | None]) -> None:
    body = render(response)
    assert (body["stop_reason"], body["stop_sequence"]) == said


def test_a_refusal_keeps_its_explanation() -> None:
    assert render(Response((), "refusal", detail="No."))["stop_details"] == {
        "type": "refusal", "category": None, "explanation": "No.",
    }


def test_usage_is_estimated_where_nobody_counted() -> None:
    asked = Request(model="m", messages=[Message("user", (Text("x" * 3200),))])
    usage = render(Response((Text("word " * 100),)), asked)["usage"]
    assert usage["input_tokens"] >= 1000 and usage["output_tokens"] >= 100


HIDDEN = Request(model="m", reasoning=Reasoning("high", visible=False))


def test_a_hidden_thought_travels_in_its_signature() -> None:
    (block,) = render(Response((Thinking("sécret"),)), HIDDEN)["content"]
    assert block == {"type": "thinking", "thinking": "", "signature": "px1.c8OpY3JldA=="}


# ---- streams of upstreams


def frames(*events: Any, names: bool = True) -> bytes:
    return b"".join(
        (f"event: {event['type']}\n" if names else "").encode() + b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in events
    )


def begin(**usage: int) -> dict[str, Any]:
    return {"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage or {"input_tokens": 3, "output_tokens": 1}}}


def block(index: int, content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": content}


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def over(reason: str | None = "end_turn", usage: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None, **fields},
            "usage": {"output_tokens": 9} if usage is None else usage}


END = {"type": "message_stop"}
TEXT = {"type": "text", "text": ""}
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {}}


def decode(wire: bytes, pieces: Iterable[bytes] | None = None) -> list[Event]:
    decoder = anthropic.decoder(SEED)
    events = [event for piece in (pieces or [wire]) for event in decoder.feed(piece)]
    events += decoder.feed(b"")
    assert decoder.crash is None
    lawful.check(events)
    return events


WHOLE = frames(
    begin(input_tokens=6, cache_read_input_tokens=4, cache_creation_input_tokens=2, output_tokens=1),
    {"type": "ping"},
    block(0, {"type": "thinking", "thinking": "", "signature": ""}),
    delta(0, "thinking_delta", thinking="Plän"),
    delta(0, "signature_delta", signature="EqQB"),
    stop(0),
    block(1, {"type": "redacted_thinking", "data": "xyz"}),
    stop(1),
    block(2, TEXT), delta(2, "text_delta", text="It "), delta(2, "text_delta", text="snows."),
    delta(2, "citations_delta", citation=CITED), stop(2),
    block(3, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
    delta(3, "input_json_delta", partial_json='{"query":'), delta(3, "input_json_delta", partial_json=' "q"}'), stop(3),
    block(4, TOOL), delta(4, "input_json_delta", partial_json=""),
    delta(4, "input_json_delta", partial_json='{"p": 1.'), delta(4, "input_json_delta", partial_json="0}"), stop(4),
    over("tool_use", {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}),
    END,
)
CALLED = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}


@pytest.mark.parametrize("pieces", [None, list(lawful.each_byte(WHOLE))], ids=["whole", "bytes"])
def test_a_whole_stream(pieces: Any) -> None:
    events = decode(WHOLE, pieces)
    assert [event for event in events if isinstance(event, Ping)] == [Ping()]
    response = fold(events)
    assert response.parts == (
        Thinking("Plän", extra={"anthropic": {"signature": "EqQB"}}),
        Thinking("", True, extra={"anthropic": {"data": "xyz"}}),
        Text("It snows.", (Citation(title="W", text="snow", extra={"anthropic": CITED}),)),
        ServerTool("web_search", "call", "s", "[web_search q]", {"anthropic": {"raw": CALLED}}),
        ToolCall("toolu_1", "ls", '{"p": 1.0}'),
    )
    assert response.reason == "tool_call"
    usage = response.usage
    assert usage is not None
    assert (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning) == (6, 4, 2, 5, 4)
    start = events[0]
    assert isinstance(start, Start) and start.usage is not None and start.usage.prompt == 12


SAID = (Text("ab"),)
TWO = (delta(0, "text_delta", text="a"), delta(0, "text_delta", text="b"))


@pytest.mark.parametrize(("wire", "parts", "reason"), [
    (frames(begin(), block(0, TEXT), *TWO, stop(0), over(), END, names=False), SAID, "end"),
    (frames(begin(), begin(), block(0, TEXT), block(0, TEXT), *TWO, stop(0), over(), END), SAID, "end"),
    (frames(begin(), block(0, TEXT), *TWO, stop(0), over()), SAID, "end"),
    (frames(begin(), block(0, TEXT), *TWO, over(), END), SAID, "end"),
    (frames(begin(), *TWO, stop(0), over(), END), SAID, "end"),
    (frames(begin(), block(0, {"type": "text", "text": "a"}), TWO[1], stop(0), over(), END), SAID, "end"),
    (frames(begin(), block(0, TEXT), *TWO, stop(0), END), SAID, "end"),
    (frames(block(0, TEXT), *TWO, stop(0), over(), END), SAID, "end"),
    (frames(begin(), block(0, TEXT), *TWO, delta(0, "new_delta", x=1), {"type": "new_event"}, stop(0), over(), END),
     SAID, "end"),
    (frames(begin(), block(0, TEXT), TWO[0]) + b"data: {broken\n\n" + frames(TWO[1], stop(0), over(), END),
     SAID, "end"),
    (frames(begin(), block(0, TEXT), *TWO, stop(0), over(), END, delta(0, "text_delta", text="late")), SAID, "end"),
    (frames(begin(), block(0, TEXT), *TWO, stop(0), over(), END) + b"data: [DONE]\n\n", SAID, "end"),
    (frames(begin(), block(0, TEXT), *TWO, block(1, TEXT), delta(1, "text_delta", text="c"), over(), END),
     (Text("ab"), Text("c")), "end"),
    (frames(begin(), block(0, TOOL), stop(0), over("tool_use"), END), (ToolCall("toolu_1", "ls", "{}"),), "tool_call"),
    (frames(begin(), block(0, {**TOOL, "input": {"p": 1}}), stop(0), over("tool_use"), END),
     (ToolCall("toolu_1", "ls", '{"p": 1}'),), "tool_call"),
    (frames(begin(), block(0, TOOL), block(1, {**TOOL, "id": "toolu_2"}),
            delta(0, "input_json_delta", partial_json='{"a"'), delta(1, "input_json_delta", partial_json='{"b"'),
            delta(0, "input_json_delta", partial_json=":1}"), delta(1, "input_json_delta", partial_json=":2}"),
            stop(0), stop(1), over("tool_use"), END),
     (ToolCall("toolu_1", "ls", '{"a":1}'), ToolCall("toolu_2", "ls", '{"b":2}')), "tool_call"),
    (frames(begin(), block(0, TEXT), *TWO, stop(0), over("something_new"), END), SAID, "other"),
    (frames(begin(), block(0, {"type": "hologram", "d": [1]}), stop(0), over(), END),
     (Opaque("anthropic", "hologram", {"type": "hologram", "d": [1]}),), "end"),
])
def test_what_servers_get_wrong(wire: bytes, parts: tuple[Part, ...], reason: str) -> None:
    response = fold(decode(wire))
    assert (response.parts, response.reason) == (parts, reason)


@pytest.mark.parametrize(("later", "prompt", "completion"), [
    ({"output_tokens": 9}, (6, 4), 9),
    ({"input_tokens": 8, "cache_read_input_tokens": 2, "output_tokens": 9}, (8, 2), 9),
    ({"input_tokens": 0, "cache_read_input_tokens": None, "output_tokens": 9}, (6, 4), 9),
    ({}, (6, 4), 1),
])
def test_usage_comes_in_two_halves(later: Any, prompt: tuple[int, int], completion: int) -> None:
    start = begin(input_tokens=6, cache_read_input_tokens=4, output_tokens=1)
    usage = fold(decode(frames(start, over(usage=later), END))).usage
    assert usage is not None
    assert ((usage.input, usage.cache_read), usage.completion) == (prompt, completion)


def failure(wire: bytes) -> ApiError:
    folded = Fold()
    for event in decode(wire):
        folded.add(event)
    assert folded.failure is not None
    return folded.failure


def test_an_error_in_the_stream() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}, "request_id": "req_1"}
    assert failure(frames(error)) == ApiError(529, "overloaded", "busy", request_id="req_1")
    assert failure(frames(begin(), block(0, TEXT), *TWO, error)).kind == "overloaded"
    assert failure(b'data: {"error":{"message":"slow down","type":"rate_limit_error"}}\n\n').kind == "rate_limit"


def test_a_stream_that_is_cut_is_no_answer() -> None:
    events = (begin(), block(0, TEXT), *TWO, stop(0))
    for length in range(len(events) + 1):
        assert failure(frames(*events[:length])).kind == "disconnected"


def test_the_refusal_of_a_stream() -> None:
    details = {"type": "refusal", "category": None, "explanation": "No."}
    finish = decode(frames(begin(), over("refusal", stop_details=details), END))[-1]
    assert finish == Finish("refusal", None, "No.", {"anthropic": {"stop_details": details}})


# ---- streams for clients


def encode(*events: Event, asked: Request = ASKED) -> list[tuple[str, Any]]:
    encoder = anthropic.encoder(asked, SEED)
    return read(b"".join(map(encoder.encode, events)))


def read(wire: bytes) -> list[tuple[str, Any]]:
    found = []
    for frame in filter(None, wire.decode().split("\n\n")):
        name, data = frame.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        found.append((value.pop("type"), value))
    return found


def test_the_stream_of_another_provider() -> None:
    assert encode(
        Start("chatcmpl-1", "glm", Usage(6, 4)),
        PartStart(0, Thinking("")), PartDelta(0, "Plan"), PartEnd(0),
        PartStart(1, Text("")), PartDelta(1, 'Let "me"\n'), PartDelta(1, "look é."), PartEnd(1),
        Ping(),
        PartStart(2, ToolCall("call_a", "ls")), PartDelta(2, '{"p":'), PartDelta(2, '"."}'), PartEnd(2),
        UsageUpdate(Usage(6, 4, 0, 4, 3)),
        Finish("end"),
    ) == [
        ("message_start", {"message": {
            "id": "msg_abcdefghijklmnopqrstuvwx", "type": "message", "role": "assistant", "model": "asked-for",
            "content": [], "stop_reason": None, "stop_sequence": None,
            "usage": {"input_tokens": 6, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4,
                      "output_tokens": 0}}}),
        ("content_block_start", {"index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", "thinking": "Plan"}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "signature_delta", "signature": "px1."}}),
        ("content_block_stop", {"index": 0}),
        ("content_block_start", {"index": 1, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 1, "delta": {"type": "text_delta", "text": 'Let "me"\n'}}),
        ("content_block_delta", {"index": 1, "delta": {"type": "text_delta", "text": "look é."}}),
        ("content_block_stop", {"index": 1}),
        ("ping", {}),
        ("content_block_start", {"index": 2, "content_block": {
            "type": "tool_use", "id": "call_a", "name": "ls", "input": {}}}),
        ("content_block_delta", {"index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"p":'}}),
        ("content_block_delta", {"index": 2, "delta": {"type": "input_json_delta", "partial_json": '"."}'}}),
        ("content_block_stop", {"index": 2}),
        ("message_delta", {"delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {
            "input_tokens": 6, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 3}}}),
        ("message_stop", {}),
    ]


def arguments(*fragments: str, custom: bool = False) -> list[str]:
    deltas = [PartDelta(0, fragment) for fragment in fragments]
    found = encode(Start(), PartStart(0, ToolCall("a", "x", custom=custom)), *deltas, PartEnd(0), Finish("tool_call"))
    return [value["delta"]["partial_json"] for name, value in found if name == "content_block_delta"]


@pytest.mark.parametrize(("fragments", "sent"), [
    ([], []),
    (['{"a":', "1}"], ['{"a":', "1}"]),
    (["  \n", ' {"a', '":1}'], ['{"a', '":1}']),
    (['{"a":1}', '{"b":2}'], ['{"a":1}']),
    (['{"a":"}', '"}junk', "more"], ['{"a":"}', '"}']),
    (['{"a":"\\', '"}"', "}x"], ['{"a":"\\', '"}"', "}"]),
    (["null"], ["{}"]),
    (['"te', 'xt"'], ['{"input":"text"}']),
    (["[1,", "2]"], ['{"input":[1,2]}']),
    (["no json"], ['{"input":"no json"}']),
    (['{"cut": "off'], ['{"cut": "off']),
    (["   "], []),
])
def test_arguments(fragments: list[str], sent: list[str]) -> None:
    assert arguments(*fragments) == sent


def test_a_freeform_call_is_wrapped() -> None:
    assert arguments('{"a":', "1}", custom=True) == ['{"input":"{\\"a\\":1}"}']


def test_tokens_of_an_anthropic_upstream_go_through() -> None:
    found = encode(
        Start("msg_9", "claude-x"),
        PartStart(0, Thinking("")), PartDelta(0, "t"), PartEnd(0, extra={"anthropic": {"signature": "EqQB"}}),
        PartStart(1, Thinking("", True)), PartEnd(1, extra={"anthropic": {"data": "xyz"}}),
        PartStart(2, Thinking("", True)), PartEnd(2),
        PartStart(3, Text("")), PartDelta(3, "It snows."), PartEnd(3, (Citation(extra={"anthropic": CITED}),)),
        PartStart(4, ServerTool("web_search", "call", "s", "x", {"anthropic": {"raw": CALLED}})), PartEnd(4),
        Finish("end"),
    )
    assert found[0][1]["message"]["id"] == "msg_9"
    assert [(name, value) for name, value in found if name.startswith("content_block")] == [
        ("content_block_start", {"index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", "thinking": "t"}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}}),
        ("content_block_stop", {"index": 0}),
        ("content_block_start", {"index": 1, "content_block": {"type": "redacted_thinking", "data": "xyz"}}),
        ("content_block_stop", {"index": 1}),
        ("content_block_start", {"index": 2, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 2, "delta": {"type": "text_delta", "text": "It snows."}}),
        ("content_block_delta", {"index": 2, "delta": {"type": "citations_delta", "citation": CITED}}),
        ("content_block_stop", {"index": 2}),
        ("content_block_start", {"index": 3, "content_block": CALLED}),
        ("content_block_stop", {"index": 3}),
    ]
    assert found[-2][1]["delta"]["stop_reason"] == "end_turn"


def test_parts_that_an_anthropic_answer_cannot_hold() -> None:
    found = encode(
        Start(), PartStart(0, Image(Blob(url="https://x/y.png"))), PartEnd(0),
        PartStart(1, ServerTool("web_search", "call", "s", "x", {"openai-chat": {}})), PartEnd(1),
        PartStart(2, Text("")), PartDelta(2, "ok"), PartEnd(2), Finish(),
    )
    texts = [value["delta"]["text"] for name, value in found if name == "content_block_delta"]
    assert texts == ["[image: https://x/y.png]", "ok"]
    assert [value["index"] for name, value in found if name == "content_block_start"] == [0, 1]


def test_hidden_thoughts_go_out_in_the_signature_only() -> None:
    found = encode(
        Start(), PartStart(0, Thinking("")), PartDelta(0, "sé"), PartDelta(0, "cret"), PartEnd(0), Finish(),
        asked=HIDDEN,
    )
    assert found[1:4] == [
        ("content_block_start", {"index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "signature_delta", "signature": "px1.c8OpY3JldA=="}}),
        ("content_block_stop", {"index": 0}),
    ]


def test_a_failure_is_an_error_event() -> None:
    found = encode(Start(), PartStart(0, Text("")), PartDelta(0, "a"), PartEnd(0),
                   Failure(ApiError(503, "overloaded", "busy", request_id="r")))
    assert found[-1] == ("error", {"error": {"type": "overloaded_error", "message": "busy"}, "request_id": "r"})
    assert "message_stop" not in [name for name, _ in found]


def test_an_answer_that_nobody_counted() -> None:
    usage = encode(Start(), PartStart(0, Text("")), PartDelta(0, "x" * 400), PartEnd(0), Finish())[-2][1]["usage"]
    assert usage["output_tokens"] == 100 and usage["input_tokens"] > 0


RESPONSES = [
    Response((Text("Hi"),), id="msg_1", model="asked-for", usage=Usage(1, output=2)),
    Response((), "length", "msg_1", "asked-for", Usage(1, output=2)),
    Response((
        Thinking("plan", extra={"anthropic": {"signature": "s"}}), Thinking("unsigned"),
        Thinking("", True, extra={"anthropic": {"data": "d"}}),
        Text("It snows.", (Citation(title="W", text="snow", extra={"anthropic": CITED}),)),
        ToolCall("a", "x", '{"q": "é\\n"}'), ToolCall("b", "y", "{}"),
        ServerTool("web_search", "call", "s", "[web_search q]", {"anthropic": {"raw": CALLED}}),
    ), "tool_call", "msg_1", "asked-for", Usage(10, 5, 7, 5, 4, 3)),
    Response((Text("ab"),), "stop_sequence", "msg_1", "asked-for", Usage(1, output=2), "END"),
    Response((), "refusal", "msg_1", "asked-for", Usage(1, output=2), detail="No.", extra={
        "anthropic": {"stop_details": {"type": "refusal", "category": None, "explanation": "No."}}}),
]


def bare(response: Response) -> Response:
    """Without the raw counts, which are those of whoever wrote the wire."""
    usage = response.usage
    assert usage is not None
    return msgspec.structs.replace(response, usage=msgspec.structs.replace(usage, raw={}))


@pytest.mark.parametrize("response", RESPONSES)
def test_what_is_written_reads_the_same(response: Response) -> None:
    body = anthropic.render_response(response, ASKED, SEED)
    assert bare(anthropic.parse_response(body, SEED)) == response
    encoder = anthropic.encoder(ASKED, SEED)
    wire = b"".join(map(encoder.encode, unfold(response)))
    assert bare(fold(decode(wire))) == response
    assert bare(fold(decode(wire, lawful.chunks(wire, range(0, len(wire), 7))))) == response
