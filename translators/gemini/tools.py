"""Tools and the choice among them, both ways.

All functions of a request stand in one tool object, each tool that Google runs in one of its own. Schemas go out in
`parametersJsonSchema`, which takes nearly all of JSON Schema; clients may also send the older `parameters`, in the
dialect of OpenAPI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from ..body import generic, typed
from ..codec import Traits
from ..folding import fold_root
from ..foreign import untold
from ..hosted import CLIENT_TOOLS, loss_rule, lost_options, search_of
from ..model import BadRequest, HostedTool, Request, Tool, ToolChoice
from ..policy import BALANCED_REJECT, INFO, STRICT_REJECT, STRICT_REJECT_WARN, WARN, Loss
from ..schema import Schema, ensure_object
from .dialect import for_gemini, from_openapi
from .reasoning import LEVEL
from .wire import DECLARATIONS, NAME, TOOL_CONFIG, TOOLS, Json, WireDeclaration, own

# Google's tools: wire name -> family, and the families that it has a tool for
_FAMILIES_IN: dict[str, str] = {
    "googleSearch": "web_search",
    "googleSearchRetrieval": "web_search",
    "urlContext": "web_fetch",
    "codeExecution": "code_execution",
    "fileSearch": "file_search",
    "computerUse": "computer",
    "mcpServers": "mcp",
    "googleMaps": "google_maps",
}
_FAMILIES_OUT: dict[str, str] = {
    "web_search": "googleSearch",
    "web_fetch": "urlContext",
    "code_execution": "codeExecution",
    "code_interpreter": "codeExecution",
}

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_tools(fields: Mapping[str, Raw]) -> list[Tool | HostedTool]:
    if "tools" not in fields:
        return []
    tools: list[Tool | HostedTool] = []
    entries: list[dict[str, Raw]] = typed(fields, "tools", TOOLS)
    for index, entry in enumerate(entries):
        for name, raw in entry.items():
            if name == "functionDeclarations":
                path = f"tools[{index}].{name}"
                tools += [_function(declared) for declared in typed({path: raw}, path, DECLARATIONS)]
            else:
                family = _FAMILIES_IN.get(name, name)
                tools.append(HostedTool(family, family, NAME, {name: generic(raw)}))
    return tools


def _function(declared: WireDeclaration) -> Tool:
    schema: Schema | None = None
    if isinstance(declared.parameters_json_schema, dict):
        schema = declared.parameters_json_schema
    elif declared.parameters is not None:
        schema = from_openapi(declared.parameters)
    said = {
        "behavior": declared.behavior,
        "response": declared.response,
        "responseJsonSchema": declared.response_json_schema,
    }
    facts = {name: value for name, value in said.items() if value is not None}
    return Tool(declared.name, declared.description, schema, extra={NAME: facts} if facts else {})


def parse_choice(fields: Mapping[str, Raw]) -> ToolChoice | None:
    if "toolConfig" not in fields:
        return None
    calling = typed(fields, "toolConfig", TOOL_CONFIG).function_calling_config
    if calling is None:
        return None
    mode, names = (calling.mode or "MODE_UNSPECIFIED").upper(), tuple(calling.allowed_function_names or ())
    match mode:
        case "ANY" if len(names) == 1:
            return ToolChoice("named", names)
        case "ANY":
            return ToolChoice("allowed", names, True) if names else ToolChoice("required")
        case "AUTO" | "VALIDATED":  # the latter holds the calls to their schemas
            return ToolChoice("allowed", names) if names else ToolChoice("auto")
        case "NONE":
            return ToolChoice("none")
        case "MODE_UNSPECIFIED":
            return None
    path = "toolConfig.functionCallingConfig.mode"
    raise BadRequest(f"{path}: {mode!r} must be one of AUTO, ANY, NONE, VALIDATED", path)


# ------------------------------------------------------------------------------------------------ neutral to wire


def render_tools(request: Request, traits: Traits, losses: list[Loss]) -> Json:
    """The fields `tools` and `toolConfig`, as far as there are any."""
    functions: dict[str, Json] = {}
    hosted: list[tuple[HostedTool, str]] = []
    wanted = _auto_allowed(request.tool_choice)
    for index, tool in enumerate(request.tools):
        path = f"tools[{index}]"
        if isinstance(tool, HostedTool) and tool.family not in CLIENT_TOOLS:
            hosted.append((tool, path))
        elif tool.name in functions:
            losses.append(Loss(path, "dropped", f"a tool named {tool.name!r} is declared already", WARN))
        elif wanted is None or tool.name in wanted:  # Gemini allows some of the tools only where it demands one
            functions[tool.name] = _declared(tool, path, losses)
    out: list[Json] = [{"functionDeclarations": list(functions.values())}] if functions else []
    out += _hosted(hosted, bool(functions), request.tool_choice, traits, losses)
    if request.parallel_tools is False and functions:
        why = "Gemini has no setting for parallel calls"
        losses.append(Loss("parallel_tool_calls", "dropped", why, STRICT_REJECT))
    if not out:
        return {}
    calling = _calling(request.tool_choice, functions, losses) if functions else None
    return {"tools": out, "toolConfig": {"functionCallingConfig": calling}} if calling else {"tools": out}


def _auto_allowed(choice: ToolChoice | None) -> tuple[str, ...] | None:
    return choice.names if choice is not None and choice.kind == "allowed" and not choice.required else None


def _declared(tool: Tool | HostedTool, path: str, losses: list[Loss]) -> Json:
    if isinstance(tool, HostedTool):
        description, schema = CLIENT_TOOLS[tool.family]
        losses.append(Loss(path, "emulated", f"{tool.family} is declared as an ordinary function", INFO))
        return {"name": tool.name, "description": description, "parametersJsonSchema": schema}
    losses += untold(tool, path, NAME)
    out: Json = {"name": tool.name, **own(tool.extra)}
    if tool.description:
        out["description"] = tool.description
    if tool.schema:
        schema, folded = fold_root(tool.schema)
        if folded:
            why = "anyOf, oneOf and allOf at the root of a schema are folded into one object"
            losses.append(Loss(f"{path}.parameters", "approximated", why, INFO))
        out["parametersJsonSchema"], removed = for_gemini(ensure_object(schema))
        if removed:
            why = f"{', '.join(removed)}: not in Gemini's schemas, said in descriptions"
            losses.append(Loss(f"{path}.parameters", "approximated", why, INFO))
    if tool.strict:
        losses.append(Loss(f"{path}.strict", "dropped", "Gemini cannot hold to a schema strictly", INFO))
    if tool.cache is not None:
        losses.append(Loss("cache_control", "dropped", "Gemini caches by itself", INFO))
    return out


def _hosted(
    found: list[tuple[HostedTool, str]], functions: bool, choice: ToolChoice | None, traits: Traits, losses: list[Loss]
) -> list[Json]:
    """Google's own tools. Before Gemini 3 they do not go together with functions."""
    out: list[Json] = []
    for tool, path in found:
        name = _FAMILIES_OUT.get(tool.family) if traits.search else None
        if tool.protocol == NAME:
            out.append(tool.raw)
        elif name is not None and (not functions or traits.reasoning == LEVEL):
            losses.append(Loss(path, "approximated", f"{tool.family} became Google's {name}", INFO))
            losses += lost_options(search_of(tool), frozenset(), path) if tool.family == "web_search" else ()
            if {name: {}} not in out:
                out.append({name: {}})
        else:
            why = f"the target runs no {tool.family}" + (" beside functions" if name else "")
            losses.append(Loss(path, "dropped", why, loss_rule(tool, choice, functions)))
    return out


def _calling(choice: ToolChoice | None, functions: Mapping[str, Any], losses: list[Loss]) -> Json | None:
    if choice is None:
        return None
    known = [name for name in choice.names if name in functions]
    if len(known) < len(choice.names):
        why = "it names a tool that is not among those declared to the target"
        losses.append(Loss("tool_choice", "dropped", why, BALANCED_REJECT))
    match choice.kind:
        case "auto":
            return {"mode": "AUTO"}
        case "none":
            return {"mode": "NONE"}
        case "required":
            return {"mode": "ANY"}
        case "allowed" if not choice.required:
            why = "only the tools that may be called are declared"
            losses.append(Loss("tool_choice", "emulated", why, STRICT_REJECT_WARN))
            return {"mode": "AUTO"}
        case _:
            return {"mode": "ANY", "allowedFunctionNames": known} if known else None
