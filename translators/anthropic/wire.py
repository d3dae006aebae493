"""The shapes of Anthropic's JSON, and what else its parts of this package share.

`Block` is permissive: one struct for every kind of content block, since clients send kinds that no list of ours knows.
The input of a tool call stays raw bytes. Unknown kinds are decoded a second time, generically, only where one comes.

A thought that no Anthropic model made has no signature, but clients send a block back only with one. It gets `MARK`,
and where the client asked not to see the thought, the thought itself behind it, so that it returns with the history.
An envelope of `carry` begins with the same mark, and is left to it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ..carry import MARK, sealed
from ..model import Extra

NAME = "anthropic"
VERSION = "2023-06-01"
VERSION_WITHOUT_SAMPLING = "2026-10-21"  # from this one on, sampling parameters are refused
HEADERS: Mapping[str, str] = {"anthropic-version": VERSION}

TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
TOOL_NAME_LENGTH = 128
CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

encode = msgspec.json.Encoder().encode


class Missing(Exception):
    """A block lacks a field that it cannot be without. `path`: where, beginning with its dot or bracket."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Cache(Struct):
    type: str = "ephemeral"
    ttl: str | None = None


class Source(Struct):
    type: str = ""
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: Any = None


class CitationsSetting(Struct):
    enabled: bool | None = None


class Block(Struct):
    type: str = "text"
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw | UnsetType = UNSET
    tool_use_id: str | None = None
    content: str | list[Block] | dict[str, Any] | int | float | bool | None = None
    is_error: bool | None = None
    source: Source | str | None = None
    title: str | None = None
    context: str | None = None
    citations: list[dict[str, Any]] | CitationsSetting | None = None
    cache_control: Cache | None = None
    caller: Any = None
    toolset_name: str | None = None
    transformations: Any = None



class MessageIn(Struct):
    role: str
    content: str | list[Block] | None = None
    clear_at: Any = None
    output_config: Any = None



# ------------------------------------------------------------------------------------------------ cache marks

_MINUTES = re.compile(r"(\d+)m")


def cache_ttl(mark: Cache | None) -> str | None:
    """A cache mark as the neutral model has it: its time to live, "" for the default, None for no mark."""
    return None if mark is None else mark.ttl or ""


def cache_control(ttl: str) -> dict[str, str]:
    """Anthropic keeps a prefix for five minutes or for an hour."""
    if ttl in ("", "5m"):
        return {"type": "ephemeral", "ttl": ttl} if ttl else {"type": "ephemeral"}
    short = _MINUTES.fullmatch(ttl)
    return {"type": "ephemeral", "ttl": "5m" if short and int(short[1]) <= 10 else "1h"}


# ------------------------------------------------------------------------------------------------ signatures

def own(extra: Extra) -> dict[str, Any]:
    """What `extra` holds for this protocol."""
    return extra.get(NAME) or {}


def side(**fields: Any) -> Extra:
    """Fields that only Anthropic understands, to be carried as they are."""
    found = {name: value for name, value in fields.items() if value is not None}
    return {NAME: found} if found else {}


def mark(hidden: str = "") -> str:
    """The signature of a thought that no Anthropic model made. `hidden`: the thought, where it is not shown."""
    return MARK + base64.urlsafe_b64encode(hidden.encode()).decode()


def unsigned(signature: str) -> bool:
    """Whether a signature only says that there is none."""
    return signature.startswith(MARK) and not sealed(signature)


def unmark(signature: str) -> str:
    """The thought that a signature of ours carries."""
    try:
        return base64.urlsafe_b64decode(signature[len(MARK) :]).decode()
    except ValueError:  # cut short or edited: there is nothing to restore
        return ""
