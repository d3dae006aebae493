"""The upstream of these tests: one server that speaks all five protocols, and plays the talk that the model names."""

from __future__ import annotations

import json

from tests.addons.sdks.reads import Asked, protocol_of, read
from tests.addons.sdks.said import ERRORS, TALKS, TEXT, Say
from tests.addons.sdks.wires import TEMPLATES, Template
from tests.addons.sdks.wires_native import Generate
from tests.harness import Conn, Seen

COUNTED = 321  # tokens, where the upstream is asked to count


def play(conn: Conn, seen: Seen) -> None:
    protocol = protocol_of(seen.path)
    if "ount" in seen.path or seen.path.endswith("input_tokens"):
        counts = {"anthropic": {"input_tokens": COUNTED}, "gemini": {"totalTokens": COUNTED}}
        conn.json(counts.get(protocol, {"object": "response.input_tokens", "input_tokens": COUNTED}))
        return
    if seen.json.get("thread", {}).get("type") == "continue":  # its own SDK begins one with each run of tools
        error = {"type": "invalid_request_error", "message": "gone", "details": {"error_code": "thread_not_found"}}
        conn.json({"type": "error", "error": error}, 400)
        return
    asked = read(seen.path, seen.json)
    template = TEMPLATES[protocol]
    name = asked.model.split("_", 1)[1]
    if name in ERRORS:
        status, body, headers = template.trouble(name)
        conn.json(body, status, headers)
    elif name not in TALKS:
        _break(conn, asked, name)
    else:
        say = TALKS[name][min(asked.turns, len(TALKS[name]) - 1)]
        _say(conn, asked, say, Generate() if seen.path.endswith("/generate") else template)


def _say(conn: Conn, asked: Asked, say: Say, template: Template) -> None:
    if not asked.stream:
        conn.json(template.whole(say))
        return
    conn.stream(headers={"content-type": template.content_type})
    data = "".join(template.frames(say)).encode()
    for start in range(0, len(data), 700):  # in the middle of frames and of characters
        conn.chunk(data[start : start + 700])
    conn.end()


def _break(conn: Conn, asked: Asked, name: str) -> None:
    """`stumbles`: a stream whose first word is an error; `breaks`: an error after some text; `cut`: then nothing."""
    template = TEMPLATES[asked.protocol]
    if not asked.stream:
        body = json.dumps(template.whole(Say(TEXT))).encode()
        conn.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
        conn.raw(body[: len(body) // 2])
        conn.close()
        return
    conn.stream(headers={"content-type": template.content_type})
    frames = template.frames(Say(TEXT))
    begun = 0 if name == "stumbles" else len(frames) // 2
    if begun:
        conn.chunk("".join(frames[:begun]))
    if name == "cut":
        conn.close()
        return
    conn.chunk(template.late(begun))
    conn.end()
