"""Estimates of prompts: never far under what tokenizers count, never absurdly over."""

from __future__ import annotations

import time

import pytest

from translators.model import (
    Blob,
    File,
    Format,
    HostedTool,
    Image,
    Message,
    Part,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from translators.tokens import estimate, estimate_text


def of(*parts: Part) -> int:
    """What the parts add to a message."""
    empty = estimate(Request(messages=[Message("user", ())]))
    return estimate(Request(messages=[Message("user", parts)])) - empty


# counted with the tokenizers of GPT-4o and Claude 3: (text, least, most that is fair)
@pytest.mark.parametrize(("text", "least", "most"), [
    ("The quick brown fox jumps over the lazy dog.", 10, 20),
    ("def main() -> None:\n    print('hello world')\n", 12, 24),
    ("人工智能正在改变世界", 10, 12),
    ("Привет, мир", 4, 12),
    ("🎉🎉🎉", 3, 12),
    ("", 0, 0),
])
def test_texts(text: str, least: int, most: int) -> None:
    assert least <= estimate_text(text) <= most


def test_everything_in_a_prompt_counts() -> None:
    small = estimate(Request(messages=[Message("user", (Text("hi"),))]))
    assert 5 <= small <= 40
    assert of(Image(Blob("image/png", "QUJD" * 10))) == 1600
    assert of(ToolCall("a", "Bash", '{"command": "ls -la"}')) >= 8
    assert of(ToolResult("a", (Text("x" * 320), Image(Blob(url="u"))))) >= 1700
    assert of(File(Blob("text/plain", text="x" * 3200))) == 1000
    assert of(File(Blob("text/plain", "eHh4" * 800))) >= 700
    assert of(File(Blob("application/pdf", "QUJD" * 100_000))) >= 5000


def test_tools_and_schemas_count() -> None:
    request = Request(messages=[])
    nothing = estimate(request)
    request.tools = [Tool("a", "d" * 320, {"type": "object", "properties": {"p" * 320: {"type": "string"}}})]
    with_tool = estimate(request)
    assert with_tool >= nothing + 300 + 200
    request.tools = [*request.tools, HostedTool("bash", "bash", "anthropic", {"type": "bash_20250124"})]
    assert estimate(request) > with_tool + 200
    request.format = Format("schema", {"description": "x" * 320})
    assert estimate(request) > with_tool + 300


def test_a_long_history_is_counted_at_once() -> None:
    request = Request(messages=[Message("user", (Text("word " * 2000),))] * 500)
    began = time.process_time()
    assert estimate(request) > 500 * 2000
    assert time.process_time() - began < 0.2
