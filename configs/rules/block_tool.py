"""Keeps tools away from models: they are not offered, and should a model call one anyway, the client is told so."""

from translators.events import PartDelta, PartEnd, PartStart
from translators.model import Text, ToolCall

BLOCKED = {"WebFetch", "WebSearch", "web_search"}


def llm_request(exchange):
    if exchange.purpose == "embed":
        return
    request = exchange.request
    request.tools = [tool for tool in request.tools if tool.name not in BLOCKED]
    choice = request.tool_choice
    if choice is not None and (BLOCKED & {*choice.names} or not request.tools):
        request.tool_choice = None


def llm_event(exchange, event):
    if isinstance(event, PartStart) and isinstance(event.part, ToolCall) and event.part.name in BLOCKED:
        note = f"(A call of {event.part.name} was blocked.)"
        return [PartStart(event.index, Text("")), PartDelta(event.index, note), PartEnd(event.index)]
