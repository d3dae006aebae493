"""Takes blocks out of the system prompt that are of no use to the model that is asked.

Claude Code begins its prompt with a billing header that differs in each request, so that no other provider's prompt
cache ever hits. A text of which nothing is left goes with its block.
"""

import re

from msgspec.structs import replace

BLOCKS = [re.compile(r"^x-anthropic-billing-header:[^\n]*\n?", re.MULTILINE)]


def strip(part):
    text = getattr(part, "text", "")
    for block in BLOCKS:
        text = block.sub("", text)
    return replace(part, text=text) if text != getattr(part, "text", "") else part


def llm_request(exchange):
    if exchange.purpose == "embed":
        return
    messages = exchange.request.messages
    for n, message in enumerate(messages):
        if message.role == "system":
            parts = [strip(part) for part in message.parts]
            messages[n] = replace(message, parts=tuple(p for p in parts if getattr(p, "text", "x").strip()))
    messages[:] = [message for message in messages if message.parts]
