"""An exchange written down for somebody else: as a command or a program that sends its request again, as a case for our
tests, as a bug report. Values in, the texts of files out; credentials are in none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from addons.export.asked import Asked, ExportError
from addons.export.curl import curl
from addons.export.report import redacted_report, report
from addons.export.sdk import python
from addons.export.transcript import transcript

Files = Mapping[str, str]  # by name within a folder; one file alone has the name ""

FORMATS: Mapping[str, Callable[[Asked], Files]] = {
    "curl": lambda asked: {"": curl(asked)},
    "python": lambda asked: {"": python(asked)},
    "transcript": transcript,
    "report": lambda asked: {"": report(asked)},
    "redacted": lambda asked: {"": redacted_report(asked)},
}

__all__ = ["FORMATS", "Asked", "ExportError", "Files"]
