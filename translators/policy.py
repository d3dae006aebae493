"""What happens to a loss: the three policies, and the rules that decide.

A codec renders the most that its protocol can say and reports what it could not say as `Loss`; it never asks for the
policy. Here the policy turns losses into a refusal or into warnings. A rule names the three actions in the order
strict, balanced, max_compat: `reject` is a 400 that names the field, `warn` reaches the client in a header, `info` only
log and views.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from .model import BadRequest

Policy = Literal["strict", "balanced", "max_compat"]
Action = Literal["reject", "warn", "info"]
Rule = tuple[Action, Action, Action]

POLICIES: tuple[Policy, ...] = ("strict", "balanced", "max_compat")

INFO: Rule = ("info", "info", "info")
WARN: Rule = ("warn", "warn", "warn")
REJECT: Rule = ("reject", "reject", "reject")
STRICT_REJECT: Rule = ("reject", "warn", "info")  # ignoring it changes nothing that the caller relies on
STRICT_REJECT_WARN: Rule = ("reject", "warn", "warn")
BALANCED_REJECT: Rule = ("reject", "reject", "warn")  # ignoring it changes what the caller relies on


class Loss(Struct, frozen=True):
    """One thing that the target could not be told exactly. `path`: where in the client's request, as a dotted path;
    `code`: what became of it (`dropped`, `clamped`, `approximated`, `moved`, …); `why`: for a person."""

    path: str
    code: str
    why: str
    rule: Rule = WARN


class Losses:
    """Collects losses; the same one is told once, however often a conversation repeats it."""

    def __init__(self) -> None:
        self.list: list[Loss] = []
        self._told: set[tuple[str, str]] = set()

    def add(self, path: str, code: str, why: str, rule: Rule = WARN) -> None:
        if (path, code) not in self._told:
            self._told.add((path, code))
            self.list.append(Loss(path, code, why, rule))


def action(loss: Loss, policy: Policy) -> Action:
    return loss.rule[POLICIES.index(policy)]


def judge(losses: Iterable[Loss], policy: Policy, source: str, target: str) -> list[Loss]:
    """The losses that are worth a warning. Raises `BadRequest` for the first one that the policy refuses."""
    warnings: list[Loss] = []
    for loss in losses:
        match action(loss, policy):
            case "reject":
                raise BadRequest(
                    f"Cannot translate {loss.path} from {source} to {target}: {loss.why}."
                    + ("" if loss.rule == REJECT else " Remove it or set policy=max_compat."),
                    loss.path,
                    kind="unsupported",
                    code="unsupported_translation",
                )
            case "warn":
                warnings.append(loss)
            case "info":
                pass
    return warnings


_UNPRINTABLE = re.compile(r"[^!-~]")  # a path may hold any field name that a client made up, line ends included


def header(losses: Iterable[Loss], limit: int = 1024) -> str:
    """`FIELD=CODE` pairs for `x-llm-link-warnings`: ASCII, each pair once, at most `limit` bytes."""
    pairs = dict.fromkeys(f"{loss.path}={loss.code}" for loss in losses)
    out = ""
    for pair in pairs:
        clean = _UNPRINTABLE.sub("?", pair.replace(",", ";").replace(" ", ""))
        longer = f"{out},{clean}" if out else clean
        if len(longer) > limit:
            break
        out = longer
    return out
