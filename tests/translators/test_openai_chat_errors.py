"""Errors: every form in which servers of this protocol put them, and the one that clients get."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import openai_chat as chat
from translators.model import ApiError, ModelInfo


def parsed(status: int, body: Any, **headers: str) -> ApiError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return chat.parse_error(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (401, {"error": {"message": "bad", "type": "invalid_request_error", "code": "invalid_api_key"}}, "auth", "bad"),
        (429, {"error": {"message": "q", "type": "insufficient_quota", "code": "insufficient_quota"}}, "billing", "q"),
        (404, {"error": {"message": "no `x`", "code": "model_not_found"}}, "not_found", "no `x`"),
        (400, {"error": {"message": "temperature: out of range"}}, "invalid_request", "temperature: out of range"),
        (400, [{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}], "invalid_request", "m"),
        (400, {"object": "error", "message": "m", "type": "BadRequestError", "code": 400}, "invalid_request", "m"),
        (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, "invalid_request", "field required"),
        (404, {"detail": "Not Found"}, "not_found", "Not Found"),
        (500, {"error": "boom"}, "server", "boom"),
        (400, {"error": {"message": {"message": "inner"}}}, "invalid_request", "inner"),
        (503, b"<html><title>503 Service Unavailable</title></html>", "overloaded", "503 Service Unavailable"),
        (502, b"", "server", "the upstream answered with status 502"),
        (529, {"error": {"message": "Overloaded"}}, "overloaded", "Overloaded"),
        (400, {"error": {"message": "Provider returned error", "metadata": {"raw": "prompt is too long"}}},
         "context_too_long", "Provider returned error: prompt is too long"),
        (400, {"error": {"code": 400, "message": "the request exceeds the available context size. try"}},
         "context_too_long", "the request exceeds the available context size. try"),
    ],
)  # fmt: skip
def test_forms(status: int, body: Any, kind: str, message: str) -> None:
    error = parsed(status, body)
    assert (error.status, error.kind, error.message) == (status, kind, message)


def test_what_an_error_tells_besides() -> None:
    error = parsed(
        400,
        {
            "error": {
                "message": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000"
                " tokens.",
                "code": "context_length_exceeded",
                "param": "messages",
            }
        },
        x_request_id="req_1",
    )  # fmt: skip
    assert error.tokens == (9000, 8192) and error.param == "messages" and error.request_id == "req_1"
    assert parsed(429, {"error": {"message": "x"}}, retry_after="7").retry_after == 7
    assert parsed(429, {"error": {"message": "x"}}).retry_after is None, "nothing is made up"
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "46s"}
    assert parsed(429, [{"error": {"code": 429, "message": "x", "details": [info]}}]).retry_after == 46


def test_when_the_limit_of_a_subscription_is_over() -> None:
    said = {"type": "usage_limit_reached", "message": "The usage limit has been reached"}
    error = parsed(429, {"error": {**said, "resets_in_seconds": 30, "resets_at": 1}})
    assert (error.kind, error.retry_after) == ("rate_limit", 30)
    now = "Fri, 20 Nov 2026 12:00:00 GMT"
    assert parsed(429, {"error": {**said, "resets_at": 1795176060}}, date=now).retry_after == 60
    assert parsed(429, {"error": {**said, "resets_at": 1795176060}}).retry_after is None, "there is no clock here"


def test_googles_limit_of_a_minute_is_no_lack_of_money() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "40s"}
    text = "You exceeded your current quota, please check your plan and billing details."
    error = parsed(429, [{"error": {"code": 429, "message": text, "details": [info]}}])
    assert (error.kind, error.retry_after) == ("rate_limit", 40)


@pytest.mark.parametrize(
    ("error", "status", "type", "code"),
    [
        (ApiError(400, "invalid_request", "m"), 400, "invalid_request_error", None),
        (ApiError(422, "invalid_request", "m"), 422, "invalid_request_error", None),
        (ApiError(400, "unsupported", "m"), 400, "invalid_request_error", "unsupported_translation"),
        (ApiError(413, "context_too_long", "m"), 400, "invalid_request_error", "context_length_exceeded"),
        (ApiError(401, "auth", "m", "authentication_error"), 401, "invalid_request_error", "invalid_api_key"),
        (ApiError(403, "permission", "m"), 403, "invalid_request_error", None),
        (ApiError(402, "billing", "m"), 429, "insufficient_quota", "insufficient_quota"),
        (ApiError(404, "not_found", "m"), 404, "invalid_request_error", "model_not_found"),
        (ApiError(413, "too_large", "m"), 413, "invalid_request_error", "request_too_large"),
        (ApiError(429, "rate_limit", "m"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (ApiError(529, "overloaded", "m"), 503, "service_unavailable_error", "server_is_overloaded"),
        (ApiError(504, "timeout", "m"), 504, "server_error", "timeout"),
        (ApiError(500, "server", "m"), 500, "server_error", None),
        (ApiError(502, "server", "m"), 502, "server_error", None),
        (ApiError(400, "refused", "m", "invalid_prompt"), 400, "invalid_request_error", "invalid_prompt"),
        (ApiError(502, "disconnected", "m"), 502, "server_error", "upstream_error"),
        (ApiError(501, "not_built", "m"), 501, "invalid_request_error", "not_built"),
    ],
)
def test_what_clients_get(error: ApiError, status: int, type: str, code: str | None) -> None:
    said, headers, body = chat.render_error(error)
    fields = json.loads(body)["error"]
    assert (said, fields["type"], fields["code"]) == (status, type, code)
    assert fields.keys() == {"message", "type", "param", "code"} and "m" in fields["message"]
    assert headers["content-type"] == "application/json"


def test_waiting_and_not_waiting() -> None:
    _, headers, _ = chat.render_error(ApiError(429, "rate_limit", "m", retry_after=0.25))
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("1", "250")
    _, headers, _ = chat.render_error(ApiError(429, "billing", "m", retry_after=3600))
    assert headers["x-should-retry"] == "false" and "retry-after" not in headers


def test_the_words_for_an_overflow() -> None:
    def message(error: ApiError) -> str:
        text: str = json.loads(chat.render_error(error)[2])["error"]["message"]
        return text

    known = ApiError(400, "context_too_long", "prompt is too long: 9 tokens > 8 maximum", tokens=(9, 8))
    assert message(known) == (
        "This model's maximum context length is 8 tokens. However, your messages resulted in 9 tokens. "
        "Please reduce the length of the messages."
    )
    vague = ApiError(400, "context_too_long", "Prompt too long")
    assert message(vague) == "This model's maximum context length is exceeded: Prompt too long"


def test_model_lists() -> None:
    models = [ModelInfo("a/b", "A", "acme", 5, 1000), ModelInfo("c")]
    assert json.loads(chat.render_models(models)) == {
        "object": "list",
        "data": [
            {"id": "a/b", "object": "model", "created": 5, "owned_by": "acme", "context_window": 1000},
            {"id": "c", "object": "model", "created": 0, "owned_by": "llm-link"},
        ],
    }
    assert json.loads(chat.render_model(models[1]))["id"] == "c"


def test_credentials() -> None:
    assert chat.credential("k") == ("authorization", "Bearer k")
