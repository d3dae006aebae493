"""The files that the settings come from, watched: the config, what it names, and the keys that were issued.

A bad change is reported, and what was in use before stays. Keys are looked at by themselves, so that one that is
revoked is refused also while the config is a bad one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from addons.running import Running
from addons.settings import SettingsError, changed_listen

logger = logging.getLogger("llm_link")

Stamp = tuple[int, int, int]

OFTEN = 0.5  # seconds between two looks
SETTLED = 0.3  # seconds for which a changed file must stay as it is


class Watching:
    """`config`: the path of the config file; None: there is none. `look`: called each time; `used`: after a change."""

    def __init__(
        self,
        running: Running,
        config: Callable[[], Path | None],
        look: Callable[[], None],
        used: Callable[[], None],
    ) -> None:
        self._running, self._config, self._look_too, self._used = running, config, look, used
        self._stamps: dict[Path, Stamp | None] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._stamps = self._look()
        self._task = asyncio.create_task(self._watch())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(OFTEN)
            self._look_too()
            await self._reread_keys()
            if not self._changed():
                self._stamps = {**self._look(), **self._stamps}
                continue
            stamps = self._look()
            await asyncio.sleep(SETTLED)
            if stamps == self._look():  # else it is being written: a part of it may look like a good config
                self._stamps = stamps
                await self._reload()

    async def _reload(self) -> None:
        old = self._running.settings
        try:
            settings = await self._running.reload()
        except SettingsError as error:
            logger.error("the changed config is not used: %s", error)
            return
        if changed_listen(old, settings):
            logger.warning("a changed `listen` needs a restart")
        self._used()
        logger.info("the changed config is in use")
        for line in settings.warnings:
            logger.info(line)

    async def _reread_keys(self) -> None:
        held = {id(settings.auth.issued): settings.auth.issued for _, settings in self._running.all_settings()}
        for issued in held.values():
            if issued is None or not issued.changed:
                continue
            try:
                await asyncio.to_thread(issued.read)
            except SettingsError as error:
                logger.error("the changed keys are not used: %s", error)
            else:
                logger.info("the changed keys are in use: %d were issued", len(issued))

    def _look(self) -> dict[Path, Stamp | None]:
        """The files as they are now."""
        config = self._config()
        return {path: _stamp(path) for path in (*([config] if config else []), *self._running.settings.watched)}

    def _changed(self) -> bool:
        """Whether one of them is another than when it was last looked at. A config that is gone is no change."""
        old, new, config = self._stamps, self._look(), self._config()
        return any(path in old and new[path] != old[path] and (new[path] or path != config) for path in new)


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
