"""The dashboard in a real browser: the key that it asks for, what it shows of exchanges that run and that ended, names
that would be markup, and a telephone's screen.

`LLM_LINK_PICTURES=FOLDER` keeps pictures of it; `scripts/browser --pictures` renews those in docs/."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/browser gets it")

from playwright.sync_api import Browser, Page, expect

from tests.browser.page import browser, needed
from tests.harness import Conn, Proxy, Seen, Upstream, config, proxy

pytestmark = needed

KEY = "a-key-for-the-dashboard"
EVIL = "<img src=x onerror=alert(1)>"
HTTP = httpx.Client(verify=False, trust_env=False, timeout=30)


class Model:
    """Answers, refuses the model `sick`, and streams until it is told to end."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Event()

    def __call__(self, conn: Conn, seen: Seen) -> None:
        asked = seen.json
        if asked["model"] == "sick":
            conn.json({"error": {"message": "this model is being mended"}}, 400)
        elif asked.get("stream"):
            conn.stream()
            conn.chunk(_piece({"content": "one"}))
            self.begun.set()
            self.go.wait(60)
            conn.chunk(_piece({"content": "two"}) + _piece({}, "stop") + "data: [DONE]\n\n")
            conn.end()
        else:
            message = {"role": "assistant", "content": "hello"}
            usage = {"prompt_tokens": 2000, "completion_tokens": 300, "prompt_tokens_details": {"cached_tokens": 500}}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "x"}
            conn.json({**answer, "choices": [choice], "usage": usage})


def _piece(delta: dict[str, str], reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return f"data: {json.dumps({'id': 'c', 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"


def ask(link: Proxy, model: str, stream: bool = False) -> None:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    HTTP.post(f"{link.url}/v1/chat/completions", json=body)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Proxy]:
    """A proxy that has done a little, and streams."""
    upstream = Upstream(model)
    models = {"m": "u0/glm-5.3", "sick": "u0/sick", "*": "u0/*"}
    document = config(upstream, models=models, control={"keys": [{"value": KEY}]})
    with proxy(tmp_path_factory.mktemp("dashboard"), document) as running:
        for name in ("m", "m", "m", "gpt-5", "sick"):
            ask(running, name)
        stream = threading.Thread(target=ask, args=(running, "m", True))
        stream.start()
        assert model.begun.wait(20)
        yield running
        model.go.set()
        stream.join(30)
    upstream.stop()


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, chromium: Browser, link: Proxy) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 860}, color_scheme=request.param)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.goto(f"{link.url}/dashboard")
    yield page
    context.close()
    assert not faults


def enter(page: Page, key: str = KEY) -> None:
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Show").click()


def test_it_shows_nothing_without_the_key(page: Page) -> None:
    expect(page.get_by_role("heading", name="A control key is needed")).to_be_visible()
    expect(page.locator("#page")).to_be_hidden()
    enter(page, "wrong")
    expect(page.get_by_role("alert")).to_have_text("the control key is not valid")
    enter(page)
    expect(page.get_by_role("status")).to_have_text("live")
    page.reload()
    expect(page.get_by_role("status")).to_have_text("live")  # this tab remembers it


def test_it_shows_what_runs_and_what_ran(page: Page, model: Model) -> None:
    enter(page)
    expect(page.get_by_role("status")).to_have_text("live")
    running = page.locator("#live tbody tr")
    expect(running).to_have_count(1)
    expect(running.first).to_contain_text("u0/glm-5.3")
    recent = page.locator("#recent tbody tr")
    expect(recent.filter(has_text="this model is being mended")).to_have_count(1)
    expect(recent.filter(has_text="2,000").first).to_contain_text("500")
    expect(page.locator("#tiles")).to_contain_text("25 %")  # of the input tokens came out of the cache
    expect(page.locator("#upstreams li")).to_contain_text("ok")
    expect(page.locator("#chart-requests svg rect.ok")).not_to_have_count(0)
    if folder := os.environ.get("LLM_LINK_PICTURES"):
        dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        page.screenshot(path=Path(folder) / f"dashboard{'-dark' if dark else ''}.png")


def test_a_name_that_would_be_markup_is_text(page: Page, link: Proxy) -> None:
    ask(link, EVIL)
    enter(page)
    expect(page.locator("#recent tbody tr").filter(has_text=EVIL)).not_to_have_count(0)
    assert page.locator("main img").count() == 0


def test_it_fits_on_a_telephone(page: Page) -> None:
    page.set_viewport_size({"width": 375, "height": 812})
    enter(page)
    expect(page.locator("#recent tbody tr").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.evaluate("document.querySelector('#recent').parentElement.scrollWidth") <= 375


def test_it_says_so_when_the_proxy_is_gone(page: Page) -> None:
    enter(page)
    expect(page.get_by_role("status")).to_have_text("live")
    page.route("**/api/stats", lambda route: route.abort())
    expect(page.get_by_role("status")).to_have_text("LLM Link does not answer")
