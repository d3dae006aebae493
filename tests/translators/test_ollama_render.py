"""What goes to an Ollama upstream, and what is said to be lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import ollama
from translators.codec import DEFAULT_TRAITS, Traits, Wire
from translators.model import (
    Audio,
    Blob,
    File,
    Format,
    HostedTool,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from translators.policy import BALANCED_REJECT, REJECT, STRICT_REJECT, Loss, action
from translators.tokens import estimate

PNG = "iVBORw0KGgoAAAA"
SCHEMA = {"type": "object", "properties": {"p": {"type": "string"}}}
LS, CAT = Tool("ls", "lists", SCHEMA), Tool("cat", None, None)
HI = Message("user", (Text("Hi"),))


def render(request: Request | None = None, traits: Traits = DEFAULT_TRAITS, **fields: Any) -> tuple[Any, list[Loss]]:
    rendered = ollama.render_request(request or Request(model="m", **{"messages": [HI], **fields}), traits)
    assert rendered.wire.path == "/chat"
    return json.loads(rendered.wire.body), list(rendered.losses)


def said(*messages: Message, traits: Traits = DEFAULT_TRAITS) -> Any:
    return render(messages=list(messages), traits=traits)[0]["messages"]


def user(*parts: Part, traits: Traits = DEFAULT_TRAITS) -> tuple[Any, list[Loss]]:
    body, losses = render(messages=[Message("user", parts)], traits=traits)
    return body["messages"][0], losses


def codes(losses: list[Loss]) -> list[tuple[str, str]]:
    return [(loss.path, loss.code) for loss in losses]


# ------------------------------------------------------------------------------------------------ settings


def test_the_smallest_request() -> None:
    body, losses = render()
    assert body == {
        "model": "m", "messages": [{"role": "user", "content": "Hi"}], "options": {"num_ctx": 8192}, "stream": False,
    } and not losses  # fmt: skip


def test_settings_stand_in_options() -> None:
    body, losses = render(
        max_output=7, stop=["END"], temperature=0.5, top_p=0.9, top_k=3, min_p=0.1, seed=1, presence_penalty=1.0,
        frequency_penalty=2.0, repeat_penalty=1.1, logprobs=2, truncation="auto", stream=True,
    )  # fmt: skip
    assert body["options"] == {
        "temperature": 0.5, "top_p": 0.9, "top_k": 3, "min_p": 0.1, "seed": 1, "presence_penalty": 1.0,
        "frequency_penalty": 2.0, "repeat_penalty": 1.1, "num_predict": 7, "stop": ["END"], "num_ctx": 4096,
    }  # fmt: skip
    assert body["stream"] and body["logprobs"] and body["top_logprobs"] == 2 and body["truncate"] and not losses


def test_what_an_ollama_client_said_goes_back_in() -> None:
    extra = {"options": {"num_ctx": 100_000, "mirostat": 2}, "keep_alive": "5m", "shift": False, "generate": True}
    body, losses = render(extra={"ollama": extra, "anthropic": {"betas": ["x"], "container": "c"}})
    assert body["options"] == {"num_ctx": 100_000, "mirostat": 2}
    assert body["keep_alive"] == "5m" and body["shift"] is False and "generate" not in body
    assert codes(losses) == [("betas", "dropped"), ("container", "dropped")]
    assert [action(loss, "strict") for loss in losses] == ["info", "reject"]


def test_the_models_row_leaves_settings_out_and_clamps() -> None:
    traits = Traits(drop=("seed", "stop"), max_output=100)
    body, losses = render(traits=traits, seed=1, stop=["x"], max_output=200)
    assert "seed" not in body["options"] and "stop" not in body["options"] and body["options"]["num_predict"] == 100
    assert codes(losses) == [("seed", "dropped"), ("max_tokens", "clamped"), ("stop", "dropped")]


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [("logit_bias", {"1": 1.0}, STRICT_REJECT), ("n", 2, BALANCED_REJECT), ("modalities", ["audio"], REJECT),
     ("previous_id", "r", BALANCED_REJECT)],
)  # fmt: skip
def test_what_ollama_cannot_say(field: str, value: Any, rule: Any) -> None:
    _, losses = render(**{field: value})
    assert [(loss.path, loss.code, loss.rule) for loss in losses] == [(field, "dropped", rule)]


@pytest.mark.parametrize(
    ("effort", "traits", "think"),
    [
        ("off", Traits(), False),
        ("auto", Traits(), True),
        ("minimal", Traits(), "low"),
        ("medium", Traits(), "medium"),
        ("xhigh", Traits(), "high"),
        ("max", Traits(), "high"),
        ("max", Traits(efforts=("low", "max")), "max"),
        ("medium", Traits(reasoning="switch"), True),
        ("off", Traits(reasoning="switch"), False),
        ("high", Traits(reasoning="none"), None),
    ],
)
def test_think(effort: Any, traits: Traits, think: Any) -> None:
    assert render(traits=traits, reasoning=Reasoning(effort))[0].get("think") == think


def test_a_level_that_ollama_has_not_is_said_to_be_another() -> None:
    assert codes(render(reasoning=Reasoning("medium"))[1]) == []
    assert codes(render(reasoning=Reasoning("xhigh", 40_000))[1]) == [
        ("reasoning.effort", "approximated"), ("reasoning.budget", "approximated"),
    ]  # fmt: skip


def test_format() -> None:
    assert "format" not in render()[0]
    assert render(format=Format("json"))[0]["format"] == "json"
    assert render(format=Format("schema", SCHEMA))[0]["format"] == SCHEMA
    body, losses = render(traits=Traits(structured=False), format=Format("schema", SCHEMA))
    assert body["format"] == "json" and json.dumps(SCHEMA, separators=(",", ":")) in body["messages"][0]["content"]
    assert body["messages"][0]["role"] == "system" and codes(losses) == [("format", "emulated")]


# ------------------------------------------------------------------------------------------------ the window


def test_the_window_fits_prompt_and_answer_and_is_a_power_of_two() -> None:
    request = Request(messages=[Message("user", (Text("word " * 10_000),))])
    window = render(request)[0]["options"]["num_ctx"]
    assert window == 32768 and estimate(request) + 4096 <= window
    request.max_output = 100
    assert render(request)[0]["options"]["num_ctx"] == 16384


def test_a_prompt_that_the_window_cannot_hold_is_a_warning() -> None:
    long = [Message("user", (Text("word " * 10_000),))]
    body, losses = render(messages=long, traits=Traits(context_window=8192))
    assert body["options"]["num_ctx"] == 8192 and codes(losses) == [("messages", "truncated")]
    assert action(losses[0], "max_compat") == "warn"
    body, losses = render(messages=long, extra={"ollama": {"options": {"num_ctx": 2048}}})
    assert body["options"]["num_ctx"] == 2048 and codes(losses) == [("messages", "truncated")]


def test_the_window_stays_while_a_conversation_has_room_in_it() -> None:
    sizes = {render(messages=[Message("user", (Text("x" * n),))])[0]["options"]["num_ctx"] for n in range(1, 9000, 500)}
    assert sizes == {8192}


# ------------------------------------------------------------------------------------------------ messages


def test_a_conversation() -> None:
    image = Image(Blob("image/png", PNG))
    assert said(
        Message("system", (Text("One."), Text("Nonce.", extra={"anthropic": {"billing": True}}))),
        Message("developer", (Text("Two."),)),
        Message("user", (Text("Look."), image, Text("Well?"))),
        Message("assistant", (Thinking("Hm."), Text("So."), ToolCall("a", "ls", '{ "p":1 }'), ToolCall("b", "cat"))),
        Message("user", (ToolResult("a", (Text("x"), image)), ToolResult("b", error=True), Text("Go on."))),
        Message("system", (Text("Mid."),)),
        Message("assistant", (Text("I "),)),
    ) == [
        {"role": "system", "content": "One.\n\nTwo."},
        {"role": "user", "content": "Look.\n\nWell?", "images": [PNG]},
        {"role": "assistant", "content": "So.", "thinking": "Hm.", "tool_calls": [
            {"id": "a", "function": {"index": 0, "name": "ls", "arguments": {"p": 1}}},
            {"id": "b", "function": {"index": 1, "name": "cat", "arguments": {}}},
        ]},
        {"role": "tool", "tool_name": "ls", "tool_call_id": "a", "content": "x", "images": [PNG]},
        {"role": "tool", "tool_name": "cat", "tool_call_id": "b", "content": "Error"},
        {"role": "user", "content": "Go on."},
        {"role": "system", "content": "Mid."},
        {"role": "assistant", "content": "I "},
    ]  # fmt: skip


def test_a_call_without_an_answer_gets_one() -> None:
    body, losses = render(messages=[HI, Message("assistant", (ToolCall("a", "ls"),)), HI])
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "user"]
    assert codes(losses) == [("messages[1]", "emulated")]


def test_arguments_that_are_no_object_become_one() -> None:
    call = Message("assistant", (ToolCall("a", "ls", '"x"'),))
    body, losses = render(messages=[HI, call, Message("user", (ToolResult("a"),))])
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"input": "x"}
    assert codes(losses) == [("messages[1].tool_calls", "repaired")]


def test_models_that_take_the_operator_first_and_no_beginning_of_an_answer() -> None:
    traits = Traits(mid_system=False, prefill=False)
    mid, begun = Message("system", (Text("Mid."),)), Message("assistant", (Text("I "),))
    assert said(HI, mid, begun, traits=traits) == [
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": "<system-reminder>\nMid.\n</system-reminder>"},
        {"role": "assistant", "content": "I "},
        {"role": "user", "content": "Continue."},
    ]


@pytest.mark.parametrize(
    ("part", "content", "rule"),
    [
        (Image(Blob(url="http://x/a.png")), "[image: http://x/a.png]", BALANCED_REJECT),
        (Image(Blob(file_id="f")), "[image omitted]", BALANCED_REJECT),
        (File(Blob("application/pdf", "JVBERi0x"), "a.pdf"), "[file a.pdf omitted]", BALANCED_REJECT),
        (Audio(Blob("audio/wav", "AAAA"), "hello"), "[audio: hello]", REJECT),
    ],
)
def test_what_ollama_cannot_take_is_said_in_words(part: Part, content: str, rule: Any) -> None:
    message, losses = user(part)
    assert message == {"role": "user", "content": content}
    assert [(loss.code, loss.rule) for loss in losses] == [("omitted", rule)]


def test_text_files_are_text() -> None:
    message, losses = user(File(Blob("text/plain", "aGVsbG8="), "a.txt", "Mine."), File(Blob(text="there")))
    assert message["content"] == "File: a.txt\nMine.\nhello\n\nthere" and not losses


def test_a_model_without_eyes() -> None:
    message, losses = user(Text("Look."), Image(Blob("image/png", PNG)), traits=Traits(input=("text",)))
    assert message == {"role": "user", "content": "Look.\n\n[image omitted]"} and codes(losses) == [
        ("messages[0]", "omitted")
    ]


def test_what_only_another_protocol_can_replay() -> None:
    parts = (
        Refusal("No."), ServerTool("web_search", "call", text="searched"), Opaque("anthropic", "compaction", {}),
        Thinking("", redacted=True),
    )  # fmt: skip
    body, losses = render(messages=[HI, Message("assistant", parts), HI])
    assert body["messages"][1] == {"role": "assistant", "content": "No.\n\nsearched\n\n[compaction]"}
    assert [loss.code for loss in losses] == ["summarised", "summarised", "dropped"]


def test_cache_marks_are_lost_once_and_without_a_word_to_the_client() -> None:
    parts = (Text("a", cache=""), Text("b", cache="1h"))
    message, losses = user(*parts)
    assert message["content"] == "a\n\nb" and codes(losses) == [("cache_control", "dropped")]
    assert action(losses[0], "strict") == "info"


# ------------------------------------------------------------------------------------------------ tools


def function(name: str, schema: Any = SCHEMA, **more: Any) -> Any:
    return {"type": "function", "function": {"name": name, **more, "parameters": schema}}


def test_tools() -> None:
    body, losses = render(tools=[LS, CAT, LS, Tool("s", strict=True)], parallel_tools=False)
    empty = {"type": "object", "properties": {}}
    assert body["tools"] == [function("ls", description="lists"), function("cat", empty), function("s", empty)]
    assert codes(losses) == [
        ("tools[2]", "dropped"), ("tools[3].strict", "dropped"), ("parallel_tools", "dropped"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "names", "told"),
    [
        (ToolChoice("auto"), ["ls", "cat"], ""),
        (ToolChoice("none"), [], ""),
        (ToolChoice("allowed", ("cat",)), ["cat"], ""),
        (ToolChoice("allowed", ("cat",), True), ["cat"], "You must answer with a call of the tool cat."),
        (ToolChoice("named", ("ls",)), ["ls"], "You must answer with a call of the tool ls."),
        (ToolChoice("required"), ["ls", "cat"], "You must answer with a tool call."),
        (ToolChoice("named", ("rm",)), ["ls", "cat"], ""),
    ],
)
def test_a_choice_is_made_by_leaving_out_and_by_words(choice: ToolChoice, names: list[str], told: str) -> None:
    body, losses = render(tools=[LS, CAT], tool_choice=choice)
    assert [tool["function"]["name"] for tool in body.get("tools", [])] == names
    assert [message["content"] for message in body["messages"]] == ([told, "Hi"] if told else ["Hi"])
    assert bool(losses) == (choice.kind != "auto") and "tool_choice" not in body


def test_tools_of_providers() -> None:
    bash = HostedTool("bash", "bash", "anthropic", {"type": "bash_20250124", "name": "bash"})
    search = HostedTool("web_search", "web_search", "anthropic", {"type": "web_search_20260101"})
    body, losses = render(tools=[bash, search])
    assert [tool["function"]["name"] for tool in body["tools"]] == ["bash"]
    assert body["tools"][0]["function"]["parameters"]["properties"]["command"] == {"type": "string"}
    assert [(loss.path, loss.code, loss.rule) for loss in losses][1:] == [("tools[1]", "dropped", STRICT_REJECT)]
    assert render(tools=[search])[1][0].rule == BALANCED_REJECT


# ------------------------------------------------------------------------------------------------ the way back


def test_what_was_rendered_can_be_read() -> None:
    request = Request(
        model="m",
        messages=[
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("Look."), Image(Blob("image/png", PNG)))),
            Message("assistant", (Thinking("Hm."), Text("So."), ToolCall("a", "ls", '{"p":1}'))),
            Message("user", (ToolResult("a", (Text("x"),)),)),
            HI,
        ],
        tools=[LS],
        reasoning=Reasoning("high"),
        format=Format("schema", SCHEMA),
        max_output=5,
        stop=["END"],
        temperature=0.5,
        stream=True,
    )
    again = ollama.parse_request(Wire("/chat", ollama.render_request(request).wire.body))
    assert again.extra == {"ollama": {"options": {"num_ctx": 4096}}}
    again.extra = {}
    assert again == request
