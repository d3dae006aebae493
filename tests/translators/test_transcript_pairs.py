"""Every client on every upstream: the files of `transcripts/` through a bridge, streamed and whole.

What the client's file says goes to the upstream as the upstream's own file says it, where the client's protocol can say
all of the conversation; else as the client's patch tells. The upstream's file comes back as an answer that the client
reads as its own file, less what is written down for either of the two.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests import lawful
from tests.strategies import SEED
from tests.transcribed import (
    NAMES,
    TRAITS,
    Json,
    answered,
    asked,
    exchange,
    load,
    losses,
    merge,
    nameless,
    native,
    patches,
    rendered,
    response,
    stream,
    wire,
)
from translators import CODECS
from translators.answer import Answer
from translators.bridge import Bridge
from translators.codec import Codec, Wire
from translators.events import fold
from translators.fields import told
from translators.model import (
    BadRequest,
    HostedTool,
    Message,
    Part,
    Refusal,
    Request,
    Response,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from translators.policy import POLICIES, Loss, Policy

EACH_NAME = pytest.mark.parametrize("name", NAMES)
SAME = [(codec, codec) for codec in CODECS.values()]
PAIRS = [(client, upstream) for client in CODECS.values() for upstream in CODECS.values() if client is not upstream]
EACH_CLIENT = pytest.mark.parametrize("client", CODECS.values(), ids=CODECS)
EACH_UPSTREAM = pytest.mark.parametrize("upstream", CODECS.values(), ids=CODECS)
HEADERS = {
    name: {"content-type": "application/x-ndjson" if codec.STREAM == "lines" else "text/event-stream"}
    for name, codec in CODECS.items()
}
WHOLE_HEADERS = {"content-type": "application/json"}


def bridge(client: Codec, upstream: Codec, said: Wire, *, streamed: bool, policy: Policy = POLICIES[-1]) -> Bridge:
    return Bridge(
        client, upstream, said, client.parse_request(said), model="m", stream=streamed, traits=TRAITS[upstream.NAME],
        policy=policy, seed=SEED,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ requests

# Only a Responses client says whether its answer is kept, and these upstreams can be told.
STORES = ("openai-chat", "gemini")
# What is dropped of what a client always says: see `ALWAYS`.
ALWAYS_LOST = {"openai-responses": {"include"}, "ollama": {"options"}}


def loses(name: str, client: Codec) -> bool:
    return "request" in load(name, f"{client.NAME}.parsed.json")


def expected_body(name: str, client: Codec, upstream: Codec, streamed: bool) -> Any:
    """The upstream's file, or, where the client could not say all, what its patched request is there."""
    if not loses(name, client):
        body = json.loads(wire(name, upstream, stream=streamed).body)
        kept = {"store": False} if client.NAME == "openai-responses" and upstream.NAME in STORES else {}
        return {**body, **kept}
    request = replace(asked(name, client, *patches(name, client, "request")), stream=streamed)
    return json.loads(rendered(upstream, request).wire.body)


@EACH_NAME
def test_the_request_of_every_pair(name: str) -> None:
    for streamed in (True, False):
        for client, upstream in PAIRS:
            got = bridge(client, upstream, wire(name, client, stream=streamed), streamed=streamed)
            expected = expected_body(name, client, upstream, streamed)
            assert json.loads(got.wire.body) == expected, (client.NAME, upstream.NAME)
        for client, upstream in SAME:
            said = wire(name, client, stream=streamed)
            assert bridge(client, upstream, said, streamed=streamed).wire.body == said.body


# Where the client's own losses change what the upstream must do about the rest.
CHANGED = {
    ("allowed-tools", "anthropic", "ollama", "messages"),  # it knows no tools but those allowed, and names none
    ("mid-system", "gemini", "ollama", "messages"),  # two texts of a user become one
    ("pdf", "gemini", "openai-chat", "messages"),  # a file without a name is given one
    ("pdf", "gemini", "openai-responses", "messages"),
    ("tool-file", "gemini", "openai-responses", "messages"),
    ("two-systems", "anthropic", "openai-responses", "messages"),  # two texts of an operator become one
    ("two-systems", "gemini", "openai-responses", "messages"),
}


