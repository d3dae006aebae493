"""Transparent and local mode for real: network namespaces, the kernel's redirection and programs that know of no proxy.

The tests' own thread moves into a network of its own; what it starts and opens is in there too. Another machine is a
second network at the end of a cable, where the official hosts stand."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.addons.test_intercept import TlsHost, official
from tests.harness import ROOT, Proxy, Upstream, clean_environ, free_port, proxy
from tests.rulebook import echo, speaking

HERE, THERE, OFFICIAL, FOREIGN = "192.0.2.1", "192.0.2.2", "203.0.113.7", "203.0.113.8"
GROUP = 65533  # of the clients: the firewall's rule is for them
CLIENT = Path(__file__).with_name("direct_client.py")


def _why_not(*programs: str) -> str:
    """Why these tests cannot run here; empty: they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux and root: root on Linux runs it"
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        return f"installing {', '.join(missing)} runs it"
    done = subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True, text=True)
    return f"a kernel with network namespaces runs it: {done.stderr.strip()}" if done.returncode else ""


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def inside(network: int, call: Callable[[], None]) -> None:
    """Runs a call in another network; threads that it starts stay there."""
    troubles: list[BaseException] = []

    def there() -> None:
        try:
            os.setns(network, os.CLONE_NEWNET)
            call()
        except BaseException as error:
            troubles.append(error)

    thread = threading.Thread(target=there)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    if troubles:
        raise troubles[0]


@pytest.fixture(scope="module")
def far() -> Iterator[int]:
    """The tests' thread is in a network of its own; given is another one, at the far end of its cable."""
    if why := _why_not("ip", "iptables", "unshare", "setpriv", "mount"):
        pytest.skip(why)
    me = str(threading.get_native_id())

    def another() -> None:
        os.unshare(os.CLONE_NEWNET)
        networks.append(_network())
        stack.callback(os.close, networks[0])

    def cable() -> None:
        run("ip", "link", "add", "far", "type", "veth", "peer", "name", "near", "netns", me)
        up("far", f"{THERE}/24", f"{OFFICIAL}/32", f"{FOREIGN}/32")
        run("ip", "route", "add", "default", "via", HERE)

    def up(device: str, *addresses: str) -> None:
        for address in addresses:
            run("ip", "addr", "add", address, "dev", device)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "set", device, "up")

    with ExitStack() as stack:
        own = _network()
        stack.callback(os.close, own)
        networks: list[int] = []
        inside(own, another)
        os.unshare(os.CLONE_NEWNET)
        stack.callback(os.setns, own, os.CLONE_NEWNET)
        inside(networks[0], cable)
        up("near", f"{HERE}/24")
        run("ip", "route", "add", "default", "via", THERE)
        yield networks[0]


