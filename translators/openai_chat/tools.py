"""Tools and the choice of one, both ways.

Chat has functions and custom (freeform) tools; for targets that know functions only, the latter have become some before
they come here. Tools that a provider runs have no place but web search; those whose schema is known and which the
client runs itself (Anthropic's bash, text editor and memory) go out as the functions that they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from ..body import generic, typed
from ..codec import Traits
from ..foreign import untold
from ..hosted import CLIENT_TOOLS, family_of, loss_rule
from ..model import BadRequest, HostedTool, Request, Tool, ToolChoice
from ..policy import BALANCED_REJECT, INFO, STRICT_REJECT, STRICT_REJECT_WARN, WARN, Losses
from ..schema import ensure_object, is_strict
from .parts import Json, mark_of
from .wire import (
    CHOICE,
    NAME,
    OBJECT,
    TOOL,
    TOOL_BODY,
    TOOLS,
    WireChoice,
    WireChoiceName,
    WireFormat,
    WireToolBody,
)

FIELDS = ("tools", "functions", "tool_choice", "function_call", "web_search_options")
LEGACY = "legacy"  # in a tool's extra: the client spoke of `functions`

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_tools(fields: Mapping[str, Raw]) -> list[Tool | HostedTool]:
    tools: list[Tool | HostedTool] = []
    if "tools" in fields:
        declared: list[Raw] = typed(fields, "tools", TOOLS)
        for index, raw in enumerate(declared):
            tools.append(_parse_tool(raw, f"tools[{index}]"))
    if "functions" in fields:
        functions: list[Raw] = typed(fields, "functions", TOOLS)
        for index, raw in enumerate(functions):
            body = _decode(raw, f"functions[{index}]", TOOL_BODY)
            tools.append(_function(body, {NAME: {LEGACY: True}}))
    if "web_search_options" in fields:
        options = typed(fields, "web_search_options", OBJECT)
        tools.append(HostedTool("web_search", "web_search", NAME, {"web_search_options": options}))
    return tools


def _decode(raw: Raw, path: str, decoder: Any) -> Any:
    return typed({path: raw}, path, decoder)


def _parse_tool(raw: Raw, path: str) -> Tool | HostedTool:
    wire = _decode(raw, path, TOOL)
    mark = mark_of(wire.cache_control)
    if wire.custom is not None:
        return _custom(wire.custom, mark)
    if wire.function is not None:
        return _function(wire.function, {}, mark)
    if wire.type == "custom":
        return _custom(_decode(raw, path, TOOL_BODY), mark)
    if wire.type in ("function", None):  # Responses' shape, which some clients send here
        return _function(_decode(raw, path, TOOL_BODY), {}, mark)
    return HostedTool(family_of(wire.type), wire.name or wire.type, NAME, generic(raw))


def _function(body: WireToolBody, extra: dict[str, dict[str, Any]], mark: str | None = None) -> Tool:
    schema = body.parameters if isinstance(body.parameters, dict) else None
    mark = mark if mark is not None else mark_of(body.cache_control)
    return Tool(body.name, body.description, schema, body.strict, cache=mark, extra=extra)


def _custom(body: WireToolBody, mark: str | None) -> Tool:
    return Tool(body.name, body.description, custom=True, grammar=_grammar(body.format), cache=mark)


def _grammar(format: WireFormat | None) -> Json | None:
    """{syntax, definition}; None for free text."""
    if format is None:
        return None
    if format.grammar is not None:
        return {"syntax": format.grammar.syntax, "definition": format.grammar.definition}
    return {"syntax": format.syntax or "", "definition": format.definition} if format.definition is not None else None


_CHOICES: dict[str, ToolChoice] = {
    "auto": ToolChoice("auto"),
    "none": ToolChoice("none"),
    "required": ToolChoice("required"),
    "any": ToolChoice("required"),  # Cursor, and Mistral's own word
    "tool": ToolChoice("required"),  # Cursor, without a name
}


def parse_choice(fields: Mapping[str, Raw]) -> ToolChoice | None:
    name = next((name for name in ("tool_choice", "function_call") if name in fields), None)
    return _choice(typed(fields, name, CHOICE), name) if name is not None else None


def _named(word: str, path: str) -> ToolChoice:
    choice = _CHOICES.get(word)
    if choice is None:
        raise BadRequest(f"{path}: {word!r} is no choice of tools; it must be auto, none, required or an object", path)
    return choice


def _choice(value: str | WireChoice, path: str) -> ToolChoice:
    if isinstance(value, str):
        return _named(value, path)
    if value.allowed_tools is not None or value.type == "allowed_tools":
        allowed = value.allowed_tools
        tools, mode = (allowed.tools, allowed.mode) if allowed else (value.tools or [], value.mode)
        return ToolChoice("allowed", tuple(filter(None, map(_name_of, tools))), mode == "required")
    name = _name_of(value)
    if name is not None:
        return ToolChoice("named", (name,))
    return _named(value.type or "", path)


def _name_of(value: WireChoice) -> str | None:
    holder: WireChoice | WireChoiceName = value.function or value.custom or value
    return holder.name


# ------------------------------------------------------------------------------------------------ neutral to wire

def render_tools(request: Request, traits: Traits, losses: Losses) -> Json:
    """The fields `tools`, `tool_choice`, `parallel_tool_calls` and `web_search_options`, as far as there are any."""
    out: Json = {}
    tools: dict[str, Json] = {}
    dropped: list[tuple[HostedTool, str]] = []
    for index, tool in enumerate(request.tools):
        path = f"tools[{index}]"
        if isinstance(tool, HostedTool):
            if tool.protocol == NAME and "web_search_options" in tool.raw:
                out["web_search_options"] = tool.raw["web_search_options"]
                continue
            rendered = _hosted(tool, path, losses)
            if rendered is None:
                dropped.append((tool, path))
                continue
        else:
            rendered = _tool(tool, path, traits, losses)
        if tool.name in tools:
            losses.add(path, "dropped", f"a tool named {tool.name!r} is declared already", WARN)
        else:
            tools[tool.name] = rendered
    for hosted, path in dropped:
        rule = loss_rule(hosted, request.tool_choice, bool(tools))
        losses.add(path, "dropped", f"the target has no {hosted.family} that it runs itself", rule)
    if tools:
        out["tools"] = list(tools.values())
        _say_choice(request, tools, traits, losses, out)
    return out


def _hosted(tool: HostedTool, path: str, losses: Losses) -> Json | None:
    if tool.protocol == NAME:
        return tool.raw
    typed_tool = CLIENT_TOOLS.get(tool.family)
    if typed_tool is None:
        return None
    description, schema = typed_tool
    losses.add(path, "emulated", f"{tool.family} is declared as an ordinary function", INFO)
    return {"type": "function", "function": {"name": tool.name, "description": description, "parameters": schema}}


def _tool(tool: Tool, path: str, traits: Traits, losses: Losses) -> Json:
    for loss in untold(tool, path, NAME):
        losses.add(loss.path, loss.code, loss.why, loss.rule)
    if tool.cache is not None:
        losses.add("cache_control", "dropped", "the target takes no cache breakpoints on tools", INFO)
    if tool.custom:
        return {"type": "custom", "custom": _with_description(tool, _custom_format(tool))}
    function = _with_description(tool, {"parameters": ensure_object(tool.schema)})
    if tool.strict:
        if not traits.strict_tools:
            losses.add(f"{path}.strict", "dropped", "the target cannot hold to a schema strictly", STRICT_REJECT)
        elif not is_strict(function["parameters"]):
            why = "strict needs all properties required and additionalProperties false, which this schema is not"
            losses.add(f"{path}.strict", "dropped", why, WARN)
        else:
            function["strict"] = True
    return {"type": "function", "function": function}


def _with_description(tool: Tool, rest: Json) -> Json:
    head: Json = {"name": tool.name}
    if tool.description is not None:
        head["description"] = tool.description
    return {**head, **rest}


def _custom_format(tool: Tool) -> Json:
    return {"format": {"type": "grammar", "grammar": tool.grammar}} if tool.grammar else {}


def _say_choice(request: Request, tools: Mapping[str, Json], traits: Traits, losses: Losses, out: Json) -> None:
    choice = request.tool_choice
    if choice is not None:
        rendered = _render_choice(choice, tools, losses)
        thinks = request.reasoning is not None and request.reasoning.effort != "off"
        if rendered not in (None, "auto", "none") and thinks and not traits.forced_tools:
            why = "the model takes no forced tool while it thinks; it may choose"
            losses.add("tool_choice", "approximated", why, STRICT_REJECT_WARN)
            rendered = "auto"
        if rendered is not None:
            out["tool_choice"] = rendered
    if request.parallel_tools is None:
        return
    if not traits.parallel_tools or "parallel_tools" in traits.drop:
        rule = INFO if request.parallel_tools else STRICT_REJECT
        losses.add("parallel_tool_calls", "dropped", "the target has no setting for parallel calls", rule)
    else:
        out["parallel_tool_calls"] = request.parallel_tools


def _render_choice(choice: ToolChoice, tools: Mapping[str, Json], losses: Losses) -> Any:
    if choice.kind not in ("named", "allowed"):
        return choice.kind
    known = [name for name in choice.names if name in tools]
    if len(known) < len(choice.names):
        why = "it names a tool that is not among those declared to the target"
        losses.add("tool_choice", "dropped", why, BALANCED_REJECT)
    named = [_reference(name, tools[name]) for name in known]
    if not named:
        return None
    if choice.kind == "named" and len(named) == 1:
        return named[0]
    mode = "required" if choice.kind == "named" or choice.required else "auto"
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": named}}


def _reference(name: str, tool: Json) -> Json:
    kind = "custom" if tool.get("type") == "custom" else "function"
    return {"type": kind, kind: {"name": name}}
