"""The harness of the real clients: its scripted model speaks all five protocols, and its checks can fail."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.clients import UPSTREAMS, line, markdown, matrix
from scripts.clients_model import CONTENT, DONE, TASK, Asked, Said, Tool, decide
from scripts.clients_others import WIRES
from scripts.clients_run import Result, linked, run
from scripts.clients_server import unpaired
from scripts.clients_table import CLIENTS, Client
from tests.harness import ROOT
from translators import CODECS
from translators.codec import Seed
from translators.events import fold
from translators.model import Text, Thinking, ToolCall

SCHEMA = {"type": "object", "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}}}
WRITE = Tool("Write", SCHEMA)
ASK = Said("user", TASK.format(path="/home/me/hello.txt", content=CONTENT))
MORE = {"file_path": "/home/me/hello.txt.more"}
SEED = Seed("a" * 24, 1)


@pytest.mark.parametrize("protocol", WIRES)
def test_each_wire_says_a_turn_whole_and_streamed(protocol: str) -> None:
    asked = Asked("m", True, (ASK, Said("user", results=(("a", "done"),))), (WRITE,))
    wire, turn = WIRES[protocol], decide(asked)
    codec = CODECS[protocol]
    whole = codec.parse_response(json.dumps(wire.whole(asked, turn)).encode(), SEED)
    decoder = codec.decoder(SEED)
    events = [event for frame in [*wire.stream(asked, turn), ""] for event in decoder.feed(frame.encode())]
    streamed = fold(events)
    for response in (whole, streamed):
        thinking = "".join(part.text for part in response.parts if isinstance(part, Thinking))
        text = "".join(part.text for part in response.parts if isinstance(part, Text))
        calls = [part for part in response.parts if isinstance(part, ToolCall)]
        assert (thinking, text, [call.name for call in calls]) == (turn.thoughts, turn.text, ["Write", "Write"])
        assert [json.loads(call.arguments) for call in calls] == [{**MORE, "content": CONTENT + "\n"}, {}]
    assert whole.usage == streamed.usage and whole.reason == streamed.reason == "tool_call"


def test_the_model_goes_on_after_each_result() -> None:
    said = (ASK, Said("assistant", calls=("a",)), Said("user", results=(("a", "Written: 1 file.\nAll well."),)))
    both, one = (decide(Asked("m", True, said, (WRITE,), parallel=parallel)) for parallel in (True, False))
    assert [json.loads(call.arguments).get("file_path") for call in both.calls] == ["/home/me/hello.txt.more", None]
    assert one.calls == both.calls[:1]
    said += (Said("assistant", calls=("b", "c")), Said("user", results=(("b", "Written"), ("c", "No file_path!"))))
    last = decide(Asked("m", True, said, (WRITE,)))
    assert last.text == f"{DONE} Written 1 file All well; No file_path." and not last.calls


def test_the_model_answers_side_calls() -> None:
    schema = {"type": "object", "properties": {"choice": {"type": "string", "enum": ["flash", "pro"]}}}
    assert json.loads(decide(Asked("m", False, (ASK,), (), schema)).text) == {"choice": "flash"}
    assert decide(Asked("m", False, (ASK,))).text == "Writing a file"


def test_the_model_refuses_what_providers_refuse() -> None:
    called, told = Said("assistant", calls=("c",)), Said("user", results=(("c", "done"),))
    assert not unpaired(Asked("m", True, (ASK, called, told)))
    assert unpaired(Asked("m", True, (ASK, called))) == "calls without a result: ['c']"
    assert unpaired(Asked("m", True, (ASK, called, ASK, told))) == "calls without a result: ['c']"
    assert unpaired(Asked("m", True, (ASK, told))) == "a result without a call: c"


# A client of openai-chat in a few lines: it asks, writes the file that the model's call names, and prints the answer.
PROGRAM = """
import json, sys, urllib.request

def ask(messages):
    tool = {"type": "function", "function": {"name": "Write", "parameters": {"type": "object", "properties": {}}}}
    body = json.dumps({"model": "m", "messages": messages, "tools": [tool]}).encode()
    request = urllib.request.Request(sys.argv[1] + "/v1/chat/completions", body, {"content-type": "application/json"})
    return json.load(urllib.request.urlopen(request))["choices"][0]["message"]

def write(file_path, content):
    open(file_path, "w", encoding="utf-8").write(content)
    return "all is well"

messages = [{"role": "user", "content": sys.argv[2]}]
while calls := (messages.append(ask(messages)), messages[-1].get("tool_calls"))[1]:
    for call in calls:
        try:
            result = write(**json.loads(call["function"]["arguments"]))
        except TypeError as error:
            result = str(error)
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
print(messages[-1]["content"])
"""


# As Gemini has results: wrapped in an object.
ANSWER = f"{DONE} output all is well; output write missing 2 required positional."


def client(program: str, **more: Any) -> Client:
    return Client(
        "own", "none", more.pop("wire", "openai-chat"), (sys.executable, "-c", program, "$url", "$task"), **more
    )


def test_runs_tell_a_good_client_from_bad_ones(tmp_path: Path) -> None:
    bad = {
        "idle": client("print('nothing')"),
        "crash": client("import sys; sys.exit('out of ideas')"),
        "mute": client(PROGRAM.replace("print(", "str(")),
        "wrong": client(PROGRAM.replace(".write(content)", ".write('else')")),
        "stop": client(PROGRAM.replace("while calls", "if calls")),
        "refused": client(PROGRAM.replace('"content": sys.argv[2]', '"content": 7')),
        "other": client(PROGRAM, wire="anthropic"),
    }
    with linked("anthropic", tmp_path / "good") as link:
        good = run(client(PROGRAM), link, tmp_path)
    troubles = {}
    with linked("gemini", tmp_path / "bad") as link:
        for name, one in bad.items():
            troubles[name] = run(replace(one, name=name), link, tmp_path).troubles
    assert good.troubles == () and "ok" in matrix([good])
    assert troubles["idle"] == ("made no hello.txt", "made no hello.txt.more", "the model never saw the tool's result")
    assert troubles["crash"][0] == "ended with 1: out of ideas"
    assert troubles["mute"] == (f"the answer was not printed: {ANSWER}",)
    assert troubles["wrong"] == ("hello.txt holds 'else'", "hello.txt.more holds 'else'")
    assert troubles["stop"] == ("made no hello.txt.more", "the model never saw the tool's result")
    assert any("proxy: info: request" in trouble and "400" in trouble for trouble in troubles["refused"])
    assert troubles["other"] == ("spoke openai-chat, not anthropic",)
    assert "FAIL: ended with 1" in line(replace(good, troubles=troubles["crash"]))


def test_readme_shows_the_matrix_of_these_versions() -> None:
    """Another client or version asks for another run of `scripts/clients --markdown`."""
    all_well = [Result(client, upstream, 1.0, ()) for client in CLIENTS for upstream in UPSTREAMS]
    assert markdown(all_well) in (ROOT / "README.md").read_text("utf-8")
    bad = [replace(all_well[0], troubles=("no",)), *all_well[1:]]
    assert "| 2 of 3 | ok | ok | ok | ok |" in markdown(bad)
