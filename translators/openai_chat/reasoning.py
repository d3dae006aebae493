"""Reasoning: how it is asked for, and how servers hand it out.

OpenAI has one field, `reasoning_effort`; the servers that speak its protocol have others. A target's row says which of
the styles below it takes. What Chat itself never had is the thought in the answer: `reasoning_content` (DeepSeek and
most others), `reasoning` (OpenRouter, vLLM, Groq) and `reasoning_details` (OpenRouter's list, beside `reasoning`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Raw

from ..body import typed
from ..codec import Traits
from ..model import Effort, Extra, Reasoning, Thinking
from ..openai_effort import effort_of_budget, effort_of_name, fitted_effort, wire_name
from ..policy import INFO, STRICT_REJECT, Losses
from .parts import Json
from .wire import BOOLEAN, EFFORT, NAME, WireEffort

DETAILS = "reasoning_details"
FIELDS = ("reasoning_effort", "reasoning", "thinking", "enable_thinking")

_TYPES: dict[str, Effort] = {"enabled": "auto", "adaptive": "auto", "auto": "auto", "disabled": "off"}

# ------------------------------------------------------------------------------------------------ wire to neutral


def parse_reasoning(fields: Mapping[str, Raw]) -> Reasoning | None:
    """Of the forms that a client may use, the first that is there."""
    for name in ("reasoning_effort", "reasoning", "thinking"):
        if name in fields:
            value = typed(fields, name, EFFORT)
            return Reasoning(effort_of_name(value, name)) if isinstance(value, str) else _of_object(value, name)
    if "enable_thinking" in fields:
        return Reasoning("auto" if typed(fields, "enable_thinking", BOOLEAN) else "off")
    return None


def _of_object(value: WireEffort, path: str) -> Reasoning | None:
    budget = value.max_tokens if value.max_tokens is not None else value.budget_tokens
    visible = None if value.exclude is None else not value.exclude
    if value.enabled is False:
        return Reasoning("off")
    if value.effort is not None:
        effort = effort_of_name(value.effort, f"{path}.effort")
    elif value.type is not None and _TYPES.get(value.type) == "off":
        effort = "off"
    elif budget is not None:
        effort = effort_of_budget(budget)
    elif value.enabled or any(said is not None for said in (value.type, visible, value.summary)):
        effort = "auto"
    else:
        return None
    return Reasoning(effort, budget, visible, value.summary)


# ------------------------------------------------------------------------------------------------ neutral to wire


def render_reasoning(reasoning: Reasoning | None, traits: Traits, losses: Losses) -> Json:
    """The fields that ask for it, in the target's style."""
    if reasoning is None:
        return {}
    if reasoning.visible is False and traits.reasoning != "reasoning":
        losses.add("reasoning.visible", "dropped", "the target cannot be told to hide its thoughts", INFO)
    if "reasoning" in traits.drop:
        losses.add("reasoning", "dropped", "the target takes no reasoning setting", STRICT_REJECT)
        return {}
    style = _STYLES.get(traits.reasoning)
    if style is None:
        raise ValueError(f"the trait reasoning: {traits.reasoning} is no style of Chat Completions")
    return style(reasoning, traits, losses)


def _effort(reasoning: Reasoning, traits: Traits, losses: Losses) -> Json:
    if reasoning.effort == "auto":
        return {}
    if reasoning.budget is not None and reasoning.effort != "off":
        losses.add("reasoning.budget", "approximated", "the target takes an effort, no token budget", INFO)
    return {"reasoning_effort": wire_name(fitted_effort(reasoning.effort, traits, losses))}


def _switch(reasoning: Reasoning, losses: Losses) -> bool:
    """For targets that can only be told to think or not."""
    if reasoning.effort not in ("off", "auto"):
        losses.add("reasoning.effort", "approximated", "the target can only be told to think, not how much", INFO)
    return reasoning.effort != "off"


def _thinking(reasoning: Reasoning, traits: Traits, losses: Losses) -> Json:
    if reasoning.effort not in ("off", "auto") and traits.efforts:
        effort = wire_name(fitted_effort(reasoning.effort, traits, losses))
        return {"thinking": {"type": "enabled"}, "reasoning_effort": effort}
    return {"thinking": {"type": "enabled" if _switch(reasoning, losses) else "disabled"}}


def _enable_thinking(reasoning: Reasoning, traits: Traits, losses: Losses) -> Json:
    out: Json = {"enable_thinking": _switch(reasoning, losses)}
    if reasoning.budget is not None and reasoning.budget > 0 and out["enable_thinking"]:
        out["thinking_budget"] = reasoning.budget
    return out


def _openrouter(reasoning: Reasoning, traits: Traits, losses: Losses) -> Json:
    if reasoning.effort == "off":
        return {"reasoning": {"enabled": False}}
    out: Json = {"exclude": True} if reasoning.visible is False else {}
    if reasoning.budget is not None and reasoning.budget > 0:
        out["max_tokens"] = reasoning.budget
    elif reasoning.effort == "auto":
        out["enabled"] = True
    else:
        out["effort"] = fitted_effort(reasoning.effort, traits, losses)
    return {"reasoning": out}


def _none(reasoning: Reasoning, traits: Traits, losses: Losses) -> Json:
    rule = INFO if reasoning.effort in ("off", "auto") else STRICT_REJECT
    losses.add("reasoning", "dropped", "the target has no setting for reasoning", rule)
    return {}


_STYLES: dict[str, Callable[[Reasoning, Traits, Losses], Json]] = {
    "": _effort,
    "effort": _effort,
    "thinking": _thinking,
    "enable_thinking": _enable_thinking,
    "reasoning": _openrouter,
    "none": _none,
}


# ------------------------------------------------------------------------------------------------ thoughts


def reasoning_text(content: Any, reasoning: Any, details: Any = None) -> str:
    """The thought of a message or a delta, from whichever field has one; they repeat each other, so one counts."""
    for value in (content, reasoning, details):
        text = _text(value)
        if text:
            return text
    return ""


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_text(item) for item in value)
    if isinstance(value, dict):
        kinds = ("text", "thinking", "summary", "content")
        return next((_text(value[kind]) for kind in kinds if value.get(kind)), "")
    return ""



_PIECES = ("text", "summary", "data")
_OPAQUE = ("signature", "data")


def signed_details(lists: Iterable[Any]) -> Extra:
    """OpenRouter's details, which want to come back as they were, where a token is among them. A stream brings them in
    pieces: what follows one of the same kind and index goes on with it."""
    out: list[Json] = []
    for item in (item for found in lists if isinstance(found, list) for item in found if isinstance(item, dict)):
        last = out[-1] if out else {}
        if not out or (item.get("type"), item.get("index")) != (last.get("type"), last.get("index")):
            out.append(dict(item))
            continue
        for name, value in item.items():
            grown = name in _PIECES and isinstance(value, str) and isinstance(last.get(name), str)
            if grown or value is not None:
                last[name] = last[name] + value if grown else value
    return {NAME: {DETAILS: out}} if any(item.get(name) for item in out for name in _OPAQUE) else {}


def details_of(part: Thinking) -> Json:
    """The field of a message that gives them back."""
    details = part.extra.get(NAME, {}).get(DETAILS)
    return {DETAILS: details} if details else {}


def call_side(extra_content: Any) -> Extra:
    """What Google wants back with a call."""
    return {NAME: {"extra_content": extra_content}} if isinstance(extra_content, dict) else {}
