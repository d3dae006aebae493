"""A client's own request, after a rule edited what it says, for an upstream of the same protocol.

Both the request as it was and as it is now are rendered; what differs between the two, a field or one inside it, is set
in the client's body, and everything else of it stays. Where such a field went by another name in the body (an alias
that the protocol also takes), it would be there twice: then the whole of the new rendering is sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from . import body
from .codec import Rendered, Wire
from .policy import Loss

_NAMES_TARGET = frozenset(("model",))
_ROOT = re.compile(r"[.\[]")

Json = dict[str, Any]


class _Alias(Exception):
    """The body says a field by another name."""


def rewritten(own: Wire, before: Rendered, after: Rendered) -> tuple[Wire, Sequence[Loss]]:
    """The request to send, and what it could not say. `own`: the client's, already addressed to the target; `before`,
    `after`: renderings of its neutral request, for that target. Raises `BadRequest` where `own` is no JSON object."""
    path = own.path if before.wire.path == after.wire.path else after.wire.path
    fields, old, new = body.top_level(own.body), body.top_level(before.wire.body), body.top_level(after.wire.body)
    changed: Json = {}
    try:
        for name in {**old, **new}:
            was, now = old.get(name), new.get(name)
            if name in _NAMES_TARGET or (was is not None and now is not None and bytes(was) == bytes(now)):
                continue
            said = None if name not in fields else body.generic(fields[name])
            changed[name] = _patched(said, name in fields, _value(was), _value(now))
    except _Alias:
        return replace(own, path=path, body=after.wire.body), after.losses
    known = {(loss.path, loss.code) for loss in before.losses}
    losses = [
        loss for loss in after.losses if (loss.path, loss.code) not in known or _ROOT.split(loss.path)[0] in changed
    ]
    return replace(own, path=path, body=body.replace(own.body, changed)), losses


def _value(raw: msgspec.Raw | None) -> Any:
    return None if raw is None else body.generic(raw)


def _patched(said: Any, there: bool, was: Any, now: Any) -> Any:
    """The value of a field that the rendering had as `was` and has as `now`; the body says it as `said`, if it is
    `there`. None: taken out."""
    if isinstance(was, dict) and isinstance(now, dict) and (isinstance(said, dict) or not there):
        out: Json = dict(said or {})
        for name in {**was, **now}:
            if was.get(name) != now.get(name):
                inner = _patched(out.get(name), name in out, was.get(name), now.get(name))
                if inner is None:
                    out.pop(name, None)
                else:
                    out[name] = inner
        return out
    if was is not None and not there:
        raise _Alias
    return now
