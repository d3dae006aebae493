"""What can be wrong with a store, one class for each thing that a caller may answer differently.

All are `SettingsError`: a message is `FILE:LINE: RECORD: REASON`, and what reports a bad config reports these too.
"""

from __future__ import annotations

from pathlib import Path

from addons.settings_yaml import Problem, SettingsError


class StoreError(SettingsError):
    """The store cannot do what was asked. What is on the disk is as it was."""

    @classmethod
    def at(cls, file: Path | str, reason: str, *, line: int = 0, key: str = "") -> StoreError:
        return cls([Problem(str(file), line, key, reason)])


class Damaged(StoreError):
    """The file is not as it was written: a byte flipped, a line gone, or no store at all."""


class WrongSecret(StoreError):
    """The file is sound, and was sealed with another secret."""


class NoSecret(StoreError):
    """There is no secret to seal or open with: none is set and the system keeps none."""


class Missing(StoreError):
    """There is no record of this name."""


class Refused(StoreError):
    """What was to be stored is not valid."""
