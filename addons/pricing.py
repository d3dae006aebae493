"""What an exchange costs, by the prices of the catalogue: US dollars, or nothing where nobody knows."""

from __future__ import annotations

from addons.catalog import Model, Provider, catalogue
from translators.model import Usage


def priced(model: str, provider: Provider | None) -> Model | None:
    """The row of a model that has a price: at its provider, else where it is known."""
    row = catalogue().info(model, provider)
    return row if row is not None and row.price is not None else None


def dollars(row: Model | None, usage: Usage) -> float | None:
    """Cached tokens count as fresh ones where the row has no price for them, so that it is never less than billed."""
    if row is None or row.price is None:
        return None
    fresh, out = row.price
    read, write = row.cache_price or (fresh, fresh)
    spent = usage.input * fresh + usage.cache_read * read + usage.cache_write * write + usage.completion * out
    return spent / 1e6
