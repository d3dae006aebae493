"""Embeddings: three wires, each as client and as upstream, and what no other one can be told."""

from __future__ import annotations

import base64
import itertools
import json
import struct
from typing import Any

import pytest

from translators import CODECS, openai_embed
from translators.codec import DEFAULT_TRAITS, Seed, Wire
from translators.embed import Embeddings, EmbedRequest
from translators.model import BadRequest, UpstreamFault, Usage
from translators.policy import Policy
from translators.service import ServiceBridge

SEED = Seed("abcdefghijklmnopqrstuvwx", 1_700_000_000)
VECTORS = [[0.5, -0.25], [1.0, 0.125]]

# What clients send for two texts, and for one: path and body.
TWO: dict[str, tuple[str, Any]] = {
    "openai-chat": ("/v1/embeddings", {"model": "m", "input": ["one", "two"]}),
    "gemini": (
        "/v1beta/models/m:batchEmbedContents",
        {"requests": [{"model": "models/m", "content": {"parts": [{"text": text}]}} for text in ("one", "two")]},
    ),
    "ollama": ("/api/embed", {"model": "m", "input": ["one", "two"]}),
}
ONE: dict[str, tuple[str, Any]] = {
    "openai-chat": ("/v1/embeddings", {"model": "m", "input": "one"}),
    "gemini": ("/v1/models/m:embedContent", {"content": {"role": "user", "parts": [{"text": "one"}]}}),
    "ollama": ("/api/embeddings", {"model": "m", "prompt": "one"}),
}
# What goes to upstreams for the same.
SENT_TWO: dict[str, tuple[str, Any]] = {
    "openai-chat": ("/embeddings", {"model": "real", "input": ["one", "two"]}),
    "gemini": (
        "/models/real:batchEmbedContents",
        {"requests": [{"model": "models/real", "content": {"parts": [{"text": text}]}} for text in ("one", "two")]},
    ),
    "ollama": ("/embed", {"model": "real", "input": ["one", "two"], "truncate": False}),
}
SENT_ONE: dict[str, tuple[str, Any]] = {
    "openai-chat": ("/embeddings", {"model": "real", "input": "one"}),
    "gemini": ("/models/real:embedContent", {"model": "models/real", "content": {"parts": [{"text": "one"}]}}),
    "ollama": ("/embed", {"model": "real", "input": "one", "truncate": False}),
}
# What upstreams answer, out of order where their protocol has one, and what clients get of it.
ANSWER_TWO: dict[str, Any] = {
    "openai-chat": {
        "object": "list", "model": "real", "usage": {"prompt_tokens": 4, "total_tokens": 4},
        "data": [
            {"object": "embedding", "index": 1, "embedding": VECTORS[1]},
            {"object": "embedding", "index": 0, "embedding": VECTORS[0]},
        ],
    },
    "gemini": {"embeddings": [{"values": v} for v in VECTORS], "usageMetadata": {"promptTokenCount": 4}},
    "ollama": {"model": "real", "embeddings": VECTORS, "total_duration": 5, "prompt_eval_count": 4},
}  # fmt: skip
GOT_TWO: dict[str, Any] = {
    "openai-chat": {
        "object": "list",
        "data": [{"object": "embedding", "index": n, "embedding": v} for n, v in enumerate(VECTORS)],
        "model": "m",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    },
    "gemini": {
        "embeddings": [{"values": v} for v in VECTORS], "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4},
    },
    "ollama": {"model": "m", "embeddings": VECTORS, "prompt_eval_count": 4},
}  # fmt: skip
ANSWER_ONE: dict[str, Any] = {
    "openai-chat": {"data": [{"index": 0, "embedding": VECTORS[0]}], "usage": {"prompt_tokens": 2}},
    "gemini": {"embedding": {"values": VECTORS[0]}, "usageMetadata": {"totalTokenCount": 2}},
    "ollama": {"embeddings": VECTORS[:1], "prompt_eval_count": 2},
}
GOT_ONE: dict[str, Any] = {
    "openai-chat": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": VECTORS[0]}],
        "model": "m",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    },
    "gemini": {"embedding": {"values": VECTORS[0]}, "usageMetadata": {"promptTokenCount": 2, "totalTokenCount": 2}},
    "ollama": {"embedding": VECTORS[0]},
}
PAIRS = list(itertools.permutations(TWO, 2))


