"""What an upstream answers, written by the facts of its protocol: one template each, whole and as a stream.

Nothing here comes from our own codecs.
"""

from __future__ import annotations

from typing import Protocol

from tests.addons.sdks.said import Say
from tests.addons.sdks.wires_base import Json
from tests.addons.sdks.wires_native import Claude, Gemini, Ollama
from tests.addons.sdks.wires_openai import Chat, Responses


class Template(Protocol):
    content_type: str

    def whole(self, say: Say) -> Json:
        """The body of an answer in one piece."""

    def frames(self, say: Say) -> list[str]:
        """The pieces of a stream."""

    def trouble(self, kind: str) -> tuple[int, Json, dict[str, str]]:
        """An error: status, body, headers."""

    def late(self, number: int) -> str:
        """The frame of an error in a begun stream, behind `number` others."""


TEMPLATES: dict[str, Template] = {
    "openai-chat": Chat(),
    "openai-responses": Responses(),
    "anthropic": Claude(),
    "gemini": Gemini(),
    "ollama": Ollama(),
}
