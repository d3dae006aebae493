"""The request that is written down, and what is left out of it wherever it goes."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

from addons.credentials import MASKED, NEVER_STATIC
from addons.surfaces import Surface, find
from addons.views.record import Headers, Record

URL, KEY = "LLM_LINK_URL", "LLM_LINK_API_KEY"  # the environment of what is exported
HERE = "http://127.0.0.1:8080"

# What belongs to the client's own connection or library, and is said anew by whoever sends the request again.
_CLIENTS = frozenset(("accept", "accept-encoding", "accept-language", "content-type", "user-agent", "priority"))
_LIBRARIES = ("x-stainless-", "sec-", "x-llm-link-", ":")


class ExportError(ValueError):
    """Says why a flow cannot be written so."""


class Asked(Struct):
    """A client's request: `path` with its query, `body` without content-encoding. `record`: of its exchange; an empty
    one where it was none of ours."""

    method: str
    path: str
    headers: Headers
    body: bytes
    record: Record

    @property
    def surface(self) -> Surface:
        return find(self.method, self.path, {name.lower() for name, _ in self.headers})

    @property
    def said(self) -> Headers:
        """The headers that mean something, in the order in which they came."""
        return [
            (name, value)
            for name, value in self.headers
            if (lower := name.lower()) not in _CLIENTS | NEVER_STATIC
            and lower.encode() not in MASKED
            and not lower.startswith(_LIBRARIES)
        ]

    @property
    def fields(self) -> dict[str, Any]:
        """The body. Raises `ExportError`."""
        try:
            found = json.loads(self.body)
        except ValueError as error:
            raise ExportError(f"the request's body is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise ExportError("the request's body is no JSON object")
        return found
