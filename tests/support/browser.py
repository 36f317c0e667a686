"""A real Chromium, driven by Playwright, that fails a test on any error in the page or its console."""

import os
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.support.parts import require

# Without the three background flags Chromium looks up its maker's hosts at every start.
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Console errors that are not ours to mend; each with its reason. Empty is how it should be.
ALLOWED_ERRORS: list[re.Pattern[str]] = []
LOCAL_HOSTS = {"127.0.0.1", "localhost", None}  # None: data: and blob: addresses

_reports = pytest.StashKey[dict[str, pytest.TestReport]]()


class Complaints:
    """What went wrong in the pages of one test."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.lines.append(f"page error: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        allowed = any(pattern.search(message.text) for pattern in ALLOWED_ERRORS)
        if message.type == "error" and not allowed:
            self.lines.append(f"console error: {message.text} ({message.location.get('url')})")

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).hostname not in LOCAL_HOSTS:
            self.lines.append(f"request that leaves the machine: {request.url}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = require("chromium")
    require("libatomic")
    # Chromium's own sandbox does not start as root; these pages are ours.
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with (
        sync_playwright() as playwright,
        closing(playwright.chromium.launch(executable_path=chromium, args=flags)) as browser,
    ):
        yield browser


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    """A page in a profile of its own. An error in it, or a request that leaves the machine, fails the test."""
    complaints = Complaints()
    with closing(browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")) as context:
        context.on("page", complaints.watch)
        page = context.new_page()
        page.set_default_timeout(15_000)
        yield page
        if _failed(request) or complaints.lines:
            picture = tmp_path / "failure.png"
            page.screenshot(path=picture, full_page=True)
            request.node.add_report_section("teardown", "browser", f"{page.url}\nscreenshot: {picture}")
    assert complaints.lines == [], "\n".join(complaints.lines)


def _failed(request: pytest.FixtureRequest) -> bool:
    return any(report.failed for report in request.node.stash.get(_reports, {}).values())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash.setdefault(_reports, {})[report.when] = report
    return report
