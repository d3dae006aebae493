"""mitmproxy's console, in a terminal of our own: a stopped request is edited as YAML in neutral words, and goes on."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import yaml

from tests.harness import ROOT, Conn, Seen, Upstream, clean_environ, config, free_port
from tests.mitmweb import until

ASK = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi there"}]}
EDITOR = "#!/bin/sh\nsed -i 's/Hi there/Edited as YAML/; s/^model: .*/model: other/' \"$1\"\ntouch \"$0.done\"\n"


def answer(conn: Conn, seen: Seen) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": "x", "choices": [choice]})


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_stopped_request_is_edited_in_the_console(tmp_path: Path) -> None:
    upstream, port = Upstream(answer), free_port()
    settings, editor = config(upstream), tmp_path / "editor.sh"
    settings["models"]["other"] = "u0/another"
    (tmp_path / "llm-link.yaml").write_text(yaml.safe_dump(settings))
    editor.write_text(EDITOR)
    editor.chmod(0o755)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    words = [str(Path(sys.executable).parent / "mitmproxy"), "-s", str(ROOT / "addons" / "llm_link.py")]
    words += ["--mode", f"reverse:http://127.0.0.1:9@127.0.0.1:{port}", "--set", "intercept=~q & ~m POST"]
    words += ["--set", f"llm_link_config={tmp_path / 'llm-link.yaml'}", "--set", f"confdir={tmp_path / 'conf'}"]
    environ = {**clean_environ(), "EDITOR": str(editor), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    console = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, cwd=tmp_path, start_new_session=True
    )
    threading.Thread(target=lambda: [*iter(lambda: os.read(ours, 65536), b"")], daemon=True).start()

    def command(text: str) -> None:
        for keys in (b":", b"\x15" + text.encode(), b"\r"):  # the prompt, less what it holds already
            os.write(ours, keys)
            time.sleep(0.5)

    def edited() -> bool:
        if editor.with_name("editor.sh.done").exists():
            return True
        command("view.focus.go -1")  # the last flow, once it is there
        command("console.view.flow @focus")
        command('console.edit.focus "request-body (LLM Neutral)"')
        time.sleep(1)
        return False

    def answered() -> bool:
        if waiting.done():
            return True
        command("flow.resume @focus")
        return False

    try:
        until(lambda: ready(port), "the console is not ready")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(httpx.post, f"http://127.0.0.1:{port}/v1/messages", json=ASK, timeout=60)
            until(edited, "the editor never ran", 40)
            until(answered, "it was not let go", 20)
            assert waiting.result().json()["content"][0]["text"] == "Hello"
    finally:
        console.kill()
        console.wait(5)
        upstream.stop()
    (seen,) = upstream.seen
    assert seen.json["model"] == "another", json.dumps(seen.json)
    assert seen.json["messages"] == [{"role": "user", "content": "Edited as YAML"}]
