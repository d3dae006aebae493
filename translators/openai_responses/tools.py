"""Tools and the choice of one, both ways.

Responses has functions, custom (freeform) tools, namespaces of both, and many tools that the provider runs. A namespace
is taken apart: each of its tools knows the namespace that it stands in. Tools also come inside the conversation; of two
with one name the first declaration counts, and those of the request come first. The tool search that the client runs
itself is a function like any other towards targets that have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Raw

from ..body import generic, typed
from ..codec import DEFAULT_TRAITS, Traits
from ..foreign import untold
from ..hosted import CLIENT_TOOLS, family_of, loss_rule, lost_options, search_of
from ..model import BadRequest, HostedTool, Request, Tool, ToolChoice
from ..policy import BALANCED_REJECT, INFO, STRICT_REJECT, STRICT_REJECT_WARN, WARN, Losses
from ..schema import ensure_object, is_strict
from .items import SEARCH, decode
from .local import item_type, tool_of
from .wire import CHOICE, NAME, TOOL, TOOLS, Json, WireChoice, WireGrammar, WireTool, own

# ------------------------------------------------------------------------------------------------ wire to neutral

_NAMED = frozenset({"type", "name", "description", "parameters", "strict", "format", "function"})
SPACE = "namespace_description"  # in a tool's extra


def parse_tools(fields: Mapping[str, Raw], found: Iterable[tuple[Raw, str]]) -> list[Tool | HostedTool]:
    """The tools of the request, then those that came with its items (`found`)."""
    declared: list[tuple[Raw, str]] = []
    if "tools" in fields:
        raws: list[Raw] = typed(fields, "tools", TOOLS)
        declared = [(raw, f"tools[{index}]") for index, raw in enumerate(raws)]
    tools: dict[tuple[str | None, str], Tool | HostedTool] = {}
    for raw, path in (*declared, *found):
        for tool in _parse(raw, path, None):
            tools.setdefault((tool.namespace if isinstance(tool, Tool) else None, tool.name), tool)
    return list(tools.values())


def _parse(raw: Raw, path: str, space: WireTool | None) -> list[Tool | HostedTool]:
    wire: WireTool = decode(raw, path, TOOL)
    if wire.type == "namespace":
        inner = enumerate(wire.tools or ())
        return [tool for n, child in inner for tool in _parse(child, f"{path}.tools[{n}]", wire)]
    if wire.type == SEARCH and wire.execution == "client":
        return [Tool(SEARCH, wire.description, _schema(wire.parameters), extra={NAME: {"raw": generic(raw)}})]
    if (local := tool_of(generic(raw))) is not None:
        return [local]
    if wire.type not in ("function", "custom", None):
        name = wire.name or wire.server_label or wire.type
        return [HostedTool(family_of(wire.type), name, NAME, generic(raw))]
    if wire.function is not None:  # Chat's form
        wire.name, wire.description = wire.function.name, wire.function.description
        wire.parameters, wire.strict = wire.function.parameters, wire.function.strict
    if not wire.name:
        raise BadRequest(f"{path}.name is required", f"{path}.name")
    extra = {name: value for name, value in generic(raw).items() if name not in _NAMED and value is not None}
    if space is not None and space.description is not None:
        extra[SPACE] = space.description
    keep = {NAME: extra} if extra else {}
    within = space.name if space is not None else None
    if wire.type == "custom":
        grammar = _grammar(wire.format)
        return [Tool(wire.name, wire.description, custom=True, grammar=grammar, namespace=within, extra=keep)]
    strict = wire.strict or None  # absent, null and false: nothing is promised
    return [Tool(wire.name, wire.description, _schema(wire.parameters), strict, namespace=within, extra=keep)]


def _schema(parameters: Any) -> Json | None:
    return parameters if isinstance(parameters, dict) else None


def _grammar(format: WireGrammar | None) -> Json | None:
    if format is None or format.definition is None:
        return None
    return {"syntax": format.syntax or "", "definition": format.definition}


_CHOICES: dict[str, ToolChoice] = {
    "auto": ToolChoice("auto"),
    "none": ToolChoice("none"),
    "required": ToolChoice("required"),
    "any": ToolChoice("required"),
}


def parse_choice(fields: Mapping[str, Raw], tools: Sequence[Tool | HostedTool]) -> ToolChoice | None:
    if "tool_choice" not in fields:
        return None
    value = typed(fields, "tool_choice", CHOICE)
    if isinstance(value, str):
        known = _CHOICES.get(value)
        if known is None:
            path = "tool_choice"
            raise BadRequest(f"{path}: {value!r} must be one of {', '.join(_CHOICES)}, or an object", path)
        return known
    if value.type == "allowed_tools":
        names = tuple(_chosen(tool, tools) for tool in value.tools or ())
        return ToolChoice("allowed", names, value.mode == "required")
    if value.type in _CHOICES and not value.name:
        return _CHOICES[value.type]
    return ToolChoice("named", (_chosen(value, tools),))


def _chosen(value: WireChoice, tools: Sequence[Tool | HostedTool]) -> str:
    """The name of a tool that is chosen by its name, or (one that the provider runs) by its type."""
    name = value.name or (value.function.name if value.function is not None else None) or value.server_label
    if name:
        return name
    kind = value.type or ""
    return next((tool.name for tool in tools if kind in _kinds(tool)), kind)


def _kinds(tool: Tool | HostedTool) -> tuple[Any, ...]:
    """By which types a tool may be chosen."""
    if isinstance(tool, HostedTool):
        return tool.raw.get("type"), tool.family
    raw = own(tool.extra).get("raw")
    return (raw.get("type"),) if isinstance(raw, dict) else ()


# ------------------------------------------------------------------------------------------------ neutral to wire

# Tools of the same family elsewhere: how they are declared here.
_FAMILIES: dict[str, Json] = {
    "web_search": {"type": "web_search"},
    "web_fetch": {"type": "web_search"},  # which opens pages too
    "code_execution": {"type": "code_interpreter", "container": {"type": "auto"}},
    "code_interpreter": {"type": "code_interpreter", "container": {"type": "auto"}},
    "image_generation": {"type": "image_generation"},
}


def render_tools(request: Request, traits: Traits, losses: Losses) -> Json:
    """The fields `tools`, `tool_choice` and `parallel_tool_calls`, as far as there are any."""
    tools = declarations(request, traits, losses)
    if not tools:
        return {}
    out: Json = {"tools": tools}
    if request.tool_choice is not None:
        choice = render_choice(request, request.tool_choice, losses)
        thinks = request.reasoning is not None and request.reasoning.effort != "off"
        if choice not in (None, "auto", "none") and thinks and not traits.forced_tools:
            why = "the model takes no forced tool while it thinks; it may choose"
            losses.add("tool_choice", "approximated", why, STRICT_REJECT_WARN)
            choice = "auto"
        if isinstance(choice, dict) and "name" not in choice and not _declared(choice, tools):
            losses.add("tool_choice", "dropped", "it names a tool that the target does not have", BALANCED_REJECT)
            choice = None
        if choice is not None:
            out["tool_choice"] = choice
    if request.parallel_tools is not None:
        if traits.parallel_tools and "parallel_tools" not in traits.drop:
            out["parallel_tool_calls"] = request.parallel_tools
        else:
            rule = INFO if request.parallel_tools else STRICT_REJECT
            losses.add("parallel_tool_calls", "dropped", "the target has no setting for parallel calls", rule)
    return out


def _declared(choice: Json, tools: Sequence[Json]) -> bool:
    return choice["type"] == "allowed_tools" or any(tool.get("type") == choice["type"] for tool in tools)


def declarations(request: Request, traits: Traits = DEFAULT_TRAITS, losses: Losses | None = None) -> list[Json]:
    """The tools as they are declared; those of one namespace stand together, where its first one stood."""
    losses = losses if losses is not None else Losses()
    out: list[Json] = []
    spaces: dict[str, Json] = {}
    taken: set[str] = set()
    dropped: list[tuple[HostedTool, str]] = []
    for index, tool in enumerate(request.tools):
        path = f"tools[{index}]"
        if isinstance(tool, HostedTool):
            rendered = _hosted(tool, path, traits, losses)
            if rendered is None:
                dropped.append((tool, path))
            elif rendered not in out:
                out.append(rendered)
        elif tool.namespace is None:
            if tool.name in taken:
                losses.add(path, "dropped", f"a tool named {tool.name!r} is declared already", WARN)
            else:
                taken.add(tool.name)
                out.append(_tool(tool, path, traits, losses))
        else:
            space = spaces.get(tool.namespace)
            if space is None:
                description = own(tool.extra).get(SPACE, "")
                space = {"type": "namespace", "name": tool.namespace, "description": description, "tools": []}
                spaces[tool.namespace] = space
                out.append(space)
            space["tools"].append(_tool(tool, path, traits, losses))
    for lost, path in dropped:
        why = f"the target has no {lost.family} that it runs itself"
        losses.add(path, "dropped", why, loss_rule(lost, request.tool_choice, bool(out)))
    return out


def _hosted(tool: HostedTool, path: str, traits: Traits, losses: Losses) -> Json | None:
    if tool.protocol == NAME:
        return tool.raw
    emulated = CLIENT_TOOLS.get(tool.family)
    if emulated is not None:
        losses.add(path, "emulated", f"{tool.family} is declared as an ordinary function", INFO)
        description, schema = emulated
        return {
            "type": "function", "name": tool.name, "description": description, "parameters": schema, "strict": False,
        }  # fmt: skip
    family = _FAMILIES.get(tool.family)
    if family is None or not traits.search:
        return None
    losses.add(path, "approximated", f"{tool.name} of {tool.protocol} became {family['type']}", INFO)
    return {**family, **_search_options(tool, path, losses)} if tool.family == "web_search" else family


_SEARCH_OPTIONS = frozenset({"allowed", "place", "size"})


def _search_options(tool: HostedTool, path: str, losses: Losses) -> Json:
    search = search_of(tool)
    for loss in lost_options(search, _SEARCH_OPTIONS, path):
        losses.add(loss.path, loss.code, loss.why, loss.rule)
    out: Json = {}
    if search.allowed:
        out["filters"] = {"allowed_domains": list(search.allowed)}
    if search.place:
        out["user_location"] = {"type": "approximate", **search.place}
    if search.size:
        out["search_context_size"] = search.size
    return out


def _tool(tool: Tool, path: str, traits: Traits, losses: Losses) -> Json:
    extra = {name: value for name, value in own(tool.extra).items() if name != SPACE}
    if "raw" in extra:
        return dict(extra["raw"])
    for loss in untold(tool, path, NAME):
        losses.add(loss.path, loss.code, loss.why, loss.rule)
    if tool.cache is not None:
        losses.add("cache_control", "dropped", "the target takes no cache breakpoints on tools", INFO)
    head: Json = {"type": "custom" if tool.custom else "function", "name": tool.name}
    if tool.description is not None:
        head["description"] = tool.description
    if tool.custom:
        return {**head, **({"format": {"type": "grammar", **tool.grammar}} if tool.grammar else {}), **extra}
    schema = ensure_object(tool.schema)
    return {**head, "parameters": schema, "strict": _strict(tool, schema, path, traits, losses), **extra}


def _strict(tool: Tool, schema: Json, path: str, traits: Traits, losses: Losses) -> bool:
    """Said in any case: left out, the server would change the schema so that it can be held to strictly."""
    if not tool.strict:
        return False
    if not traits.strict_tools:
        losses.add(f"{path}.strict", "dropped", "the target cannot hold to a schema strictly", STRICT_REJECT)
    elif not is_strict(schema):
        why = "strict needs all properties required and additionalProperties false, which this schema is not"
        losses.add(f"{path}.strict", "dropped", why, WARN)
    else:
        return True
    return False


def render_choice(request: Request, choice: ToolChoice, losses: Losses | None = None) -> Any:
    """`tool_choice`; None where nothing of it can be said."""
    if choice.kind not in ("named", "allowed"):
        return choice.kind
    known = {tool.name: _reference(tool) for tool in request.tools}
    named = [known[name] for name in choice.names if name in known]
    if losses is not None and len(named) < len(choice.names):
        why = "it names a tool that is not among those declared to the target"
        losses.add("tool_choice", "dropped", why, BALANCED_REJECT)
    if not named:
        return None
    if choice.kind == "named" and len(named) == 1:
        return named[0]
    mode = "required" if choice.kind == "named" or choice.required else "auto"
    return {"type": "allowed_tools", "mode": mode, "tools": named}


def _reference(tool: Tool | HostedTool) -> Json:
    if isinstance(tool, Tool):
        if item_type(tool) is not None:
            return {"type": own(tool.extra)["raw"]["type"]}
        return {"type": "custom" if tool.custom else "function", "name": tool.name}
    if tool.protocol != NAME:
        if tool.family in CLIENT_TOOLS:
            return {"type": "function", "name": tool.name}
        return {"type": _FAMILIES.get(tool.family, {"type": tool.family})["type"]}
    kind = tool.raw.get("type", tool.family)
    return {"type": kind, "server_label": tool.name} if kind == "mcp" else {"type": kind}
