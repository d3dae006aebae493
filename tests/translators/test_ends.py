"""How an answer ends, what it cost and what went wrong: the laws of reasons, usage and errors, for every pair."""

from __future__ import annotations

import json
from itertools import product
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.dialects import DIALECTS, Dialect, answered, counted
from tests.strategies import SEED
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS
from translators.events import Event, Failure, fold, unfold
from translators.model import ApiError, ErrorKind, Message, Reason, Reasoning, Request, Response, Text, ToolCall, Usage

EACH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
PAIRS = [pytest.param(a, b, id=f"{a.name}-{b.name}") for a, b in product(DIALECTS.values(), repeat=2)]
EACH_PAIR = pytest.mark.parametrize(("client", "upstream"), PAIRS)
STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
REASONS: tuple[Reason, ...] = get_args(Reason)

HELLO = Request("m", [Message("user", (Text("hi"),))], max_output=5000, reasoning=Reasoning("medium", visible=True))
SAID = (Text("so"),)
CALLED = (Text("so"), ToolCall("call_0", "f", '{"a":1}'))


def said_by(dialect: Dialect, response: Response, stream: bool) -> bytes:
    asked = replace(HELLO, stream=stream, include_usage=True)
    if not stream:
        return dialect.codec.render_response(response, asked, SEED)
    encoder = dialect.codec.encoder(asked, SEED)
    return b"".join(map(encoder.encode, unfold(response)))


def read_by(dialect: Dialect, wire: bytes, stream: bool) -> Response:
    return fold(events_of(dialect, wire)) if stream else dialect.codec.parse_response(wire, SEED)


def events_of(dialect: Dialect, wire: bytes) -> list[Event]:
    decoder = dialect.codec.decoder(SEED)
    events = decoder.feed(wire) + decoder.feed(b"")
    assert decoder.crash is None, decoder.crash
    return events


def bridged(client: Dialect, upstream: Dialect, stream: bool) -> Bridge:
    wire = client.codec.render_request(replace(HELLO, stream=stream)).wire
    asked = None if client is upstream else client.codec.parse_request(wire)
    return Bridge(
        client.codec, upstream.codec, wire, asked, model="m", stream=stream, traits=DEFAULT_TRAITS,
        policy="max_compat", seed=SEED,
    )  # fmt: skip


def through(client: Dialect, upstream: Dialect, response: Response, stream: bool) -> Response:
    """What the client understands of what the upstream says."""
    answer = bridged(client, upstream, stream).answer(200, {"content-type": _TYPES[upstream.name, stream]})
    out = answer.feed(said_by(upstream, response, stream)) + answer.feed(b"")
    assert answer.crash is None and answer.error is None
    return read_by(client, out, stream)


_TYPES = {
    (name, stream): dialect.codec.encoder(HELLO, SEED).content_type if stream else "application/json"
    for name, dialect in DIALECTS.items()
    for stream in (True, False)
}

# ------------------------------------------------------------------------------------------------ reasons

# reference: the stop reasons of each protocol, of an answer that has a text and no calls
WORDS: dict[Reason, dict[str, str]] = {
    "end": {"openai-chat": "stop", "openai-responses": "completed", "anthropic": "end_turn", "gemini": "STOP",
            "ollama": "stop"},
    "length": {"openai-chat": "length", "openai-responses": "max_output_tokens", "anthropic": "max_tokens",
               "gemini": "MAX_TOKENS", "ollama": "length"},
    "stop_sequence": {"openai-chat": "stop", "openai-responses": "completed", "anthropic": "stop_sequence",
                      "gemini": "STOP", "ollama": "stop"},
    "refusal": {"openai-chat": "content_filter", "openai-responses": "content_filter", "anthropic": "refusal",
                "gemini": "SAFETY", "ollama": "stop"},
    "content_filter": {"openai-chat": "content_filter", "openai-responses": "content_filter", "anthropic": "refusal",
                       "gemini": "SAFETY", "ollama": "stop"},
    "pause": {"openai-chat": "stop", "openai-responses": "completed", "anthropic": "pause_turn", "gemini": "OTHER",
              "ollama": "stop"},
    "context_window": {"openai-chat": "length", "openai-responses": "max_output_tokens",
                       "anthropic": "model_context_window_exceeded", "gemini": "MAX_TOKENS", "ollama": "length"},
    "other": {"openai-chat": "stop", "openai-responses": "completed", "anthropic": "end_turn", "gemini": "STOP",
              "ollama": "stop"},
    # one that was announced and not made: agents would wait for it
    "tool_call": {"openai-chat": "stop", "openai-responses": "completed", "anthropic": "end_turn", "gemini": "STOP",
                  "ollama": "stop"},
}  # fmt: skip
CALL_WORDS = {"openai-chat": "tool_calls", "openai-responses": "completed", "anthropic": "tool_use", "gemini": "STOP",
              "ollama": "stop"}  # fmt: skip


