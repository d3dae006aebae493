"""How answers end that did not end well: what a client of each protocol reads of a refusal, of a filter, of a stop that
only one protocol knows, and of an upstream that counted nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.strategies import SEED
from translators import CODECS
from translators.answer import Answer
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS, Wire
from translators.events import Finish, fold, unfold
from translators.meter import ESTIMATED
from translators.model import ApiError, Audio, Blob, File, Request, Response, Text, ToolCall, Usage
from translators.tokens import estimate
from translators.whole import refused

GM = CODECS["gemini"]
ASKED = Request(model="asked")
SSE = {"content-type": "text/event-stream"}
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
    "openai-responses": ("/v1/responses", {"input": "Hi"}),
    "anthropic": ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}),
    "gemini": ("/v1beta/models/asked:generateContent", {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}),
    "ollama": ("/api/chat", {"messages": [{"role": "user", "content": "Hi"}]}),
}


def bridge(client: str, upstream: str, stream: bool) -> Bridge:
    path, body = BODIES[client]
    wire = Wire(path, json.dumps({"model": "asked", "stream": stream, **body}).encode())
    asked = CODECS[client].parse_request(wire)
    return Bridge(
        CODECS[client], CODECS[upstream], wire, asked,
        model="real", stream=stream, traits=DEFAULT_TRAITS, policy="balanced", seed=SEED,
    )  # fmt: skip


def answered(client: str, upstream: str, stream: bool, body: bytes, status: int = 200) -> tuple[Answer, bytes]:
    answer = bridge(client, upstream, stream).answer(status, SSE)
    return answer, answer.feed(body) + answer.feed(b"")


def written(client: str, response: Response, stream: bool) -> bytes:
    codec = CODECS[client]
    if not stream:
        return codec.render_response(response, ASKED, SEED)
    encoder = codec.encoder(ASKED, SEED)
    return b"".join(encoder.encode(event) for event in unfold(response))


def read(client: str, wire: bytes, stream: bool) -> Response:
    codec = CODECS[client]
    if not stream:
        return codec.parse_response(wire, SEED)
    decoder = codec.decoder(SEED)
    events = decoder.feed(wire) + decoder.feed(b"")
    assert isinstance(events[-1], Finish)
    return fold(events)


def words(response: Response) -> str:
    return "".join(part.text for part in response.parts if hasattr(part, "text"))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("client", CODECS)
def test_a_filter_explains_itself(client: str, stream: bool) -> None:
    wire = written(client, Response((), "content_filter", detail="not that"), stream)
    assert b"not that" in wire
    if client in ("openai-chat", "openai-responses", "gemini"):
        assert read(client, wire, stream).reason == "content_filter"
    if client == "anthropic":
        assert b'"stop_reason":"refusal"' in wire


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("client", CODECS)
def test_what_went_wrong_fills_an_answer_that_would_be_empty_and_no_other(client: str, stream: bool) -> None:
    empty = read(client, written(client, Response((), "other", detail="no image was made"), stream), stream)
    said = read(client, written(client, Response((Text("Here"),), "other", detail="odd"), stream), stream)
    if client != "gemini":  # which has a field for it
        assert words(empty) == "no image was made" and not any(part for part in said.parts if words(said) != "Here")
    assert words(said) == "Here"


@pytest.mark.parametrize("stream", [True, False])
def test_a_blocked_prompt_of_gemini_stays_one(stream: bool) -> None:
    body = json.dumps({"promptFeedback": {"blockReason": "JAILBREAK"}, "modelVersion": "g"}).encode()
    response = GM.parse_response(body, SEED)
    wire = written("gemini", response, stream)
    said = json.loads(wire.removeprefix(b"data: "))
    assert said["promptFeedback"] == {"blockReason": "JAILBREAK"} and "candidates" not in said


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("client", "mark"), [
    ("anthropic", b'"stop_reason":"refusal"'), ("gemini", b'"blockReason":"OTHER"'), ("ollama", b'"done":true'),
])  # fmt: skip
def test_a_refused_prompt_is_an_answer_where_models_refuse_in_answers(client: str, mark: bytes, stream: bool) -> None:
    error = ApiError(400, "refused", "against the rules", "content_filter")
    said = refused(bridge(client, "openai-responses", stream), error)
    assert said is not None
    head, body = said
    assert head.status == 200 and mark in body and b"against the rules" in body
    assert refused(bridge(client, "openai-responses", stream), ApiError(400, "invalid_request", "x")) is None
    assert refused(bridge(client, client, stream), error) is None


def test_a_refused_prompt_is_an_error_for_openai_clients() -> None:
    error = ApiError(400, "refused", "against the rules")
    for client in ("openai-chat", "openai-responses"):
        assert refused(bridge(client, "anthropic", True), error) is None


# ------------------------------------------------------------------------------------------------ nobody counted

UNCOUNTED = (
    b'data: {"id":"c","model":"up","choices":[{"index":0,"delta":{"content":"Hello w\xc3\xb6rld"}}]}\n\n'
    b'data: {"id":"c","model":"up","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":'
    b'{"name":"f","arguments":"{}"}}]}}]}\n\n'
    b'data: {"id":"c","model":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
COUNTS = {
    "openai-responses": ("input_tokens", "output_tokens"),
    "anthropic": ("input_tokens", "output_tokens"),
    "gemini": ("promptTokenCount", "candidatesTokenCount"),
    "ollama": ("prompt_eval_count", "eval_count"),
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("client", COUNTS)
def test_tokens_that_nobody_counted_are_estimated(client: str, stream: bool) -> None:
    for step in (len(UNCOUNTED), 7):
        made = bridge(client, "openai-chat", stream)
        answer = made.answer(200, SSE)
        pieces = [UNCOUNTED[at : at + step] for at in range(0, len(UNCOUNTED), step)]
        out = b"".join([answer.feed(piece) for piece in pieces] + [answer.feed(b"")])
        expected = estimate(made.as_asked())
        assert answer.usage == Usage(expected, output=6, estimated=True)
        assert ESTIMATED in answer.losses and ESTIMATED in answer.warnings
        before, after = COUNTS[client]
        assert b'"%b":%d' % (before.encode(), expected) in out and b'"%b":6' % after.encode() in out


def test_what_was_counted_stays() -> None:
    counted = b'{"id":"c","choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":0}}'
    answer, _ = answered("anthropic", "openai-chat", False, counted)
    assert answer.usage == Usage(raw={"prompt_tokens": 0}) and not answer.losses


def test_bytes_that_pass_are_not_estimated() -> None:
    answer, out = answered("openai-chat", "openai-chat", True, UNCOUNTED)
    assert out == UNCOUNTED and answer.usage is None and not answer.warnings


def test_a_body_that_became_a_stream_of_its_own_protocol_is_counted_too() -> None:
    whole = b'{"id":"msg_1","type":"message","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn"}'
    answer, out = answered("anthropic", "anthropic", True, whole)
    assert answer.usage is not None and answer.usage.estimated and b"message_stop" in out


# ------------------------------------------------------------------------------------------------ no answer at all


@pytest.mark.parametrize("client", ["openai-chat", "anthropic"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed_and_said_to_be_some(client: str, status: int) -> None:
    answer, out = answered(client, "openai-chat", True, b"<html>moved</html>", status)
    assert answer.error is not None and (answer.error.status, answer.error.kind) == (502, "server")
    assert "redirects" in answer.error.message and not out and answer.reply is None


def test_the_limits_of_a_failed_attempt_are_known() -> None:
    made = bridge("anthropic", "openai-chat", True)
    answer = made.answer(429, {"x-ratelimit-limit-requests": "60", "x-ratelimit-reset-requests": "1s"})
    answer.feed(b'{"error":{"message":"slow"}}')
    answer.feed(b"")
    assert answer.limits["anthropic-ratelimit-requests-limit"] == "60"
    assert bridge("openai-chat", "openai-chat", True).answer(429, {"x-ratelimit-limit-requests": "6"}).limits == {}


def test_a_call_ends_as_a_call() -> None:
    """Servers say that all is over, where it is the client's turn."""
    for client in CODECS:
        response = read(client, written(client, Response((ToolCall("a", "f", "{}"),), "tool_call"), True), True)
        assert response.reason == "tool_call"


