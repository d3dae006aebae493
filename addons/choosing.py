"""Which of several targets is asked first, and which are left alone for a while.

A target that failed in a way that another attempt may mend cools down: as long as it asked for (`retry-after`), else
`retry.cooldown` seconds. An upstream that did not answer at all several times in a row cools down with all its targets.
When the time is over one exchange probes it, and the others keep away until that has ended. Nothing is ever refused
here: whoever cools down comes after all others, the one that is free soonest first.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from addons.catalog import catalogue, is_loopback
from addons.routing import Route, Target
from translators.model import ApiError

SILENT = 3  # attempts in a row without any answer, after which the whole upstream cools down
MOST = 2048  # standings that are kept; clients may name models
_PROBING = 0.1  # seconds: how far behind somebody else's probe a target is put
_SMOOTH = 0.3  # weight of the newest time in the average
_UNANSWERED = frozenset(("disconnected", "timeout"))

Key = tuple[str, ...]


class Standing:
    """How one target, or one upstream as a whole, did lately. Times are monotonic seconds."""

    __slots__ = ("busy", "first_byte", "free_at", "probing", "silent")

    def __init__(self) -> None:
        self.free_at = 0.0  # 0: it does not cool down
        self.probing = False
        self.silent = 0
        self.busy = 0  # attempts in flight
        self.first_byte = 0.0  # average seconds until an answer began; 0: unknown

    def wait(self, now: float) -> float:
        """Seconds until it should be asked again; 0: now."""
        if self.probing:
            return max(_PROBING, self.free_at - now)
        return max(0.0, self.free_at - now)

    def cool(self, until: float) -> None:
        self.free_at, self.probing = max(self.free_at, until), False

    def recovered(self) -> None:
        self.free_at, self.probing, self.silent = 0.0, False, 0


class Health(NamedTuple):
    """How one upstream did lately. `wait`: seconds until it is asked again, or until the first of its targets is."""

    wait: float = 0.0
    busy: int = 0
    first_byte: float = 0.0
    silent: int = 0
    asked: bool = False


class Board:
    """What is known of all targets; one for each running proxy. It outlives a reload of the config."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, rng: random.Random | None = None) -> None:
        self._clock, self._rng = clock, rng or random.SystemRandom()
        self._standings: OrderedDict[Key, Standing] = OrderedDict()
        self._turns: OrderedDict[Key, int] = OrderedDict()
        self._orders: dict[str, Callable[[Route], list[Target]]] = {
            "order": lambda route: list(route.targets),
            "round_robin": self._in_turn,
            "least_busy": lambda route: sorted(route.targets, key=lambda t: self._at(t).busy / t.weight),
            "weighted": self._weighted,
            "fastest": lambda route: sorted(route.targets, key=lambda t: self._at(t).first_byte),
            "cheapest": lambda route: sorted(route.targets, key=price),
        }

    def order(self, route: Route, needed: Callable[[], int] = lambda: 0) -> list[Target]:
        """The targets of a route in the order of this exchange. `needed`: the tokens of its prompt, asked only where
        targets differ in what they can hold."""
        if len(route.targets) == 1:
            return list(route.targets)
        now = self._clock()
        chosen = self._keys_in_turn(self._orders[route.choose](route))
        chosen.sort(key=lambda target: max(standing.wait(now) for standing in self._both(target)))
        return fitting(chosen, needed)

    # ---- what became of attempts

    def begin(self, target: Target) -> None:
        now = self._clock()
        for standing in self._both(target):
            standing.busy += 1
            if 0 < standing.free_at <= now:
                standing.probing = True

    def good(self, target: Target, first_byte: float) -> None:
        """It answered, after so many seconds."""
        for standing in self._both(target):
            standing.recovered()
            before = standing.first_byte
            standing.first_byte = first_byte if not before else before + _SMOOTH * (first_byte - before)
        self._over(target)

    def failed(self, target: Target, error: ApiError, cooldown: float) -> None:
        """Another attempt, or another target, may do better."""
        seconds = cooldown if error.retry_after is None else error.retry_after
        until, unanswered = self._clock() + seconds, error.kind in _UNANSWERED
        own, upstream = self._both(target)
        upstream.probing = False
        upstream.silent = upstream.silent + 1 if unanswered else 0
        if seconds > 0 and cooldown > 0:
            own.cool(until)
            if upstream.silent >= SILENT:
                upstream.cool(until)
        self._over(target)

    def left(self, target: Target) -> None:
        """It ended in a way that says nothing of the target: a client's mistake, or a client that hung up."""
        for standing in self._both(target):
            standing.probing = False
        self._over(target)

    def _over(self, target: Target) -> None:
        for standing in self._both(target):
            standing.busy = max(0, standing.busy - 1)

    def healths(self) -> dict[tuple[str, str], Health]:
        """All upstreams that were asked, by name and root."""
        now, found, waits = self._clock(), {}, dict[tuple[str, str], list[float]]()
        for key, standing in self._standings.items():
            if len(key) == 2:
                found[key[0], key[1]] = standing
            else:
                waits.setdefault((key[0], key[1]), []).append(standing.wait(now))
        return {
            at: Health(max(one.wait(now), min(waits.get(at, (0.0,)))), one.busy, one.first_byte, one.silent, True)
            for at, one in found.items()
        }

    # ---- who is first

    def _in_turn(self, route: Route) -> list[Target]:
        turn = self._next(("route", route.name)) % len(route.targets)
        return [*route.targets[turn:], *route.targets[:turn]]

    def _weighted(self, route: Route) -> list[Target]:
        """Each place is drawn by weight from those that are left."""
        return sorted(route.targets, key=lambda target: -(self._rng.random() ** (1 / target.weight)))

    def _keys_in_turn(self, targets: Sequence[Target]) -> list[Target]:
        """The several keys of one upstream take turns, at the places where they stand."""
        places: dict[str, list[int]] = {}
        for place, target in enumerate(targets):
            places.setdefault(target.address, []).append(place)
        out = list(targets)
        for address, found in places.items():
            if len(found) > 1:
                turn = self._next(("keys", address))
                for n, place in enumerate(found):
                    out[place] = targets[found[(n + turn) % len(found)]]
        return out

    def _next(self, key: Key) -> int:
        turn = self._turns[key] = self._turns.pop(key, -1) + 1
        if len(self._turns) > MOST:
            self._turns.popitem(last=False)
        return turn

    def _at(self, target: Target) -> Standing:
        return self._both(target)[0]

    def _both(self, target: Target) -> tuple[Standing, Standing]:
        upstream = target.upstream
        return (
            self._standing((upstream.name, upstream.root, target.model, str(target.key))),
            self._standing((upstream.name, upstream.root)),
        )

    def _standing(self, key: Key) -> Standing:
        found = self._standings.get(key)
        if found is None:
            found = self._standings[key] = Standing()
            if len(self._standings) > MOST:
                self._forget()
        return found

    def _forget(self) -> None:
        """Let the oldest go that has nothing in flight."""
        key = next((key for key, standing in self._standings.items() if not standing.busy), None)
        if key is not None:
            del self._standings[key]


def fitting(targets: Iterable[Target], needed: Callable[[], int]) -> list[Target]:
    """Without the targets whose window is known to be too small for the prompt, unless that would leave none."""
    found = list(targets)
    windows = {target.traits.context_window for target in found}
    if len(windows) < 2 or not any(windows):
        return found
    tokens = needed()
    large = [target for target in found if not 0 < target.traits.context_window < tokens]
    return large or found


def price(target: Target) -> float:
    """US dollars for a million tokens of an ordinary exchange, which reads more than it writes; own machines are free,
    and what nobody knows comes last."""
    if is_loopback(target.upstream.host):
        return 0.0
    row = catalogue().info(target.model, target.upstream.provider)
    if row is None or row.price is None:
        return float("inf")
    read, written = row.price
    return 0.75 * read + 0.25 * written
