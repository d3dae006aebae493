"""Tools whose form only OpenAI's models know, and which the client runs: shells, patches, the search among tools.

Towards a target that has none of them each is a function with the same arguments; its calls and results are those of a
function in the history, and what the model calls becomes an item of the tool's own type again. A `raw` in `extra` keeps
how the client wrote it, for targets of this protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..media import blob_of_url
from ..model import Blob, Image, Part, Text, Tool, ToolCall, ToolResult
from .wire import NAME, Json, dumps

_ANY = msgspec.json.Decoder()

_TEXT: Json = {"type": "string"}
_TEXTS: Json = {"type": "array", "items": _TEXT}
_COUNT: Json = {"type": "integer"}


def _object(required: list[str], **properties: Any) -> Json:
    return {"type": "object", "properties": properties, "required": required}


# type -> what the function is called, what it does, its arguments
_TOOLS: dict[str, tuple[str, str, Json]] = {
    "local_shell": (
        "local_shell",
        "Run a command on the user's machine. `command` is the program and its arguments.",
        _object(["command"], command=_TEXTS, workdir=_TEXT, timeout_ms=_COUNT),
    ),
    "shell": (
        "shell",
        "Run shell commands on the user's machine, one after the other.",
        _object(["commands"], commands=_TEXTS, timeout_ms=_COUNT, max_output_length=_COUNT),
    ),
    "apply_patch": (
        "apply_patch_op",
        "Create, update or delete one file. `diff` is the change in the V4A diff format; a deletion needs none.",
        _object(
            ["operation"],
            operation=_object(
                ["type", "path"],
                type={"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
                path=_TEXT,
                diff=_TEXT,
            ),
        ),
    ),
}
_PREFIXES = {"local_shell_call": "lsh_", "shell_call": "sh_", "apply_patch_call": "apc_", "computer_call": "cu_"}
CALLS = frozenset(_PREFIXES)
OUTPUTS = frozenset(f"{kind}_output" for kind in CALLS)


def tool_of(raw: Json) -> Tool | None:
    """The declaration as a function; None where it is none of these, or runs in a container of the provider's."""
    kind = str(raw.get("type"))
    known = _TOOLS.get(kind)
    place = raw.get("environment")
    if known is None or (isinstance(place, dict) and place.get("type") not in (None, "local")):
        return None
    name, description, schema = known
    return Tool(name, description, schema, extra={NAME: {"raw": raw}})


def item_type(tool: Tool) -> str | None:
    """The type of the items in which a client wants the calls of its tool; None for a plain function."""
    raw = tool.extra.get(NAME, {}).get("raw")
    return f"{raw.get('type')}_call" if isinstance(raw, dict) else None


def prefix(kind: str) -> str:
    return _PREFIXES[kind]


# ------------------------------------------------------------------------------------------------ from the wire


def call_of(kind: str, raw: Json, ids: bool) -> ToolCall:
    """A call as one of the function."""
    family = kind.removesuffix("_call")
    known = _TOOLS.get(family)
    arguments = _arguments(kind, raw)
    id = str(raw.get("call_id") or raw.get("id") or f"{family}_0")
    return ToolCall(id, known[0] if known else family, dumps(arguments), extra={NAME: {"raw": raw}} if ids else {})


def _arguments(kind: str, raw: Json) -> Json:
    if kind == "apply_patch_call":
        return {"operation": raw.get("operation") or {}}
    action = raw.get("action")
    said = {name: value for name, value in action.items() if value is not None} if isinstance(action, dict) else {}
    if kind == "computer_call":
        return said or {"actions": raw.get("actions") or []}
    said.pop("type", None)
    if "working_directory" in said:
        said["workdir"] = said.pop("working_directory")
    return said


def result_of(raw: Json, id: str) -> ToolResult:
    """What such a call gave, as a function's result."""
    output = raw.get("output")
    failed = raw.get("status") == "failed"
    return ToolResult(id, tuple(_parts(output)), error=failed, extra={NAME: {"raw": raw}})


def _parts(output: Any) -> list[Part]:
    if isinstance(output, str):
        return [Text(output)] if output else []
    if isinstance(output, Mapping):  # a screenshot
        url, id = output.get("image_url"), output.get("file_id")
        if isinstance(url, str):
            return [Image(blob_of_url(url))]
        return [Image(Blob(file_id=str(id)), extra={NAME: {}})] if id else [Text(dumps(output))]
    if isinstance(output, list):
        return [Text("\n\n".join(filter(None, map(_ran, output))))]
    return []


def _ran(one: Any) -> str:
    """What a command wrote, and how it ended where that was not well."""
    if not isinstance(one, dict):
        return dumps(one)
    end = one.get("outcome")
    said = [text for name in ("stdout", "stderr") if isinstance(text := one.get(name), str) and text]
    if isinstance(end, dict) and end.get("type") == "timeout":
        said.append("[timed out]")
    elif isinstance(end, dict) and end.get("exit_code"):
        said.append(f"[exit code {end['exit_code']}]")
    return "\n".join(said)


# ------------------------------------------------------------------------------------------------ to the wire


def call_item(head: Json, kind: str, text: str) -> Json:
    """The item of a call. `head`: its id, type, status and call id; `text`: the arguments, "" where they still come."""
    arguments = loaded(text)
    if kind == "tool_search_call":
        return {**head, "execution": "client", "arguments": arguments}
    if kind == "apply_patch_call":
        operation = arguments.get("operation", arguments)
        return {**head, "operation": operation if isinstance(operation, dict) else {}}
    action = {name: value for name, value in arguments.items() if value is not None}
    if kind == "local_shell_call":
        command = _texts(action.pop("command", []), ["bash", "-lc"])
        place = action.pop("workdir", None)
        where = {"working_directory": place} if place is not None else {}
        return {**head, "action": {"type": "exec", "command": command, "env": {}, **where, **action}}
    return {**head, "action": {**action, "commands": _texts(action.pop("commands", []), [])}}


def _texts(value: Any, shell: list[str]) -> list[str]:
    """A list of texts; a model may give one alone, as it would be typed."""
    if isinstance(value, str):
        return [*shell, value]
    return [item if isinstance(item, str) else dumps(item) for item in value] if isinstance(value, list) else []


def loaded(text: str) -> Json:
    """The arguments as an object, whatever the model made of them."""
    try:
        found = _ANY.decode(text) if text else {}
    except msgspec.DecodeError:
        found = text
    return found if isinstance(found, dict) else {"query": found}
