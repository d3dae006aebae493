"""The one shape of the control surface's errors: `{"type": "error", "error": {"type", "message", ...}}`.

Raised as `Refused` anywhere below the door; the door and the application turn it into an answer.
"""

from __future__ import annotations

import json
from typing import Any

# status -> the `type` of its error
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "method_not_allowed",
    409: "conflict",
    412: "precondition_failed",
    413: "request_too_large",
    415: "unsupported_media_type",
    500: "internal_error",
    502: "upstream_error",
    503: "unavailable",
}


class Refused(Exception):
    """A request that gets no other answer than this. `where`: the field that is wrong, as a path; `more`: fields beside
    `error` in the body; `headers`: of the answer."""

    def __init__(
        self, status: int, message: str, where: str = "", headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.where, self.headers, self.more = status, message, where, headers or {}, more

    def document(self) -> dict[str, Any]:
        error = {"type": KINDS.get(self.status, "error"), "message": self.message}
        return {"type": "error", "error": error | ({"field": self.where} if self.where else {}), **self.more}

    def body(self) -> bytes:
        return json.dumps(self.document(), ensure_ascii=False).encode("utf-8", "replace")
