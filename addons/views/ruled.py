"""What rules did to an exchange, as the Diff view shows it."""

from __future__ import annotations

from typing import Any

import msgspec

from addons.views.compare import changes
from addons.views.record import Did, Rules
from translators.body import WRONG
from translators.pretty import heading

_ONLY_SAID = {
    "events": "changed the answer while it came",
    "response": "changed the answer",
    "error": "changed the error",
    "answer": "answered in the upstream's place",
}


def ruled(rules: Rules | None) -> str:
    """ "": nothing."""
    if rules is None:
        return ""
    lines = [*_changed("the request", rules.request), *_changed("the targets", rules.targets)]
    for name, words in _ONLY_SAID.items():
        did: Did | None = getattr(rules, name)
        lines += [f"{', '.join(did.by)} {words}"] if did is not None else []
    lines += [f"{each.rule} failed in {each.hook} ({each.at}): {each.why}" for each in rules.reports]
    return "\n".join([heading("rules"), *lines]) if lines else ""


def _changed(what: str, did: Did | None) -> list[str]:
    if did is None:
        return []
    lines = [f"{', '.join(did.by)} changed {what}"]
    before, after = _value(did.before), _value(did.after)
    for change in changes(before, after):
        lines.append(f"  {change.path or what}")
        lines += [f"    - {change.before}"] if change.before else []
        lines += [f"    + {change.after}"] if change.after else []
    return lines


def _value(said: Any) -> Any:
    """A cut one is compared as text."""
    if not isinstance(said, (bytes, str)):
        return said
    try:
        return msgspec.json.decode(said)
    except WRONG:
        return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