def word(dialect: Dialect, wire: bytes, stream: bool) -> str:
    """Why a wire says that the answer is over."""
    if stream:
        after, before = dialect.framing
        frames = [json.loads(data) for frame in wire.split(after) if (data := frame.partition(before)[2] if before
                  else frame).startswith(b"{")]  # fmt: skip
    else:
        frames = [json.loads(wire)]
    found = [reason for frame in frames if (reason := _word(dialect.name, frame)) is not None]
    assert len(found) == 1, found
    return found[0]


def _word(protocol: str, frame: dict[str, Any]) -> str | None:
    found: str | None
    match protocol:
        case "openai-chat":
            found = next((choice["finish_reason"] for choice in frame["choices"]), None)
        case "openai-responses":
            response = frame.get("response", frame)
            status = response.get("status") if "output" in response else None
            found = response["incomplete_details"]["reason"] if status == "incomplete" else status
            found = None if found == "in_progress" else found
        case "anthropic":
            found = frame.get("stop_reason") or frame.get("delta", {}).get("stop_reason")
        case "gemini":
            found = frame["candidates"][0].get("finishReason")
        case _:
            found = frame.get("done_reason")
    return found


def told(reason: Reason, calls: bool = False) -> Response:
    stop = "END" if reason == "stop_sequence" else None
    return Response(CALLED if calls else SAID, reason, "", "m", Usage(1, output=1), stop)


@EACH
@STREAMED
@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_its_word(dialect: Dialect, stream: bool, reason: Reason) -> None:
    assert word(dialect, said_by(dialect, told(reason), stream), stream) == WORDS[reason][dialect.name]


@EACH
@STREAMED
@pytest.mark.parametrize("reason", ["end", "tool_call", "other"])
def test_a_call_always_gives_the_reason_of_calls(dialect: Dialect, stream: bool, reason: Reason) -> None:
    """Many upstreams say "stop" after a call, and agents go by the reason."""
    assert word(dialect, said_by(dialect, told(reason, True), stream), stream) == CALL_WORDS[dialect.name]


@EACH
@STREAMED
@pytest.mark.parametrize("reason", ["length", "content_filter", "context_window"])
def test_a_call_that_was_cut_off_says_so(dialect: Dialect, stream: bool, reason: Reason) -> None:
    assert word(dialect, said_by(dialect, told(reason, True), stream), stream) == WORDS[reason][dialect.name]


@EACH_PAIR
@STREAMED
def test_every_reason_through_every_pair(client: Dialect, upstream: Dialect, stream: bool) -> None:
    for reason, calls in product(REASONS, (False, True)):
        response = told(reason, calls)
        got = through(client, upstream, response, stream)
        expected = answered(upstream, response)
        if client is not upstream:
            expected = answered(client, expected)
        assert got.reason == expected.reason, (reason, calls)


# ------------------------------------------------------------------------------------------------ usage

COUNT = st.integers(0, 10**9)


@given(usage=st.builds(Usage, COUNT, COUNT, COUNT, COUNT, COUNT), stream=st.booleans())
def test_what_it_cost_through_every_pair(usage: Usage, stream: bool) -> None:
    """The counters that both protocols have stay apart; what is billed for each side stays what it was."""
    for client, upstream in product(DIALECTS.values(), repeat=2):
        got = through(client, upstream, Response(SAID, "end", "", "m", usage), stream).usage
        assert got is not None and replace(got, raw={}) == counted(client, counted(upstream, usage)), (client, upstream)
        assert (got.prompt, got.completion) == (usage.prompt, usage.completion)


