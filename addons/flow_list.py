"""What the list of flows says of an exchange: a comment that can be read and searched, and a marker where it is worth a
look. Both come from the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SLOW = 10.0  # seconds until the first byte that are worth a marker

# What happened -> its marker; the first that did is shown, the comment names them all.
MARKERS = {"failed": ":x:", "retried": ":repeat:", "lossy": ":scissors:", "slow": ":turtle:"}
# The same as signs, since mitmweb shows markers beside the path only.
SIGNS = {"failed": "❌", "retried": "🔁", "lossy": "✂", "slow": "🐢"}


def noteworthy(record: Mapping[str, Any]) -> list[str]:
    """Of `MARKERS`, what happened."""
    timings = record["timings"]
    waited = (timings["head"] or timings["ended"] or timings["started"]) - timings["started"]
    happened = {
        "failed": record["error"] is not None,
        "retried": len(record["attempts"]) > 1,
        "lossy": bool(record["warnings"]),
        "slow": waited >= SLOW,
    }
    return [name for name in MARKERS if happened[name]]


def marker(record: Mapping[str, Any]) -> str:
    """mitmproxy's name for it; "": nothing to mark."""
    return next((MARKERS[name] for name in noteworthy(record)), "")


def comment(record: Mapping[str, Any], agent: str = "") -> str:
    """One line, what tells exchanges apart first. `agent`: the client's own name for itself, its `user-agent`."""
    parts = [_way(record), *_turn(record), _outcome(record), *_tokens(record), *_noted(record), _protocols(record)]
    signs = "".join(SIGNS[name] for name in noteworthy(record))
    return f"{signs} ".lstrip() + " · ".join(part for part in (*parts, *_client(record, agent)) if part)


def _way(record: Mapping[str, Any]) -> str:
    client, attempts = record["client"], record["attempts"]
    asked = client["model"] or client["purpose"]
    return f"{asked} → {attempts[-1]['upstream']}/{attempts[-1]['model']}" if attempts else asked


def _protocols(record: Mapping[str, Any]) -> str:
    """Each once."""
    return " → ".join(dict.fromkeys([record["client"]["protocol"], *(a["protocol"] for a in record["attempts"][-1:])]))


def _turn(record: Mapping[str, Any]) -> Sequence[str]:
    place = record.get("conversation")
    return [f"turn {place['number']} #{place['id']}"] if place else []


def _client(record: Mapping[str, Any], agent: str) -> Sequence[str]:
    """The program as we know it, and as it calls itself."""
    name = agent.split("/")[0].split(" ")[0][:40]
    return list(dict.fromkeys(word for word in (record["client"].get("app"), name) if word))


def _outcome(record: Mapping[str, Any]) -> str:
    if record["cancelled"]:
        return "hung up"
    if record["error"] is not None:
        return f"{record['status'] or ''} {record['error']['kind']}".strip()
    return "" if record["timings"]["ended"] else "running"


def _tokens(record: Mapping[str, Any]) -> Sequence[str]:
    usage = record["usage"]
    if usage is None:
        return []
    prompt = usage["input"] + usage["cache_read"] + usage["cache_write"]
    cached = f" ({usage['cache_read'] / prompt:.0%} cached)" if usage["cache_read"] else ""
    cost = record.get("cost")
    price = [] if cost is None else [f"${cost:.4f}"]
    return [f"{prompt:,}{cached} + {usage['output'] + usage['reasoning']:,} tokens", *price]


def _noted(record: Mapping[str, Any]) -> Sequence[str]:
    lost = ", ".join(dict.fromkeys(path for path, _, _ in record["warnings"]))
    words = {"lossy": f"lossy: {lost}"[:120], "retried": f"retried, {len(record['attempts'])} attempts"}
    return [words.get(name, name) for name in noteworthy(record)]
