"""Conversations of several turns: what an upstream signed comes back to it on the part that it was on, whichever client
stands in between, and to nobody else.

A client is played by its own codec: what reaches it is read with its decoder, and said again as its requests say it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.strategies import SEED
from translators import CODECS
from translators.bridge import Bridge
from translators.carry import Parcel, seal
from translators.codec import Codec, Seed, Traits, Wire
from translators.events import fold, unfold
from translators.model import (
    Message,
    Part,
    Reasoning,
    Request,
    Response,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

CLIENTS = tuple(CODECS)
ECHOING = ("anthropic", "openai-responses", "gemini")
TRAITS = {
    "anthropic": Traits(),
    "openai-responses": Traits(),
    "gemini": Traits(reasoning="level"),
    "openai-chat": Traits(replay="reasoning_content"),
}
SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


def signed(text: str, token: str, **more: Any) -> Thinking:
    return Thinking(text, extra={"anthropic": {"signature": token}}, **more)


def kept(text: str, token: str) -> Thinking:
    return Thinking(text, not text, bool(text), extra={"openai-responses": {"encrypted_content": token}})


def call(id: str, name: str = "look", arguments: str = '{"at":"a"}', token: str = "", **more: Any) -> ToolCall:
    return ToolCall(id, name, arguments, extra={"gemini": {"signature": token}} if token else {}, **more)


# What an upstream says, turn by turn; the user or the tools speak in between.
TURNS: dict[str, list[tuple[Part, ...]]] = {
    "anthropic": [
        (
            signed("  I must look.\n", "c2lnL29uZQ=="),
            Thinking("", True, extra={"anthropic": {"data": "cmVkYWN0ZWQ="}}),
            Text("Let me see."),
            call("toolu_01AAAAAAAAAAAAAAAAAA1"),
            call("toolu_01AAAAAAAAAAAAAAAAAA2", arguments='{"at":"b"}'),
        ),
        (signed("", "c2lnL3R3bw=="), call("toolu_01AAAAAAAAAAAAAAAAAA3", "list", "{}")),
        (signed("Now I know.", "c2lnL3RocmVl"), Text("It is fine.")),
    ],
    "openai-responses": [
        (kept("Look first.", "gAAAAB-one"), call("call_1"), call("call_2", arguments='{"at":"b"}')),
        (kept("", "gAAAAB-two"), call("call_3", "list", "{}")),
        (kept("Done.", "gAAAAB-three"), Text("It is fine.")),
    ],
    "gemini": [
        (
            Thinking("Hm, look."),
            Text("Let me see."),
            call("call_1", token="Z2VtaW5pL29uZQ=="),
            call("call_2", arguments='{"at":"b"}'),
        ),
        (call("call_3", "list", "{}", token="Z2VtaW5pL3R3bw=="),),
        (Text("It is fine."),),
    ],
    "openai-chat": [
        (
            Thinking("Look first."),
            call("functions.look:0"),
            ToolCall("functions.look:1", "look", '{"at":"b"}'),
        ),
        (Thinking("And again."), call("functions.list:2", "list", "{}")),
        (Thinking("So."), Text("It is fine.")),
    ],
}


class Kept(dict[str, bytes]):
    """A memory without bounds."""

    def put(self, key: str, value: bytes) -> None:
        self[key] = value


class Talk:
    """One conversation of a client with upstreams."""

    def __init__(self, client: str, stream: bool, memory: Kept | None = None, hidden: bool = False) -> None:
        self.client, self.stream, self.memory = CODECS[client], stream, Kept() if memory is None else memory
        self.messages = [Message("user", (Text("What is wrong?"),))]
        self.hidden = hidden
        self.turn = 0

    def ask(self, upstream: str, scope: str = "one", traits: Traits | None = None, **more: Any) -> Bridge:
        """The client's next request, for an upstream."""
        target = CODECS[upstream]
        tools: list[Any] = [Tool(name, "", {"type": "object"}) for name in ("look", "list")]
        reasoning = Reasoning("high", 2048, not self.hidden)
        said = Request(
            "asked", list(self.messages), tools, reasoning=reasoning, max_output=9000, stream=self.stream,
        )  # fmt: skip
        wire = _as_client(self.client, self.client.render_request(said).wire)
        asked = self.client.parse_request(wire)
        return Bridge(
            self.client, target, wire, asked, model="real", stream=self.stream,
            traits=traits or TRAITS[upstream], policy="max_compat", seed=Seed(f"{SEED.id[:-1]}{self.turn}", 0),
            scope=scope, memory=self.memory, **more,
        )  # fmt: skip

    def hear(self, bridge: Bridge, parts: tuple[Part, ...]) -> Response:
        """The upstream says this, and the client takes it into its history."""
        calls = [part for part in parts if isinstance(part, ToolCall)]
        response = Response(parts, "tool_call" if calls else "end", "id", "real")
        data = _said(bridge, response)
        got = _heard(self.client, data, self.stream)
        self.messages.append(Message("assistant", got.parts))
        results = [part for part in got.parts if isinstance(part, ToolCall)]
        self.messages.append(
            Message("user", tuple(ToolResult(part.id, (Text("fine"),), part.name) for part in results))
            if results
            else Message("user", (Text("Go on."),))
        )
        self.turn += 1
        return got

    def go(self, upstream: str, turns: list[tuple[Part, ...]], scope: str = "one") -> None:
        for parts in turns:
            self.hear(self.ask(upstream, scope), parts)


