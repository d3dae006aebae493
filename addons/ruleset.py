"""Rules at work on one exchange: each is called alone, so that one that raises takes nothing with it.

mitmproxy's own way to call a hook stops at the first script that raises, and swallows what it raised; a rule that is
`required` could then be no promise. So the hooks of the rules are collected when a script is loaded (`rules`), and
called here one by one. What a rule did is compared with what was there before: unchanged bytes then pass as they are,
a change is written down for the views, and what a rule that raised had begun is undone.

Every step is a generator of `Waiting`: what an `async` rule is waiting for. Whoever drives it awaits that.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from addons.credentials import scrub
from addons.routing import Target
from translators.events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate
from translators.mending import Mender
from translators.model import ApiError, BadRequest, Response, UpstreamFault

if TYPE_CHECKING:
    import logging

    from addons.exchange import Attempt, Exchange

HOOKS = ("llm_request", "llm_route", "llm_event", "llm_response", "llm_error")
RAISED = (Exception, SystemExit)  # what a rule may raise without taking more than itself with it
_EVENTS = (Start, PartStart, PartDelta, PartEnd, UsageUpdate, Finish, Failure, Ping)
_LIMIT = 20  # reports that one exchange keeps

Hook = Callable[..., Any]


class Rule(msgspec.Struct, frozen=True):
    """One file with the functions that it defines for each hook; `fault`: why it could not be loaded."""

    path: str
    required: bool = False
    hooks: Mapping[str, tuple[Hook, ...]] = {}
    fault: str = ""

    @property
    def name(self) -> str:
        return Path(self.path).name


class Ruleset:
    """The rules that are loaded, in their order. Made when one comes, goes or changes, and never changed itself."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._hooks = {hook: [(r, f) for r in rules for f in r.hooks.get(hook, ())] for hook in HOOKS}
        self.missing = [rule for rule in rules if rule.fault and rule.required]
        self.idle = not self.missing and not any(self._hooks.values())

    def of(self, hook: str) -> Sequence[tuple[Rule, Hook]]:
        return self._hooks[hook]


