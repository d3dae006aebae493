"""A Responses client has its conversation made short by an upstream that knows no such request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.strategies import SEED
from translators import CODECS
from translators.bridge import Bridge
from translators.codec import Traits, Wire
from translators.events import unfold
from translators.model import Reason, Response, Text, Thinking, ToolCall, Usage

from .pairs import CLIENTS, bridge, sent

OTHERS = ("cc", "an", "gm", "ol")
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "Build it."},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "done"},
]
BODY = {"input": [*TALK, {"type": "compaction_trigger"}], "tools": [TOOL], "tool_choice": "required"}
SUMMARY = Response((Thinking("hm"), Text("We built "), Text("it: é 🎉")), "end", model="real", usage=Usage(9, output=5))


def made(upstream: str, stream: bool) -> Bridge:
    codec = CODECS["openai-responses"]
    wire = Wire("/", json.dumps({"model": "m", "stream": stream, **BODY}).encode())
    return Bridge(
        codec, CODECS[CLIENTS[upstream]], wire, codec.parse_request(wire), model="real", stream=stream,
        traits=Traits(), policy="strict", seed=SEED,
    )  # fmt: skip


def answered(upstream: str, said: Response, stream: bool) -> list[dict[str, Any]]:
    """What the client reads: the items that are done, the last of them the whole response."""
    exchange, codec = made(upstream, stream), CODECS[CLIENTS[upstream]]
    asked = codec.parse_request(exchange.wire)
    encoder = codec.encoder(asked, SEED)
    if stream:
        body, kind = b"".join(map(encoder.encode, unfold(said))), encoder.content_type
    else:
        body, kind = codec.render_response(said, asked, SEED), "application/json"
    answer = exchange.answer(200, {"content-type": kind})
    out = answer.feed(body) + answer.feed(b"")
    if not stream:
        return [json.loads(out)] if answer.error is None else []
    events = [json.loads(line[6:]) for line in out.split(b"\n") if line.startswith(b"data: ")]
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    return [*items, events[-1]]


@pytest.mark.parametrize("upstream", OTHERS)
def test_the_upstream_is_asked_for_a_summary_without_tools(upstream: str) -> None:
    body = sent(f"rs-{upstream}", BODY, "strict")
    assert "tools" not in body and "tool_choice" not in body
    text = json.dumps(body)
    assert "Build it." in text and "done" in text and "summary" in text and "compaction_trigger" not in text


@pytest.mark.parametrize("upstream", OTHERS)
def test_the_client_gets_one_sealed_item_and_the_next_model_reads_it(upstream: str) -> None:
    *items, last = answered(upstream, SUMMARY, True)
    assert [item["type"] for item in items] == ["compaction"] and items[0]["id"].startswith("cmp_")
    assert last["type"] == "response.completed" and last["response"]["output"] == items
    assert last["response"]["usage"]["input_tokens"] == 9
    (whole,) = answered(upstream, SUMMARY, False)
    assert whole["status"] == "completed" and whole["output"] == items
    assert "built" not in items[0]["encrypted_content"]
    again = {"input": [items[0], {"role": "user", "content": "Go on."}]}
    for other in OTHERS:
        text = json.dumps(sent(f"rs-{other}", again, "strict"), ensure_ascii=False)
        assert "We built " in text and "it: é 🎉" in text and "Go on." in text
        assert bridge(f"rs-{other}", again).losses == []


BROKEN: list[tuple[tuple[Any, ...], Reason]] = [
    ((Text("We bu"),), "length"),
    ((), "end"),
    ((Text("no"),), "content_filter"),
    ((ToolCall("c", "f", "{}"),), "tool_call"),
]


@pytest.mark.parametrize(("parts", "reason"), BROKEN)
def test_half_a_summary_is_never_sealed(parts: tuple[Any, ...], reason: Reason) -> None:
    said = Response(parts, reason, model="real", usage=Usage(9, output=5))
    *items, last = answered("cc", said, True)
    assert items == [] and last["type"] == "response.failed"
    assert answered("cc", said, False) == []


def test_an_item_of_somebody_else_is_told_as_a_loss() -> None:
    for sealed in ("gAAAA", "llm-link-summary-1.%%%", "llm-link-summary-1._w=="):
        item = {"type": "compaction", "encrypted_content": sealed}
        found = bridge("rs-cc", {"input": [item, {"role": "user", "content": "x"}]})
        assert [loss.code for loss in found.losses] == ["summarised"]
