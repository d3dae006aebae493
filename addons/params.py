"""`params` of the config: changes to a rendered request on the upstream's own wire names.

They act in the order update, add, rename, delete: update sets a field whether it is there or not, add only where it is
absent. The result is a set of changes for `translators.body.replace`, so that the rest of the body keeps its bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from .settings_model import Params

_NULL = Raw(b"null")


def changes(params: Sequence[Params], present: Mapping[str, Any]) -> dict[str, Any]:
    """New value by field name, None: the field goes. `present`: the body's top-level fields, decoded or not; those that
    are null may be left out. Several sets (the upstream's, then the target's) act one after the other."""
    if not params:
        return {}
    out: dict[str, Any] = {}
    for one in params:
        _apply(one, present, out)
    return out


def _apply(params: Params, present: Mapping[str, Any], out: dict[str, Any]) -> None:
    def now(name: str) -> Any:
        return out[name] if name in out else present.get(name)

    for name, value in params.update.items():
        out[name] = _said(value)
    for name, value in params.add.items():
        if now(name) is None:
            out[name] = _said(value)
    for old, new in params.rename.items():
        if old != new and (value := now(old)) is not None:
            out[old], out[new] = None, value
    for name in params.delete:
        out[name] = None


def _said(value: Any) -> Any:
    """A null in the config is a null on the wire, and no removal."""
    return _NULL if value is None else value
