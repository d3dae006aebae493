"""The keys that we issue to clients, over HTTP: `/api/tokens`. A key is said once, when it is issued."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from addons.control.errors import Refused
from addons.control.shapes import Error
from addons.control.stock import Token, TokenAsked, TokenList, TokenRevoke, TokenRevoked, TokenRow
from addons.settings import SettingsError
from addons.store import Missing
from addons.store import Refused as NotStored
from addons.store.keys import ClientKeys, Key, Limits, keys_path
from addons.store.stored import Stored

if TYPE_CHECKING:
    from addons.running import Running

_STORE: dict[int | str, dict[str, Any]] = {
    503: {"model": Error, "description": "The file of the keys cannot be used: it is damaged, or cannot be written."}
}
_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Error, "description": "There is no such key."}}


def router(running: Running) -> APIRouter:
    routes = APIRouter(prefix="/api/tokens", tags=["tokens"], responses=_STORE)

    @routes.post("")
    async def issue(asked: TokenAsked) -> Token:
        """Issue a key. It opens where `auth.mode` is proxy_key, at once."""
        limits = Limits(
            requests_per_minute=asked.requests_per_minute,
            tokens_per_minute=asked.tokens_per_minute,
            concurrent=asked.concurrent,
        )
        seconds = None if asked.ttl_hours is None else asked.ttl_hours * 3600
        made = lambda keys: keys.issue(asked.label, seconds=seconds, models=asked.models, limits=limits)  # noqa: E731
        key, token = await _do(running, made)
        warning = None if running.settings.auth.mode == "proxy_key" else _NO_USE.format(running.settings.auth.mode)
        return Token(
            id=key.id, token=token.get_secret_value(), ttl_hours=asked.ttl_hours, label=asked.label, warning=warning
        )

    @routes.get("/list")
    async def listed() -> TokenList:
        """All keys that were issued, without what their clients present."""
        now = time.time()
        return TokenList(data=[_row(key, now) for key in await _do(running, lambda keys: keys.list())])

    @routes.post("/revoke", responses=_MISSING)
    async def revoke(asked: TokenRevoke) -> TokenRevoked:
        """Let a key, named by its id or label, open nothing any more, at once. Running requests end."""
        key = await _do(running, lambda keys: keys.revoke(asked.id))
        return TokenRevoked(revoked=key.id)

    return routes


_NO_USE = "auth.mode is {}: no key is asked for"


async def _do[T](running: Running, work: Callable[[ClientKeys], T]) -> T:
    """Something with the keys, off the event loop; what it changed counts for the next request."""

    def all_of_it() -> T:
        store = Stored.of_config(running.settings.source, running.environ).store
        return work(ClientKeys(keys_path(Path(store.path))))

    try:
        done = await asyncio.to_thread(all_of_it)
        if running.settings.auth.issued is not None and running.settings.auth.issued.changed:
            await asyncio.to_thread(running.settings.auth.issued.read)
    except Missing as error:
        raise Refused(404, str(error)) from None
    except NotStored as error:
        raise Refused(400, str(error)) from None
    except SettingsError as error:
        raise Refused(503, str(error)) from None
    return done


def _row(key: Key, now: float) -> TokenRow:
    return TokenRow(
        id=key.id,
        label=key.label,
        issued_at=key.issued_at,
        expires_at=key.expires_at,
        revoked=key.revoked_at is not None,
        state=key.state(now),
        models=None if key.models is None else list(key.models),
    )
