"""Tools that a provider runs, or whose schema only its models know, for a target that has no such thing."""

from __future__ import annotations

from .model import HostedTool, ToolChoice
from .policy import BALANCED_REJECT, REJECT, STRICT_REJECT, Rule
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
