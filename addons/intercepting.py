"""Clients that cannot be pointed at us: regular, local and transparent mode, with mitmproxy's certificate.

Connections to hosts of known providers are decrypted and get our layer; those to other hosts pass as they are, not even
decrypted, unless mitmproxy's own `allow_hosts` or `ignore_hosts` say otherwise. A client that does not trust the
certificate, for a host or at all, is reported, and passes the next time.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from typing import TYPE_CHECKING

from mitmproxy import ctx, exceptions, http
from mitmproxy.connection import Client
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import TCPLayer, UDPLayer, modes, tls
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.mode_specs import LocalMode, ProxyMode, ReverseMode, TransparentMode, TunMode, WireGuardMode
from mitmproxy.tls import TlsData

from addons.catalog import Provider, is_loopback
from addons.credentials import serves
from addons.doors import own_settings, provider_at, surface_at
from addons.gateway import LinkLayer
from addons.log import logger
from addons.redirector import missing
from addons.routing import Router
from addons.settings import Settings
from addons.surfaces import Surface

if TYPE_CHECKING:
    from addons.link import Link

_EXPLICIT = (modes.HttpProxy, modes.HttpUpstreamProxy)
_HTTP = (None, b"", b"http/1.1", b"http/1.0", b"h2")
_TLS = b"\x16\x03\x01"  # how a client begins
_NAMES = (53, 5353)  # the ports of DNS
_REMEMBERED = 1000  # refusals
_TUNNELS = (LocalMode, TunMode, WireGuardMode)  # modes that nobody connects to who was not let in


class Intercepting:
    """What passes, and what is ours."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._refused: OrderedDict[tuple[str, str], int] = OrderedDict()  # peer and host, to how often
        # by host and protocol, and whether it is replayed: the settings that they were made for, their own, its router
        self._own: dict[tuple[str, str, bool], tuple[Settings, Settings, Router]] = {}

    # ------------------------------------------------------------------------------------------ layers

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        context, data = nextlayer.context, nextlayer.data_client()
        if context.client.transport_protocol != "tcp":
            nextlayer.layer = _datagrams(context)
            return
        if isinstance(context.layers[-1], tls.ClientTLSLayer):
            provider = self._provider(context)
            if provider is not None and context.client.alpn in _HTTP:
                nextlayer.layer = LinkLayer(context, HTTPMode.transparent, self._link, provider)
        elif starts_like_tls_record(data) and not _to_the_proxy(context):
            if ctx.options.allow_hosts or ctx.options.ignore_hosts:
                return
            host = _host_said(context, data)
            if provider_at(host) is None or self._refused.get((_peer(context.client), host), 0) > 1:
                nextlayer.layer = TCPLayer(context, ignore=not ctx.options.show_ignored_hosts)
        elif 0 < len(data) < len(_TLS) and _TLS.startswith(data):
            raise exceptions.AddonHalt  # mitmproxy would take it for something else

    def _provider(self, context: Context) -> Provider | None:
        host = context.client.sni or (context.server.address[0] if context.server.address else "")
        return provider_at(host) if host else None

    def tls_failed_client(self, data: TlsData) -> None:
        """The client broke off the handshake: its certificates are pinned, or it does not trust ours."""
        client, context = data.conn, data.context
        if not isinstance(client, Client) or isinstance(client.proxy_mode, ReverseMode):
            return
        host, why = client.sni or "", client.error or ""
        if provider_at(host) is None:
            return
        key = (_peer(client), host)
        certain = "not trust" in why
        count = self._refused[key] = self._refused.pop(key, 0) + (2 if certain else 1)
        while len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)
        address = context.client.peername[0] if context.client.peername else "a client"
        what = "passes untouched from now on" if count > 1 else "passes untouched if that happens again"
        logger.warning("%s does not take our certificate for %s: it %s (%s)", address, host, what, why)

    # ------------------------------------------------------------------------------------------ requests

    def surface(self, provider: Provider, request: http.Request) -> Surface | None:
        """What a request to this provider's host is for us; None: it goes to the host itself, as it is."""
        origin = request.headers.get("origin")
        if origin is not None and not self._link.own_origin(origin):
            return None  # a page in somebody's browser: it must not use our keys
        return surface_at(provider, request.method, request.path, request.headers, bool(self._link.settings.upstreams))

    def at(self, flow: http.HTTPFlow) -> tuple[Surface, Settings, Router] | None:
        """The same for a flow, with the settings and the routes that count for it."""
        host = flow.client_conn.sni or flow.request.host
        provider = provider_at(host)
        surface = self.surface(provider, flow.request) if provider is not None else None
        if surface is None:
            return None
        link = self._link
        if link.settings.upstreams:
            return surface, link.settings, link.router
        replayed = flow.is_replay == "request"
        made = self._own.get((host, surface.protocol, replayed))
        if made is None or made[0] is not link.settings:
            environ = link.running_now.environ if replayed else None
            settings = own_settings(link.settings, host, surface.protocol, environ)
            made = self._own[host, surface.protocol, replayed] = link.settings, settings, Router(settings)
        return surface, made[1], made[2]


