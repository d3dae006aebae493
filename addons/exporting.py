"""From a flow to what is written of it, and into files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mitmproxy.http import HTTPFlow

from addons.exchange import METADATA
from addons.export import Asked, ExportError
from addons.views.record import Record, read


def exported(flow: HTTPFlow) -> Asked:
    """Raises `ExportError`."""
    request, found = flow.request, flow.metadata.get(METADATA)
    headers = [(k.decode("latin-1"), v.decode("utf-8", "replace")) for k, v in request.headers.fields]
    try:
        record = Record() if found is None else read(found)
        body = request.get_content() or b""
    except ValueError as error:
        raise ExportError(str(error)) from None
    return Asked(request.method, request.path, headers, body, record)


def write(files: Mapping[str, str], path: Path) -> list[Path]:
    """One file, or a folder with several. Raises `OSError`."""
    if "" not in files:
        path.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in files.items():
        target = path / name if name else path
        target.write_text(text, "utf-8")
        written.append(target)
    return written
