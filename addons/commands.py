"""The commands of LLM Link: for mitmweb's command bar, the console's prompt and key bindings, and scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mitmproxy import ctx
from mitmproxy.flow import Flow
from mitmproxy.hooks import UpdateHook
from mitmproxy.http import HTTPFlow

if TYPE_CHECKING:
    from addons.link import Link


class Commands:
    """What the commands do. A command that cannot do what it is asked to raises `CommandError`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def table(self) -> dict[str, Callable[..., object]]:
        """By name."""
        return {"llm.pause": self.pause, "llm.resume": self.resume}

    def pause(self, flows: Sequence[Flow]) -> None:
        """Hold running answers where they are; the clients get keep-alives. flow.resume lets them go on."""
        held = [flow for flow in flows if isinstance(flow, HTTPFlow) and flow.live and not flow.intercepted]
        for flow in held:
            self._link.steering.pause(flow)
        ctx.master.addons.trigger(UpdateHook(held))

    def resume(self, flows: Sequence[Flow]) -> None:
        """Let flows go on that are paused or were stopped by a filter."""
        stopped = [flow for flow in flows if flow.intercepted]
        for flow in stopped:
            flow.resume()
        ctx.master.addons.trigger(UpdateHook(stopped))
