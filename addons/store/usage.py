"""Usage: a row an exchange, in SQLite. What was asked and answered is not in it, only who, what, how much and how long.

The database is in WAL mode: a reader never waits for the writer, several proxies may write to one file, and a process
that is killed leaves the file sound. One that is damaged is said to be so and stays as it is.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .errors import Damaged, StoreError
from .usage_row import Row

VERSION = 1
CHECKED = 64 << 20  # bytes up to which a file is looked through when it is opened

_BUSY = 10.0  # seconds for which one writer waits for others


_TEXT = ("id", "client", "app", "namespace", "protocol", "purpose", "model", "upstream", "upstream_protocol")
_REAL = ("started", "cost", "first", "total")
_TYPES = {
    **dict.fromkeys(Row._fields, "INTEGER"),
    **dict.fromkeys((*_TEXT, "upstream_model", "outcome"), "TEXT NOT NULL"),
    **dict.fromkeys(_REAL, "REAL"),
}
_SCHEMA = (
    f"CREATE TABLE exchanges ({', '.join(f'{name} {kind}' for name, kind in _TYPES.items())}, PRIMARY KEY (id))",
    "CREATE INDEX exchanges_started ON exchanges (started)",
)
_INSERT = f"INSERT OR IGNORE INTO exchanges VALUES ({', '.join('?' for _ in Row._fields)})"

# What usage can be added up by, and how SQLite says it.
GROUPS = {
    "day": "date(started, 'unixepoch', 'localtime')",
    "hour": "strftime('%Y-%m-%d %H:00', started, 'unixepoch', 'localtime')",
    "month": "strftime('%Y-%m', started, 'unixepoch', 'localtime')",
    "client": "client",
    "app": "app",
    "protocol": "protocol",
    "asked": "model",
    "model": "CASE upstream_model WHEN '' THEN model ELSE upstream_model END",
    "upstream": "upstream",
    "outcome": "outcome",
    "namespace": "namespace",
}
_SUMS = {
    "requests": "count(*)",
    "errors": "sum(outcome NOT IN ('ok', 'cancelled'))",
    "cancelled": "sum(outcome = 'cancelled')",
    "attempts": "sum(attempts)",
    **{name: f"coalesce(sum({name}), 0)" for name in ("input", "cache_read", "cache_write", "output", "reasoning")},
    "cost": "sum(cost)",
    "unpriced": "sum(cost IS NULL AND output IS NOT NULL)",
    "first": "avg(first)",
    "total": "avg(total)",
}


class SqliteUsage:
    """Rows in one file. Used by one thread. `create`: make the file where there is none."""

    def __init__(self, path: Path, create: bool = True) -> None:
        self.path = path
        if not create and not path.exists():
            raise StoreError.at(path, "there is no usage yet: nothing was written")
        self._database = self._guarded(self._open)

    def write(self, rows: Sequence[Row]) -> None:
        def insert() -> None:
            with self._database:
                self._database.executemany(_INSERT, rows)

        self._guarded(insert)

    def sums(self, by: Sequence[str], since: float | None, until: float | None) -> list[dict[str, Any]]:
        return self._guarded(lambda: sums(self._database, by, since, until))

    def close(self) -> None:
        self._database.close()

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))  # sqlite3 itself would let others read it
        database = sqlite3.connect(self.path, timeout=_BUSY)
        try:
            self._prepare(database)
        except BaseException:
            database.close()
            raise
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if version > VERSION or (tables and "exchanges" not in tables):
            raise StoreError.at(self.path, "is no usage database of LLM Link, or one of a later version")
        if tables and self.path.stat().st_size <= CHECKED:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if not tables:
            _create(database)

    def _guarded[T](self, work: Any) -> T:
        """SQLite's and the system's errors, as ours."""
        try:
            return work()  # type: ignore[no-any-return]
        except sqlite3.OperationalError as error:
            raise StoreError.at(self.path, f"cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            said = str(error).splitlines()[0]
            raise Damaged.at(self.path, f"is damaged and is left as it is ({said}); move it away") from None
        except OSError as error:
            raise StoreError.at(self.path, f"cannot be used: {error.strerror or error}") from None


def _create(database: sqlite3.Connection) -> None:
    """In one step, since another process may do the same now."""
    database.isolation_level = None
    try:
        database.execute("BEGIN IMMEDIATE")
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'exchanges'").fetchone():
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("COMMIT")
    finally:
        database.isolation_level = ""


def sums(
    database: sqlite3.Connection, by: Sequence[str], since: float | None, until: float | None
) -> list[dict[str, Any]]:
    """Added up by some of `GROUPS`, in the order of these. Times: from `since`, before `until`."""
    bounds = [("started >= ?", since), ("started < ?", until)]
    used = [(text, value) for text, value in bounds if value is not None]
    where = f" WHERE {' AND '.join(text for text, _ in used)}" if used else ""
    columns = [*(f"{GROUPS[name]} AS by_{name}" for name in by), *(f"{how} AS {name}" for name, how in _SUMS.items())]
    order = f" GROUP BY {', '.join(f'by_{name}' for name in by)} ORDER BY {', '.join(f'by_{name}' for name in by)}"
    query = f"SELECT {', '.join(columns)} FROM exchanges{where}{order if by else ''}"
    names = [*by, *_SUMS]
    found = database.execute(query, [value for _, value in used])
    return [dict(zip(names, row, strict=True)) for row in found if row[len(by)]]


def in_memory(rows: Iterable[Row]) -> sqlite3.Connection:
    """A database of these rows, for stores that cannot add up themselves."""
    database = sqlite3.connect(":memory:")
    _create(database)
    with database:
        database.executemany(_INSERT, rows)
    return database
