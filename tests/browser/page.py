"""mitmweb's page in a real browser: what a person does there, in words."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.mitmweb import Web

BROWSER = os.environ.get("LLM_LINK_BROWSER") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
SIZE = {"width": 1360, "height": 760}

expect.set_options(timeout=20_000)  # milliseconds; a busy machine takes its time

needed = pytest.mark.skipif(not Path(BROWSER).exists(), reason=f"no browser at {BROWSER}: scripts/browser gets one")


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=BROWSER, args=FLAGS)
        try:
            yield running
        finally:
            running.close()


class Desk:
    """A person before mitmweb."""

    def __init__(self, browser: Browser, web: Web) -> None:
        self.page: Page = browser.new_page(viewport=SIZE)
        self.page.set_default_timeout(20_000)
        self.page.goto(f"{web.url}/?token=pass")

    def row(self, words: str) -> Locator:
        """The line of the list with these words in it."""
        return self.page.locator(".flow-table tbody tr", has_text=words)

    def open(self, words: str, message: str = "Response", view: str = "") -> Locator:
        """Click an exchange, one of its messages, and a view of it; the text that is shown."""
        self.row(words).last.click()
        self.tab(message)
        return self.view(view) if view else self.text

    def tab(self, name: str) -> None:
        self.page.locator(".flow-detail nav a", has_text=name).click()

    def view(self, name: str) -> Locator:
        self.page.locator(".contentview .controls a.btn", has_text="View:").click()
        self.page.locator(".dropdown-menu.show a").get_by_text(name.lower(), exact=True).click()
        self.page.locator(".contentview h5", has_text=name).wait_for()
        return self.text

    @property
    def text(self) -> Locator:
        return self.page.locator(".contentview pre")

    def search(self, expression: str) -> None:
        """mitmweb's filter of the list."""
        self.page.locator("header nav a", has_text="Flow List").click()
        field = self.page.get_by_placeholder("Search")
        field.fill(expression)
        field.press("Enter")

    def shot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.evaluate("document.activeElement.blur()")
        self.page.screenshot(path=path)
