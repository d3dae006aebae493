"""Content blocks and parts, both ways.

Parsing: a table from the block's type. Rendering: a table from the part's class; a renderer gives one block, or None
where there is nothing to send.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Raw, UnsetType

from ..arguments import as_object
from ..model import (
    Audio,
    Citation,
    Extra,
    File,
    Image,
    Opaque,
    Part,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from ..policy import INFO, STRICT_REJECT, STRICT_REJECT_WARN, WARN
from ..unpacked import unpacked
from .media import Target, flat_text, note, parse_document, parse_image, render_audio, render_file, render_image
from .wire import (
    NAME,
    Block,
    Missing,
    cache_control,
    cache_ttl,
    encode,
    own,
    side,
    unmark,
    unsigned,
)

BILLING = "x-anthropic-billing-header:"  # Claude Code's first system block; it changes with every request

Shape = dict[str, Any] | None
Whole = Callable[[], list[Any]]  # the list of blocks as generic values, for the kinds that are carried as they are

# ------------------------------------------------------------------------------------------------ parsing


def parse_blocks(blocks: Sequence[Block], whole: Whole) -> tuple[Part, ...]:
    """The blocks of a message, an answer or a tool result. Raises `Missing`."""
    parts: list[Part] = []
    try:
        for block in blocks:
            parts.append(_parse(block, len(parts), whole))
    except Missing as missing:
        raise Missing(f"[{len(parts)}]{missing.path}") from None
    return tuple(parts)


def _parse(block: Block, n: int, whole: Whole) -> Part:
    parse = _PARSERS.get(block.type)
    if parse is not None:
        return parse(block)
    if block.type == "tool_result":
        return _tool_result(block, lambda: whole()[n]["content"])
    return parse_foreign(block.type, whole()[n])


def _text(block: Block) -> Text:
    text = block.text or ""
    if block.cache_control is None and not block.citations and not text.startswith(BILLING):
        return Text(text)
    extra = {NAME: {"billing": True}} if text.startswith(BILLING) else {}
    found = block.citations
    citations = tuple(map(parse_citation, found)) if isinstance(found, list) else ()
    return Text(text, citations, cache_ttl(block.cache_control), extra)


def parse_citation(raw: dict[str, Any]) -> Citation:
    """Anthropic cites for a whole block of text; where in its source is kept in `extra`."""
    title = raw.get("title") or raw.get("document_title")
    url = raw.get("url") or raw.get("source")
    return Citation(_str(url), _str(title), _str(raw.get("cited_text")), extra={NAME: raw})


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _thinking(block: Block) -> Thinking:
    return thought(block.thinking or "", block.signature or "")


def thought(text: str, signature: str) -> Thinking:
    """A thought with its signature, if it has one of Anthropic's."""
    if unsigned(signature):
        return Thinking(text or unmark(signature))
    return Thinking(text, extra={NAME: {"signature": signature}}) if signature else Thinking(text)


def _redacted(block: Block) -> Thinking:
    data = block.data or ""
    return Thinking("", True, extra={NAME: {"data": data}} if data and not unsigned(data) else {})


def _tool_use(block: Block) -> ToolCall:
    raw, id, name = block.input, block.id, block.name
    if not id or not name:
        raise Missing(".name" if id else ".id")
    arguments = "{}" if isinstance(raw, UnsetType) else str(raw, "utf-8")
    if block.cache_control is None and block.caller is None and block.toolset_name is None:
        return ToolCall(id, name, arguments)
    return ToolCall(id, name, arguments, cache=cache_ttl(block.cache_control), extra=call_side(block))


def call_side(block: Block) -> Extra:
    """Who called, and of which toolset: what Anthropic's own toolsets need back."""
    return side(caller=block.caller, toolset_name=block.toolset_name)


def _tool_result(block: Block, whole: Whole) -> ToolResult:
    content = block.content
    if isinstance(content, str):
        parts: tuple[Part, ...] = tuple(unpacked(content) or [Text(content)]) if content else ()
    elif isinstance(content, list):
        try:
            parts = parse_blocks(content, whole)
        except Missing as missing:
            raise Missing(f".content{missing.path}") from None
    else:  # a number, an object: some clients send what the tool returned
        parts = () if content is None else (Text(encode(content).decode()),)
    if not block.tool_use_id:
        raise Missing(".tool_use_id")
    cache, extra = cache_ttl(block.cache_control), side(toolset_name=block.toolset_name)
    return ToolResult(block.tool_use_id, parts, error=bool(block.is_error), cache=cache, extra=extra)


_PARSERS: dict[str, Callable[[Block], Part]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "image": parse_image,
    "document": parse_document,
}


# ------------------------------------------------------------------------------------------------ Anthropic's own kinds

_CALLS = {"server_tool_use": "", "mcp_tool_use": "mcp"}
_RESULT = "_tool_result"


def parse_foreign(kind: str, raw: Any) -> ServerTool | Opaque:
    """A block that the neutral model has no part for: what the provider's own tools did, or something opaque."""
    family = _CALLS.get(kind)
    if family is not None:
        name = str(raw.get("name") or "")
        text = _called(name, raw.get("input"))
        return ServerTool(family or name, "call", str(raw.get("id") or ""), text, {NAME: {"raw": raw}})
    if kind.endswith(_RESULT):
        family = kind.removesuffix(_RESULT)
        text = _returned(raw.get("content"))
        return ServerTool(family, "result", str(raw.get("tool_use_id") or ""), text, {NAME: {"raw": raw}})
    return Opaque(NAME, kind, raw, _described(kind, raw))


