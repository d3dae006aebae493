"""The addon in mitmproxy: options, listening, logs, other people's scripts, egress proxies, TLS clients."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import Listener, Proxy, Upstream, config, free_port, proxy, says_hello, serving

ASK = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}


upstream = serving(says_hello)


def ask(link: Proxy, **more: Any) -> httpx.Response:
    return httpx.post(f"{link.url}/v1/messages", json={**ASK, **more}, timeout=10)


SCRIPT = """
import logging
def requestheaders(flow): logging.info("hook requestheaders " + flow.request.path)
def request(flow):
    logging.info("hook request " + flow.request.text[:20])
    flow.request.text = flow.request.text.replace("Hi", "Edited")
def responseheaders(flow):
    logging.info(f"hook responseheaders {flow.response.status_code}")
    flow.response.headers["x-script"] = "was here"
def response(flow):
    logging.info("hook response " + flow.response.text[-30:].strip())
    if "Hello" in flow.response.text and "json" in flow.response.headers["content-type"]:
        flow.response.text = flow.response.text.replace("Hello", "Changed")
def error(flow): logging.info("hook error " + flow.error.msg)
"""


def test_scripts_of_others_see_and_change_flows(tmp_path: Path, upstream: Upstream) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, "utf-8")
    with proxy(tmp_path, config(upstream), arguments=("-s", str(script))) as link:
        whole = ask(link)
        assert whole.json()["content"][0]["text"] == "Changed" and whole.headers["x-script"] == "was here"
        assert upstream.seen[-1].json["messages"][0]["content"] == "Edited"
        streamed = ask(link, stream=True)
        assert "message_stop" in streamed.text and streamed.headers["x-script"] == "was here"
        log = link.log
    for hook in ("requestheaders /v1/messages", 'request {"model":"m"', "responseheaders 200", "response "):
        assert f"hook {hook}" in log, hook
    assert "hook error" not in log


def test_a_script_may_answer_itself(tmp_path: Path, upstream: Upstream) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from mitmproxy import http\n"
        "def request(flow):\n"
        "    if flow.request.method == 'POST': flow.response = http.Response.make(418, b'teapot')\n",
        "utf-8",
    )
    with proxy(tmp_path, config(upstream), arguments=("-s", str(script))) as link:
        count = len(upstream.seen)
        response = httpx.post(f"{link.url}/v1/messages", json=ASK)
        assert response.status_code == 418 and response.text == "teapot" and len(upstream.seen) == count


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_goes_to_a_file(tmp_path: Path, upstream: Upstream, form: str) -> None:
    doc = config(upstream, logging={"file": "link.log", "format": form})
    with proxy(tmp_path, doc) as link:
        assert ask(link, top_k=3).status_code == 200
        link_id = ask(link).headers["x-llm-link-request-id"]
    lines = (tmp_path / "link.log").read_text("utf-8").splitlines()
    if form == "json":
        found = [json.loads(line) for line in lines]
        (line,) = [entry for entry in found if entry.get("id") == link_id]
        assert line["protocol"] == "anthropic" and line["target"] == "u0/model-0" and line["status"] == 200
    else:
        assert any(f"request {link_id}: anthropic m -> u0/model-0: 200" in line for line in lines)
    assert any("top_k=dropped" in line for line in lines)


def test_keys_are_required_where_they_are_configured(tmp_path: Path, upstream: Upstream) -> None:
    doc = config(upstream)
    doc["auth"] = {"mode": "proxy_key", "keys": [{"env": "K"}, {"value": "second-key", "models": ["x*", "u0/y"]}]}
    doc["models"] |= {"xm": "u0/a", "ym": "u0/y"}
    with proxy(tmp_path, doc, environ={"K": "first-key"}) as link:
        assert ask(link).status_code == 401
        ok = httpx.post(f"{link.url}/v1/messages", json=ASK, headers={"authorization": "Bearer first-key"})
        assert ok.status_code == 200 and "first-key" not in str(upstream.seen[-1])
        narrow = httpx.post(f"{link.url}/v1/messages", json=ASK, headers={"x-api-key": "second-key"})
        assert narrow.status_code == 403 and narrow.json()["error"]["type"] == "permission_error"
        assert httpx.get(f"{link.url}/v1/models").status_code == 401
        seen = {
            key: [one["id"] for one in httpx.get(f"{link.url}/v1/models", headers={"x-api-key": key}).json()["data"]]
            for key in ("first-key", "second-key")
        }
        assert seen == {"first-key": ["m", "xm", "ym"], "second-key": ["xm", "ym"]}  # the last by its target
        for model, status in (("xm", 200), ("ym", 200), ("m", 403)):
            one = httpx.get(f"{link.url}/v1/models/{model}", headers={"x-api-key": "second-key"})
            assert one.status_code == status
        assert httpx.get(f"{link.url}/ready").status_code == 200


def test_an_open_address_needs_auth_written_out(tmp_path: Path, upstream: Upstream) -> None:
    doc = config(upstream)
    del doc["auth"]
    doc["listen"] = f"0.0.0.0:{free_port()}"
    with pytest.raises(AssertionError, match="auth"), proxy(tmp_path, doc):
        pass


class ConnectProxy(Listener):
    """An egress proxy that knows CONNECT, and wants a login."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.port = self.listen()

    def serve(self, sock: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        self.heads.append(head.decode())
        host, _, port = head.split()[1].decode().partition(":")
        with socket.create_connection((host, int(port)), 5) as far:
            sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(far, sock), daemon=True)
            back.start()
            _pump(sock, far)
            back.join(2)
        sock.close()

    def stop(self) -> None:
        self._server.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_an_egress_proxy_is_used(tmp_path: Path, upstream: Upstream) -> None:
    egress = ConnectProxy()
    doc = config(upstream)
    doc["upstreams"]["u0"]["proxy"] = f"http://user:pa%20ss@127.0.0.1:{egress.port}"
    with proxy(tmp_path, doc) as link:
        assert ask(link).json()["content"][0]["text"] == "Hello"
        assert "pa ss" not in link.log and "dXNlcjpwYSBzcw==" not in link.log
    egress.stop()
    assert egress.heads[0].startswith(f"CONNECT 127.0.0.1:{upstream.port}")
    assert "basic dxnlcjpwysbzcw==" in egress.heads[0].lower()


def test_tls_clients_and_http_1_0(tmp_path: Path, upstream: Upstream) -> None:
    with proxy(tmp_path, config(upstream)) as link:
        with httpx.Client(verify=False) as client:
            secure = client.post(f"https://127.0.0.1:{link.port}/v1/messages", json={**ASK, "stream": True})
        assert secure.status_code == 200 and "message_stop" in secure.text
        body = json.dumps({**ASK, "stream": True}).encode()
        with socket.create_connection(("127.0.0.1", link.port), 5) as sock:
            sock.sendall(b"POST /v1/messages HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            old = b"".join(iter(lambda: sock.recv(65536), b""))
        assert b"chunked" not in old.split(b"\r\n\r\n")[0] and old.endswith(b'data: {"type":"message_stop"}\n\n')
