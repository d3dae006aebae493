"""What mitmweb and the console hold in memory, bounded: the newest exchanges stay, by count and by bytes.

mitmproxy's view holds every flow for ever. Ours are counted as they end; beyond the bounds the oldest are taken out of
the view. One that the user marked, still runs, or waits for the user stays, and is not counted until it is free again.
Each end of an exchange looks at one of those, so that nothing here grows with what is held.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from mitmproxy.addons.view import View
from mitmproxy.flow import Flow
from mitmproxy.http import HTTPFlow

from addons import surfaces
from addons.exchange import METADATA
from addons.recorder import pinned
from addons.settings_model import Keep


class Keeping:
    """`bounds`: the `keep` of the settings in use; 0 in it: no limit."""

    def __init__(self, view: View, bounds: Callable[[], Keep]) -> None:
        self._view, self._bounds = view, bounds
        self._sizes: OrderedDict[str, int] = OrderedDict()  # by flow id, the oldest first
        self._bytes = 0
        self._probe = ""  # the last probe's flow
        self._busy: deque[tuple[str, int]] = deque()  # were the oldest, and could not go
        view.sig_store_remove.connect(self._removed)
        view.sig_store_refresh.connect(self._refreshed)

    def ended(self, flow: HTTPFlow) -> None:
        """An exchange is over, well or not; a replayed one is so again. A probe is none, and
        may come every second."""
        if self._view.get_by_id(flow.id) is None:
            return
        self._drop_probe()
        if METADATA not in flow.metadata and _probe(flow):
            self._probe = flow.id
            return
        self._forget(flow.id)
        self._count(flow.id, size(flow))
        self._look_again()
        while len(self._sizes) > 1 and self._beyond():
            self._drop_oldest()

    def _drop_probe(self) -> None:
        """The last one; not at its own end, since what is taken out of the view while it lives is killed."""
        flow, self._probe = self._view.get_by_id(self._probe), ""
        if flow is not None and not _stays(flow):
            self._view.remove([flow])

    def _beyond(self) -> bool:
        bounds = self._bounds()
        return 0 < bounds.exchanges < len(self._sizes) or 0 < bounds.bytes < self._bytes

    def _drop_oldest(self) -> None:
        oldest, count = next(iter(self._sizes.items()))
        flow = self._view.get_by_id(oldest)
        if flow is not None and not _stays(flow):
            self._view.remove([flow])
        elif flow is not None:
            self._busy.append((oldest, count))
        self._forget(oldest)

    def _look_again(self) -> None:
        """At one of those that could not go."""
        if not self._busy:
            return
        name, count = self._busy.popleft()
        flow = self._view.get_by_id(name)
        if flow is None or name in self._sizes:
            return
        if _stays(flow):
            self._busy.append((name, count))
        else:
            self._count(name, count)
            self._sizes.move_to_end(name, last=False)

    def _count(self, name: str, count: int) -> None:
        self._sizes[name] = count
        self._bytes += count

    def _forget(self, name: str) -> None:
        self._bytes -= self._sizes.pop(name, 0)

    def _removed(self, flow: Flow) -> None:
        self._forget(flow.id)

    def _refreshed(self) -> None:
        """The user cleared the view, but perhaps for what is marked."""
        for name in [name for name in self._sizes if self._view.get_by_id(name) is None]:
            self._forget(name)


def size(flow: HTTPFlow) -> int:
    """The bytes of the bodies that a flow holds, in its messages and its record; one that is in both counts once."""
    messages = (flow.request, flow.response)
    bodies = [message.raw_content for message in messages if message is not None]
    record = flow.metadata.get(METADATA)
    if isinstance(record, dict):
        attempts = record["attempts"]
        sides: list[dict[str, Any] | None] = [record["sent"], *(a["request"] for a in attempts)]
        sides += [a["response"] for a in attempts]
        bodies += [side["body"] for side in sides if side is not None]
    return sum({id(body): len(body) for body in bodies if body}.values())


def _probe(flow: HTTPFlow) -> bool:
    """Whether it is one of our own, and not somebody else's site."""
    answered = flow.response is not None and "x-llm-link-request-id" in flow.response.headers
    return answered and surfaces.find(flow.request.method, flow.request.path, {}).purpose == "health"


def _stays(flow: Flow) -> bool:
    return bool(flow.live or flow.intercepted or (isinstance(flow, HTTPFlow) and pinned(flow)))
