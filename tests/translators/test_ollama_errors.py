"""Errors, model lists, paths, and the exchange of Ollama with the other protocols."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import CODECS, ollama
from translators.answer import Answer
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS, Codec, Seed, Wire
from translators.model import ApiError, BadRequest, ErrorKind, ModelInfo

SEED = Seed("s" * 24, 1)
CHAT, ANTHROPIC = CODECS["openai-chat"], CODECS["anthropic"]
OLLAMA: Codec = ollama
NDJSON = {"content-type": "application/x-ndjson"}
GONE = ApiError(502, "disconnected", "gone")

# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (404, b'{"error":"model \'x\' not found"}', "not_found", "model 'x' not found"),
        (400, b'{"error":"x does not support tools"}', "invalid_request", "x does not support tools"),
        (400, b'{"error":"the request exceeds the available context size (9 tokens)"}', "context_too_long",
         "the request exceeds the available context size (9 tokens)"),
        (401, b'{"error":"unauthorized","signin_url":"u"}', "auth", "unauthorized"),
        (402, b'{"error":"pay"}', "billing", "pay"),
        (429, b'{"error":"slow down"}', "rate_limit", "slow down"),
        (503, b'{"error":"server busy"}', "overloaded", "server busy"),
        (500, b'{"error":{"message":"m","type":"api_error"}}', "server", "m"),
        (500, b'{"error":{"message":"m","code":"insufficient_quota"}}', "billing", "m"),
        (502, b"<html><title>Bad gateway</title></html>", "server", "Bad gateway"),
        (500, b"", "server", "the upstream answered with status 500"),
        (500, b"[1]", "server", "the upstream answered with status 500"),
    ],
)  # fmt: skip
def test_errors_of_upstreams(status: int, body: bytes, kind: str, message: str) -> None:
    error = ollama.parse_error(status, {"retry-after": "7", "x-request-id": "r"}, body)
    assert (error.status, error.kind, error.message) == (status, kind, message)
    assert error.retry_after == 7 and error.request_id == "r"


@pytest.mark.parametrize(
    ("kind", "given", "status"),
    [
        ("invalid_request", 422, 422), ("unsupported", 400, 400), ("context_too_long", 413, 400), ("auth", 401, 401),
        ("billing", 429, 402), ("permission", 403, 403), ("not_found", 404, 404), ("conflict", 409, 500),
        ("too_large", 413, 413), ("rate_limit", 429, 429), ("overloaded", 529, 503), ("timeout", 504, 500),
        ("server", 500, 500), ("refused", 400, 400), ("disconnected", 502, 502), ("not_built", 501, 501),
    ],
)  # fmt: skip
def test_errors_for_clients(kind: ErrorKind, given: int, status: int) -> None:
    said = ApiError(given, kind, "prompt too long: it is" if kind == "context_too_long" else "m")
    got, headers, body = ollama.render_error(said)
    assert (got, headers) == (status, {"content-type": "application/json"})
    assert json.loads(body) == {"error": said.message}


def test_a_prompt_that_is_too_long_is_said_in_ollamas_words() -> None:
    def sentence(error: ApiError) -> str:
        return str(json.loads(ollama.render_error(error)[2])["error"])

    start = "prompt too long; exceeded max context length: "
    assert sentence(ApiError(400, "context_too_long", "no", tokens=(9, 5))) == start + "9 tokens, at most 5"
    assert sentence(ApiError(400, "context_too_long", "no")) == start + "no"
    again = ollama.parse_error(400, {}, ollama.render_error(ApiError(400, "context_too_long", "no"))[2])
    assert again.kind == "context_too_long"


def test_how_long_to_wait() -> None:
    assert ollama.render_error(ApiError(429, "rate_limit", "m", retry_after=1.2))[1]["retry-after"] == "2"
    assert "retry-after" not in ollama.render_error(ApiError(429, "billing", "m", retry_after=1.2))[1]


# ------------------------------------------------------------------------------------------------ models

SMALL = ModelInfo("qwen3:4b", owner="qwen", created=1_763_596_800)
LARGE = ModelInfo("big", "Big", context_window=200_000, vision=True, reasoning=True)


def test_the_list_of_models() -> None:
    rows = json.loads(ollama.render_models([SMALL, LARGE]))["models"]
    assert [(row["name"], row["model"]) for row in rows] == [("qwen3:4b", "qwen3:4b"), ("big", "big")]
    assert rows[0]["modified_at"] == "2025-11-20T00:00:00Z" and rows[0]["details"]["family"] == "qwen"
    assert len({row["digest"] for row in rows}) == 2 and all(isinstance(row["size"], int) for row in rows)


def test_one_model() -> None:
    shown = json.loads(ollama.render_model(LARGE))
    assert shown["capabilities"] == ["completion", "tools", "vision", "thinking"]
    arch = shown["model_info"]["general.architecture"]
    assert shown["model_info"][f"{arch}.context_length"] == 200_000 and "tools" in shown["template"].lower()
    assert shown["parameters"] == "num_ctx 200000" and shown["details"]["families"]
    plain = json.loads(ollama.render_model(ModelInfo("m", tools=False)))
    assert plain["capabilities"] == ["completion"] and "tools" not in plain["template"].lower()
    assert not any(name.endswith("context_length") for name in plain["model_info"])


# ------------------------------------------------------------------------------------------------ paths


def test_what_it_claims() -> None:
    assert ollama.claims("POST", "/api/chat") and ollama.claims("POST", "/api/generate")
    assert not ollama.claims("GET", "/api/chat") and not ollama.claims("POST", "/api/tags")


@pytest.mark.parametrize(("asked", "goes"), [("/api/chat?a=1", "/chat?a=1"), ("/api/generate", "/generate")])
def test_a_relayed_request_keeps_its_endpoint_and_every_byte_but_the_model(asked: str, goes: str) -> None:
    body = b'{ "model": "asked", "prompt" : "\\u00e9", "options":{"num_ctx":2} }'
    wire = ollama.relay(Wire(asked, body, {"x": "1"}), "generate", "real")
    assert wire == Wire(goes, body.replace(b"asked", b"real"), {"x": "1"})


def test_a_body_that_is_no_object() -> None:
    for refuses in (ollama.peek, ollama.parse_request, lambda wire: ollama.relay(wire, "generate", "m")):
        with pytest.raises(BadRequest):
            refuses(Wire("/api/chat", b"[]"))
    with pytest.raises(KeyError, match="count_tokens"):
        ollama.relay(Wire("/api/chat", b"{}"), "count_tokens", "m")


def test_the_key() -> None:
    assert ollama.credential("k") == ("authorization", "Bearer k")


@pytest.mark.parametrize("name", ["a.b/c", "mcp__x__y", "名前", "n" * 256])
def test_names_of_tools_are_free(name: str) -> None:
    assert ollama.TOOL_NAME.fullmatch(name) and not ollama.TOOL_NAME.fullmatch(name + "\n")


# ------------------------------------------------------------------------------------------------ exchanges

CHAT_STREAM = (
    b'data: {"id":"c","model":"up","choices":[{"index":0,"delta":{"role":"assistant","content":"Hello"}}]}\n\n'
    b'data: {"id":"c","model":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"c","model":"up","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)
LINES = (
    b'{"model":"up","message":{"role":"assistant","content":"Hello"},"done":false}\n',
    b'{"model":"up","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":2}\n',
)


def exchange(client: Codec, upstream: Codec, body: Any, path: str = "/api/chat", **more: Any) -> Bridge:
    wire = Wire(path, json.dumps(body).encode())
    options: dict[str, Any] = {
        "model": "real", "stream": True, "traits": DEFAULT_TRAITS, "policy": "balanced", "seed": SEED,
    } | more  # fmt: skip
    asked = None if client is upstream else client.parse_request(wire)
    return Bridge(client, upstream, wire, asked, **options)


def answered(bridge: Bridge, *pieces: bytes, headers: Any = NDJSON) -> tuple[Answer, bytes]:
    answer = bridge.answer(200, headers)
    return answer, b"".join(answer.feed(piece) for piece in (*pieces, b""))


@pytest.mark.parametrize("stream", [True, False])
def test_a_generate_client_before_a_chat_upstream(stream: bool) -> None:
    bridge = exchange(OLLAMA, CHAT, {"model": "m", "prompt": "Hi"}, "/api/generate", stream=stream)
    assert json.loads(bridge.wire.body)["messages"] == [{"role": "user", "content": "Hi"}]
    answer, got = answered(bridge, CHAT_STREAM, headers={"content-type": "text/event-stream"})
    assert answer.head is not None and answer.crash is None
    lines = [json.loads(line) for line in got.splitlines()]
    assert "".join(line["response"] for line in lines) == "Hello" and lines[-1]["eval_count"] == 2
    assert {line["model"] for line in lines} == {"m"}


@pytest.mark.parametrize("client", [CHAT, ANTHROPIC], ids=lambda codec: codec.NAME)
def test_clients_of_others_before_an_ollama_upstream(client: Codec) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    bridge = exchange(client, OLLAMA, body)
    sent = json.loads(bridge.wire.body)
    assert bridge.wire.path == "/chat" and sent["model"] == "real" and sent["options"]["num_predict"] == 9
    answer, got = answered(bridge, *LINES)
    assert answer.head is not None and answer.crash is None and answer.failure is None and b"Hello" in got


def test_a_relayed_stream_that_breaks_ends_with_an_error_and_no_blank_line() -> None:
    for first in (LINES[0], LINES[0] + LINES[1][:20]):
        bridge = exchange(OLLAMA, OLLAMA, {"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
        answer = bridge.answer(200, NDJSON)
        got = answer.feed(first) + answer.broken(GONE)
        assert got == LINES[0] + b'{"error":"gone"}\n', "a part of a line is of no use"
        assert answer.failure == GONE


def test_an_error_line_before_anything_else_is_a_failed_attempt() -> None:
    bridge = exchange(CHAT, OLLAMA, {"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
    answer, got = answered(bridge, b'{"error":"server busy, please try again"}\n')
    assert answer.head is None and answer.error is not None and got == b""
