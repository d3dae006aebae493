"""Clients whose address cannot be changed: through a proxy that they know of, with its certificate, to official hosts.

The hosts lead to stubs on loopback: where a request leaves for one, a script of the test turns the connection there.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from mitmproxy.certs import CertStore

from tests.harness import Conn, Proxy, Script, Seen, Upstream, clean_environ, free_port, proxy, serving
from tests.rulebook import echo, speaking

ASK = {"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}


class TlsHost(Upstream):
    """An upstream behind TLS, with a certificate for any name."""

    def __init__(self, script: Script, folder: Path, **where: Any) -> None:
        store = CertStore.from_store(folder, "host", 2048)
        entry = store.get_cert("example.com", [])
        chain = folder / "chain.pem"
        assert entry.privatekey is not None
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        key = entry.privatekey.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        chain.write_bytes(key + entry.cert.to_pem())
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(chain)
        super().__init__(script, **where)

    def serve(self, sock: socket.socket) -> None:
        try:
            wrapped = self._tls.wrap_socket(sock, server_side=True)
        except OSError:
            return
        super().serve(wrapped)


TURN = """
def server_connect(data):
    if data.server.address and data.server.address[1] == 443:
        data.server.address = ("127.0.0.1", %d)
"""


def official(conn: Conn, seen: Seen) -> None:
    """What stands in for the official hosts: says what it got."""
    if "/v1/messages" in seen.path and "batches" not in seen.path:
        speaking("anthropic", echo)(conn, seen)
    else:
        body = seen.body.decode()
        conn.json({"at": seen.path, "host": seen.headers["host"], "key": seen.headers.get("x-api-key"), "body": body})


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsHost]:
    server = TlsHost(official, tmp_path_factory.mktemp("host"))
    yield server
    server.stop()


upstream = serving(speaking("openai-chat", echo))


def turned(folder: Path, host: TlsHost) -> tuple[str, ...]:
    script = folder / "turn.py"
    script.write_text(TURN % host.port, "utf-8")
    return "-s", str(script), "--set", "ssl_insecure=true"


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, host: TlsHost, upstream: Upstream) -> Iterator[Proxy]:
    """With a config: claude-* goes to an upstream of another protocol."""
    folder = tmp_path_factory.mktemp("link")
    settings = {
        "auth": {"mode": "proxy_key", "keys": [{"value": "of-the-house"}]},
        "upstreams": {"u": {"protocol": "openai-chat", "base_url": upstream.url + "/v1", "api_key": {"value": "k-u"}}},
        "models": {"claude-*": "u/other", "gpt-*": "u/other"},
    }
    with proxy(folder, settings, mode="regular", arguments=turned(folder, host)) as running:
        yield running


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, host: TlsHost) -> Iterator[Proxy]:
    """Without a config."""
    folder = tmp_path_factory.mktemp("bare")
    with proxy(folder, mode="regular", arguments=turned(folder, host)) as running:
        yield running


def trust(link: Proxy) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=link.log_path.parent / "mitmproxy" / "mitmproxy-ca-cert.pem")


class OnlyTwo(ssl.SSLContext):
    """httpx offers HTTP/1.1 first to whom it reaches through a proxy, and then gets that."""

    def set_alpn_protocols(self, protocols: object) -> None:
        super().set_alpn_protocols(["h2"])


def client(link: Proxy, *, http2: bool = False) -> httpx.Client:
    context = trust(link)
    if http2:
        context = OnlyTwo(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(link.log_path.parent / "mitmproxy" / "mitmproxy-ca-cert.pem")
    return httpx.Client(proxy=link.url, verify=context, http2=http2, timeout=10)


def test_the_official_sdk_with_nothing_but_a_proxy(
    link: Proxy, upstream: Upstream, host: TlsHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Translated to another protocol, with no base URL changed: environment variables are all that it is told."""
    monkeypatch.setenv("HTTPS_PROXY", link.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(link.log_path.parent / "mitmproxy" / "mitmproxy-ca-cert.pem"))
    before = len(host.seen)
    with anthropic.Anthropic(api_key="sk-ant-the-clients-own") as sdk:
        assert sdk.base_url.host == "api.anthropic.com"
        whole = sdk.messages.create(model="claude-x", max_tokens=50, messages=[{"role": "user", "content": "Hi"}])
        assert whole.content[0].type == "text" and whole.content[0].text == "you said Hi"
        messages = [{"role": "user", "content": "Ho"}]
        with sdk.messages.stream(model="claude-x", max_tokens=50, messages=messages) as stream:  # type: ignore[arg-type]
            assert stream.get_final_text() == "you said Ho"
    seen = upstream.seen[-1]
    assert seen.path == "/v1/chat/completions" and seen.json["model"] == "other"
    assert seen.headers["authorization"] == "Bearer k-u"
    assert "the-clients-own" not in str(seen.headers) and len(host.seen) == before
    with openai.OpenAI(api_key="sk-the-clients-own") as sdk2:
        answer = sdk2.responses.create(model="gpt-x", input="Hi")
        assert answer.output_text == "you said Hi"


