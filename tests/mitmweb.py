"""A real mitmweb before a scripted upstream, and its HTTP API as its page uses it."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from mitmproxy import http
from mitmproxy import io as mitm_io

from tests.harness import Proxy, free_port, proxy

Flow = dict[str, Any]

_TOKEN = "00ff00ff"


def until[T](check: Callable[[], T], what: str, seconds: float = 20) -> T:
    """Ask again until there is an answer that is not empty."""
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, what
        time.sleep(0.03)
    return found


class Web:
    """mitmweb's API."""

    def __init__(self, link: Proxy, port: int) -> None:
        self.link, self.url = link, f"http://127.0.0.1:{port}"
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"authorization": "Bearer pass"}, timeout=10
        )
        self._http.headers["x-xsrftoken"] = _TOKEN  # the page gets its own with the first answer
        for name in ("_xsrf", "_mitmproxy_xsrf"):
            self._http.cookies.set(name, _TOKEN)

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._http.request(method, path, **more).raise_for_status()

    def command(self, name: str, *arguments: str) -> Any:
        """What a command gives back; an error of it is raised."""
        said = self.call("POST", f"/commands/{name}", json={"arguments": list(arguments)}).json()
        assert "error" not in said, said["error"]
        return said["value"]

    def options(self, **values: Any) -> None:
        self.call("PUT", "/options", json=values)

    def flows(self) -> list[Flow]:
        """The exchanges, the oldest first; probes are left out."""
        return [flow for flow in self.call("GET", "/flows").json() if flow["request"]["path"] != "/ready"]

    def flow(self, number: int = -1, when: Callable[[Flow], Any] = bool) -> Flow:
        """One of them, once it is there and `when` is true of it."""

        def look() -> Flow | None:
            flows = self.flows()
            there = -len(flows) <= number < len(flows)
            return flows[number] if there and when(flows[number]) else None

        found = until(look, f"flow {number} never came to be so: {self.link.log[-3000:]}")
        assert found is not None
        return found

    def saved(self) -> list[http.HTTPFlow]:
        """The exchanges as a saved file has them."""
        file = io.BytesIO(self.call("GET", "/flows/dump").content)
        flows = [flow for flow in mitm_io.FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]
        return [flow for flow in flows if flow.request.path != "/ready"]

    def clear(self) -> None:
        self.call("POST", "/clear")

    def body(self, flow: Flow, message: str = "request") -> bytes:
        return self.call("GET", f"/flows/{flow['id']}/{message}/content.data").content

    def view(self, flow: Flow, message: str, name: str = "auto") -> str:
        return str(self.call("GET", f"/flows/{flow['id']}/{message}/content/{name}.json").json()["text"])


def ended(flow: Flow) -> bool:
    """Whether the answer is whole."""
    return bool(flow.get("response") and flow["response"]["timestamp_end"])


@contextlib.contextmanager
def mitmweb(tmp: Path, config: dict[str, Any], *arguments: str, **more: Any) -> Iterator[Web]:
    port = free_port()
    own = ("--no-web-open-browser", "--web-host", "127.0.0.1", "--web-port", str(port), "--set", "web_password=pass")
    with proxy(tmp, config, program="mitmweb", arguments=(*own, *arguments), **more) as link:
        yield Web(link, port)
