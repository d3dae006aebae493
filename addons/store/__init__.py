"""What LLM Link keeps on the disk: providers with their keys sealed, the keys of clients as hashes, and usage.

    store = open_store(path, environ)            # path None: the user's own
    store.put(make({"name": "zhipu"}), SecretStr("…"))
    store.list(); store.get("zhipu").redacted(); store.remove("zhipu")
    store.key("zhipu")                           # the key itself, for an upstream and nobody else

Nothing here knows mitmproxy. Everything blocks: off an event loop, please.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from .errors import Damaged, Missing, NoSecret, Refused, StoreError, WrongSecret
from .providers import Entry, ProviderStore, user_folder
from .records import Record, make
from .secret import VARIABLE

__all__ = [
    "Damaged", "Entry", "Missing", "NoSecret", "ProviderStore", "Record", "Refused", "StoreError", "WrongSecret",
    "make", "open_store", "user_folder",
]  # fmt: skip

PROVIDERS = "providers.db"


def open_store(path: Path | None, environ: Mapping[str, str], secret: SecretStr | None = None) -> ProviderStore:
    """The store of a path, or the user's own. `secret`: of the config; else LLM_LINK_SECRET, else the keyring's."""
    named = environ.get(VARIABLE)
    given = secret if secret is not None else SecretStr(named) if named else None
    return ProviderStore(path or user_folder(environ) / PROVIDERS, given)
