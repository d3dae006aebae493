"""Lets no request ask for more thinking than this: in words (`effort`), in tokens (`budget`), or both."""

from msgspec.structs import replace

from translators.model import EFFORTS

EFFORT = "medium"
BUDGET = 8_000  # tokens


def llm_request(exchange):
    if exchange.purpose == "embed" or exchange.request.reasoning is None:
        return
    reasoning = exchange.request.reasoning
    if reasoning.effort == "auto" or EFFORTS.index(reasoning.effort) > EFFORTS.index(EFFORT):
        reasoning = replace(reasoning, effort=EFFORT)
    if reasoning.budget is not None and reasoning.budget > BUDGET:
        reasoning = replace(reasoning, budget=BUDGET)
    exchange.request.reasoning = reasoning
