"""What an Ollama client is answered, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators import ollama
from translators.codec import Seed
from translators.events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate, unfold
from translators.model import (
    ApiError,
    Blob,
    Image,
    Reasoning,
    Refusal,
    Request,
    Response,
    Text,
    Thinking,
    ToolCall,
    Usage,
)

SEED = Seed("s" * 24, 1_763_596_800)
CHAT = Request(model="asked", stream=True)
GENERATE = Request(model="asked", stream=True, extra={"ollama": {"generate": True}})
HEAD = b'{"model":"asked","created_at":"2025-11-20T00:00:00Z",'
COUNTS = (
    b'"total_duration":1,"load_duration":0,"prompt_eval_count":10,"prompt_eval_duration":1,"eval_count":7,'
    b'"eval_duration":1}'
)
USAGE = Usage(4, 5, 1, 4, 3)


def written(*events: Event, asked: Request = CHAT) -> bytes:
    encoder = ollama.encoder(asked, SEED)
    return b"".join(encoder.encode(event) for event in events)


def lines(response: Response, asked: Request = CHAT) -> list[Any]:
    return [json.loads(line) for line in written(*unfold(response), asked=asked).splitlines()]


def body(response: Response, asked: Request = CHAT) -> Any:
    return json.loads(ollama.render_response(response, asked, SEED))


def messages(response: Response) -> list[Any]:
    return [{key: value for key, value in line["message"].items() if key != "role"} for line in lines(response)]


def test_a_stream() -> None:
    events: list[Event] = [
        Start("id", "up"), PartStart(0, Thinking("")), PartDelta(0, "Plan"), PartEnd(0),
        PartStart(1, Text("")), PartDelta(1, "Let "), Ping(), PartDelta(1, "me"), PartEnd(1),
        PartStart(2, ToolCall("call_a", "ls")), PartDelta(2, '{"p":'), PartDelta(2, ' "."}'), PartEnd(2),
        PartStart(3, ToolCall("call_b", "ls")), PartEnd(3),
        UsageUpdate(USAGE), Finish("tool_call"),
    ]  # fmt: skip
    said = HEAD + b'"message":{"role":"assistant",'
    assert written(*events) == (
        said + b'"content":"","thinking":"Plan"},"done":false}\n'
        + said + b'"content":"Let "},"done":false}\n'
        + said + b'"content":"me"},"done":false}\n'
        + said + b'"content":"","tool_calls":[{"id":"call_a","function":{"index":0,"name":"ls",'
        b'"arguments":{"p": "."}}}]},"done":false}\n'
        + said + b'"content":"","tool_calls":[{"id":"call_b","function":{"index":1,"name":"ls",'
        b'"arguments":{}}}]},"done":false}\n'
        + said + b'"content":""},"done":true,"done_reason":"stop",' + COUNTS + b"\n"
    )  # fmt: skip


def test_a_whole_answer() -> None:
    parts = (Thinking("Plan"), Text("So."), ToolCall("call_a", "ls", '{"p": "."}'))
    assert ollama.render_response(Response(parts, "tool_call", model="up", usage=USAGE), CHAT, SEED) == (
        HEAD + b'"message":{"role":"assistant","content":"So.","thinking":"Plan","tool_calls":[{"id":"call_a",'
        b'"function":{"index":0,"name":"ls","arguments":{"p": "."}}}]},"done":true,"done_reason":"stop",' + COUNTS
    )


def test_generate_has_another_shape() -> None:
    response = Response((Thinking("Plan"), Text("So."), ToolCall("a", "ls")), "length", usage=USAGE)
    end = b'"done":true,"done_reason":"length",' + COUNTS
    assert written(*unfold(response), asked=GENERATE) == (
        HEAD + b'"response":"","thinking":"Plan","done":false}\n'
        + HEAD + b'"response":"So.","done":false}\n' + HEAD + b'"response":"",' + end + b"\n"
    )  # fmt: skip
    whole = ollama.render_response(response, GENERATE, SEED)
    assert whole == HEAD + b'"response":"So.","thinking":"Plan",' + end


@pytest.mark.parametrize(
    ("reason", "said"),
    [("end", "stop"), ("length", "length"), ("stop_sequence", "stop"), ("tool_call", "stop"), ("refusal", "stop"),
     ("content_filter", "stop"), ("pause", "stop"), ("context_window", "length"), ("other", "stop")],
)  # fmt: skip
def test_reasons(reason: Any, said: str) -> None:
    response = Response((Text("x"),), reason)
    assert body(response)["done_reason"] == lines(response)[-1]["done_reason"] == said


def test_a_refusal_is_text() -> None:
    refused = Response((Refusal("No."),), "refusal", detail="never read")
    assert body(refused)["message"]["content"] == "No." and messages(refused)[0] == {"content": "No."}
    explained = Response((), "refusal", detail="Why not.")
    assert body(explained)["message"]["content"] == "Why not." and messages(explained)[0] == {"content": "Why not."}


def test_pictures_are_raw_base64_or_a_link() -> None:
    response = Response((Image(Blob("image/png", "iVBO")), Image(Blob(url="http://x/a.png"))))
    assert messages(response) == [
        {"content": "", "images": ["iVBO"]}, {"content": "![image](http://x/a.png)"}, {"content": ""},
    ]  # fmt: skip
    message = body(response)["message"]
    assert message["images"] == ["iVBO"] and message["content"] == "![image](http://x/a.png)"
    assert lines(response, GENERATE)[0]["image"] == body(response, GENERATE)["image"] == "iVBO"


def test_hidden_thoughts_stay_hidden() -> None:
    asked = Request(model="m", reasoning=Reasoning("low", visible=False))
    response = Response((Thinking("Plan"), Text("So.")))
    assert "thinking" not in json.dumps([*lines(response, asked), body(response, asked)])


def test_what_python_takes_for_a_line_end_is_escaped() -> None:
    text = "a\u2028b\u2029c\x85d\x0be\u001cf\n"
    response = Response((Text(text), Thinking(text), ToolCall("i", "f", json.dumps({"p": text}, ensure_ascii=False))))
    wire = written(*unfold(response), Failure(ApiError(500, "server", text))).decode()
    read = [json.loads(line) for line in wire.splitlines()]
    assert len(read) == 5 and read[0]["message"]["content"] == read[1]["message"]["thinking"] == text
    assert read[2]["message"]["tool_calls"][0]["function"]["arguments"] == {"p": text} and read[4] == {"error": text}


def test_an_error_ends_the_stream_without_a_last_line() -> None:
    error = Failure(ApiError(529, "overloaded", "slow down"))
    assert written(Start(), PartStart(0, Text("")), PartDelta(0, "x"), PartEnd(0), error).splitlines()[1:] == [
        b'{"error":"slow down"}'
    ]


def test_usage_that_came_with_the_start() -> None:
    wire = written(Start(usage=Usage(3)), Finish("end"))
    assert json.loads(wire)["prompt_eval_count"] == 3


def test_nothing_keeps_a_connection_alive_but_lines_that_say_something() -> None:
    assert ollama.keep_alive() == b"" and written(Ping()) == b"" and ollama.encoder(CHAT, SEED).content_type == (
        "application/x-ndjson"
    )
