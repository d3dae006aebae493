"""`keep`: what mitmweb holds is bounded, by count and by bytes, and the newest stay."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy.addons.view import View
from mitmproxy.http import HTTPFlow
from mitmproxy.test.tflow import tflow

from addons.exchange import METADATA
from addons.keeping import Keeping, size
from addons.settings_model import Keep
from tests.harness import Conn, Proxy, Seen, Upstream, config, free_port, proxy


class Desk:
    """A view and its keeper, and what a test does with them."""

    def __init__(self, **bounds: int) -> None:
        self.bounds = Keep(**bounds)
        self.view = View()
        self.keeping = Keeping(self.view, lambda: self.bounds)
        self.names: dict[str, HTTPFlow] = {}

    def begin(self, name: str, length: int = 10) -> HTTPFlow:
        flow = self.names[name] = tflow(resp=True, live=False)
        flow.request.content, flow.response.content = b"", b"x" * length  # type: ignore[union-attr]
        self.view.add([flow])
        return flow

    def end(self, name: str, length: int = 10) -> HTTPFlow:
        flow = self.begin(name, length)
        self.keeping.ended(flow)
        return flow

    @property
    def held(self) -> str:
        return "".join(name for name, flow in self.names.items() if self.view.get_by_id(flow.id) is not None)


def test_the_newest_stay_by_count() -> None:
    desk = Desk(exchanges=3, bytes=0)
    for name in "abcdef":
        desk.end(name)
    assert desk.held == "def" and len(desk.view) == 3


def test_the_newest_stay_by_bytes() -> None:
    desk = Desk(exchanges=0, bytes=100)
    desk.end("a", 60)
    desk.end("b", 40)
    assert desk.held == "ab"
    desk.end("c", 1)
    assert desk.held == "bc"
    desk.end("d", 500)  # larger than all that may be held; still the newest
    assert desk.held == "d"
    desk.end("e")
    assert desk.held == "e"


def test_probes_of_ours_leave_the_list() -> None:
    desk = Desk(exchanges=9, bytes=0)
    for name, path, ours, marked in (
        ("a", "/ready", True, ""), ("b", "/ready", False, ""), ("c", "/v1/models", True, ""),
        ("d", "/health", True, ":x:"), ("e", "/ready", True, ""), ("f", "/ready", True, ""),
    ):  # fmt: skip
        flow = desk.begin(name)
        flow.request.path, flow.marked = path, marked
        flow.metadata.clear()
        if ours:
            flow.response.headers["x-llm-link-request-id"] = "1"  # type: ignore[union-attr]
        desk.keeping.ended(flow)
    assert desk.held == "bcdf"  # the last one goes when something ends after it


def test_nothing_is_bounded_where_the_bounds_are_0() -> None:
    desk = Desk(exchanges=0, bytes=0)
    for name in "abcdef":
        desk.end(name)
    assert desk.held == "abcdef"


@pytest.mark.parametrize(("name", "value", "free"), [
    ("marked", ":star:", ""), ("live", True, False), ("intercepted", True, False),
])  # fmt: skip
def test_what_is_in_use_stays_until_it_is_free(name: str, value: Any, free: Any) -> None:
    desk = Desk(exchanges=2, bytes=0)
    held = desk.end("a")
    setattr(held, name, value)
    for other in "bcde":
        desk.end(other)
    assert desk.held == "ade"
    setattr(held, name, free)
    desk.end("f")
    assert desk.held == "ef"


def test_one_that_has_not_ended_is_not_counted() -> None:
    desk = Desk(exchanges=2, bytes=0)
    running = desk.begin("a")
    for name in "bcd":
        desk.end(name)
    assert desk.held == "acd"
    desk.keeping.ended(running)
    assert desk.held == "ad"


def test_a_replayed_one_is_the_newest_and_counts_once() -> None:
    desk = Desk(exchanges=2, bytes=0)
    again = desk.end("a")
    desk.end("b")
    desk.keeping.ended(again)
    assert desk.held == "ab"
    desk.end("c")
    assert desk.held == "ac"


def test_what_the_user_took_out_is_not_counted() -> None:
    desk = Desk(exchanges=3, bytes=100)
    for name in "abc":
        desk.end(name, 30)
    desk.view.remove([desk.names["b"]])
    desk.end("d", 30)
    assert desk.held == "acd"
    desk.names["d"].marked = "x"
    desk.view.clear_not_marked()
    desk.end("e", 30)
    desk.end("f", 30)
    assert desk.held == "def"
    desk.view.clear()
    for name in "ghi":
        desk.end(name, 30)
    assert desk.held == "ghi"


def test_new_bounds_hold_from_the_next_end_on() -> None:
    desk = Desk(exchanges=5, bytes=0)
    for name in "abcde":
        desk.end(name)
    desk.bounds = Keep(exchanges=2, bytes=0)
    desk.end("f")
    assert desk.held == "ef"


def test_a_body_counts_once() -> None:
    flow = tflow(resp=True)
    asked, said, sent, heard = b"q" * 100, b"a" * 50, b"Q" * 30, b"A" * 20
    flow.request.data.content, flow.response.data.content = asked, said  # type: ignore[union-attr]
    assert size(flow) == 150
    attempt = {"request": {"body": sent}, "response": {"body": heard}}
    unsent = {"request": None, "response": None}
    flow.metadata[METADATA] = {"sent": {"body": said}, "attempts": [attempt, unsent]}
    assert size(flow) == 200


# ------------------------------------------------------------------------------------------------ in mitmweb


def _answer(conn: Conn, seen: Seen) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}
    conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": "x", "choices": [choice]})


def _ask(link: Proxy, text: str) -> int:
    body = {"model": "m" if text != "unknown" else text, "messages": [{"role": "user", "content": text}]}
    return httpx.post(f"{link.url}/v1/chat/completions?n={text}", json=body, timeout=20).status_code


def test_mitmweb_holds_the_newest(tmp_path: Path) -> None:
    upstream, port = Upstream(_answer), free_port()
    document = config(upstream, keep={"exchanges": 4, "bytes": "1MiB"})
    web_options = ("--no-web-open-browser", "--web-port", str(port), "--set", "web_password=pass")
    with proxy(tmp_path, document, program="mitmweb", arguments=web_options) as link:
        headers = {"authorization": "Bearer pass"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10) as web:
            assert _ask(link, "first") == 200
            (first,) = [flow["id"] for flow in web.get("/flows").json() if "n=first" in flow["request"]["path"]]
            web.cookies.set("_mitmproxy_xsrf", "ab")  # it asks for the same word in a cookie and in a header
            xsrf = {"x-xsrftoken": "ab"}
            web.put(f"/flows/{first}", json={"marked": ":star:"}, headers=xsrf).raise_for_status()
            for n in range(8):
                assert _ask(link, str(n)) == 200
            assert _ask(link, "unknown") == 404  # a refusal is an exchange too
            assert _shown(web) == ["first", "5", "6", "7", "unknown"]
            with httpx.Client(timeout=20) as client:
                client.post(f"{link.url}/v1/chat/completions?n=big", content=b'{"x": "' + b"y" * (2 << 20) + b'"}')
            assert _shown(web) == ["first", "big"]
        assert "has no effect" not in link.log and "Traceback" not in link.log
    upstream.stop()


def _shown(web: httpx.Client) -> list[str]:
    """What the view shows, once the last exchange is wholly over there."""
    time.sleep(0.2)
    return [str(flow["request"]["path"]).partition("?n=")[2] for flow in web.get("/flows").json()]
