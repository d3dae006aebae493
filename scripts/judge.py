"""What a client got, judged by its own protocol: a whole answer, an honest error, or neither.

Written from the protocols, without a codec of ours: these are the judges of the fault suite and of the soak.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

ANSWER, ERROR = "answer", "error"

Json = Any


def _openai_error(value: Json) -> bool:
    error = value["error"]
    return isinstance(error["message"], str) and isinstance(error["type"], str) and "code" in error and "param" in error


ERROR_BODY: dict[str, Callable[[Json], bool]] = {
    "openai-chat": _openai_error,
    "openai-responses": _openai_error,
    "anthropic": lambda value: value["type"] == "error" and bool(value["error"]["type"] and value["error"]["message"]),
    "gemini": lambda value: isinstance(value["error"]["code"], int) and bool(value["error"]["status"]),
    "ollama": lambda value: isinstance(value["error"], str) and bool(value["error"]),
}
WHOLE_ANSWER: dict[str, Callable[[Json], bool]] = {
    "openai-chat": lambda value: bool(value["choices"][0]["finish_reason"]),
    "openai-responses": lambda value: value["status"] in ("completed", "incomplete"),
    "anthropic": lambda value: bool(value["stop_reason"]),
    "gemini": lambda value: bool(value["candidates"][0]["finishReason"]),
    "ollama": lambda value: value["done"] is True,
}


def judge(protocol: str, streamed: bool, status: int, body: bytes) -> str:
    """`ANSWER`, `ERROR`, or what is wrong. `streamed`: the client asked for a stream."""
    try:
        if status >= 400:
            return ERROR if _holds(ERROR_BODY[protocol], json.loads(body)) else f"{status} out of shape"
        if status != 200:
            return f"status {status}"
        if streamed:
            return _STREAMS[protocol](body.decode())
        return ANSWER if _holds(WHOLE_ANSWER[protocol], json.loads(body)) else "a whole answer out of shape"
    except (ValueError, UnicodeDecodeError) as error:
        return f"unreadable: {error}"


def _holds(shape: Callable[[Json], bool], value: Json) -> bool:
    try:
        return shape(value)
    except (KeyError, TypeError, IndexError):
        return False


def _events(text: str) -> list[str]:
    """The data of the server-sent events; a comment is none."""
    blocks = text.replace("\r\n", "\n").split("\n\n")
    found = []
    for block in blocks:
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        data = [line[5:].removeprefix(" ") for line in lines if line.startswith("data:")]
        if lines:
            found.append("\n".join(data) if data else block)
    return found


def _chat(text: str) -> str:
    events = _events(text)
    if not events:
        return "an empty stream"
    if events[-1] == "[DONE]":
        finished = any(
            choice.get("finish_reason") for data in events[:-1] for choice in json.loads(data).get("choices") or ()
        )
        return ANSWER if finished else _error_among(events[:-1])
    return _error_among(events)


def _error_among(events: list[str]) -> str:
    return ERROR if any("error" in json.loads(data) for data in events[-2:] if data != "[DONE]") else "a quiet cut"


def _typed(ends: dict[str, str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        events = _events(text)
        kind = json.loads(events[-1]).get("type") if events else None
        return ends.get(str(kind), f"a quiet cut after {kind}")

    return read


def _gemini(text: str) -> str:
    events = _events(text)
    if not events:
        return "an empty stream"
    last = json.loads(events[-1])
    if "error" in last:
        return ERROR if _holds(ERROR_BODY["gemini"], last) else "an error out of shape"
    return ANSWER if _holds(WHOLE_ANSWER["gemini"], last) else "a quiet cut"


def _ollama(text: str) -> str:
    lines = text.splitlines()
    if not lines:
        return "an empty stream"
    values = [json.loads(line) for line in lines]
    if "error" in values[-1]:
        return ERROR if _holds(ERROR_BODY["ollama"], values[-1]) else "an error out of shape"
    return ANSWER if values[-1].get("done") is True else "a quiet cut"


_STREAMS: dict[str, Callable[[str], str]] = {
    "openai-chat": _chat,
    "openai-responses": _typed(
        {
            "response.completed": ANSWER,
            "response.incomplete": ANSWER,
            "response.failed": ERROR,
            "error": ERROR,
        }
    ),
    "anthropic": _typed({"message_stop": ANSWER, "error": ERROR}),
    "gemini": _gemini,
    "ollama": _ollama,
}
