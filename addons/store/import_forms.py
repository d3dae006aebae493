"""The forms that `importing` knows, each a reader: text -> rows with their lines.

A reader collects what is wrong as problems, and says in `notes` what it left out on purpose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Any, NamedTuple

from addons import settings_yaml
from addons.catalog import catalogue
from addons.settings_env import parse_env
from addons.settings_yaml import Problem, SettingsError

from . import links

# The key under which a map holds its providers; the second is of our own lists.
LISTS = ("providers", "data")

_ENV_SUFFIXES = {"_API_KEY": "api_key", "_BASE_URL": "base_url", "_MODEL": "default_model"}
_STORE_LINE = re.compile(r"([A-Za-z0-9._-]+):\s+(\{.*\})\s*")
_LIST = re.compile(r"(\s*(#|---)[^\n]*\n|\s*\n)*- ")
_DECODER = json.JSONDecoder()


class Row(NamedTuple):
    """One provider as a file has it."""

    line: int
    values: dict[str, Any]


Reader = Callable[[str, str, list[str], list[Problem]], Iterator[Row]]


def form_of(text: str, file: str) -> str:
    """By the ending of the name where it says it, else by what the text begins with."""
    name = PurePath(file).name.lower()
    ending = name.rpartition(".")[2]
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    body = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    first = body[0] if body else ""
    if ending != "lenv" and first.startswith(("{", "[")):
        return "json"
    if _STORE_LINE.fullmatch(first):
        return "store"
    if ending != "lenv" and re.match(r"(export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=", first):
        return "env"
    if ending != "lenv" and re.match(r"(- |[A-Za-z0-9_-]+:(\s|$))", first):
        return "yaml"
    return "links"


_ENDINGS = {"json": "json", "yaml": "yaml", "yml": "yaml", "env": "env", "lino": "links", "links": "links"}


# ------------------------------------------------------------------------------------------------ JSON and YAML


def read_json(text: str, file: str, notes: list[str], problems: list[Problem]) -> Iterator[Row]:
    """`{"providers": [...]}`, an array, or one object."""
    try:
        json.loads(text)
    except ValueError as error:
        line, said = getattr(error, "lineno", 0), getattr(error, "msg", str(error))
        problems.append(Problem(file, line, "", f"is not valid JSON: {said}"))
        return
    at = _skip(text, 0)
    if text[at] == "{":
        members = {name: (start, value) for name, start, value in _members(text, at)}
        named = next((name for name in LISTS if name in members), None)
        if named is None:
            yield from _row(1 + text.count("\n", 0, at), {name: v for name, (_, v) in members.items()}, file, problems)
            return
        at = members[named][0]
    if text[at] == "{":  # by name
        for name, start, value in _members(text, at):
            yield from _row(1 + text.count("\n", 0, start), value, file, problems, name)
    elif text[at] == "[":
        for start, value in _elements(text, at):
            yield from _row(1 + text.count("\n", 0, start), value, file, problems)
    else:
        problems.append(Problem(file, 1 + text.count("\n", 0, at), "", "expected a list of providers"))


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n,:":
        at += 1
    return at


def _elements(text: str, at: int) -> Iterator[tuple[int, Any]]:
    """The elements of the array that begins here, with where they begin. The text is known to be valid."""
    at = _skip(text, at + 1)
    while text[at] != "]":
        value, end = _DECODER.raw_decode(text, at)
        yield at, value
        at = _skip(text, end)


def _members(text: str, at: int) -> Iterator[tuple[str, int, Any]]:
    at = _skip(text, at + 1)
    while text[at] != "}":
        name, end = _DECODER.raw_decode(text, at)
        start = _skip(text, end)
        value, end = _DECODER.raw_decode(text, start)
        yield name, start, value
        at = _skip(text, end)


def _row(line: int, value: Any, file: str, problems: list[Problem], name: str = "") -> Iterator[Row]:
    if isinstance(value, dict):
        yield Row(line, {**({"name": name} if name else {}), **value})
    else:
        problems.append(Problem(file, line, name, "expected a map of a provider's fields"))


def read_yaml(text: str, file: str, notes: list[str], problems: list[Problem]) -> Iterator[Row]:
    """The shapes of JSON, and `providers: {NAME: {...}}`."""
    shift = 0
    if _LIST.match(text):  # our reader wants a map
        text, shift = "providers:\n" + re.sub(r"\A---[^\n]*", "#", text), 1
    try:
        document = settings_yaml.parse(text, file)
    except SettingsError as error:
        problems += [replace(problem, line=max(0, problem.line - shift)) for problem in error.problems]
        return
    named = next((name for name in LISTS if name in document.values), None)
    if named is None:
        yield Row(1, document.values)
        return
    found, lines = document.values[named], document.lines
    if isinstance(found, dict):
        for name, value in found.items():
            yield from _row(lines[named, name] - shift, value, file, problems, name)
    elif isinstance(found, list):
        for n, value in enumerate(found):
            yield from _row(lines[named, n] - shift, value, file, problems)
    else:
        problems.append(Problem(file, lines[named,] - shift, named, "expected a list of providers"))


# ------------------------------------------------------------------------------------------------ the others


def read_store(text: str, file: str, notes: list[str], problems: list[Problem]) -> Iterator[Row]:
    """A provider store of others: `NAME: {JSON}` a line. Its keys stay sealed as they are."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _STORE_LINE.fullmatch(line.strip())
        try:
            values = json.loads(match[2]) if match else None
        except ValueError:
            values = None
        if match is None or values is None:
            problems.append(Problem(file, number, match[1] if match else "", "expected `NAME: {JSON}`"))
        else:
            yield from _row(number, {"name": match[1], **values}, file, problems)


