"""Where a prompt is too long for its model, one with a longer context is asked instead of telling the client."""

LONGER = "large/long-context"  # a name of `models`, or UPSTREAM/MODEL


def llm_error(exchange):
    if exchange.error.kind == "context_too_long" and "longer" not in exchange.notes:
        exchange.notes["longer"] = True
        exchange.targets += exchange.resolve(LONGER)
