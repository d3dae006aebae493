"""A call that breaks off is never shown as one to carry out: clients run what they take for a whole call."""

from __future__ import annotations

import json

import pytest

from translators import CODECS
from translators.codec import Seed
from translators.custom import Customs
from translators.events import Failure, Finish, PartDelta, PartEnd, PartStart, Start
from translators.model import ApiError, Message, Request, Text, Tool, ToolCall

SEED = Seed("a" * 24, 1)
ASKED = Request("m", [Message("user", (Text("Go"),))], stream=True, tools=[Tool("run", schema={"type": "object"})])
SCRIPT = Request("m", ASKED.messages, stream=True, tools=[Tool("run", custom=True)])
FAILURE = Failure(ApiError(502, "disconnected", "gone"))

# what a client of the protocol takes for a call to carry out
CALLS = {
    "openai-chat": b'"finish_reason":"tool_calls"',
    "openai-responses": b"response.output_item.done",
    "anthropic": b"content_block_stop",
    "gemini": b"functionCall",
    "ollama": b"tool_calls",
}


def said(
    protocol: str, *events: Start | PartStart | PartDelta | PartEnd | Finish | Failure, asked: Request = ASKED
) -> bytes:
    encoder = CODECS[protocol].encoder(asked, SEED)
    return b"".join(encoder.encode(event) for event in events)


@pytest.mark.parametrize("arguments", ["", '{"path":"/tm'])
@pytest.mark.parametrize("protocol", CALLS)
def test_a_call_that_breaks_off_is_not_carried_out(protocol: str, arguments: str) -> None:
    call = PartStart(0, ToolCall("c", "run", ""))
    deltas = [PartDelta(0, arguments)] if arguments else []
    whole = said(protocol, Start(), call, PartDelta(0, "{}"), PartEnd(0), Finish("tool_call"))
    broken = said(protocol, Start(), call, *deltas, PartEnd(0, cut=True), FAILURE)
    assert CALLS[protocol] in whole
    assert CALLS[protocol] not in broken and b"gone" in broken
    assert b'"{}"' not in broken and b'\\"{}\\"' not in broken  # nor with arguments that nobody said


@pytest.mark.parametrize("protocol", CALLS)
def test_an_upstream_that_is_cut_leaves_its_open_call_cut(protocol: str) -> None:
    """The end of the stream is missing from the middle of the arguments on."""
    events = [Start("i", "m"), PartStart(0, ToolCall("c", "run", "")), PartDelta(0, '{"path":"/tm')]
    decoder = CODECS["openai-chat"].decoder(SEED)
    heard = [*decoder.feed(said("openai-chat", *events)), *decoder.broken(FAILURE.error)]
    assert [event.cut for event in heard if isinstance(event, PartEnd)] == [True]
    assert CALLS[protocol] not in said(protocol, *heard)


def test_a_script_that_breaks_off_is_not_carried_out() -> None:
    """A freeform tool's text has no form that would show that half of it is missing."""
    wrapped = json.dumps({"input": "rm -rf /tmp/scratch"})
    customs = Customs(SCRIPT)
    events = [PartStart(0, ToolCall("c", "run", "")), PartDelta(0, wrapped[:18]), PartEnd(0)]
    heard = [event for one in events for event in customs(one)]
    assert heard[-1] == PartEnd(0, cut=True)
    out = said("openai-responses", Start(), *heard, Finish("length"), asked=SCRIPT)
    assert b"response.output_item.done" not in out and b"custom_tool_call_input.done" not in out
    last = json.loads(out.strip().rpartition(b"data: ")[2])
    assert last["type"] == "response.incomplete"
    assert [(item["status"], item["input"]) for item in last["response"]["output"]] == [("incomplete", "rm -rf ")]


def test_a_responses_client_tries_again_after_an_overload_in_the_stream() -> None:
    """Codex ends for good at `server_is_overloaded`, which the type of the field does not have either."""
    out = said("openai-responses", Start(), Failure(ApiError(529, "overloaded", "busy")))
    last = json.loads(out.strip().rpartition(b"data: ")[2])
    assert last["response"]["error"] == {"code": "server_error", "message": "busy"}
