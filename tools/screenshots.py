"""Pictures of a running Monitor: the real app in a real Chromium, on whatever its store holds.

    python tools/screenshots.py                             those of the docs: docs/images/*.png
    python tools/screenshots.py --widths 1280,1920,390      every page at each width, light and dark: build/screenshots/

Monitor is at http://127.0.0.1:8501, as `make demo` serves it, or where --at says. Names choose among the pictures.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES, TO_LOOK_AT = ROOT / "docs" / "images", ROOT / "build" / "screenshots"
WIDE, PHONE = 1440, 390
DOCS_PX, PHONE_PX, TALLEST_PX = 810, 844, 2_400  # how high; the last of a page that is there to be looked at
COMPARED = 5
SETTLED_MS = 900  # the last fonts and icons

Row = dict[str, Any]
Ask = Callable[..., list[Row]]


@dataclass(frozen=True)
class Shown:
    """A page by its address, and how many charts it has."""

    asked: dict[str, str | list[str]] = field(default_factory=dict)
    charts: int = 0


# File: which page, how wide, light or dark.
OF_DOCS: dict[str, tuple[str, int, str]] = {
    "monitor.png": ("applications", WIDE, "light"),
    "monitor-phone.png": ("applications", PHONE, "light"),
    "runs.png": ("runs", WIDE, "light"),
    "application.png": ("application", WIDE, "light"),
    "application-dark.png": ("application", WIDE, "dark"),
    "timeline.png": ("timeline", WIDE, "light"),
    "run.png": ("run", WIDE, "light"),
    "experiment.png": ("trend", WIDE, "light"),
    "compare.png": ("compare", WIDE, "light"),
    "model.png": ("model", WIDE, "light"),
    "health.png": ("health", WIDE, "light"),
    "cost.png": ("cost", WIDE, "light"),
}


def pages(ask: Ask) -> dict[str, Shown]:
    """Every page and its tabs: of the application with the most runs, of its first run that has child runs, of the
    experiment and the model with the newest run."""
    return {
        "applications": Shown(),
        **{name: Shown({"tab": name}) for name in ("experiments", "runs", "models", "health")},
        "cost": Shown({"tab": "cost"}, charts=1),
        "status": Shown({"tab": "server"}),
        **dict(_of_application(ask)),
        **dict(_of_experiment(ask)),
        **dict(_of_models(ask)),
    }


def _of_application(ask: Ask) -> Iterator[tuple[str, Shown]]:
    found = ask("applications", order_by="runs DESC, start_time DESC", max_results=1)
    for row in found:
        app = {"page": "application", "id": row["app_id"]}
        yield "application", Shown(app)
        yield "timeline", Shown(app | {"tab": "timeline"}, charts=2)
        of_the_name = ask("applications", app=row["name"], max_results=2)
        yield "history", Shown(app | {"tab": "history"}, charts=int(len(of_the_name) > 1))
        for tab in ("jobs", "stages", "sql", "data", "executors", "conf", "errors"):
            yield f"application-{tab}", Shown(app | {"tab": tab})
        yield from _of_runs(ask("runs", app=row["app_id"], order_by="start_time", max_results=1_000))


def _of_runs(rows: list[Row]) -> Iterator[tuple[str, Shown]]:
    parents = {row["parent_run_id"] for row in rows}
    for row in [*(row for row in rows if row["run_id"] in parents), *rows][:1]:
        run = {"page": "run", "id": row["run_id"]}
        yield "run", Shown(run)
        for tab in ("charts", "outputs", "models", "tags", "children", "jobs", "snapshots"):
            yield f"run-{tab}", Shown(run | {"tab": tab}, charts=1 if tab == "charts" and row["metrics"] else 0)


def _of_experiment(ask: Ask) -> Iterator[tuple[str, Shown]]:
    newest = ask("runs", max_results=COMPARED)
    for row in newest[:1]:
        experiment = {"page": "experiment", "server": row["server"], "id": row["experiment_id"]}
        yield "experiment", Shown(experiment)
        yield "trend", Shown(experiment | {"tab": "trend"}, charts=2)
        yield "experiment-applications", Shown(experiment | {"tab": "applications"})
    if len(newest) > 1:
        yield "compare", Shown({"page": "compare", "run": [row["run_id"] for row in newest]}, charts=2)


def _of_models(ask: Ask) -> Iterator[tuple[str, Shown]]:
    for row in ask("runs", filter="registered_model.name IS NOT NULL", max_results=1):
        of = {"page": "model", "server": row["server"], "workspace": row["workspace"] or ""}
        yield "model", Shown(of | {"name": row["registered_versions"][0]["name"]})


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--at", default="http://127.0.0.1:8501", metavar="ADDRESS")
    asked.add_argument("--widths", type=lambda text: [int(each) for each in text.split(",")], metavar="PX,PX,…")
    asked.add_argument("names", nargs="*", help="files of docs/images, or with --widths pages; all where none is named")
    said = asked.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        if said.widths:
            _to_look_at(browser, said.at, said.widths, said.names)
        else:
            _of_docs(browser, said.at, said.names)
        browser.close()


def _of_docs(browser: Browser, at: str, names: list[str]) -> None:
    known = pages(_asker(browser, at))
    for name in names or OF_DOCS:
        what, width, scheme = OF_DOCS[name]
        with _opened(browser, width, scheme, 1.5) as page:
            _show(page, at, known[what])
            _fit(page, PHONE_PX if width == PHONE else DOCS_PX)
            _take(page, IMAGES / name)


def _to_look_at(browser: Browser, at: str, widths: list[int], names: list[str]) -> None:
    known = pages(_asker(browser, at))
    for scheme in ("light", "dark"):
        for width in widths:
            with _opened(browser, width, scheme, 1.0) as page:
                for name in names or known:
                    _show(page, at, known[name])
                    _fit(page, TALLEST_PX)
                    _take(page, TO_LOOK_AT / f"{width}-{scheme}" / f"{name}.png")


def _asker(browser: Browser, at: str) -> Ask:
    """Of the REST interface, of all time: rows of `what`."""
    request = browser.new_context().request

    def ask(what: str, **words: str | int) -> list[Row]:
        answer = request.get(f"{at}/api/v1/{what}?{urlencode({'since': 'all', **words})}")
        rows: list[Row] = answer.json()[what]
        return rows

    return ask


def _opened(browser: Browser, width: int, scheme: str, scale: float) -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": DOCS_PX},
        device_scale_factor=scale,
        color_scheme="dark" if scheme == "dark" else "light",
        locale="en-GB",
    )
    page.set_default_timeout(90_000)
    return page


def _show(page: Page, at: str, shown: Shown) -> None:
    page.goto(f"{at}/?{urlencode(shown.asked, doseq=True)}")
    page.locator("h2, [data-testid='stTabs']").first.wait_for()
    page.locator("[data-testid='stApp'][data-test-script-state='notRunning']").wait_for()
    page.locator("[data-testid='stSkeleton']").first.wait_for(state="detached")
    if shown.charts:
        page.locator("[data-testid='stVegaLiteChart'] svg.marks").nth(shown.charts - 1).wait_for()


def _fit(page: Page, most: int) -> None:
    """As high as what is on the page, but at most so high."""
    size = page.viewport_size or {"width": WIDE, "height": DOCS_PX}
    page.set_viewport_size({"width": size["width"], "height": most})
    page.wait_for_timeout(SETTLED_MS)
    content = page.locator("[data-testid='stMainBlockContainer'] > *").first
    high = int(content.evaluate("each => each.getBoundingClientRect().bottom")) + 24
    page.set_viewport_size({"width": size["width"], "height": min(most, max(high, 320))})


def _take(page: Page, file: Path) -> None:
    size = page.viewport_size or {"width": WIDE, "height": DOCS_PX}
    page.mouse.move(size["width"] - 5, size["height"] - 5)  # what appears under the mouse is not part of it
    page.wait_for_timeout(SETTLED_MS)
    file.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=file)
    print(file)  # noqa: T201 - it is a script


if __name__ == "__main__":
    main()
