"""A working day in small: an agent that looks for a bug through two providers, of which one is busy, and others beside
it. What mitmweb shows of it is tested, and is what the pictures in docs/ show."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx

from tests.harness import Conn, Proxy, Seen, Upstream

SYSTEM = "You are a careful engineer. Look before you leap, and say what you did in one line."
QUESTION = "test_parse fails since yesterday. Find out why and fix it."
LISTING = "parse.py\ntest_parse.py\n"
SOURCE = 'def parse(line):\n    key, value = line.split("=")\n    return key.strip(), value.strip()\n'
TOOLS = [
    {"name": "list_files", "description": "List the files of a folder", "input_schema": {
        "type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}},
    {"name": "read_file", "description": "Read a file", "input_schema": {
        "type": "object", "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}}}},
    {"name": "edit_file", "description": "Replace a text in a file", "input_schema": {
        "type": "object", "properties": {"path": {"type": "string"}, "old": {"type": "string"},
                                         "new": {"type": "string"}}}},
]  # fmt: skip
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Model:
    """Answers in openai-chat, a word at a time: first it lists files, then it reads one, then it says what is wrong.
    `go` lets the last answer go on."""

    THOUGHTS = "The test broke yesterday, so I look at what is there first."
    LAST = (
        "The value holds a second '=', so split gives three parts. I changed line 2 to split at the first one only:\n\n"
        '    key, _, value = line.partition("=")\n\nAll 14 tests pass now.'
    )

    def __init__(self, pace: float = 0.02) -> None:
        self.pace, self.go = pace, threading.Event()

    def __call__(self, conn: Conn, seen: Seen) -> None:
        said = seen.json["messages"]
        results = sum(1 for message in said if message["role"] == "tool")
        conn.stream()
        self._say(conn, {"role": "assistant", "content": ""})
        if results < 2:
            self._words(conn, "reasoning_content", self.THOUGHTS if not results else "parse.py it is.")
            self._call(conn, *(("list_files", {"path": "."}) if not results else ("read_file", {"path": "parse.py"})))
            self._end(conn, "tool_calls", 1240 + 310 * results, 46, 1024 * results)
            return
        half = self.LAST.index(" I changed")
        self._words(conn, "content", self.LAST[:half])
        self.go.wait(30)
        self._words(conn, "content", self.LAST[half:].removeprefix(" "), " ")
        self._end(conn, "stop", 1893, 88, 1536)

    def _words(self, conn: Conn, field: str, text: str, before: str = "") -> None:
        for n, word in enumerate(text.split(" ")):
            time.sleep(self.pace)
            self._say(conn, {field: f" {word}" if n else before + word})

    def _call(self, conn: Conn, name: str, arguments: dict[str, Any]) -> None:
        call = {"index": 0, "id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": ""}}
        self._say(conn, {"tool_calls": [call]})
        self._say(conn, {"tool_calls": [{"index": 0, "function": {"arguments": json.dumps(arguments)}}]})

    def _end(self, conn: Conn, reason: str, prompt: int, completion: int, cached: int) -> None:
        self._say(conn, {}, reason)
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        usage["prompt_tokens_details"] = {"cached_tokens": cached}  # type: ignore[assignment]
        conn.chunk(_frame({"choices": [], "usage": usage}))
        conn.chunk("data: [DONE]\n\n")
        conn.end()

    def _say(self, conn: Conn, delta: dict[str, Any], finish: str | None = None) -> None:
        conn.chunk(_frame({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))


def _frame(body: dict[str, Any]) -> str:
    head = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1, "model": "glm-4.6"}
    return f"data: {json.dumps({**head, **body})}\n\n"


def busy(conn: Conn, seen: Seen) -> None:
    conn.json({"error": {"message": "The service is overloaded", "type": "server_error"}}, 503)


def settings(model: Upstream, spare: Upstream) -> dict[str, Any]:
    """The agent's model goes to the busy provider first."""
    ready = {"protocol": "openai-chat", "base_url": f"{model.url}/v1", "api_key": {"value": "key-zhipu"}}
    return {
        "auth": {"mode": "none"},
        "upstreams": {"zhipu": ready, "spare": {**ready, "base_url": f"{spare.url}/v1"}},
        "models": {
            "claude-sonnet-4-5": "zhipu/glm-4.6",
            "claude-haiku-4-5": ["spare/qwen3-32b", "zhipu/glm-4.5-air"],
            "gemini-2.5-pro": "spare/qwen3-32b",
        },
        "retry": {"cooldown": 0},
    }


HEADERS = {
    "user-agent": "claude-cli/2.1.328 (external, cli)",
    "x-api-key": "sk-client",
    "anthropic-version": "2023-06-01",
    "x-claude-code-session-id": "5f0c1d52-8f5e-4c43-9d0b-1f0b6f6a2f11",
}


class Agent:
    """The client: Claude Code's headers, and a history that grows."""

    def __init__(self, link: Proxy) -> None:
        self._link = link
        self.messages: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]

    def turn(self, model: str = "claude-sonnet-4-5", **more: Any) -> str:
        """Ask with all that was said; the answer's bytes."""
        body = {"model": model, "max_tokens": 4096, "stream": True, "system": SYSTEM, "tools": TOOLS,
                "messages": self.messages, **more}  # fmt: skip
        return httpx.post(f"{self._link.url}/v1/messages", json=body, headers=HEADERS, timeout=60).text

    def hears(self, name: str, arguments: dict[str, Any], result: Any) -> None:
        """The model called a tool, and this came of it."""
        call = {"type": "tool_use", "id": f"call_{name}", "name": name, "input": arguments}
        answer = {"type": "tool_result", "tool_use_id": f"call_{name}", "content": result}
        self.messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [answer]}]


def beside(link: Proxy) -> None:
    """Others: a title that needs a second provider, a picture, and a request that fails."""
    agent = Agent(link)
    agent.messages = [{"role": "user", "content": "A title for: test_parse fails"}]
    agent.turn("claude-haiku-4-5", tools=[])
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    agent.messages = [{"role": "user", "content": [picture, {"type": "text", "text": "What is on this screenshot?"}]}]
    agent.turn(tools=[], top_k=40)
    ask = {"contents": [{"role": "user", "parts": [{"text": "Review the change."}]}]}
    httpx.post(f"{link.url}/v1beta/models/gemini-2.5-pro:generateContent", json=ask, timeout=60,
               headers={"user-agent": "GeminiCLI/0.61.0/gemini-2.5-pro"})  # fmt: skip


def first_turns(agent: Agent) -> None:
    """All but the last turn."""
    agent.turn(top_k=40)
    agent.hears("list_files", {"path": "."}, LISTING)
    agent.turn()
    agent.hears("read_file", {"path": "parse.py"}, SOURCE)