def _as_client(client: Codec, wire: Wire) -> Wire:
    """What the client's SDK leaves out of its own history."""
    if client.NAME == "ollama":
        body = json.loads(wire.body)
        for message in body["messages"]:
            for made in message.get("tool_calls", ()):
                made.pop("id", None)
                made["function"].pop("index", None)
            message.pop("tool_call_id", None)
        wire = Wire("/api/chat", json.dumps(body).encode())
    if client.NAME == "gemini":
        return Wire("/v1beta" + wire.path, wire.body, wire.headers)
    return wire


def _said(bridge: Bridge, response: Response) -> bytes:
    """The answer as the upstream writes it, led through the bridge."""
    upstream = bridge.upstream
    asked = Request("real", reasoning=Reasoning("high", visible=True), stream=bridge.stream, include_usage=True)
    answer = bridge.answer(200, SSE if bridge.stream else JSON)
    if not bridge.stream:
        return answer.feed(upstream.render_response(response, asked, SEED)) + answer.feed(b"")
    encoder = upstream.encoder(asked, SEED)
    out = [answer.feed(data) for event in unfold(response) if (data := encoder.encode(event))]
    assert answer.error is None and answer.crash is None
    return b"".join(out) + answer.feed(b"")


def _heard(client: Codec, data: bytes, stream: bool) -> Response:
    if not stream:
        return client.parse_response(data, SEED)
    decoder = client.decoder(SEED)
    return fold([*decoder.feed(data), *decoder.feed(b"")])


def facts(upstream: str, parts: tuple[Part, ...]) -> list[Any]:
    """What has to come back: the signed thoughts, and the other parts with their tokens."""
    out: list[Any] = []
    for part in parts:
        extra = part.extra.get(upstream, {})  # type: ignore[union-attr]
        if isinstance(part, Thinking) and (extra or TRAITS[upstream].replay):
            out.append((part.text, extra))
        elif isinstance(part, ToolCall):
            out.append((part.name, json.loads(part.arguments), extra))
        elif isinstance(part, Text):
            out.append((part.text, extra))
    return out


def given(bridge: Bridge) -> list[list[Any]]:
    """What the upstream gets back of its own turns."""
    wire = bridge.wire
    if bridge.upstream.NAME == "gemini":
        wire = Wire("/v1beta" + wire.path, wire.body)
    request = bridge.upstream.parse_request(wire)
    return [facts(bridge.upstream.NAME, message.parts) for message in request.messages if message.role == "assistant"]


