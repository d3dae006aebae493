"""Adds a note of the house to the system prompt: one that is always the same, or prompt caches miss.

It comes last among the system messages at the beginning, so that what stands before it stays cached.
"""

from translators.model import Message, Text

NOTE = "Answer in British English. Never run commands that delete files without asking first."


def llm_request(exchange):
    if exchange.purpose == "embed":
        return
    messages = exchange.request.messages
    at = next((n for n, m in enumerate(messages) if m.role not in ("system", "developer")), len(messages))
    messages.insert(at, Message("system", (Text(NOTE),)))
