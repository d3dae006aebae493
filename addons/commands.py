"""The commands of LLM Link: for mitmweb's command bar, the console's prompt and key bindings, and scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mitmproxy import ctx, types
from mitmproxy.exceptions import CommandError
from mitmproxy.flow import Flow
from mitmproxy.hooks import UpdateHook
from mitmproxy.http import HTTPFlow

from addons.json_path import PathError, put
from addons.origin import Order
from translators.model import BadRequest

if TYPE_CHECKING:
    from addons.link import Link

_POLICIES = ("strict", "balanced", "max_compat")


class Commands:
    """What the commands do. A command that cannot do what it is asked to raises `CommandError`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def table(self) -> dict[str, Callable[..., object]]:
        """By name."""
        return {
            "llm.pause": self.pause,
            "llm.resume": self.resume,
            "llm.replay": self.replay,
            "llm.compare": self.compare,
            "llm.edit": self.edit,
            "llm.export": self.export,
        }

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

    def replay(self, flows: Sequence[Flow], *changes: str) -> str:
        """Send requests again, each as a flow of its own: llm.replay FLOWS [UPSTREAM/MODEL] [target=UPSTREAM/MODEL]
        [model=NAME] [policy=strict|balanced|max_compat]. The ids of the new flows are handed back."""
        order = _order(changes)
        for flow in (asked := _requests(flows)):
            self._check(flow, order)
        return " ".join(copy.id for flow in asked for copy in self._again(flow, order))

    def compare(self, flow: Flow, target_a: str, target_b: str) -> str:
        """Send one request to two targets, UPSTREAM/MODEL each or - for where it is routed now. On both new flows the
        view LLM Compare shows the answers side by side. The ids of the new flows are handed back."""
        asked = _requests([flow])[0]
        orders = [Order(target="" if target == "-" else target) for target in (target_a, target_b)]
        for order in orders:
            self._check(asked, order)
        return " ".join(copy.id for copy in self._again(asked, *orders))

    def edit(self, flow: Flow, path: str, *value: str) -> None:
        """Set one field of a request's body, of a flow that is stopped or is to be replayed: llm.edit FLOW
        messages[0].content "Hello". The value is JSON, or else a text; without one the field is taken out."""
        asked = _requests([flow])[0]
        if asked.live and not asked.intercepted:
            raise CommandError("this request is on its way already")
        try:
            body = put(asked.request.content or b"", path, " ".join(value) if value else None)
        except (PathError, ValueError) as error:
            raise CommandError(str(error)) from None
        asked.backup()
        asked.request.content = body
        ctx.master.addons.trigger(UpdateHook([asked]))

    def export(self, flow: Flow, form: str, path: types.Path) -> str:
        """Write a request down: llm.export FLOW curl|python|transcript|report|redacted PATH. A transcript is a folder;
        redacted is a report without texts. Credentials are in none of them; what is run takes LLM_LINK_URL and
        LLM_LINK_API_KEY from its environment."""
        from addons.export import FORMATS, ExportError  # not at the start, which it would slow down
        from addons.exporting import exported, write

        if form not in FORMATS:
            raise CommandError(f"{form!r} is none of {', '.join(FORMATS)}")
        try:
            files = FORMATS[form](exported(_requests([flow])[0]))
            names = write(files, Path(path).expanduser())
        except (ExportError, OSError) as error:
            raise CommandError(str(error)) from None
        return f"wrote {', '.join(map(str, names))}"

    def _again(self, flow: HTTPFlow, *orders: Order) -> list[HTTPFlow]:
        if self._link.playback is None:
            raise CommandError("nothing can be replayed here")
        return self._link.playback.again(flow, *orders)

    def _check(self, flow: HTTPFlow, order: Order) -> None:
        """Whether there is such a target or model today: the answer would only say so later."""
        router = self._link.running_now.at(flow.request.path).router
        try:
            if order.target:
                router.at(order.target, order.model or "any")
            elif order.model:
                router.resolve(order.model)
        except BadRequest as error:
            raise CommandError(error.error.message) from None


def _requests(flows: Sequence[Flow]) -> list[HTTPFlow]:
    found = [flow for flow in flows if isinstance(flow, HTTPFlow)]
    if not found:
        raise CommandError("no request is chosen")
    return found


def _order(changes: Sequence[str]) -> Order:
    pairs = (change.partition("=") for change in changes)
    said = {name if equals else "target": value if equals else name for name, equals, value in pairs}
    unknown = [name for name in said if name not in Order.__struct_fields__]
    if unknown:
        raise CommandError(f"{unknown[0]} cannot be changed; target, model and policy can")
    if said.get("policy", "balanced") not in _POLICIES:
        raise CommandError(f"policy is one of {', '.join(_POLICIES)}")
    return Order(**said)
