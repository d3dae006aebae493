"""Changes written to the config file, its comments and order kept.

What was written is read back before it takes the place of the file: where it would not mean exactly what was there with
the changes (anchors that two places share, say), nothing is written. Keys go to the encrypted store where there is a
secret for one, else into the file, which then only its owner can read.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from addons import settings_yaml
from addons.catalog import catalogue
from addons.control.errors import Refused
from addons.settings import Changes, Settings
from addons.settings_api import lay_changes
from addons.settings_upstream import Upstream
from addons.store import StoreError, make
from addons.store.secret import VARIABLE
from addons.store.stored import Stored


def with_stored_keys(changes: Changes, tried: Settings, environ: Mapping[str, str]) -> Changes:
    """The changes with their keys in the store, where it has a secret. `tried`: the settings with the changes. Blocks.
    Raises `Refused` where the store is not well."""
    secret = tried.file.get("store", {}) if isinstance(tried.file.get("store"), dict) else {}
    if not environ.get(VARIABLE) and "secret" not in secret:
        return changes
    store = Stored.of_config(tried.source, environ).store
    out = dict(changes)
    for place, value in changes.items():
        if len(place) < 2 or place[0] != "upstreams" or not isinstance(value, dict):
            continue
        ref = value if place[2:] == ("api_key",) else value.get("api_key")
        if not isinstance(ref, dict) or "value" not in ref:
            continue
        upstream = tried.upstreams[place[1]]
        try:
            name = store.put(make(_record(upstream)), SecretStr(ref["value"])).name
        except (StoreError, ValueError) as error:
            raise Refused(409, f"the key cannot be stored: {error}") from None
        out[place] = {"store": name} if ref is value else {**value, "api_key": {"store": name}}
    return out


def _record(upstream: Upstream) -> dict[str, Any]:
    """What the store is told of an upstream. Its name there must not stand for another provider."""
    provider = upstream.provider
    if provider is not None and provider.endpoint(upstream.protocol, upstream.region) is not None:
        where = f"{provider.name}:{upstream.region}" if upstream.region else provider.name
        if provider.name in catalogue().providers:
            return {"name": upstream.name, "provider": where, "kind": upstream.protocol}
    name = f"{upstream.name}.upstream" if upstream.name in catalogue().providers else upstream.name
    return {"name": name, "base_url": upstream.root, "kind": upstream.protocol}


def write(source: Path | None, changes: Changes) -> None:
    """Puts the changes into the config file. Blocks. Raises `Refused`, and the file is as it was."""
    if source is None:
        raise Refused(409, "there is no config file to write to (llm_link_config, --config)")
    text = _text(source)
    wanted = lay_changes(settings_yaml.parse(text, str(source)), changes).values
    written = _edited(text, changes)
    try:
        same = settings_yaml.parse(written, str(source)).values == _plain(wanted)
    except settings_yaml.SettingsError:
        same = False
    if not same:
        raise Refused(409, f"{source} shares what would be changed with other places (anchors); change it by hand")
    _replace(source, written.encode(), private=_has_key(changes))


def _text(source: Path) -> str:
    try:
        data = source.read_bytes()
        settings_yaml.parse(data, str(source))  # a file that does not stand is not ours to write
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(409, f"{source} cannot be read: {error}") from None
    except settings_yaml.SettingsError as error:
        raise Refused(409, f"the config file is not valid as it stands: {error}") from None


def _edited(text: str, changes: Changes) -> str:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    try:
        document = yaml.load(text) if text.strip() else CommentedMap()
        document = CommentedMap() if document is None else document
        for place, value in changes.items():
            _set(document, place, value)
        out = io.StringIO()
        yaml.dump(document, out)
    except YAMLError as error:
        raise Refused(409, f"the config file cannot be edited: {str(error).splitlines()[0]}") from None
    return out.getvalue()


def _set(document: Any, place: tuple[str, ...], value: Any) -> None:
    here = document
    for step in place[:-1]:
        if not isinstance(here.get(step), dict):
            here[step] = CommentedMap()
        here = here[step]
    if value is None:
        here.pop(place[-1], None)
    else:
        here[place[-1]] = value


def _plain(values: Any) -> Any:
    """Maps, lists and scalars; what the parser makes of them has no other types."""
    if isinstance(values, dict):
        return {key: _plain(value) for key, value in values.items()}
    return [_plain(value) for value in values] if isinstance(values, (list, tuple)) else values


def _has_key(value: Any) -> bool:
    if isinstance(value, dict):
        return "value" in value or any(map(_has_key, value.values()))
    return False


def _replace(source: Path, data: bytes, private: bool) -> None:
    """In one step; a link stays a link."""
    real = source.resolve()
    temporary = real.with_name(f".{real.name}.new-{secrets.token_hex(6)}")
    try:
        mode = stat.S_IMODE(real.stat().st_mode)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o600 if private else mode)
        os.replace(temporary, real)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise Refused(409, f"{source} cannot be written: {error.strerror or error}") from None


def stands(values: Mapping[str, Any], changes: Changes) -> Changes:
    """Those of the changes that the values hold already."""
    found = {}
    for place, value in changes.items():
        here: Any = values
        for step in place:
            here = here.get(step) if isinstance(here, dict) else None
        if here == value:
            found[place] = value
    return found
