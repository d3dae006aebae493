"""One exchange between two codecs: what goes through as it is, what is translated, and when the client hears of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import lawful
from tests.strategies import SEED
from translators import CODECS
from translators.answer import Answer, looks_streamed
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS, Codec, Traits, Wire
from translators.events import Failure, PartDelta, fold, unfold
from translators.model import ApiError, BadRequest, Message, Request, Response, Text, ToolCall

CHAT, ANTHROPIC = CODECS["openai-chat"], CODECS["anthropic"]
CLIENTS = pytest.mark.parametrize("client", CODECS.values(), ids=CODECS)
UPSTREAMS = pytest.mark.parametrize("upstream", CODECS.values(), ids=CODECS)
GONE = ApiError(502, "disconnected", "gone")
SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}

CHAT_STREAM = (
    b'data: {"id":"c","model":"up","choices":[{"index":0,"delta":{"role":"assistant","content":"Hello"}}]}\n\n'
    b'data: {"id":"c","model":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"c","model":"up","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)
CHAT_WHOLE = b'{"id":"c","model":"up","choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}]}'
CHAT_ERROR = b'{"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded"}}'


def bridge(client: Codec, upstream: Codec, body: dict[str, Any] | bytes | None = None, **more: Any) -> Bridge:
    """A bridge for a small request of the client's."""
    if body is None:
        wire = client.render_request(Request("asked", [Message("user", (Text("Hi"),))], max_output=50)).wire
    else:
        wire = Wire("/", body if isinstance(body, bytes) else json.dumps(body).encode(), {"x-own": "1"})
    options: dict[str, Any] = {
        "model": "real", "stream": True, "traits": DEFAULT_TRAITS, "policy": "balanced", "seed": SEED,
    } | more  # fmt: skip
    asked = None if client is upstream else client.parse_request(wire)
    return Bridge(client, upstream, wire, asked, **options)


def read(codec: Codec, stream: bytes) -> list[Any]:
    decoder = codec.decoder(SEED)
    events = (decoder.feed(stream) if stream else []) + decoder.feed(b"")
    lawful.check(events)
    return events


# ------------------------------------------------------------------------------------------------ requests


def test_a_relayed_request_keeps_every_byte_but_the_model() -> None:
    body = b'{ "model": "asked",\n "unknown" : [1.50, "\\u00e9"], "messages":[] }'
    made = bridge(CHAT, CHAT, body)
    assert made.wire.body == body.replace(b'"asked"', b'"real"') and made.wire.headers == {"x-own": "1"}
    assert made.relay and made.losses == []


def test_the_client_keeps_its_own_name_of_the_model() -> None:
    made = bridge(CHAT, ANTHROPIC)
    assert json.loads(made.wire.body)["model"] == "real" and made.as_asked().model == "asked"
    assert bridge(CHAT, CHAT).as_asked().model == "asked"


def test_changes_come_last_and_speak_the_upstreams_language() -> None:
    seen: list[set[str]] = []

    def changes(fields: Any) -> dict[str, Any]:
        seen.append(set(fields))
        return {"max_tokens": None, "top_k": 4}

    for client in CODECS.values():
        made = bridge(client, ANTHROPIC, changes=changes)
        body = json.loads(made.wire.body)
        assert "max_tokens" not in body and body["top_k"] == 4 and body["model"] == "real"
    assert all("max_tokens" in fields for fields in seen)


def test_changes_that_change_nothing_leave_the_bytes_alone() -> None:
    body = b'{"model" : "real", "messages":[ ]}'
    assert bridge(CHAT, CHAT, body, changes=lambda fields: {}).wire.body == body


def test_the_policy_decides_about_losses() -> None:
    body = {"model": "asked", "messages": [{"role": "user", "content": "Hi"}], "n": 2, "seed": 7}
    for policy in ("strict", "balanced"):
        with pytest.raises(BadRequest) as caught:
            bridge(CHAT, ANTHROPIC, body, policy=policy)
        assert caught.value.error.code == "unsupported_translation"
    made = bridge(CHAT, ANTHROPIC, body, policy="max_compat")
    assert {loss.path for loss in made.warnings} == {"n", "seed"} and len(made.losses) >= 2


