"""The keys that we issue to clients. The file holds hashes only: a key is shown once, when it is issued.

A key is `sk-link-ID-SECRET`, its secret 192 random bits, so a plain SHA-256 of it is as good as a slow one and costs
nothing on the way of a request. The id finds the row; the hashes are compared in constant time. A running proxy holds
the rows in memory (`Issued`) and reads them anew when the file changes: a revoked key is refused within a second.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from pydantic import SecretStr

from addons.settings_yaml import Problem

from . import lines
from .errors import Damaged, Missing, Refused
from .lines import Contents

KIND = "client keys"
COMMENT = "The keys that LLM Link issued, as hashes. Use `llm-link keys`: what is edited here counts as damage."
PREFIX = "sk-link-"

_ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


class Limits(Struct, frozen=True, kw_only=True):
    """0: no limit."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrent: int = 0


class Key(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issued key. Times in seconds since 1970. `models`: globs; None: all of them."""

    id: str
    label: str = ""
    hash: str
    issued_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    models: tuple[str, ...] | None = None
    limits: Limits = Limits()

    def state(self, now: float) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "valid"

    def shown(self, now: float | None = None) -> dict[str, Any]:
        """What may be shown."""
        values: dict[str, Any] = {name: v for name, v in msgspec.to_builtins(self).items() if name != "hash"}
        return {**values, "revoked": self.revoked_at is not None, "state": self.state(now or time.time())}


class ClientKeys:
    """The keys in one file. Everything blocks. Raises the classes of `errors`."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self._clock = path, clock

    def list(self) -> list[Key]:
        return list(_keys(self.path, lines.read(self.path, KIND)).values())

    def issue(
        self,
        label: str = "",
        *,
        seconds: float | None = None,
        models: Sequence[str] | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> tuple[Key, SecretStr]:
        """A new key, and what its client must present: the only time that it is known. `seconds`: how long it is good;
        None: until it is revoked."""
        self._check(label, seconds, models, limits)
        now = int(self._clock())
        made: list[tuple[Key, SecretStr]] = []

        def change(contents: Contents) -> None:
            id = _new_id(contents.records.keys())
            token = f"{PREFIX}{id}-{secrets.token_urlsafe(24)}"
            key = Key(
                id=id,
                label=label,
                hash=_hash(token),
                issued_at=now,
                expires_at=None if seconds is None else now + max(1, int(seconds)),
                models=None if models is None else tuple(models),
                limits=limits,
            )
            contents.records[id] = msgspec.to_builtins(key)
            made.append((key, SecretStr(token)))

        self._change(change)
        return made[0]

    def revoke(self, name: str) -> Key:
        """By its id, or by its label where only one key has it. One that is revoked stays so. Raises `Missing`."""
        found: list[Key] = []

        def change(contents: Contents) -> None:
            key = self._named(name, _keys(self.path, contents))
            if key.revoked_at is None:
                key = msgspec.structs.replace(key, revoked_at=int(self._clock()))
                contents.records[key.id] = msgspec.to_builtins(key)
            found.append(key)

        self._change(change)
        return found[0]

    def _named(self, name: str, keys: dict[str, Key]) -> Key:
        if name in keys:
            return keys[name]
        labelled = [key for key in keys.values() if key.label == name and name]
        open_ = [key for key in labelled if key.revoked_at is None] or labelled
        if len(open_) > 1:
            ids = ", ".join(key.id for key in open_)
            raise Refused.at(self.path, f"{len(open_)} keys have the label {name!r}; name one by its id: {ids}")
        if not open_:
            raise Missing.at(self.path, f"there is no key {name!r}")
        return open_[0]

    def _check(self, label: str, seconds: float | None, models: Sequence[str] | None, limits: Limits) -> None:
        if len(label) > 100 or not label.isprintable():
            raise Refused.at(self.path, "label: has at most 100 printable characters")
        if seconds is not None and not 0 < seconds < 1e10:
            raise Refused.at(self.path, "expires: lies in the past, or farther away than anything lasts")
        if models is not None and (not models or not all(models)):
            raise Refused.at(self.path, "models: names none; leave it out to allow all")
        if min(limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent) < 0:
            raise Refused.at(self.path, "limits: must be at least 0")

    def _change(self, change: Callable[[Contents], None]) -> None:
        with lines.locked(self.path):
            contents = lines.read(self.path, KIND) or Contents({})
            _keys(self.path, contents)  # what is there must be sound
            change(contents)
            lines.replace(self.path, lines.render(contents, KIND, COMMENT))


class Issued:
    """The keys as a running proxy holds them. `find` is for the way of a request: a look into a dict and a hash."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: object = None
        self._keys: dict[str, Key] = {}
        self.read()

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def changed(self) -> bool:
        """Whether the file is another one than was read. A look at the disk's directory, no more."""
        return self._look() != self._stamp

    def read(self) -> None:
        """Reads the file, and blocks meanwhile. Raises `StoreError`, and then the keys are as they were."""
        self._stamp = self._look()
        self._keys = {key.id: key for key in ClientKeys(self.path).list()}

    def find(self, token: str) -> Key | None:
        """The key that somebody presents, whatever its state. None: it was never issued here."""
        if not token.startswith(PREFIX):
            return None
        key = self._keys.get(token[len(PREFIX) :].partition("-")[0])
        return key if key is not None and hmac.compare_digest(key.hash, _hash(token)) else None

    def _look(self) -> object:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def keys_path(store: Path) -> Path:
    """Where the keys of clients are: beside the provider store, `providers.keys.db` for `providers.db`."""
    return store.with_name(f"{store.stem}.keys{store.suffix}")


def _keys(path: Path, contents: Contents | None) -> dict[str, Key]:
    found: dict[str, Key] = {}
    problems: list[Problem] = []
    for name, row in contents.records.items() if contents is not None else ():
        try:
            found[name] = msgspec.convert(row, Key)
        except msgspec.ValidationError as error:
            line = contents.lines[name] if contents is not None else 0
            problems.append(Problem(str(path), line, name, f"is malformed: {error}"))
    if problems:
        raise Damaged(problems)
    return found


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _new_id(taken: Any) -> str:
    while True:
        id = "".join(secrets.choice(_ID_LETTERS) for _ in range(8))
        if id not in taken:
            return id