def test_http_2_clients(link: Proxy, upstream: Upstream) -> None:
    with client(link, http2=True) as http:
        for url, body in (
            ("https://api.anthropic.com/v1/messages", ASK),
            ("https://openrouter.ai/api/v1/chat/completions", ASK),
        ):
            answer = http.post(url, json=body, headers={"x-api-key": "k"})
            assert answer.http_version == "HTTP/2" and "you said Hi" in answer.text, answer.text
            assert answer.headers["x-llm-link-upstream"] == "u/other"
        passed = http.get("https://api.anthropic.com/api/oauth/profile", headers={"x-api-key": "mine"})
        assert passed.json() | {"body": ""} == {
            "at": "/api/oauth/profile", "host": "api.anthropic.com", "key": "mine", "body": "",
        }  # fmt: skip


def test_what_is_no_surface_goes_to_the_host_untouched(link: Proxy, host: TlsHost) -> None:
    with client(link) as http:
        for path in ("/api/event_logging/batch", "/v1/messages/batches", "/health", "/metrics", "/"):
            answer = http.post(f"https://api.anthropic.com{path}", content=b"raw", headers={"x-api-key": "mine"})
            assert answer.json() == {"at": path, "host": "api.anthropic.com", "key": "mine", "body": "raw"}
            assert "x-llm-link-request-id" not in answer.headers
        models = http.get("https://api.anthropic.com/v1/models", headers={"anthropic-version": "1", "x-api-key": "k"})
        assert "data" in models.json() and models.json()["has_more"] is False


def test_auth_is_the_clients_own_key(link: Proxy) -> None:
    with client(link) as http:
        assert http.post("https://api.anthropic.com/v1/messages", json=ASK).status_code == 401
        answer = http.post("https://api.anthropic.com/v1/messages", json=ASK, headers={"authorization": "Bearer any"})
        assert answer.status_code == 200
        headers = {"x-api-key": "k"}
        nobody = http.post("https://api.anthropic.com/v1/messages", json={**ASK, "model": "x"}, headers=headers)
        assert nobody.status_code == 404 and nobody.json()["type"] == "error"


def test_pages_of_the_web_use_no_key_of_ours(link: Proxy, upstream: Upstream) -> None:
    before = len(upstream.seen)
    with client(link) as http:
        headers = {"origin": "https://evil.example", "x-api-key": "k"}
        answer = http.post("https://api.anthropic.com/v1/messages", json=ASK, headers=headers)
        assert "x-llm-link-request-id" not in answer.headers and len(upstream.seen) == before


def test_without_a_config_the_host_itself_is_the_upstream(bare: Proxy, host: TlsHost) -> None:
    with client(bare) as http:
        headers = {"x-api-key": "sk-ant-mine-1234567", "anthropic-beta": "b1", "anthropic-version": "2023-06-01"}
        body = json.dumps({**ASK, "odd": [1]})
        answer = http.post("https://api.anthropic.com/v1/messages?beta=true", content=body, headers=headers)
        assert answer.json()["content"][0]["text"] == "you said Hi"
        assert answer.headers["x-llm-link-upstream"] == "anthropic/claude-x"
        seen = host.seen[-1]
        assert seen.body.decode() == body and seen.path == "/v1/messages?beta=true"
        assert seen.headers["x-api-key"] == "sk-ant-mine-1234567" and seen.headers["anthropic-beta"] == "b1"
        assert seen.headers["host"] == "api.anthropic.com"
        listed = http.get("https://api.anthropic.com/v1/models", headers=headers).json()
        assert listed["at"] == "/v1/models" and listed["key"] == "sk-ant-mine-1234567"
    assert "sk-ant-mine" not in bare.log
    assert "no config file: requests to the hosts of known providers go there, with the client's own key" in bare.log


def test_other_hosts_are_not_even_decrypted(bare: Proxy, host: TlsHost, tmp_path: Path) -> None:
    """The client sees the certificate of the host itself."""
    with httpx.Client(proxy=bare.url, verify=trust(bare)) as http, pytest.raises(httpx.ConnectError):
        http.get("https://example.com/")
    with httpx.Client(proxy=bare.url, verify=False) as http:
        assert http.get("https://example.com/x").json()["at"] == "/x"


