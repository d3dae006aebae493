"""Tools and the choice among them, both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from ..body import typed
from ..codec import Traits
from ..folding import fold_root
from ..foreign import untold
from ..hosted import loss_rule, lost_options, search_of
from ..model import BadRequest, HostedTool, Request, Tool, ToolChoice
from ..policy import BALANCED_REJECT, INFO, STRICT_REJECT, STRICT_REJECT_WARN, WARN, Loss
from ..schema import ensure_object, for_structured_output
from .reasoning import Plan
from .wire import NAME, Cache, cache_control, cache_ttl, own, side


class ToolIn(Struct):
    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: Cache | None = None
    input_examples: Any = None
    eager_input_streaming: Any = None
    defer_loading: Any = None
    allowed_callers: Any = None


class ChoiceIn(Struct):
    type: str = "auto"
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


_TOOLS = msgspec.json.Decoder(list[ToolIn])
_GENERIC = msgspec.json.Decoder(list[dict[str, Any]])
_CHOICE = msgspec.json.Decoder(ChoiceIn)

# type without its date -> family
_FAMILIES = {
    "mcp_toolset": "mcp",
    "computer_toolset": "computer",
    "browser_toolset": "browser",
    "tool_search_tool_bm25": "tool_search",
    "tool_search_tool_regex": "tool_search",
    "text_editor": "text_editor",
}
_DATE = re.compile(r"_\d{8}$")

_KINDS_IN = {"auto": "auto", "any": "required", "none": "none"}
_KINDS_OUT = {"auto": "auto", "required": "any", "none": "none"}


# ------------------------------------------------------------------------------------------------ parsing


def parse_tools(fields: Mapping[str, Raw]) -> list[Tool | HostedTool]:
    """Raises `BadRequest`."""
    if "tools" not in fields:
        return []
    tools: list[Tool | HostedTool] = []
    found: list[ToolIn] = typed(fields, "tools", _TOOLS)
    for index, tool in enumerate(found):
        if tool.type not in (None, "custom") and tool.input_schema is None:
            tools.append(_hosted(typed(fields, "tools", _GENERIC)[index]))
        elif not tool.name:
            raise BadRequest(f"tools[{index}].name: Field required", f"tools[{index}].name")
        else:
            tools.append(_tool(tool.name, tool))
    return tools


def _tool(name: str, tool: ToolIn) -> Tool:
    extra = side(
        input_examples=tool.input_examples,
        eager_input_streaming=tool.eager_input_streaming,
        defer_loading=tool.defer_loading,
        allowed_callers=tool.allowed_callers,
    )
    cache = cache_ttl(tool.cache_control)
    return Tool(name, tool.description, tool.input_schema, tool.strict, cache=cache, extra=extra)


def _hosted(raw: dict[str, Any]) -> HostedTool:
    """A tool that Anthropic runs, or one whose schema only its models know (bash, text_editor, memory)."""
    kind = _DATE.sub("", str(raw.get("type")))
    family = _FAMILIES.get(kind, kind)
    return HostedTool(family, str(raw.get("name") or family), NAME, raw)


def parse_choice(fields: Mapping[str, Raw]) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether several tools may be called at once. Raises `BadRequest`."""
    if "tool_choice" not in fields:
        return None, None
    choice = typed(fields, "tool_choice", _CHOICE)
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    if choice.type == "tool":
        if not choice.name:
            raise BadRequest("tool_choice.name: Field required", "tool_choice.name")
        return ToolChoice("named", (choice.name,)), parallel
    kind = _KINDS_IN.get(choice.type)
    if kind is None:
        raise BadRequest("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'", "tool_choice.type")
    return ToolChoice(kind), parallel  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ rendering

