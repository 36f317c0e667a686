"""A running Monitor, and how a person reads and clicks its lists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

import afterglow_monitor
from tests.support.tracking import free_port

STARTUP_SECONDS = 120.0
ROW_PX = 32
APP = Path(afterglow_monitor.__file__).with_name("app.py")


def uvicorn(port: int) -> list[str]:
    host = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    return [sys.executable, "-m", "uvicorn", "afterglow_monitor.app:app", *host]


def uvicorn_with(port: int, module: str, name: str, value: int) -> list[str]:
    """As `uvicorn`, with another value for a constant of a module."""
    served = f"uvicorn.run('afterglow_monitor.app:app', host='127.0.0.1', port={port}, log_level='warning')"
    return [sys.executable, "-c", f"import uvicorn, {module} as m\nm.{name} = {value}\n{served}"]


def streamlit_run(port: int) -> list[str]:
    return [sys.executable, "-m", "streamlit", "run", str(APP), f"--server.port={port}"]


@contextmanager
def running_monitor(store_url: str, folder: Path, *, command: Sequence[str] = (), port: int = 0) -> Iterator[str]:
    """Monitor's web process on this store; gives its address."""
    port = port or free_port()
    log = folder / "monitor.log"
    # Nothing that the tests set for Streamlit: what counts is the configuration that comes with the app.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
    environment["AFTERGLOW_STORE_URL"] = store_url
    with (
        log.open("wb") as output,
        subprocess.Popen(command or uvicorn(port), cwd=folder, env=environment, stdout=output, stderr=output) as server,
    ):
        try:
            address = f"http://127.0.0.1:{port}"
            _await(address, server, log)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
    assert "Traceback" not in log.read_text(), log.read_text()


def _await(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while not answers(address):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Monitor did not start: {log.read_text()}")
        time.sleep(0.1)


def answers(address: str) -> bool:
    """Whether a Monitor serves its pages here."""
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Grid:
    """A list on the page. It is painted on a canvas; the table inside it that screen readers use says what is there."""

    def __init__(self, page: Page, key: str = "list-") -> None:
        self.page = page
        self.frame: Locator = page.locator(f"[class*='st-key-{key}'] [data-testid='stDataFrame']").first
        self.cells = self.frame.locator("canvas table tbody tr")

    def row(self, text: str) -> Locator:
        """The first row with this text in it, once it is there."""
        row = self.cells.filter(has_text=text).first
        expect(row).to_be_attached()
        return row

    def texts(self) -> list[str]:
        """The painted rows, each with its cells apart."""
        expect(self.cells.first).to_be_attached()
        return [" | ".join(row.locator("td").all_inner_texts()) for row in self.cells.all()]

    def open(self, text: str) -> None:
        """Click on the first cell of the row with this text, to the right of where rows are ticked."""
        index = int(self.row(text).get_attribute("aria-rowindex") or 0)  # the header is row 1
        self.open_row(index - 1)

    def open_row(self, row: int) -> None:
        """As `open`, by its place: the first row is 1."""
        self._click(60, row)

    def select(self, text: str) -> None:
        """Tick the row with this text."""
        index = int(self.row(text).get_attribute("aria-rowindex") or 0)
        self._click(16, index - 1)

    def click_header(self, column: int) -> None:
        self._click(column, 0)

    def _click(self, x: float, row: int) -> None:
        # A hand's mouse moves over the list before it clicks. One that jumps there from elsewhere is not seen at once.
        self.frame.hover(position={"x": x + 5, "y": (row + 0.6) * ROW_PX})
        self.frame.click(position={"x": x, "y": (row + 0.5) * ROW_PX})


def heading(page: Page, name: str | re.Pattern[str]) -> Locator:
    """The title of the page that it is on now."""
    return page.get_by_role("heading", level=2, name=name, exact=isinstance(name, str) or None)


def settled(page: Page) -> None:
    """Wait until the page has drawn what it is about."""
    page.locator("h2, [data-testid='stTabs']").first.wait_for()


def title_of(text: str) -> re.Pattern[str]:
    """A heading shows names with invisible joiners in them, so that no address in a name becomes a link."""
    return re.compile("\u2060?".join(re.escape(character) for character in text))
