"""Writes an exchange into its flow: the record, its place in its conversation, what the list of flows says of it.

A comment or a marker that the user made is the user's: ours are known by the record, which repeats them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mitmproxy.http import HTTPFlow

from addons import flow_list
from addons.conversations import Conversations
from addons.exchange import METADATA, Exchange
from addons.log import logger
from translators.model import BadRequest, Request

_CONVERSES = ("generate", "compact")


class Recorder:
    """`watched` exchanges get all of it; one that nobody will look at gets its record alone."""

    def __init__(self) -> None:
        self._conversations = Conversations()

    def write(self, flow: HTTPFlow, exchange: Exchange) -> None:
        if exchange.watched and exchange.conversation is None:
            exchange.conversation = self._place(flow, exchange)
        self._put(flow, exchange.record(), exchange.watched)

    def note(self, flow: HTTPFlow) -> None:
        """A request that no upstream was asked for: refused, or answered at once."""
        record = flow.metadata.get(METADATA)
        if record is not None:
            self._put(flow, record, True)
        elif not flow.comment:
            flow.comment = f"{flow.request.method} {flow.request.path}"

    def _put(self, flow: HTTPFlow, record: dict[str, Any], listed: bool) -> None:
        """The record is there whatever happens to what is said of it."""
        try:
            more = _listed(flow, record) if listed else {}
        except Exception:
            logger.exception("request %s: the list of flows says nothing of it", record["id"])
            more = {}
        flow.metadata[METADATA] = record | more

    def _place(self, flow: HTTPFlow, exchange: Exchange) -> dict[str, Any]:
        if exchange.surface.purpose not in _CONVERSES:
            return {}
        owner = exchange.memory.owner if exchange.memory is not None else ""
        try:
            asked = exchange.asked or exchange.codec.parse_request(exchange.wire)
            if not isinstance(asked, Request):
                return {}
            return self._conversations.place(owner, flow.id, asked, exchange.wire.headers).plain()
        except BadRequest:
            return {}
        except Exception:
            logger.exception("request %s: its place in a conversation is not known", exchange.seed.id)
            return {}


def _listed(flow: HTTPFlow, record: Mapping[str, Any]) -> dict[str, str]:
    comment = flow_list.comment(record, flow.request.headers.get("user-agent", ""))
    marker = flow_list.marker(record)
    if flow.comment in ("", _ours(flow, "comment")):
        flow.comment = comment
    if flow.marked in ("", _ours(flow, "marker")):
        flow.marked = marker
    return {"comment": comment, "marker": marker}


def _ours(flow: HTTPFlow, name: str) -> Any:
    """The comment or marker that we gave a flow."""
    record = flow.metadata.get(METADATA)
    return record.get(name) if isinstance(record, dict) else None


def pinned(flow: HTTPFlow) -> bool:
    """Whether the user marked it."""
    return bool(flow.marked) and flow.marked != _ours(flow, "marker")


def clear(flow: HTTPFlow) -> dict[str, Any] | None:
    """Take our record, comment and marker off a flow that is sent again; the record, if there was one."""
    if flow.comment == _ours(flow, "comment"):
        flow.comment = ""
    if flow.marked == _ours(flow, "marker"):
        flow.marked = ""
    record = flow.metadata.pop(METADATA, None)
    return record if isinstance(record, dict) else None