def tokens(upstream: str) -> list[str]:
    extras = [part.extra.get(upstream, {}) for parts in TURNS[upstream] for part in parts]  # type: ignore[union-attr]
    return [token for extra in extras for token in extra.values()]


def clean(bridge: Bridge) -> bool:
    return b"px1." not in bridge.wire.body and b"cHgxL" not in bridge.wire.body


PAIRS = [(client, upstream) for client in CLIENTS for upstream in TURNS if client != upstream]


# ------------------------------------------------------------------------------------------------ there and back


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_three_turns_come_back_as_they_were(client: str, upstream: str, stream: bool) -> None:
    talk = Talk(client, stream)
    for parts in TURNS[upstream]:
        bridge = talk.ask(upstream)
        assert given(bridge) == [facts(upstream, said) for said in TURNS[upstream][: talk.turn]] and clean(bridge)
        talk.hear(bridge, parts)
    last = talk.ask(upstream)
    assert given(last) == [facts(upstream, said) for said in TURNS[upstream]] and clean(last)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("upstream", ["anthropic", "openai-responses", "gemini"])
@pytest.mark.parametrize("client", ECHOING)
def test_clients_that_echo_need_no_memory(client: str, upstream: str, stream: bool) -> None:
    if client == upstream:
        return
    talk = Talk(client, stream)
    talk.go(upstream, TURNS[upstream])
    talk.memory.clear()
    assert given(talk.ask(upstream)) == [facts(upstream, said) for said in TURNS[upstream]]


@pytest.mark.parametrize("client", ["anthropic", "gemini"])
def test_hidden_thoughts_come_back_too(client: str) -> None:
    for upstream in ("anthropic", "openai-responses"):
        if client != upstream:
            talk = Talk(client, stream=True, hidden=True)
            talk.go(upstream, TURNS[upstream])
            talk.memory.clear()
            assert given(talk.ask(upstream)) == [facts(upstream, said) for said in TURNS[upstream]]
            texts = [part.text for said in talk.messages for part in said.parts if isinstance(part, Thinking)]
            assert not any(texts)


@pytest.mark.parametrize("client", CLIENTS)
def test_thoughts_between_texts_and_calls_find_their_places(client: str) -> None:
    parts = (
        signed("One.", "b25l"), Text("Let me see."), signed("Two.", "dHdv"), call("toolu_01AAAAAAAAAAAAAAAAAA1"),
        signed("Three.", "dGhyZWU="), call("toolu_01AAAAAAAAAAAAAAAAAA2", "list", "{}"),
    )  # fmt: skip
    if client != "anthropic":
        talk = Talk(client, stream=True)
        talk.go("anthropic", [parts])
        assert given(talk.ask("anthropic")) == [facts("anthropic", parts)]


@pytest.mark.parametrize("client", [name for name in CLIENTS if name != "gemini"])
def test_the_signature_of_a_last_text_is_remembered(client: str) -> None:
    parts = (Text("Said.", extra={"gemini": {"signature": "dGV4dA=="}}),)
    talk = Talk(client, stream=True)
    talk.go("gemini", [parts])
    assert given(talk.ask("gemini")) == [facts("gemini", parts)]
    talk.memory.clear()
    assert given(talk.ask("gemini")) == [[("Said.", {})]]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("client", [name for name in CLIENTS if name != "gemini"])
def test_a_part_that_is_there_for_its_signature_opens_nothing(client: str, stream: bool) -> None:
    parts = (call("call_1", token="b25l"), Text("", extra={"gemini": {"signature": "dHdv"}}))
    talk = Talk(client, stream)
    got = talk.hear(talk.ask("gemini"), parts)
    assert not any(isinstance(part, Text) for part in got.parts)
    back = given(talk.ask("gemini"))
    assert back == [facts("gemini", parts if client in ("openai-chat", "ollama") else parts[:1])]


