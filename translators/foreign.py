"""What only one protocol has a field for, and what it means that another target is not told of it.

Codecs keep such fields in `extra`, under the name of the protocol whose client said them. The protocol that renders
them again takes them from there; to every other one each is a loss, which the tables here weigh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .model import Request, Tool
from .policy import BALANCED_REJECT, INFO, REJECT, STRICT_REJECT, STRICT_REJECT_WARN, WARN, Loss, Rule

# protocol -> field -> rule
_RULES: dict[str, dict[str, Rule]] = {
    "openai-chat": {
        "prediction": WARN,
        "moderation": STRICT_REJECT,
        "prompt_cache_options": INFO,
        "prompt_cache_retention": INFO,
    },
    "openai-responses": {
        "conversation": REJECT,  # the target cannot know what was said in it
        "prompt": REJECT,  # nor what a stored prompt holds
        "context_management": STRICT_REJECT,
        "moderation": STRICT_REJECT,
        "include": INFO,
        "client_metadata": INFO,
        "prompt_cache_options": INFO,
        "prompt_cache_retention": INFO,
    },
    "anthropic": {
        "mcp_servers": BALANCED_REJECT,
        "compaction": REJECT,
        "cache_control": INFO,
        "betas": INFO,
        "diagnostics": INFO,
    },
    "gemini": {
        "cachedContent": REJECT,  # a part of the conversation that only Google has
        "safetySettings": WARN,
        "generationConfig.continuationToken": REJECT,
        "generationConfig.mediaResolution": INFO,
    },
    "ollama": {
        # Of /api/generate: they bypass the chat, and without them the answer would be another one.
        "suffix": BALANCED_REJECT,
        "template": BALANCED_REJECT,
        "context": BALANCED_REJECT,
        "raw": BALANCED_REJECT,
    },
}
_DEFAULTS: dict[str, Rule] = {
    "openai-chat": STRICT_REJECT_WARN,
    "openai-responses": STRICT_REJECT_WARN,
    "anthropic": STRICT_REJECT,
    "gemini": STRICT_REJECT_WARN,
    "ollama": INFO,  # settings of the local machine
}
# Fields with others inside, each of which is a loss of its own.
_NESTED = frozenset({"generationConfig", "toolConfig", "output_config"})
# What says nothing that would be missed: the field with the default, or a mark that no client sent.
_NOTHING: dict[str, Any] = {"speed": "standard", "generate": True, "images_null": True}


def unsaid(request: Request, target: str, title: str, shared: Mapping[str, Any] | None = None) -> Iterator[Loss]:
    """A loss for each field of the request that only another protocol than `target` has, but for those in `shared`,
    which the target was told. `title`: what to call the target."""
    for protocol, fields in request.extra.items():
        if protocol == target:
            continue
        for path, value in _flat(fields):
            if path not in (shared or ()) and _NOTHING.get(path, _UNSAID) != value:
                rule = _RULES.get(protocol, {}).get(path, _DEFAULTS.get(protocol, STRICT_REJECT))
                yield Loss(path, "dropped", f"{title} has no {path}", rule)


    if request.reasoning is not None:
        for protocol, facts in request.reasoning.extra.items():
            for name in facts if protocol != target else ():
                why = f"{title} has no such setting of reasoning"
                yield Loss(f"reasoning.{name}", "dropped", why, WARN if name == "mode" else INFO)


_UNSAID = object()


def _flat(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if name in _NESTED and isinstance(value, dict):
            yield from ((f"{name}.{inner}", said) for inner, said in value.items())
        else:
            yield name, value


# ------------------------------------------------------------------------------------------------ tools

# What a protocol says of a tool besides what it is; what is not here is a hint, without which a call is the same.
_TOOL_RULES: dict[str, Rule] = {"allowed_callers": STRICT_REJECT}
_KEPT = frozenset({"raw", "legacy", "namespace_description"})  # how the client wrote it, not something that it said
_DIRECT = (["direct"], None)


def untold(tool: Tool, path: str, target: str) -> Iterator[Loss]:
    """A loss for each fact about a tool that only its own protocol can say."""
    for protocol, facts in tool.extra.items():
        if protocol == target:
            continue
        for name, value in facts.items():
            if name not in _KEPT and not (name == "allowed_callers" and value in _DIRECT):
                why = f"the target cannot be told of a tool's {name}"
                yield Loss(f"{path}.{name}", "dropped", why, _TOOL_RULES.get(name, INFO))
