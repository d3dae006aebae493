"""The store as a config sees it: opened and read once for a load, and only where something asks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from addons import settings_yaml

from . import open_store
from .errors import Missing, Refused, StoreError
from .providers import ProviderStore
from .records import Record


class Stored:
    """`part`: `store` of the config file, as it was written and not yet checked; `folder`: what its path is relative
    to. Raises `StoreError` where the file cannot be used."""

    def __init__(self, part: object, folder: Path, environ: Mapping[str, str]) -> None:
        self._part: Mapping[str, Any] = part if isinstance(part, dict) else {}
        self._folder, self._environ = folder, environ
        self.asked = False  # what is in it matters

    @classmethod
    def of_config(cls, config: Path | None, environ: Mapping[str, str]) -> Stored:
        """The store that a config file names; None, or a file that names none: the user's own."""
        if config is None:
            return cls(None, Path(), environ)
        return cls(settings_yaml.read(config).values.get("store"), config.parent, environ)

    @cached_property
    def store(self) -> ProviderStore:
        path, secret = self._part.get("path"), self._part.get("secret")
        place = self._folder / Path(path).expanduser() if isinstance(path, str) and path else None
        return open_store(place, self._environ, _secret(secret, self._environ) if isinstance(secret, dict) else None)

    @property
    def path(self) -> Path:
        return self.store.path

    @cached_property
    def _records(self) -> dict[str, Record]:
        return {record.name: record for record in self.store.list()}

    def find(self, name: str) -> Record | None:
        """A record that is enabled."""
        self.asked = True
        found = self._records.get(name)
        return found if found is not None and found.enabled else None

    def names(self) -> list[str]:
        """Those that are enabled; none where the store cannot be read."""
        try:
            return [name for name, record in self._records.items() if record.enabled]
        except StoreError:
            return []

    def peek(self, name: str) -> Record | None:
        """The same; None also where the store cannot be read, which is for others to say."""
        try:
            return self.find(name)
        except StoreError:
            return None

    def key(self, name: str) -> SecretStr:
        """What a record stands for: its variable where that is set, else its sealed key. Raises `StoreError`."""
        self.asked = True
        record = self._records.get(name)
        if record is None:
            how = f"llm-link providers add {name}{' --config FILE' if self._part.get('path') else ''}"
            raise Missing.at(self.path, f"there is no provider {name!r}; `{how}` adds it")
        if not record.enabled:
            raise Refused.at(self.path, f"the provider {name!r} is not enabled")
        if value := self._environ.get(record.api_key_env):
            return SecretStr(value)
        key = self.store.key(name) if record.encrypted_api_key else None
        if key is None:
            unset = f", and {record.api_key_env} is not set" if record.api_key_env else ""
            raise Missing.at(self.path, f"the provider {name!r} has no key{unset}")
        return key


def _secret(ref: Mapping[str, Any], environ: Mapping[str, str]) -> SecretStr | None:
    """What `{env: NAME}` or `{value: SECRET}` stands for. None: nothing, which the check of the config reports."""
    value = environ.get(str(ref["env"])) if "env" in ref else ref.get("value")
    return SecretStr(str(value)) if value else None
