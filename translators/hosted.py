"""Tools that a provider runs, or whose schema only its models know, for a target that has no such thing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from .model import HostedTool, Opaque, Part, ServerTool, ToolChoice
from .policy import BALANCED_REJECT, INFO, REJECT, STRICT_REJECT, STRICT_REJECT_WARN, WARN, Loss, Rule
from .schema import Schema

# What becomes of a tool that the provider was to run. None: as for web search, it depends on what is left.
_RULES: dict[str, Rule | None] = {
    "web_search": None,
    "web_fetch": None,
    "code_interpreter": BALANCED_REJECT,
    "code_execution": BALANCED_REJECT,
    "file_search": REJECT,
    "image_generation": STRICT_REJECT,
    "mcp": BALANCED_REJECT,
    "computer": REJECT,
    "browser": REJECT,
    "tool_search": STRICT_REJECT,  # all tools are declared, so there is nothing to search
}


def family_of(kind: str) -> str:
    """The family of a declared type: `web_search_preview_2025_03_11`, `openrouter:web_search` and the like."""
    name = kind.rpartition(":")[2]
    return next((family for family in _RULES if name.startswith(family)), name)


def loss_rule(tool: HostedTool, choice: ToolChoice | None, others: bool) -> Rule:
    """What it means to leave the tool out. `others`: there are tools left."""
    rule = _RULES.get(tool.family, BALANCED_REJECT)
    if rule is not None:
        return rule
    forced = choice is not None and (tool.name in choice.names or (choice.kind == "required" and not others))
    return BALANCED_REJECT if forced or not others else STRICT_REJECT


class Search(Struct, frozen=True):
    """What can be said of a search of the web, whoever runs it. Domains are bare names."""

    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    place: Mapping[str, str] = {}  # city, region, country, timezone
    size: str | None = None  # how much of what is found the model reads: low, medium, high
    uses: int | None = None


_PLACE = ("city", "region", "country", "timezone")
_SCHEME = re.compile(r"^[a-z]+://", re.IGNORECASE)


def search_of(tool: HostedTool) -> Search:
    """The options of a search, from the declaration of whichever protocol."""
    raw = tool.raw
    nested = (raw.get(name) for name in ("web_search_options", "googleSearch"))
    options = next((found for found in nested if isinstance(found, dict)), raw)
    filters = options.get("filters")
    filters = filters if isinstance(filters, dict) else options
    place = options.get("user_location")
    place = place if isinstance(place, dict) else {}
    place = place["approximate"] if isinstance(place.get("approximate"), dict) else place
    size, uses = options.get("search_context_size"), options.get("max_uses")
    return Search(
        _domains(filters.get("allowed_domains")),
        _domains(filters.get("blocked_domains") or options.get("excludeDomains")),
        {name: said for name in _PLACE if isinstance(said := place.get(name), str) and said},
        size if isinstance(size, str) else None,
        uses if isinstance(uses, int) else None,
    )


def _domains(said: Any) -> tuple[str, ...]:
    found = said if isinstance(said, list) else []
    return tuple(_SCHEME.sub("", name).rstrip("/") for name in found if isinstance(name, str) and name.strip())


def lost_options(search: Search, takes: frozenset[str], path: str) -> Iterator[Loss]:
    """A loss for each option that the target's search has no place for. `takes`: names of fields of `Search`."""
    for name, (wire, rule) in _OPTION_RULES.items():
        if name not in takes and getattr(search, name):
            yield Loss(f"{path}.{wire}", "dropped", f"the target's search takes no {wire}", rule)


# field of `Search` -> what clients call it, and the rule
_OPTION_RULES: dict[str, tuple[str, Rule]] = {
    "allowed": ("allowed_domains", STRICT_REJECT_WARN),
    "blocked": ("blocked_domains", STRICT_REJECT_WARN),
    "place": ("user_location", INFO),
    "size": ("search_context_size", INFO),
    "uses": ("max_uses", WARN),
}


def _object(required: list[str], **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": required}


_TEXT: Schema = {"type": "string"}
_EDITS = ["view", "create", "str_replace", "insert"]
_EDITOR: Schema = {
    "path": _TEXT,
    "file_text": _TEXT,
    "old_str": _TEXT,
    "new_str": _TEXT,
    "insert_line": {"type": "integer"},
    "insert_text": _TEXT,
    "view_range": {"type": "array", "items": {"type": "integer"}},
}
# Anthropic's tools that the client runs: what the model knows by heart there must be said here.
CLIENT_TOOLS: dict[str, tuple[str, Schema]] = {
    "bash": (
        "Run a command in a bash session that persists between calls. `restart` starts the session anew.",
        _object([], command=_TEXT, restart={"type": "boolean"}),
    ),
    "text_editor": (
        "View, create and edit text files. `view_range` holds the first and the last line.",
        _object(["command", "path"], command={"type": "string", "enum": _EDITS}, **_EDITOR),
    ),
    "memory": (
        "Keep notes in files under /memories between conversations.",
        _object(
            ["command"],
            command={"type": "string", "enum": [*_EDITS, "delete", "rename"]},
            **_EDITOR,
            old_path=_TEXT,
            new_path=_TEXT,
        ),
    ),
}


def foreign(part: Part, client: str) -> list[Loss]:
    """What only another protocol can replay of an answer: the client has it in the words around it at best."""
    match part:
        case ServerTool() if client not in part.extra:
            what = part.family
        case Opaque() if client != part.protocol:
            what = part.kind
        case _:
            return []
    return [Loss(f"answer.{what}", "approximated", f"the client's protocol has no such {what}", INFO)]