def test_a_body_that_cannot_be_read_still_gets_an_answer() -> None:
    made = bridge(CHAT, CHAT, b'{"model":"asked","messages":7}')
    answer = made.answer(200, JSON)
    out = answer.feed(CHAT_WHOLE) + answer.feed(b"")
    assert fold(read(CHAT, out)).parts == (Text("Hello"),)


def test_a_thread_that_nobody_keeps_is_not_gone_on_with() -> None:
    """Anthropic's tool runner sends only the new turn once a thread was begun, and all of it again after this error."""
    body = {"model": "asked", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    begun = bridge(ANTHROPIC, CHAT, {**body, "thread": {"type": "create"}})
    assert [loss.path for loss in begun.losses] == ["thread"]
    going_on = {"type": "continue", "previous_message_id": "msg_1"}
    with pytest.raises(BadRequest) as refused:
        bridge(ANTHROPIC, CHAT, {**body, "thread": going_on}, policy="max_compat")
    status, _, data = ANTHROPIC.render_error(refused.value.error)
    error = json.loads(data)["error"]
    assert (status, error["details"]) == (400, {"error_code": "thread_not_found"}) and "msg_1" in error["message"]


# ------------------------------------------------------------------------------------------------ same protocol


def test_a_relayed_stream_passes_as_it_is_and_is_read_along() -> None:
    for pieces in ([CHAT_STREAM], lawful.each_byte(CHAT_STREAM)):
        answer = bridge(CHAT, CHAT).answer(200, {**SSE, "x-request-id": "r", "transfer-encoding": "chunked"})
        out = b"".join([answer.feed(piece) for piece in pieces] + [answer.feed(b"")])
        assert out == CHAT_STREAM and answer.done and answer.verbatim
        assert answer.head is not None and answer.head.headers == {**SSE, "x-request-id": "r"}
        assert answer.usage is not None and (answer.usage.input, answer.usage.output) == (3, 2)
        assert answer.finish is not None and answer.finish.reason == "end"


def test_relayed_bytes_are_those_of_the_wire_not_the_unpacked_ones() -> None:
    answer = bridge(CHAT, CHAT).answer(200, {**SSE, "content-encoding": "gzip"})
    out = answer.feed(CHAT_STREAM, b"packed") + answer.feed(b"", b"end") + answer.feed(b"")
    assert out == b"packedend" and answer.usage is not None
    whole = bridge(CHAT, CHAT, stream=False).answer(200, {**JSON, "content-encoding": "gzip"})
    assert whole.feed(CHAT_WHOLE, b"packed") + whole.feed(b"") == b"packed"


def test_a_relayed_whole_answer_passes_even_if_nobody_can_read_it() -> None:
    odd = b'{"choices":"none of your business"}'
    answer = bridge(CHAT, CHAT, stream=False).answer(200, JSON)
    assert answer.feed(odd) + answer.feed(b"") == odd and answer.head is not None and answer.head.status == 200


def test_a_relayed_error_is_handed_over_for_a_reply_as_it_is() -> None:
    answer = bridge(CHAT, CHAT).answer(429, {**JSON, "retry-after": "7"})
    assert answer.feed(CHAT_ERROR) + answer.feed(b"") == b""
    assert answer.reply == (429, {**JSON, "retry-after": "7"}, CHAT_ERROR)
    assert answer.error is not None and (answer.error.kind, answer.error.retry_after) == ("rate_limit", 7)


def test_a_relayed_stream_that_dies_gets_an_error_of_its_protocol() -> None:
    half = CHAT_STREAM[: CHAT_STREAM.index(b"stop")]
    answer = bridge(CHAT, CHAT).answer(200, SSE)
    whole = half[: half.rindex(b"\n\n") + 2]
    out = answer.feed(half) + answer.broken(GONE)
    assert out.startswith(whole) and half not in out, "a part of an event is of no use"
    assert answer.failure == GONE and answer.done
    assert isinstance(read(CHAT, out)[-1], Failure)


def test_a_relayed_responses_stream_that_dies_keeps_its_id() -> None:
    """The SDK's reader takes another response's end for a fault of its own."""
    codec = CODECS["openai-responses"]
    response = {"id": "resp_up", "object": "response", "model": "up", "status": "in_progress", "output": []}
    created = {"type": "response.created", "sequence_number": 0, "response": response}
    head = f"event: response.created\ndata: {json.dumps(created)}\n\n".encode()
    added = b'data: {"type":"response.output_text.delta","sequence_number":1,"output_index":0,"delta":"Hi"}\n\n'
    answer = bridge(codec, codec, {"model": "asked", "input": "Hi"}).answer(200, SSE)
    out = answer.feed(head + added) + answer.broken(GONE)
    failed = json.loads(out.rpartition(b"data: ")[2])
    assert failed["type"] == "response.failed" and failed["sequence_number"] > 1
    assert (failed["response"]["id"], failed["response"]["model"]) == ("resp_up", "up")


def test_a_relayed_stream_that_ends_too_early_gets_one_too() -> None:
    answer = bridge(CHAT, CHAT).answer(200, SSE)
    out = answer.feed(CHAT_STREAM[:60]) + answer.feed(b"")
    assert answer.head is None and answer.error is not None and out == b""
    end = CHAT_STREAM.index(b"\n\n") + 2
    answer = bridge(CHAT, CHAT).answer(200, SSE)
    out = answer.feed(CHAT_STREAM[:end]) + answer.feed(b"")
    assert answer.failure is not None and isinstance(read(CHAT, out)[-1], Failure)


@UPSTREAMS
def test_an_error_in_a_relayed_stream_is_said_once(upstream: Codec) -> None:
    """Also where its event is not closed."""
    encoder = upstream.encoder(Request(stream=True), SEED)
    begun = b"".join(map(encoder.encode, unfold(Response((Text("a"),)))[:3]))
    said = encoder.encode(Failure(ApiError(529, "overloaded", "too much")))
    for end in (said, said.rstrip(b"\n")):
        answer = bridge(upstream, upstream).answer(200, {"content-type": encoder.content_type})
        out = answer.feed(begun + end) + answer.feed(b"")
        assert answer.failure is not None and out.strip() == (begun + said).strip() and out.endswith(b"\n")
        assert isinstance(read(upstream, out)[-1], Failure)


# ------------------------------------------------------------------------------------------------ the head


@CLIENTS
@UPSTREAMS
def test_a_stream_that_begins_with_an_error_is_no_answer_yet(client: Codec, upstream: Codec) -> None:
    encoder = upstream.encoder(Request(stream=True), SEED)
    answer = bridge(client, upstream).answer(200, {"content-type": encoder.content_type})
    said = encoder.encode(Failure(ApiError(429, "rate_limit", "Rate limit: slow down")))
    out = answer.feed(b"\n") + answer.feed(said) + answer.feed(b"")
    assert out == b"" and answer.head is None
    assert answer.error is not None and answer.error.message == "Rate limit: slow down"
    if upstream.NAME != "ollama":  # its errors are sentences
        assert answer.error.kind == "rate_limit"


@CLIENTS
def test_comments_do_not_begin_an_answer(client: Codec) -> None:
    answer = bridge(client, CHAT).answer(200, SSE)
    assert answer.feed(b": wait\n\n") == b"" and answer.head is None
    answer.feed(CHAT_STREAM)
    assert answer.head is not None and answer.head.streamed


@CLIENTS
def test_a_connection_that_dies_before_the_first_event_may_be_tried_again(client: Codec) -> None:
    for pieces in ([], [b": wait\n\n"], [CHAT_STREAM[:20]]):
        answer = bridge(client, CHAT).answer(200, SSE)
        assert b"".join(map(answer.feed, pieces)) + answer.broken(GONE) == b""
        assert answer.head is None and answer.error == GONE and answer.done
        assert answer.feed(CHAT_STREAM) == b"" and answer.broken(GONE) == b""


def test_a_translated_failure_comes_in_the_stream() -> None:
    answer = bridge(ANTHROPIC, CHAT).answer(200, SSE)
    out = answer.feed(CHAT_STREAM[: CHAT_STREAM.index(b"\n\n") + 2]) + answer.broken(GONE)
    assert answer.failure == GONE and b"event: error" in out
    assert isinstance(read(ANTHROPIC, out)[-1], Failure)


def test_a_stream_goes_out_as_it_comes() -> None:
    answer = bridge(ANTHROPIC, CHAT).answer(200, SSE)
    out = answer.feed(CHAT_STREAM[: CHAT_STREAM.index(b"\n\n") + 2])
    assert b'"text":"Hello"' in out and not answer.done
    assert answer.keep_alive() == ANTHROPIC.keep_alive()


def test_a_keep_alive_never_falls_into_an_event() -> None:
    answer = bridge(CHAT, CHAT).answer(200, SSE)
    end = CHAT_STREAM.index(b"\n\n") + 2
    answer.feed(CHAT_STREAM[:end])
    assert answer.keep_alive() == CHAT.keep_alive()
    assert answer.feed(CHAT_STREAM[end : end + 9]) == b""
    assert answer.keep_alive() == CHAT.keep_alive()
    assert answer.feed(CHAT_STREAM[end + 9 :]) == CHAT_STREAM[end:]


# ------------------------------------------------------------------------------------------------ odd upstreams


@pytest.mark.parametrize(
    ("kind", "first", "streamed"),
    [
        ("text/event-stream", b"data: {}", True),
        ("application/json", b"data: {}", True),  # mislabelled
        ("text/event-stream", b'{"choices":[]}', False),
        ("text/event-stream", b"", True),
        ("text/event-stream", b"\n", True),
        ("application/json", b" ", False),
        ("text/html", b"<html>", False),
        ("", b": comment\n\n", True),
        ("", b"\xef\xbb\xbfdata: {}", True),
        ("", b"\xef\xbb\xbf {", False),
        ("text/plain", b"event: x", True),
    ],
)
def test_whether_it_is_a_stream_is_seen_by_its_first_bytes(kind: str, first: bytes, streamed: bool) -> None:
    assert looks_streamed("sse", kind, first) is streamed


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[1]", b'{"model":"m"}', b"\xff\xfe", b"null"])
@CLIENTS
@UPSTREAMS
def test_an_answer_that_is_none_is_an_error(client: Codec, upstream: Codec, body: bytes) -> None:
    answer = bridge(client, upstream, stream=False).answer(200, {"content-type": "text/html"})
    out = (answer.feed(body) if body else b"") + answer.feed(b"")
    assert answer.crash is None
    if answer.verbatim and out:  # it passes as it is
        assert out == body and answer.error is None
    else:
        assert out == b"" and answer.error is not None and answer.error.status >= 400


def test_an_error_of_a_gateway_is_said_in_the_clients_form() -> None:
    answer = bridge(ANTHROPIC, CHAT).answer(503, {"content-type": "text/html"})
    answer.feed(b"<html><title>503 Service Unavailable</title></html>")
    answer.feed(b"")
    assert answer.reply is None and answer.error is not None
    status, _, body = ANTHROPIC.render_error(answer.error)
    assert status == 529 and "503 Service Unavailable" in json.loads(body)["error"]["message"]


def test_rate_limit_headers_are_translated() -> None:
    headers = {**SSE, "x-ratelimit-limit-requests": "60", "x-ratelimit-reset-requests": "1s", "set-cookie": "a"}
    answer = bridge(ANTHROPIC, CHAT).answer(200, headers)
    answer.feed(CHAT_STREAM)
    assert answer.head is not None
    assert answer.head.headers["anthropic-ratelimit-requests-limit"] == "60"
    assert answer.head.headers["anthropic-ratelimit-requests-reset"] == "2023-11-14T22:13:21Z"
    assert "set-cookie" not in answer.head.headers


# ------------------------------------------------------------------------------------------------ transforms


def ask(tools: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"model": "asked", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "tools": tools, **more}


def function(name: str) -> dict[str, Any]:
    return {"name": name, "input_schema": {"type": "object", "properties": {}}}


def chat_call(name: str, arguments: str, id: str = "call_1") -> bytes:
    delta = {"tool_calls": [{"index": 0, "id": id, "function": {"name": name, "arguments": arguments}}]}
    frames = [{"index": 0, "delta": delta}, {"index": 0, "delta": {}, "finish_reason": "tool_calls"}]
    return b"".join(b"data: %b\n\n" % json.dumps({"choices": [f]}).encode() for f in frames) + b"data: [DONE]\n\n"


def answered(made: Bridge, stream: bytes) -> list[Any]:
    answer = made.answer(200, SSE)
    return read(made.client, answer.feed(stream) + answer.feed(b""))


def test_names_that_are_too_long_come_back_as_they_were() -> None:
    name = "mcp__" + "x" * 90
    made = bridge(ANTHROPIC, CHAT, ask([function(name)]))
    (tool,) = json.loads(made.wire.body)["tools"]
    sent = tool["function"]["name"]
    assert len(sent) <= 64
    (call,) = fold(answered(made, chat_call(sent, "{}"))).parts
    assert isinstance(call, ToolCall) and call.name == name


def test_ids_that_the_client_could_not_send_back_are_made_anew() -> None:
    (call,) = fold(answered(bridge(ANTHROPIC, CHAT, ask([function("f")])), chat_call("f", "{}", "functions.f:0"))).parts
    assert isinstance(call, ToolCall) and ANTHROPIC.CALL_ID.fullmatch(call.id)


def test_freeform_tools_come_back_as_raw_text() -> None:
    tool = {"type": "custom", "custom": {"name": "patch"}}
    body = {"model": "asked", "messages": [{"role": "user", "content": "Hi"}], "tools": [tool]}
    made = bridge(CHAT, ANTHROPIC, body)
    assert json.loads(made.wire.body)["tools"][0]["input_schema"]["required"] == ["input"]
    answer = made.answer(200, JSON)
    block = {"type": "tool_use", "id": "toolu_1", "name": "patch", "input": {"input": 'a "b"\n'}}
    message = {"type": "message", "content": [block], "stop_reason": "tool_use"}
    (call,) = fold(read(CHAT, answer.feed(json.dumps(message).encode()) + answer.feed(b""))).parts
    assert isinstance(call, ToolCall) and (call.name, call.arguments, call.custom) == ("patch", 'a "b"\n', True)


def test_stop_sequences_are_cut_here_for_a_model_that_takes_none() -> None:
    body = ask([], stop_sequences=["lo"])
    made = bridge(ANTHROPIC, CHAT, body, traits=Traits(drop=("stop",)))
    assert "stop" not in json.loads(made.wire.body) and [loss.path for loss in made.losses] == ["stop_sequences"]
    response = fold(answered(made, CHAT_STREAM))
    assert (response.parts, response.reason, response.stop_sequence) == ((Text("Hel"),), "stop_sequence", "lo")
    with pytest.raises(BadRequest):
        bridge(ANTHROPIC, CHAT, body, traits=Traits(drop=("stop",)), policy="strict")


# ------------------------------------------------------------------------------------------------ the door


class Broken:
    """An encoder of ours with a bug."""

    content_type = "text/event-stream"

    def __init__(self, good: Any) -> None:
        self.good = good

    def encode(self, event: Any) -> bytes:
        if isinstance(event, PartDelta):
            raise KeyError("a bug")
        said: bytes = self.good.encode(event)
        return said


def crashed(monkeypatch: pytest.MonkeyPatch, stream: bytes) -> tuple[Answer, bytes]:
    real = ANTHROPIC.encoder
    made: list[Any] = []

    def encoder(asked: Request, seed: Any) -> Any:
        made.append(Broken(real(asked, seed)) if not made else real(asked, seed))
        return made[-1]

    monkeypatch.setattr(ANTHROPIC, "encoder", encoder)
    answer = bridge(ANTHROPIC, CHAT).answer(200, SSE)
    end = stream.index(b"\n\n") + 2
    out = answer.feed(stream[:end]) + answer.feed(stream[end:]) + answer.feed(b"")
    return answer, out


def test_a_bug_of_ours_is_an_error_and_not_a_cut_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    role = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    answer, out = crashed(monkeypatch, role + CHAT_STREAM)
    assert isinstance(answer.crash, KeyError) and answer.done and b"a bug" not in out
    assert answer.failure is not None and isinstance(read(ANTHROPIC, out)[-1], Failure)


def test_a_bug_before_the_first_byte_is_a_real_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*args: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(CHAT, "parse_response", parse)
    answer = bridge(ANTHROPIC, CHAT, stream=False).answer(200, JSON)
    assert answer.feed(CHAT_WHOLE) + answer.feed(b"") == b""
    assert isinstance(answer.crash, KeyError) and answer.error is not None and answer.error.status == 502
