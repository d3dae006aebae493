"""Paths to surfaces: every row of the contract's table, the probes, and what lies beside them."""

from __future__ import annotations

import pytest

from addons.opening import refusal_of
from addons.surfaces import find
from translators import CODECS

ROWS = [
    ("POST /v1/chat/completions", "generate openai-chat"),
    ("POST /openai/v1/chat/completions", "generate openai-chat"),
    ("POST /chat/completions", "generate openai-chat"),
    ("POST /openai/chat/completions", "unknown openai-chat"),
    ("POST /anthropic/v1/chat/completions", "unknown anthropic"),
    ("POST /v1/messages?beta=true", "generate anthropic"),
    ("POST /anthropic/v1/messages", "generate anthropic"),
    ("POST /v1/messages/count_tokens?beta=true", "count_tokens anthropic"),
    ("GET /v1/messages", "method anthropic"),
    ("POST /openai/v1/messages", "unknown openai-chat"),
    ("POST /v1/responses", "generate openai-responses"),
    ("POST /openai/v1/responses", "generate openai-responses"),
    ("POST /responses", "generate openai-responses"),
    ("GET /v1/responses/resp_1", "stored openai-responses"),
    ("GET /openai/v1/responses/resp_1?stream=true", "stored openai-responses"),
    ("DELETE /responses/resp_1", "stored openai-responses"),
    ("POST /v1/responses/resp_1", "method openai-responses"),
    ("POST /v1/responses/resp_1/cancel", "stored openai-responses"),
    ("GET /v1/responses/resp_1/input_items?limit=2", "stored openai-responses"),
    ("GET /v1/responses/resp_1/other", "unknown openai-responses"),
    ("GET /v1/responses/..%2Fadmin", "unknown openai-responses"),
    ("GET /v1/responses/../admin", "unknown openai-responses"),
    ("GET /openai/responses/resp_1", "unknown openai-chat"),
    ("POST /v1/responses/compact", "compact openai-responses"),
    ("POST /responses/input_tokens", "count_tokens openai-responses"),
    ("POST /v1beta/models/gemini-3:generateContent", "generate gemini"),
    ("POST /google/v1/models/a%2Fb:streamGenerateContent?alt=sse", "generate gemini"),
    ("POST /gemini/v1beta/models/x:countTokens", "count_tokens gemini"),
    ("POST /v1beta/models/x:embedContent", "embed gemini"),
    ("POST /v1/models/x:batchEmbedContents", "embed gemini"),
    ("POST /v1/models/up/a:b:generateContent", "generate gemini"),
    ("GET /v1/models/x:embedContent", "method gemini"),
    ("POST /v1beta/models/x:doSomethingElse", "unknown gemini"),
    ("POST /models/x:streamGenerateContent", "unknown gemini"),
    ("POST /openai/v1/models/x:generateContent", "unknown openai-chat"),
    ("POST /api/chat", "generate ollama"),
    ("POST /ollama/api/generate", "generate ollama"),
    ("GET /api/tags", "models ollama"),
    ("POST /api/show", "model ollama"),
    ("GET /ollama/api/show/qwen3:4b", "model ollama"),
    ("GET /api/version", "version ollama"),
    ("GET /api/ps", "running ollama"),
    ("POST /api/embed", "embed ollama"),
    ("POST /ollama/api/embeddings", "embed ollama"),
    ("POST /v1/embeddings", "embed openai-chat"),
    ("POST /openai/v1/embeddings", "embed openai-chat"),
    ("GET /v1/ws", "socket openai-chat"),
    ("GET /v1/models", "models openai-chat"),
    ("GET /v1/models/up/some:model", "model openai-chat"),
    ("GET /anthropic/v1/models", "models anthropic"),
    ("GET /google/v1beta/models/x", "model gemini"),
    ("GET /v1beta/models", "models gemini"),
    ("POST /v1/models", "method openai-chat"),
    ("GET /", "probe ollama"),
    ("HEAD /", "probe ollama"),
    ("HEAD /api/hello", "probe ollama"),
    ("POST /", "unknown openai-chat"),
    ("GET /health", "health openai-chat"),
    ("GET /ready", "health openai-chat"),
    ("DELETE /ready", "method openai-chat"),
    ("POST /v1/nothing/here", "unknown openai-chat"),
    ("GET /api/nothing", "unknown ollama"),
    ("GET /v1beta/nothing", "unknown gemini"),
    ("POST /v1/messages/batches", "unknown anthropic"),
    ("GET //", "unknown openai-chat"),
    ("GET ", "unknown openai-chat"),
]


@pytest.mark.parametrize(("asked", "found"), ROWS)
def test_a_path_has_its_surface(asked: str, found: str) -> None:
    method, _, path = asked.partition(" ")
    surface = find(method, path, {})
    assert f"{surface.purpose} {surface.protocol}" == found and surface.namespace == "default"


@pytest.mark.parametrize(("asked", "found"), ROWS)
def test_so_it_has_under_a_namespace(asked: str, found: str) -> None:
    method, _, path = asked.partition(" ")
    surface = find(method, f"/namespaces/team%20a{path}", {})
    assert surface.namespace == "team a"
    if path.strip("/"):
        assert f"{surface.purpose} {surface.protocol}" == found


@pytest.mark.parametrize(
    ("headers", "path", "protocol"),
    [
        ({"anthropic-version"}, "/v1/models", "anthropic"),
        ({"x-goog-api-key"}, "/v1/models", "gemini"),
        ({"x-goog-api-client"}, "/v1/models", "gemini"),
        (set(), "/v1/models?key=x", "gemini"),
        (set(), "/v1/models?monkey=x", "openai-chat"),
        ({"anthropic-version"}, "/openai/v1/models", "openai-chat"),
    ],
)
def test_headers_tell_whose_model_list_it_is(headers: set[str], path: str, protocol: str) -> None:
    assert find("GET", path, headers).protocol == protocol


def test_names_and_paths_come_out_of_the_prefixes() -> None:
    surface = find("POST", "/namespaces/x/google/v1beta/models/a%2Fb%3Ac:streamGenerateContent?alt=sse", {})
    assert surface.name == "a/b:c" and surface.path == "/v1beta/models/a%2Fb%3Ac:streamGenerateContent?alt=sse"
    assert find("GET", "/v1/models/up/some:model", {}).name == "up/some:model"
    assert find("POST", "/v1/models/up/some:model:countTokens", {}).name == "up/some:model"


def test_a_websocket_is_told_apart() -> None:
    assert find("GET", "/v1/responses", {"upgrade"}).purpose == "upgrade"
    assert find("GET", "/v1/responses", {}).purpose == "method"


def test_codex_goes_on_over_http_after_a_426_only() -> None:
    error = refusal_of("upgrade", "GET", "/v1/responses").error
    assert CODECS["openai-responses"].render_error(error)[0] == 426