def _called(name: str, given: Any) -> str:
    values = given if isinstance(given, dict) else {}
    said = values.get("query") or values.get("url") or (encode(values).decode() if values else "")
    return f"[{name} {said}]" if said else f"[{name}]"


def _returned(content: Any) -> str:
    """What a server tool found, in a line: titles and addresses of results, else its text."""
    if isinstance(content, dict):
        inner = content.get("content")
        said = content.get("error_code") or content.get("stdout") or flat_text(inner) or content.get("url")
        return f"[{content.get('type', 'result')}: {said}]"
    if not isinstance(content, list):
        return ""
    hits = [item for item in content if isinstance(item, dict)]
    if any("url" in hit for hit in hits):
        lines = "; ".join(f"{hit.get('title') or ''} — {hit.get('url') or ''}" for hit in hits)
        return f"[{len(hits)} results: {lines}]"
    return flat_text(content)


def _described(kind: str, raw: Any) -> str:
    """The words of an opaque block, for those who cannot have it."""
    if not isinstance(raw, dict):
        return ""
    if kind == "search_result":
        source = raw.get("source") or ""
        return f"{raw.get('title') or ''}\n{source}\n{flat_text(raw.get('content'))}".strip()
    if kind == "tool_reference":
        return f"[tool {raw.get('tool_name') or raw.get('name') or ''} is available]"
    return flat_text(raw.get("content")) if kind == "compaction" else ""


# ------------------------------------------------------------------------------------------------ rendering

def render_part(part: Part, target: Target) -> Shape:
    return _RENDERERS[type(part)](part, target)


def text_block(part: Text, target: Target) -> Shape:
    text = part.text
    if not text or text.isspace():
        return None
    block: dict[str, Any] = {"type": "text", "text": text}
    if part.cache is not None:
        block["cache_control"] = cache_control(part.cache)
    if part.citations and target.role == "assistant":
        cited = [own(citation.extra) for citation in part.citations]
        if all(cited):  # they point into documents; those of others would point nowhere
            block["citations"] = cited
    return block


def _render_thinking(part: Thinking, target: Target) -> Shape:
    token = own(part.extra)
    if part.redacted and token.get("data"):
        return {"type": "redacted_thinking", "data": token["data"]}
    if not token.get("signature"):
        target.lose("dropped", "a thought without Anthropic's signature is refused", INFO)
        return None
    return {"type": "thinking", "thinking": part.text, "signature": token["signature"]}


def render_input(part: ToolCall) -> Raw:
    """The arguments as the object that Anthropic wants."""
    if part.custom:
        return Raw(encode({"input": part.arguments}))
    return as_object(part.arguments)[0]


def _render_call(part: ToolCall, target: Target) -> Shape:
    if not part.custom and not as_object(part.arguments)[1]:
        target.lose("repaired", "the arguments of a tool call were no JSON object", WARN, "tool_calls")
    block = {"type": "tool_use", "id": part.id, "name": part.name, "input": render_input(part), **own(part.extra)}
    if part.cache is not None:
        block["cache_control"] = cache_control(part.cache)
    return block


def _render_result(part: ToolResult, target: Target) -> Shape:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": part.id}
    parts = part.parts
    if len(parts) == 1 and type(parts[0]) is Text and parts[0].cache is None:
        if parts[0].text and not parts[0].text.isspace():
            block["content"] = parts[0].text
    else:
        blocks = [shape for inner in parts if (shape := render_part(inner, target)) is not None]
        if blocks:
            block["content"] = blocks
    if part.error:
        block["is_error"] = True
        block.setdefault("content", "Error")  # a failed result without a word is refused
    if part.cache is not None:
        block["cache_control"] = cache_control(part.cache)
    return {**block, **own(part.extra)} if part.extra else block


def _render_server_tool(part: ServerTool, target: Target) -> Shape:
    token = own(part.extra)
    if "raw" in token:
        return {**token["raw"]}
    target.lose("approximated", f"another provider's {part.family} became text", STRICT_REJECT_WARN)
    return note(part.text) if part.text.strip() else None


def _render_opaque(part: Opaque, target: Target) -> Shape:
    if part.protocol == NAME and isinstance(part.raw, dict):
        return {**part.raw}
    target.lose("summarised", f"{part.kind} of {part.protocol} has no counterpart", STRICT_REJECT)
    return note(part.text if part.text.strip() else f"[{part.kind}]")


def _render_refusal(part: Refusal, target: Target) -> Shape:
    return text_block(Text(part.text), target)


_RENDERERS: dict[type, Callable[[Any, Target], Shape]] = {
    Text: text_block,
    Thinking: _render_thinking,
    Refusal: _render_refusal,
    Image: render_image,
    Audio: render_audio,
    File: render_file,
    ToolCall: _render_call,
    ToolResult: _render_result,
    ServerTool: _render_server_tool,
    Opaque: _render_opaque,
}
