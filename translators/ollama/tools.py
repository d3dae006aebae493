"""Tools and the choice of one, both ways.

Ollama takes functions, and no choice: the model always may. `none` leaves the tools out, a choice of some leaves the
others out, and that one of them must be called is said to the model in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from ..body import typed
from ..foreign import untold
from ..hosted import CLIENT_TOOLS, loss_rule
from ..model import BadRequest, HostedTool, Request, Tool, ToolChoice
from ..policy import BALANCED_REJECT, INFO, STRICT_REJECT, STRICT_REJECT_WARN, WARN, Loss
from ..schema import ensure_object
from .wire import CHOICE, NAME, TOOLS, Json, WireTool

# ------------------------------------------------------------------------------------------------ wire to neutral

_CHOICES: dict[str, ToolChoice] = {
    "auto": ToolChoice("auto"),
    "none": ToolChoice("none"),
    "required": ToolChoice("required"),
    "any": ToolChoice("required"),
}


def parse_tools(fields: Mapping[str, Raw]) -> list[Tool | HostedTool]:
    if "tools" not in fields:
        return []
    found: list[WireTool] = typed(fields, "tools", TOOLS)
    return [_parse_tool(wire) for wire in found]


def _parse_tool(wire: WireTool) -> Tool:
    function = wire.function
    schema = function.parameters if isinstance(function.parameters, dict) else None
    return Tool(function.name, function.description, schema)


def parse_choice(fields: Mapping[str, Raw]) -> ToolChoice | None:
    """Not Ollama's own: clients that know other servers send OpenAI's."""
    if "tool_choice" not in fields:
        return None
    value = typed(fields, "tool_choice", CHOICE)
    if not isinstance(value, str):
        return ToolChoice("named", (value.function.name,))
    if value not in _CHOICES:
        raise BadRequest(f"tool_choice: {value!r} must be auto, none, required or an object", "tool_choice")
    return _CHOICES[value]


# ------------------------------------------------------------------------------------------------ neutral to wire


def render_tools(request: Request, losses: list[Loss]) -> tuple[list[Json], str]:
    """The tools that the model may call, and what it must be told about them."""
    tools: dict[str, Json] = {}
    dropped: list[tuple[HostedTool, str]] = []
    for index, tool in enumerate(request.tools):
        path = f"tools[{index}]"
        rendered = _hosted(tool, path, losses) if isinstance(tool, HostedTool) else _tool(tool, path, losses)
        if rendered is None and isinstance(tool, HostedTool):
            dropped.append((tool, path))
        elif tool.name in tools:
            losses.append(Loss(path, "dropped", f"a tool named {tool.name!r} is declared already", WARN))
        elif rendered is not None:
            tools[tool.name] = rendered
    for hosted, path in dropped:
        why = f"the target has no {hosted.family} that it runs itself"
        losses.append(Loss(path, "dropped", why, loss_rule(hosted, request.tool_choice, bool(tools))))
    if request.parallel_tools is False and tools:
        losses.append(Loss("parallel_tools", "dropped", "Ollama has no setting for parallel calls", WARN))
    return _chosen(request.tool_choice, tools, losses)


def _hosted(tool: HostedTool, path: str, losses: list[Loss]) -> Json | None:
    """Anthropic's tools that the client runs are functions here; None: one that the provider was to run."""
    if tool.family not in CLIENT_TOOLS:
        return None
    description, schema = CLIENT_TOOLS[tool.family]
    losses.append(Loss(path, "emulated", f"{tool.family} is declared as an ordinary function", INFO))
    return _function(tool.name, description, schema)


def _tool(tool: Tool, path: str, losses: list[Loss]) -> Json:
    losses += untold(tool, path, NAME)
    if tool.strict:
        why = "Ollama cannot hold to a tool's schema strictly"
        losses.append(Loss(f"{path}.strict", "dropped", why, STRICT_REJECT))
    if tool.cache is not None:
        losses.append(Loss("cache_control", "dropped", "the target takes no cache breakpoints", INFO))
    return _function(tool.name, tool.description, ensure_object(tool.schema))


def _function(name: str, description: str | None, schema: Json) -> Json:
    function: Json = {"name": name}
    if description is not None:
        function["description"] = description
    function["parameters"] = schema
    return {"type": "function", "function": function}


def _chosen(choice: ToolChoice | None, tools: Mapping[str, Any], losses: list[Loss]) -> tuple[list[Json], str]:
    everything = list(tools.values())
    if choice is None or choice.kind == "auto" or not tools:
        return everything, ""
    if choice.kind == "none":
        losses.append(Loss("tool_choice", "emulated", "Ollama has no such setting; the tools are left out", INFO))
        return [], ""
    left = everything
    if choice.names:
        names = [name for name in tools if name in choice.names]
        if len(names) < len(set(choice.names)):
            why = "it names a tool that is not among those declared to the target"
            losses.append(Loss("tool_choice", "dropped", why, BALANCED_REJECT))
        if not names:
            return everything, ""
        left = [tools[name] for name in names]
    if choice.kind == "allowed" and not choice.required:
        losses.append(Loss("tool_choice", "emulated", "Ollama has no such setting; other tools are left out", INFO))
        return left, ""
    why = "Ollama cannot force a call; the model is told in words that it must"
    losses.append(Loss("tool_choice", "emulated", why, STRICT_REJECT_WARN))
    said = " or ".join(str(tool["function"]["name"]) for tool in left) if len(left) < len(everything) else ""
    return left, f"You must answer with a call of the tool {said}." if said else "You must answer with a tool call."
