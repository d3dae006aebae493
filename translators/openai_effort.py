"""How much to think, in the words of the two OpenAI protocols."""

from __future__ import annotations

from .codec import Traits
from .model import EFFORTS, BadRequest, Effort
from .policy import INFO, WARN, Losses

_EFFORT_OF: dict[str, Effort] = {
    "none": "off",
    "off": "off",
    "disabled": "off",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
    "auto": "auto",
    "default": "auto",
}
_BUDGETS: tuple[tuple[int, Effort], ...] = (
    (1, "off"),
    (1024, "minimal"),
    (4096, "low"),
    (12000, "medium"),
    (24000, "high"),
    (48000, "xhigh"),
)


def effort_of_name(name: str, path: str) -> Effort:
    effort = _EFFORT_OF.get(name)
    if effort is None:
        raise BadRequest(f"{path}: {name!r} is no effort; it must be one of {', '.join(_EFFORT_OF)}", path)
    return effort


def effort_of_budget(tokens: int) -> Effort:
    if tokens < 0:
        return "auto"
    return next((effort for limit, effort in _BUDGETS if tokens < limit), "max")


def fitted_effort(effort: Effort, traits: Traits, losses: Losses) -> str:
    """The nearest effort that the target knows, below rather than above. `effort` is not "auto"."""
    known = [_EFFORT_OF.get(name, name) for name in traits.efforts] or list(EFFORTS)
    if effort in known:
        return effort
    rank = EFFORTS.index(effort)
    lower = [name for name in known if name in EFFORTS and name != "off" and EFFORTS.index(name) < rank]
    chosen = lower[-1] if lower else next((name for name in known if name != "off"), known[0])
    rule = WARN if effort == "off" else INFO
    losses.add("reasoning.effort", "approximated", f"the target knows no {effort}; it was asked for {chosen}", rule)
    return chosen


def wire_name(effort: str) -> str:
    return "none" if effort == "off" else effort