# families that another protocol declares -> type and name of Anthropic's own tool
_HOSTED: dict[str, tuple[str, str]] = {
    "web_search": ("web_search_20250305", "web_search"),
    "web_fetch": ("web_fetch_20250910", "web_fetch"),
    "code_execution": ("code_execution_20250825", "code_execution"),
    "code_interpreter": ("code_execution_20250825", "code_execution"),
}
_SEARCH_OPTIONS = frozenset({"allowed", "blocked", "place", "uses"})


class Choice(Struct):
    """How the model shall choose. `only`: the tools that it may see, where that is not all of them; `reminder`: what
    the user's turn says instead of a choice that the model does not take."""

    wire: dict[str, Any] | None = None
    forced: bool = False
    only: tuple[str, ...] | None = None
    reminder: str = ""


def render_choice(request: Request, traits: Traits, made: Plan, losses: list[Loss]) -> Choice:
    choice = request.tool_choice
    if not request.tools:
        if choice is not None and choice.kind in ("required", "named"):
            losses.append(Loss("tool_choice", "dropped", "there are no tools to choose from", INFO))
        return Choice()
    if choice is not None and choice.names:
        own_names = {tool.name: _own_name(tool) for tool in request.tools}
        choice = replace(choice, names=tuple([own_names.get(name, name) for name in choice.names]))
    out = _chosen(choice, losses) if choice is not None else Choice()
    if out.forced and not traits.forced_tools and (made.thinking or {}).get("type") != "disabled":
        _ask(out, choice, losses)
    if request.parallel_tools is False and (out.wire is None or out.wire["type"] != "none"):
        _one_at_a_time(out, traits, losses)
    return out


def _one_at_a_time(out: Choice, traits: Traits, losses: list[Loss]) -> None:
    if traits.parallel_tools:
        out.wire = {**(out.wire or {"type": "auto"}), "disable_parallel_tool_use": True}
    else:
        why = "this model cannot be told to call one tool at a time"
        losses.append(Loss("parallel_tools", "dropped", why, STRICT_REJECT))


def _chosen(choice: ToolChoice, losses: list[Loss]) -> Choice:
    match choice.kind:
        case "named" if len(choice.names) == 1:
            return Choice({"type": "tool", "name": choice.names[0]}, True)
        case "named":
            return Choice({"type": "any"}, True, choice.names)
        case "allowed":
            why = "Anthropic has no list of allowed tools; the others are not declared"
            losses.append(Loss("tool_choice", "approximated", why, WARN))
            return Choice({"type": "any" if choice.required else "auto"}, choice.required, choice.names)
        case kind:
            return Choice({"type": _KINDS_OUT[kind]}, kind == "required")


def _ask(out: Choice, choice: ToolChoice | None, losses: list[Loss]) -> None:
    """Say in words that a tool must be called."""
    named = choice.names if choice is not None else ()
    out.reminder = f"You must call the tool {named[0]} now." if len(named) == 1 else "You must call a tool now."
    out.wire, out.forced = {"type": "auto"}, False
    why = "the model cannot be forced to call a tool; it is asked in words"
    losses.append(Loss("tool_choice", "emulated", why, ("reject", "warn", "warn")))


def render_tools(request: Request, choice: Choice, traits: Traits, losses: list[Loss]) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = []
    names: set[str] = set()
    dropped: list[tuple[HostedTool, str]] = []
    for index, tool in enumerate(request.tools):
        path = f"tools[{index}]"
        name = _own_name(tool)
        if choice.only is not None and name not in choice.only:
            continue
        if name in names:
            losses.append(Loss(path, "dropped", f"a second tool is called {name!r}", WARN))
            continue
        shape = _hosted_shape(tool, path, traits, losses) if isinstance(tool, HostedTool) else _shape(
            tool, path, traits, losses
        )
        if shape is None:
            assert isinstance(tool, HostedTool)
            dropped.append((tool, path))
        else:
            names.add(name)
            tools.append(shape)
    _limit_calls(request, tools, losses)
    for hosted, path in dropped:
        why = f"the {hosted.family} of {hosted.protocol} runs at that provider"
        losses.append(Loss(path, "dropped", why, loss_rule(hosted, request.tool_choice, bool(tools))))
    _check_choice(choice, names, losses)
    return tools


