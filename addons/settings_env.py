"""Files of environment variables: `NAME=VALUE` a line, `export` before it allowed, `#` for comments.

A value stands bare (up to ` #`), in single quotes as it is, or in double quotes with the escapes n, r, t, " and the
backslash. Nothing is expanded and no value goes over several lines.

`.env` of the working directory is not trusted with more than keys: a cloned repository must not be able to send anyone
elsewhere. It must belong to the user, and fills only `*_API_KEY` variables that are not set.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from .settings_yaml import MAX_BYTES, Problem, SettingsError

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_QUOTED = re.compile(r"""(?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)")\s*(?:#.*)?""")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def read_env_file(path: Path) -> dict[str, str]:
    """The whole file, for `--env-file`. Raises `SettingsError` with every line that is none of the above."""
    values, problems = parse_env(_read(path), str(path))
    if problems:
        raise SettingsError(problems)
    return values


class Environment(dict[str, str]):
    """The environment, filled up from `dotenv`: `taken` are the names that it gave."""

    dotenv: Path | None = None
    taken: tuple[str, ...] = ()

    def origin(self, name: str) -> str:
        """Where the value of a name stands, for people: the environment, or the file that gave it."""
        return str(self.dotenv) if name in self.taken else "the environment"


def environment(cwd: Path, environ: Mapping[str, str]) -> tuple[Environment, list[str]]:
    """The environment with what `.env` of `cwd` may add, and what the user must be warned of.

    A name that has the same value anyway is no reason to warn: the file may have been read by `--env-file`."""
    path = cwd / ".env"
    merged = Environment(environ)
    try:
        with open(path, "rb", opener=_opener) as file:
            if refusal := _refusal(os.fstat(file.fileno())):
                return merged, [f"{path} is not read: {refusal}"]
            values, problems = parse_env(_text(file, path), str(path))
    except FileNotFoundError:
        return merged, []
    except OSError as error:
        return merged, [f"{path} is not read: {error.strerror or error}"]
    except SettingsError as error:
        return merged, [str(error)]
    keys = {name: value for name, value in values.items() if name.endswith("_API_KEY")}
    added = {name: value for name, value in keys.items() if value and not environ.get(name)}
    merged.update(added)
    merged.dotenv, merged.taken = path, tuple(sorted(added))
    others = sorted(name for name in values.keys() - keys.keys() if environ.get(name) != values[name])
    notes = [f"{problem} (ignored)" for problem in problems]
    notes += [f"{path}: only *_API_KEY names are taken; ignored: {', '.join(others)}"] if others else []
    return merged, notes


def _opener(path: str, flags: int) -> int:
    """Never waits for somebody to write into a pipe of that name."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _refusal(found: os.stat_result) -> str:
    if not stat.S_ISREG(found.st_mode):
        return "it is no regular file"
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        return "it belongs to another user"
    return ""


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _text(file, path)
    except OSError as error:
        raise SettingsError([Problem(str(path), 0, "", f"cannot be read: {error.strerror or error}")]) from None


def _text(file: BinaryIO, path: Path) -> str:
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise SettingsError([Problem(str(path), 0, "", f"is larger than {MAX_BYTES >> 20} MiB")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError([Problem(str(path), 0, "", "is not UTF-8 text")]) from None


def parse_env(text: str, file: str) -> tuple[dict[str, str], list[Problem]]:
    """The values of such a file, and what is wrong with its other lines."""
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in _lines(text):
        match = _LINE.fullmatch(line)
        value = _value(match[2]) if match else None
        if match is None:
            problems.append(Problem(file, number, "", "expected NAME=VALUE"))
        elif value is None:
            problems.append(Problem(file, number, match[1], "the quotes are not closed, or more follows them"))
        else:
            values[match[1]] = value
    return values, problems


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _value(text: str) -> str | None:
    if not text.startswith(("'", '"')):
        return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].rstrip()
    match = _QUOTED.fullmatch(text)
    if match is None:
        return None
    if match["single"] is not None:
        return match["single"]
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), match["double"])