def fields(request: Request) -> Json:
    """What a request asks for, less what protocols differ in by nature: see `plain_request` of the laws."""
    turns = [(role, list(parts)) for role, parts in groupby(request.messages, key=lambda message: message.role)]
    messages = [(role, [_plain(part) for message in group for part in message.parts]) for role, group in turns]
    return {
        "messages": [(role, [part for part in parts if part is not None]) for role, parts in messages],
        "tools": [tool.family if isinstance(tool, HostedTool) else _plain(tool) for tool in request.tools],
        "tool_choice": request.tool_choice,
        "format": (request.format.kind, request.format.schema),
        "off": request.reasoning is not None and request.reasoning.effort == "off",
        **{name: getattr(request, name) for name in ("max_output", "stop", "temperature", "top_p", "seed", "stream")},
    }


def _plain(part: Any) -> Any:
    """Thoughts of others are carried or dropped, with tokens that the transcripts do not speak of."""
    return None if isinstance(part, Thinking) else native(msgspec.to_builtins(part), "")


FIELDS = {"off": "reasoning"}  # the patched field that decides one of `fields`, where it has another name


@EACH_NAME
def test_nothing_of_a_request_is_lost_but_what_is_written_down(name: str) -> None:
    """Field by field: what only one of the two protocols cannot say comes out as that one's patch tells."""
    for client, upstream in PAIRS:
        heard, kept = ([*patches(name, codec, "request")] for codec in (client, upstream))
        got = bridge(client, upstream, wire(name, client), streamed=True)
        read = fields(nameless(upstream.parse_request(Wire(got.wire.path, got.wire.body))))
        expected = fields(asked(name, upstream, *heard, *kept))
        both = set.intersection(*({field for patch in each for field in patch} for each in (heard, kept)))
        for field, value in expected.items():
            if FIELDS.get(field, field) not in both and (name, client.NAME, upstream.NAME, field) not in CHANGED:
                assert read[field] == value, (field, client.NAME, upstream.NAME)


def named(losses: Iterable[Loss]) -> set[tuple[str, str, str]]:
    return {(loss.path, loss.code, "/".join(loss.rule)) for loss in losses}


@EACH_NAME
def test_the_losses_of_every_pair(name: str) -> None:
    """Those of the upstream's file, in the client's words, where the client could say all of the conversation. A bridge
    cuts the text itself where the target takes no stop sequences."""
    request = exchange(name).request
    for client, upstream in PAIRS:
        if loses(name, client):
            continue
        found = bridge(client, upstream, wire(name, client), streamed=True).losses
        left = [Loss(path, code, "", tuple(rule.split("/"))) for path, code, rule in losses(name, upstream)]
        if request.stop and not upstream.STOP:
            left = [loss for loss in left if loss.path != "stop"]
            left.append(Loss("stop", "emulated", "", ("reject", "info", "info")))
        said = {loss for loss in named(found) if loss[0] not in ALWAYS_LOST.get(client.NAME, ())}
        assert said == named(told(left, client.NAME)), (client.NAME, upstream.NAME)
    for client, upstream in SAME:
        assert bridge(client, upstream, wire(name, client), streamed=True).losses == []


@EACH_NAME
def test_what_is_refused(name: str) -> None:
    """A policy refuses a request exactly where a loss says so, and names the field."""
    for client, upstream in PAIRS:
        said = wire(name, client)
        everything = bridge(client, upstream, said, streamed=True).losses
        for place, policy in enumerate(POLICIES):
            refused = [loss for loss in everything if loss.rule[place] == "reject"]
            if not refused:
                bridge(client, upstream, said, streamed=True, policy=policy)
                continue
            with pytest.raises(BadRequest) as caught:
                bridge(client, upstream, said, streamed=True, policy=policy)
            assert caught.value.error.param == refused[0].path and refused[0].path in caught.value.error.message