def wire(path: str, body: Any) -> Wire:
    return Wire(path, json.dumps(body).encode(), {"content-type": "application/json"})


def asked(client: str, path: str, body: Any) -> Any:
    return CODECS[client].SERVICES["embed"].parse_request(wire(path, body))


def bridge(client: str, upstream: str, path: str, body: Any, policy: Policy = "balanced") -> ServiceBridge:
    said = wire(path, body)
    alike = CODECS[client].SERVICES["embed"] is CODECS[upstream].SERVICES["embed"]
    return ServiceBridge(
        CODECS[client], CODECS[upstream], said, None if alike else asked(client, path, body), purpose="embed",
        model="real", stream=False, traits=DEFAULT_TRAITS, policy=policy, seed=SEED,
    )  # fmt: skip


def answered(made: ServiceBridge, body: Any) -> Any:
    """What the client gets, in two pieces."""
    answer = made.answer(200, {"content-type": "application/json"})
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert answer.feed(raw[:7]) == answer.feed(raw[7:]) == b""
    out = answer.feed(b"")
    assert answer.done and answer.crash is None
    if answer.error is not None:
        return answer.error
    assert answer.head is not None and answer.head.status == 200 and not answer.head.streamed
    return json.loads(out)


# ------------------------------------------------------------------------------------------------ every pair


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_two_texts(client: str, upstream: str) -> None:
    made = bridge(client, upstream, *TWO[client], policy="strict")
    assert (made.wire.path, json.loads(made.wire.body)) == SENT_TWO[upstream] and made.losses == []
    assert answered(made, ANSWER_TWO[upstream]) == GOT_TWO[client]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_one_text(client: str, upstream: str) -> None:
    made = bridge(client, upstream, *ONE[client], policy="strict")
    assert (made.wire.path, json.loads(made.wire.body)) == SENT_ONE[upstream]
    assert answered(made, ANSWER_ONE[upstream]) == GOT_ONE[client]


@pytest.mark.parametrize("client", ["openai-chat", "gemini", "ollama"])
@pytest.mark.parametrize("form", [ONE, TWO])
def test_the_same_protocol_passes_as_it_is(client: str, form: dict[str, tuple[str, Any]]) -> None:
    path, body = form[client]
    made = bridge(client, client, path + "?x=1", {**body, "unheard": [1]})
    sent = json.loads(made.wire.body)
    assert made.relay and sent.pop("unheard") == [1]
    assert sent == json.loads(json.dumps(body).replace('"m"', '"real"').replace("models/m", "models/real"))
    assert made.wire.path.endswith("?x=1") and made.wire.path.partition("?")[0] in (
        "/embeddings", "/models/real:embedContent", "/models/real:batchEmbedContents", "/embed",
    )  # fmt: skip
    answer = made.answer(200, {})
    raw = json.dumps(ANSWER_TWO[client]).encode()
    assert answer.feed(raw) + answer.feed(b"") == raw
    assert answer.usage == Usage(input=4)


def test_the_two_protocols_of_openai_share_the_endpoint() -> None:
    made = bridge("openai-chat", "openai-responses", *TWO["openai-chat"])
    assert made.relay and made.wire.path == "/embeddings"


def test_an_answer_that_cannot_be_read_passes_where_the_protocol_is_the_same() -> None:
    assert answered(bridge("ollama", "ollama", *TWO["ollama"]), {"odd": 1}) == {"odd": 1}
    assert answered(bridge("ollama", "gemini", *TWO["ollama"]), {"odd": 1}).status == 502
    assert answered(bridge("gemini", "ollama", *TWO["gemini"]), b"<html>no").status == 502