def read_env(text: str, file: str, notes: list[str], problems: list[Problem]) -> Iterator[Row]:
    """`NAME_API_KEY`, with `NAME_BASE_URL` and `NAME_MODEL` where they are: a provider of the catalogue by its
    variables, else one of this name, which then needs its address."""
    values, found = parse_env(text, file)
    problems += found
    variables = {name: provider for provider in catalogue().providers.values() for name in provider.key_env}
    rows: dict[str, Row] = {}
    left: list[str] = []
    for variable, value in values.items():
        suffix = next((suffix for suffix in _ENV_SUFFIXES if variable.endswith(suffix)), "")
        stem = variable.removesuffix(suffix)
        if not suffix or not stem or not (f"{stem}_API_KEY" in values or f"{stem}_BASE_URL" in values):
            left.append(variable)
        elif value:
            known = variables.get(f"{stem}_API_KEY")
            name = known.name if known else stem.lower()
            row = rows.setdefault(name, Row(_line_of(variable, text), {"name": name}))
            row.values[_ENV_SUFFIXES[suffix]] = value
    if left:
        notes.append(f"{file}: is about no provider and was left out: {', '.join(left)}")
    yield from rows.values()


def _line_of(variable: str, text: str) -> int:
    match = re.search(rf"^\s*(?:export\s+)?{variable}\s*=", text, re.MULTILINE)
    return 1 + text.count("\n", 0, match.end()) if match else 0


def read_links(text: str, file: str, notes: list[str], problems: list[Problem]) -> Iterator[Row]:
    """A provider's name, then `key "value"` lines under it; all of it may stand under `providers`."""
    nodes = links.parse(text, file, problems)
    if len(nodes) == 1 and nodes[0].name in LISTS and nodes[0].value is None:
        nodes = nodes[0].children
    for node in nodes:
        values: dict[str, Any] = {"name": node.value if node.name == "provider" and node.value else node.name}
        if node.value is not None and node.name != "provider":
            problems.append(Problem(file, node.line, node.name, "expected a provider's name alone on its line"))
            continue
        for part in node.children:
            if part.name in values:
                problems.append(Problem(file, part.line, f"{values['name']}.{part.name}", "is there twice"))
            elif fault := _link_fault(part):
                problems.append(Problem(file, part.line, f"{values['name']}.{part.name}", fault))
            else:
                values[part.name] = part.value if part.value is not None else [child.name for child in part.children]
        yield Row(node.line, values)


def _link_fault(part: links.Node) -> str:
    if part.name not in LINK_KEYS:
        return f"unknown key; there is {', '.join(LINK_KEYS)}"
    if part.value is None and not part.children:
        return "has no value"
    if part.children and (part.value is not None or part.name != "models"):
        return "only `models` may have lines under it, one for each"
    if any(child.value is not None or child.children for child in part.children):
        return "expected a model's name alone on its line"
    return ""


LINK_KEYS = (
    *("kind", "provider", "base-url", "base_url", "api-base", "model", "default-model", "models"),
    *("api-key", "api-key-env", "encrypted-api-key", "enabled"),
)

FORMS: dict[str, Reader] = {
    "json": read_json, "yaml": read_yaml, "store": read_store, "env": read_env, "links": read_links,
}  # fmt: skip
