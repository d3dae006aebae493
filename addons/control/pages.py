"""The dashboard's files. They say nothing of the proxy: the page asks `/api/stats` for all that it shows,
with the key that its reader typed in where keys are set."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from addons.exchange import Reply

HERE = Path(__file__).resolve().parent

# path -> file and content type
_FILES = {
    "/dashboard": ("dashboard.html", "text/html; charset=utf-8"),
    "/dashboard/": ("dashboard.html", "text/html; charset=utf-8"),
    "/dashboard/dashboard.css": ("dashboard.css", "text/css; charset=utf-8"),
    "/dashboard/dashboard.js": ("dashboard.js", "text/javascript; charset=utf-8"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def find(method: str, path: str) -> Reply | None:
    """The file at a path; None: there is none."""
    if method not in ("GET", "HEAD") or path not in _FILES:
        return None
    name, kind = _FILES[path]
    return Reply(200, {"content-type": kind, "content-security-policy": _POLICY}, _read(name))


@lru_cache(maxsize=8)
def _read(name: str) -> bytes:
    return (HERE / name).read_bytes()
