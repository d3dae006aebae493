"""The way out through a SOCKS5 proxy: a small real one, with and without a login, that can also misbehave."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mitmproxy import io as mitm_io

from tests.harness import Conn, Listener, Proxy, Seen, Upstream, config, proxy, says_hello

ASK = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
LOGIN = ("user", "pa:ss")


class Socks(Listener):
    """A SOCKS5 proxy. `behaviour`: what it does once it was asked for a connection, "" for the right thing."""

    def __init__(self, login: tuple[str, str] | None = None, behaviour: str = "") -> None:
        self.login, self.behaviour = login, behaviour
        self.asked: list[tuple[int, str, int]] = []  # kind, host, port
        self.closed = threading.Event()
        self.port = self.listen()

    def serve(self, sock: socket.socket) -> None:
        reader = sock.makefile("rb")
        with contextlib.suppress(OSError, IndexError):
            if self._greeted(sock, reader):
                self._connect(sock, reader)
        sock.close()

    def _greeted(self, sock: socket.socket, reader: Any) -> bool:
        _, count = reader.read(2)
        wanted = 2 if self.login else 0
        if wanted not in reader.read(count):
            sock.sendall(b"\x05\xff")
            return False
        for byte in bytes((5, wanted)):  # byte by byte
            sock.sendall(bytes((byte,)))
        if self.login:
            reader.read(1)
            said = tuple(reader.read(reader.read(1)[0]).decode() for _ in range(2))
            sock.sendall(bytes((1, said != self.login)))
            return said == self.login
        return True

    def _connect(self, sock: socket.socket, reader: Any) -> None:
        kind = reader.read(4)[3]
        host = reader.read(reader.read(1)[0]).decode() if kind == 3 else socket.inet_ntoa(reader.read(4))
        port = int.from_bytes(reader.read(2))
        self.asked.append((kind, host, port))
        if self.behaviour == "hangs":
            sock.recv(1)
            self.closed.set()
        elif self.behaviour == "closes":
            return
        elif self.behaviour:
            sock.sendall(bytes((5, int(self.behaviour), 0, 1)) + bytes(6))
        else:
            with socket.create_connection(("127.0.0.1", port), 5) as far:
                sock.sendall(b"\x05\x00\x00\x03\x04name\x00\x01")
                back = threading.Thread(target=_pump, args=(far, sock), daemon=True)
                back.start()
                _pump(sock, far)
                back.join(2)
                self.closed.set()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def answer(conn: Conn, seen: Seen) -> None:
    if seen.json["model"] == "silent":
        conn.sock.recv(1)
        conn.close()
        return
    says_hello(conn, seen)


class Secure(Upstream):
    """An upstream with TLS, for the name `localhost`."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        made = made.add_extension(x509.BasicConstraints(True, None), True)
        self.certificate = folder / "upstream.pem"
        form = serialization.Encoding.PEM
        secret = key.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.certificate.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(form) + secret)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate)
        super().__init__(answer)

    def serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            super().serve(self._context.wrap_socket(sock, server_side=True))


