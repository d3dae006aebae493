"""Pure translation between the wire protocols of LLM providers: bytes in, neutral values and events, bytes out.

`CODECS` is the only list of the protocols. Usable on its own: standard library and msgspec, no I/O.
"""

from . import anthropic, gemini, ollama, openai_chat, openai_responses
from .codec import Codec

PROTOCOLS = ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama")

CODECS: dict[str, Codec] = {codec.NAME: codec for codec in (openai_chat, openai_responses, anthropic, gemini, ollama)}

__all__ = ["CODECS", "PROTOCOLS", "Codec", "anthropic", "gemini", "ollama", "openai_chat", "openai_responses"]
