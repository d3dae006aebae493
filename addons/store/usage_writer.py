"""Usage on its way to the store: a bounded queue, and a thread that writes in batches.

Nothing here ever holds up a request. Where the store is slow or away, rows wait in the queue; where that is full they
are dropped and counted, and the log says how many. A store that fails is tried again after a while; a damaged one is
not, and nothing is written over it.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from .errors import Damaged, StoreError
from .usage_row import Row, Store

QUEUE = 20_000  # rows that wait at most
BATCH = 500
LINGER = 0.25  # seconds for which a batch waits for more
RETRY = (1.0, 2.0, 5.0, 15.0, 30.0)  # seconds before a store that failed is tried again
TELL = 30.0  # seconds between two lines about dropped rows
CLOSING = 5.0  # seconds that the last rows get at the end

logger = logging.getLogger("llm_link")


class UsageWriter:
    """`open`: opens the store; it is called in the thread, which starts with the first row."""

    def __init__(self, open: Callable[[], Store]) -> None:
        self._open = open
        self._queue: queue.Queue[Row | None] = queue.Queue(QUEUE)
        self._thread: threading.Thread | None = None
        self._store: Store | None = None
        self._over = threading.Event()
        self._failed = 0  # times in a row
        self._hopeless = False
        self.written = 0
        self.dropped = 0
        self._told = 0  # of the dropped
        self._next = 0.0  # when that may be said again, monotonic

    def put(self, row: Row) -> None:
        """Never waits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="llm-link usage", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(row)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Writes what is left, for some seconds at most."""
        if self._thread is None:
            return
        self._over.set()
        with contextlib.suppress(queue.Full):  # then the thread has something to do, and sees `_over`
            self._queue.put(None, timeout=CLOSING)
        self._thread.join(CLOSING)
        if left := self._queue.qsize() + self.dropped - self._told:
            logger.error("usage: %d rows were not written", left)

    # ------------------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            batch, last = self._batch()
            while batch and not self._write(batch):
                last = last or self._over.is_set()  # no time to try again
                if self._hopeless or last:
                    self.dropped += len(batch)
                    break
                self._tell_dropped()
                self._over.wait(RETRY[min(self._failed - 1, len(RETRY) - 1)])
            self._tell_dropped(last)
            if last:
                break
        if self._store is not None:
            self._store.close()

    def _batch(self) -> tuple[list[Row], bool]:
        """The next rows, and whether they are the last."""
        first = self._queue.get()
        if first is None:
            return [], True
        batch, end = [first], time.monotonic() + LINGER
        while len(batch) < BATCH:
            try:
                left = 0.0 if self._over.is_set() else max(0.0, end - time.monotonic())
                row = self._queue.get(timeout=left) if left else self._queue.get_nowait()
            except queue.Empty:
                return batch, self._over.is_set()
            if row is None:
                return batch, True
            batch.append(row)
        return batch, False

    def _write(self, batch: Sequence[Row]) -> bool:
        if self._hopeless:
            return False
        try:
            if self._store is None:
                self._store = self._open()
            self._store.write(batch)
        except StoreError as error:
            self._hopeless = isinstance(error, Damaged)
            self._failed += 1
            if self._failed == 1 or self._hopeless:
                logger.error("usage is not kept: %s", error)
            return False
        except Exception:
            logger.exception("usage: %d rows could not be written", len(batch))
            self.dropped += len(batch)
            return True
        if self._failed:
            logger.warning("usage is kept again")
        self._failed = 0
        self.written += len(batch)
        return True

    def _tell_dropped(self, now: bool = False) -> None:
        """Not for each: a store that is away would fill the log."""
        if self.dropped > self._told and (now or time.monotonic() >= self._next):
            logger.error("usage: %d rows were dropped", self.dropped - self._told)
            self._told, self._next = self.dropped, time.monotonic() + TELL