# ------------------------------------------------------------------------------------------------ errors

KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)

# reference: the matrix of errors. Of each kind the status and the names that a client of each protocol goes by;
# of Chat and Responses the type and the code.
_OPENAI: dict[ErrorKind, tuple[int, str, str | None]] = {
    "invalid_request": (400, "invalid_request_error", None),
    "unsupported": (400, "invalid_request_error", "unsupported_translation"),
    "context_too_long": (400, "invalid_request_error", "context_length_exceeded"),
    "auth": (401, "invalid_request_error", "invalid_api_key"),
    "permission": (403, "invalid_request_error", None),
    "billing": (429, "insufficient_quota", "insufficient_quota"),
    "not_found": (404, "invalid_request_error", "model_not_found"),
    "conflict": (409, "invalid_request_error", None),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "rate_limit": (429, "rate_limit_error", "rate_limit_exceeded"),
    "overloaded": (503, "service_unavailable_error", "server_is_overloaded"),
    "timeout": (504, "server_error", "timeout"),
    "server": (500, "server_error", None),
    "refused": (400, "invalid_request_error", "content_policy_violation"),
    "disconnected": (502, "server_error", "upstream_error"),
    "not_built": (501, "invalid_request_error", "not_built"),
}
_ANTHROPIC: dict[ErrorKind, tuple[int, str]] = {
    "invalid_request": (400, "invalid_request_error"), "unsupported": (400, "invalid_request_error"),
    "context_too_long": (400, "invalid_request_error"), "auth": (401, "authentication_error"),
    "permission": (403, "permission_error"), "billing": (402, "billing_error"), "not_found": (404, "not_found_error"),
    "conflict": (409, "conflict_error"), "too_large": (413, "request_too_large"),
    "rate_limit": (429, "rate_limit_error"), "overloaded": (529, "overloaded_error"), "timeout": (504, "timeout_error"),
    "server": (500, "api_error"), "refused": (400, "invalid_request_error"), "disconnected": (500, "api_error"),
    "not_built": (501, "api_error"),
}  # fmt: skip
_GEMINI: dict[ErrorKind, tuple[int, str]] = {
    "invalid_request": (400, "INVALID_ARGUMENT"), "unsupported": (400, "INVALID_ARGUMENT"),
    "context_too_long": (400, "INVALID_ARGUMENT"), "auth": (401, "UNAUTHENTICATED"),
    "permission": (403, "PERMISSION_DENIED"), "billing": (429, "RESOURCE_EXHAUSTED"), "not_found": (404, "NOT_FOUND"),
    "conflict": (409, "ABORTED"), "too_large": (413, "INVALID_ARGUMENT"), "rate_limit": (429, "RESOURCE_EXHAUSTED"),
    "overloaded": (503, "UNAVAILABLE"), "timeout": (504, "DEADLINE_EXCEEDED"), "server": (500, "INTERNAL"),
    "refused": (400, "INVALID_ARGUMENT"), "disconnected": (503, "UNAVAILABLE"), "not_built": (501, "UNIMPLEMENTED"),
}  # fmt: skip
_OLLAMA: dict[ErrorKind, int] = {
    "invalid_request": 400, "unsupported": 400, "context_too_long": 400, "auth": 401, "permission": 403, "billing": 402,
    "not_found": 404, "conflict": 500, "too_large": 413, "rate_limit": 429, "overloaded": 503, "timeout": 500,
    "server": 500, "refused": 400, "disconnected": 502, "not_built": 501,
}  # fmt: skip


def expected_names(protocol: str, kind: ErrorKind) -> tuple[Any, ...]:
    match protocol:
        case "anthropic":
            return _ANTHROPIC[kind]
        case "gemini":
            return _GEMINI[kind]
        case "ollama":
            return (_OLLAMA[kind],)
    return _OPENAI[kind]


