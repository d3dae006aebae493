"""Where rules come into an exchange on the wire: before it is routed, when an attempt failed, when the answer is there.

Without rules none of this runs.
"""

from __future__ import annotations

from addons import replies
from addons.exchange import Exchange, Reply
from addons.hooks import RuleHook
from addons.intake import Commands
from addons.outlet import Outlet
from addons.ruleset import Ruled, Steps


class Ruling(Outlet):
    """An outlet that knows rules."""

    def drive(self, steps: Steps) -> Commands:
        """Run rules; where one is async, wait for it."""
        for waiting in steps:
            yield RuleHook(waiting)

    def tell_error(self, exchange: Exchange, ruled: Ruled) -> Commands:
        """`llm_error` for the attempt that failed last."""
        attempt = exchange.attempt
        if attempt is not None and attempt.error is not None and not attempt.told:
            attempt.told = True
            yield from self.drive(ruled.error(attempt))

    def review(self, exchange: Exchange, ruled: Ruled, reply: Reply) -> Commands:
        """`llm_response` for an answer in one piece, and then its delivery."""
        answer = exchange.attempts[-1].answer
        if answer is not None and answer.response is not None:
            exchange.response = answer.response
            yield from self.drive(ruled.response(False))
            if exchange.response is not answer.response:
                reply = replies.whole(exchange, *answer.render(exchange.response))
        yield from self.deliver(reply if ruled.fault is None else replies.refusal(exchange, ruled.fault))

    def review_stream(self, exchange: Exchange, ruled: Ruled) -> Commands:
        """A streamed answer is over."""
        attempt = exchange.attempts[-1]
        answer = attempt.answer
        if answer is None:
            return
        if answer.failure is not None:
            attempt.error = attempt.error or answer.failure
            yield from self.tell_error(exchange, ruled)
        elif answer.response is not None:
            exchange.response = answer.response
            yield from self.drive(ruled.response(True))
