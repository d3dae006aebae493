"""Shells and patches, whose form only OpenAI's models know, on targets that have functions only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.strategies import SEED
from translators import CODECS
from translators.codec import Wire
from translators.events import Finish, PartDelta, PartEnd, PartStart, Start, fold, unfold
from translators.model import Response, ToolCall

from .pairs import bridge, losses, refused, sent

OTHERS = ("cc", "an", "gm", "ol")
SHOT = "data:image/png;base64,iVBORw0KGgo="
TOOLS: list[dict[str, Any]] = [
    {"type": "local_shell"},
    {"type": "shell", "environment": {"type": "local"}},
    {"type": "apply_patch"},
]
# the function's name and arguments, and the item in which the client wants the call
CALLS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "local_shell",
        {"command": ["ls", "-l"], "workdir": "/x", "timeout_ms": 5},
        {"type": "local_shell_call",
         "action": {"type": "exec", "command": ["ls", "-l"], "env": {}, "working_directory": "/x", "timeout_ms": 5}},
    ),
    (
        "shell",
        {"commands": ["pwd"], "max_output_length": 9},
        {"type": "shell_call", "action": {"commands": ["pwd"], "max_output_length": 9}},
    ),
    (
        "apply_patch_op",
        {"operation": {"type": "update_file", "path": "a", "diff": "+b"}},
        {"type": "apply_patch_call", "operation": {"type": "update_file", "path": "a", "diff": "+b"}},
    ),
]  # fmt: skip


def names(body: dict[str, Any]) -> list[str]:
    entries = body["tools"][0].get("functionDeclarations") or body["tools"]
    return [entry.get("function", entry)["name"] for entry in entries]


@pytest.mark.parametrize("upstream", OTHERS)
def test_the_tools_are_functions(upstream: str) -> None:
    body = sent(f"rs-{upstream}", {"tools": TOOLS}, "strict")
    assert names(body) == ["local_shell", "shell", "apply_patch_op"]


def test_one_of_them_can_be_chosen() -> None:
    body = sent("rs-cc", {"tools": TOOLS, "tool_choice": {"type": "apply_patch"}})
    assert body["tool_choice"] == {"type": "function", "function": {"name": "apply_patch_op"}}


def test_a_shell_in_a_container_is_the_providers() -> None:
    hosted = [{"type": "shell", "environment": {"type": "container_auto"}}]
    assert refused("rs-cc", {"tools": hosted}).param == "tools[0]"
    assert losses("rs-cc", {"tools": hosted})["tools[0]"] == "r/r/w"


def answered(name: str, arguments: str, **more: Any) -> dict[str, Any]:
    """The item of a call, whole; the streamed one must be the same."""
    asked = bridge("rs-cc", {"tools": TOOLS}).as_asked()
    codec = CODECS["openai-responses"]
    response = Response((ToolCall("call_1", name, arguments, **more),), "tool_call")
    (whole,) = json.loads(codec.render_response(response, asked, SEED))["output"]
    encoder = codec.encoder(asked, SEED)
    stream = b"".join(map(encoder.encode, unfold(response)))
    done = [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: ")]
    (item,) = [event["item"] for event in done if event["type"] == "response.output_item.done"]
    assert item == whole
    decoder = codec.decoder(SEED)
    back = fold([*decoder.feed(stream), *decoder.feed(b"")])
    assert [type(part) for part in back.parts] == [ToolCall]
    return whole  # type: ignore[no-any-return]


@pytest.mark.parametrize(("name", "arguments", "item"), CALLS)
def test_a_call_is_an_item_of_the_tools_own_type(name: str, arguments: dict[str, Any], item: dict[str, Any]) -> None:
    made = answered(name, json.dumps(arguments))
    assert made["call_id"] == "call_1" and made["status"] == "completed" and made["id"]
    assert {field: made[field] for field in item} == item


def test_what_a_model_makes_of_the_arguments_is_put_right() -> None:
    typed = {"type": "exec", "command": ["bash", "-lc", "ls -l"], "env": {}}
    assert answered("local_shell", '{"command": "ls -l"}')["action"] == typed
    assert answered("shell", '{"commands": "pwd"}')["action"]["commands"] == ["pwd"]
    assert answered("shell", "rubbish")["action"]["commands"] == []
    patch = {"type": "delete_file", "path": "a"}
    assert answered("apply_patch_op", json.dumps(patch))["operation"] == patch
    assert answered("other", "{}")["type"] == "function_call"


HISTORY: list[dict[str, Any]] = [
    {"role": "user", "content": "Hi"},
    {"type": "local_shell_call", "id": "i1", "call_id": "c1", "status": "completed",
     "action": {"type": "exec", "command": ["ls"], "env": {}, "working_directory": "/x"}},
    {"type": "local_shell_call_output", "id": "c1", "output": "files"},
    {"type": "shell_call", "call_id": "c2", "action": {"commands": ["pwd"], "timeout_ms": None}},
    {"type": "shell_call_output", "call_id": "c2", "output": [
        {"stdout": "/x", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}},
        {"stdout": "", "stderr": "oh", "outcome": {"type": "exit", "exit_code": 2}},
        {"stdout": "", "stderr": "", "outcome": {"type": "timeout"}}]},
    {"type": "apply_patch_call", "call_id": "c3", "operation": {"type": "delete_file", "path": "a"}},
    {"type": "apply_patch_call_output", "call_id": "c3", "status": "failed", "output": "no such file"},
    {"type": "computer_call", "call_id": "c4", "action": {"type": "click", "x": 1, "y": 2}},
    {"type": "computer_call_output", "call_id": "c4", "output": {"type": "computer_screenshot", "image_url": SHOT}},
]  # fmt: skip


def test_a_history_of_calls_keeps_what_was_done() -> None:
    messages = sent("rs-an", {"input": HISTORY}, "strict")["messages"]
    blocks = [block for message in messages if isinstance(message["content"], list) for block in message["content"]]
    calls = [(b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]
    assert calls == [
        ("local_shell", {"command": ["ls"], "env": {}, "workdir": "/x"}),
        ("shell", {"commands": ["pwd"]}),
        ("apply_patch_op", {"operation": {"type": "delete_file", "path": "a"}}),
        ("computer", {"type": "click", "x": 1, "y": 2}),
    ]
    results = [b for b in blocks if b["type"] == "tool_result"]
    assert [b["tool_use_id"] for b in results] == ["c1", "c2", "c3", "c4"]
    assert results[0]["content"] == "files"
    assert results[1]["content"] == "/x\n\noh\n[exit code 2]\n\n[timed out]"
    assert results[2]["content"] == "no such file" and results[2]["is_error"] is True
    assert results[3]["content"][0]["type"] == "image"


def test_the_same_protocol_gets_the_items_back() -> None:
    codec = CODECS["openai-responses"]
    body = {"model": "m", "input": HISTORY, "tools": TOOLS, "store": True, "tool_choice": {"type": "shell"}}
    wire = Wire("/", json.dumps(body).encode())
    made = json.loads(codec.render_request(codec.parse_request(wire)).wire.body)
    assert made["tools"] == TOOLS and made["tool_choice"] == {"type": "shell"}
    assert made["input"][1:] == HISTORY[1:]


# ------------------------------------------------------------------------------------------------ other items


def test_a_later_setting_holds_for_the_answer() -> None:
    later = {"type": "configuration_update", "reasoning": {"effort": "low"}, "text": {"verbosity": "high"}}
    body = {"reasoning": {"effort": "high", "summary": "auto"}, "input": [{"role": "user", "content": "Hi"}, later]}
    made = sent("rs-cc", body)
    assert made["reasoning_effort"] == "low" and made["verbosity"] == "high" and len(made["messages"]) == 1


@pytest.mark.parametrize("policy", ["strict", "balanced", "max_compat"])
@pytest.mark.parametrize("upstream", OTHERS)
def test_what_is_kept_nowhere_is_refused(upstream: str, policy: str) -> None:
    user = {"role": "user", "content": "Hi"}
    error = refused(f"rs-{upstream}", {"input": [user, {"type": "item_reference", "id": "rs_1"}]}, policy)
    assert "Item with id 'rs_1' not found" in error.message and error.status == 400


@pytest.mark.parametrize("upstream", OTHERS)
def test_an_item_that_nobody_knows_leaves_a_mark(upstream: str) -> None:
    body = {"input": [{"role": "user", "content": "Hi"}, {"type": "made_up", "x": 1}, {"role": "user", "content": "y"}]}
    assert "[made_up]" in json.dumps(sent(f"rs-{upstream}", body))
    assert list(losses(f"rs-{upstream}", body).values()) == ["r/w/i" if upstream == "an" else "r/w/w"]


def test_a_stream_may_be_cut_before_the_arguments() -> None:
    asked = bridge("rs-cc", {"tools": TOOLS}).as_asked()
    encoder = CODECS["openai-responses"].encoder(asked, SEED)
    events = [Start(), PartStart(0, ToolCall("c", "shell", "")), PartDelta(0, '{"comm'), PartEnd(0), Finish("length")]
    stream = b"".join(map(encoder.encode, events))
    assert b'"status":"incomplete"' in stream and b"response.incomplete" in stream
