"""Pictures of a running Monitor for the README and the docs: docs/images/*.png.

    python tools/screenshots.py [ADDRESS [FILE …]]    default: http://127.0.0.1:8501, as `make demo` serves it

Every picture is the real app in a real Chromium, on whatever its store holds.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
ROW_PX = 32
WIDE, PHONE = {"width": 1440, "height": 810}, {"width": 390, "height": 844}


def home(page: Page) -> None:
    _await_rows(page)


def runs(page: Page) -> None:
    _await_rows(page)
    page.get_by_role("tab", name="Runs").click()
    page.wait_for_url("**tab=runs**")
    _await_rows(page)


def application(page: Page) -> None:
    """The application with the most runs of those that are shown."""
    _await_rows(page)
    rows = page.locator("canvas table tbody tr").all()
    counts = [int((row.locator("td").nth(5).text_content() or "0").split()[0].replace(",", "")) for row in rows]
    _open(page, counts.index(max(counts)) + 1)
    page.get_by_role("tab", name="Item snapshots").wait_for()
    _await_rows(page)


def run(page: Page) -> None:
    """Its first run with child runs, or else its first run."""
    application(page)
    names = [row.locator("td").first.text_content() or "" for row in page.locator("canvas table tbody tr").all()]
    depths = [len(name) - len(name.lstrip("\u2003")) for name in names]
    parents = [at for at in range(1, len(depths) - 1) if depths[at + 1] > depths[at]]
    _open(page, (parents or [1])[0] + 1)
    page.get_by_role("tab", name="Overview").wait_for()
    _await_rows(page)


def timeline(page: Page) -> None:
    application(page)
    page.get_by_role("tab", name="Timeline").click()
    _await_charts(page, 2)


def experiment(page: Page) -> None:
    """The experiment with the newest run, over time."""
    _await_rows(page)
    page.get_by_role("tab", name="Experiments").click()
    page.wait_for_url("**tab=experiments**")
    page.get_by_role("button", name="New experiment").wait_for()
    _await_rows(page)
    _open(page, 1)
    page.get_by_role("tab", name="Trend").click()
    _await_charts(page, 2)


def compare(page: Page) -> None:
    """The newest runs that are on the screen."""
    runs(page)
    for row in range(1, 6):
        page.locator("[data-testid='stDataFrame']").first.click(position={"x": 16, "y": row * ROW_PX + ROW_PX // 2})
        page.get_by_text(f"{row} run{'s' if row > 1 else ''} selected").wait_for()
    page.get_by_role("button", name="Compare").click()
    _await_charts(page, 2)
    _await_rows(page)


def cost(page: Page) -> None:
    _await_rows(page)
    page.get_by_role("tab", name="Cost").click()
    _await_charts(page, 1)
    _await_rows(page)


def model(page: Page) -> None:
    """The model with the newest run."""
    _await_rows(page)
    page.get_by_role("tab", name="Models").click()
    page.wait_for_url("**tab=models**")
    page.get_by_text("of runs that Afterglow knows").wait_for()
    _await_rows(page)
    _open(page, 1)
    page.get_by_text("Registered", exact=True).wait_for()


def health(page: Page) -> None:
    _await_rows(page)
    page.get_by_role("tab", name="Health").click()
    page.get_by_text("What people changed here").wait_for()


# File: what to show, how large, light or dark.
PICTURES: dict[str, tuple[Callable[[Page], None], dict[str, int], str]] = {
    "monitor.png": (home, WIDE, "light"),
    "monitor-dark.png": (home, WIDE, "dark"),
    "monitor-phone.png": (home, PHONE, "light"),
    "runs.png": (runs, WIDE, "light"),
    "application.png": (application, WIDE, "light"),
    "application-dark.png": (application, WIDE, "dark"),
    "run.png": (run, WIDE, "light"),
    "run-dark.png": (run, WIDE, "dark"),
    "timeline.png": (timeline, WIDE, "light"),
    "experiment.png": (experiment, WIDE, "light"),
    "compare.png": (compare, WIDE, "light"),
    "model.png": (model, WIDE, "light"),
    "cost.png": (cost, WIDE, "light"),
    "health.png": (health, WIDE, "light"),
}


def main(address: str = "http://127.0.0.1:8501", *names: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name in names or PICTURES:
            _take(browser, address, name)
        browser.close()


def _take(browser: Browser, address: str, name: str) -> None:
    show, size, scheme = PICTURES[name]
    context = browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        device_scale_factor=1.5,
        color_scheme="dark" if scheme == "dark" else "light",
        locale="en-GB",
    )
    page = context.new_page()
    page.set_default_timeout(90_000)
    page.goto(address)
    show(page)
    page.mouse.move(size["width"] - 5, size["height"] - 5)  # what appears under the mouse is not part of it
    page.locator("[data-testid='stSkeleton']").first.wait_for(state="detached")
    page.wait_for_timeout(700)  # the last fonts and icons
    page.screenshot(path=IMAGES / name)
    context.close()
    print(IMAGES / name)  # noqa: T201 - it is a script


def _await_rows(page: Page) -> None:
    page.locator("canvas table tbody tr").first.wait_for(state="attached")


def _await_charts(page: Page, number: int) -> None:
    page.locator("[data-testid='stVegaLiteChart'] svg.marks").nth(number - 1).wait_for()


def _open(page: Page, row: int) -> None:
    """Click on a row of the list; 1 is the first."""
    page.locator("[data-testid='stDataFrame']").first.click(position={"x": 40, "y": row * ROW_PX + ROW_PX // 2})


if __name__ == "__main__":
    main(*sys.argv[1:])
