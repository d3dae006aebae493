"""`llm-link apps configure APP`: the permanent configuration of a client, changed with care or printed.

A file keeps all that is in it: values are laid into its text, the result is read again and compared with what it should
be, and only then does it take the file's place, at once and with the file's rights. What was there before stays beside
it. A file that cannot be read is reported and left alone.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from addons.apps import App, choose_provider
from addons.settings import environment
from scripts import jsonc
from scripts.terminal import FAILED, fail

Values = dict[str, Any]


@dataclass(frozen=True)
class Edit:
    """Values that one file must hold. `form`: json, toml, yaml or env."""

    path: Path
    form: str
    values: Values


@dataclass(frozen=True)
class Setup:
    """What a client needs: files, and what its user does by hand."""

    edits: tuple[Edit, ...] = ()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """`url`: the proxy's address without a path; `key`: what it wants from clients, "" for none."""

    app: App
    url: str
    key: str
    model: str = ""
    named: bool = False  # the model was named by the user
    home: Path = field(default_factory=Path.home)
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A file as it is and as it is to be."""

    path: Path
    before: str
    after: str
    exists: bool

    @property
    def needed(self) -> bool:
        return self.before != self.after or not self.exists


# ------------------------------------------------------------------------------------------------ forms of files


def change_toml(text: str, values: Values) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        expected = jsonc.merged(document.unwrap(), values)
        _lay(document, values)
        after = tomlkit.dumps(document)
        if tomlkit.parse(after).unwrap() != expected:
            raise ValueError("the change could not be written into it")
    except TOMLKitError as error:
        raise ValueError(str(error)) from None
    return after


def _lay(target: Any, values: Values) -> None:
    import tomlkit

    for name, value in values.items():
        if not isinstance(value, dict):
            if target.get(name) != value:
                target[name] = value
            continue
        if not hasattr(target.get(name), "items"):
            target[name] = tomlkit.table(is_super_table=all(isinstance(v, dict) for v in value.values()))
        _lay(target[name], value)


def change_yaml(text: str, values: Values) -> str:
    """Lists of maps with a `name` are merged by it: an entry of ours takes the place of an older one."""
    from io import StringIO

    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    editor = YAML()
    editor.preserve_quotes, editor.width = True, 4096
    editor.indent(mapping=2, sequence=4, offset=2)
    try:
        document = editor.load(text) if text.strip() else {}
        document = {} if document is None else document
        if not isinstance(document, dict):
            raise ValueError("it holds no map")
        expected = named_merge(yaml.safe_load(text) or {}, values)
        if yaml.safe_load(text) == expected:
            return text
        _weave(document, values)
        out = StringIO()
        editor.dump(document, out)
    except (YAMLError, yaml.YAMLError) as error:
        raise ValueError(" ".join(str(error).split())[:300]) from None
    if yaml.safe_load(out.getvalue()) != expected:
        raise ValueError("the change could not be written into it")
    return out.getvalue()


def _weave(target: Any, values: Values) -> None:
    for name, value in values.items():
        if isinstance(value, list) and isinstance(target.get(name), list):
            for row in value:
                at = next((n for n, old in enumerate(target[name]) if _same(old, row)), None)
                if at is None:
                    target[name].append(row)
                else:
                    target[name][at] = row
        else:
            target[name] = value


def named_merge(before: Values, values: Values) -> Values:
    after = dict(before)
    for name, value in values.items():
        old = after.get(name)
        if isinstance(value, list) and isinstance(old, list):
            rows = [next((row for row in value if _same(kept, row)), kept) for kept in old]
            after[name] = rows + [row for row in value if not any(_same(kept, row) for kept in old)]
        else:
            after[name] = value
    return after


def _same(one: Any, other: Any) -> bool:
    return isinstance(one, dict) and isinstance(other, dict) and one.get("name") == other.get("name")


def change_env(text: str, values: Values) -> str:
    """Lines of `NAME=VALUE`; the last of a name is the one that counts, and is the one that changes."""
    lines = text.splitlines()
    for name, value in values.items():
        wanted = f"{name}={value}"
        found = [n for n, line in enumerate(lines) if re.match(rf"\s*(?:export\s+)?{re.escape(name)}\s*=", line)]
        if found:
            lines[found[-1]] = wanted
        else:
            lines.append(wanted)
    return "\n".join(lines) + "\n"


FORMS: dict[str, Callable[[str, Values], str]] = {
    "json": jsonc.change,
    "toml": change_toml,
    "yaml": change_yaml,
    "env": change_env,
}


# ------------------------------------------------------------------------------------------------ one file


def planned(edit: Edit) -> Change:
    """Reads the file. Raises `Trouble` where it cannot be read or changed: it is left as it is."""
    path = edit.path.resolve()  # a link of somebody's dotfiles stays one
    try:
        before, exists = path.read_text("utf-8"), True
    except FileNotFoundError:
        before, exists = "", False
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{edit.path} cannot be read, and was left as it is: {error}", FAILED)
    try:
        after = FORMS[edit.form](before, edit.values)
    except (ValueError, RecursionError) as error:
        fail(f"{edit.path} is not as it should be, and was left as it is: {error}", FAILED)
    return Change(path, before, after, exists)


def diff(change: Change, key: str) -> str:
    """What would change, with keys hidden."""
    old, new = change.before.splitlines(), change.after.splitlines()
    name = str(change.path)
    lines = difflib.unified_diff(old, new, name if change.exists else "/dev/null", name, lineterm="")
    return "\n".join(hidden(line, key) for line in lines)


_SECRET = re.compile(
    r"""((?:key|token|secret|password)["']?\s*[:=]\s*["']?)(?!any\b|LLM_LINK_API_KEY)([^\s"',{}]{4,})""", re.IGNORECASE
)


def hidden(line: str, key: str) -> str:
    line = line.replace(key, "***") if key else line
    return _SECRET.sub(r"\1***", line)


def write(change: Change) -> Path | None:
    """Puts the new text in the file's place; gives the copy of the old one, None where there was none."""
    folder = change.path.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = backup_of(change.path) if change.exists else None
    mode = stat.S_IMODE(change.path.stat().st_mode) if change.exists else 0o600
    if kept is not None:
        if change.path.read_text("utf-8") != change.before:
            fail(f"{change.path} was changed by somebody else just now, and was left as it is", FAILED)
        shutil.copy2(change.path, kept)
    descriptor, name = tempfile.mkstemp(prefix=f".{change.path.name}.", dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(change.after)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, change.path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return kept


def backup_of(path: Path) -> Path:
    base = f"{path.name}.before-llm-link-{time.strftime('%Y%m%d-%H%M%S')}"
    found = path.with_name(base)
    n = 1
    while found.exists():
        n += 1
        found = path.with_name(f"{base}-{n}")
    return found


# ------------------------------------------------------------------------------------------------ the command


def asked_of(name: str, url: str | None, key: str | None, model: str | None) -> Asked:
    """What the command line says, filled up. Raises `Trouble`."""
    from scripts.apps_guide import app_named

    app = app_named(name)
    url = (url or f"http://127.0.0.1:{app.port}").rstrip("/").removesuffix("/v1")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path:
        fail(f"--url: expected http://HOST:PORT, not {url!r}")
    known, _ = environment(Path.cwd(), os.environ)
    usual = choose_provider(app, known).default_model
    home = Path(os.environ.get("HOME") or Path.home())
    return Asked(app, url, key or "", model or usual, bool(model), home, os.environ)


def configure(asked: Asked, *, show: bool, yes: bool) -> None:
    """Raises `Trouble`. `show`: print, touch nothing; `yes`: do not ask."""
    from scripts.configure_clients import SETUPS

    setup = SETUPS[asked.app.name](asked)
    if show:
        for edit in setup.edits:
            print(f"# {edit.path}\n{FORMS[edit.form]('', edit.values)}")
        print_steps(asked, setup)
        return
    changes = [planned(edit) for edit in setup.edits]
    needed = [change for change in changes if change.needed]
    for change in needed:
        print(diff(change, asked.key))
    if setup.edits and not needed:
        print(f"{asked.app.title} points here already: {', '.join(str(change.path) for change in changes)}")
    elif needed and (yes or agreed(needed)):
        for change in needed:
            try:
                kept = write(change)
            except OSError as error:
                fail(f"{change.path} cannot be written, and was left as it is: {error.strerror}", FAILED)
            print(f"written: {change.path}" + (f" (as it was: {kept})" if kept else ""))
    elif needed:
        print("Nothing was written; --yes writes it.")
    print_steps(asked, setup)


def agreed(changes: list[Change]) -> bool:
    """Whether the user says so; without a terminal nobody can."""
    if not sys.stdin.isatty():
        return False
    what = " and ".join(str(change.path) for change in changes)
    try:
        return input(f"Write {what}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def print_steps(asked: Asked, setup: Setup) -> None:
    for step in setup.steps:
        print(step)
    print(f"Then serve it: {served(asked)}")


def served(asked: Asked) -> str:
    """The command that the configuration is for."""
    key = " --api-key KEY" if asked.key else ""
    own = f"http://127.0.0.1:{asked.app.port}"
    port = "" if asked.url == own else f" --port {asked.url.rpartition(':')[2]}"
    return f"llm-link --app {asked.app.name}{port} --provider PROVIDER{key}"
