"""Neutral values as text for a person."""

from __future__ import annotations

from hypothesis import given

from tests.strategies import requests, rich_responses
from translators.model import (
    Audio,
    Blob,
    Citation,
    File,
    HostedTool,
    Image,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Request,
    Response,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)
from translators.pretty import heading, part_text, request_text, response_text, table, usage_text


def test_a_conversation() -> None:
    request = Request(
        model="m",
        messages=[
            Message("user", (Text("Look\nhere."),), "ada"),
            Message("assistant", (Thinking("Hm."), ToolCall("c1", "ls", '{"p":1}', namespace="fs"))),
            Message("user", (ToolResult("c1", (Text("none"),), error=True),)),
        ],
        tools=[Tool("ls", "List.\nMore."), HostedTool("web_search", "search", "anthropic", {})],
        tool_choice=ToolChoice("auto"),
        reasoning=Reasoning("low", 1024),
        stop=["x"],
    )
    text = request_text(request)
    for line in (
        heading("user (ada)"), "  Look", "  here.", "  thinking: Hm.", "  call fs.ls [c1]", '    {"p":1}',
        "  result [c1] error",
        "    none", "  ls: List.", "  search (run by the provider: web_search)", "budget       1024", "tools        2",
    ):  # fmt: skip
        assert line in text.split("\n"), (line, text)
    assert "More." not in text and "temperature" not in text


def test_an_answer() -> None:
    response = Response((Text("Hi", (Citation("http://x", "X"),)),), "stop_sequence", stop_sequence="END")
    assert response_text(response) == heading("assistant (stop_sequence 'END')") + "\n  Hi\n    source: X http://x"
    assert response_text(Response()) == heading("assistant (end)")
    assert response_text(Response(), running=True) == heading("assistant (…)")
    assert heading("x").startswith("── x ──")


def test_every_kind_of_part_has_words() -> None:
    data = Blob("image/png", "aGVsbG8=")
    assert part_text(Image(data)) == "image: image/png 6 bytes"
    assert part_text(Image(Blob(url="http://x"))) == "image: http://x"
    assert part_text(File(Blob(file_id="f"), "a.pdf")) == "file: a.pdf f"
    assert part_text(Audio(Blob("audio/wav", ""), "said")) == "audio: audio/wav 0 bytes said"
    assert part_text(Thinking("", redacted=True)) == "thinking: (redacted)"
    assert part_text(Refusal("no")) == "refusal: no"
    assert part_text(ServerTool("web_search", "call", text="q")) == "server tool web_search call: q"
    assert part_text(Opaque("anthropic", "compaction", {}, "x")) == "anthropic compaction: x"


def test_usage() -> None:
    assert usage_text(Usage(1, 2, 3, 4, 5)) == "1 input, 2 cache read, 3 cache write, 4 output, 5 reasoning"
    assert usage_text(Usage(estimated=True)).endswith("(estimated)")


def test_columns() -> None:
    assert table([["a", "1"], ["long", "2"], ["x"]]) == "a     1\nlong  2\nx"
    assert table([]) == ""


@given(requests(), rich_responses())
def test_anything_neutral_has_words(request: Request, response: Response) -> None:
    assert request_text(request) and response_text(response).startswith("── assistant (")
