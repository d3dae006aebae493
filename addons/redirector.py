"""What mitmproxy's redirector for `--mode local` needs on Linux; without it mitmproxy runs, and redirects nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup/cgroup.controllers")  # a file that only version 2 has there


def missing() -> str:
    """What is not here; empty: all is."""
    if sys.platform != "linux":
        return ""
    if shutil.which("sudo") is None:
        return "mitmproxy starts its redirector with sudo, which is not here"
    return "" if _CGROUPS.exists() else f"mitmproxy's redirector needs cgroups v2 at {_CGROUPS.parent}"
