"""Neutral values as text for a person: conversations with their tool calls and thoughts, answers, usage, losses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from .body import WRONG
from .embed import Embeddings, EmbedRequest
from .model import (
    Audio,
    File,
    HostedTool,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Request,
    Response,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from .tokens import Count

_SHORT = 72  # characters of arguments that stay on one line


def request_text(request: Request) -> str:
    """The whole conversation, oldest first, then the tools."""
    blocks = [settings_text(request)]
    blocks += [message_text(message) for message in request.messages]
    if request.tools:
        blocks.append(heading("tools") + "\n" + tools_text(request.tools))
    return "\n".join(blocks)


def tools_text(tools: Iterable[Tool | HostedTool]) -> str:
    """A line for each."""
    return "\n".join(_indent(_tool(tool)) for tool in tools)


def asked_text(asked: Request | EmbedRequest) -> str:
    """What a client asked for: a conversation, or texts to make vectors of."""
    if isinstance(asked, Request):
        return request_text(asked)
    size = f", {asked.dimensions} dimensions" if asked.dimensions else ""
    blocks = [f"embeddings{size}"]
    for n, value in enumerate(asked.inputs):
        blocks += [heading(f"input {n}"), _indent(value if isinstance(value, str) else f"({len(value)} tokens)")]
    return "\n".join(blocks)


def result_text(result: Count | Embeddings) -> str:
    """What an endpoint beside the generation of answers said."""
    if isinstance(result, Count):
        return f"{result.tokens} tokens"
    rows = [[f"{n}", f"{len(v)} numbers", _beginning(v)] for n, v in enumerate(result.vectors)]
    return heading("vectors") + "\n" + table(rows)


def _beginning(vector: Sequence[float]) -> str:
    shown = ", ".join(f"{number:.6g}" for number in vector[:4])
    return f"{shown}, …" if len(vector) > 4 else shown


def heading(text: str) -> str:
    """The line above a block. Viewers swallow blank lines, so a rule has to part the blocks."""
    return f"── {text} " + "─" * max(3, 60 - len(text))


def response_text(response: Response, running: bool = False) -> str:
    """An answer. `running`: more of it may come."""
    head = heading(f"assistant ({'…' if running else response.reason}{_stop(response)})")
    body = "\n".join(_indent(part_text(part)) for part in response.parts)
    return f"{head}\n{body}" if body else head


def message_text(message: Message) -> str:
    name = f" ({message.name})" if message.name else ""
    return heading(f"{message.role}{name}") + "\n" + "\n".join(_indent(part_text(part)) for part in message.parts)


def part_text(part: Part) -> str:
    match part:
        case Text():
            sources = "".join(f"\n  source: {c.title or ''} {c.url or ''}".rstrip() for c in part.citations)
            return part.text + sources
        case Thinking():
            return "thinking: " + ("(redacted)" if part.redacted else part.text)
        case Refusal():
            return "refusal: " + part.text
        case ToolCall():
            return f"call {_named(part.namespace, part.name)} [{part.id}]\n{_indent(_arguments(part))}"
        case ToolResult():
            head = f"result [{part.id}]" + (" error" if part.error else "")
            return "\n".join([head, *(_indent(part_text(inner)) for inner in part.parts)])
        case Image():
            return f"image: {_blob(part)}"
        case Audio():
            return f"audio: {_blob(part)}" + (f" {part.transcript}" if part.transcript else "")
        case File():
            return f"file: {part.name or ''} {_blob(part)}"
        case ServerTool():
            return f"server tool {part.family} {part.phase}: {part.text}"
        case Opaque():
            return f"{part.protocol} {part.kind}: {part.text}"


def usage_text(usage: Usage) -> str:
    parts = [f"{usage.input} input", f"{usage.cache_read} cache read", f"{usage.cache_write} cache write"]
    parts += [f"{usage.output} output", f"{usage.reasoning} reasoning"]
    return ", ".join(parts) + (" (estimated)" if usage.estimated else "")


def table(rows: Iterable[Sequence[str]]) -> str:
    """Rows of text in columns."""
    rows = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows), default=0))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=False)).rstrip() for row in rows)


def settings_text(request: Request) -> str:
    """What is asked beside the conversation, as far as it was said."""
    facts = {
        "model": request.model,
        "stream": request.stream or None,
        "max output": request.max_output,
        "reasoning": request.reasoning.effort if request.reasoning else None,
        "budget": request.reasoning.budget if request.reasoning else None,
        "temperature": request.temperature,
        "stop": request.stop or None,
        "format": request.format.kind if request.format.kind != "text" else None,
        "tool choice": request.tool_choice.kind if request.tool_choice else None,
        "messages": len(request.messages),
        "tools": len(request.tools) or None,
    }
    return table([[name, str(value)] for name, value in facts.items() if value is not None])


def _tool(tool: Tool | HostedTool) -> str:
    if isinstance(tool, HostedTool):
        return f"{tool.name} (run by the provider: {tool.family})"
    first = (tool.description or "").strip().split("\n", 1)[0]
    return f"{_named(tool.namespace, tool.name)}: {first}" if first else _named(tool.namespace, tool.name)


def _arguments(call: ToolCall) -> str:
    """On many lines where it is JSON; a part of one, or the text of a freeform tool, as it is."""
    if call.custom or len(call.arguments) < _SHORT:
        return call.arguments
    try:
        return msgspec.json.format(call.arguments, indent=2)
    except WRONG:
        return call.arguments


def _named(namespace: str | None, name: str) -> str:
    return f"{namespace}.{name}" if namespace else name


def _blob(part: Image | Audio | File) -> str:
    blob = part.blob
    kind = blob.media_type or ""
    if blob.data is not None:
        return f"{kind} {len(blob.data) * 3 // 4} bytes"
    return f"{kind} {blob.url or blob.file_id or blob.text or ''}".strip()


def _stop(response: Response) -> str:
    return f" {response.stop_sequence!r}" if response.stop_sequence is not None else ""


def _indent(text: str) -> str:
    return "\n".join("  " + line for line in text.split("\n"))
