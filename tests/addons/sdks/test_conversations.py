"""Every SDK against every upstream: whole conversations, whole and streamed, with the SDK's own objects given back.

What the SDK made of our bytes is asserted, and what arrived upstream, by the facts of both protocols.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.addons.sdks.clients import Ask, Client, Got
from tests.addons.sdks.conftest import SHORT
from tests.addons.sdks.forms import check_request
from tests.addons.sdks.reads import Asked, Item, read
from tests.addons.sdks.said import (
    ANSWER_SCHEMA,
    CACHED,
    CITY,
    PNG,
    PROMPT,
    SYSTEM,
    TALKS,
    TEXT,
    THOUGHT,
    TOOLS,
    ZONE,
)
from tests.harness import Upstream

pytestmark = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

# How each protocol says why an answer is over.
ENDS = {
    "openai-chat": {"end": "stop", "tool": "tool_calls", "length": "length"},
    "openai-responses": {"end": "completed", "tool": "completed", "length": "max_output_tokens"},
    "anthropic": {"end": "end_turn", "tool": "tool_use", "length": "max_tokens"},
    "gemini": {"end": "STOP", "tool": "STOP", "length": "MAX_TOKENS"},
    "ollama": {"end": "stop", "tool": "stop", "length": "length"},
}


class Talk:
    """One conversation of one client with one upstream."""

    def __init__(self, client: Client, provider: Upstream, upstream: str, name: str, stream: bool) -> None:
        self.client, self.provider, self.upstream, self.stream = client, provider, upstream, stream
        self.model = f"{SHORT[upstream]}_{name}"
        self.history: list[Any] = []

    def say(self, text: str, ask: Ask, picture: bool = False) -> Got:
        self.history.append(self.client.user(text, picture))
        return self.turn(ask)

    def answer(self, got: Got, texts: dict[str, str], ask: Ask) -> Got:
        self.history += self.client.results(got, texts)
        return self.turn(ask)

    def turn(self, ask: Ask) -> Got:
        got = self.client.ask(self.model, self.history, ask, stream=self.stream)
        self.history += got.echo
        if self.client.name != self.upstream:
            assert got.model == self.model
        return got

    def arrived(self) -> Asked:
        seen = self.provider.seen[-1]
        if self.client.name != self.upstream:  # else the SDK's own bytes
            check_request(seen.path, seen.json)
        asked = read(seen.path, seen.json)
        if self.client.name == self.upstream == "gemini":  # it gives the chunks of a stream back one by one
            asked.items = joined(asked.items)
        assert (asked.protocol, asked.model, asked.stream) == (self.upstream, self.model, self.stream)
        return asked


def joined(items: list[Item]) -> list[Item]:
    out: list[Item] = []
    for item in items:
        if out and item[0] == out[-1][0] == "assistant":
            out[-1] = ("assistant", out[-1][1] + item[1])
        else:
            out.append(item)
    return out


@pytest.fixture
def talk(client: Client, provider: Upstream, upstream: str, stream: bool, request: pytest.FixtureRequest) -> Talk:
    return Talk(client, provider, upstream, request.function.__name__.removeprefix("test_").replace("_", "-"), stream)


def end_of(client: Client, kind: str) -> str:
    return ENDS[client.name][kind]


def check_usage(got: Got, client: Client, upstream: str, completion: int, reasoning: int) -> None:
    """Who counts the cache and the thoughts apart: all but Ollama."""
    full = upstream != "ollama"
    cached, thought = (CACHED, reasoning) if full else (0, 0)
    prompt, seen_cached, out, seen_thought = got.usage
    assert (prompt, out) == (PROMPT, completion)
    if client.name != "ollama":
        assert (seen_cached or 0, seen_thought or 0) == (cached, thought)


# ------------------------------------------------------------------------------------------------ the conversations


def test_text(talk: Talk, client: Client, upstream: str) -> None:
    got = talk.say("Hallo — 你好 🎈", Ask(system=SYSTEM, limit=500))
    assert (got.text, got.calls, got.thought, got.refusal) == (TEXT, [], "", "")
    assert got.end == end_of(client, "end")
    check_usage(got, client, upstream, 9, 0)
    asked = talk.arrived()
    assert (asked.system, asked.items, asked.limit) == (SYSTEM, [("user", "Hallo — 你好 🎈")], 500)
    assert not asked.tools and asked.schema is None and asked.thinks is None

    again = talk.say("And then?", Ask(system=SYSTEM, limit=500))
    assert again.text == "Once more."
    assert talk.arrived().items == [("user", "Hallo — 你好 🎈"), ("assistant", TEXT), ("user", "And then?")]


def check_tools(asked: Asked) -> None:
    assert list(asked.tools) == [tool.name for tool in TOOLS]
    for tool in TOOLS:
        sent = asked.tools[tool.name]
        assert {name: {**fields} for name, fields in sent["properties"].items()} == tool.properties
        assert sent["type"] == "object" and sent["required"] == list(tool.properties)


def test_call(talk: Talk, client: Client) -> None:
    ask = Ask(system=SYSTEM, tools=TOOLS)
    got = talk.say("Weather?", ask)
    assert (got.text, got.calls, got.end) == ("I look.", [(CITY.name, CITY.arguments)], end_of(client, "tool"))
    check_tools(talk.arrived())
    assert talk.arrived().choice in ("", "auto")

    got = talk.answer(got, {"get_weather": "Regen 🌧"}, ask)
    assert (got.text, got.end) == ("It rains.", end_of(client, "end"))
    asked = talk.arrived()
    call = ("call", CITY.name, CITY.arguments)
    assert asked.items == [("user", "Weather?"), ("assistant", "I look."), call, ("result", CITY.name, "Regen 🌧")]
    check_tools(asked)

    talk.say("Thanks.", ask)
    assert talk.arrived().items[-2:] == [("assistant", "It rains."), ("user", "Thanks.")]


def test_parallel(talk: Talk, client: Client) -> None:
    ask = Ask(tools=TOOLS)
    got = talk.say("Weather and time?", ask)
    calls = [(CITY.name, CITY.arguments), (ZONE.name, ZONE.arguments)]
    assert (got.text, got.calls, got.end) == ("", calls, end_of(client, "tool"))
    assert got.ids[0] != got.ids[1] or client.name in ("ollama", "gemini")
    got = talk.answer(got, {"get_weather": "rain", "get_time": "noon"}, ask)
    assert got.text == "Rain at noon."
    results = [("result", CITY.name, "rain"), ("result", ZONE.name, "noon")]
    assert talk.arrived().spoken == [("user", "Weather and time?"), *[("call", *call) for call in calls], *results]


def test_twice(talk: Talk, client: Client) -> None:
    ask = Ask(tools=TOOLS)
    first = talk.say("Weather, then time?", ask)
    second = talk.answer(first, {"get_weather": "rain"}, ask)
    assert (second.text, second.calls) == ("And now the time.", [(ZONE.name, ZONE.arguments)])
    last = talk.answer(second, {"get_time": "noon"}, ask)
    assert last.text == "Rain at noon."
    assert talk.arrived().spoken == [
        ("user", "Weather, then time?"),
        ("call", CITY.name, CITY.arguments),
        ("result", CITY.name, "rain"),
        ("assistant", "And now the time."),
        ("call", ZONE.name, ZONE.arguments),
        ("result", ZONE.name, "noon"),
    ]


@pytest.mark.without(client=["ollama"])
@pytest.mark.parametrize("choice", ["required", "get_weather", "none"])
def test_bare_call(talk: Talk, client: Client, upstream: str, choice: str) -> None:
    """A forced tool, any or one, and none. Ollama has no such choice: its client cannot ask, its upstream cannot be
    told, but that tools which may not be called need not be sent."""
    tools = TOOLS[:1] if upstream == "ollama" else TOOLS
    got = talk.say("Weather?", Ask(tools=tools, choice=choice))
    assert got.calls == [(CITY.name, CITY.arguments)]
    if upstream != "ollama":
        assert talk.arrived().choice == choice


def test_json(talk: Talk, client: Client) -> None:
    got = talk.say("Where?", Ask(schema=ANSWER_SCHEMA))
    assert got.text == TALKS["json"][0].text
    schema = talk.arrived().schema
    assert schema and schema["properties"] == ANSWER_SCHEMA["properties"] and schema["required"] == ["city", "days"]


def test_image(talk: Talk, client: Client) -> None:
    assert talk.say("What is it?", Ask(), picture=True).text == "A pixel."
    assert sorted(talk.arrived().items) == [("image", "image/png", PNG), ("user", "What is it?")]


def test_think(talk: Talk, client: Client, upstream: str) -> None:
    got = talk.say("Think.", Ask(think=True, limit=16000))
    assert (got.thought, got.text) == (THOUGHT, TEXT)
    check_usage(got, client, upstream, 9, 4)
    assert talk.arrived().thinks is True
    assert talk.say("Again.", Ask(think=True, limit=16000)).text == "Once more."
    assert talk.arrived().spoken == [("user", "Think."), ("assistant", TEXT), ("user", "Again.")]


def test_think_call(talk: Talk, client: Client) -> None:
    ask = Ask(think=True, tools=TOOLS, limit=16000)
    got = talk.say("Weather?", ask)
    assert (got.thought, got.calls) == (THOUGHT, [(CITY.name, CITY.arguments)])
    got = talk.answer(got, {"get_weather": "rain"}, ask)
    assert (got.thought, got.text) == (THOUGHT, "It rains.")
    call = ("call", CITY.name, CITY.arguments)
    assert talk.arrived().spoken == [("user", "Weather?"), call, ("result", CITY.name, "rain")]


def test_length(talk: Talk, client: Client) -> None:
    got = talk.say("Go on.", Ask(limit=64))
    assert (got.text, got.end) == ("Half a sen", end_of(client, "length"))
    assert talk.arrived().limit == 64
