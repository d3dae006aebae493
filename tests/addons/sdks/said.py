"""The conversations, in the words of no protocol: what the model says, turn by turn.

A client asks for model `UPSTREAM-NAME`; NAME is a key of `TALKS`, and the number of assistant turns in the request says
which of its turns is due.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PROTOCOLS = ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama")

TEXT = 'Naïve 東京 🎉 — "ok" \u2028 \\ done'
THOUGHT = "Let me think — 雨?"
SYSTEM = "Be brief. Réponds vite."
# A PNG of one pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Say:
    """One answer. `end`: end, length, refusal (`text` is the refusal's), filter (the provider's own filter)."""

    text: str = ""
    thought: str = ""
    calls: tuple[Call, ...] = ()
    end: str = "end"

    @property
    def completion(self) -> int:
        return 9

    @property
    def reasoning(self) -> int:
        return 4 if self.thought else 0


PROMPT, CACHED = 20, 8  # tokens; the first holds the second


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def schema(self) -> dict[str, Any]:
        names = list(self.properties)
        return {"type": "object", "properties": self.properties, "required": names, "additionalProperties": False}


WEATHER = Tool("get_weather", "The weather of a city.", {"city": {"type": "string", "description": "Its name."}})
CLOCK = Tool("get_time", "The time.", {"zone": {"type": "string", "description": "A zone."}})
TOOLS = (WEATHER, CLOCK)

CITY = Call("call_a", "get_weather", {"city": 'Łódź "x" 🎉'})
ZONE = Call("call_b", "get_time", {"zone": "CET"})

ANSWER = {"city": "Łódź", "days": [1, 2]}
ANSWER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}},
    "required": ["city", "days"],
    "additionalProperties": False,
}

TALKS: dict[str, tuple[Say, ...]] = {
    "text": (Say(TEXT), Say("Once more.")),
    "call": (Say("I look.", calls=(CITY,)), Say("It rains.")),
    "bare-call": (Say(calls=(CITY,)), Say("It rains.")),
    "parallel": (Say(calls=(CITY, ZONE)), Say("Rain at noon.")),
    "twice": (Say(calls=(CITY,)), Say("And now the time.", calls=(ZONE,)), Say("Rain at noon.")),
    "json": (Say('{"city": "Łódź", "days": [1, 2]}'),),
    "think": (Say(TEXT, THOUGHT), Say("Once more.", THOUGHT)),
    "think-call": (Say("", THOUGHT, (CITY,)), Say("It rains.", THOUGHT)),
    "length": (Say("Half a sen", end="length"),),
    "refusal": (Say("I can't help with that.", end="refusal"),),
    "filter": (Say(end="filter"),),
    "image": (Say("A pixel."),),
}

# Model names of trouble: what kind of error the upstream answers with, or how a begun stream goes wrong.
ERRORS = ("limited", "bad", "busy", "locked", "lost")
BROKEN = ("breaks", "cut", "stumbles")
