"""What a person sees and does in mitmweb, in a real browser: a stream that grows, every view, the list and its filters.

`LLM_LINK_PICTURES=FOLDER` keeps pictures of it; `scripts/browser --pictures` renews those in docs/.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/browser gets it")

from playwright.sync_api import Browser, expect

from tests.browser.page import Desk, browser, needed
from tests.browser.scene import Agent, Model, beside, busy, first_turns, settings
from tests.harness import Upstream
from tests.mitmweb import Web, mitmweb

pytestmark = needed

COLUMNS = [word for name in ("method", "comment", "status", "time") for word in ("--set", f"web_columns={name}")]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Web]:
    """A mitmweb with a morning's exchanges in it; the agent's last answer still runs."""
    upstream, spare = Upstream(model), Upstream(busy)
    with mitmweb(tmp_path_factory.mktemp("web"), settings(upstream, spare), *COLUMNS) as web:
        beside(web.link)
        agent = Agent(web.link)
        first_turns(agent)
        last = threading.Thread(target=agent.turn)
        last.start()
        yield web
        model.go.set()
        last.join(30)
    upstream.stop()
    spare.stop()


@pytest.fixture(scope="module")
def desk(chromium: Browser, web: Web) -> Desk:
    return Desk(chromium, web)


# What is kept of it, by the name of the picture.
PICTURES = {
    "mitmweb": "running",
    "inspect-request": "Request LLM Conversation",
    "inspect-diff": "lost",
    "inspect-stream": "Response LLM Stream",
    "inspect-usage": "Response LLM Usage",
}


def keep(desk: Desk, what: str) -> None:
    folder = os.environ.get("LLM_LINK_PICTURES")
    for name, wanted in PICTURES.items():
        if folder and wanted == what:
            desk.page.mouse.move(5, 500)
            desk.shot(Path(folder) / f"{name}.png")


def test_a_stream_is_seen_growing(desk: Desk, model: Model) -> None:
    text = desk.open("turn 3", "Response")
    expect(text).to_contain_text("The value holds a second")
    expect(text).to_contain_text("running")
    expect(text).not_to_contain_text("All 14 tests pass now.")
    keep(desk, "running")
    model.go.set()
    expect(text).to_contain_text("All 14 tests pass now.")
    expect(text).to_contain_text("assistant (end)")
    expect(desk.row("turn 3")).to_contain_text("1,893 (81% cached) + 88 tokens")


VIEWS = {
    ("Request", "LLM Conversation"): ("turn 3 of conversation", "2 new messages", "call read_file", "said before"),
    ("Response", "LLM Conversation"): ("zhipu/glm-4.6 (openai-chat): 200", "tokens", "assistant (end)"),
    ("Request", "LLM Client side"): ("POST /v1/messages", "x-api-key: ***", '"tool_use_id": "call_read_file"'),
    ("Response", "LLM Client side"): ("event: message_start", "event: message_stop"),
    ("Request", "LLM Upstream side"): ("/v1/chat/completions", "authorization: ***", "call_read_file"),
    ("Response", "LLM Upstream side"): ("chat.completion.chunk", "data: [DONE]"),
    ("Request", "LLM Diff"): ("changed in neutral words", "claude-sonnet-4-5", "headers"),
    ("Response", "LLM Stream"): ("first token", "bytes over time", "◀ slow", "pieces"),
    ("Response", "LLM Usage"): ("cache hits", "81% of the prompt", "tokens a second", "read_file"),
}


@pytest.mark.parametrize(("message", "view"), VIEWS)
def test_each_view(desk: Desk, model: Model, message: str, view: str) -> None:
    model.go.set()
    text = desk.open("turn 3", message, view)
    for words in VIEWS[message, view]:
        expect(text).to_contain_text(words)
    keep(desk, f"{message} {view}")


def test_what_was_lost_and_why(desk: Desk) -> None:
    text = desk.open("lossy: top_k", "Request", "LLM Diff")
    for words in ("top_k: dropped", "- 40", "Chat Completions has no top_k"):
        expect(text).to_contain_text(words)
    keep(desk, "lost")


def test_a_picture_is_its_type_and_size(desk: Desk) -> None:
    desk.open("lossy: top_k", "Request", "LLM Conversation")
    desk.row("lossy: top_k").first.click()
    expect(desk.text).to_contain_text("image: image/png")


def test_the_list_says_what_happened(desk: Desk) -> None:
    expect(desk.row("retried, 2 attempts")).to_contain_text("claude-haiku-4-5 → zhipu/glm-4.5-air")
    expect(desk.row("failed")).to_contain_text("gemini-2.5-pro → spare/qwen3-32b")
    expect(desk.row("turn 2")).to_contain_text("claude-cli")


@pytest.mark.parametrize(
    ("expression", "there", "gone"),
    [
        ("~comment GeminiCLI", "gemini-2.5-pro", "claude"),
        ('~comment "→ zhipu/glm-4.6"', "turn 3", "glm-4.5-air"),
        ("~marker repeat", "retried", "turn 3"),
        ('~comment "turn [23]"', "turn 2", "retried"),
    ],
)
def test_filters(desk: Desk, expression: str, there: str, gone: str) -> None:
    desk.search(expression)
    expect(desk.row(there).first).to_be_visible()
    expect(desk.row(gone)).to_have_count(0)
    desk.search("")
    expect(desk.row(gone).first).to_be_visible()
