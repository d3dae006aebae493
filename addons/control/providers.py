"""The provider store over HTTP: `/api/providers`, its records without their keys. A change acts at once.

What holds for the config holds here: an address comes with the key to use there, and a key that is stored already stays
with the address that it was stored for. Keys that were sealed elsewhere and files of this machine are not taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path

from addons.control import allowed
from addons.control.errors import Refused
from addons.control.shapes import Error
from addons.control.stock import (
    Deleted,
    Import,
    ImportAsked,
    Imported,
    ProviderAsked,
    ProviderFields,
    ProviderList,
    StoredProvider,
    StoredRow,
)
from addons.settings import SettingsError
from addons.store import Entry, Missing, ProviderStore, Record, StoreError
from addons.store import Refused as NotStored
from addons.store.importing import entry, parse
from addons.store.stored import Stored

if TYPE_CHECKING:
    from addons.running import Running

Name = Annotated[str, Path(max_length=64, description="the name of a stored provider")]

_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Error, "description": "There is no such provider."}}
_STORE: dict[int | str, dict[str, Any]] = {
    503: {"model": Error, "description": "The store cannot be used: no secret, a wrong one, or a damaged file."}
}
_IN_USE: dict[int | str, dict[str, Any]] = {409: {"model": Error, "description": "An upstream in use needs it."}}

logger = logging.getLogger("llm_link")


def router(running: Running) -> APIRouter:
    routes = APIRouter(prefix="/api/providers", tags=["providers"], responses=_STORE)
    desk = _Desk(running)

    @routes.get("")
    async def listed() -> ProviderList:
        """All stored providers."""
        return ProviderList(data=[_row(record) for record in await desk.do(lambda store: store.list())])

    @routes.post("")
    async def upsert(asked: ProviderAsked) -> StoredProvider:
        """Add a provider, or replace the one of its name. Without `api_key` its key stays, where its address does."""
        return await desk.put([_given(asked)])

    @routes.post("/import")
    async def imported(asked: Import) -> Imported:
        """Add many: as rows, or as the text of a file (JSON, YAML, `.env`, `.lenv` or indented links). All or none."""
        if not isinstance(asked, ImportAsked):
            asked = ImportAsked(providers=asked if isinstance(asked, list) else [asked])
        rows = [_given(row) for row in asked.providers or ()]
        entries, notes = [_entry(row, f"providers[{n}]") for n, row in enumerate(rows)], []
        if asked.text is not None:
            try:
                found = await asyncio.to_thread(parse, asked.text, asked.file)
            except StoreError as error:
                raise Refused(400, str(error), "text") from None
            entries, notes = [*entries, *found.entries], found.notes
        if not entries:
            raise Refused(400, "there is no provider in it", "providers")
        records, warning = await desk.put_all(entries)
        names = [record.name for record in records]
        return Imported(imported=len(names), names=names, notes=notes, warning=warning)

    @routes.get("/{name}", responses=_MISSING)
    async def one(name: Name) -> StoredRow:
        """One stored provider."""
        return _row(await desk.do(lambda store: store.get(name)))

    @routes.put("/{name}")
    async def replace(name: Name, asked: ProviderFields) -> StoredProvider:
        """The same as `POST`, with the name in the path."""
        return await desk.put([{**_given(asked), "name": name}])

    @routes.delete("/{name}", responses={**_MISSING, **_IN_USE})
    async def delete(name: Name) -> Deleted:
        """Forget a provider and its key."""
        await desk.remove(name)
        return Deleted(deleted=name)

    return routes


def _given(asked: ProviderFields) -> dict[str, Any]:
    return asked.model_dump(exclude_none=True)


def _row(record: Record) -> StoredRow:
    return StoredRow.model_validate(record.redacted())


def _entry(values: dict[str, Any], where: str = "") -> Entry:
    try:
        return entry(values)
    except ValueError as error:
        field = str(error).partition(":")[0]
        known = field if field in {*values, "name", "kind", "base_url"} else ""
        raise Refused(400, str(error), ".".join(part for part in (where, known) if part)) from None


class _Desk:
    """The store, off the event loop, and the settings that need it."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def _store(self) -> ProviderStore:
        return Stored.of_config(self._running.settings.source, self._running.environ).store

    async def do[T](self, work: Callable[[ProviderStore], T]) -> T:
        try:
            return await asyncio.to_thread(lambda: work(self._store()))
        except Missing as error:
            raise Refused(404, str(error)) from None
        except NotStored as error:
            raise Refused(400, str(error)) from None
        except SettingsError as error:
            raise Refused(503, str(error)) from None

    async def put(self, rows: list[dict[str, Any]]) -> StoredProvider:
        records, warning = await self.put_all([_entry(row) for row in rows])
        return StoredProvider.model_validate({**records[0].redacted(), "warning": warning})

    async def put_all(self, entries: list[Entry]) -> tuple[list[Record], str | None]:
        """All or none of them, and what there is to say about using them."""
        async with self._running.changing():
            old = {record.name: record for record in await self.do(lambda store: store.list())}
            for one in entries:
                self._check(one, old.get(one.record.name))
            records = await self.do(lambda store: store.put_all(entries))
            return records, await self._use()

    def _check(self, one: Entry, old: Record | None) -> None:
        """Refuses what is not for the API."""
        record, key = one
        if record.encrypted_api_key:
            why = "a sealed key is not taken here: `llm-link providers import` reads it from its file"
            raise Refused(400, f"{record.name}: {why}", "encrypted_api_key")
        if record.api_key_env and record.api_key_env not in allowed.env_names(self._running.settings.file):
            raise Refused(400, f"the config file does not use the variable {record.api_key_env!r}", "api_key_env")
        known = old is not None and (old.address, old.provider) == (record.address, record.provider)
        if record.base_url and record.api_key_env and not (known and old and old.api_key_env == record.api_key_env):
            why = "a key of the environment does not go to an address that comes through the API"
            raise Refused(400, f"{record.name}: {why}", "api_key_env")
        if key is None and not known and (record.base_url or (old is not None and old.encrypted_api_key)):
            raise Refused(400, f"{record.name}: an address needs the api_key to use there", "api_key")

    async def remove(self, name: str) -> None:
        running = self._running
        async with running.changing():
            users = [user for _, settings in running.all_settings() for user in _users(settings.values, name)]
            if users:
                raise Refused(409, f"the upstream {users[0]!r} needs it")
            await self.do(lambda store: store.remove(name))
            await self._use()

    async def _use(self) -> str | None:
        """Read the settings anew, now that the store is another one. What keeps them from it is said, and they stay."""
        try:
            await self._running.apply({})
        except SettingsError as error:
            logger.warning("the store was changed, and the settings stay as they were: %s", error)
            return f"stored, but the settings stay as they were: {error}"
        return None


def _users(values: Any, name: str) -> list[str]:
    """The upstreams of a config that cannot do without a stored provider."""
    upstreams = values.get("upstreams")
    return [
        upstream
        for upstream, part in (upstreams.items() if isinstance(upstreams, dict) else ())
        if isinstance(part, dict) and (_names(part, name) or str(part.get("provider", "")).partition(":")[0] == name)
    ]


def _names(part: dict[str, Any], name: str) -> bool:
    refs = [part.get("api_key"), *(part.get("api_keys") or [])]
    return any(isinstance(ref, dict) and ref.get("store") == name for ref in refs)