# ------------------------------------------------------------------------------------------------ answers

# Words that an upstream has for a refusal, and this client has no place for.
UNSAID = {("refusal", "openai-responses", "gemini")}
REFUSED = {"refusal": "refused", "content_filter": "refused"}


def words(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text | Refusal))


def thoughts(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Thinking))


def calls(parts: Iterable[Part]) -> list[Any]:
    """Arguments as JSON: their text may be spaced and escaped in another way."""
    made = [part for part in parts if isinstance(part, ToolCall)]
    return [(part.id, part.name, _arguments(part)) for part in made]


def _arguments(call: ToolCall) -> Any:
    return {"input": call.arguments} if call.custom else json.loads(call.arguments)


def _less(value: Any, *read: Any) -> Any:
    """The value, or what one who could not say it made of it."""
    return next((other for other in read if other != value), value)


def check_answer(name: str, client: Codec, upstream: Codec, form: str, got: Response) -> None:
    plain = answered(name, client)
    here, there = (answered(name, codec, *patches(name, codec, form)) for codec in (client, upstream))
    if (name, client.NAME, upstream.NAME) not in UNSAID:
        assert (words(got.parts) or got.detail) == (words(plain.parts) or plain.detail)
    assert calls(got.parts) == calls(plain.parts)
    assert thoughts(got.parts) == (thoughts(here.parts) if thoughts(there.parts) else "")
    reasons = [REFUSED.get(said.reason, said.reason) for said in (plain, here, there)]
    assert REFUSED.get(got.reason, got.reason) == _less(*reasons)
    assert got.stop_sequence == _less(plain.stop_sequence, here.stop_sequence, there.stop_sequence)
    assert got.usage is not None and plain.usage is not None
    assert (got.usage.prompt, got.usage.completion) == (plain.usage.prompt, plain.usage.completion)
    assert got.model == "m"


def fed(answer: Answer, said: bytes, step: int) -> bytes:
    out = b"".join(map(answer.feed, lawful.chunks(said, range(step, len(said), step)))) + answer.feed(b"")
    assert answer.crash is None and answer.finish is not None and answer.failure is None
    return out


@EACH_NAME
def test_the_streamed_answer_of_every_pair(name: str) -> None:
    for client, upstream in (*PAIRS, *SAME):
        said, asking = stream(name, upstream), wire(name, client)
        steps = (len(said), 1 if name == "unicode" else 61)
        answers = [bridge(client, upstream, asking, streamed=True).answer(200, HEADERS[upstream.NAME]) for _ in steps]
        out, again = (fed(answer, said, step) for answer, step in zip(answers, steps, strict=True))
        assert out == again, (client.NAME, upstream.NAME)
        if client is upstream:
            assert out == said
        else:
            decoder = client.decoder(SEED)
            events = decoder.feed(out) + decoder.feed(b"")
            lawful.check(events)
            check_answer(name, client, upstream, "stream", fold(events))


def whole(name: str, client: Codec, upstream: Codec) -> bytes:
    made = bridge(client, upstream, wire(name, client, stream=False), streamed=False)
    return fed(made.answer(200, WHOLE_HEADERS), response(name, upstream), 100)


@EACH_NAME
def test_the_whole_answer_of_every_pair(name: str) -> None:
    for client, upstream in PAIRS:
        got = client.parse_response(whole(name, client, upstream), SEED)
        check_answer(name, client, upstream, "response", got)
    for client, upstream in SAME:
        assert whole(name, client, upstream) == response(name, upstream)


@EACH_UPSTREAM
def test_a_freeform_call_comes_back_as_one(upstream: Codec) -> None:
    """To the client that declared the tool, whatever the upstream made of it; with its line ends and escapes."""
    client = CODECS["openai-responses"]
    (call,) = (part for part in exchange("custom-tool").response.parts if isinstance(part, ToolCall))
    if upstream is not client:
        got = client.parse_response(whole("custom-tool", client, upstream), SEED)
        assert got.parts[-1] == call