def test_a_vector_for_each_text_or_an_error() -> None:
    error = answered(bridge("ollama", "gemini", *TWO["ollama"]), ANSWER_ONE["gemini"])
    assert error.status == 502 and "1 vectors of 2 inputs" in error.message
    with pytest.raises(UpstreamFault):
        openai_embed.render_response(Embeddings([]), EmbedRequest(["a"]), SEED)


def test_an_error_of_the_upstream() -> None:
    made = bridge("openai-chat", "ollama", *ONE["openai-chat"])
    answer = made.answer(404, {})
    answer.feed(b'{"error":"model \\"real\\" not found, try pulling it first"}')
    answer.feed(b"")
    assert answer.error is not None and answer.error.kind == "not_found" and answer.reply is None


# ------------------------------------------------------------------------------------------------ the details


def test_base64_is_answered_whatever_the_upstream_gave() -> None:
    path, body = TWO["openai-chat"]
    made = bridge("openai-chat", "ollama", path, {**body, "encoding_format": "base64"})
    rows = answered(made, ANSWER_TWO["ollama"])["data"]
    assert [list(struct.unpack("<2f", base64.b64decode(row["embedding"]))) for row in rows] == VECTORS


def test_base64_of_an_upstream_is_read() -> None:
    packed = base64.b64encode(struct.pack("<2f", *VECTORS[0])).decode()
    answer = {"data": [{"embedding": packed, "index": 0}], "usage": {"prompt_tokens": 2}}
    assert answered(bridge("gemini", "openai-chat", *ONE["gemini"]), answer) == GOT_ONE["gemini"]
    for broken in ("=", "AAAA", "nö"):
        answer["data"][0]["embedding"] = broken  # type: ignore[index]
        assert answered(bridge("gemini", "openai-chat", *ONE["gemini"]), answer).status == 502


@pytest.mark.parametrize(("value", "inputs", "single"), [
    ("a", ["a"], True),
    (["a", "b"], ["a", "b"], False),
    ([1, 2], [[1, 2]], True),
    ([[1, 2], [3]], [[1, 2], [3]], False),
])  # fmt: skip
def test_forms_of_input(value: Any, inputs: list[Any], single: bool) -> None:
    found = asked("openai-chat", "/v1/embeddings", {"input": value})
    assert (found.inputs, found.single) == (inputs, single)


@pytest.mark.parametrize("upstream", ["gemini", "ollama"])
def test_tokens_mean_something_to_one_model_only(upstream: str) -> None:
    with pytest.raises(BadRequest, match="input") as refused:
        bridge("openai-chat", upstream, "/v1/embeddings", {"input": [[1, 2]]}, policy="max_compat")
    assert refused.value.error.status == 400 and refused.value.error.param == "input"


def test_what_the_vectors_are_for() -> None:
    path, body = ONE["gemini"]
    more = {"task_type": "RETRIEVAL_DOCUMENT", "title": "T", "output_dimensionality": 8}
    made = bridge("gemini", "openai-chat", path, {**body, **more})
    assert json.loads(made.wire.body) == {"model": "real", "input": "one", "dimensions": 8}
    assert [loss.path for loss in made.warnings] == ["taskType", "title"]
    made = bridge("gemini", "ollama", path, {**body, "embedContentConfig": {**more, "autoTruncate": True, "odd": 1}})
    assert json.loads(made.wire.body) == {"model": "real", "input": "one", "truncate": True, "dimensions": 8}
    assert [loss.path for loss in made.warnings] == ["taskType", "title", "odd"]


def test_what_only_a_local_server_needs_is_left_out() -> None:
    path, body = TWO["ollama"]
    made = bridge("ollama", "gemini", path, {**body, "keep_alive": "5m", "options": {"num_ctx": 9}, "dimensions": 4})
    assert [row["outputDimensionality"] for row in json.loads(made.wire.body)["requests"]] == [4, 4]
    assert made.warnings == [] and [loss.path for loss in made.losses] == ["keep_alive", "options"]


