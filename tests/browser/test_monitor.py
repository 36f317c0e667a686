"""Monitor as a person uses it, in a real Chromium, on a store that the real ingest filled."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from afterglow.notebook.reading import Reading
from afterglow.redaction import REDACTED
from afterglow_store import Store, ingest_file, open_store, snapshots
from afterglow_store.judge import judge
from afterglow_store.runs import take_in_run
from tests.support import world
from tests.support.journals import TRACKING_URI, Journal, run_id_of
from tests.support.monitor import Grid, heading, running_monitor, settled, streamlit_run, title_of
from tests.support.slow_line import slow_line
from tests.support.tracking import free_port
from tests.test_redaction import START, hidden, plant

expect.set_options(timeout=15_000)  # for a machine that does other things as well; what must be quick says so itself

CV = f"/?page=application&id={world.CV_APP}"
EXPERIMENT = f"/?page=experiment&server={quote(TRACKING_URI, safe='')}&id=3"


@pytest.fixture(scope="module")
def a_month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Monitor over a month of a team's work. Tests only read it."""
    folder = tmp_path_factory.mktemp("month")
    with closing(open_store(f"sqlite:///{folder / 'store.db'}")) as store:
        world.fill(store, folder / "journal", now=int(time.time() * 1000))
    with running_monitor(store.url, folder) as address:
        yield address


@pytest.fixture(scope="module")
def nothing_yet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store, Path]]:
    """The address of a Monitor over an empty store, the store, and a folder for journals."""
    folder = tmp_path_factory.mktemp("empty")
    with (
        closing(open_store(f"sqlite:///{folder / 'store.db'}")) as store,
        running_monitor(store.url, folder) as address,
    ):
        yield address, store, folder / "journal"