def _limit_calls(request: Request, tools: list[dict[str, Any]], losses: list[Loss]) -> None:
    """The limit of calls to tools that the provider runs: Anthropic has one for its search alone."""
    limit = request.max_tool_calls
    if limit is None:
        return
    if len(tools) == 1 and tools[0].get("name") == "web_search" and "max_uses" not in tools[0]:
        tools[0] = {**tools[0], "max_uses": limit}
    else:
        losses.append(Loss("max_tool_calls", "dropped", "Anthropic limits the calls of its web search only", WARN))


def _check_choice(choice: Choice, names: set[str], losses: list[Loss]) -> None:
    """A tool that is not declared cannot be chosen."""
    if not names:
        choice.wire, choice.forced, choice.reminder = None, False, ""
    if choice.wire is not None and choice.wire["type"] == "tool" and choice.wire["name"] not in names:
        why = "it names a tool that is not among those declared to the target"
        losses.append(Loss("tool_choice", "dropped", why, BALANCED_REJECT))
        choice.wire, choice.forced = None, False


def _own_name(tool: Tool | HostedTool) -> str:
    """What a tool is called here: one that Anthropic runs too has Anthropic's name."""
    if isinstance(tool, HostedTool) and tool.protocol != NAME and tool.family in _HOSTED:
        return _HOSTED[tool.family][1]
    return tool.name


def _hosted_shape(tool: HostedTool, path: str, traits: Traits, losses: list[Loss]) -> dict[str, Any] | None:
    if tool.protocol == NAME:
        return {**tool.raw}
    if tool.family not in _HOSTED or not traits.search:
        return None
    kind, name = _HOSTED[tool.family]
    losses.append(Loss(path, "approximated", f"{tool.name} of {tool.protocol} became {kind}", INFO))
    shape = {"type": kind, "name": name}
    return {**shape, **_search(tool, path, losses)} if tool.family == "web_search" else shape


def _search(tool: HostedTool, path: str, losses: list[Loss]) -> dict[str, Any]:
    search = search_of(tool)
    losses += lost_options(search, _SEARCH_OPTIONS, path)
    out: dict[str, Any] = {}
    if search.uses:
        out["max_uses"] = search.uses
    if search.allowed:
        out["allowed_domains"] = list(search.allowed)
    elif search.blocked:  # Anthropic takes one of the two
        out["blocked_domains"] = list(search.blocked)
    if search.place:
        out["user_location"] = {"type": "approximate", **search.place}
    return out


def _shape(tool: Tool, path: str, traits: Traits, losses: list[Loss]) -> dict[str, Any]:
    schema, folded = fold_root(tool.schema) if tool.schema else (tool.schema, False)
    if folded:
        why = "anyOf, oneOf and allOf at the root of a schema are folded into one object"
        losses.append(Loss(f"{path}.schema", "approximated", why, WARN))
    losses += untold(tool, path, NAME)
    shape: dict[str, Any] = {"name": tool.name}
    if tool.description:
        shape["description"] = tool.description
    shape["input_schema"] = ensure_object(schema)
    if tool.strict and traits.strict_tools:
        _strict(shape, path, losses)
    if tool.cache is not None:
        shape["cache_control"] = cache_control(tool.cache)
    return {**shape, **own(tool.extra)} if tool.extra else shape


def _strict(shape: dict[str, Any], path: str, losses: list[Loss]) -> None:
    """`strict` where the schema is in the subset that Anthropic can guarantee."""
    schema, removed = for_structured_output(shape["input_schema"])
    if removed:
        why = f"the schema cannot be guaranteed ({', '.join(removed)})"
        losses.append(Loss(f"{path}.strict", "dropped", why, STRICT_REJECT_WARN))
    else:
        shape["input_schema"], shape["strict"] = schema, True
