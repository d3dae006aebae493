"""The provider store: records by name, in one file, their keys sealed.

Every change reads the file anew under the lock, so that two writers lose nothing, and a file that is damaged, or whose
secret is another one, is left as it is. Names, addresses and whether there is a key can be read without the secret.
All methods block: on the disk, and for a quarter of a second where a key is sealed or opened for the first time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from pydantic import SecretStr

from addons.settings_yaml import Problem

from . import lines, secret
from .errors import Damaged, Missing, NoSecret, Refused, StoreError, WrongSecret
from .lines import Contents
from .records import Record
from .sealing import Sealer, Unopened, new_head

KIND = "provider store"
COMMENT = "LLM Link's providers, their keys sealed. Use `llm-link providers`: what is edited here counts as damage."


class Entry(NamedTuple):
    """A record to be stored. `key`: in the clear; None: the record stays as it is sealed, or without one."""

    record: Record
    key: SecretStr | None = None


class ProviderStore:
    """The store in one file. `given`: the secret that was given to us; None: none was, and the keyring is asked.

    Raises the classes of `errors`; nothing here is ever shown with a key in it."""

    def __init__(self, path: Path, given: SecretStr | None = None) -> None:
        self.path, self._given = path, given

    # ------------------------------------------------------------------------------------------ reading

    def list(self) -> list[Record]:
        """All records, in the order in which they came. [] where there is no file."""
        return list(self._records(self._read()).values())

    def get(self, name: str) -> Record:
        """Raises `Missing`."""
        found = self.find(name)
        if found is None:
            raise self._missing(name)
        return found

    def find(self, name: str) -> Record | None:
        return self._records(self._read()).get(name)

    def key(self, name: str) -> SecretStr | None:
        """The key of a record, opened; None: it has none. Raises `WrongSecret`, `NoSecret`, `Damaged`."""
        contents = self._read()
        record = self._records(contents).get(name)
        if contents is None or record is None:
            raise self._missing(name)
        if not record.encrypted_api_key:
            return None
        if "check" not in contents.head and self._given is None:  # sealed by others, and nothing by us
            raise NoSecret.at(self.path, f"the secret that {name!r} was sealed with is not set ({secret.WHERE})")
        return self._opened(contents, record, self._sealer(contents))

    # ------------------------------------------------------------------------------------------ writing

    def put(self, record: Record, key: SecretStr | None = None, *, keep_key: bool = True) -> Record:
        """Adds a record or replaces the one of its name. Without a `key` the one that is there is kept (its address may
        have changed, so it is sealed anew), or dropped where `keep_key` is False. Gives what was stored."""
        return self.put_all([Entry(record, key)], keep_keys=keep_key)[0]

    def put_all(self, entries: Iterable[Entry], *, keep_keys: bool = True) -> list[Record]:
        """The same for several, all or none."""
        stored: list[Record] = []

        def change(contents: Contents) -> None:
            for record, key in entries:
                stored.append(self._place(contents, record, key, keep_keys))

        self._change(change)
        return stored

    def remove(self, name: str) -> None:
        """Raises `Missing`."""

        def change(contents: Contents) -> None:
            if contents.records.pop(name, None) is None:
                raise self._missing(name)

        self._change(change)

    def rotate(self, new: SecretStr | None) -> int:
        """Seals every key anew, with another secret (None: one that the keyring keeps). How many keys it were.

        The file changes in one step: before it the old secret fits, after it the new one."""
        old_head: dict[str, Any] = {}
        moved = 0

        def change(contents: Contents) -> None:
            nonlocal moved
            records = self._records(contents)
            sealed = [record for record in records.values() if record.encrypted_api_key]
            opener = self._sealer(contents) if sealed or "check" in contents.head else None
            keys = {record.name: self._opened(contents, record, opener) for record in sealed if opener}
            old_head.update(contents.head)
            self._new_secret(contents.head, new)
            sealer = self._head_sealer(contents.head, new)
            for name, key in keys.items():
                contents.records[name] = _row(_sealed(records[name], key, sealer))
            moved = len(keys)

        self._change(change)
        if old_head.get("secret") == secret.KEYRING:
            secret.forget(self.path, old_head)
        return moved

    def take_from(self, path: Path) -> tuple[list[Record], list[str]]:
        """Stores the providers of a file, all or none: what was stored, and what the user should know of the rest.
        Another store of ours must have the same secret. Raises `Refused` with every line that is wrong."""
        from . import importing

        if importing.is_own(path):
            other = ProviderStore(path, self._given)
            bare = [msgspec.structs.replace(record, encrypted_api_key="") for record in other.list()]
            return self.put_all([Entry(record, other.key(record.name)) for record in bare]), []
        found = importing.read(path)
        return self.put_all(found.entries), found.notes

    # ------------------------------------------------------------------------------------------ how

    def _read(self) -> Contents | None:
        return lines.read(self.path, KIND)

    def _change(self, change: Callable[[Contents], None]) -> None:
        with lines.locked(self.path):
            contents = self._read() or Contents({"id": secrets.token_hex(8)})
            self._records(contents)  # what is there must be sound
            change(contents)
            lines.replace(self.path, lines.render(contents, KIND, COMMENT))

    def _records(self, contents: Contents | None) -> dict[str, Record]:
        if contents is None:
            return {}
        found: dict[str, Record] = {}
        problems: list[Problem] = []
        for name, row in contents.records.items():
            try:
                found[name] = msgspec.convert(row, Record)
            except msgspec.ValidationError as error:
                problems.append(Problem(str(self.path), contents.lines[name], name, f"is malformed: {error}"))
        if problems:
            raise Damaged(problems)
        return found

    def _missing(self, name: str) -> Missing:
        return Missing.at(self.path, f"there is no provider {name!r}")

    def _place(self, contents: Contents, record: Record, key: SecretStr | None, keep: bool) -> Record:
        text = key.get_secret_value() if key is not None else ""
        if key is not None and not _is_key(text):
            raise Refused.at(self.path, "api_key: must be printable text without spaces", key=record.name)
        old = self._records(contents).get(record.name)
        if key is None and not record.encrypted_api_key and keep and old is not None and old.encrypted_api_key:
            record = msgspec.structs.replace(record, encrypted_api_key=old.encrypted_api_key)
            if old.address != record.address:
                text = self._opened(contents, old, self._sealer(contents)).get_secret_value()
        if text:
            record = _sealed(record, SecretStr(text), self._sealer(contents))
        contents.records[record.name] = _row(record)
        return record

    def _sealer(self, contents: Contents) -> Sealer:
        """With the secret of this file, which has been seen to fit. A file without one gets it."""
        head = contents.head
        if "check" not in head:
            self._new_secret(head, self._given)
            return self._head_sealer(head, self._given)
        sealer = self._head_sealer(head, self._given)
        if not sealer.fits(head):
            raise WrongSecret.at(self.path, f"was sealed with another secret than this one ({secret.WHERE})")
        return sealer

    def _new_secret(self, head: dict[str, Any], given: SecretStr | None) -> None:
        head.update(new_head(), secret=secret.KEYRING if given is None else secret.GIVEN)
        if given is None:
            secret.keep_new(self.path, head)
        head["check"] = self._head_sealer(head, given).check()

    def _head_sealer(self, head: dict[str, Any], given: SecretStr | None) -> Sealer:
        if head.get("secret") == secret.KEYRING:
            text = secret.kept(self.path, head)
        elif given is None:
            raise NoSecret.at(self.path, f"its keys are sealed with a secret that is not set ({secret.WHERE})")
        else:
            text = given.get_secret_value()
        try:
            return Sealer(text, head)
        except (KeyError, TypeError, ValueError) as error:
            raise Damaged.at(self.path, f"its head is malformed: {error}", line=2) from None

    def _opened(self, contents: Contents, record: Record, sealer: Sealer) -> SecretStr:
        try:
            return SecretStr(sealer.open(record.encrypted_api_key, record.name, record.address))
        except Unopened:
            reason = "its key does not open: it was sealed elsewhere, or for another name or address"
            line = contents.lines.get(record.name, 0)
            raise Damaged.at(self.path, reason, line=line, key=record.name) from None


def _is_key(text: str) -> bool:
    return bool(text) and text.isprintable() and " " not in text


def _sealed(record: Record, key: SecretStr, sealer: Sealer) -> Record:
    sealed = sealer.seal(key.get_secret_value(), record.name, record.address)
    return msgspec.structs.replace(record, encrypted_api_key=sealed)


def _row(record: Record) -> dict[str, Any]:
    """As it stands in the file: in full, so that a later default changes nothing."""
    return msgspec.to_builtins(record)  # type: ignore[no-any-return]


def user_folder(environ: Mapping[str, str]) -> Path:
    """Where a store is that no config names: a folder of the user's own, and never the working directory."""
    named = environ.get("APPDATA") or environ.get("XDG_CONFIG_HOME")
    return (Path(named) if named else Path(environ.get("HOME") or Path.home()) / ".config") / "llm-link"


__all__ = ["Entry", "ProviderStore", "StoreError", "user_folder"]
