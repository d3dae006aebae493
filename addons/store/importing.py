"""Providers out of files that people have: YAML, JSON, `.env`, the provider stores of others and indented links.

Each form gives rows with the line that they stand on (`import_forms`); one way leads from a row to a record, so that
every message names file and line. All of a file is taken or nothing: what is wrong is collected and refused together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr

from addons.settings_yaml import Problem

from .errors import Refused
from .import_forms import FORMS, Row, form_of
from .providers import KIND, Entry
from .records import make

MAX_BYTES = 4 << 20

# What others call our fields.
KEYS = {
    "base-url": "base_url", "api-base": "base_url", "api_base": "base_url",
    "model": "default_model", "default-model": "default_model",
    "api-key": "api_key", "api-key-env": "api_key_env", "encrypted-api-key": "encrypted_api_key",
}  # fmt: skip
TRUTH = {**dict.fromkeys(("true", "1", "yes"), True), **dict.fromkeys(("false", "0", "no"), False)}


class Found(NamedTuple):
    """`notes`: lines for the user about what was left out."""

    entries: list[Entry]
    notes: list[str]


def read(path: Path) -> Found:
    """Raises `Refused` with every line that is not right."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise Refused.at(path, f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise Refused.at(path, "is not UTF-8 text") from None
    if len(data) > MAX_BYTES:
        raise Refused.at(path, f"is larger than {MAX_BYTES >> 20} MiB")
    return parse(text, str(path))


def is_own(path: Path) -> bool:
    """Whether this is a store of ours, which opens with its secret only."""
    try:
        with path.open("rb") as file:
            return f'"kind":"{KIND}"'.encode() in file.read(1024)
    except OSError:
        return False


def parse(text: str, file: str) -> Found:
    """The same for text; `file` says by its ending what it is, and else the text does."""
    problems: list[Problem] = []
    entries: list[Entry] = []
    notes: list[str] = []
    lines: dict[str, int] = {}
    for line, values in _rows(text, file, notes, problems):
        name = str(values.get("name", ""))[:64]
        try:
            entries.append(entry(values))
            if name in lines:
                raise ValueError(f"is there twice; the first is on line {lines[name]}")
            lines[name] = line
        except ValueError as error:
            problems.append(Problem(file, line, name, str(error)))
    if problems:
        raise Refused(problems)
    if not entries:
        raise Refused.at(file, "has no provider in it")
    return Found(entries, notes)


def _rows(text: str, file: str, notes: list[str], problems: list[Problem]) -> list[Row]:
    form = form_of(text, file)
    try:
        return list(FORMS[form](text, file, notes, problems))
    except RecursionError:
        raise Refused.at(file, "is nested too deeply") from None


def entry(values: Mapping[str, Any]) -> Entry:
    """A row as somebody wrote it, as a record and its key. Raises `ValueError` naming the field."""
    given: dict[str, Any] = {}
    for said, value in values.items():
        key = KEYS.get(said, said)
        if key in given:
            raise ValueError(f"{said}: is there twice, under two names")
        if key != "has_encrypted_api_key":  # what our own lists say
            given[key] = _READ.get(key, _as_it_is)(key, value)
    key = given.pop("api_key", None)
    if key is not None and not isinstance(key, str):
        raise ValueError("api_key: expected text")
    return Entry(make(given), SecretStr(key) if key else None)


def _as_it_is(key: str, value: Any) -> Any:
    return value


def _truth(key: str, value: Any) -> Any:
    if isinstance(value, str):
        if value.lower() not in TRUTH:
            raise ValueError(f"{key}: expected true or false, not {value[:20]!r}")
        return TRUTH[value.lower()]
    return bool(value) if value in (0, 1) else value


def _names(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


_READ = {"enabled": _truth, "models": _names}