def test_a_user_goes_to_openai_alone() -> None:
    path, body = ONE["openai-chat"]
    made = bridge("openai-chat", "gemini", path, {**body, "user": "u", "input_type": "query"})
    assert [loss.path for loss in made.losses] == ["user", "input_type"]
    assert [loss.path for loss in made.warnings] == ["input_type"]


def test_usage_that_is_not_said_is_estimated_for_those_who_need_it() -> None:
    silent = {"embeddings": [{"values": v} for v in VECTORS]}
    usage = answered(bridge("openai-chat", "gemini", *TWO["openai-chat"]), silent)["usage"]
    assert usage["prompt_tokens"] == usage["total_tokens"] >= 2
    assert "prompt_eval_count" not in answered(bridge("ollama", "gemini", *TWO["ollama"]), silent)


def test_parts_of_a_content_make_one_vector() -> None:
    content = {"parts": [{"text": "a"}, {"text": "b"}]}
    assert asked("gemini", "/v1/models/m:embedContent", {"content": content}).inputs == ["a\nb"]
    assert asked("gemini", "/v1/models/m:embedContent", {"content": {"parts": {"text": "a"}}}).inputs == ["a"]


@pytest.mark.parametrize(("client", "path", "body", "param"), [
    ("openai-chat", "/v1/embeddings", {}, "input"),
    ("openai-chat", "/v1/embeddings", {"input": []}, "input"),
    ("openai-chat", "/v1/embeddings", {"input": ["a", ""]}, "input[1]"),
    ("openai-chat", "/v1/embeddings", {"input": ["a", 1]}, "input"),
    ("openai-chat", "/v1/embeddings", {"input": {"a": 1}}, "input"),
    ("openai-chat", "/v1/embeddings", {"input": "a", "encoding_format": "hex"}, "encoding_format"),
    ("gemini", "/v1/models/m:embedContent", {}, "content"),
    ("gemini", "/v1/models/m:embedContent", {"content": {"parts": []}}, "content"),
    ("gemini", "/v1/models/m:embedContent", {"content": {"parts": [{"inlineData": {"data": "AA"}}]}}, "content"),
    ("gemini", "/v1/models/m:batchEmbedContents", {"requests": []}, "requests"),
    ("gemini", "/v1/models/m:batchEmbedContents", {}, "requests"),
    ("gemini", "/v1/models/m:batchEmbedContents", {"requests": [{"content": "a"}, {}]}, "requests[1].content"),
    ("gemini", "/v1/models/m:batchEmbedContents",
     {"requests": [{"content": "a"}, {"content": "b", "outputDimensionality": 2}]},
     "requests[1].outputDimensionality"),
    ("gemini", "/v1/models/m:batchEmbedContents",
     {"requests": [{"content": "a", "outputDimensionality": "x"}]}, "requests[0].outputDimensionality"),
    ("ollama", "/api/embed", {"model": "m"}, "input"),
    ("ollama", "/api/embeddings", {"model": "m", "input": "x"}, "prompt"),
    ("ollama", "/api/embed", {"input": [1]}, "input[0]"),
])  # fmt: skip
def test_what_is_wrong_is_named(client: str, path: str, body: Any, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        asked(client, path, body)
    assert refused.value.error.status == 400 and refused.value.error.param == param


@pytest.mark.parametrize("rows", [[1], [{"model": 5}], ["x"]])
def test_odd_rows_of_a_batch_do_not_break_the_relay(rows: list[Any]) -> None:
    path, _ = TWO["gemini"]
    try:
        made = bridge("gemini", "gemini", path, {"requests": rows})
    except BadRequest as error:
        assert error.error.param == "requests[0]"
    else:
        assert json.loads(made.wire.body) == {"requests": [{"model": "models/real"}]}
