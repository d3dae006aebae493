"""What a wire of the scripted model is: it reads a request into `Asked` and says a `Turn`, whole or as a stream.

Written from the protocols' documentation and without our codecs, so that an error of theirs cannot cancel itself out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scripts.clients_model import Asked, Turn

Json = dict[str, Any]
SIGNATURE = base64.b64encode(b"the scripted model's own thought").decode()


class Wire:
    """One protocol. `asked` raises `KeyError`, `TypeError` or `ValueError` where the request is not its own."""

    name: str
    base: str = "/v1"  # what its base URL ends in
    stream_type: str = "text/event-stream"

    def asked(self, path: str, body: Json) -> Asked:
        raise NotImplementedError

    def whole(self, asked: Asked, turn: Turn) -> Json:
        raise NotImplementedError

    def stream(self, asked: Asked, turn: Turn) -> Iterator[str]:
        raise NotImplementedError

    def error(self, status: int, message: str) -> Json:
        kind = "invalid_request_error" if status == 400 else "server_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}

    def failure(self, asked: Asked, message: str) -> str:
        """An error in the middle of a stream."""
        return sse(self.error(503, message))


@dataclass(frozen=True)
class Count:
    """How many tokens a turn counts as: a number that is neither 0 nor another's."""

    input: int
    output: int
    reasoning: int


def count(asked: Asked, turn: Turn) -> Count:
    arguments = "".join(call.arguments for call in turn.calls)
    thought = len(turn.thoughts) // 4
    return Count(
        7 + sum(len(said.text) for said in asked.said) // 4, thought + len(turn.text + arguments) // 4, thought
    )


def text_of(content: Any) -> str:
    """A string, or the texts of a list of parts."""
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if "text" in part)
    return str(content or "")


def sse(value: Json, event: str = "") -> str:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(value, ensure_ascii=False)}\n\n"
