"""Sends short prompts to a small model and long ones to a large one, whatever model the client names.

The targets are names of `models`, or UPSTREAM/MODEL. The estimate is on the high side.
"""

LIMITS = [(8_000, "small"), (100_000, "medium")]  # tokens -> where such a prompt goes
LARGEST = "large"


def llm_route(exchange):
    if exchange.purpose not in ("generate", "count_tokens"):
        return
    tokens = exchange.prompt_tokens()
    name = next((name for limit, name in LIMITS if tokens <= limit), LARGEST)
    exchange.targets = exchange.resolve(name)
