"""Keeps the model's thoughts from the client, which then shows only the answer. They are still made and paid for."""

from translators.events import PartStart
from translators.model import Thinking


def llm_event(exchange, event):
    if isinstance(event, PartStart) and isinstance(event.part, Thinking):
        return []  # its text and its end go with it
