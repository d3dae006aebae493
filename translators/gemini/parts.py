"""A part of a content that needs nothing of its surroundings, both ways: texts, thoughts, media, server tools.

Calls and results are paired over a whole conversation: they are in `messages`. What is Gemini's own comes back as it
was; another's becomes text, and that is a loss.
"""

from __future__ import annotations

from typing import Any

from ..codec import Traits
from ..model import Audio, File, Image, Opaque, Part, Refusal, ServerTool, Text, Thinking, ToolCall
from ..policy import INFO, STRICT_REJECT_WARN, Loss
from .media import parse_file, parse_inline, render_media
from .wire import NAME, Json, WirePart, own, signed

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_part(wire: WirePart) -> Part | None:
    """A part that needs nothing of its surroundings; None for one of an unknown kind."""
    extra = signed(wire.thought_signature)
    if wire.text is not None:
        return Thinking(wire.text, extra=extra) if wire.thought else Text(wire.text, extra=extra)
    if wire.inline_data is not None:
        return parse_inline(wire.inline_data)
    if wire.file_data is not None:
        return parse_file(wire.file_data)
    if wire.executable_code is not None:
        raw = {"executableCode": wire.executable_code}
        return ServerTool("code_execution", "call", "", _said("code", wire.executable_code, "code"), {NAME: raw})
    if wire.code_execution_result is not None:
        raw = {"codeExecutionResult": wire.code_execution_result}
        text = _said("result", wire.code_execution_result, "output")
        return ServerTool("code_execution", "result", "", text, {NAME: raw})
    call = _server_tool("toolCall", "call", wire.tool_call)
    return call or _server_tool("toolResponse", "result", wire.tool_response)


def _server_tool(field: str, phase: Any, raw: Any) -> ServerTool | None:
    if not isinstance(raw, dict):
        return None
    kind = str(raw.get("toolType") or "tool").lower()
    return ServerTool(kind, phase, str(raw.get("id") or ""), f"[{kind} {phase}]", {NAME: {field: raw}})


def _said(what: str, raw: Any, field: str) -> str:
    said = raw.get(field) if isinstance(raw, dict) else None
    return f"[{what}: {said}]" if said else f"[{what}]"


# ------------------------------------------------------------------------------------------------ neutral to wire


def render_part(part: Part, path: str, traits: Traits, losses: list[Loss]) -> list[Json]:
    """The part as Gemini says it; [] where there is nothing to say or no way to say it."""
    match part:
        case Text():
            if part.cache is not None:
                losses.append(Loss("cache_control", "dropped", "Gemini caches by itself", INFO))
            return [with_signature({"text": part.text}, part)] if part.text or own(part.extra) else []
        case Thinking():
            return _thought(part, losses)
        case Refusal():
            return [{"text": part.text}] if part.text else []
        case Image() | Audio() | File():
            return [render_media(part, path, traits, losses)]
        case ServerTool():
            return _server_shape(part, path, losses)
        case Opaque():
            return _opaque(part, path, losses)
        case _:
            why = "such a part has no place here"
            losses.append(Loss(path, "dropped", why, STRICT_REJECT_WARN))
            return []


def _thought(part: Thinking, losses: list[Loss]) -> list[Json]:
    """A thought goes back only with a signature of Gemini's."""
    if "signature" in own(part.extra):
        return [with_signature({"text": part.text, "thought": True}, part)]
    losses.append(Loss("messages.thinking", "dropped", "Gemini takes no thoughts of others back", INFO))
    return []


def _server_shape(part: ServerTool, path: str, losses: list[Loss]) -> list[Json]:
    if own(part.extra):
        return [dict(own(part.extra))]
    why = f"another provider's {part.family} became text"
    losses.append(Loss(path, "summarised", why, STRICT_REJECT_WARN))
    return [{"text": part.text or f"[{part.family} {part.phase}]"}]


def _opaque(part: Opaque, path: str, losses: list[Loss]) -> list[Json]:
    if part.protocol == NAME and isinstance(part.raw, dict):
        return [part.raw]
    losses.append(Loss(path, "summarised", f"Gemini knows no {part.kind}", STRICT_REJECT_WARN))
    return [{"text": part.text or f"[{part.kind}]"}]


def with_signature(out: Json, part: Text | Thinking | ToolCall) -> Json:
    signature = own(part.extra).get("signature")
    return {**out, "thoughtSignature": signature} if signature else out
