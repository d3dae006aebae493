"""The running proxy as the control surface sees it: the settings in use, and the one way to change them.

Settings are read from the file, the command line and the environment (`read`), with the changes of the API laid over
them, and are checked as a whole before anything takes effect. Requests that run keep what they began with. Reading may
open the key store, which blocks: it happens in a thread, and one change waits for the other.

A namespace is a set of upstreams and models of its own; everything else it shares with the config file's, `default`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from importlib import metadata
from typing import Any, NamedTuple

from addons.catalog import Provider
from addons.choosing import Board
from addons.exchange import Exchange
from addons.routing import Router
from addons.settings import Changes, Settings, SettingsError, changed, space_settings
from addons.settings_upstream import Upstream
from addons.settings_yaml import key_text
from addons.stats import Stats
from addons.surfaces import namespace_of

DEFAULT = "default"

logger = logging.getLogger("llm_link")


class Space(NamedTuple):
    """One namespace. `config`: as it was given, with its keys; empty for the config file's."""

    name: str
    settings: Settings
    router: Router
    revision: str
    config: Mapping[str, Any] = {}


class Running:
    """One for each process. `live`: the exchanges that are not over, by flow, each with its flow; `read`: the settings
    with such changes, or `SettingsError`; `on_use`: told of those that are in use now."""

    def __init__(
        self,
        board: Board,
        live: Mapping[str, tuple[Any, Exchange]],
        read: Callable[[Changes], Settings],
        on_use: Callable[[Settings], None] = lambda settings: None,
    ) -> None:
        self.board, self.live, self.stats = board, live, Stats()
        self._read, self._on_use = read, on_use
        self.changes: Changes = {}
        self.environ: Mapping[str, str] = {}
        self.instance_id = int(time.time())
        self._revisions = 0
        self._lock = asyncio.Lock()
        self.web = ""  # where mitmweb is; "": it does not run
        self.spaces: dict[str, Space] = {DEFAULT: self._space(DEFAULT, Settings())}
        self.auth_revision = self._revision()

    # ------------------------------------------------------------------------------------------ what there is

    @property
    def settings(self) -> Settings:
        return self.spaces[DEFAULT].settings

    @property
    def router(self) -> Router:
        return self.spaces[DEFAULT].router

    @property
    def revision(self) -> str:
        return self.spaces[DEFAULT].revision

    def at(self, path: str) -> Space:
        """The namespace that a path names; that of the config file where it names none, or one that is not there."""
        if not path.startswith("/namespaces/"):
            return self.spaces[DEFAULT]
        return self.spaces.get(namespace_of(path)) or self.spaces[DEFAULT]

    def all_settings(self) -> Iterator[tuple[str, Settings]]:
        """Each namespace with its settings."""
        return ((space.name, space.settings) for space in self.spaces.values())

    def changed_keys(self) -> list[str]:
        """The keys of the config that the API has set over the file."""
        return sorted(key_text(path) for path in self.changes)

    def has_key(self, provider: Provider) -> bool:
        """Whether the environment holds a key for a provider."""
        return any(self.environ.get(name) for name in provider.key_env)

    def current(self, settings: Settings | None = None) -> tuple[Upstream, str] | None:
        """The upstream and model that most requests go to: the first target of `*`, else of the first model."""
        settings = settings or self.settings
        routes = [route for name in ("*", *settings.models) if (route := settings.models.get(name)) and route.targets]
        if routes:
            first = routes[0].targets[0]
            upstream, model = settings.upstreams[first.upstream], first.model
        elif settings.upstreams:
            upstream, model = next(iter(settings.upstreams.values())), "*"
        else:
            return None
        if model == "*" and upstream.provider is not None:
            model = upstream.provider.default_model or model
        return upstream, model

    @cached_property
    def version(self) -> str:
        try:
            return metadata.version("llm-link")
        except metadata.PackageNotFoundError:  # a checkout that was not installed
            return "unknown"

    # ------------------------------------------------------------------------------------------ changing it

    def start(self) -> Settings:
        """The settings of a start. Raises `SettingsError`."""
        settings = self._read(self.changes)
        self._use(settings, self.changes, self._rebuilt(settings))
        return settings

    @asynccontextmanager
    async def changing(self) -> Any:
        """While this is held, nobody else changes anything: what was seen stays so until it is changed."""
        async with self._lock:
            yield

    async def reload(self) -> Settings:
        """The file, or what it names, is another one. Raises `SettingsError`, and everything stays."""
        async with self._lock:
            return await self.apply({})

    async def apply(self, changes: Changes) -> Settings:
        """Lay changes over the file's values. The caller holds `changing`. Raises `SettingsError`, and nothing is
        changed."""
        settings, merged = await self.tried(changes)
        self._use(settings, merged, await asyncio.to_thread(self._rebuilt, settings))
        return settings

    async def tried(self, changes: Changes) -> tuple[Settings, Changes]:
        """What would be in use with these, and all changes then. Raises `SettingsError`."""
        merged = changed(self.changes, changes)
        return await asyncio.to_thread(self._read, merged), merged

    async def without(self, changes: Changes) -> Settings:
        """What would be in use if these were not set, but in the file."""
        rest = {place: value for place, value in self.changes.items() if place not in changes}
        return await asyncio.to_thread(self._read, rest)

    def drop_changes(self, changes: Changes) -> None:
        """These stand in the file now."""
        self.changes = {path: value for path, value in self.changes.items() if path not in changes}

    async def set_space(self, name: str, config: Mapping[str, Any]) -> Space:
        """Make or change a namespace. The caller holds `changing`. Raises `SettingsError`."""
        settings = await asyncio.to_thread(space_settings, config, self.settings, self.environ)
        space = self.spaces[name] = self._space(name, settings, config)
        self.stats.config_changed()
        return space

    def drop_space(self, name: str) -> None:
        del self.spaces[name]

    def _rebuilt(self, base: Settings) -> dict[str, Settings]:
        """The namespaces over other settings of the file. Raises `SettingsError` naming one that cannot be."""
        found = {}
        for space in self.spaces.values():
            if space.name == DEFAULT:
                continue
            try:
                found[space.name] = space_settings(space.config, base, self.environ)
            except SettingsError as error:
                raise SettingsError(f"namespace {space.name}: {error}") from None
        return found

    def _use(self, settings: Settings, changes: Changes, spaces: Mapping[str, Settings]) -> None:
        if settings.auth != self.settings.auth:
            self.auth_revision = self._revision()
        self.changes = changes
        self.spaces[DEFAULT] = self._space(DEFAULT, settings)
        for name, own in spaces.items():  # their own config, and so their revision, is as it was
            self.spaces[name] = self.spaces[name]._replace(settings=own, router=Router(own))
        self.stats.config_changed()
        self._on_use(settings)

    def _space(self, name: str, settings: Settings, config: Mapping[str, Any] | None = None) -> Space:
        return Space(name, settings, Router(settings), self._revision(), config or {})

    def _revision(self) -> str:
        """Another one each time, also after a restart."""
        self._revisions += 1
        return f"{self.instance_id}-{self._revisions}"
