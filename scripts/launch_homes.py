"""The private home of a launched client: what is carried over from the user's own, and how.

The user's files are read and copied, never written. What is in a kept home already stays as it is.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any

from scripts.jsonc import plain
from scripts.terminal import warn

MAX_CARRIED = 20 << 20  # bytes of one file or folder; larger ones are caches, not configuration


def carry(source: Path, home: Path, names: Iterable[str]) -> None:
    """Copies files and folders of the user's own configuration."""
    for name in names:
        here, there = source / name, home / name
        if there.exists() or not here.exists():
            continue
        try:
            copy(here, there)
        except OSError as error:
            warn(f"{here} is not carried over: {error.strerror or 'parts of it cannot be read'}")


def copy(here: Path, there: Path) -> None:
    if size_of(here) > MAX_CARRIED:
        warn(f"{here} is larger than {MAX_CARRIED >> 20} MB and not carried over")
        return
    there.parent.mkdir(parents=True, exist_ok=True)
    if here.is_dir():
        shutil.copytree(here, there, symlinks=False, ignore_dangling_symlinks=True)
    else:
        shutil.copyfile(here, there)


def entries(folder: Path, without: Container[str]) -> list[str]:
    """The names of what is in a folder, but for some."""
    return [entry.name for entry in folder.iterdir() if entry.name not in without] if folder.is_dir() else []


def size_of(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())


def mirror(own: Path, home: Path, without: Callable[[str], bool]) -> None:
    """Links to everything in a folder of the user's but some: programs that the client starts find their files."""
    home.mkdir(parents=True, exist_ok=True)
    if not own.is_dir():
        return
    for entry in own.iterdir():
        link = home / entry.name
        if not without(entry.name) and not link.exists() and not link.is_symlink():
            link.symlink_to(entry)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, comments allowed; {} where there is none. One that cannot be read is reported and counts as {}."""
    try:
        text = path.read_text("utf-8-sig")
        value = json.loads(plain(text)) if text.strip() else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        warn(f"{path} cannot be read and is not carried over: {error}")
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: Any) -> None:
    write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write(path: Path, text: str) -> None:
    """For the user alone: it may hold the key of the proxy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
