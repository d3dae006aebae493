"""What must not leave the house: anything that looks like a key, and, where that is asked for, all that was said."""

from __future__ import annotations

import json
import re
from typing import Any

# What the keys and tokens of providers and of others look like. What comes before the key stays, as group 1.
_SECRETS = re.compile(
    r"""(\b)(?:sk|pk|rk|xai|gsk|hf|nvapi|csk|pplx|r8|fw|AIza|ya29|ghp|gho|ghs|ghu|github_pat|glpat|xox[abprs])
        [-_.]?(?=[\w.-]*\d)[\w.-]{16,}
      | (\b)AKIA[0-9A-Z]{16}\b
      | (\b)eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]*
      | ((?i:bearer|basic)\s+)[\w.~+/-]{16,}=*
      | ((?i:api[_-]?key|secret|token|password|passwd)["']?\s*[:=]\s*["']?)[^\s"'&,;\\]{8,}
      | ()-----BEGIN[ A-Z]*PRIVATE[ ]KEY-----.*?-----END[ A-Z]*PRIVATE[ ]KEY-----""",
    re.VERBOSE | re.DOTALL,
)

# Fields whose values are words of a protocol, and no texts of anybody.
_WORDS = frozenset(
    "type role model object status finish_reason finishReason stop_reason done_reason event format media_type mimeType"
    " mime_type encoding service_tier effort reasoning_effort tool_choice mode detail name id call_id tool_call_id"
    " tool_use_id item_id responseId modelVersion code param status_code created_at".split()
)
_PLAIN = re.compile(r"[\w.:/@+-]{1,80}|\[DONE\]")


def secrets(text: str) -> str:
    """The same without what looks like a key."""
    return _SECRETS.sub(lambda found: next((one for one in found.groups() if one is not None), "") + "***", text)


def texts(body: str) -> str:
    """A body, or a stream of frames, with its structure and without its texts."""
    try:
        return json.dumps(_silent(json.loads(body), ""), ensure_ascii=False)
    except ValueError:
        return "\n".join(map(_line, body.split("\n")))


def _line(line: str) -> str:
    name, colon, data = line.partition(": ") if not line.startswith(("{", "[")) else ("", "", line)
    if colon and name not in ("data",):
        return line if _PLAIN.fullmatch(data) else f"{name}: {_gone(data)}"
    try:
        return f"{name}{colon}{json.dumps(_silent(json.loads(data), ''), ensure_ascii=False)}"
    except ValueError:
        return line if not line.strip() or _PLAIN.fullmatch(data or line) else f"{name}{colon}{_gone(data or line)}"


def _silent(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _silent(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_silent(item, name) for item in value]
    if not isinstance(value, str) or (name in _WORDS and _PLAIN.fullmatch(value)) or not value:
        return value
    return _gone(value)


def _gone(text: str) -> str:
    return f"[{len(text)} characters]"