def test_a_notebook_is_told_what_monitor_knows_of_its_runs(a_month: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERGLOW_MONITOR_URL", a_month)
    reading = Reading(lambda run_id: None)
    picture = reading.picture(world.CV_PARENT, TRACKING_URI)
    unknown = reading.picture("0" * 32, TRACKING_URI)
    assert reading._monitor.wait(reading._monitor.wake(), 20)
    told = picture.to_json()
    assert (told["spark"]["jobs"], told["spark"]["core_seconds"] > 0) == (6, True)
    assert unknown.to_json()["spark"] is None


def asks(page: Page, **params: list[str] | None) -> None:
    """The address says this; None: it does not say it. The browser may be a moment behind what is drawn."""

    def does(url: str) -> bool:
        said = parse_qs(urlsplit(url).query)
        return all(said.get(name) == values for name, values in params.items())

    page.wait_for_url(does)


def counted(page: Page, text: str | re.Pattern[str]) -> None:
    """The line over a list begins like this. For a moment after another tab was chosen there are both lines."""
    begins = text if isinstance(text, re.Pattern) else re.compile("^" + re.escape(text))
    expect(page.locator(".st-key-counted").filter(has_text=begins).first).to_be_visible()


def search(page: Page, text: str) -> None:
    field = page.get_by_role("searchbox").first
    field.fill(text)
    field.press("Enter")


class TestTheWayThrough:
    def test_goes_from_monitor_to_application_to_run_and_back(self, a_month: str, page: Page) -> None:
        page.goto(a_month)
        Grid(page).open("wine-quality-cv")
        expect(heading(page, "wine-quality-cv")).to_be_visible()
        asks(page, id=[world.CV_APP])
        expect(page.get_by_role("tab", name="Item snapshots")).to_have_attribute("aria-selected", "true")

        Grid(page, "list-items").open("cross-validator")
        expect(heading(page, "cross-validator")).to_be_visible()
        asks(page, id=[world.CV_PARENT])

        page.locator(".st-key-trail").get_by_role("link", name="wine-quality-cv").click()
        expect(heading(page, "wine-quality-cv")).to_be_visible()
        expect(page).to_have_url(re.compile("page=application"))
        for where in ("page=run", "page=application"):
            page.go_back()
            expect(page).to_have_url(re.compile(where))
        page.go_back()
        expect(page.get_by_role("tab", name="Applications")).to_be_visible()
        counted(page, "13 applications")

    def test_shows_an_applications_items_as_a_tree_and_leads_from_its_jobs_to_their_runs(
        self, a_month: str, page: Page
    ) -> None:
        page.goto(a_month + CV)
        rows = [row.split(" | ")[0] for row in Grid(page, "list-items").texts()]
        indents = {row.strip(" \u2003└◆"): len(row) - len(row.lstrip("\u2003")) for row in rows}
        assert rows[0] == "◆  wine-quality"
        assert indents["cross-validator"] < indents["regParam=0.03"]
        assert len(rows) == 9
        for tab, text in (("SQL", "count at CrossValidator"), ("Executors", "10.0.0.12"), ("Jobs", "treeAggregate")):
            page.get_by_role("tab", name=tab).click()
            expect(page.locator("canvas table td", has_text=text).first).to_be_attached()
        Grid(page, "list-jobs").open("WeightedLeastSquares")
        expect(heading(page, "linear-baseline")).to_be_visible()

    def test_leads_from_a_run_to_its_experiment_and_its_other_runs(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?page=run&id={run_id_of('search-0')}")
        page.locator(".st-key-trail").get_by_role("link", name="churn-forest").click()
        expect(heading(page, "churn-forest")).to_be_visible()
        counted(page, "1–100 of 300 runs")
        Grid(page).open("trial-297")
        expect(heading(page, "trial-297")).to_be_visible()


class TestAList:
    def test_shows_the_last_thirty_days_and_another_window_when_asked(self, a_month: str, page: Page) -> None:
        page.goto(a_month)
        counted(page, "13 applications")
        page.get_by_role("radio", name="24 h").click()
        counted(page, "3 applications")
        asks(page, window=["24h"])
        page.get_by_role("radio", name="All", exact=True).click()
        counted(page, "14 applications")
        page.go_back()
        counted(page, "3 applications")
        expect(page.get_by_role("radio", name="24 h")).to_be_checked()
        page.go_back()
        counted(page, "13 applications")

    def test_takes_a_window_from_one_day_to_another(self, a_month: str, page: Page) -> None:
        now = time.time()
        since, until = (time.strftime("%Y-%m-%dT00:00Z", time.gmtime(now - days * 86_400)) for days in (12, 4))
        page.goto(f"{a_month}/?window=custom&from={since}&to={until}")
        counted(page, re.compile(r"^[234] applications"))
        expect(page.get_by_text("From", exact=True)).to_be_visible()

    def test_has_what_was_active_in_a_window_though_it_began_before(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?window=custom&from={time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}")
        expect(page.get_by_role("heading", name="No applications match")).to_be_visible()
        page.get_by_role("combobox", name="Started or active").click()
        page.get_by_role("option", name="Active in").click()
        counted(page, "1 application")
        Grid(page).row("recommender-nightly")
        asks(page, active=["yes"])
        page.get_by_role("tab", name="Runs").click()
        counted(page, "1 run")
        Grid(page).row("als-rank-64")
        page.get_by_role("button", name="Download").click()
        link = page.get_by_role("link", name="JSON").get_attribute("href")
        assert link is not None
        assert [row["name"] for row in page.request.get(link).json()] == ["als-rank-64"]
        page.go_back()
        # Of a list that just took the place of another.
        expect(page.locator(".st-key-counted").last).to_contain_text("1 application")
        page.go_back()
        expect(page.get_by_role("heading", name="No applications match")).to_be_visible()

    def test_says_the_application_of_each_run_which_leads_there(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?tab=runs&q=cross-validator")
        counted(page, "1 run")
        [row] = Grid(page).texts()
        assert "wine-quality | wine-quality-cv | ada" in row
        Grid(page).open("cross-validator")
        page.get_by_role("link", name="wine-quality-cv").last.click()
        expect(heading(page, "wine-quality-cv")).to_be_visible()
        asks(page, id=[world.CV_APP])

    def test_finds_by_name_in_the_whole_result(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?tab=runs")
        counted(page, "1–100 of 322 runs")
        search(page, "TRIAL-007")  # far beyond the rows that were loaded
        counted(page, "1 run")
        Grid(page).row("trial-007")
        asks(page, tab=["runs"], q=["TRIAL-007"])

    def test_is_filtered_by_what_mlflow_knows_and_says_where_a_filter_is_wrong(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?tab=runs")
        line = page.get_by_role("textbox", name="Filter")
        line.fill("metrics.auc >= 0 AND metrics.auc < 2 AND spark.jobs = 1")
        line.press("Enter")
        counted(page, "1–100 of 293 runs")
        asks(page, filter=["metrics.auc >= 0 AND metrics.auc < 2 AND spark.jobs = 1"])
        line.fill("metrics.auc >> 0.9")
        line.press("Enter")
        expect(page.get_by_text("This filter cannot be read")).to_be_visible()
        expect(page.get_by_text(">> is no comparator (at character 13)")).to_be_visible()
        page.get_by_role("button", name="Clear the filter").click()
        counted(page, "1–100 of 322 runs")
        asks(page, filter=None)

    def test_shows_only_the_statuses_that_were_chosen(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?tab=runs")
        page.get_by_role("button", name="Failed").click()
        counted(page, "8 runs")
        expect(Grid(page).cells.filter(has_not_text="✕ Failed")).to_have_count(0)
        page.get_by_role("button", name="Running").click()
        counted(page, "9 runs")
        asks(page, status=["FAILED", "RUNNING"])

    def test_has_pages_and_each_is_an_address(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?tab=runs")
        counted(page, "1–100 of 322 runs")
        page.get_by_role("button", name="Next").click()
        counted(page, "101–200 of 322 runs")
        page.reload()
        counted(page, "101–200 of 322 runs")
        page.go_back()
        counted(page, "1–100 of 322 runs")
        page.go_forward()
        counted(page, "101–200 of 322 runs")
        page.get_by_role("button", name="Failed").click()  # another list: it begins at its beginning
        counted(page, "8 runs")
        asks(page, p=None)

    def test_has_a_last_page_which_an_address_past_the_end_shows(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?tab=runs&p=9")
        counted(page, "301–322 of 322 runs")
        assert len(Grid(page).texts()) == 22
        page.goto(f"{a_month}{EXPERIMENT}&p=9")
        counted(page, "201–300 of 300 runs")
        page.get_by_role("button", name="Previous").click()
        counted(page, "101–200 of 300 runs")
        asks(page, p=["2"])

    def test_sorts_the_whole_result_by_a_click_on_a_header(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?tab=runs")
        Grid(page).row("als-rank-64")
        Grid(page).click_header(100)
        expect(Grid(page).cells.first).to_contain_text("<img src=x")
        asks(page, sort=["name"])
        Grid(page).click_header(100)
        expect(Grid(page).cells.first).to_contain_text("trial-299")
        page.go_back()
        expect(Grid(page).cells.first).to_contain_text("<img src=x")
        page.go_forward()
        expect(Grid(page).cells.first).to_contain_text("trial-299")
        asks(page, sort=["-name"])

    def test_columns_are_chosen_sorted_by_and_part_of_the_address(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?tab=runs&q=trial")
        counted(page, "1–100 of 300 runs")
        page.get_by_role("button", name="Columns").click()
        page.get_by_role("combobox", name="Columns").fill("metrics.auc")
        page.get_by_role("option", name="metrics.auc").click()
        page.keyboard.press("Escape")
        asks(page, q=["trial"])
        expect(page).to_have_url(re.compile("col=metrics.auc"))
        page.goto(f"{a_month}/?tab=runs&q=trial&col=metrics.auc&col=Name&col=params.maxDepth&sort=-metrics.auc")
        best = [row.split(" | ") for row in Grid(page).texts()]
        values = [float(row[0]) for row in best if row[0] != "–"]
        assert len(values) > 10
        assert values == sorted(values, reverse=True)
        assert best[0][1].startswith("trial-")
        assert best[0][2].isdecimal()
        Grid(page).click_header(60)  # the metric's: the least first
        asks(page, sort=["metrics.auc"], col=["metrics.auc", "Name", "params.maxDepth"])
        expect(Grid(page).cells.first).not_to_contain_text(best[0][1])
        least = Grid(page).texts()[0].split(" | ")[1]
        Grid(page).open_row(1)
        expect(heading(page, least)).to_be_visible()
        page.go_back()
        asks(page, sort=["metrics.auc"], col=["metrics.auc", "Name", "params.maxDepth"])

    def test_keeps_what_was_chosen_whatever_its_columns(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?tab=runs&q=trial")
        Grid(page).select("trial-298")
        expect(page.get_by_text("1 run selected")).to_be_visible()
        page.get_by_role("button", name="Columns").click()
        page.get_by_role("combobox", name="Columns").fill("Core time")
        page.get_by_role("option", name="Core time").click()
        page.keyboard.press("Escape")
        expect(page).to_have_url(re.compile("col=Core"))
        page.get_by_text("1 run selected").click()
        page.get_by_role("button", name="Clear", exact=True).click()
        counted(page, "1–100 of 300 runs")
        page.go_back()
        asks(page, col=None)
        page.wait_for_timeout(500)
        counted(page, "1–100 of 300 runs")

    def test_loses_and_doubles_no_click_on_a_slow_line(self, a_month: str, page: Page) -> None:
        # Each second the list is read again: several times before the browser hears what a click changed.
        with slow_line(a_month, seconds=0.5) as far_away:
            page.goto(f"{far_away}/?tab=runs")
            Grid(page).row("als-rank-64")
            Grid(page).click_header(100)
            expect(Grid(page).cells.first).to_contain_text("<img src=x")
            page.get_by_role("button", name="Failed").click()
            counted(page, "8 runs")
            page.get_by_role("button", name="Running").click()
            counted(page, "9 runs")
            page.wait_for_timeout(2_000)
            counted(page, "9 runs")
            asks(page, tab=["runs"], status=["FAILED", "RUNNING"], sort=["name"], p=None)
            page.go_back()
            counted(page, "8 runs")
            Grid(page).open("✕ Failed")
            expect(page).to_have_url(re.compile("page=run"))
            page.wait_for_timeout(2_000)
            expect(page).to_have_url(re.compile("page=run"))
            page.go_back()
            counted(page, "8 runs")

    def test_says_what_to_do_when_nothing_matches(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?q=no-such-thing&window=7d")
        expect(page.get_by_role("heading", name="No applications match")).to_be_visible()
        page.get_by_role("button", name="Clear search and statuses").click()
        counted(page, "10 applications")

    def test_reads_again_without_disturbing_what_is_being_typed(self, a_month: str, page: Page) -> None:
        page.goto(a_month)
        line = page.locator(".st-key-counted")
        expect(line).to_contain_text("as of")
        before = line.inner_text()
        page.get_by_role("searchbox").fill("half a na")
        expect(line).not_to_have_text(before)
        page.wait_for_timeout(1_500)
        assert page.get_by_role("searchbox").input_value() == "half a na"
        expect(page.get_by_role("searchbox")).to_be_focused()


class TestARun:
    def test_shows_all_that_mlflow_knows_of_it(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?page=run&id={world.CV_PARENT}")
        facts = page.locator(".st-key-facts-header")
        for text in ("Source", "train.py", "Registered version", "wine-quality v3", "Start date"):
            expect(facts).to_contain_text(text)
        expect(page.locator(".st-key-title")).to_contain_text("Finished")
        expect(page.locator("canvas table td", has_text="best_rmse")).to_be_attached()
        expect(page.locator("canvas table td", has_text="∞")).to_be_attached()
        expect(page.locator("canvas table td", has_text="numFolds")).to_be_attached()
        for tab, text in (("Output files", "MLmodel"), ("Tags", "cellar"), ("Child runs", "regParam=0.27")):
            page.get_by_role("tab", name=tab).click()
            expect(page.locator("canvas table td", has_text=text).first).to_be_attached()
        page.get_by_role("tab", name="Snapshots").click()
        Grid(page, "list-snapshots").open("run end")
        expect(page.get_by_text(re.compile("at run end$"))).to_be_visible()
        asks(page, tab=["snapshots"], id=[world.CV_PARENT])
        expect(page.locator("[data-testid='stJson']")).to_contain_text("best_rmse")
        page.get_by_role("combobox").click()
        page.get_by_role("option", name="The run as it is now").click()
        asks(page, tab=["snapshots"], against=["now"])
        expect(page.get_by_text("Nothing has changed between the two.")).to_be_visible()
        link = page.get_by_role("link", name="Open in MLflow")
        assert link.get_attribute("href") == f"{TRACKING_URI}/#/experiments/1/runs/{world.CV_PARENT}"

    def test_has_times_of_the_viewers_zone_exact_when_pointed_at_and_its_id_to_copy(
        self, a_month: str, browser: Browser
    ) -> None:
        with closing(browser.new_context(timezone_id="Asia/Kolkata", locale="en-GB")) as context:
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            page = context.new_page()
            page.goto(f"{a_month}/?page=run&id={world.CV_PARENT}")
            started = page.get_by_test_id("stMetric").filter(has_text="Start date")
            started.hover()
            exactly = page.get_by_test_id("stTooltipContent")
            expect(exactly).to_have_text(re.compile(r"\d{4}-\d\d-\d\d [\d:]{8}\.\d{3} \+05:30"))
            moment = datetime.fromisoformat(exactly.inner_text().replace(" +", "+"))
            expect(started).to_contain_text(f"{moment:%d %b %H:%M:%S}")
            assert 20 < (datetime.now(UTC) - moment).total_seconds() / 60 < 120
            code = page.get_by_test_id("stCode").filter(has_text=world.CV_PARENT)
            code.hover()
            code.get_by_role("button", name="Copy to clipboard").click()
            assert page.evaluate("navigator.clipboard.readText()") == world.CV_PARENT
            page.goto("about:blank")

    def test_tells_the_version_of_its_code_by_which_runs_are_found(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?page=run&id={world.CV_PARENT}")
        for label, value in (("Commit", "3f2a9c1d-dirty"), ("Branch", "tuning")):
            expect(page.get_by_test_id("stMetric").filter(has_text=label)).to_contain_text(value)
        expect(page.get_by_test_id("stCode").filter(has_text=world.COMMIT)).to_be_visible()
        expect(page.get_by_text("branch tuning · with changes that were not committed")).to_be_visible()
        asked = quote("tags.mlflow.source.git.commit LIKE '3f2a9c1d%'")
        page.goto(f"{a_month}/?tab=runs&col=Name&col=Commit&col=Branch&filter={asked}")
        counted(page, "1 run")
        assert Grid(page).texts() == ["cross-validator | 3f2a9c1d-dirty | tuning"]
        page.goto(f"{a_month}/?tab=runs&col=Commit&col=Name")
        Grid(page).click_header(60)
        asks(page, sort=["tags.mlflow.source.git.commit"])
        expect(Grid(page).cells.first).to_contain_text("3f2a9c1d-dirty")  # those without one come last

    def test_without_jobs_of_its_own_shows_its_parents(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?page=run&id={run_id_of('cv-2')}")
        expect(page.get_by_text("no Spark jobs of its own")).to_be_visible()
        expect(page.locator(".st-key-facts-spark")).to_contain_text("Jobs")
        page.get_by_role("link", name="cross-validator").click()
        expect(heading(page, "cross-validator")).to_be_visible()
        expect(page).to_have_url(re.compile(world.CV_PARENT))

    def test_that_failed_says_so_and_its_application_says_why(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?page=run&id={world.FAILED_RUN}")
        expect(page.locator(".st-key-title")).to_contain_text("Failed")
        page.get_by_role("link", name="diabetes-sklearn").first.click()
        expect(page.locator(".st-key-reason-bad")).to_contain_text("learning_rate")


def test_a_list_is_downloaded_as_it_is_filtered(a_month: str, page: Page) -> None:
    page.goto(f"{a_month}/?tab=runs&status=FAILED")
    counted(page, "8 runs")
    page.get_by_role("button", name="Download").click()
    link = page.get_by_role("link", name="JSON").get_attribute("href")
    assert link is not None
    answer = page.request.get(link)
    assert answer.headers["content-disposition"] == 'attachment; filename="runs.json"'
    assert {row["effective_status"] for row in answer.json()} == {"FAILED"}
    assert len(answer.json()) == 8
    assert page.request.get(link.replace("json", "docx")).status == 404
    assert page.request.get(f"{link}&filter=metrics.a >> 1").status == 400
    assert page.request.get(link, headers={"X-Forwarded-For": "192.0.2.7"}).status == 403
    as_csv = page.get_by_role("link", name="CSV").get_attribute("href")
    assert as_csv is not None
    assert page.request.get(as_csv).text().startswith("run_id,name,")
    expect(page.get_by_text("runs.csv: done, 8 runs")).to_be_visible()


def test_a_hundred_runs_are_compared_and_however_many_downloaded(a_month: str, page: Page) -> None:
    page.goto(f"{a_month}/?page=experiment&server={quote(TRACKING_URI, safe='')}&id=3")
    Grid(page).row("trial-299")
    Grid(page).click_header(16)  # ticks all of the page
    expect(page.get_by_text("100 runs selected")).to_be_visible()
    expect(page.get_by_role("button", name="Compare")).to_be_enabled()
    page.get_by_role("button", name="Next").click()
    Grid(page).select("trial-190")
    expect(page.get_by_text("101 runs selected")).to_be_visible()
    expect(page.get_by_role("button", name="Compare")).to_be_disabled()
    page.get_by_role("button", name="Download").last.click()
    link = page.get_by_role("link", name="JSON").get_attribute("href")
    assert link is not None
    names = [row["name"] for row in page.request.get(link).json()]
    assert sorted(names) == ["trial-190", *(f"trial-{number}" for number in range(200, 300))]
    runs = "&run=".join(run_id_of(f"search-{number}") for number in range(101))
    page.goto(f"{a_month}/?page=compare&run={runs}")
    expect(heading(page, "100 runs compared")).to_be_visible()
    expect(page.get_by_text("1 run left out: not in the store, or more than the 100 that fit.")).to_be_visible()


def test_what_was_used_is_added_up_by_whatever_is_asked_and_downloaded(a_month: str, page: Page) -> None:
    page.goto(f"{a_month}/?tab=cost")
    table = page.locator("canvas table tbody tr")
    expect(table.filter(has_text="churn-forest")).to_contain_text("300")
    expect(page.locator(".st-key-facts-cost")).to_contain_text("Core time")
    page.get_by_role("radio", name="User").click()
    expect(table.filter(has_text="grace")).to_be_attached()
    asks(page, by=["user"])
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").last.click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("User,Core-hours,Served no run (%),Idle (%),Jobs")
    assert {line.split(",")[0] for line in lines[1:]} >= {"ada", "grace", "lin", "svc-etl"}
    page.go_back()
    expect(table.filter(has_text="churn-forest")).to_be_attached()


def test_a_line_of_what_was_used_leads_to_its_runs_and_back(a_month: str, page: Page) -> None:
    page.goto(f"{a_month}/?tab=cost&by=user")
    Grid(page).open("grace")
    counted(page, "3 runs")
    asks(page, tab=["runs"], user=["grace"])
    page.go_back()
    asks(page, tab=["cost"], by=["user"])
    Grid(page).row("grace")
    page.wait_for_timeout(1_500)
    asks(page, tab=["cost"], by=["user"])
    Grid(page).open("svc-etl")
    counted(page, "8 runs")
    asks(page, tab=["runs"], user=["svc-etl"])


def test_what_was_used_from_one_day_to_another(a_month: str, page: Page) -> None:
    page.goto(f"{a_month}/?tab=cost&by=user")
    facts = page.locator(".st-key-facts-cost")
    expect(facts).to_contain_text("Core time")
    page.get_by_role("radio", name="Custom").click()
    expect(page.get_by_text("From", exact=True)).to_be_visible()
    expect(page.get_by_text("To", exact=True)).to_be_visible()
    asks(page, tab=["cost"], window=["custom"])
    now = time.time()
    since, until = (time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(now - days * 86_400)) for days in (2.5, 1.5))
    page.goto(f"{a_month}/?tab=cost&by=user&window=custom&from={since}&to={until}")
    expect(page.locator("canvas table tbody tr").filter(has_text="lin")).to_contain_text("300")
    expect(page.locator("canvas table tbody tr").filter(has_text="grace")).to_have_count(0)


def test_health_names_what_is_wrong_and_leads_to_it(a_month: str, page: Page) -> None:
    page.goto(f"{a_month}/?tab=health")
    expect(page.get_by_text("Journals that lack events · 1")).to_be_visible()
    expect(page.get_by_text("Owner unknown: MLflow says RUNNING")).to_be_visible()
    Grid(page, "list-lossy").open("recommender-nightly")
    expect(heading(page, "recommender-nightly")).to_be_visible()


def middle(mark: Locator) -> tuple[float, float]:
    """Of what is drawn in a picture: where it is from the left and from the top."""
    box = mark.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def written(picture: Locator, text: str) -> Locator:
    return picture.locator("text", has_text=re.compile(f"^{re.escape(text)}$"))


def half_of(mark: Locator) -> float:
    box = mark.bounding_box()
    assert box is not None
    return box["width"] / 2


def test_an_application_over_time_shows_its_cores_and_runs(a_month: str, page: Page) -> None:
    page.goto(f"{a_month}{CV}&tab=timeline")
    charts = page.locator("[data-testid='stVegaLiteChart'] svg.marks")
    above, below = charts.nth(0), charts.nth(1)
    for line in ("running", "idle", "allocated", "maximum"):
        expect(written(above, line)).to_be_attached()
    plain, search = (below.locator(f"[aria-label='Run {name}']") for name in ("linear-baseline", "cross-validator"))
    assert middle(plain)[0] < middle(search)[0]  # the one was over before the other began
    for name, band in (("linear-baseline", plain), ("cross-validator", search)):
        across, down = middle(band)
        assert middle(written(below, name))[1] == pytest.approx(down, abs=2)
        for what in ("Jobs", "Stages"):
            drawn = below.locator(f"[aria-label='{what} of {name}']").first
            assert abs(middle(drawn)[1] - down) < 10
            assert abs(middle(drawn)[0] - across) <= half_of(band)
    page.goto(f"{a_month}/?page=application&id={world.SKLEARN_APP}&tab=timeline")
    broken = middle(below.locator("[aria-label='Jobs of gradient-boosting']"))
    assert middle(written(below, "✕"))[1] == pytest.approx(broken[1], abs=6)
    expect(written(below, "✕ gradient-boosting")).to_be_attached()
    page.goto(f"{a_month}/?page=application&id={world.SEARCH_APP}&tab=timeline")
    expect(page.get_by_text("of 300 runs the 40 whose jobs took the most")).to_be_visible()


def test_an_application_shows_its_properties_its_data_its_errors_and_how_to_repeat_it(a_month: str, page: Page) -> None:
    page.set_viewport_size({"width": 2400, "height": 900})  # a list has only the columns that are on the screen
    page.goto(f"{a_month}{CV}&tab=data")
    expect(page.locator(".st-key-title")).to_contain_text("Succeeded")
    facts = page.locator(".st-key-facts-header")
    for label, value in (("User", "ada"), ("Started", "min ago"), ("Duration", "46 s"), ("Executors", "1  ·  4 cores")):
        expect(facts.get_by_test_id("stMetric").filter(has_text=label)).to_contain_text(value)
    table = page.locator("canvas table tbody tr")
    expect(table.filter(has_text=f"{world.CELLAR}/wine")).to_have_text(re.compile("Read.*parquet.*1.*linear-baseline"))
    expect(table.filter(has_text=f"{world.CELLAR}/features")).to_have_text(re.compile("Written.*parquet.*1.*linear-"))
    page.get_by_role("tab", name="Jobs").click()
    expect(Grid(page, "list-jobs").row("WeightedLeastSquares")).to_contain_text("2 / 2")
    job = Grid(page, "list-jobs").cells.filter(has_text="146.5 KiB")  # written
    expect(job).to_contain_text("930,000")  # records read
    page.get_by_role("tab", name="Configuration").click()
    page.get_by_text("The spark-submit line to repeat it").click()
    line = page.get_by_test_id("stCode").filter(has_text="spark-submit")
    expect(line).to_be_visible()
    expect(line).to_contain_text("--conf spark.executor.memory=4g")
    page.goto(f"{a_month}/?page=application&id={world.SKLEARN_APP}&tab=errors")
    expect(table.filter(has_text="Job 2 failed")).to_contain_text("Job aborted due to stage failure: Task 3")
    page.goto(f"{a_month}/?page=run&id={world.PLAIN}")
    expect(page.locator(".st-key-facts-spark")).to_contain_text("Written")


def test_a_run_leads_to_the_live_ui_of_the_application_that_it_runs_in(a_month: str, page: Page) -> None:
    page.goto(f"{a_month}/?page=run&id={run_id_of('als')}")
    expect(page.get_by_role("link", name="Open in Spark UI")).to_have_attribute("href", world.PROXY)


def test_a_running_application_shows_how_far_its_jobs_are_and_what_was_lost(a_month: str, page: Page) -> None:
    page.set_viewport_size({"width": 1920, "height": 900})  # a list has only the columns that are on the screen
    page.goto(f"{a_month}/?page=application&id={world.LIVE_APP}&tab=stages")
    expect(page.get_by_text("Job 1: 5 of 16 tasks, 1 of 2 stages")).to_be_visible()
    expect(page.locator(".st-key-facts-header")).to_contain_text("Events lost")
    expect(page.locator(".st-key-facts-header")).to_contain_text("7")
    expect(page.locator("canvas table td", has_text="9.5 s on executor 2, 10.0.1.2 (task 3, ").first).to_be_attached()
    expect(page.locator("canvas table td", has_text="4.0 s  ·  8.0 s  ·  9.5 s").first).to_be_attached()


ADDRESSES = (
    (f"{CV}&tab=jobs", "count at CrossValidator"),
    (f"{CV}&tab=stages", "collect at train.py:57"),
    (f"{CV}&tab=conf", "spark.sql.adaptive.enabled"),
    (f"/?page=application&id={world.SKLEARN_APP}&tab=errors", "Run gradient-boosting failed"),
    (f"/?page=application&id={world.LIVE_APP}&tab=history", "Running"),
    (f"/?page=run&id={world.CV_PARENT}&tab=jobs", "count at CrossValidator"),
    (EXPERIMENT, "trial-299"),
    ("/?tab=experiments&q=wine", "wine-quality"),
)
NOWHERE = (
    ("/?page=application&id=app-0", "No such application"),
    ("/?page=experiment&server=x&id=0", "No such experiment"),
    ("/?page=run&id=0", "No such run"),
    ("/?page=nowhere", "No such page"),
)


class TestAnAddress:
    def test_opens_what_it_names(self, a_month: str, page: Page) -> None:
        for number, (address, shows) in enumerate(ADDRESSES, 1):
            page.goto(a_month + address)
            expect(page.locator("canvas table td", has_text=shows).first).to_be_attached()
            assert page.evaluate("history.length") == number + 1, f"opening {address} has changed it"

    def test_of_nothing_says_so_and_leads_back(self, a_month: str, page: Page) -> None:
        for address, says in NOWHERE:
            page.goto(a_month + address)
            expect(heading(page, says)).to_be_visible()
        page.get_by_role("link", name="Back to Monitor").click()
        counted(page, "13 applications")
        page.goto(f"{a_month}/?tab=x&window=y&p=-3&sort=drop&status=z&from=never")
        counted(page, "0 applications")  # of status z; all else is as if it were not there


ODD_RUN, ODD_APP = run_id_of("hostile"), "local-1790000000009"
CELLS = "canvas table :is(td, th)"
WITH_ODD_NAMES = (
    (f"/?page=run&id={ODD_RUN}&tab=tags", CELLS),
    (f"/?page=run&id={ODD_RUN}&tab=jobs", CELLS),
    (f"/?page=run&id={ODD_RUN}&tab=snapshots", ".st-key-title"),
    (f"/?page=experiment&server={quote(TRACKING_URI, safe='')}&id=9", CELLS),
    (f"/?page=experiment&server={quote(TRACKING_URI, safe='')}&id=9&tab=trend", ".st-key-title"),
    (f"/?page=compare&run={ODD_RUN}&run={run_id_of('long')}", f".st-key-comparison {CELLS}"),
    (f"/?page=application&id={ODD_APP}&tab=timeline", "[data-testid='stVegaLiteChart'] svg"),
    (f"/?page=application&id={ODD_APP}&tab=jobs", CELLS),
    (f"/?page=application&id={ODD_APP}&tab=sql", CELLS),
    (f"/?page=application&id={ODD_APP}&tab=errors", "[data-testid='stMain']"),
    ("/?q=img", CELLS),
    ("/?tab=experiments&q=img", CELLS),
    ("/?tab=cost&by=experiment", CELLS),
    ("/?tab=cost&by=tag&tag=note", CELLS),
)


class TestNames:
    def test_that_look_like_html_or_markdown_stay_text(self, a_month: str, page: Page) -> None:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        page.goto(f"{a_month}/?page=run&id={run_id_of('hostile')}")
        expect(page.locator(".st-key-title h2")).to_have_text(title_of(world.HOSTILE))
        assert page.locator("[data-testid='stMain'] img").count() == 0
        assert page.locator(".st-key-title a").count() == 0
        page.locator(".st-key-trail a").nth(1).click()
        expect(page.locator(".st-key-reason-bad")).to_contain_text("<img src=x")
        assert_made_nothing_of_names(page, "its application")

    def test_stay_text_on_every_page_that_has_them(self, a_month: str, page: Page) -> None:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        for address, where in WITH_ODD_NAMES:
            page.goto(a_month + address)
            expect(page.locator(where).filter(has_text="<img src=x").first).to_be_attached()
            assert_made_nothing_of_names(page, address)

    def test_may_be_three_hundred_characters_long(self, a_month: str, page: Page) -> None:
        page.goto(f"{a_month}/?page=run&id={run_id_of('long')}&tab=outputs")
        expect(heading(page, re.compile("nightly-feature-pipeline-partition000"))).to_be_visible()
        expect(page.locator("canvas table td", has_text="10.parquet")).to_be_attached()
        assert_no_sideways_scroll(page)


CHART = "[data-testid='stVegaLiteChart'] svg.marks"
ON_A_PHONE = (
    ("/", CELLS),
    ("/?tab=experiments", CELLS),
    ("/?tab=runs&unlinked=yes&status=FAILED", ".st-key-counted"),
    ("/?tab=models", CELLS),
    ("/?tab=health", CELLS),
    ("/?tab=cost", CHART),
    ("/?tab=server", ".st-key-facts-server"),
    (CV, CELLS),
    (f"{CV}&tab=timeline", CHART),
    (f"{CV}&tab=stages", CELLS),
    (f"/?page=run&id={world.CV_PARENT}", CELLS),
    (EXPERIMENT, CELLS),
    (f"{EXPERIMENT}&tab=trend", CHART),
    (f"/?page=compare&run={world.CV_PARENT}&run={world.PLAIN}", CHART),
)


class TestTheLook:
    def test_fits_a_phone(self, a_month: str, page: Page) -> None:
        page.set_viewport_size({"width": 390, "height": 844})
        for address, shows in ON_A_PHONE:
            page.goto(a_month + address)
            expect(page.locator(shows).first).to_be_attached()
            assert_no_sideways_scroll(page)

    def test_is_our_own_and_dark_where_the_person_likes_it_dark(self, a_month: str, page: Page) -> None:
        page.emulate_media(color_scheme="dark")
        page.goto(a_month + CV)
        settled(page)
        assert brightness(page, "background-color") < 60
        assert brightness(page, "color") > 200
        page.emulate_media(color_scheme="light")
        page.reload()
        settled(page)
        assert brightness(page, "background-color") > 240
        for streamlits in ("stAppDeployButton", "stMainMenu", "stStatusWidget"):
            expect(page.get_by_test_id(streamlits)).not_to_be_visible()


def shown_in_three_seconds(cell: Locator, tell: Callable[[int], str]) -> None:
    """What `tell` tells the store is on the page within three seconds: once in three: a machine may be busy."""
    late = []
    for number in range(3):
        text = tell(number)
        try:
            return expect(cell.filter(has_text=text)).to_be_attached(timeout=3_000)
        except AssertionError as error:
            late.append(error)
    raise late[-1]


class TestSomethingNew:
    def test_is_there_within_three_seconds_while_the_page_is_open(
        self, nothing_yet: tuple[str, Store, Path], page: Page
    ) -> None:
        address, store, folder = nothing_yet
        page.goto(address)
        expect(page.get_by_text("spark-submit $(afterglow spark-conf) job.py")).to_be_visible()

        began = int(time.time() * 1000)
        journal = Journal(folder, "local-1", name="first-job", start=began)
        ingest_file(store, journal.path, now=began)
        cell = page.locator("canvas table td")
        expect(cell.filter(has_text="first-job")).to_be_attached(timeout=20_000)  # the first list of this process

        def tell(number: int) -> str:
            other = Journal(folder, f"local-{number + 2}", name=f"job-{number}", start=began)
            ingest_file(store, other.path, now=began)
            return f"job-{number}"

        shown_in_three_seconds(cell, tell)

        page.get_by_role("tab", name="Runs").click()
        expect(page.get_by_role("heading", name="No runs match")).to_be_visible()
        journal.run_start(run_id_of("first"), "first-run")
        ingest_file(store, journal.path, now=began)
        expect(cell.filter(has_text="first-run")).to_be_attached(timeout=20_000)

        Grid(page).open("first-run")
        expect(heading(page, "first-run")).to_be_visible()
        expect(page.locator(".st-key-title")).to_contain_text("Running")
        run = journal.run_start(run_id_of("first"), "first-run")
        journal.run_end(run, metrics={"rmse": 0.5})
        ingest_file(store, journal.path, now=began)
        expect(page.locator(".st-key-title")).to_contain_text("Finished", timeout=5_000)


class Line:
    """What the server tells a page, which may be held back for a while."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._waiting: list[str | bytes] | None = None
        page.route_web_socket(re.compile("/_stcore/stream"), self._connect)

    @contextmanager
    def held(self) -> Iterator[None]:
        waiting: list[str | bytes] = []
        self._waiting = waiting
        yield
        self._waiting = None
        for each in waiting:
            self._socket.send(each)

    def wait_for(self, text: str) -> None:
        """Until the page would have been told this."""
        deadline = time.monotonic() + 15
        while not any(text.encode() in each for each in self._waiting or () if isinstance(each, bytes)):
            assert time.monotonic() < deadline
            self._page.wait_for_timeout(100)

    def _connect(self, socket: WebSocketRoute) -> None:
        self._socket = socket
        socket.connect_to_server().on_message(self._tell)

    def _tell(self, said: str | bytes) -> None:
        if self._waiting is None:
            self._socket.send(said)
        else:
            self._waiting.append(said)


class TestAClick:
    """In that Monitor, too."""

    def test_is_on_the_row_that_the_browser_shows_though_another_has_come_in(
        self, nothing_yet: tuple[str, Store, Path], page: Page
    ) -> None:
        address, store, folder = nothing_yet
        line, runs = Line(page), Grid(page)
        journal = Journal(folder, "app-clicked", name="clicked", start=int(time.time() * 1000) - 60_000)

        def run(name: str) -> None:
            journal.run_end(journal.run_start(run_id_of(name), name))
            ingest_file(store, journal.path, now=journal.clock)

        run("shown")
        page.goto(f"{address}/?tab=runs")
        runs.row("shown")
        with line.held():
            run("not shown")
            line.wait_for("not shown")
            runs.select("shown")
            page.wait_for_timeout(300)
        expect(page.get_by_role("button", name="1 new run: show")).to_be_visible()
        page.get_by_role("button", name="Clear", exact=True).click()
        runs.row("not shown")
        with line.held():
            run("nor this")
            line.wait_for("nor this")
            runs.open("not shown")
            page.wait_for_timeout(300)
        expect(heading(page, "not shown")).to_be_visible()


class TestAChange:
    """After the test above: both need a Monitor of their own, and that one an empty one."""

    def test_shows_what_has_changed_since_a_snapshot(self, nothing_yet: tuple[str, Store, Path], page: Page) -> None:
        address, store, folder = nothing_yet
        journal = Journal(folder, "app-changed", name="changed", start=int(time.time() * 1000) - 60_000)
        run = journal.run_start(run_id_of("changed"), "changed", tags={"team": "a"})
        journal.run_end(run, metrics={"rmse": 0.5})
        ingest_file(store, journal.path, now=journal.clock)
        with store.write() as conn:
            [taken] = snapshots.snapshots_of(conn, "run", run["run_id"])
            details = snapshots.content(conn, taken["id"]) | {"lifecycle_stage": "deleted"}
            details["tags"] = details["tags"] | {"team": "b"}
            take_in_run(conn, details, server=TRACKING_URI, tracking_uri=TRACKING_URI, as_of=journal.clock + 60_000)
        page.goto(f"{address}/?page=run&id={run['run_id']}&tab=snapshots&snapshot={taken['id']}&against=now")
        expect(page.locator(".st-key-title")).to_contain_text("Deleted in MLflow")
        expect(page.get_by_text("2 changed", exact=True)).to_be_visible()
        expect(page.locator("canvas table tr", has_text="tags.team")).to_have_text(re.compile("≠ Changed.*a.*b"))


class TestAStatus:
    """In that Monitor, too."""

    def test_that_is_not_what_mlflow_says_has_its_reason_on_the_runs_page(
        self, nothing_yet: tuple[str, Store, Path], page: Page
    ) -> None:
        address, store, folder = nothing_yet
        began = int(time.time() * 1000) - 3_600_000
        dies = Journal(folder, "app-dies", name="dies", start=began)
        dies.run_end(dies.job().run_start(run_id_of("open to the end"), "open to the end"), at_exit=True)
        ingest_file(store, dies.end("RuntimeError: no more wine"), now=began)
        killed = Journal(folder, "app-killed", name="killed", start=began)
        killed.run_start(run_id_of("left behind"), world.HOSTILE)
        ingest_file(store, killed.wait(30).job(run_id_of("left behind")).path, now=began)
        with store.write() as conn:
            judge(conn, now=began + 3_600_000, server_started=began, grace_ms=120_000)
        for run, said, why in (
            ("open to the end", "Suspect", "open until its driver died of RuntimeError: no more wine"),
            ("left behind", "Orphaned", "its driver is gone: application app-killed is LOST"),
        ):
            page.goto(f"{address}/?page=run&id={run_id_of(run)}")
            expect(page.locator(".st-key-title")).to_contain_text(said)
            expect(page.locator(".st-key-reason")).to_have_text(why)
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        page.goto(f"{address}/?tab=health")
        expect(page.locator(CELLS).filter(has_text="<img src=x").first).to_be_attached()
        expect(page.locator(CELLS).filter(has_text="open to the end").first).to_be_attached()
        assert_made_nothing_of_names(page, "health")


@pytest.mark.matrix  # it takes long
def test_no_planted_secret_reaches_the_browser_on_any_page(
    nothing_yet: tuple[str, Store, Path], page: Page, tmp_path: Path
) -> None:
    address, store, _ = nothing_yet
    ingest_file(store, plant(tmp_path / "planted"), now=0)
    sent: list[str] = []  # all that is in the lists too, drawn or not

    def received(payload: str | bytes) -> None:
        sent.append(payload if isinstance(payload, str) else payload.decode(errors="replace"))

    page.on("websocket", lambda socket: socket.on("framereceived", received))
    for tab in ("jobs", "stages", "sql", "executors", "conf"):
        page.goto(f"{address}/?page=application&id=local-1&start={START}&tab={tab}")
        expect(page.locator("canvas table td", has_text=re.compile(r"\w")).first).to_be_attached()
        assert not hidden(page.content()), tab
    page.goto(f"{address}/?window=all")
    Grid(page).row("train ")
    assert not hidden(page.content())
    everything = "".join(sent)
    assert not hidden(everything)
    for there in (REDACTED, "spark.hadoop.fs.s3a.secret.key", "no good: ", "Authorization: ", "my.color=red"):
        assert there in everything


def test_streamlit_run_shows_what_postgresql_holds_on_this_machine_only(
    postgres_url: str, tmp_path: Path, page: Page
) -> None:
    with closing(open_store(postgres_url)) as store:
        ingest_file(store, world.cross_validation(tmp_path / "journal", int(time.time() * 1000) - 60_000), now=0)
    port = free_port()
    with running_monitor(postgres_url, tmp_path, command=streamlit_run(port), port=port) as address:
        page.goto(address)
        Grid(page).open("wine-quality-cv")
        Grid(page, "list-items").open("cross-validator")
        expect(heading(page, "cross-validator")).to_be_visible()
        assert page.evaluate("getComputedStyle(document.documentElement).fontSize") == "14px"  # our theme's
        with pytest.raises(ConnectionRefusedError):  # listening on all addresses, it would be on this one too
            socket.create_connection(("127.0.0.2", port), 2)
        page.goto("about:blank")  # before the server goes: a page without one complains
    said = (tmp_path / "monitor.log").read_text()
    assert "External URL" not in said
    assert "Network URL" not in said


def assert_made_nothing_of_names(page: Page, where: str) -> None:
    """No picture, link, formula or bold word has come of them."""
    made = page.locator("[data-testid='stMain'] :is(img, image, a[href*='192.0.2.1'], .katex, b)")
    assert made.count() == 0, where
    assert page.locator("[data-testid='stMain'] strong", has_text="bold").count() == 0, where


def assert_no_sideways_scroll(page: Page) -> None:
    wide, window = page.evaluate("[document.querySelector('[data-testid=stMain]').scrollWidth, window.innerWidth]")
    assert wide <= window


def brightness(page: Page, which: str) -> int:
    colour = page.locator(".stApp").evaluate("(app, which) => getComputedStyle(app).getPropertyValue(which)", which)
    return max(int(number) for number in re.findall(r"\d+", colour)[:3])
