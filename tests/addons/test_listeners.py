"""mitmproxy's own hooks, told at once or yielded: whoever listens hears them, in its order, whatever comes or goes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.harness import Conn, Proxy, Seen, Upstream, config, proxy

ASK = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}


def answer(conn: Conn, seen: Seen) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    conn.json({"id": "c", "created": 1, "model": "x", "object": "chat.completion", "choices": [choice]})


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """With two of mitmproxy's own features in use, and a script that listens to nothing yet."""
    folder = tmp_path_factory.mktemp("listeners")
    (folder / "script.py").write_text("", "utf-8")
    upstream = Upstream(answer)
    options = ("modify_headers=/~s/x-modified/yes", "modify_body=/~q/Hi/Changed", "block_list=/~u blocked/418")
    arguments = ("-s", str(folder / "script.py"), *(word for one in options for word in ("--set", one)))
    with proxy(folder, config(upstream), arguments=arguments) as running:
        yield running
    upstream.stop()


def ask(link: Proxy, path: str = "/v1/messages") -> httpx.Response:
    return httpx.post(link.url + path, json=ASK, timeout=10)


def test_mitmproxys_own_features_work(link: Proxy) -> None:
    response = ask(link)
    assert response.json()["content"][0]["text"] == "Hello" and response.headers["x-modified"] == "yes"
    assert ask(link, "/v1/messages?blocked").status_code == 418


HOOKS = [
    ("def request", ""), ("async def request", ""), ("async def response", ""), ("def requestheaders", ""),
    ("def responseheaders", ""), ("def update", ""), ("def request", "?blocked"),
]  # fmt: skip


@pytest.mark.parametrize(("hook", "path"), HOOKS)
def test_a_script_that_comes_to_listen_is_heard(link: Proxy, hook: str, path: str) -> None:
    assert link.config is not None
    script, said = link.config.parent / "script.py", f"{hook} {path} was told of"
    before = script.stat().st_mtime_ns
    script.write_text(f"import logging\n{hook}(told):\n    logging.info({said!r})\n", "utf-8")
    os.utime(script, ns=(before + 10**9, before + 10**9))
    end = time.monotonic() + 10
    while said not in link.log:
        assert time.monotonic() < end, f"{hook} was never called"
        assert ask(link, "/v1/messages" + path).status_code == (418 if path else 200)
