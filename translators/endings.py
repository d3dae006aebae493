"""The last words of an answer, for protocols that have no field for them: why it was refused, or what went wrong."""

from __future__ import annotations

from .model import Reason, Refusal, Text

REFUSED: frozenset[Reason] = frozenset(("refusal", "content_filter"))


def last_words(reason: Reason, detail: str | None, said: bool, refused: bool) -> Refusal | Text | None:
    """`detail` as a part. A refusal is said, unless the answer holds one; anything else only where the answer would be
    empty without it: behind an answer it reads like a part of it."""
    if not detail or refused:
        return None
    if reason in REFUSED:
        return Refusal(detail)
    return None if said else Text(detail)
