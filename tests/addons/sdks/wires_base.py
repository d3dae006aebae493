"""What the templates of the five protocols share."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]
MODEL = "the-real-model"
MESSAGES = {  # of errors, by their kind in `said`
    "limited": "Slow down.",
    "bad": "That field is wrong.",
    "busy": "Overloaded.",
    "locked": "Wrong key.",
    "lost": "No such model.",
    "breaks": "It broke.",
}


def dumps(value: Any) -> str:
    """JSON as servers write it: U+2028 escaped, since what reads lines may take it for the end of one."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("\u2028", "\\u2028")


def pieces(text: str, size: int = 3) -> list[str]:
    return [text[n : n + size] for n in range(0, len(text), size)]
