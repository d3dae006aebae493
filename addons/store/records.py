"""One provider as it is stored: what it is, where it is, and its key, sealed.

A record either names a row of the provider catalogue (`provider`), which then says all that the record does not, or it
stands alone with a `base_url` and a `kind`: the protocol that is spoken there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from addons.catalog import Model, Provider, catalogue, name_fault
from addons.settings_model import PROTOCOLS, did_you_mean
from addons.settings_upstream import root_path, split_url

from .sealing import sealed_fault

COMPATIBLE = "openai-compatible"
ALIASES = dict.fromkeys(("openai", "openai_like", "litellm", "openai-chat"), COMPATIBLE)
KINDS = (COMPATIBLE, *(name for name in PROTOCOLS if name != "openai-chat"))

_WORDS = {"str": "text", "bool": "true or false", "array": "a list of names"}
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`base_url` "": the catalogue's. `api_key_env`: a variable that comes before the sealed key, where it is set.
    `encrypted_api_key`: as `sealing` writes it; "": there is none."""

    name: str
    kind: str = COMPATIBLE
    provider: str = ""  # NAME or NAME:REGION of the catalogue
    base_url: str = ""
    default_model: str = ""
    models: tuple[str, ...] = ()
    api_key_env: str = ""
    encrypted_api_key: str = ""
    enabled: bool = True

    @property
    def protocol(self) -> str:
        return "openai-chat" if self.kind == COMPATIBLE else self.kind

    @property
    def address(self) -> str:
        """Where the key goes, as far as the record says: what it is sealed for."""
        return self.base_url or f"provider {self.provider}"

    def redacted(self) -> dict[str, Any]:
        """What may be shown: everything but the key."""
        values = {name: value for name, value in msgspec.to_builtins(self).items() if value != "" or name == "base_url"}
        sealed = values.pop("encrypted_api_key", "")
        return {**values, "has_encrypted_api_key": bool(sealed)}

    def stored(self) -> dict[str, Any]:
        """All that `make` takes but the sealed key."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if name != "encrypted_api_key"}

    def row(self) -> tuple[Provider, str]:
        """The same as a provider of the catalogue, and its region there."""
        name, _, region = self.provider.partition(":")
        base = catalogue().providers.get(name)
        models = tuple(Model(id=model) for model in self.models)
        needed = bool(self.encrypted_api_key or self.api_key_env)
        if base is None:
            row = Provider(
                name=self.name, title=self.name, protocol=self.protocol, base_url=self.base_url, key_required=needed,
                default_model=self.default_model, models=models,
            )  # fmt: skip
        else:
            known = {model.id: model for model in base.models}
            row = msgspec.structs.replace(
                base,
                default_model=self.default_model or base.default_model,
                models=tuple(known.get(model.id, model) for model in models) or base.models,
            )
        if base is not None and self.base_url:
            row = msgspec.structs.replace(
                row, protocol=self.protocol, base_url=self.base_url, base_url_env="", endpoints={}, regions={},
                key_env=(), key_required=needed, auth=row.auth if self.protocol == row.protocol else "",
            )  # fmt: skip
            region = ""
        if self.api_key_env:
            row = msgspec.structs.replace(row, key_env=(self.api_key_env,))
        return row, region


_FIELDS = frozenset(Record.__struct_fields__)


def make(values: Mapping[str, Any]) -> Record:
    """A record out of what somebody said, in their words. Raises `ValueError` naming the field.

    `kind` may be an alias, or a provider of the catalogue; without kind and address the name says which it is."""
    given = {key: value for key, value in values.items() if value is not None and value != ""}
    if unknown := sorted(given.keys() - _FIELDS):
        raise ValueError(f"{unknown[0]}: unknown key{did_you_mean(unknown[0], _FIELDS)}")
    try:
        record = msgspec.convert(_placed(given), Record)
    except msgspec.ValidationError as error:
        raise ValueError(_in_words(error)) from None
    _check(record)
    return record


def _placed(given: dict[str, Any]) -> dict[str, Any]:
    """With `kind` and `provider` as they are stored."""
    kind, name = given.get("kind"), given.get("name")
    known = catalogue().providers
    if isinstance(kind, str) and kind not in KINDS:
        if kind in ALIASES:
            kind = ALIASES[kind]
        elif kind.partition(":")[0] in known:
            kind, given = None, {**given, "provider": kind}
        else:
            raise ValueError(f"kind: {kind!r} is no protocol and no provider; there is {', '.join(KINDS)}")
    if "provider" not in given and "base_url" not in given and isinstance(name, str) and name in known:
        given = {**given, "provider": name}
    row = known.get(str(given.get("provider", "")).partition(":")[0])
    if kind is None and row is not None:
        kind = ALIASES.get(row.protocol, row.protocol)
    out = {**given, "kind": kind or COMPATIBLE}
    if isinstance(out.get("base_url"), str):
        out["base_url"] = out["base_url"].strip().rstrip("/")
    return out


def _in_words(error: msgspec.ValidationError) -> str:
    """What msgspec says (``Expected `str`, got `int` - at `$.kind` ``), for people."""
    said, _, where = str(error).partition(" - at ")
    words = re.findall(r"`([^`]*)`", said)
    if "missing required field" in said:
        return f"{words[0]}: is required"
    return f"{where.strip('`').removeprefix('$').lstrip('.')}: expected {_WORDS.get(words[0], words[0])}"


def _check(record: Record) -> None:
    if not _NAME.fullmatch(record.name):
        raise ValueError("name: has letters, digits, `.`, `_` and `-` only, and at most 64 of them")
    if record.kind not in KINDS:
        raise ValueError(f"kind: {record.kind!r} is none of {', '.join(KINDS)}")
    _check_place(record)
    for model in (record.default_model, *record.models):
        if fault := name_fault(model) or ("is empty" if model == "" and model is not record.default_model else ""):
            raise ValueError(f"models: {model[:40]!r} {fault}")
    if record.api_key_env and not _VARIABLE.fullmatch(record.api_key_env):
        raise ValueError("api_key_env: is no name of an environment variable")
    if record.encrypted_api_key and (fault := sealed_fault(record.encrypted_api_key)):
        raise ValueError(f"encrypted_api_key: {fault}")


def _check_place(record: Record) -> None:
    name, _, region = record.provider.partition(":")
    known = catalogue().providers
    if record.provider and name not in known:
        raise ValueError(f"provider: unknown provider {name!r}{did_you_mean(name, known)}")
    if region and region not in known[name].regions:
        raise ValueError(f"provider: unknown region {region!r} of {name}{did_you_mean(region, known[name].regions)}")
    if record.provider and not record.base_url and known[name].endpoint(record.protocol, region) is None:
        raise ValueError(f"kind: {name} does not speak {record.protocol}; it speaks {', '.join(known[name].protocols)}")
    if not record.base_url and not record.provider:
        raise ValueError(f"base_url: is required, since {record.name!r} is no provider of the catalogue")
    if record.base_url:
        try:
            root_path(split_url(record.base_url).path, record.protocol)
        except ValueError as error:
            raise ValueError(f"base_url: {error}") from None