class Waiting:
    """Something that an `async` rule has to wait for."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self._awaitable = awaitable
        self.error: BaseException | None = None
        self.result: Any = None

    async def done(self) -> None:
        try:
            self.result = await self._awaitable
        except RAISED as error:
            self.error = error


Steps = Generator[Waiting, None, None]


class Ruled:
    """What rules do to one exchange."""

    def __init__(self, ruleset: Ruleset, exchange: Exchange, logger: logging.Logger) -> None:
        self._ruleset, self._exchange, self._logger = ruleset, exchange, logger
        self._off: set[str] = set()  # raised, and are not there for the rest of the exchange
        self._reports: list[dict[str, str]] = []
        self._did: dict[str, dict[str, Any]] = {}
        self.fault: ApiError | None = None  # why the exchange must not go on
        for rule in ruleset.missing:
            self._fail(rule, f"could not be loaded ({rule.fault})")

    def wants(self, hook: str) -> bool:
        return self.fault is None and any(rule.path not in self._off for rule, _ in self._ruleset.of(hook))

    # ------------------------------------------------------------------------------------------ the hooks

    def request(self) -> Steps:
        """`llm_request`. What it leaves in `exchange.request` is what is asked from then on."""
        exchange = self._exchange
        for rule, hook in self._ruleset.of("llm_request"):
            was = exchange.response
            try:
                yield from self._call(rule, hook)
                self._check_answer(was, rule)
                before, after = exchange.settle_request()
                if before != after:
                    self._changed("request", rule, before, after)
            except RAISED as error:
                exchange.response = was
                exchange.undo_request()
                self._raised(rule, "llm_request", error)

    def route(self) -> Steps:
        """`llm_route`."""
        exchange = self._exchange
        for rule, hook in self._ruleset.of("llm_route"):
            was, answered = [*exchange.targets], exchange.response
            try:
                yield from self._call(rule, hook)
                self._check_answer(answered, rule)
                exchange.targets = _targets(exchange.targets)
                if exchange.targets != was:
                    self._changed("targets", rule, _addresses(was), _addresses(exchange.targets))
            except RAISED as error:
                exchange.targets, exchange.response = was, answered
                self._raised(rule, "llm_route", error)

    def transform(self) -> EventRules | None:
        """`llm_event` for one answer; None: no rule defines it."""
        return EventRules(self) if self.wants("llm_event") else None

    def response(self, streamed: bool) -> Steps:
        """`llm_response` with `exchange.response`, the whole answer. One that was streamed is only seen."""
        exchange = self._exchange
        for rule, hook in self._ruleset.of("llm_response"):
            was = exchange.response
            try:
                yield from self._call(rule, hook)
                if exchange.response is was:
                    continue
                exchange.response = _valid(exchange.response, Response)
                if streamed:
                    self._report(rule, "llm_response", "changed an answer that was streamed already")
                    exchange.response = was
                else:
                    self._changed("response", rule)
            except RAISED as error:
                exchange.response = was
                self._raised(rule, "llm_response", error)

    def error(self, attempt: Attempt) -> Steps:
        """`llm_error` with `exchange.error`, why this attempt failed. Another error in its place is what counts."""
        exchange = self._exchange
        kept = exchange.error
        for rule, hook in self._ruleset.of("llm_error"):
            was = exchange.error = attempt.error
            targets = [*exchange.targets]
            try:
                yield from self._call(rule, hook)
                exchange.targets = _targets(exchange.targets)
                attempt.onward = attempt.onward or exchange.targets != targets
                if exchange.error is None or exchange.error == was:
                    continue
                attempt.error = _valid(exchange.error, ApiError)
                if attempt.answer is not None:
                    attempt.answer.reply = None
                self._changed("error", rule)
            except RAISED as error:
                exchange.targets = targets
                self._raised(rule, "llm_error", error)
        exchange.error = kept

    # ------------------------------------------------------------------------------------------ one call

    def _call(self, rule: Rule, hook: Hook) -> Steps:
        if self.fault is not None or rule.path in self._off:
            return
        made = hook(self._exchange)
        if made is not None and inspect.isawaitable(made):
            waiting = Waiting(made)
            yield waiting
            if waiting.error is not None:
                raise waiting.error

    def events(self, event: Event) -> list[Event]:
        """`llm_event`: what the rules make of one event, one after the other."""
        events = [event]
        for rule, hook in self._ruleset.of("llm_event"):
            if rule.path in self._off:
                continue
            try:
                made = [out for one in events for out in _made(hook(self._exchange, one), one)]
            except RAISED as error:
                self._raised(rule, "llm_event", error)
                if self.fault is not None:
                    raise UpstreamFault(self.fault) from None
                continue
            if len(made) != len(events) or any(a is not b for a, b in zip(made, events, strict=True)):
                self._changed("events", rule)
                events = made
        return events

    def _check_answer(self, was: Any, rule: Rule) -> None:
        """A rule may have answered by itself."""
        exchange = self._exchange
        if exchange.response is was:
            return
        if exchange.purpose in ("generate", "compact"):
            exchange.response = _valid(exchange.response, Response)
        self._changed("answer", rule)

    # ------------------------------------------------------------------------------------------ what is said of it

    def _raised(self, rule: Rule, hook: str, error: BaseException) -> None:
        exchange = self._exchange
        if error is exchange.unreadable and isinstance(error, BadRequest):  # the client's mistake, and not the rule's
            if rule.required:
                self.fault = error.error
            return
        self._off.add(rule.path)
        why = scrub(f"{type(error).__name__}: {error}", exchange.taken.values)
        at = f"{rule.path}:{line_of(error, rule.path)}"
        self._report(rule, hook, why, at)
        self._logger.debug("rule %s", rule.name, exc_info=error)
        if rule.required:
            self._fail(rule, f"failed in {hook}")

    def _fail(self, rule: Rule, what: str) -> None:
        if self.fault is None:
            self.fault = ApiError(500, "server", f"the rule {rule.name!r}, which is required, {what}; the log says why")

    def _report(self, rule: Rule, hook: str, why: str, at: str = "") -> None:
        id = self._exchange.seed.id
        self._logger.error("rule %s (%s, request %s): %s", at or rule.path, hook, id, why[:1000])
        if len(self._reports) < _LIMIT:
            self._reports.append({"rule": rule.name, "hook": hook, "at": at, "why": why[:1000]})

    def _changed(self, what: str, rule: Rule, before: Any = None, after: Any = None) -> None:
        did = self._did.setdefault(what, {"by": [], "before": before})
        did["after"] = after
        if rule.name not in did["by"]:
            did["by"].append(rule.name)

    def record(self, capture: int) -> dict[str, Any] | None:
        """What the rules did, as plain values; None: nothing.

        `request`: `before` and `after` are the neutral request as JSON, at most `capture` bytes of each; `targets`:
        the same as addresses; `events`, `response`, `error`, `answer`: they were changed or made; each has `by`, the
        names of the rules. `reports`: rules that failed."""
        out: dict[str, Any] = {}
        for what, did in self._did.items():
            bounded = {name: did[name][:capture] for name in ("before", "after") if did.get(name) is not None}
            out[what] = {"by": [*did["by"]], **bounded}
        if self._reports:
            out["reports"] = [*self._reports]
        return out or None


class EventRules:
    """The transform that `llm_event` is, for one answer."""

    def __init__(self, ruled: Ruled) -> None:
        self._ruled, self._mend = ruled, Mender()

    def __call__(self, event: Event) -> Sequence[Event]:
        return self._mend(self._ruled.events(event))


def _made(made: Any, event: Event) -> Sequence[Event]:
    """What a rule returned, as a list of events. Raises `TypeError` where it is something else."""
    if made is None:
        return (event,)
    events = made if isinstance(made, list | tuple) else (made,)
    for one in events:
        if not isinstance(one, _EVENTS):
            if inspect.iscoroutine(one):
                one.close()
                raise TypeError("llm_event cannot be async")
            raise TypeError(f"llm_event returned {type(one).__name__}; expected None, an event or a list of events")
    return events


def _valid[T](value: Any, kind: type[T]) -> T:
    """A value that a rule made, in its shape. Raises where it is not."""
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, not {type(value).__name__}")
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)


def _targets(targets: Any) -> list[Target]:
    if not isinstance(targets, list | tuple) or not all(isinstance(target, Target) for target in targets):
        raise TypeError("exchange.targets must be a list of targets; exchange.resolve(NAME) makes them")
    return [*targets]


def _addresses(targets: Sequence[Target]) -> list[str]:
    return [target.address for target in targets]


def line_of(error: BaseException, path: str) -> int:
    """The line of a file in which an exception came up, or that it is about; 0: none."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno or 0
    line, step = 0, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == path:
            line = step.tb_lineno
        step = step.tb_next
    return line
