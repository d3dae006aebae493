"""The demo, for real: it starts a model and a proxy, talks through it, and leaves nothing behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scripts.demo_model import CALLS, decide, deltas, message
from tests.harness import clean_environ

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, str(ROOT / "scripts" / "cli.py"), "demo"]


def environ(home: Path) -> dict[str, str]:
    """mitmproxy keeps its certificates under HOME; tests that run side by side must not share them."""
    return {**clean_environ(), "HOME": str(home)}


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def columns(text: str) -> str:
    """The left column, the right one and the rest, each as running text."""
    cells = [[cell.strip() for cell in line.split("│")[1:3]] for line in text.splitlines() if line.startswith("│")]
    rest = [line for line in text.splitlines() if not line.startswith("│")]
    return " ".join(" ".join([*(left for left, _ in cells), *(right for _, right in cells), *rest]).split())


def test_it_shows_both_sides_and_ends(tmp_path: Path) -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True, cwd=tmp_path, env=environ(tmp_path), timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    shown = columns(done.stdout)
    for words in (
        "POST /v1/messages",
        "POST /v1/chat/completions",
        "thinking_delta  I cannot know that by myself, but get_weather can.",
        "reasoning_content  I cannot know that by myself, but get_weather can.",
        'tool_use  get_weather {"city": "Oslo"}',
        'tool_calls  get_weather {"city": "Oslo"}',
        "stop_reason  tool_use",
        "finish_reason  tool_calls",
        "tool:  4 °C and light snow",
        "text_delta  Here is what the tool found: 4 °C and light snow",
        "stop_reason  end_turn",
        "llm-link demo --web",
        "llm-link launch claude --demo",
    ):
        assert " ".join(words.split()) in shown


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [*COMMAND, "--web"]
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=tmp_path, env=environ(tmp_path)
    )
    try:
        yield process
    finally:
        process.terminate()  # not kill: it has children to stop
        process.wait(15)


def test_it_stays_up_for_a_client_and_stops_its_children(kept: subprocess.Popen[str]) -> None:
    assert kept.stdout is not None
    said = ""
    while "mitmweb shows" not in said:
        line = kept.stdout.readline()
        assert line, said
        said += line
    url = re.search(r"ANTHROPIC_BASE_URL=(\S+)", said)
    web = re.search(r"mitmweb shows every exchange: (\S+)", said)
    assert url and web
    body = {"model": "any", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello there"}]}
    answer = httpx.post(f"{url[1]}/v1/messages", json=body, timeout=20).json()
    assert "Hello there" in "".join(block.get("text", "") for block in answer["content"])
    assert httpx.get(web[1], timeout=20, follow_redirects=True).status_code == 200
    children = children_of(kept.pid)
    assert children
    kept.send_signal(signal.SIGTERM)
    assert kept.wait(40) == 0
    end = time.monotonic() + 30
    while any(map(alive, children)):
        assert time.monotonic() < end, "a child is still there"
        time.sleep(0.05)


def tool(name: str) -> dict[str, object]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def test_the_model_calls_a_tool_that_it_knows() -> None:
    turn = decide({"messages": [{"role": "user", "content": "The time?"}], "tools": [tool("Write"), tool("Bash")]})
    assert turn.call is not None and turn.call[1:] == ("Bash", CALLS["Bash"])
    assert turn.finish == "tool_calls"


def test_the_model_answers_from_the_result_even_with_words_behind_it() -> None:
    messages = [
        {"role": "user", "content": "The time?"},
        {"role": "assistant", "tool_calls": []},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "noon"}]},
        {"role": "user", "content": "(a reminder)"},
    ]
    turn = decide({"messages": messages, "tools": [tool("Bash")]})
    assert turn.call is None and "noon" in turn.text


def test_the_model_leaves_unknown_tools_alone() -> None:
    turn = decide({"messages": [{"role": "user", "content": "Hi"}], "tools": [tool("Write")]})
    assert turn.call is None and "Hi" in turn.text


def test_the_streamed_answer_is_the_whole_one() -> None:
    turn = decide({"messages": [{"role": "user", "content": "The time?"}], "tools": [tool("Bash")]})
    parts = list(deltas(turn))
    arguments = "".join(call["function"]["arguments"] for part in parts for call in part.get("tool_calls", ()))
    thoughts = "".join(part.get("reasoning_content", "") for part in parts)
    whole = message(turn)
    assert thoughts == whole["reasoning_content"]
    assert json.loads(arguments) == json.loads(whole["tool_calls"][0]["function"]["arguments"])
