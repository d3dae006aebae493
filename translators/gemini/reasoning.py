"""How much to think: `thinkingConfig`, both ways.

Models are asked in two ways, which `Traits.reasoning` says:

- "level": a `thinkingLevel` (Gemini 3 and later); such models also demand signatures on the calls of the history;
- "budget" (also "", for models that nothing is known of, since later ones take it too): a `thinkingBudget` in tokens,
  0 for none and -1 for as much as the model likes;
- "none": does not think.
"""

from __future__ import annotations

from bisect import bisect_right

from ..codec import Traits
from ..model import EFFORTS, BadRequest, Effort, Reasoning
from ..policy import INFO, STRICT_REJECT, WARN, Loss
from .wire import Json, WireThinking

LEVEL = "level"

_LEVELS_IN: dict[str, Effort] = {
    "THINKING_LEVEL_UNSPECIFIED": "auto",
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
}
_LEVELS = ("minimal", "low", "medium", "high")  # what a model takes whose row names no others
_BUDGETS: dict[Effort, int] = {
    "off": 0,
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 32768,
    "max": 32768,
    "auto": -1,
}
LEAST_BUDGET = 128  # of a model that cannot be told not to think

# A budget below the nth bound stands for the nth effort.
_BOUNDS = (1, 1024, 4096, 12000, 24000, 48000)


def effort_of(budget: int) -> Effort:
    """The effort that a budget of tokens stands for; a negative one leaves it to the model."""
    if budget < 0:
        return "auto"
    return EFFORTS[bisect_right(_BOUNDS, budget)]  # type: ignore[return-value]


def parse_reasoning(wire: WireThinking) -> Reasoning | None:
    level, budget, visible = wire.thinking_level, wire.thinking_budget, wire.include_thoughts
    if level:
        effort = _LEVELS_IN.get(level.upper())
        if effort is None:
            path = "generationConfig.thinkingConfig.thinkingLevel"
            raise BadRequest(f"{path}: {level!r} must be one of {', '.join(_LEVELS_IN)}", path)
        return Reasoning(effort, None, visible)
    if budget is not None:
        return Reasoning(effort_of(budget), budget if budget > 0 else None, visible)
    return None if visible is None else Reasoning("auto", None, visible)


def render_reasoning(reasoning: Reasoning | None, traits: Traits, losses: list[Loss]) -> Json:
    """The `thinkingConfig`; empty where nothing is to be said."""
    if reasoning is None:
        return {}
    if "reasoning" in traits.drop or traits.reasoning == "none":
        if reasoning.effort != "off":
            losses.append(Loss("reasoning", "dropped", "this model cannot be told how to think", STRICT_REJECT))
        return {}
    out = _level(reasoning, traits, losses) if traits.reasoning == LEVEL else _budget(reasoning, traits, losses)
    if reasoning.effort != "off":
        out["includeThoughts"] = reasoning.visible is not False
    return out


def _level(reasoning: Reasoning, traits: Traits, losses: list[Loss]) -> Json:
    """The nearest level that the model knows, rather a lower one than a higher one."""
    if reasoning.effort == "auto":
        return {}
    known = [effort for effort in traits.efforts if effort.upper() in _LEVELS_IN] or list(_LEVELS)
    order = EFFORTS.index(reasoning.effort)
    level = next((effort for effort in reversed(known) if EFFORTS.index(effort) <= order), known[0])
    if level != reasoning.effort:
        rule = WARN if reasoning.effort == "off" else INFO
        losses.append(Loss("reasoning.effort", "approximated", f"the nearest level of the model is {level}", rule))
    return {"thinkingLevel": level.upper()}


def _budget(reasoning: Reasoning, traits: Traits, losses: list[Loss]) -> Json:
    if reasoning.effort == "off" and traits.efforts and "off" not in traits.efforts:
        losses.append(Loss("reasoning.effort", "approximated", "the model cannot be kept from thinking", WARN))
        return {"thinkingBudget": LEAST_BUDGET}
    budget = reasoning.budget if reasoning.budget is not None else _BUDGETS[reasoning.effort]
    most = _BUDGETS["max"]
    if budget > most:
        losses.append(Loss("reasoning.budget", "clamped", f"Gemini thinks for at most {most} tokens", INFO))
    return {"thinkingBudget": min(budget, most)}
