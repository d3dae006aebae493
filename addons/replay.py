"""Replay: what mitmproxy's client playback has in its queue goes through our own layer, with today's rules and config.

mitmproxy replays a flow by handing `flow.request` to its stock HTTP layer, which would send it to where it came in: to
us. So the loop that empties the queue is ours; the queue, the commands and the options around it stay mitmproxy's. A
flow that is no exchange of ours is replayed as ever.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import TYPE_CHECKING

import msgspec
from mitmproxy import ctx
from mitmproxy.addons.clientplayback import ClientPlayback, MockServer, ReplayHandler
from mitmproxy.exceptions import CommandError
from mitmproxy.http import HTTPFlow
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HTTPMode, ResponseEndOfMessage, ResponseProtocolError
from mitmproxy.proxy.mode_specs import ReverseMode

from addons import recorder
from addons.exchange import METADATA
from addons.gateway import LinkLayer
from addons.origin import Order, Origin, origin

if TYPE_CHECKING:
    from addons.intake import Commands
    from addons.link import Link

logger = logging.getLogger("llm_link")


def ours(flow: HTTPFlow) -> bool:
    """Whether a flow is for us to answer: an exchange of ours, or one that came in where only ours do."""
    return METADATA in flow.metadata or isinstance(flow.client_conn.proxy_mode, ReverseMode)


def _copy(flow: HTTPFlow) -> HTTPFlow:
    """A flow with the same request and nothing else of it."""
    state = flow.get_state()
    state.update(id=str(uuid.uuid4()), backup=None, error=None, intercepted=False, marked="", comment="")
    state.update(response=None, websocket=None, timestamp_created=time.time())
    state["metadata"].pop(METADATA, None)
    copy = HTTPFlow.from_state(state)
    assert isinstance(copy, HTTPFlow)
    return copy


class Sender(MockServer):
    """Stands in for the client: says its request, and hears the answer to its end."""

    def __init__(self, flow: HTTPFlow, context: Context, ended: asyncio.Event) -> None:
        super().__init__(flow, context)
        self._ended = ended

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, (ResponseEndOfMessage, ResponseProtocolError)):
            self._ended.set()
        yield from super()._handle_event(event)


class Handler(ReplayHandler):
    """One replay: our layer, with a client that is not there."""

    def __init__(self, flow: HTTPFlow, options: Options, link: Link) -> None:
        super().__init__(flow, options)
        context = self.layer.context
        self.layer = LinkLayer(context, HTTPMode.transparent, link)
        self.layer.connections[context.client] = Sender(flow, context.fork(), self.done)

    async def replay(self) -> None:
        try:
            await super().replay()
        finally:
            tasks = [io.handler for io in self.transports.values() if io.handler] + [*self.wakeup_timer]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def handle_hook(self, hook: commands.StartHook) -> None:
        (data,) = hook.args()
        await ctx.master.addons.handle_lifecycle(hook)
        if isinstance(data, HTTPFlow):
            await data.wait_for_resume()


class Playback:
    """Empties the queue of mitmproxy's client playback."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._stock: ClientPlayback | None = ctx.master.addons.get("clientplayback")
        self._origins: dict[str, Origin] = {}  # by flow: those that are copies of another
        self._running: dict[str, Handler] = {}  # by flow
        self._early: list[HTTPFlow] = []  # named on the command line
        while self._stock is not None and not self._stock.queue.empty():
            self._early.append(self._stock.queue.get_nowait())

    def start(self) -> None:
        stock = self._stock
        if stock is None:
            return
        if stock.playback_task is not None:
            stock.playback_task.cancel()
        for flow in self._early:
            stock.queue.put_nowait(flow)
        stock.playback_task = asyncio.create_task(self._play(stock), name="client playback")

    def stop(self) -> None:
        """Give the queue back."""
        if self._stock is not None and self._stock.playback_task is not None:
            self._stock.playback_task.cancel()
            self._stock.running()

    def handler(self, flow: HTTPFlow) -> Handler | None:
        """What runs the replay of a flow, if there is one now."""
        return self._running.get(flow.id)

    def origin(self, flow: HTTPFlow) -> Origin:
        """What a flow replays that goes out now: another one, or itself."""
        record = recorder.clear(flow)
        return self._origins.get(flow.id) or origin(flow.id, record)

    def again(self, flow: HTTPFlow, *orders: Order) -> list[HTTPFlow]:
        """Replay a flow as new ones, which are handed back: one for each order; two are compared with each other.
        Raises `CommandError` where that cannot be."""
        if self._stock is None:
            raise CommandError("nothing can be replayed here")
        copies = [_copy(flow) for _ in orders]
        for copy in copies:
            if (why := self._stock.check(copy)) is not None:
                raise CommandError(why)
        others = [copy.id for copy in reversed(copies)] if len(copies) == 2 else [""] * len(copies)
        for copy, order, other in zip(copies, orders, others, strict=True):
            found = origin(flow.id, flow.metadata.get(METADATA), order)
            self._origins[copy.id] = msgspec.structs.replace(found, beside=other)
        if (view := ctx.master.addons.get("view")) is not None:
            view.add(copies)
        self._stock.start_replay(copies)
        return copies

    async def _play(self, stock: ClientPlayback) -> None:
        while True:
            flow = await stock.queue.get()
            stock.inflight = flow
            try:
                replay = self._replay(flow, stock.options)
                if stock.options.client_replay_concurrency == -1:
                    task = asyncio.create_task(replay, name="client playback of a flow")
                    stock.replay_tasks.add(task)
                    task.add_done_callback(stock.replay_tasks.discard)
                else:
                    await replay
            finally:
                stock.queue.task_done()
                stock.inflight = None

    async def _replay(self, flow: HTTPFlow, options: Options) -> None:
        try:
            if not ours(flow) and flow.id not in self._origins:
                await ReplayHandler(flow, options).replay()
                return
            handler = self._running[flow.id] = Handler(flow, options, self._link)
            await handler.replay()
        except Exception:
            logger.exception("a replay has failed")
        finally:
            self._running.pop(flow.id, None)
            self._origins.pop(flow.id, None)