# ------------------------------------------------------------------------------------------------ sounds and others

SPOKEN = Audio(Blob("audio/wav", "YWJj"), "Hello")
MUTE = Audio(Blob("audio/wav", "YWJj"))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("client", ["openai-chat", "openai-responses", "anthropic", "ollama"])
def test_what_was_spoken_can_be_read(client: str, stream: bool) -> None:
    assert words(read(client, written(client, Response((SPOKEN,)), stream), stream)) == "Hello"
    assert words(read(client, written(client, Response((MUTE,)), stream), stream)) == "[audio: audio/wav]"
    pdf = Response((File(Blob("application/pdf", "YWJj")),))
    assert words(read(client, written(client, pdf, stream), stream)) == "[file: application/pdf]"


@pytest.mark.parametrize("stream", [True, False])
def test_a_chat_client_that_asked_for_sound_gets_it(stream: bool) -> None:
    codec = CODECS["openai-chat"]
    asked = Request(model="asked", modalities=["text", "audio"])
    if stream:
        encoder = codec.encoder(asked, SEED)
        wire = b"".join(encoder.encode(event) for event in unfold(Response((SPOKEN,))))
    else:
        wire = codec.render_response(Response((SPOKEN,)), asked, SEED)
    (part,) = read("openai-chat", wire, stream).parts
    assert isinstance(part, Audio) and (part.blob.data, part.transcript) == ("YWJj", "Hello")


@pytest.mark.parametrize("stream", [True, False])
def test_what_a_provider_did_itself_is_told_where_it_cannot_be_shown(stream: bool) -> None:
    items = [
        {"id": "ci_1", "type": "code_interpreter_call", "status": "completed", "code": "1", "container_id": "c"},
        {"id": "ap_1", "type": "mcp_approval_request", "name": "wipe", "arguments": "{}", "server_label": "s"},
    ]
    body = json.dumps({"id": "resp_1", "object": "response", "status": "completed", "output": items}).encode()
    answer, out = answered("anthropic", "openai-responses", stream, body)
    told = {(loss.path, loss.code) for loss in answer.losses}
    assert {("answer.code_interpreter", "approximated"), ("answer.mcp_approval_request", "approximated")} <= told
    assert b"asks for leave to call wipe" in out
    assert all(loss.path != "answer.code_interpreter" for loss in answer.warnings)