class House:
    """A proxy with an upstream behind each kind of SOCKS proxy."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.upstream, self.secure = folder, Upstream(answer), Secure(folder)
        self.socks = {
            "plain": Socks(), "login": Socks(LOGIN), "wants": Socks(LOGIN), "wrong": Socks(("a", "b")),
            "refuses": Socks(behaviour="5"), "odd": Socks(behaviour="77"), "closes": Socks(behaviour="closes"),
            "hangs": Socks(behaviour="hangs"), "tls": Socks(), "kept": Socks(),
        }  # fmt: skip
        local = self.upstream.url.replace("127.0.0.1", "localhost")
        self.document = config(self.upstream)
        self.document["upstreams"] |= {name: self._upstream(name, local) for name in self.socks}
        self.document["upstreams"]["address"] = self._upstream("plain", self.upstream.url)
        self.document["models"] |= {name: f"{name}/x" for name in (*self.socks, "address")}
        self.document["models"] |= {f"{name}-first": [f"{name}/x", "u0/x"] for name in self.socks}
        self.document["models"]["silent-first"] = ["kept/silent", "u0/x"]
        self.document |= {"retry": {"max_wait": 0, "cooldown": 0}, "addressing": True}

    def _upstream(self, name: str, base: str) -> dict[str, Any]:
        user = {"login": "user:pa%3Ass@", "wrong": "user:nope@"}.get(name, "")
        url = f"https://localhost:{self.secure.port}" if name == "tls" else base
        return {
            "protocol": "openai-chat",
            "base_url": url + "/v1",
            "api_key": {"value": "k"},
            "proxy": f"{'socks5h' if name == 'login' else 'socks5'}://{user}127.0.0.1:{self.socks[name].port}",
            "timeout": {"connect": 1, "first_byte": 1},
        }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, House]]:
    house = House(tmp_path_factory.mktemp("egress"))
    trusted = ("--set", f"ssl_verify_upstream_trusted_ca={house.secure.certificate}")
    saving = ("-w", str(house.folder / "flows"))
    with proxy(house.folder, house.document, arguments=(*trusted, *saving)) as link:
        yield link, house
    for one in (house.upstream, house.secure, *house.socks.values()):
        one.stop()


def ask(link: Proxy, model: str, **more: Any) -> httpx.Response:
    return httpx.post(f"{link.url}/v1/messages", json={**ASK, "model": model, **more}, timeout=10)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["plain", "login", "tls", "address"])
def test_the_upstream_is_reached_and_its_name_looked_up_there(
    house: tuple[Proxy, House], name: str, stream: bool
) -> None:
    link, at = house
    response = ask(link, name, stream=stream)
    assert response.status_code == 200 and "Hello" in response.text, response.text
    assert ("message_stop" in response.text) == stream
    port = at.secure.port if name == "tls" else at.upstream.port
    where = (1, "127.0.0.1", port) if name == "address" else (3, "localhost", port)
    assert at.socks.get(name, at.socks["plain"]).asked[-1] == where


def test_a_connection_through_it_is_used_again(house: tuple[Proxy, House]) -> None:
    link, at = house
    count = len(at.socks["plain"].asked)
    with httpx.Client() as client:
        for _ in range(3):
            assert client.post(f"{link.url}/v1/messages", json={**ASK, "model": "plain"}).status_code == 200
    assert len(at.socks["plain"].asked) == count + 1


FAULTS = [
    ("wants", "it wants a login"), ("wrong", "the login was refused"), ("refuses", "connection refused"),
    ("odd", "error 77"), ("closes", "closed"), ("hangs", "timed out"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "said"), FAULTS)
def test_what_goes_wrong_there_is_a_connect_error(house: tuple[Proxy, House], name: str, said: str) -> None:
    link, _ = house
    alone = ask(link, name)
    message = alone.json()["error"]["message"]
    assert alone.status_code >= 500 and f"cannot connect to upstream '{name}'" in message and said in message, message
    after = ask(link, f"{name}-first")
    assert after.status_code == 200 and after.headers["x-llm-link-attempts"] == "2"


@pytest.mark.parametrize(("model", "name"), [("hangs-first", "hangs"), ("silent-first", "kept")])
def test_what_is_given_up_is_closed_while_the_client_stays(house: tuple[Proxy, House], model: str, name: str) -> None:
    link, at = house
    closed = at.socks[name].closed
    with httpx.Client() as client:
        closed.clear()
        after = client.post(f"{link.url}/v1/messages", json={**ASK, "model": model}, timeout=10)
        assert after.status_code == 200 and after.headers["x-llm-link-attempts"] == "2"
        assert closed.wait(5), "the connection to the proxy stays open"


def test_the_login_is_nowhere_to_be_read(house: tuple[Proxy, House]) -> None:
    link, at = house
    assert ask(link, "login").status_code == 200
    saved = (at.folder / "flows").read_bytes()
    assert b"pa:ss" not in saved and "pa:ss" not in link.log
    with (at.folder / "flows").open("rb") as file:
        assert any(True for _ in mitm_io.FlowReader(file).stream())
