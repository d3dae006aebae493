"""Every SDK against every upstream where it goes wrong: refusals, errors, and streams that break off.

The SDK has to see what happened in its own type, with the upstream's words and the time to wait.
"""

from __future__ import annotations

from typing import Any

import anthropic
import ollama
import openai
import pytest
from google.genai import errors as google

from tests.addons.sdks.clients import Ask, Client, Got, StreamFailed
from tests.addons.sdks.conftest import SHORT
from tests.addons.sdks.said import TALKS
from tests.addons.sdks.wires_base import MESSAGES

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def ask(client: Client, upstream: str, name: str, stream: bool) -> Got:
    return client.ask(f"{SHORT[upstream]}_{name}", [client.user("Hi")], Ask(), stream=stream)


# ------------------------------------------------------------------------------------------------ refusals

# How a client is told of a refusal that has words, by whether the upstream has a place of its own for them.
REFUSED = {
    "openai-chat": ("stop", "content_filter"),
    "openai-responses": ("completed", "content_filter"),
    "anthropic": ("refusal", "refusal"),
    "gemini": ("SAFETY", "SAFETY"),
    "ollama": ("stop", "stop"),
}
FILTERED = {
    "openai-chat": ("content_filter",),
    "openai-responses": ("content_filter",),
    "anthropic": ("refusal",),
    "gemini": ("SAFETY", "PROHIBITED_CONTENT"),
    "ollama": ("stop",),
}
ENDED = {"openai-chat": "stop", "openai-responses": "completed", "anthropic": "end_turn", "gemini": "STOP"}


@BOTH
def test_a_refusal(client: Client, upstream: str, stream: bool) -> None:
    got = ask(client, upstream, "refusal", stream)
    words = TALKS["refusal"][0].text
    assert words in (got.text, got.refusal)
    own = upstream.startswith("openai")
    assert (got.refusal == words) == (own and client.name.startswith("openai"))
    if upstream == "ollama":  # which has no word for it
        assert got.end == ENDED.get(client.name, "stop")
    else:
        assert got.end == REFUSED[client.name][0 if own else 1]


@BOTH
@pytest.mark.without(upstream=["ollama"])  # it has none
def test_a_filter(client: Client, upstream: str, stream: bool) -> None:
    got = ask(client, upstream, "filter", stream)
    assert not got.text and got.end in FILTERED[client.name]


# ------------------------------------------------------------------------------------------------ errors

OPENAI = {
    "limited": openai.RateLimitError,
    "bad": openai.BadRequestError,
    "busy": openai.InternalServerError,
    "locked": openai.AuthenticationError,
    "lost": openai.NotFoundError,
}
CLAUDE = {
    "limited": anthropic.RateLimitError,
    "bad": anthropic.BadRequestError,
    "busy": anthropic.InternalServerError,
    "locked": anthropic.AuthenticationError,
    "lost": anthropic.NotFoundError,
}
STATUS = {"limited": 429, "bad": 400, "busy": 503, "locked": 401, "lost": 404}
GOOGLE = {
    "limited": "RESOURCE_EXHAUSTED",
    "bad": "INVALID_ARGUMENT",
    "busy": "UNAVAILABLE",
    "locked": "UNAUTHENTICATED",
    "lost": "NOT_FOUND",
}


@BOTH
@pytest.mark.parametrize("kind", list(STATUS))
def test_an_error(client: Client, upstream: str, kind: str, stream: bool) -> None:
    with pytest.raises(Exception) as raised:
        ask(client, upstream, kind, stream)
    error: Any = raised.value
    assert MESSAGES[kind] in str(error)
    match client.name:
        case "anthropic":
            assert type(error) is CLAUDE[kind] or (kind == "busy" and isinstance(error, CLAUDE[kind]))
            assert error.status_code == (529 if kind == "busy" else STATUS[kind])
            assert error.body["error"]["type"] == error.type
        case "gemini":
            assert isinstance(error, google.ServerError if kind == "busy" else google.ClientError)
            assert (error.code, error.status) == (STATUS[kind], GOOGLE[kind])
            waits = [entry.get("retryDelay") for entry in error.details["error"].get("details", ())]
            assert ("7s" in waits) == (kind == "limited")
        case "ollama":
            assert type(error) is ollama.ResponseError
            assert (error.status_code, error.error) == (STATUS[kind], MESSAGES[kind])
        case _:
            assert type(error) is OPENAI[kind] and error.status_code == STATUS[kind]
    if kind == "limited" and hasattr(error, "response") and client.name != "gemini":
        assert error.response.headers["retry-after"] == "7"


# ------------------------------------------------------------------------------------------------ broken streams

LATE: dict[str, Any] = {
    "openai-chat": openai.APIError,
    "openai-responses": StreamFailed,
    "anthropic": anthropic.APIStatusError,
    "gemini": google.ServerError,
    "ollama": ollama.ResponseError,
}


@pytest.mark.parametrize("name", ["breaks", "cut"])
def test_a_broken_stream(client: Client, upstream: str, name: str) -> None:
    with pytest.raises(LATE[client.name]) as raised:
        ask(client, upstream, name, True)
    error = raised.value
    if client.name == "openai-responses":
        (last,) = error.args
        assert last.type == "response.failed" and last.response.status == "failed"
        assert last.response.error and last.response.error.message
    if name == "breaks":
        said = error.args[0].response.error.message if client.name == "openai-responses" else str(error)
        assert MESSAGES["breaks"] in said


def test_a_stream_that_begins_with_an_error(client: Client, upstream: str) -> None:
    """Nothing went out yet: a real status."""
    with pytest.raises(Exception) as raised:
        ask(client, upstream, "stumbles", True)
    error: Any = raised.value
    status = error.code if client.name == "gemini" else error.status_code
    assert status >= 500 and MESSAGES["breaks"] in str(error)


def test_a_whole_answer_that_is_cut(client: Client, upstream: str) -> None:
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError, google.APIError, ollama.ResponseError)) as cut:
        ask(client, upstream, "cut", False)
    error: Any = cut.value
    assert (error.code if client.name == "gemini" else error.status_code) >= 500
