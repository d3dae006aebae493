"""The one addon that touches a flow: settings and their reload, and the life of every exchange.

`http_stream.LinkStream` calls it when a request comes and when its exchange is over; in between the exchange carries
all that is needed.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from mitmproxy import ctx, exceptions, http
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Client
from mitmproxy.contentviews import Contentview, registry
from mitmproxy.flow import Flow
from mitmproxy.hooks import UpdateHook
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import modes, tls
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.mode_specs import ReverseMode
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.tls import TlsData

from addons import attempts, credentials, leash, log, options
from addons.chat_socket import ChatSocket
from addons.choosing import Board
from addons.commands import Commands
from addons.control.door import Call, Door
from addons.credentials import Taken
from addons.exchange import Exchange, Reply
from addons.gateway import LinkLayer
from addons.intercepting import Intercepting, check_open, let_in, serves_peer
from addons.keeping import Keeping
from addons.ledger import Ledger
from addons.listeners import Listeners
from addons.memory import TurnMemory
from addons.opening import Opening
from addons.origin import Origin
from addons.rates import Meters
from addons.recorder import Recorder
from addons.replay import Playback
from addons.routing import Router
from addons.rules import Rules
from addons.running import Running
from addons.settings import Changes, Settings, SettingsError, environment
from addons.starting import started, starting
from addons.steering import Steering
from addons.watching import Watching
from translators.model import ApiError

logger = logging.getLogger("llm_link")

_SHOWN_BYTES = 500_000  # of an answer that are shown once a second
_SHOWN = 0.5  # seconds between two looks at a running exchange, at least


class Link:
    """Settings, and the life of every exchange."""

    def __init__(self, rules: Rules, views: Sequence[Contentview] = ()) -> None:
        self.rules, self._views = rules, views
        self._live: dict[str, tuple[http.HTTPFlow, Exchange]] = {}  # by flow
        self._of_client: dict[str, set[str]] = {}  # a client connection's live flows
        self._memory, self._recorder = TurnMemory(), Recorder()
        self.listeners = Listeners()
        self._keeping: Keeping | None = None
        self.playback: Playback | None = None
        self.steering = Steering(lambda flow: self.playback.handler(flow) if self.playback is not None else None)
        self.update: Callable[[Sequence[Flow]], None] | None = None  # mitmproxy's hook; it keeps hooks from being cheap
        self._closing: set[asyncio.Task[None]] = set()
        self._board, self._meters = Board(), Meters()
        self._ledger = Ledger()
        self.running_now = Running(self._board, self._live, self._load, self._use)
        self._watching = Watching(self.running_now, options.config_file, lambda: self.rules.look(), self._log)
        self._door = Door(self.running_now)
        self.intercepting = Intercepting(self)

    # ------------------------------------------------------------------------------------------ mitmproxy's hooks

    def load(self, loader: Loader) -> None:
        options.add(loader)
        log.printable()
        for view in self._views:
            registry.register(view)
        for name, command in Commands(self).table().items():
            loader.add_command(name, command)
        self.playback = Playback(self)

    def configure(self, updated: set[str]) -> None:
        if not updated & options.READ:
            return
        check_open()
        try:
            self.running_now.start()
        except SettingsError as error:
            raise exceptions.OptionsError(f"LLM Link: {error}") from None
        # The checks of a request need the Host that the client sent; an unreachable target must not end the connection.
        ctx.options.update(keep_host_header=True, connection_strategy="lazy")

    def running(self) -> None:
        self._log()
        for line in (self.settings.start_line, *self.settings.warnings):
            logger.info(line)
        options.listen(self.settings.listen)
        if "web_port" in ctx.options and ctx.master.addons.get("view") is not None:
            self.running_now.web = f"http://{ctx.options.web_host}:{ctx.options.web_port}"
        self.rules.start()
        leash.hold(ctx.master.shutdown)
        if self.playback is not None:
            self.playback.start()
        if (view := ctx.master.addons.get("view")) is not None:
            self.update = self.steering.updated
            self._keeping = Keeping(view, lambda: self.settings.keep)
        self._watching.start()

    def done(self) -> None:
        self._watching.stop()
        self._ledger.close()
        if self.playback is not None:
            self.playback.stop()

    def client_connected(self, client: Client) -> Awaitable[None] | None:
        peer = client.peername[0] if client.peername else ""
        if not serves_peer(client, options.named_host(client.proxy_mode)):
            client.error = "only loopback peers are served; name a host to listen on to serve others"
            logger.warning("closed a connection from %s: %s", peer, client.error)
        else:
            let_in(client)
        return None if started() else starting()

    def client_disconnected(self, client: Client) -> None:
        """mitmproxy forgets a stream that still waits for a connection; its exchange ends here. And it forgets to close
        a socket where the task that reads it was cancelled as it had news to tell."""
        for id in [*self._of_client.get(client.id, ())]:
            self.cancelled(*self._live[id])
        handler = ctx.master.addons.get("proxyserver").connections.get(client.id)
        open_ones = [io for io in handler.transports.values() if io.writer and io.handler] if handler else []
        if open_ones:
            task = asyncio.create_task(_closed(open_ones), name="closing sockets")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        layers = nextlayer.context.layers
        if nextlayer.layer is not None or not layers:
            return
        if not isinstance(layers[0], modes.ReverseProxy):
            self.intercepting.next_layer(nextlayer)
        elif len(layers) == 1 and starts_like_tls_record(nextlayer.data_client()):
            nextlayer.layer = tls.ClientTLSLayer(nextlayer.context)
        elif len(layers) == 1 or (len(layers) == 2 and isinstance(layers[1], tls.ClientTLSLayer)):
            nextlayer.layer = LinkLayer(nextlayer.context, HTTPMode.transparent, self)

    def tls_failed_client(self, data: TlsData) -> None:
        self.intercepting.tls_failed_client(data)

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        """An upstream is reached through its egress proxy: log in there, where that is asked for."""
        spaces = self.running_now.all_settings()
        for upstream in (one for _, settings in spaces for one in settings.upstreams.values()):
            proxy = upstream.proxy
            if proxy and proxy.login and (proxy.host, proxy.port) == flow.server_conn.address:
                login = base64.b64encode(proxy.login.get_secret_value().encode()).decode()
                flow.request.headers["proxy-authorization"] = f"Basic {login}"

    def request(self, flow: http.HTTPFlow) -> None:
        if self._keeping is not None:
            self.steering.see(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        if self._keeping is not None:
            self._keeping.ended(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """An exchange that somebody killed, or that broke in mitmproxy."""
        if flow.id in self._live and not self._live[flow.id][1].stopped:
            self.cancelled(*self._live[flow.id])
        self.response(flow)

    def lags(self, client: Client) -> bool:
        """Whether a client did not yet take all that was written to it. mitmproxy then reads nothing more for it."""
        handler = ctx.master.addons.get("proxyserver").connections.get(client.id)
        io = handler.transports.get(client) if handler is not None else None
        return io is not None and io.writer is not None and io.writer.transport.get_write_buffer_size() > 0

    def own_origin(self, origin: str) -> bool:
        return credentials.own_origin(origin, self.settings.cors.origins)

    # ------------------------------------------------------------------------------------------ settings

    @property
    def settings(self) -> Settings:
        """Those of the config file, in use now."""
        return self.running_now.settings

    @property
    def router(self) -> Router:
        return self.running_now.router

    @property
    def body_limit(self) -> int:
        return self.running_now.settings.limits.request_body

    def _load(self, changes: Changes) -> Settings:
        environ, notes = environment(Path.cwd(), os.environ)
        self.running_now.environ = environ
        for note in notes:
            logger.warning(note)
        return options.settings(environ, changes)

    def _use(self, settings: Settings) -> None:
        """Those in use are other ones now."""
        self.rules.use(settings.rules)
        self._ledger.use(settings.usage)

    def _log(self) -> None:
        options.write_log(self.settings.logging)

    # ------------------------------------------------------------------------------------------ a request comes

    def origin(self, flow: http.HTTPFlow | None) -> Origin | None:
        """What a flow replays, where the operator sends it."""
        return None if flow is None or self.playback is None else self.playback.origin(flow)

    def chat_socket(self, context: Context, flow: http.HTTPFlow, taken: Taken) -> ChatSocket:
        """What an upgraded connection speaks: its requests come from the same place, with its key if they have none."""
        headers, path = flow.request.headers, flow.request.path.partition("?")[0]
        needs_key = self.running_now.at(path).settings.auth.mode != "none" and not taken.presented
        named = [(name, headers[name]) for name in ("host", "origin", "user-agent", "x-client") if name in headers]
        key = [("authorization", f"Bearer {value}") for value in taken.values]
        place = path.removesuffix("/ws") + "/chat/completions"
        return ChatSocket(context, flow, place, named, key, needs_key, self.body_limit)

    def opening(self, flow: http.HTTPFlow, taken: Taken) -> Opening:
        """A request whose body is here, before anything is done with it."""
        rules = self.rules.current()
        if not isinstance(flow.client_conn.proxy_mode, ReverseMode) and (at := self.intercepting.at(flow)) is not None:
            surface, settings, router = at
            return Opening(flow, taken, settings, router, self._board, self._meters, rules, meant=surface)
        space = self.running_now.at(flow.request.path)
        return Opening(flow, taken, space.settings, space.router, self._board, self._meters, rules, space.name)

    def opened(self, flow: http.HTTPFlow, opening: Opening) -> Exchange | Reply:
        """What to do with it: an exchange to try, or an answer at once."""
        taken = opening.taken
        opened = opening.open() if opening.ruled is None else opening.opened
        if isinstance(opened, Reply):
            if self._watched():
                self._recorder.note(flow)
            self._count(opening.exchange, flow)
        else:
            if self._watched():
                opened.watch()
            replays = taken.origin
            owner = replays.owner if replays is not None and not taken.presented else ""
            opened.memory = self._memory.owned(owner) if owner else self._memory.of(taken.values)
            self._live[flow.id] = (flow, opened)
            if replays is None:  # the connection that the request once came on may be alive, and is not asked
                self._of_client.setdefault(flow.client_conn.id, set()).add(flow.id)
        return opened

    def _watched(self) -> bool:
        """Whether there is a view or a file in which somebody may look at an exchange."""
        return ctx.master.addons.get("view") is not None or bool(
            ctx.options.save_stream_file or ctx.options.llm_link_save
        )

    def refuse(self, flow: http.HTTPFlow, taken: Taken, error: ApiError) -> Reply:
        """The answer to a request that is not even looked at."""
        opening = self.opening(flow, taken)
        reply = opening.refuse(error)
        self._count(opening.exchange, flow)
        return reply

    async def llm_control(self, call: Call) -> None:
        """A request to the control surface."""
        await self._door.answer(call)

    # ------------------------------------------------------------------------------------------ the record

    def rewrite(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The record of an exchange that was changed after its end."""
        self._recorder.write(flow, exchange)

    def show_soon(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Let mitmweb see what there is of an exchange in a moment: at most twice a second, and seldomer where that
        takes long, so that a long stream costs no more than a short one."""
        if not exchange.showing and ctx.master.addons.get("view") is not None:
            exchange.showing = True
            asyncio.get_running_loop().call_later(exchange.show_in, self.show, flow, exchange)

    def _count(self, exchange: Exchange, flow: http.HTTPFlow) -> None:
        """An exchange is over: in the numbers, and in the usage that is kept."""
        row = self.running_now.stats.closed(exchange, flow.id)
        if row is not None:
            self._ledger.note(exchange, row)

    def show(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """What there is of it, now."""
        exchange.showing, began = False, time.monotonic()
        if flow.id not in self._live:
            return
        if flow.response is not None:
            flow.response.data.content = exchange.sent.data
        self._recorder.write(flow, exchange)
        ctx.master.addons.trigger(UpdateHook([flow]))
        took, size = time.monotonic() - began, exchange.sent.size  # a viewer reads all of it again
        exchange.show_in = max(_SHOWN, 20 * took, min(2.0, size / _SHOWN_BYTES))

    def cancelled(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The client hung up. After the end of the answer that is no matter."""
        if flow.id in self._live:
            exchange.cancelled = True
            self.close(flow, exchange)

    def close(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The exchange is over: write its record, and let go of what is live."""
        if self._live.pop(flow.id, None) is None:
            return
        beside = self._of_client.get(flow.client_conn.id, set())
        beside.discard(flow.id)
        if not beside:
            self._of_client.pop(flow.client_conn.id, None)
        exchange.ended_at = time.time()
        if exchange.passed is not None:
            exchange.passed.leave(exchange.tokens_used)
        attempt = exchange.attempt
        if attempt is not None:
            attempt.ended_at = attempt.ended_at or exchange.ended_at
            attempts.settle(exchange, attempt)
            if attempt.answer is not None and attempt.answer.failure is not None:
                exchange.error = attempts.scrubbed(exchange, attempt, attempt.answer.failure)
                if attempt.answer.crash is not None:
                    logger.error("request %s", exchange.seed.id, exc_info=attempt.answer.crash)
        if flow.response is not None and exchange.streaming:
            flow.response.data.content = exchange.sent.data
        try:
            exchange.cost = self.running_now.stats.price(exchange)
            self._recorder.write(flow, exchange)
        except Exception:
            logger.exception("request %s: its record could not be written", exchange.seed.id)
        self._count(exchange, flow)
        log.exchange_line(exchange)


async def _closed(connections: Sequence[ConnectionIO]) -> None:
    """Close the sockets of a client's connections once their tasks have ended."""
    await asyncio.wait([io.handler for io in connections if io.handler])
    for io in connections:
        if io.writer:
            io.writer.close()
