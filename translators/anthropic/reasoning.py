"""How much to think: `thinking` and `output_config.effort`, both ways.

Models differ in how they are asked, which `Traits.reasoning` says:

- "budget" (also "", for models that nothing is known of): `thinking: enabled` with a budget of tokens, or `disabled`;
- "adaptive": `thinking: adaptive` and an effort; may be switched off unless `Traits.efforts` leaves "off" out;
- "always": thinks in any case, takes an effort only;
- "none": does not think.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ..codec import Traits
from ..model import EFFORTS, BadRequest, Effort, Reasoning
from ..policy import INFO, STRICT_REJECT, STRICT_REJECT_WARN, Loss
from .wire import NAME, own

LEAST_BUDGET = 1024
DEFAULT_OUTPUT = 32000
MOST_BUDGET = 64000

# effort -> budget; `max` takes what the output leaves
BUDGETS: dict[str, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 32768,
    "max": MOST_BUDGET,
    "auto": 8192,
}
# budget -> effort: the first whose bound is above it
_BOUNDS: tuple[tuple[int, Effort], ...] = (
    (1, "off"),
    (1024, "minimal"),
    (4096, "low"),
    (12000, "medium"),
    (24000, "high"),
    (48000, "xhigh"),
)
# the efforts that Anthropic has words for
_WORDS = ("low", "medium", "high", "xhigh", "max")

_KINDS = ("enabled", "disabled", "adaptive", "between_tools")
_DISPLAYS = {"summarized": True, "updates": True, "omitted": False}


class ThinkingIn(Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None
    block_binding: Any = None


def effort_of(budget: int) -> Effort:
    """The effort that a budget of tokens stands for."""
    return next((effort for bound, effort in _BOUNDS if budget < bound), "max")


def parse_reasoning(thinking: ThinkingIn | None, effort: str | None) -> Reasoning | None:
    """None: the client said nothing, and the model's own way counts. An unknown effort is a `BadRequest`."""
    if effort is not None and effort not in EFFORTS:
        raise BadRequest(f"output_config.effort: Input should be one of {', '.join(_WORDS)}", "output_config.effort")
    if thinking is None:
        return None if effort is None else Reasoning(effort)  # type: ignore[arg-type]
    if thinking.type not in _KINDS:
        raise BadRequest(f"thinking.type: Input should be one of {', '.join(_KINDS)}", "thinking.type")
    remember: dict[str, Any] = {}
    if thinking.block_binding is not None:
        remember["block_binding"] = thinking.block_binding
    said: Effort = effort or "auto"  # type: ignore[assignment]
    match thinking.type:
        case "enabled":
            budget = thinking.budget_tokens
            if budget is None:
                raise BadRequest("thinking.budget_tokens: Field required", "thinking.budget_tokens")
            said = effort or effort_of(max(budget, 1))  # type: ignore[assignment]
        case "disabled" | "between_tools":
            said = "off"
            if thinking.type == "between_tools":
                remember["type"] = "between_tools"
            if effort is not None:
                remember["effort"] = effort
    visible = _DISPLAYS.get(thinking.display or "")
    if thinking.display not in (None, "omitted", "summarized"):
        remember["display"] = thinking.display
    budget = thinking.budget_tokens if thinking.type == "enabled" else None
    return Reasoning(said, budget, visible, extra={NAME: remember} if remember else {})


class Plan(Struct):
    """What goes on the wire: the `thinking` object, the effort, and whether the model is going to think."""

    thinking: dict[str, Any] | None = None
    effort: str | None = None
    on: bool = False
    max_tokens: int = DEFAULT_OUTPUT


def plan(reasoning: Reasoning | None, traits: Traits, max_output: int | None, losses: list[Loss]) -> Plan:
    """How to ask for this much reasoning, and how many tokens the answer may have."""
    made = Plan(max_tokens=_max_tokens(reasoning, traits, max_output, losses))
    style = traits.reasoning or "budget"
    made.on = style == "always"
    if reasoning is None:
        return made
    if "reasoning" in traits.drop or style == "none":
        if reasoning.effort != "off":
            losses.append(Loss("reasoning", "dropped", "this model cannot be told how to think", STRICT_REJECT))
        return made
    if style == "budget":
        _budget(made, reasoning, losses)
    else:
        _adaptive(made, reasoning, traits, losses)
    return made


def _max_tokens(reasoning: Reasoning | None, traits: Traits, wanted: int | None, losses: list[Loss]) -> int:
    most = traits.max_output
    if wanted is None:
        budget = reasoning.budget or 0 if reasoning else 0
        return most or (DEFAULT_OUTPUT if budget < DEFAULT_OUTPUT else budget + DEFAULT_OUTPUT)
    if most and wanted > most:
        why = f"the model writes at most {most} tokens"
        losses.append(Loss("max_output", "clamped", why, STRICT_REJECT_WARN))
        return most
    return wanted


def _budget(made: Plan, reasoning: Reasoning, losses: list[Loss]) -> None:
    if reasoning.effort == "off":
        made.thinking = {"type": "disabled"}
        return
    if made.max_tokens <= LEAST_BUDGET:
        why = f"thinking needs more than {LEAST_BUDGET} tokens of output"
        losses.append(Loss("reasoning", "dropped", why, STRICT_REJECT_WARN))
        return
    budget = reasoning.budget if reasoning.budget is not None else BUDGETS[reasoning.effort]
    given = reasoning.budget is not None and reasoning.budget < made.max_tokens
    room = made.max_tokens - 1 if given else made.max_tokens * 4 // 5  # some of the output is for the answer
    fitted = max(LEAST_BUDGET, min(budget, room))
    if reasoning.budget is not None and fitted != reasoning.budget:
        losses.append(Loss("reasoning.budget", "clamped", f"the budget became {fitted} tokens", STRICT_REJECT_WARN))
    made.on = True
    made.thinking = {"type": "enabled", "budget_tokens": fitted}
    if reasoning.visible is False:
        made.thinking["display"] = "omitted"


def _adaptive(made: Plan, reasoning: Reasoning, traits: Traits, losses: list[Loss]) -> None:
    remembered = own(reasoning.extra)
    if reasoning.effort == "off" and made.on is False and ("off" in traits.efforts or not traits.efforts):
        made.thinking = {"type": remembered.get("type", "disabled")}
        made.effort = remembered.get("effort")
        return
    made.effort = _word(reasoning.effort, traits, losses)
    display = remembered.get("display") or {True: "summarized", False: "omitted"}.get(reasoning.visible)  # type: ignore[arg-type]
    binding = remembered.get("block_binding")
    if reasoning.effort == "off":
        return
    if not made.on or display or binding:
        made.thinking = {"type": "adaptive"}
    if made.thinking is not None and display:
        made.thinking["display"] = display
    if made.thinking is not None and binding:
        made.thinking["block_binding"] = binding
    made.on = True


def _word(effort: Effort, traits: Traits, losses: list[Loss]) -> str | None:
    """The nearest effort that the model knows, rather a lower one than a higher one."""
    if effort == "auto":
        return None
    known = [word for word in _WORDS if word in traits.efforts] or list(_WORDS)
    order = EFFORTS.index(effort)
    word = next((word for word in reversed(known) if EFFORTS.index(word) <= order), known[0])
    if word != effort:
        rule = STRICT_REJECT_WARN if effort == "off" else INFO
        losses.append(Loss("reasoning.effort", "approximated", f"the nearest effort of the model is {word}", rule))
    return word
