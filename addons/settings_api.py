"""What the control surface has set: values at places of the config, laid over everything else.

They live as long as the process, over each reload of the file, unless they are written to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .settings_yaml import API, Document

Place = tuple[str, ...]  # of a value: `("upstreams", "zhipu", "api_key")`
Changes = Mapping[Place, Any]  # place -> what stands there now; None: nothing

# The keys that a namespace has of its own; it shares all others with the config file.
SPACE_KEYS = (
    "upstreams", "models", "policy", "addressing", "retry", "limits", "keepalive", "keepalive_early",
)  # fmt: skip


def changed(old: Changes, new: Changes) -> Changes:
    """Both, the new ones over the old. What replaces a whole replaces what was set in it."""
    kept = {place: value for place, value in old.items() if not any(place[: len(at)] == at for at in new)}
    return {**kept, **new}


def lay_changes(document: Document, changes: Changes) -> Document:
    """The document with the changes in it."""
    values, origins = dict(document.values), dict(document.origins)
    for place, value in changes.items():
        _set(values, place, value)
        origins[place] = API
    return replace(document, values=values, origins=origins)


def _set(values: dict[str, Any], place: Place, value: Any) -> None:
    """The maps on the way are copied, never changed."""
    here = values
    for step in place[:-1]:
        inner = here.get(step)
        here[step] = dict(inner) if isinstance(inner, dict) else {}
        here = here[step]
    if value is None:
        here.pop(place[-1], None)
    else:
        here[place[-1]] = value