# Whose answers name sources, and who can be told of them: Anthropic's own carry a token that nobody else has.
SOURCES = {"openai-chat", "openai-responses", "anthropic", "gemini"}
TOLD = {"openai-chat", "openai-responses", "gemini"}


def test_the_sources_of_an_answer() -> None:
    for client, upstream in PAIRS:
        got = client.parse_response(whole("citations", client, upstream), SEED)
        urls = {cited.url for part in got.parts if isinstance(part, Text) for cited in part.citations}
        known = client.NAME in TOLD and upstream.NAME in SOURCES
        assert urls == ({"https://example.com/a"} if known else set()), (client.NAME, upstream.NAME)


# ------------------------------------------------------------------------------------------------ large ones, made here


@EACH_UPSTREAM
@EACH_CLIENT
def test_a_megabyte_of_a_tools_result(client: Codec, upstream: Codec) -> None:
    text = "".join(f"{n:06d} {'é漢😀' * (n % 3)} a line of a long file\n" for n in range(32_000))
    call, result = ToolCall("call_a", "read", '{"path":"x"}'), ToolResult("call_a", (Text(text),))
    tool = Tool("read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
    talk = [Message("user", (Text("Read."),)), Message("assistant", (call,)), Message("user", (result,))]
    assert len(text.encode()) > 1_000_000
    said = rendered(client, Request("m", talk, [tool], stream=True, max_output=1000)).wire
    body = bridge(client, upstream, said, streamed=True).wire
    read = upstream.parse_request(body)
    results = [part for message in read.messages for part in message.parts if isinstance(part, ToolResult)]
    assert [(part.id, part.parts) for part in results] == [("call_a", (Text(text),))]


@EACH_UPSTREAM
@EACH_CLIENT
def test_two_hundred_tools(client: Codec, upstream: Codec) -> None:
    schema: Json = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    tools = [Tool(f"mcp__server_{n % 7}__{'x' * (n % 90)}_{n}", f"Tool {n}.", schema) for n in range(200)]
    talk = [Message("user", (Text("Use one."),))]
    fitting = [tool for tool in tools if client.TOOL_NAME.fullmatch(tool.name)]
    said = rendered(client, Request("m", talk, list(fitting), max_output=1000)).wire
    made = bridge(client, upstream, said, streamed=False)
    read = upstream.parse_request(made.wire).tools
    names = [tool.name for tool in read]
    assert len(fitting) > 90 and len(names) == len(set(names)) == len(fitting)
    assert all(upstream.TOOL_NAME.fullmatch(name) for name in names)
    assert [tool.schema for tool in read if isinstance(tool, Tool)] == [schema] * len(fitting)
    called = Response((ToolCall("call_a", names[-1], '{"path":"."}'),), "tool_call", model="m")
    body = upstream.render_response(called, Request("m"), SEED)
    got = client.parse_response(fed(made.answer(200, WHOLE_HEADERS), body, len(body)), SEED)
    assert [part.name for part in got.parts if isinstance(part, ToolCall)] == [fitting[-1].name]


@EACH_UPSTREAM
@EACH_CLIENT
def test_several_answers_are_refused_or_one(client: Codec, upstream: Codec) -> None:
    """Nothing that is translated asks for more answers than the client can be given, and would pay for."""
    if client.NAME not in ("openai-chat", "gemini") or client is upstream:
        return
    wanted: Json = {"generationConfig": {"candidateCount": 2}} if client.NAME == "gemini" else {"n": 2}
    plain = wire("plain-text", client)
    said = replace(plain, body=msgspec.json.encode(merge(json.loads(plain.body), wanted)))
    for policy in ("strict", "balanced"):
        with pytest.raises(BadRequest, match="one answer"):
            bridge(client, upstream, said, streamed=True, policy=policy)
    made = bridge(client, upstream, said, streamed=True)
    assert json.loads(made.wire.body) == expected_body("plain-text", client, upstream, True)
    assert [loss.code for loss in made.losses] == ["dropped"]