# ------------------------------------------------------------------------------------------------ nobody else


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_another_model_gets_no_token_and_the_first_one_has_it_again(client: str, upstream: str, stream: bool) -> None:
    first, *_ = TURNS[upstream]
    talk = Talk(client, stream)
    talk.hear(talk.ask(upstream), first)
    other = talk.ask(upstream, "two")
    assert clean(other) and not any(token.encode() in other.wire.body for token in tokens(upstream))
    assert not other.restored
    talk.hear(other, TURNS[upstream][1])
    back = talk.ask(upstream)
    turns = given(back)
    assert turns[0] == facts(upstream, first)
    assert [name for name, *_ in turns[1]][-1] == "list"
    second = [token for part in TURNS[upstream][1] for token in part.extra.get(upstream, {}).values()]  # type: ignore[union-attr]
    assert not any(token.encode() in back.wire.body for token in second)


@pytest.mark.parametrize("client", ECHOING)
@pytest.mark.parametrize("upstream", CODECS)
def test_no_mark_of_ours_reaches_an_upstream_of_any_protocol(client: str, upstream: str) -> None:
    """A conversation that began elsewhere; for an upstream of the client's own protocol the bytes go through."""
    for began in ("anthropic", "openai-responses", "gemini"):
        if began == client:
            continue
        talk = Talk(client, stream=False)
        talk.go(began, TURNS[began])
        bridge = talk.ask(upstream, "elsewhere", traits=Traits())
        assert clean(bridge), bridge.wire.body
        assert not any(token.encode() in bridge.wire.body for token in tokens(began))
        if upstream == client:
            CODECS[client].parse_request(_as_client(CODECS[client], bridge.wire))


@pytest.mark.parametrize("client", ECHOING)
def test_a_damaged_token_is_dropped_and_the_thought_stays_unsigned(client: str) -> None:
    began = "gemini" if client == "anthropic" else "anthropic"
    talk = Talk(client, stream=False)
    talk.go(began, TURNS[began][:1])
    message = talk.messages[1]
    cut = [_cut(part, client) for part in message.parts]
    talk.messages[1] = Message("assistant", tuple(cut))
    talk.memory.clear()
    bridge = talk.ask(began)
    assert clean(bridge) and not any(token.encode() in bridge.wire.body for token in tokens(began))


def _cut(part: Part, client: str) -> Part:
    extra = part.extra.get(client, {})  # type: ignore[union-attr]
    if not isinstance(part, Thinking | ToolCall | Text) or not extra:
        return part
    short = {name: value[:40] if isinstance(value, str) else value for name, value in extra.items()}
    return replace(part, extra={client: short})


def test_another_client_has_other_memories() -> None:
    mine = Talk("openai-chat", stream=True)
    mine.go("gemini", TURNS["gemini"][:1])
    theirs = Talk("openai-chat", stream=True)
    theirs.messages = mine.messages
    assert "Z2VtaW5pL29uZQ==" in str(given(mine.ask("gemini")))
    assert "Z2VtaW5pL29uZQ==" not in str(given(theirs.ask("gemini")))


def test_the_same_call_of_another_conversation_is_another_call() -> None:
    one = Talk("ollama", stream=True)
    one.go("openai-chat", TURNS["openai-chat"][:1])
    two = Talk("ollama", stream=True, memory=one.memory)
    two.messages = [Message("user", (Text("Something else"),)), *one.messages[1:]]
    for turn in two.messages:
        assert not any(isinstance(part, Thinking) and part.extra for part in turn.parts)
    assert one.ask("openai-chat").restored and not two.ask("openai-chat").restored


# ------------------------------------------------------------------------------------------------ what else there is


