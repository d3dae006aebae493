"""How much one key, one client and one upstream may ask for: requests and tokens a minute, and how many at a time.

A minute is the last 60 seconds, counted in seconds, so that neither its turn nor many small requests cost anything. A
request's tokens are taken for its estimated prompt when it comes in, and corrected to what it really used when it ends.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from addons.credentials import Taken
from addons.settings_model import Rate
from translators.limits import translate_limits
from translators.model import ApiError, BadRequest

SPAN = 60  # seconds that count
MOST = 4096  # meters that are kept; clients may make up keys

Subject = tuple[str, str]  # what is measured (key, client, upstream), and which one


class Window:
    """How much happened in each of the last 60 seconds."""

    __slots__ = ("_counts", "_last", "total")

    def __init__(self) -> None:
        self._counts = [0] * SPAN
        self._last = 0
        self.total = 0

    def advance(self, now: float) -> None:
        second = int(now)
        for passed in range(self._last + 1, min(second, self._last + SPAN) + 1):
            self.total -= self._counts[passed % SPAN]
            self._counts[passed % SPAN] = 0
        self._last = max(self._last, second)

    def add(self, now: float, amount: int) -> None:
        self.advance(now)
        self._counts[self._last % SPAN] += amount
        self.total += amount

    def wait(self, now: float, room: int) -> float:
        """Seconds until at most `room` is left of what counts today; 0: it is so now."""
        self.advance(now)
        left = self.total
        if left <= room:
            return 0.0
        for age in range(SPAN - 1, -1, -1):  # the oldest goes first
            left -= self._counts[(self._last - age) % SPAN]
            if left <= room:
                return max(0.05, self._last - age + SPAN - now)
        return float(SPAN)


class Meter:
    """What one subject did lately."""

    __slots__ = ("requests", "running", "tokens")

    def __init__(self) -> None:
        self.requests, self.tokens = Window(), Window()
        self.running = 0

    def wait(self, rate: Rate, now: float, tokens: int) -> tuple[str, int, float] | None:
        """Which limit is reached, what it is, and the seconds until it is not; None: there is room."""
        if rate.concurrent and self.running >= rate.concurrent:
            return "concurrent requests", rate.concurrent, 1.0
        per_minute = rate.requests_per_minute
        if per_minute and (wait := self.requests.wait(now, per_minute - 1)):
            return "requests per minute", per_minute, wait
        # A prompt larger than the whole limit is let in when nothing else counts: it could never be, else.
        limit = rate.tokens_per_minute
        if limit and (wait := self.tokens.wait(now, max(0, limit - tokens))):
            return "tokens per minute", limit, wait
        return None

    @property
    def idle(self) -> bool:
        return not (self.running or self.requests.total or self.tokens.total)


class Pass:
    """A request that was let in; `leave` says what it used."""

    def __init__(self, meters: Meters, entered: Sequence[Meter], tokens: int) -> None:
        self._meters, self._entered, self._tokens = meters, entered, tokens

    def leave(self, used: int | None) -> None:
        """Once. `used`: its tokens; None: nobody knows."""
        entered, self._entered = self._entered, ()
        for meter in entered:
            meter.running -= 1
            if used is not None:
                meter.tokens.add(self._meters.now(), used - self._tokens)


class Limited(BadRequest):
    """A limit of ours is reached: 429, when to come again, and the limit in the client protocol's headers."""

    def __init__(self, whose: str, what: str, limit: int, wait: float) -> None:
        super().__init__(f"the limit of {limit} {what} for {whose} is reached", status=429, kind="rate_limit")
        error = self.error
        self.error = ApiError(error.status, error.kind, error.message, "rate_limit_exceeded", retry_after=wait)
        self._what, self._limit, self._wait = what, limit, wait

    def headers(self, protocol: str, now: int) -> dict[str, str]:
        kind = self._what.partition(" ")[0]
        if kind == "concurrent":
            return {}
        told = {"limit": str(self._limit), "remaining": "0", "reset": f"{math.ceil(self._wait)}s"}
        said = {f"x-ratelimit-{field}-{kind}": value for field, value in told.items()}
        return translate_limits(said, "openai-chat", protocol, now)


class Meters:
    """All meters of a running proxy. They outlive a reload of the config."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        self._meters: OrderedDict[Subject, Meter] = OrderedDict()

    def enter(self, asked: Sequence[tuple[Subject, str, Rate]], tokens: Callable[[], int]) -> Pass:
        """Lets a request in, or raises `Limited`. `asked`: each subject that has a limit, what it is called in the
        error, and its limit; `tokens`: the prompt's, asked only where they count."""
        if not asked:
            return Pass(self, (), 0)
        now = self.now()
        prompt = tokens() if any(rate.tokens_per_minute for _, _, rate in asked) else 0
        meters = [self._meter(subject) for subject, _, _ in asked]
        for meter, (_, whose, rate) in zip(meters, asked, strict=True):
            if (reached := meter.wait(rate, now, prompt)) is not None:
                raise Limited(whose, *reached)
        for meter in meters:
            meter.running += 1
            meter.requests.add(now, 1)
            meter.tokens.add(now, prompt)
        return Pass(self, meters, prompt)

    def _meter(self, subject: Subject) -> Meter:
        found = self._meters.pop(subject, None) or Meter()
        self._meters[subject] = found  # the newest is last
        if len(self._meters) > MOST:
            self._forget()
        return found

    def _forget(self) -> None:
        """Let those go that have nothing that counts; they stand first, where the oldest are."""
        now = self.now()
        for subject in [*self._meters][: MOST // 4]:
            meter = self._meters[subject]
            meter.requests.advance(now)
            meter.tokens.advance(now)
            if meter.idle:
                del self._meters[subject]


def limited(rate: Rate) -> bool:
    """Whether there is any limit."""
    return bool(rate.requests_per_minute or rate.tokens_per_minute or rate.concurrent)


def client_of(taken: Taken, peer: str) -> str:
    """Who asks: by credential where there is one, else by address. A digest, so that no credential is kept."""
    told = taken.values[0] if taken.values else f"peer {peer}"
    return hashlib.blake2b(told.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