def test_a_client_that_does_not_trust_us_is_reported_and_passes(bare: Proxy, host: TlsHost) -> None:
    url = "https://api.openai.com/v1/files"
    with httpx.Client(proxy=bare.url, verify=ssl.create_default_context()) as http, pytest.raises(httpx.ConnectError):
        http.get(url)
    bare.wait_log("does not take our certificate for api.openai.com: it passes untouched from now on")
    seen: list[bytes] = []

    def handshake() -> None:
        with socket.create_connection(("127.0.0.1", bare.port)) as sock:
            sock.sendall(b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com\r\n\r\n")
            assert b"200" in sock.recv(1000)
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(sock, server_hostname="api.openai.com") as wrapped:
                seen.append(wrapped.getpeercert(True) or b"")

    thread = threading.Thread(target=handshake)
    thread.start()
    thread.join(10)
    assert seen and b"example.com" in seen[0]  # the certificate of the host


def tunnel(link: Proxy, where: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", link.port), timeout=10)
    sock.sendall(f"CONNECT {where}:443 HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
    assert b" 200 " in sock.recv(1000)
    return sock


def test_a_host_is_known_by_what_the_client_asks_of_it(link: Proxy, host: TlsHost) -> None:
    """As in transparent and local mode, where there is an address and no name; the first message comes in pieces."""
    body = json.dumps(ASK).encode()
    head = b"POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\nx-api-key: k\r\nContent-Length: %d\r\n\r\n"
    with tunnel(link, "203.0.113.7") as sock:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trust(link).wrap_bio(incoming, outgoing, server_hostname="api.anthropic.com")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    sock.sendall(bytes((byte,)))
                incoming.write(sock.recv(65536))
        tls.write(head % len(body) + body)
        sock.sendall(outgoing.read())
        got = b""
        while b"you said Hi" not in got:
            incoming.write(sock.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                while piece := tls.read(65536):  # a record each, and one read may bring several
                    got += piece
        assert b"x-llm-link-upstream: u/other" in got
    with tunnel(link, "203.0.113.7") as sock:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(sock, server_hostname="some.other.host") as wrapped:
            assert b"example.com" in (wrapped.getpeercert(True) or b"")  # the host's own certificate


def test_an_intercepted_exchange_is_replayed(host: TlsHost, tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    script = turned(tmp_path, host)
    with proxy(tmp_path, mode="regular", arguments=(*script, "-w", str(flows))) as running, client(running) as http:
        http.post("https://api.anthropic.com/v1/messages", json=ASK, headers={"x-api-key": "k"})
    before = len(host.seen)
    words = (*script, "-w", str(tmp_path / "again"), "-C", str(flows))
    with proxy(tmp_path, mode="regular", arguments=words) as running:
        running.wait_log("anthropic claude-x -> anthropic/claude-x: 401")
    assert len(host.seen) == before  # there is no key
    key = {"ANTHROPIC_API_KEY": "sk-ant-of-the-operator"}
    with proxy(tmp_path, mode="regular", arguments=words, environ=key) as running:
        running.wait_log("anthropic claude-x -> anthropic/claude-x: 200")
    assert host.seen[-1].headers["x-api-key"] == "sk-ant-of-the-operator"
    assert len(host.seen) == before + 1 and host.seen[-1].body == host.seen[-2].body


def test_a_password_is_asked_for(tmp_path: Path, upstream: Upstream) -> None:
    settings = {
        "upstreams": {"u": {"protocol": "openai-chat", "base_url": upstream.url + "/v1"}},
        "models": {"*": "u/other"},
    }
    with proxy(tmp_path, settings, mode="regular", arguments=("--proxyauth", "me:secret")) as running:
        url, headers = "https://api.anthropic.com/v1/messages", {"x-api-key": "k"}
        with client(running) as http, pytest.raises(httpx.ProxyError, match="407"):
            http.post(url, json=ASK, headers=headers)
        known = f"http://me:secret@127.0.0.1:{running.port}"
        with httpx.Client(proxy=known, verify=trust(running), timeout=10) as http:
            assert "you said Hi" in http.post(url, json=ASK, headers=headers).text


def test_others_must_show_a_password(tmp_path: Path) -> None:
    words = [str(Path(sys.executable).parent / "mitmdump"), "-s", str(Path(__file__).parents[2] / "addons/llm_link.py")]
    words += ["--mode", f"regular@0.0.0.0:{free_port()}", "--set", f"confdir={tmp_path}"]
    done = subprocess.run(words, env=clean_environ(), cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and "--proxyauth" in done.stdout + done.stderr


