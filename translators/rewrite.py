"""A client's own request, after a rule edited what it says, for an upstream of the same protocol.

Both the request as it was and as it is now are rendered; the fields in which the two differ are set in the client's
body, and all its other bytes stay. Where a field went by another name in the body (an alias that the protocol also
takes), it would be there twice: then the whole of the new rendering is sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Raw
from msgspec.structs import replace

from . import body
from .codec import Rendered, Wire
from .policy import Loss

_NAMES_TARGET = frozenset(("model",))
_ROOT = re.compile(r"[.\[]")


def rewritten(own: Wire, before: Rendered, after: Rendered) -> tuple[Wire, Sequence[Loss]]:
    """The request to send, and what it could not say. `own`: the client's, already addressed to the target; `before`,
    `after`: renderings of its neutral request, for that target. Raises `BadRequest` where `own` is no JSON object."""
    path = own.path if before.wire.path == after.wire.path else after.wire.path
    fields, old, new = body.top_level(own.body), body.top_level(before.wire.body), body.top_level(after.wire.body)
    changed = {
        name: new.get(name)
        for name in {**old, **new}
        if name not in _NAMES_TARGET and _bytes(old.get(name)) != _bytes(new.get(name))
    }
    if any(name in old and name not in fields for name in changed):
        return replace(own, path=path, body=after.wire.body), after.losses
    known = {(loss.path, loss.code) for loss in before.losses}
    losses = [
        loss for loss in after.losses if (loss.path, loss.code) not in known or _ROOT.split(loss.path)[0] in changed
    ]
    return replace(own, path=path, body=body.replace(own.body, changed)), losses


def _bytes(raw: Raw | None) -> bytes | None:
    return None if raw is None else bytes(raw)
