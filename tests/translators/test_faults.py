"""What error texts and headers of providers mean. The texts are those that providers send."""

from __future__ import annotations

import time

import pytest

from translators.faults import (
    classify,
    is_context_overflow,
    kind_of_status,
    output_overflow,
    plain_message,
    retry_after,
    token_numbers,
)

OVERFLOWS = [
    ("prompt is too long: 210,000 tokens > 200000 maximum", (210000, 200000)),
    ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or"
     " `max_tokens` and try again", (210000, 200000)),
    ("This model's maximum context length is 8192 tokens. However, your messages resulted in 10000 tokens. Please"
     " reduce the length of the messages.", (10000, 8192)),
    ("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages,"
     " 1000 in the completion). Please reduce the length of the messages or completion.", (9000, 8192)),
    ("Your input exceeds the context window of this model. Please adjust your input and try again.", None),
    ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", (1200000, 1048576)),
    ("request (12000 tokens) exceeds the available context size (8192 tokens), try increasing it", (12000, 8192)),
    ("The input (10000 tokens) is longer than the model's context length (8192 tokens).", (10000, 8192)),
    ("Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.",
     (300000, 272000)),
    ("Your request exceeded model token limit: 131072 (requested: 140000)", (140000, 131072)),
    ("current length is 140000 while limit is 131072", (140000, 131072)),
    ("Range of input length should be [1, 30720]", None),
    ("the request exceeds the available context size (12000 tokens, available 8192)", (12000, 8192)),
    ("This model's maximum prompt length is 131072 but the request contains 537812 tokens.", (537812, 131072)),
    ("This endpoint's maximum context length is 65536 tokens. However, you requested about 70000 tokens",
     (70000, 65536)),
    ("prompt token count of 130000 exceeds the limit of 128000", (130000, 128000)),
    ("Input is too long for requested model.", None),
    ("Prompt exceeds max length", None),
    ("invalid params, context window exceeds limit", None),
    ("context length exceeded", None),
    ("too many tokens: total number of tokens in the prompt cannot exceed 4081", None),
    ("The number of tokens to keep from the initial prompt is greater than the context length", None),
    ("'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 8192 tokens"
     " and your request has 100 input tokens (8192 > 8192 - 100).", (8292, 8192)),
]


@pytest.mark.parametrize(("message", "numbers"), OVERFLOWS)
def test_a_prompt_that_is_too_long(message: str, numbers: tuple[int, int] | None) -> None:
    assert is_context_overflow(message, None)
    assert classify(400, None, "invalid_request_error", message) == "context_too_long"
    assert token_numbers(message) == numbers


@pytest.mark.parametrize(("message", "code"), [
    ("Invalid 'messages[0].name': string too long. Expected maximum length 64", "string_above_max_length"),
    ("messages: at least one message is required", None),
    ("The model `x` does not exist", "model_not_found"),
    ("max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for claude-3", None),
])
def test_other_mistakes(message: str, code: str | None) -> None:
    assert not is_context_overflow(message, code)
    assert token_numbers(message) is None


def test_too_much_output_is_told_apart() -> None:
    assert output_overflow(OVERFLOWS[1][0]) == (190000, 20000, 200000)
    assert output_overflow(OVERFLOWS[3][0]) == (8000, 1000, 8192)
    assert output_overflow(OVERFLOWS[-1][0]) == (100, 8192, 8192)
    assert output_overflow(OVERFLOWS[0][0]) is None
    alone = "maximum context length is 8192 tokens, requested 99999 (98999 in the messages, 1000 in the completion)"
    assert output_overflow(alone) is None


