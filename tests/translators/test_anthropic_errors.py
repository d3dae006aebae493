"""Errors of Anthropic upstreams, and for Anthropic clients; the model list."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import anthropic
from translators.model import ApiError, ModelInfo


def parse(status: int, body: Any, headers: dict[str, str] | None = None) -> ApiError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return anthropic.parse_error(status, headers or {}, raw)


def error(type: str, message: str, **details: Any) -> Any:
    return {"type": "error", "error": {"type": type, "message": message, **details}}


@pytest.mark.parametrize(("status", "body", "expected"), [
    (400, error("invalid_request_error", "temperature: out of range"),
     ApiError(400, "invalid_request", "temperature: out of range")),
    (400, error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
     ApiError(400, "context_too_long", "prompt is too long: 210000 tokens > 200000 maximum", tokens=(210000, 200000))),
    (401, error("authentication_error", "invalid x-api-key"), ApiError(401, "auth", "invalid x-api-key")),
    (402, error("billing_error", "pay"), ApiError(402, "billing", "pay")),
    (403, error("permission_error", "no"), ApiError(403, "permission", "no")),
    (404, error("not_found_error", "model: x"), ApiError(404, "not_found", "model: x")),
    (413, error("request_too_large", "big"), ApiError(413, "too_large", "big")),
    (429, error("rate_limit_error", "slow", details={"error_code": "enforced_spend_limit_reached"}),
     ApiError(429, "billing", "slow", "enforced_spend_limit_reached")),
    (500, error("api_error", "oops"), ApiError(500, "server", "oops")),
    (504, error("timeout_error", "late"), ApiError(504, "timeout", "late")),
    (529, error("overloaded_error", "Overloaded"), ApiError(529, "overloaded", "Overloaded")),
    (502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", ApiError(502, "server", "502 Bad Gateway")),
    (503, b"", ApiError(503, "overloaded", "HTTP status 503")),
    (400, [{"error": {"message": "in a list"}}], ApiError(400, "invalid_request", "in a list")),
    (422, {"detail": [{"msg": "x"}, {"message": "required"}]}, ApiError(422, "invalid_request", "required")),
    (401, {"error": "invalid_grant"}, ApiError(401, "auth", "invalid_grant")),
    (500, {"message": {"error": "deep"}}, ApiError(500, "server", "deep")),
    (500, 7, ApiError(500, "server", "HTTP status 500")),
])
def test_what_an_upstream_says(status: int, body: Any, expected: ApiError) -> None:
    assert parse(status, body) == expected


def test_headers_of_an_error() -> None:
    found = parse(429, error("rate_limit_error", "slow"), {"retry-after": "12", "request-id": "req_1"})
    assert (found.retry_after, found.request_id) == (12, "req_1")
    assert parse(429, {**error("rate_limit_error", "slow"), "request_id": "req_2"}).request_id == "req_2"


@pytest.mark.parametrize(("kind", "status", "type"), [
    ("invalid_request", 400, "invalid_request_error"), ("unsupported", 400, "invalid_request_error"),
    ("auth", 401, "authentication_error"), ("billing", 402, "billing_error"), ("permission", 403, "permission_error"),
    ("not_found", 404, "not_found_error"), ("conflict", 409, "conflict_error"), ("too_large", 413, "request_too_large"),
    ("rate_limit", 429, "rate_limit_error"), ("server", 500, "api_error"), ("disconnected", 500, "api_error"),
    ("not_built", 501, "api_error"), ("timeout", 504, "timeout_error"), ("overloaded", 529, "overloaded_error"),
    ("refused", 400, "invalid_request_error"),
])
def test_what_a_client_gets(kind: Any, status: int, type: str) -> None:
    sent, headers, body = anthropic.render_error(ApiError(599, kind, "Why."))
    assert sent == status
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"type": "error", "error": {"type": type, "message": "Why."}}


def test_waiting() -> None:
    headers = anthropic.render_error(ApiError(429, "rate_limit", "x", retry_after=1.2))[1]
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1200")
    headers = anthropic.render_error(ApiError(429, "rate_limit", "x", retry_after=7))[1]
    assert headers["retry-after"] == "7" and "retry-after-ms" not in headers
    assert "retry-after" not in anthropic.render_error(ApiError(429, "rate_limit", "x"))[1]
    headers = anthropic.render_error(ApiError(429, "billing", "x", retry_after=5))[1]
    assert headers["x-should-retry"] == "false" and "retry-after" not in headers


@pytest.mark.parametrize(("found", "message"), [
    (ApiError(400, "context_too_long", "x", tokens=(210000, 200000)),
     "prompt is too long: 210000 tokens > 200000 maximum"),
    (ApiError(400, "context_too_long", "This model's maximum context length is 8192 tokens. However, your messages"
              " resulted in 10000 tokens."), "prompt is too long: 10000 tokens > 8192 maximum"),
    (ApiError(400, "context_too_long", "Your input exceeds the context window of this model."),
     "prompt is too long: Your input exceeds the context window of this model."),
    (ApiError(400, "context_too_long", "you requested 9000 tokens (8000 in the messages, 1000 in the completion) but"
              " this model's maximum context length is 8192 tokens"),
     "input length and `max_tokens` exceed context limit: 8000 + 1000 > 8192, decrease input length or `max_tokens`"
     " and try again"),
])
def test_the_sentences_that_claude_code_reads(found: ApiError, message: str) -> None:
    assert json.loads(anthropic.render_error(found)[2])["error"]["message"] == message


def test_codes_and_request_ids() -> None:
    _, headers, body = anthropic.render_error(
        ApiError(400, "unsupported", "Cannot.", "unsupported_translation", "n", request_id="req_1")
    )
    assert headers["request-id"] == "req_1"
    assert json.loads(body) == {"type": "error", "request_id": "req_1", "error": {
        "type": "invalid_request_error", "message": "Cannot.", "details": {"error_code": "unsupported_translation"}}}


def test_the_model_list() -> None:
    rows = [ModelInfo("a", "Model A", created=1_700_000_000, context_window=200000, max_output=8192), ModelInfo("b")]
    assert json.loads(anthropic.render_models(rows)) == {
        "data": [
            {"type": "model", "id": "a", "display_name": "Model A", "created_at": "2023-11-14T22:13:20Z",
             "lifecycle": "active", "max_input_tokens": 200000, "max_tokens": 8192},
            {"type": "model", "id": "b", "display_name": "b", "created_at": "1970-01-01T00:00:00Z",
             "lifecycle": "active", "max_input_tokens": None, "max_tokens": None},
        ],
        "first_id": "a", "last_id": "b", "has_more": False,
    }
    assert json.loads(anthropic.render_models([])) == {"data": [], "first_id": None, "last_id": None, "has_more": False}
    assert json.loads(anthropic.render_model(rows[1]))["id"] == "b"