def test_forgetting_gives_nothing_back() -> None:
    for client in CLIENTS:
        if client != "gemini":
            talk = Talk(client, stream=False)
            talk.go("gemini", TURNS["gemini"])
            bridge = talk.ask("gemini", forget=True)
            assert not bridge.restored and clean(bridge)
            assert not any(token.encode() in bridge.wire.body for token in tokens("gemini"))
            assert b"c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=" in bridge.wire.body  # in their stead


def test_reasoning_that_got_lost_has_a_stand_in_where_it_must_not_be_missing() -> None:
    talk = Talk("openai-responses", stream=False)
    talk.go("openai-chat", TURNS["openai-chat"])
    talk.messages = [
        Message(turn.role, tuple(part for part in turn.parts if not isinstance(part, Thinking)))
        for turn in talk.messages
    ]
    talk.memory.clear()
    traits = Traits(replay="reasoning_content", replay_lost="(lost)")
    said = json.loads(talk.ask("openai-chat", traits=traits).wire.body)["messages"]
    assert [message.get("reasoning_content") for message in said if message["role"] == "assistant"] == [
        "(lost)", "(lost)", None,
    ]  # fmt: skip
    plain = json.loads(talk.ask("openai-chat").wire.body)["messages"]
    assert all("reasoning_content" not in message for message in plain)


GOOGLE = {"google": {"thought_signature": "Z29vZ2xl"}}
DETAILS = [
    {"type": "reasoning.text", "index": 0, "text": "Hm."},
    {"type": "reasoning.encrypted", "index": 1, "data": "ZQ=="},
]


