"""What an exchange costs, by the prices of the catalogue: US dollars, or nothing where nobody knows."""

from __future__ import annotations

from addons.catalog import Model, Provider, catalogue
from translators.model import Usage


def priced(model: str, provider: Provider | None) -> Model | None:
    """The row of a model that has a price: at its provider, else where it is known."""
    row = catalogue().info(model, provider)
    return row if row is not None and row.price is not None else None


def dollars(row: Model | None, usage: Usage) -> float | None:
    """Cached tokens count as fresh ones where the row has no price for them."""
    if row is None or row.price is None:
        return None
    fresh, out = row.price
    read, write = row.cache_price or (fresh, fresh)
    hour = write if row.cache_hour_price is None else row.cache_hour_price
    short = usage.cache_write - usage.cache_write_1h
    prompt = usage.input * fresh + usage.cache_read * read + short * write + usage.cache_write_1h * hour
    answer = usage.completion * out
    if row.long_price is not None and usage.prompt > row.long_price.above:
        prompt, answer = prompt * row.long_price.input, answer * row.long_price.output
    return (prompt + answer) / 1e6
