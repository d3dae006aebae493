"""Gives tools other names on their way to the model, and the client its own ones back, also in a stream.

Some models call tools better by the names that they were trained on.
"""

from msgspec.structs import replace

from translators.events import PartStart
from translators.model import ToolCall, ToolResult

NAMES = {"Bash": "shell", "Read": "read_file", "Edit": "str_replace"}
BACK = {theirs: ours for ours, theirs in NAMES.items()}


def renamed(part):
    named = isinstance(part, ToolCall | ToolResult) and part.name in NAMES
    return replace(part, name=NAMES[part.name]) if named else part


def llm_request(exchange):
    if exchange.purpose == "embed":
        return
    request = exchange.request
    request.tools = [replace(tool, name=NAMES.get(tool.name, tool.name)) for tool in request.tools]
    request.messages = [replace(m, parts=tuple(renamed(part) for part in m.parts)) for m in request.messages]
    if request.tool_choice is not None:
        names = tuple(NAMES.get(name, name) for name in request.tool_choice.names)
        request.tool_choice = replace(request.tool_choice, names=names)


def llm_event(exchange, event):
    if isinstance(event, PartStart) and isinstance(event.part, ToolCall) and event.part.name in BACK:
        return replace(event, part=replace(event.part, name=BACK[event.part.name]))
