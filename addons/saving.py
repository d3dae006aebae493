"""Exchanges kept in files: a folder of mitmproxy's flow files of a bounded size, the oldest deleted beyond a bound.

mitmproxy's own `-w` writes one file that grows for ever. Each exchange is written as it ends; only files that have our
name are ever deleted. Nobody but their owner can read them: conversations are in
them, though no credential is.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import BinaryIO

from mitmproxy import ctx
from mitmproxy.addonmanager import Loader
from mitmproxy.exceptions import OptionsError
from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowWriter

from addons.exchange import METADATA
from addons.log import logger
from addons.settings_model import parse_size

SIZE = 1 << 30  # bytes of all files
_PARTS = 16  # a file is a sixteenth of that
_NAME = re.compile(r"llm-link-\d{8}-\d{6}-\d{6}-\d+\.mitm")


class Saver:
    """The addon: its options, and each exchange as it ends."""

    name = "llm_link_saver"

    def __init__(self) -> None:
        self._saving = Saving()

    def load(self, loader: Loader) -> None:
        loader.add_option("llm_link_save", str, "", "Folder in which exchanges are saved; empty: they are not.")
        loader.add_option("llm_link_save_size", str, "1GiB", "Bytes of all files there; 0: no bound.")

    def configure(self, updated: set[str]) -> None:
        if not updated & {"llm_link_save", "llm_link_save_size"}:
            return
        try:
            size = parse_size(ctx.options.llm_link_save_size)
        except ValueError as error:
            raise OptionsError(f"LLM Link: llm_link_save_size: {error}") from None
        folder = ctx.options.llm_link_save
        self._saving.close()
        self._saving = Saving(Path(folder).expanduser() if folder else None, size)
        try:
            self._saving.open()
        except OSError as error:
            raise OptionsError(f"LLM Link: llm_link_save: {error}") from None

    def response(self, flow: HTTPFlow) -> None:
        self._saving.add(flow)

    def error(self, flow: HTTPFlow) -> None:
        self._saving.add(flow)

    def done(self) -> None:
        self._saving.close()


class Saving:
    """`folder`: made where it is missing; None: nothing is saved. `size`: bytes of all files in it, 0: no bound."""

    def __init__(self, folder: Path | None = None, size: int = SIZE) -> None:
        self.folder, self._size = folder, size
        self._file: BinaryIO | None = None
        self._writer: FlowWriter | None = None

    def open(self) -> None:
        """Begin a file. Raises `OSError`."""
        if self.folder is None:
            return
        self.close()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / _name(time.time())
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._writer = FlowWriter(self._file)
        self._prune(path)

    def add(self, flow: HTTPFlow) -> None:
        """Save an exchange that is over. What cannot be written is said once, and nothing more is saved then."""
        if self._file is None or self._writer is None or METADATA not in flow.metadata:
            return
        try:
            self._writer.add(flow)
            self._file.flush()
            if 0 < self._size <= self._file.tell() * _PARTS:
                self.open()
        except OSError as error:
            logger.error("exchanges are no longer saved in %s: %s", self.folder, error)
            with contextlib.suppress(OSError):  # the rest of what could not be written
                self.close()

    def close(self) -> None:
        file, self._file, self._writer = self._file, None, None
        if file is not None:
            file.close()

    def _prune(self, newest: Path) -> None:
        """Delete the oldest files, so that there is room for a new one. Somebody else may do the same."""
        assert self.folder is not None
        files = sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name) and path != newest)
        sizes = {path: _size(path) for path in files}
        room = self._size - self._size // _PARTS
        for path in files:
            if not self._size or sum(sizes.values()) <= room:
                return
            sizes.pop(path, None)
            path.unlink(missing_ok=True)


def _name(now: float) -> str:
    """Names sort by age. Workers share a folder."""
    return f"llm-link-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{int(now % 1 * 1e6):06d}-{os.getpid()}.mitm"


def _size(path: Path) -> int:
    """0: it is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