@pytest.mark.parametrize("client", [name for name in CLIENTS if name != "openai-chat"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_tokens_of_chat_servers_come_back(client: str, stream: bool) -> None:
    """Google puts the signature beside the call, OpenRouter a list of details beside the text."""
    function = {"name": "look", "arguments": '{"at":"a"}'}
    made = {"index": 0, "id": "call_1", "type": "function", "function": function, "extra_content": GOOGLE}
    if stream:
        deltas: list[dict[str, Any]] = [
            {"reasoning": "Hm.", "reasoning_details": [{**DETAILS[0], "text": "H"}]},
            {"reasoning_details": [{**DETAILS[0], "text": "m."}]},
            {"tool_calls": [made], "reasoning_details": [DETAILS[1]]},
        ]
        chunks = [{"id": "c", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        chunks.append({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
        data = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"
    else:
        message = {"content": None, "reasoning": "Hm.", "reasoning_details": DETAILS, "tool_calls": [made]}
        data = json.dumps({"id": "c", "choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()
    talk = Talk(client, stream)
    bridge = talk.ask("openai-chat", traits=Traits())
    answer = bridge.answer(200, SSE if stream else JSON)
    got = _heard(talk.client, answer.feed(data) + answer.feed(b""), stream)
    used = next(part for part in got.parts if isinstance(part, ToolCall))
    talk.messages += [Message("assistant", got.parts), Message("user", (ToolResult(used.id, (Text("x"),), "look"),))]
    said = json.loads(talk.ask("openai-chat", traits=Traits()).wire.body)["messages"][1]
    assert said["reasoning_details"] == DETAILS and said["tool_calls"][0]["extra_content"] == GOOGLE
    other = talk.ask("openai-chat", "two", traits=Traits()).wire.body
    assert b"ZQ==" not in other and b"Z29vZ2xl" not in other and b"px1." not in other


# ------------------------------------------------------------------------------------------------ bytes that go through


def relayed(name: str, body: bytes) -> bytes:
    codec = CODECS[name]
    path = "/v1beta/models/asked:generateContent" if name == "gemini" else "/"
    return codec.relay(Wire(path, body), "generate", "asked").body


@pytest.mark.parametrize("name", ["anthropic", "openai-responses", "gemini"])
def test_bytes_without_our_marks_stay_as_they_are(name: str) -> None:
    """A text that speaks of a mark has none."""
    body = b'{ "model":"asked", "input":[ {"encrypted_content":"gA"}],"messages":[],"contents":[{"text":"a px1."}]}'
    assert relayed(name, body) == (body.replace(b'"asked"', b'"models/asked"') if name == "gemini" else body)


def test_a_gemini_call_gets_the_stand_in_for_a_mark_of_ours() -> None:
    token = seal(Parcel("s"), wrap=True)
    sentinel = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
    parts = [
        {"text": "t", "thought": True, "thoughtSignature": token},
        {"functionCall": {"name": "f"}, "thoughtSignature": token},
        {"function_call": {"name": "g"}, "thought_signature": token},
        {"functionCall": {"name": "h"}, "thoughtSignature": "cmVhbA=="},
        {"text": "x", "thoughtSignature": token},
        {"text": "", "thoughtSignature": token},
    ]
    contents = [{"role": "user", "parts": {"text": "Hi"}}, {"role": "model", "parts": parts}]
    left = [
        {"functionCall": {"name": "f"}, "thoughtSignature": sentinel},
        {"function_call": {"name": "g"}, "thought_signature": sentinel},
        {"functionCall": {"name": "h"}, "thoughtSignature": "cmVhbA=="},
        {"text": "x"},
    ]
    body = {"contents": contents, "systemInstruction": {"parts": []}}
    for said, where in ((body, ()), ({"generateContentRequest": body}, ("generateContentRequest",))):
        got = json.loads(relayed("gemini", json.dumps(said).encode()))
        for name in where:
            got = got[name]
        assert got == {**body, "contents": [contents[0], {"role": "model", "parts": left}]}


@pytest.mark.parametrize("upstream", ["openai-chat", "ollama"])
def test_a_thought_that_nobody_signed_is_known_again_by_a_responses_client(upstream: str) -> None:
    """OpenAI refuses it, so it must go where the conversation comes there; others get its text."""
    parts = (Thinking("Look first."), Text("Fine."))
    talk = Talk("openai-responses", stream=True)
    bridge = talk.ask(upstream, traits=Traits())
    talk.hear(bridge, parts)
    here = json.loads(talk.ask("openai-responses", "two").wire.body)
    assert [item["type"] for item in here["input"]] == ["message", "message", "message"]
    back = json.loads(talk.ask("openai-chat", "two").wire.body)
    assert back["messages"][1]["reasoning_content"] == "Look first."


def test_a_responses_client_keeps_its_own_reasoning_items() -> None:
    real = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    marked = {"type": "reasoning", "summary": [], "encrypted_content": seal(Parcel("s"))}
    user = {"role": "user", "content": "px1."}
    body = json.dumps({"model": "asked", "input": [user, real, marked]}).encode()
    assert json.loads(relayed("openai-responses", body))["input"] == [user, real]
    assert json.loads(relayed("openai-responses", b'{"input":"px1."}'))["input"] == "px1."


# ------------------------------------------------------------------------------------------------ empty thoughts


@pytest.mark.parametrize("upstream", ["openai-responses", "openai-chat", "gemini", "ollama"])
def test_empty_thoughts_of_an_anthropic_client_go(upstream: str) -> None:
    blocks = [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "redacted_thinking", "data": ""},
        {"type": "text", "text": "Said."},
    ]
    user = {"role": "user", "content": "Hi"}
    turns = [user, {"role": "assistant", "content": blocks}, user]
    wire = Wire("/", json.dumps({"model": "asked", "max_tokens": 9, "messages": turns}).encode())
    client = CODECS["anthropic"]
    made = Bridge(
        client, CODECS[upstream], wire, client.parse_request(wire), model="real", stream=False,
        traits=Traits(replay="reasoning_content" if upstream == "openai-chat" else ""), policy="strict", seed=SEED,
        scope="one", memory=Kept(),
    )  # fmt: skip
    body = made.wire.body
    words = (b'"reasoning"', b"reasoning_content", b"thinking", b"thought", b"redacted")
    assert b"Said." in body and not any(word in body for word in words)