def _network() -> int:
    """That of this thread."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


@pytest.fixture(scope="module")
def upstream(far: int) -> Iterator[Upstream]:
    server = Upstream(speaking("openai-chat", echo))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def host(far: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsHost]:
    """All hosts of the wide world: they stand in the far network."""
    servers: list[TlsHost] = []
    datagrams: list[socket.socket] = []

    def stand() -> None:
        servers.append(TlsHost(official, tmp_path_factory.mktemp("host"), host="", port=443))
        datagrams.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams[0].bind((FOREIGN, 443))

    def answer() -> None:
        while True:
            data, peer = datagrams[0].recvfrom(2000)
            if not data:
                return
            datagrams[0].sendto(data, peer)

    inside(far, stand)
    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield servers[0]
    servers[0].stop()
    datagrams[0].sendto(b"", (FOREIGN, 443))
    thread.join(5)
    datagrams[0].close()


def settings(upstream: Upstream) -> dict[str, object]:
    return {
        "upstreams": {"u": {"protocol": "openai-chat", "base_url": upstream.url + "/v1", "api_key": {"value": "k-u"}}},
        "models": {"claude-*": "u/other"},
    }


def client(link: Proxy, folder: Path, *, name: str = "direct", group: int = 0) -> dict[str, object]:
    """What direct_client.py sees. The names of the hosts are in a file of its own."""
    names = folder / "hosts"
    names.write_text(f"127.0.0.1 localhost\n{OFFICIAL} api.anthropic.com\n{FOREIGN} example.com\n", "utf-8")
    certificate = link.log_path.parent / "mitmproxy" / "mitmproxy-ca-cert.pem"
    named = f'mount --bind {names} /etc/hosts && exec setpriv --regid {group} --keep-groups "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", named, "sh", sys.executable, str(CLIENT), name],
        env={**clean_environ(), "SSL_CERT_FILE": str(certificate)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr + link.log
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def check(seen: dict[str, object], upstream: Upstream, host: TlsHost) -> None:
    """Translated; passed on to the host itself; not even decrypted."""
    assert seen["whole"] == "you said Hi" and seen["streamed"] == "you said Ho"
    asked = upstream.seen[-1]
    assert asked.path == "/v1/chat/completions" and asked.headers["authorization"] == "Bearer k-u"
    assert asked.json["model"] == "other" and "the-clients-own" not in str(asked.headers)
    assert seen["profile"] == {"at": "/api/oauth/profile", "host": "api.anthropic.com", "key": "mine", "body": ""}
    assert seen["foreign_issuer"] == "host" and seen["official_issuer"] == "mitmproxy"
    assert seen["foreign"] == "/x" and seen["datagram"] == 1200


def test_transparent(far: int, upstream: Upstream, host: TlsHost, tmp_path: Path) -> None:
    """Programs of this machine are served, another one that is routed through it is not."""
    port = free_port()
    mode, tell = f"transparent@{port}", ("--set", "ssl_insecure=true")
    own = ("env",)  # a process of ours, in our network: not of a server that may have begun in another
    with proxy(tmp_path, settings(upstream), mode=mode, port=port, arguments=tell, before=own) as link:
        redirect = ("-p", "tcp", "--dport", "443", "-j", "REDIRECT", "--to-ports", str(port))
        run("iptables", "-t", "nat", "-A", "OUTPUT", "-m", "owner", "--gid-owner", str(GROUP), *redirect)
        run("iptables", "-t", "nat", "-A", "PREROUTING", "-i", "near", *redirect)
        check(client(link, tmp_path, group=GROUP), upstream, host)
        before = len(upstream.seen)

        def neighbour() -> None:
            elsewhere = ("198.51.100.9", 443)
            with socket.create_connection(elsewhere, timeout=10) as sock, contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""

        inside(far, neighbour)
        link.wait_log(f"closed a connection from {THERE}: only loopback peers are served")
        assert len(upstream.seen) == before
    run("iptables", "-t", "nat", "-F")


def test_local(far: int, upstream: Upstream, host: TlsHost, tmp_path: Path) -> None:
    """One program of this machine by its name; mitmproxy starts its redirector with sudo, and that needs cgroups v2."""
    if why := _why_not("sudo", "unshare"):
        pytest.skip(why)
    new = ("unshare", "-m", "sh", "-c", 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"', "sh")
    before = ("env",) if Path("/sys/fs/cgroup/cgroup.controllers").exists() else new
    if subprocess.run([*before, "true"], capture_output=True).returncode:
        pytest.skip("no cgroups of version 2 here: a kernel with them runs it")
    name = f"ll-{os.getpid()}"
    tell = ("--set", "ssl_insecure=true", "--proxyauth", "me:secret")  # for others, in other modes
    with ExitStack() as stack:
        try:
            made = proxy(tmp_path, settings(upstream), mode=f"local:{name}", arguments=tell, before=before)
            link = stack.enter_context(made)
        except AssertionError as error:
            _, _, log = str(error).partition("\n")  # before it: what was waited for
            if "redirector started" in log or "redirector" not in log:
                raise
            said = log.splitlines()[-1]
            pytest.skip(f"a kernel that lets mitmproxy's redirector load its BPF program runs it: {said}")
        check(client(link, tmp_path, name=name), upstream, host)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--mode", "transparent@0.0.0.0:9"), "transparent mode cannot ask for a password"),
        (("--mode", "transparent@0.0.0.0:9", "--proxyauth", "a:b"), "transparent mode cannot ask for a password"),
        (("--mode", "local:no-such-name"), "starts its redirector with sudo, which is not here"),
    ],
)
def test_what_cannot_be_is_said_at_the_start(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    if "local" in words[1] and sys.platform != "linux":
        pytest.skip("another redirector than Linux's: it runs on Linux")
    program = [str(Path(sys.executable).with_name("mitmdump")), "-s", str(ROOT / "addons" / "llm_link.py")]
    environ = {**clean_environ(), "PATH": str(tmp_path)}
    command = [*program, "--set", f"confdir={tmp_path}", *words]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and why in done.stdout + done.stderr
