"""What is wrong with rule files, as far as it shows without running them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from .settings_model import RulePart
from .settings_yaml import Problem


def faults(rules: Iterable[RulePart]) -> Iterator[Problem]:
    """Files that are not there, and those that are no Python."""
    for n, rule in enumerate(rules):
        key = f"rules[{n}]"
        try:
            compile(Path(rule.path).read_bytes(), rule.path, "exec", dont_inherit=True)
        except SyntaxError as error:
            yield Problem(rule.path, error.lineno or 0, key, f"SyntaxError: {error.msg}")
        except (OSError, ValueError) as error:
            yield Problem(rule.path, 0, key, getattr(error, "strerror", None) or str(error))