@pytest.mark.parametrize(("status", "code", "kind_name", "message", "kind"), [
    (400, None, "invalid_request_error", "temperature: out of range", "invalid_request"),
    (400, None, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", "billing"),
    (400, None, None, "API key not valid. Please pass a valid API key.", "auth"),
    (401, "invalid_api_key", "invalid_request_error", "Incorrect API key provided", "auth"),
    (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota", "billing"),
    (429, "rate_limit_exceeded", "tokens", "Rate limit reached", "rate_limit"),
    (429, "enforced_spend_limit_reached", "rate_limit_error", "Limit", "billing"),
    (500, None, "overloaded_error", "Overloaded", "overloaded"),
    (503, None, None, "", "overloaded"),
    (529, None, None, "", "overloaded"),
    (404, "model_not_found", "invalid_request_error", "no such model", "not_found"),
    (400, "content_policy_violation", None, "no", "refused"),
    (418, None, None, "teapot", "invalid_request"),
    (429, None, None, "Too many tokens, please wait before trying again.", "rate_limit"),
    (429, "usage_limit_reached", None, "The usage limit has been reached", "rate_limit"),
    (400, "model_context_window_exceeded", None, "no", "context_too_long"),
    (520, None, None, "", "server"),
    (200, None, None, "odd", "server"),
])
def test_kinds(status: int, code: str | None, kind_name: str | None, message: str, kind: str) -> None:
    assert classify(status, code, kind_name, message) == kind


def test_a_quota_that_is_soon_full_again_is_no_lack_of_money() -> None:
    text = "You exceeded your current quota, please check your plan and billing details."
    assert classify(429, None, "RESOURCE_EXHAUSTED", text) == "billing"
    assert classify(429, None, "RESOURCE_EXHAUSTED", text, again=True) == "rate_limit"
    assert classify(429, "insufficient_quota", None, text, again=True) == "billing"


@pytest.mark.parametrize(("status", "kind"), [
    (400, "invalid_request"), (402, "billing"), (403, "permission"), (408, "timeout"), (409, "conflict"),
    (413, "too_large"), (429, "rate_limit"), (500, "server"), (502, "server"), (504, "timeout"), (599, "server"),
])
def test_statuses(status: int, kind: str) -> None:
    assert kind_of_status(status) == kind


NOW = "Fri, 20 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(("headers", "message", "seconds"), [
    ({}, "", None),
    ({"retry-after": "30"}, "", 30),
    ({"retry-after": "1.5"}, "", 1.5),
    ({"retry-after": "0"}, "Please try again in 9s", 0),
    ({"retry-after-ms": "250", "retry-after": "30"}, "", 0.25),
    ({"retry-after": "Fri, 20 Nov 2026 12:01:30 GMT", "date": NOW}, "", 90),
    ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT", "date": NOW}, "", 0),
    ({"retry-after": "Fri, 20 Nov 2026 12:01:30 GMT"}, "", None),
    ({"retry-after": "soon"}, "", None),
    ({"retry-after": "-5"}, "", None),
    ({"retry-after": "nan"}, "", None),
    ({"retry-after": "2m"}, "", 120),
    ({}, "Rate limit reached. Please try again in 11.054s. Visit …", 11.054),
    ({}, "Please try again in 23ms.", 0.023),
    ({}, "Please try again in 6m0s.", 360),
    ({}, "Please retry in 10h17m5.7s.", 37025.7),
    ({}, "try again in 2 minutes", 120),
    ({}, "try again in a while", None),
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s",
      "x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "9h"}, "", 90),
    ({"anthropic-ratelimit-input-tokens-remaining": "0",
      "anthropic-ratelimit-input-tokens-reset": "2026-11-20T12:00:45Z", "date": NOW}, "", 45),
    ({"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": "1795176060",
      "date": NOW}, "", 60),
    ({"anthropic-ratelimit-unified-status": "allowed", "anthropic-ratelimit-unified-reset": "1795176060",
      "date": NOW}, "", None),
])
def test_how_long_to_wait(headers: dict[str, str], message: str, seconds: float | None) -> None:
    assert retry_after(headers, message) == (None if seconds is None else pytest.approx(seconds))


def test_pages_and_texts() -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>x</h1></body></html>"
    assert plain_message(page) == "502 Bad Gateway"
    assert plain_message(b"<p>Service <b>not</b> &amp; never\n available</p><script>x</script>") == (
        "Service not & never available"
    )
    assert plain_message(b"upstream connect error") == "upstream connect error"
    assert plain_message(b"\xff\xfe") == "\ufffd\ufffd"
    assert len(plain_message(b"x" * 10_000)) == 300
    assert plain_message(b"") == ""


@pytest.mark.parametrize("junk", ["<" * 20_000, "<script>" * 3_000, "<title " * 3_000, "1 " * 10_000, "9" * 20_000])
def test_hostile_texts_take_no_time(junk: str) -> None:
    began = time.process_time()
    plain_message(junk.encode())
    for read in (token_numbers, output_overflow):
        read(junk)
    is_context_overflow(junk, None)
    retry_after({"retry-after": junk}, "try again in " + junk)
    assert time.process_time() - began < 0.5
