"""Claude Code itself, on an openai-chat upstream: it makes a file with its own tools through a real proxy.

Runs where the program is installed: on the PATH, or at `CLAUDE_CODE_BIN`. It is `@anthropic-ai/claude-code` on npm and
wants Node.js 22 or newer.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Conn, Seen, Upstream, clean_environ, config, proxy

CLAUDE = os.environ.get("CLAUDE_CODE_BIN") or shutil.which("claude")

pytestmark = pytest.mark.skipif(
    CLAUDE is None,
    reason="no Claude Code: npm install -g @anthropic-ai/claude-code (Node.js 22 or newer), or set CLAUDE_CODE_BIN",
)


def _chunk(conn: Conn, delta: dict[str, Any], finish: str | None = None) -> None:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [choice]}
    conn.chunk(f"data: {json.dumps(body)}\n\n")


def _end(conn: Conn, finish: str) -> None:
    _chunk(conn, {}, finish)
    usage = {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020}
    last = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [], "usage": usage}
    conn.chunk(f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n")
    conn.end()


class WritingModel:
    """Thinks, calls Write, and says that it is done once the result is there."""

    def __init__(self, file: Path) -> None:
        self.arguments = json.dumps({"file_path": str(file), "content": "made through LLM Link — żółć 🎉\n"})

    def __call__(self, conn: Conn, seen: Seen) -> None:
        body = seen.json
        conn.stream()
        _chunk(conn, {"role": "assistant", "content": ""})
        _chunk(conn, {"reasoning_content": "The user wants a file."})
        names = [tool["function"]["name"] for tool in body.get("tools", [])]
        if "Write" in names and body["messages"][-1]["role"] != "tool" and not self._answered(body):
            call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "Write", "arguments": ""}}
            _chunk(conn, {"tool_calls": [call]})
            for start in range(0, len(self.arguments), 9):
                piece = {"arguments": self.arguments[start : start + 9]}
                _chunk(conn, {"tool_calls": [{"index": 0, "function": piece}]})
            _end(conn, "tool_calls")
        else:
            _chunk(conn, {"content": "The file is there."})
            _end(conn, "stop")

    def _answered(self, body: dict[str, Any]) -> bool:
        return any(message["role"] == "tool" for message in body["messages"])


def test_claude_code_makes_a_file(tmp_path: Path) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    file = work / "hello.txt"
    upstream = Upstream(WritingModel(file))
    doc = config(upstream)
    doc["models"] = {"*": "u0/*"}
    environ = {
        **clean_environ(),
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "ANTHROPIC_AUTH_TOKEN": "sk-dummy",
        "IS_SANDBOX": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    assert CLAUDE is not None
    with proxy(tmp_path, doc) as link:
        done = subprocess.run(
            [CLAUDE, "-p", "Make hello.txt", "--dangerously-skip-permissions", "--model", "glm-4.6"],
            env={**environ, "ANTHROPIC_BASE_URL": link.url},
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        log = link.log
    upstream.stop()
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log}"
    assert file.read_text("utf-8") == "made through LLM Link — żółć 🎉\n"
    assert "The file is there." in done.stdout
    body = next(seen.json for seen in upstream.seen if any(m["role"] == "tool" for m in seen.json["messages"]))
    assert body["model"] == "glm-4.6" and "x-anthropic-billing-header" not in json.dumps(body)
    assert "cache_control" not in json.dumps(body) and "Traceback" not in log
