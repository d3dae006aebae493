"""A store on the disk: a text file with a head and a record a line, `NAME: {JSON}`, each with a sum of itself.

The sum finds a flipped byte without the secret, and so tells damage from a wrong secret; the head counts the records,
so that a lost end is found too. Reading never changes the file. Writing is one step: a new file beside the old one, in
full on the disk, takes its name; a crash leaves the old one, and perhaps a temporary file that the next writer clears
away. Writers take turns through a lock file, since the file itself is another one after each write.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from addons.settings_yaml import Problem

from .errors import Damaged, StoreError

MAX_BYTES = 16 << 20
LOCK_SECONDS = 15.0  # for which a writer waits for others
HEAD = "@head"

_LINE = re.compile(r"(@?[A-Za-z0-9._-]+): (\{.*\})")
_SUM = "sum"


@dataclass(frozen=True)
class Contents:
    """`head`: what holds for the whole file; `records` by name, in order; `lines`: where each stands."""

    head: dict[str, Any]
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def read(path: Path, kind: str) -> Contents | None:
    """The file; None: there is none. Raises `Damaged` with every line that is not as it was written."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError.at(path, f"cannot be read: {error.strerror or error}") from None
    return parse(data, str(path), kind)


def parse(data: bytes, file: str, kind: str) -> Contents:
    """`kind`: what the head must say that this is."""
    if len(data) > MAX_BYTES:
        raise Damaged.at(file, f"is larger than {MAX_BYTES >> 20} MiB")
    problems: list[Problem] = []
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        try:
            name, values = _entry(line)
            if name in found:
                raise ValueError(f"is there twice; the first is on line {found[name][0]}")
            found[name] = (number, values)
        except ValueError as error:
            problems.append(Problem(file, number, _name_of(line), str(error)))
    if problems:
        raise Damaged(problems)
    _, head = found.pop(HEAD, (0, {}))
    if head.get("kind") != kind or head.get("version") != 1:
        raise Damaged.at(file, f"is no {kind} of LLM Link, or one of a later version")
    if head.get("records") != len(found):
        raise Damaged.at(file, f"is not whole: it has {len(found)} records and was written with {head.get('records')}")
    return Contents(
        {key: value for key, value in head.items() if key not in ("kind", "version", "records")},
        {name: values for name, (_, values) in found.items()},
        {name: number for name, (number, _) in found.items()},
    )


def _entry(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        match = _LINE.fullmatch(line.decode())
        values = json.loads(match[2]) if match else None
    except ValueError:
        match, values = None, None
    if match is None or not isinstance(values, dict):
        raise ValueError("is malformed: expected `NAME: {JSON}` (a flipped byte, or a part of it is gone)")
    if values.pop(_SUM, None) != _sum(match[1], values):
        raise ValueError("is damaged: it is not what was written (a flipped byte, or it was edited by hand)")
    return match[1], values


def _name_of(line: bytes) -> str:
    match = re.match(rb"@?[A-Za-z0-9._-]{1,64}(?=:)", line)
    return match[0].decode() if match else ""


def _sum(name: str, values: Mapping[str, Any]) -> str:
    return hashlib.blake2b(_plain([name, values]).encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def render(contents: Contents, kind: str, comment: str) -> bytes:
    head = {"kind": kind, "version": 1, "records": len(contents.records), **contents.head}
    rows = [(HEAD, head), *contents.records.items()]
    lines = [f"{name}: {_plain({**values, _SUM: _sum(name, values)})}" for name, values in rows]
    return "\n".join([f"# {comment}", *lines, ""]).encode()


def replace(path: Path, data: bytes) -> None:
    """Puts a file in the place of another in one step, readable by its owner alone. The caller holds the lock."""
    real = path.resolve()  # a link stays a link
    _clear(real)
    temporary = real.with_name(f"{_temporary(real)}{secrets.token_hex(6)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, real)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StoreError.at(path, f"cannot be written: {error.strerror or error}") from None
    _sync_folder(real.parent)


def _temporary(path: Path) -> str:
    return f".{path.name}.new-"


def _clear(path: Path) -> None:
    """What a writer left that did not live to its end."""
    for old in path.parent.glob(f"{_temporary(path)}*"):
        with contextlib.suppress(OSError):
            old.unlink()


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other writers out, those of other processes too. Raises `StoreError` where one does not end."""
    real = path.resolve()
    try:
        real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(real.with_name(f".{real.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError.at(path, f"cannot be written: {error.strerror or error}") from None
    try:
        _wait_for(handle, path)
        yield
    finally:
        os.close(handle)  # which unlocks


def _wait_for(handle: int, path: Path) -> None:
    end = time.monotonic() + LOCK_SECONDS
    while not _try_lock(handle):
        if time.monotonic() > end:
            raise StoreError.at(path, f"another process is writing to it for more than {LOCK_SECONDS:g} seconds")
        time.sleep(0.02)


if os.name == "posix":
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

else:
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
