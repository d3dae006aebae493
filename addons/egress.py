"""The way out through a SOCKS5 proxy (RFC 1928, with the login of RFC 1929). The proxy looks host names up, not we.

mitmproxy has HTTP proxies on its way out and SOCKS on its way in only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from mitmproxy.connection import Server
from mitmproxy.proxy import commands
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import tls
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpClient
from mitmproxy.proxy.tunnel import LayerStack, TunnelLayer
from pydantic import SecretStr

# How `Server.via` names such a proxy: mitmproxy's saved flows know a closed list of schemes, and SOCKS is not in it.
VIA = "tcp"

_VERSION, _CONNECT, _NO_LOGIN, _LOGIN = 5, 1, 0, 2
_REFUSED = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "the connection timed out",
    7: "it cannot connect",
    8: "it does not take such an address",
}
_ADDRESS_SIZES = {1: 4, 4: 16}  # kind -> bytes; 3, a name, brings its length along

Step = Generator[commands.Command, Any, tuple[bool, str | None]]


@dataclass(eq=False)
class Ask(GetHttpConnection):
    """A connection to an upstream. `login`: for its SOCKS proxy, user:password; never part of what flows hold."""

    login: SecretStr | None = None


def stack_for(context: Context, ask: GetHttpConnection) -> LayerStack:
    """The layers of a new connection through a SOCKS proxy; the context's server becomes the one that is asked for."""
    assert ask.via is not None
    context.server = Server(address=ask.address, transport_protocol="tcp")
    context.server.via = ask.via
    stack = LayerStack()
    stack /= SocksTunnel(context, Server(address=ask.via[1]), ask.login if isinstance(ask, Ask) else None)
    if ask.tls:
        context.server.sni = ask.address[0]
        stack /= tls.ServerTLSLayer(context)
    stack /= HttpClient(context)
    return stack


class SocksTunnel(TunnelLayer):
    """Asks the proxy for a connection to `context.server`, and then stands aside."""

    def __init__(self, context: Context, proxy: Server, login: SecretStr | None) -> None:
        super().__init__(context, tunnel_connection=proxy, conn=context.server)
        user, _, password = (login.get_secret_value() if login is not None else "").partition(":")
        self._user, self._password = user.encode(), password.encode()
        self._held = b""
        self._answer = self._method

    def start_handshake(self) -> Generator[commands.Command, Any, None]:
        yield commands.SendData(self.tunnel_connection, bytes((_VERSION, 1, _LOGIN if self._user else _NO_LOGIN)))

    def receive_handshake_data(self, data: bytes) -> Step:
        """An answer of the proxy may come in pieces. The far side says nothing before it is asked."""
        self._held += data
        while self._held:
            before = self._answer
            done, error = yield from self._answer()
            if error is not None:
                return False, f"the SOCKS proxy: {error}"
            if done:
                return True, None
            if self._answer == before:  # not whole yet
                break
        return False, None

    def _method(self) -> Step:
        if len(self._held) < 2:
            return False, None
        version, method = self._held[:2]
        self._held = self._held[2:]
        if version != _VERSION:
            return False, "it does not speak SOCKS5"
        if method != (_LOGIN if self._user else _NO_LOGIN):
            return False, "it does not take our login" if self._user else "it wants a login"
        if self._user:
            said = b"".join(bytes((len(word),)) + word for word in (self._user, self._password))
            self._answer = self._login
            yield commands.SendData(self.tunnel_connection, b"\x01" + said)
        else:
            yield from self._connect()
        return False, None

    def _login(self) -> Step:
        if len(self._held) < 2:
            return False, None
        good = self._held[1] == 0
        self._held = self._held[2:]
        if not good:
            return False, "the login was refused"
        yield from self._connect()
        return False, None

    def _connect(self) -> Generator[commands.Command, Any, None]:
        assert self.conn.address is not None
        host, port = self.conn.address[:2]
        self._answer = self._connected
        asked = bytes((_VERSION, _CONNECT, 0)) + _address(host) + port.to_bytes(2)
        yield commands.SendData(self.tunnel_connection, asked)

    def _connected(self) -> Step:
        yield from ()
        held = self._held
        if len(held) >= 2 and held[1]:
            return False, _REFUSED.get(held[1], f"error {held[1]}")
        if len(held) < 5:
            return False, None
        size = 4 + _ADDRESS_SIZES.get(held[3], 1 + held[4]) + 2
        if len(held) < size:
            return False, None
        self._held = held[size:]
        return True, None


def _address(host: str) -> bytes:
    """Kind and address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("idna")
        return bytes((3, len(name))) + name
    return bytes((1 if address.version == 4 else 4,)) + address.packed