def _to_the_proxy(context: Context) -> bool:
    """Whether the client has not yet said where it wants to go."""
    return len(context.layers) == 1 and isinstance(context.layers[0], _EXPLICIT)


def _datagrams(context: Context) -> layer.Layer | None:
    """QUIC passes, which mitmproxy would decrypt whatever the host is; names are asked for as ever."""
    address, options = context.server.address, ctx.options
    tunnelled = isinstance(context.client.proxy_mode, _TUNNELS) and len(context.layers) == 1
    if not tunnelled or (address and address[1] in _NAMES) or options.allow_hosts or options.ignore_hosts:
        return None
    return UDPLayer(context, ignore=not options.show_ignored_hosts)


def _host_said(context: Context, data: bytes) -> str:
    """The host that a TLS client asks for. Raises `AddonHalt` where its first message is not whole yet, so that nobody
    decides without it."""
    try:
        hello = tls.parse_client_hello(data)
    except ValueError:
        return ""
    if hello is None:
        raise exceptions.AddonHalt
    return hello.sni or (context.server.address[0] if context.server.address else "")


def _peer(client: Client) -> str:
    return client.peername[0] if client.peername else ""


def serves_peer(client: Client, host: str | None) -> bool:
    """Whether a connection may come in at all. `host`: as it was named for its mode.

    What the system redirects to us comes from an address of its own; what a tunnel brings has shown a key."""
    mode, peer = client.proxy_mode, _peer(client)
    if isinstance(mode, _TUNNELS) or serves(peer, host):
        return True
    return isinstance(mode, TransparentMode) and _is_own(peer)


def _is_own(address: str) -> bool:
    """Whether an address is one of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address.partition("%")[0], 0))
    except OSError:
        return False
    return True


def let_in(client: Client) -> None:
    """Nobody can ask those for a password who do not know of a proxy: their mode let them in, or their address."""
    if isinstance(client.proxy_mode, (TransparentMode, *_TUNNELS)) and ctx.options.proxyauth:
        ctx.master.addons.get("proxyauth").authenticated[client] = ("", "")


def intercepts(specs: list[str]) -> bool:
    """Whether one of the modes is for clients that do not know of us."""
    return any(not isinstance(ProxyMode.parse(spec), ReverseMode) for spec in specs)


def check_open() -> None:
    """Raises `OptionsError` where others can use us as their proxy and nothing asks them for a password."""
    for spec in ctx.options.mode:
        mode = ProxyMode.parse(spec)
        host = mode.listen_host(ctx.options.listen_host)
        if isinstance(mode, LocalMode) and (lacking := missing()):
            raise exceptions.OptionsError(f"LLM Link: {spec}: {lacking}")
        if isinstance(mode, (ReverseMode, *_TUNNELS)) or not host or is_loopback(host):
            continue
        if isinstance(mode, TransparentMode):
            why = "transparent mode cannot ask for a password; listen on a loopback address, or use wireguard mode"
        elif ctx.options.proxyauth:
            continue
        else:
            why = "others can reach it; set proxyauth (--proxyauth USER:PASSWORD), or listen on a loopback address"
        raise exceptions.OptionsError(f"LLM Link: {spec} on {host}: {why}")
