"""The translation as a library: the same as on the wire, for all pairs, whole and streamed; nothing is raised for what
an upstream says, and a wrong request says where."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.harness import ROOT
from translators import CODECS
from translators.codec import Seed, Wire
from translators.events import fold
from translators.model import Text
from translators.offline import BadRequest, render_error, translate_request, translate_response, translate_stream

PAIRS = [(client, upstream) for client in CODECS for upstream in CODECS]
ASK: dict[str, Any] = {
    "openai-chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "openai-responses": {"model": "m", "input": "hi"},
    "anthropic": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    "ollama": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
}
SAY: dict[str, Any] = {
    "openai-chat": {"choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]},
    "openai-responses": {
        "object": "response",
        "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}],
    },
    "anthropic": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "yes"}], "usage": {}},
    "gemini": {"candidates": [{"content": {"role": "model", "parts": [{"text": "yes"}]}, "finishReason": "STOP"}]},
    "ollama": {"message": {"role": "assistant", "content": "yes"}, "done": True, "done_reason": "stop"},
}
SEED = Seed("a" * 24, 1)


def said(protocol: str, body: bytes) -> str:
    response = CODECS[protocol].parse_response(body, SEED)
    return "".join(part.text for part in response.parts if isinstance(part, Text))


def streamed(protocol: str, data: bytes) -> str:
    decoder = CODECS[protocol].decoder(SEED)
    response = fold([*decoder.feed(data), *decoder.feed(b"")])
    return "".join(part.text for part in response.parts if isinstance(part, Text))


def stream_bytes(protocol: str) -> bytes:
    """What an upstream streams: our own rendering of it, which the laws hold to be right."""
    ask = ASK[protocol] if protocol == "gemini" else {**ASK[protocol], "stream": True}
    translation = translate_request(protocol, "anthropic" if protocol != "anthropic" else "gemini", ask, stream=True)
    upstream = "anthropic" if protocol != "anthropic" else "gemini"
    return translation.response(SAY[upstream]).body


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_there_and_back(client: str, upstream: str) -> None:
    translation = translate_request(client, upstream, ASK[client], model="target")
    asked = CODECS[upstream].parse_request(
        Wire({"gemini": "/v1beta"}.get(upstream, "") + translation.wire.path, translation.wire.body)
    )
    assert asked.model == "target" and [part.text for part in asked.messages[-1].parts if isinstance(part, Text)] == [
        "hi"
    ]
    reply = translation.response(SAY[upstream])
    assert (reply.status, reply.error, said(client, reply.body)) == (200, None, "yes")
    assert said(client, translate_response(client, upstream, json.dumps(SAY[upstream])).body) == "yes"


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_stream_may_be_cut_anywhere(client: str, upstream: str) -> None:
    ask = ASK[client] if client == "gemini" else {**ASK[client], "stream": True}
    whole = stream_bytes(upstream)
    pieces = [whole[at : at + 1] for at in range(len(whole))]
    outs = list(translate_request(client, upstream, ask, stream=True).stream_of(pieces))
    assert all(outs) and streamed(client, b"".join(outs)) == "yes"
    assert streamed(client, b"".join(translate_stream(client, upstream, [whole]))) == "yes"


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_what_goes_wrong_upstream_is_an_answer(client: str, upstream: str) -> None:
    translation = translate_request(client, upstream, ASK[client])
    busy = translation.response({"error": {"message": "slow down"}}, 429, {"Retry-After": "7"})
    assert busy.status == 429 and busy.error is not None and busy.error.kind == "rate_limit"
    assert "slow down" in busy.body.decode()
    junk = translation.response(b"<html>")
    assert junk.status in (500, 502) and junk.error is not None and junk.json
    stream = translation.stream(503)
    assert stream.status == 0 and stream.feed(b'{"error": {"message": "no"}}') == b""
    assert stream.feed(b"") and stream.status >= 500 and stream.error is not None


def test_a_stream_that_is_cut_off_ends_with_an_error() -> None:
    cut = stream_bytes("openai-chat").partition(b'finish_reason":"stop')[0]
    stream = translate_request("anthropic", "openai-chat", {**ASK["anthropic"], "stream": True}).stream()
    out = stream.feed(cut) + stream.feed(b"")
    assert stream.status == 200 and b"event: error" in out and stream.error is not None


def test_a_whole_wire_may_be_given() -> None:
    wire = Wire("/v1beta/models/gemini-9:streamGenerateContent?alt=sse", json.dumps(ASK["gemini"]).encode())
    translation = translate_request("gemini", "openai-chat", wire)
    assert (translation.json["model"], translation.json["stream"]) == ("gemini-9", True)
    translation = translate_request("gemini", "openai-chat", ASK["gemini"], model="a/b c")
    assert translation.json["model"] == "a/b c" and not translation.json.get("stream")


def test_ids_and_times_come_from_the_seed() -> None:
    first, second = (
        translate_request("openai-chat", "anthropic", ASK["openai-chat"], seed=SEED).response(SAY["anthropic"]).json
        for _ in range(2)
    )
    assert first == second and first["created"] == 1 and "a" * 24 in first["id"]


def test_losses_are_told_or_refused() -> None:
    asked = {**ASK["openai-chat"], "logit_bias": {"1": 2}}
    translation = translate_request("openai-chat", "anthropic", asked, policy="max_compat")
    assert "logit_bias" in {loss.path for loss in translation.losses}
    with pytest.raises(BadRequest) as refused:
        translate_request("openai-chat", "anthropic", asked, policy="strict")
    reply = render_error("openai-chat", refused.value.error)
    assert reply.status == 400 and "logit_bias" in reply.json["error"]["message"]


def test_a_wrong_request_says_where() -> None:
    with pytest.raises(BadRequest) as refused:
        translate_request("anthropic", "gemini", {**ASK["anthropic"], "messages": [{"role": "user", "content": 7}]})
    assert refused.value.error.status == 400 and refused.value.error.param == "messages[0].content"
    with pytest.raises(BadRequest):
        translate_request("anthropic", "gemini", b"no json")


def test_what_there_is_not() -> None:
    with pytest.raises(ValueError, match="no protocol 'smtp'; there is openai-chat"):
        translate_request("smtp", "gemini", {})
    with pytest.raises(ValueError, match="no protocol"):
        translate_stream("anthropic", "smtp", [])
    with pytest.raises(ValueError, match="no policy 'lax'"):
        translate_request("anthropic", "gemini", ASK["anthropic"], policy="lax")  # type: ignore[arg-type]


def test_a_request_that_asks_for_nothing() -> None:
    translation = translate_request("ollama", "openai-chat", {"model": "m", "messages": [], "stream": False})
    assert translation.idle and translation.empty().json["done"] is True
    assert not translate_request("ollama", "openai-chat", ASK["ollama"]).idle


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, translators.offline, addons.catalog as c; c.get_models('zhipu');"
        "print([m for m in ('mitmproxy', 'pydantic', 'httpx', 'asyncio', 'fastapi') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.strip() == "[]", done
