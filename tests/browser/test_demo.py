"""Monitor over what `make demo` leaves: the main job of each page, on real runs of real Spark jobs."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.demo import Demo
from tests.support.monitor import Grid, heading, running_monitor

expect.set_options(timeout=30_000)  # for a machine that does other things as well

pytestmark = pytest.mark.timeout(600)  # with the demo itself


@pytest.fixture
def monitor(demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Over a copy: Monitor notes in the store which list was looked at last."""
    home = tmp_path / "home of the demo"
    shutil.copytree(demo.home, home)
    monkeypatch.setenv("AFTERGLOW_HOME", str(home))
    with running_monitor(f"sqlite:///{home / 'store.db'}", tmp_path) as address:
        yield address


def test_leads_from_an_application_to_its_runs_to_their_experiment_to_a_comparison_and_to_what_it_cost(
    monitor: str, page: Page
) -> None:
    cells, charts = page.locator("canvas table td"), page.locator("[data-testid='stVegaLiteChart'] svg.marks")

    page.goto(monitor)
    expect(page.locator(".st-key-counted")).to_contain_text("2 applications")
    expect(Grid(page).row("diabetes-progression")).to_have_text(re.compile(r"✓ Succeeded.*4\s+·\s+1 failed"))
    Grid(page).open("wine-quality")

    expect(heading(page, "wine-quality")).to_be_visible()
    expect(page.locator(".st-key-facts-header")).to_contain_text("Core time")
    items = [row.split(" | ")[0].strip(" \u2003└◆") for row in Grid(page, "list-items").texts()]
    assert items[0] == "wine quality"
    assert {"logistic regression", "tuned by cross validation", "class balance"} < set(items)
    page.get_by_role("tab", name="Timeline").click()
    expect(charts).to_have_count(2)
    page.get_by_role("tab", name="Jobs").click()
    expect(cells.filter(has_text="logistic regression").first).to_be_attached()
    page.get_by_role("tab", name="Item snapshots").click()
    Grid(page, "list-items").open("tuned by cross validation")

    expect(heading(page, "tuned by cross validation")).to_be_visible()
    expect(page.locator(".st-key-facts-header")).to_contain_text("wine_pyspark.py")
    expect(page.locator(".st-key-facts-spark")).to_contain_text("Core time")
    for shown in ("test_accuracy", "collectSubModels"):
        expect(cells.filter(has_text=shown).first).to_be_attached()
    page.get_by_role("tab", name="Child runs").click()
    expect(Grid(page, "list-children").cells).to_have_count(2)
    page.locator(".st-key-trail").get_by_role("link", name="wine quality").click()

    expect(heading(page, "wine quality")).to_be_visible()
    expect(page.get_by_test_id("stMetric").filter(has_text="Best")).to_contain_text("test_accuracy")
    page.get_by_role("tab", name="Trend").click()
    expect(charts).to_have_count(2)
    page.get_by_role("tab", name="Runs").click()
    expect(page.locator(".st-key-counted")).to_contain_text("5 runs")
    for name in ("logistic regression", "tuned by cross validation"):
        Grid(page).select(name)
    page.get_by_role("button", name="Compare").click()

    expect(heading(page, "2 runs compared")).to_be_visible()
    expect(charts).to_have_count(2)
    expect(page.locator(".st-key-comparison canvas table tr", has_text="Duration")).to_be_attached()
    page.locator(".st-key-trail").get_by_role("link", name="Runs").click()

    page.get_by_role("button", name="Failed").click()
    expect(page.locator(".st-key-counted")).to_contain_text("1 run")
    Grid(page).row("a column that is not there")
    page.get_by_role("tab", name="Models").click()
    Grid(page, "list-models").row("diabetes progression")
    page.get_by_role("tab", name="Health").click()
    expect(page.get_by_role("heading", name="None of these")).to_be_visible()
    page.get_by_role("tab", name="Cost").click()
    for experiment in ("wine quality", "diabetes progression", "outside of runs"):
        expect(cells.filter(has_text=experiment).first).to_be_attached()
