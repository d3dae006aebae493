"""What a person does in mitmweb, in a real browser: stop a request and edit it, send one again to another upstream, see
what a saved rule changes; and the dashboard."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/browser gets it")

from playwright.sync_api import Browser, expect

from tests.browser.page import Desk, browser, needed
from tests.harness import Conn, Seen, Upstream, config, serving
from tests.mitmweb import Web, mitmweb

pytestmark = needed

RULE = 'def llm_request(exchange):\n    exchange.request.temperature = {}\n'


def answer(conn: Conn, seen: Seen) -> None:
    said = f"{seen.json['model']} heard: {seen.json['messages'][-1]['content']}"
    message = {"role": "assistant", "content": said}
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": "x", "usage": usage,
               "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})  # fmt: skip


def ask(web: Web, text: str) -> str:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
    reply = httpx.post(f"{web.link.url}/v1/messages", json=body, headers={"x-api-key": "k"}, timeout=60)
    return str(reply.raise_for_status().json()["content"][0]["text"])


upstream = serving(answer)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    (folder / "rule.py").write_text(RULE.format(0.25))
    settings = config(upstream, rules=["rule.py"])
    settings["upstreams"]["other"] = settings["upstreams"]["u0"]
    columns = [word for name in ("method", "comment", "status") for word in ("--set", f"web_columns={name}")]
    with mitmweb(folder, settings, *columns) as web:
        yield web


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def desk(chromium: Browser, web: Web) -> Iterator[Desk]:
    web.clear()
    desk = Desk(chromium, web)
    yield desk
    desk.page.close()


def test_a_stopped_request_is_edited_and_let_go(desk: Desk, web: Web, upstream: Upstream) -> None:
    web.options(intercept="~q & ~u /v1/messages")
    got: list[str] = []
    client = threading.Thread(target=lambda: got.append(ask(web, "as it was")))
    client.start()
    try:
        row = desk.page.locator(".flow-table tbody tr.intercepted")
        row.click()
        desk.tab("Request")
        expect(desk.text).to_contain_text("as it was")
        before = len(upstream.seen)
        desk.page.locator(".contentview .controls button", has_text="Edit").click()
        editor = desk.page.locator(".cm-content")
        edited = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "edited by hand"}]}
        editor.click()
        desk.page.keyboard.press("Control+A")
        desk.page.keyboard.insert_text(json.dumps(edited))
        desk.page.get_by_role("button", name="Done").click()
        assert len(upstream.seen) == before  # it is still here
        desk.page.get_by_role("button", name="Resume").click()
        client.join(20)
    finally:
        web.options(intercept="")
    assert got == ["model-0 heard: edited by hand"]
    desk.tab("Response")
    expect(desk.text).to_contain_text("model-0 heard: edited by hand")


def test_a_request_is_sent_again_to_another_upstream(desk: Desk, web: Web, upstream: Upstream) -> None:
    assert ask(web, "once more") == "model-0 heard: once more"
    desk.row("u0/model-0").click()
    flow = web.flow()["id"]
    desk.page.locator("header nav a", has_text="Options").click()
    desk.page.get_by_label("Display Command Bar").check()
    line = desk.page.locator(".command-input input")
    line.fill(f"llm.replay @{flow} other/model-9")
    line.press("Enter")
    expect(desk.row("other/model-9")).to_be_visible()
    text = desk.open("other/model-9", "Response")
    expect(text).to_contain_text("model-9 heard: once more")
    assert upstream.seen[-1].json["model"] == "model-9"


def test_a_rule_that_is_saved_changes_the_next_answer(desk: Desk, web: Web, upstream: Upstream) -> None:
    ask(web, "first")
    assert upstream.seen[-1].json["temperature"] == 0.25
    assert web.link.config is not None
    rule = Path(web.link.config).parent / "rule.py"
    rule.write_text(RULE.format(0.75))
    web.link.wait_log("rule.py", 10)
    for n in range(40):
        ask(web, f"then {n}")
        if upstream.seen[-1].json["temperature"] == 0.75:
            break
        desk.page.wait_for_timeout(100)
    text = desk.open("u0/model-0", "Request", "LLM Diff")
    for words in ("rules", "rule.py changed the request", "+ 0.75"):
        expect(text).to_contain_text(words)


def test_the_dashboard_counts(chromium: Browser, web: Web) -> None:
    ask(web, "for the numbers")
    page = chromium.new_page(viewport={"width": 390, "height": 800})  # a phone
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{web.link.url}/dashboard")
    expect(page.locator("#recent")).to_contain_text("u0/model-0", timeout=20_000)
    expect(page.locator("#upstreams")).to_contain_text("u0")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert errors == []
    page.close()