def names_of(protocol: str, status: int, body: bytes) -> tuple[Any, ...]:
    error = json.loads(body)["error"]
    match protocol:
        case "anthropic":
            return status, error["type"]
        case "gemini":
            assert error["code"] == status
            return status, error["status"]
        case "ollama":
            return (status,)
    return status, error["type"], error["code"]


# Kinds for which a protocol has no word of its own: what they are read as.
READ_AS: dict[str, dict[ErrorKind, ErrorKind]] = {
    "openai-chat": {"unsupported": "invalid_request", "disconnected": "server", "not_built": "server"},
    "openai-responses": {"unsupported": "invalid_request", "disconnected": "server", "not_built": "server"},
    "anthropic": {"unsupported": "invalid_request", "disconnected": "server", "not_built": "server",
                  "refused": "invalid_request"},
    "gemini": {"unsupported": "invalid_request", "disconnected": "overloaded", "not_built": "server",
               "refused": "invalid_request"},
    "ollama": {"unsupported": "invalid_request", "disconnected": "server", "not_built": "server",
               "refused": "invalid_request", "conflict": "server", "timeout": "server"},
}  # fmt: skip


def an_error(kind: ErrorKind, wait: float | None = None) -> ApiError:
    return ApiError(_OPENAI[kind][0], kind, f"something about {kind}", retry_after=wait)


@EACH
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_has_its_status_and_names(dialect: Dialect, kind: ErrorKind) -> None:
    status, headers, body = dialect.codec.render_error(an_error(kind))
    assert names_of(dialect.name, status, body) == expected_names(dialect.name, kind)
    assert headers["content-type"] == "application/json" and "retry-after" not in headers


@EACH
@pytest.mark.parametrize("wait", [None, 0.5, 7, 46.2])
@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_back(dialect: Dialect, kind: ErrorKind, wait: float | None) -> None:
    error = an_error(kind, wait)
    status, headers, body = dialect.codec.render_error(error)
    got = dialect.codec.parse_error(status, headers, body)
    assert (got.status, got.kind) == (status, READ_AS[dialect.name].get(kind, kind))
    assert "something about" in got.message or kind == "context_too_long"
    if wait is None or kind == "billing":
        assert got.retry_after is None
    elif kind not in HOPELESS:
        assert got.retry_after is not None and wait <= got.retry_after < wait + 1


HOPELESS = {"billing", "not_built"}  # waiting does not help, and not all protocols say how long


@EACH_PAIR
def test_every_error_through_every_pair(client: Dialect, upstream: Dialect) -> None:
    """As a status before the stream, and inside it after that."""
    for kind in KINDS:
        status, headers, body = upstream.codec.render_error(an_error(kind, 7.0))
        answer = bridged(client, upstream, True).answer(status, headers)
        assert answer.feed(body) + answer.feed(b"") == b"" and answer.error is not None and answer.head is None
        heard = READ_AS[upstream.name].get(kind, kind)
        assert answer.error.kind == heard
        said = client.codec.render_error(answer.error)
        assert names_of(client.name, said[0], said[2])[:2] == expected_names(client.name, heard)[:2] or (
            said[0] == status and heard in ("server", "invalid_request")  # theirs is better than ours
        )
        got = client.codec.parse_error(*said)
        assert got.kind in (heard, READ_AS[client.name].get(heard, heard))  # an upstream's code may say more
        if heard not in HOPELESS:
            assert kind in HOPELESS or got.retry_after == 7


@EACH_PAIR
def test_an_error_in_the_stream_through_every_pair(client: Dialect, upstream: Dialect) -> None:
    for kind in KINDS:
        encoder = upstream.codec.encoder(HELLO, SEED)
        begun = unfold(Response(SAID, "end", "", "m"))[:3]
        wire = b"".join(map(encoder.encode, (*begun, Failure(an_error(kind)))))
        answer = bridged(client, upstream, True).answer(200, {"content-type": encoder.content_type})
        out = answer.feed(wire) + answer.feed(b"")
        assert answer.crash is None and answer.failure is not None
        last = events_of(client, out)[-1]
        assert isinstance(last, Failure) and client.ending(out) == "failure"
        assert last.error.message == answer.failure.message or kind == "context_too_long"
