"""Which session a request belongs to, where the client says it among the facts about its user."""

from __future__ import annotations

import re

import msgspec

_ANY = msgspec.json.Decoder()
_OLD = re.compile(r"session_([0-9a-fA-F-]{8,64})$")  # Claude Code up to 2.0: user_…_account_…_session_…


def session_of(user: str | None) -> str | None:
    """Claude Code sends a JSON text with its session's id. It is the same on all turns, as a cache key has to be."""
    if not user:
        return None
    if user[0] == "{":
        try:
            found = _ANY.decode(user)
        except (msgspec.DecodeError, RecursionError):
            return None
        id = found.get("session_id")
        return id if isinstance(id, str) and 0 < len(id) <= 64 else None
    old = _OLD.search(user)
    return old[1] if old is not None else None
