"""What a client calls the fields of its request: a loss is told to it in its own words.

Codecs name what they could not say by the neutral field, or by what the target calls it. Here both become the name
that stands in the client's body. Fields with one name everywhere are in no table.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from .policy import Loss

# What renderers write -> the neutral field.
_NEUTRAL = {
    "max_tokens": "max_output",
    "max_output_tokens": "max_output",
    "service_tier": "tier",
    "parallel_tool_calls": "parallel_tools",
    "response_format": "format",
    "text": "format",
    "safety_identifier": "safety_id",
    "prompt_cache_key": "cache_key",
    "top_logprobs": "logprobs",
    "contents": "messages",
}
_CONFIG = "generationConfig."
_OPTIONS = "options."
# The neutral field -> what a client of the protocol wrote.
_WIRE: dict[str, dict[str, str]] = {
    "openai-chat": {
        "max_output": "max_tokens",
        "tier": "service_tier",
        "parallel_tools": "parallel_tool_calls",
        "format": "response_format",
        "safety_id": "safety_identifier",
        "cache_key": "prompt_cache_key",
        "repeat_penalty": "repetition_penalty",
        "reasoning": "reasoning_effort",
        "reasoning.effort": "reasoning_effort",
    },
    "openai-responses": {
        "max_output": "max_output_tokens",
        "tier": "service_tier",
        "parallel_tools": "parallel_tool_calls",
        "format": "text.format",
        "verbosity": "text.verbosity",
        "safety_id": "safety_identifier",
        "cache_key": "prompt_cache_key",
        "logprobs": "top_logprobs",
        "previous_id": "previous_response_id",
        "messages": "input",
    },
    "anthropic": {
        "max_output": "max_tokens",
        "tier": "service_tier",
        "parallel_tools": "tool_choice.disable_parallel_tool_use",
        "format": "output_config.format",
        "stop": "stop_sequences",
        "reasoning": "thinking",
        "reasoning.budget": "thinking.budget_tokens",
        "reasoning.effort": "thinking",  # of which its budget was the measure, too
        "user": "metadata.user_id",
    },
    "gemini": {
        "max_output": _CONFIG + "maxOutputTokens",
        "temperature": _CONFIG + "temperature",
        "top_p": _CONFIG + "topP",
        "top_k": _CONFIG + "topK",
        "seed": _CONFIG + "seed",
        "presence_penalty": _CONFIG + "presencePenalty",
        "frequency_penalty": _CONFIG + "frequencyPenalty",
        "stop": _CONFIG + "stopSequences",
        "n": _CONFIG + "candidateCount",
        "logprobs": _CONFIG + "responseLogprobs",
        "modalities": _CONFIG + "responseModalities",
        "format": _CONFIG + "responseJsonSchema",
        "reasoning": _CONFIG + "thinkingConfig",
        "reasoning.budget": _CONFIG + "thinkingConfig.thinkingBudget",
        "reasoning.effort": _CONFIG + "thinkingConfig",
        "tier": "serviceTier",
        "metadata": "labels",
        "tool_choice": "toolConfig",
        "messages": "contents",
    },
    "ollama": {
        "max_output": _OPTIONS + "num_predict",
        "temperature": _OPTIONS + "temperature",
        "top_p": _OPTIONS + "top_p",
        "top_k": _OPTIONS + "top_k",
        "min_p": _OPTIONS + "min_p",
        "seed": _OPTIONS + "seed",
        "presence_penalty": _OPTIONS + "presence_penalty",
        "frequency_penalty": _OPTIONS + "frequency_penalty",
        "repeat_penalty": _OPTIONS + "repeat_penalty",
        "stop": _OPTIONS + "stop",
        "reasoning": "think",
        "reasoning.effort": "think",
    },
}


def told(losses: Iterable[Loss], client: str) -> list[Loss]:
    """The losses with the names that a client of this protocol gave its fields."""
    return [loss if (path := named(loss.path, client)) == loss.path else replace(loss, path=path) for loss in losses]


def named(path: str, client: str) -> str:
    """A path of a loss with the names that a client of this protocol gives its fields."""
    head = path[: next((at for at, char in enumerate(path) if char in ".["), len(path))]
    neutral = _NEUTRAL.get(head, head)
    wire = _WIRE[client].get(neutral, head)
    rest = path[len(head) :]
    if (exact := _WIRE[client].get(neutral + rest)) is not None:
        return exact
    return wire if rest and wire.endswith(rest) else wire + rest
