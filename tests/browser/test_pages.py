"""What the pages of applications, experiments and models show beyond lists, over a team's MLflow server."""

import csv
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from mlflow import MlflowClient
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema
from playwright.sync_api import Locator, Page, expect

from afterglow.run_details import run_details
from afterglow_store import Store, ingest_file, open_store, snapshots
from afterglow_store.runs import take_in_experiment, take_in_run
from tests.support.journals import TRACKING_URI, Journal, run_id_of
from tests.support.monitor import Grid, heading, running_monitor

expect.set_options(timeout=60_000)  # for a machine that does other things as well

DAY_MS = 86_400_000
DAYS = 8  # of an application a day, the last of which is slower and worse
DEPTHS = (3, 7)  # of the runs that log a model
TOOK = (0.9, 65, 10, 2.1)  # seconds: jobs of the first of them, the last the newest
SETTINGS = """\
[monitor]
history_server = "http://127.0.0.1:18080"
[cost]
currency = "EUR"
core_hour = 360.0
prices = [{{ users = ["svc-*"], core_hour = 36.0 }}]
[[mlflow]]
name = "team"
uri = "{uri}"
"""

TROUBLE = "10 errors within an hour, the last one java.lang.StackOverflowError"


class Team(NamedTuple):
    address: str
    server: str
    experiment: str
    model: str
    runs: list[str]


@pytest.fixture(scope="module")
def team(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The address of a Monitor over nightly applications, and two runs of which models were logged and registered."""
    home = tmp_path_factory.mktemp("home of pages")
    (home / "afterglow.toml").write_text(SETTINGS.format(uri=mlflow_server))
    client = MlflowClient(tracking_uri=mlflow_server, registry_uri=mlflow_server)
    model = f"forecast {time.time_ns()}"
    experiment = client.create_experiment(f"forecasts {time.time_ns()}")
    with closing(open_store(f"sqlite:///{home / 'store.db'}")) as store, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFTERGLOW_HOME", str(home))
        nightly(store, home / "journal")
        runs = [registered(client, experiment, model, depth, home) for depth in DEPTHS]
        now = int(time.time() * 1000)
        ingest_file(store, training(home / "journal", runs, experiment), now=now)
        ingest_file(store, reporting(home / "journal"), now=now)
        with store.write() as conn:
            for run_id in runs:  # as sync does, later
                details = dict(run_details(client, run_id))
                take_in_run(conn, details, server="team", tracking_uri=mlflow_server, as_of=now)
        with running_monitor(store.url, home) as address:
            yield Team(address, "team", experiment, model, runs)


def nightly(store: Store, folder: Path) -> None:
    """Of the first, a tag was changed after its end. Their experiment says which metric counts."""
    now = int(time.time() * 1000)
    where = {"experiment_id": "4", "experiment_name": "recommender"}
    for day in range(DAYS, 0, -1):
        last = day == 1
        journal = Journal(folder, f"app-{day}", name="nightly", start=now - day * DAY_MS, user="svc-etl")
        run = journal.run_start(run_id_of(f"nightly {day}"), f"nightly-{day}", tags={"team": f"t{day % 2}"}, **where)
        seconds = 300 if last else 60 + day % 3
        journal.job(run["run_id"], seconds=seconds, description="count at nightly.py:7", uneven=last)
        journal.run_end(run, "FAILED" if day == 3 else "FINISHED", metrics={"rmse": 2.0 if last else 0.9 + day / 1000})
        ingest_file(store, journal.end(), now=now)
    with store.write() as conn:
        [first, _] = snapshots.snapshots_of(conn, "run", run_id_of(f"nightly {DAYS}"))
        details = snapshots.content(conn, first["id"])
        details["tags"] = details["tags"] | {"team": "moved"}
        details["metrics"] = details["metrics"] | {"checked": 1.0}
        take_in_run(conn, details, server=TRACKING_URI, tracking_uri=TRACKING_URI, as_of=now)
        said = {"mlflow.experiment.primaryMetric.name": "rmse", "team": "etl"}
        take_in_experiment(conn, {"experiment_id": "4", "name": "recommender", "tags": said}, server=TRACKING_URI)


def registered(client: MlflowClient, experiment: str, name: str, depth: int, folder: Path) -> str:
    run_id: str = client.create_run(experiment, run_name=f"depth {depth}").info.run_id
    client.log_param(run_id, "depth", depth)
    client.log_metric(run_id, "mae", 1 / depth)
    signature = ModelSignature(inputs=Schema([ColSpec("double", "temperature")]), outputs=Schema([ColSpec("double")]))
    Model(artifact_path="model", run_id=run_id, signature=signature).save(str(folder / "MLmodel"))
    client.log_artifact(run_id, str(folder / "MLmodel"), "model")
    logged = client.create_logged_model(experiment, f"forest-{depth}", run_id, params={"depth": str(depth)})
    client.log_model_artifact(logged.model_id, str(folder / "MLmodel"))
    client.finalize_logged_model(logged.model_id, "READY")
    if depth == DEPTHS[0]:
        client.create_registered_model(name)
    client.create_model_version(name, f"{client.get_run(run_id).info.artifact_uri}/model", run_id)
    client.set_terminated(run_id)
    return run_id


def training(folder: Path, runs: list[str], experiment: str) -> Path:
    start = int(time.time() * 1000) - 180_000
    journal = Journal(folder, "app-training", name="training", start=start, attempt="1")
    for run_id, depth in zip(runs, DEPTHS, strict=True):
        journal.run_start(run_id, f"depth {depth}", experiment_id=experiment)
        journal.job(run_id)
    for seconds in TOOK:
        journal.job(runs[0], seconds=seconds, description=f"took {seconds:g}")
    return journal.end()


def reporting(folder: Path) -> Path:
    """An application that has nothing to do with MLflow, of somebody who has no runs."""
    began = int(time.time() * 1000) - 30_000
    journal = Journal(folder, "app-reporting", name="reporting", start=began, user="zoe", master="yarn").job()
    return journal.progress(trouble=TROUBLE).end()


def row(page: Page, text: str | re.Pattern[str]) -> Locator:
    return page.locator("canvas table tr", has_text=text).first


def leave(page: Page) -> None:
    page.goto("about:blank")


def test_items_are_shown_as_at_the_applications_end_with_what_has_changed_since(team: Team, page: Page) -> None:
    page.set_viewport_size({"width": 2400, "height": 900})  # a list has only the columns that are on the screen
    page.goto(f"{team.address}/?page=application&id=app-{DAYS}")
    expect(row(page, f"nightly-{DAYS}")).to_contain_text("≠ metrics.checked, tags.team")
    expect(row(page, f"nightly-{DAYS}")).to_contain_text("≠ team moved")
    page.get_by_role("radio", name="As at the application's end").click()
    expect(row(page, f"nightly-{DAYS}")).to_contain_text("≠ team t0")
    page.wait_for_url("**as=end**")
    page.get_by_role("combobox", name="Before").click()
    page.get_by_role("option", name=re.compile("run end")).click()
    moved = row(page, re.compile("≠ Changed.*tags.team"))
    expect(moved).to_have_text(re.compile("t0.*moved"))
    page.get_by_role("combobox", name="After").click()
    page.get_by_role("option", name=re.compile("application end")).click()
    expect(page.get_by_text("Nothing has changed between the two.")).to_be_visible()
    page.go_back()
    expect(moved).to_be_attached()
    page.go_forward()
    expect(page.get_by_text("Nothing has changed between the two.")).to_be_visible()
    leave(page)


def test_an_experiment_that_says_what_counts_shows_the_best_of_it(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?tab=experiments&window=all")
    best = f"rmse {0.9 + 2 / 1000:g}"
    expect(row(page, "recommender")).to_contain_text(best)
    Grid(page).open("recommender")
    expect(page.get_by_test_id("stMetric").filter(has_text="Best")).to_contain_text(best)
    page.get_by_role("tab", name="Trend").click()
    expect(page.get_by_role("combobox", name="Metric")).to_have_value("rmse")
    leave(page)


@pytest.mark.parametrize(
    ("asked", "shows"),
    [
        (
            "tab=applications&col=Name&col=End&col=Tasks&col=Spill&col=Spark&col=Why&q=nightly",
            r"nightly \| \d\d \w{3} [\d:]+ \| [\d,]+ \| (–|[\d.]+ \w+) \| 4\.2\.0 \| .+",
        ),
        (
            "tab=experiments&col=Experiment+ID&col=Created&col=Tags&col=Name&q=recommender",
            r"4 \| – \| team etl \| recommender",
        ),
        (
            "tab=runs&col=Name&col=Tasks&col=Shuffle+read&col=Run+ID&col=tags.team&q=nightly-5",
            r"nightly-5 \| [\d,]+ \| (–|[\d.]+ \w+) \| [0-9a-f]{32} \| t1",
        ),
    ],
    ids=["applications", "experiments", "runs"],
)
def test_a_list_has_the_columns_of_its_address(team: Team, page: Page, asked: str, shows: str) -> None:
    page.goto(f"{team.address}/?window=all&{asked}")
    Grid(page).row("nightly" if "nightly" in asked else "recommender")
    assert re.fullmatch(shows, Grid(page).texts()[0])
    leave(page)


def test_a_query_has_its_jobs_its_run_and_its_plan(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?page=application&id=app-1&tab=sql")
    expect(row(page, "count at nightly.py:7")).to_contain_text("nightly-1")
    Grid(page, "list-sql").open("count at nightly.py:7")
    page.wait_for_url("**query=**")
    expect(page.locator("[data-testid='stCode']").last).to_contain_text("HashAggregate")
    link = page.get_by_role("link", name="Open in Spark UI")
    assert link.get_attribute("href") == "http://127.0.0.1:18080/history/app-1/jobs/"
    leave(page)


def test_all_jobs_are_sorted_by_a_click_on_a_header_and_back_undoes_it(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?page=application&id=app-training&tab=jobs")
    jobs = Grid(page, "list-jobs")
    newest, longest = jobs.cells.first.filter(has_text="took 2.1"), jobs.cells.first.filter(has_text="took 65")
    expect(newest).to_be_attached()
    jobs.click_header(740)  # Duration
    page.wait_for_url("**sort=-duration**")
    expect(longest).to_be_attached()
    took = [text.split(" | ")[5] for text in jobs.texts()]
    assert took == ["1 min 05 s", "10 s", "4.0 s", "4.0 s", "2.1 s", "900 ms"]
    jobs.click_header(740)
    page.wait_for_url("**sort=duration**")
    expect(jobs.cells.first.filter(has_text="900 ms")).to_be_attached()
    page.go_back()
    expect(longest).to_be_attached()
    page.go_back()
    expect(newest).to_be_attached()
    jobs.click_header(740)  # heard, though it was the last one before
    expect(longest).to_be_attached()
    jobs.open_row(1)
    expect(heading(page, "depth 3")).to_be_visible()
    page.go_back()
    page.get_by_role("tab", name="Stages").click()
    stages = Grid(page, "table-stages")
    expect(stages.cells.first.filter(has_text="1.1 s")).to_be_attached()  # the newest: the order was that of the jobs
    page.wait_for_url(re.compile(r"^(?!.*sort=).*tab=stages"))
    stages.click_header(600)  # Duration
    expect(stages.cells.first.filter(has_text="32 s")).to_be_attached()
    page.wait_for_url("**sort=-duration**")
    leave(page)


def test_a_run_and_an_experiment_sort_what_is_theirs_as_well(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?page=run&id={team.runs[0]}&tab=jobs")
    jobs = Grid(page, "table-run-jobs")
    expect(jobs.cells.first.filter(has_text="took 2.1")).to_be_attached()
    jobs.click_header(600)  # Duration: here there is no column for the run
    expect(jobs.cells.first.filter(has_text="took 65")).to_be_attached()
    page.goto(f"{team.address}/?page=experiment&server={TRACKING_URI}&id=4&tab=applications&sort=duration")
    applications = Grid(page, "list-applications-of")
    expect(applications.cells).to_have_count(DAYS)
    expect(applications.cells.last).to_contain_text("5 min")
    applications.click_header(580)  # Duration
    page.wait_for_url("**sort=-duration**")
    expect(applications.cells.first).to_contain_text("5 min")
    leave(page)


def test_a_run_leads_to_its_applications_attempt_on_the_history_server(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?page=run&id={team.runs[0]}")
    link = page.get_by_role("link", name="Open in Spark UI")
    expect(link).to_have_attribute("href", "http://127.0.0.1:18080/history/app-training/1/jobs/")
    leave(page)


def test_unequal_tasks_are_marked_and_named_among_what_went_wrong(team: Team, page: Page) -> None:
    page.set_viewport_size({"width": 2400, "height": 900})
    page.goto(f"{team.address}/?page=application&id=app-1&tab=jobs")
    expect(row(page, "count at nightly.py:7")).to_contain_text("▲ stages 0, 1")
    page.get_by_role("tab", name="Errors").click()
    said = "one task took 2 min 22 s, 9.5 × the mean; and 1 more stage"
    expect(row(page, "Unequal tasks")).to_contain_text(said)
    Grid(page, "list-errors").open("Unequal tasks")
    page.wait_for_url("**sort=-skew**")
    expect(row(page, "▲ 9.5 × the mean time")).to_be_attached()
    page.goto(f"{team.address}/?page=application&id=app-2&tab=errors")
    expect(page.get_by_text("Nothing went wrong")).to_be_visible()
    leave(page)


def test_a_listener_that_only_counts_events_is_named_among_what_went_wrong(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?page=application&id=app-reporting&tab=errors")
    expect(row(page, "The listener only counts events")).to_contain_text(f"{TROUBLE}: what Spark did from then on")
    leave(page)


def test_a_series_says_what_was_slower_and_worse(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?page=application&id=app-1&tab=history")
    expect(page.get_by_text("1 application slower and worse")).to_be_visible()
    expect(row(page, "2  ·  worse")).to_be_attached()
    charts = page.locator("[data-testid='stVegaLiteChart'] svg.marks")
    expect(charts).to_have_count(2)
    expect(charts.first.locator("text", has_text="▲")).to_have_count(1)  # not by its colour alone
    expect(row(page, "▲ ")).to_contain_text("5 min")
    page.get_by_role("radio", name="Higher is better").click()
    expect(page.get_by_text("slower and worse")).to_have_count(0)
    page.wait_for_url("**better=higher**")
    leave(page)


def test_an_experiment_shows_how_it_went_and_which_applications_wrote_there(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?page=experiment&server={TRACKING_URI}&id=4&tab=trend")
    expect(page.get_by_role("heading", name="Success · 88 % of these runs")).to_be_visible()
    expect(page.locator("[data-testid='stVegaLiteChart'] svg.marks")).to_have_count(2)
    page.get_by_role("radio", name="24 h").click()
    expect(page.get_by_text("No runs")).to_be_visible()
    page.get_by_role("radio", name="Custom").click()
    expect(page.get_by_text("From", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Success · 88 % of these runs")).to_be_visible()
    page.get_by_role("tab", name="Applications").click()
    expect(page.get_by_text("8 applications wrote here")).to_be_visible()
    Grid(page, "list-applications-of").open("nightly")
    expect(heading(page, "nightly")).to_be_visible()
    leave(page)


def test_a_model_leads_from_its_versions_to_runs_and_applications(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?tab=models")
    Grid(page, "list-models").open(team.model)
    expect(heading(page, team.model)).to_be_visible()
    versions = "list-versions"
    expect(Grid(page, versions).row("v2")).to_contain_text("training")
    expect(row(page, "temperature")).to_contain_text("Input")
    expect(row(page, "MLmodel")).to_be_attached()
    Grid(page, versions).open("v1")
    page.wait_for_url("**version=1")
    expect(page.get_by_role("heading", name="Version 1")).to_be_visible()
    Grid(page, versions).select("v1")
    Grid(page, versions).select("v2")
    page.get_by_role("button", name="Compare").click()
    expect(heading(page, "2 runs compared")).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="depth 3").click()
    expect(heading(page, "depth 3")).to_be_visible()
    page.get_by_role("tab", name="Models").click()
    expect(Grid(page, "list-logged").row("forest-3")).to_contain_text("depth 3")
    expect(row(page, "temperature")).to_be_attached()
    expect(page.get_by_role("link", name=re.compile("v1"))).to_be_visible()
    leave(page)


def test_cost_is_added_up_by_a_tags_values_at_the_prices_of_the_settings(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?tab=cost&by=tag&tag=team")
    expect(row(page, "moved")).to_be_attached()
    expect(row(page, "without it")).to_be_attached()
    expect(page.locator(".st-key-facts-cost")).to_contain_text("EUR")
    expect(page.locator(".st-key-facts-cost")).to_contain_text("Idle")
    page.get_by_role("radio", name="User").click()
    expect(row(page, "svc-etl")).to_contain_text("8")
    cells = row(page, "svc-etl").locator("td").all_inner_texts()
    assert float(cells[2]) == pytest.approx(36 * float(cells[1]), abs=0.02)
    leave(page)


def test_a_list_is_found_as_it_was_left_and_under_the_name_that_it_was_given(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?tab=runs")
    counted = page.locator(".st-key-counted").last  # of a list that just took the place of another
    expect(counted).to_contain_text("10 runs")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("combobox", name="Experiment").click()
    page.get_by_role("option", name="recommender (8 runs)").click()
    expect(counted).to_contain_text("8 runs")
    page.wait_for_url("**of=recommender**")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Views").click()
    page.get_by_label("Name for the list").fill("Ours")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="Ours")).to_be_visible()
    page.keyboard.press("Escape")
    Grid(page).open("nightly-1")
    expect(heading(page, "nightly-1")).to_be_visible()
    page.goto(team.address)
    expect(counted).to_contain_text("8 runs")
    page.goto(f"{team.address}/?tab=applications")
    page.get_by_role("button", name="Views").click()
    page.get_by_role("link", name="Ours").click()
    expect(counted).to_contain_text("8 runs")
    page.get_by_role("button", name="Delete").last.click()  # the list before may still be there
    expect(page.get_by_role("link", name="Ours")).to_have_count(0)
    leave(page)


def test_applications_are_filtered_by_users_and_masters_that_have_no_runs_too(team: Team, page: Page) -> None:
    # Neither this status nor this field is one of runs.
    page.goto(f"{team.address}/?status=SUCCEEDED&filter=lost_events+%3D+0")
    counted = page.locator(".st-key-counted").last
    expect(counted).to_contain_text("10 applications")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("combobox", name="Master").click()
    expect(page.get_by_role("option", name="local[4] (9 applications)")).to_be_visible()
    page.get_by_role("option", name="yarn (1 application)").click()
    expect(counted).to_contain_text("1 application")
    page.wait_for_url("**master=yarn**")
    page.goto(f"{team.address}/?master=yarn")  # an open list of choices lies over the others
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("combobox", name="Submitted by").click()
    expect(page.get_by_role("option", name="svc-etl (8 applications)")).to_be_visible()
    page.get_by_role("option", name="zoe (1 application)").click()
    page.wait_for_url("**user=zoe**")
    Grid(page).row("reporting")
    page.goto(f"{team.address}/?user=zoe&of=recommender")
    expect(page.get_by_role("heading", name="No applications match")).to_be_visible()
    page.get_by_role("button", name="Clear users and the like").click()
    expect(counted).to_contain_text("10 applications")
    leave(page)


def test_charts_are_downloaded_as_a_picture_and_as_data(team: Team, page: Page) -> None:
    box, parallel = (
        "type%3Dbox%26x%3Dparams.depth%26y%3Dmetrics.mae",
        "type%3Dparallel%26y%3Dparams.depth%252Cmetrics.mae",
    )
    runs = "&run=".join(team.runs)
    page.add_init_script("delete window.showSaveFilePicker")  # or the person is asked for a place
    page.goto(f"{team.address}/?page=compare&run={runs}&chart={box}&chart={parallel}")
    charts = page.locator("[data-testid='stVegaLiteChart']")
    expect(charts.locator("svg.marks")).to_have_count(2)
    charts.first.hover()
    with page.expect_download() as picture:
        page.get_by_role("button", name="Download as PNG").first.click()
    assert picture.value.path().read_bytes().startswith(b"\x89PNG")
    charts.first.hover()
    page.get_by_role("button", name="Show data").first.click()
    expect(page.locator("canvas table th", has_text="metrics mae")).to_be_attached()
    page.locator("[data-testid='stDataFrame']").first.hover()
    with page.expect_download() as data:
        page.get_by_role("button", name="Download as CSV").first.click()
    rows = list(csv.DictReader(data.value.path().read_text(encoding="utf-8-sig").splitlines()))
    assert {row["run"]: float(row["metrics mae"]) for row in rows} == {f"depth {n}": 1 / n for n in DEPTHS}
    leave(page)


def test_runs_are_compared_by_their_price_their_applications_and_their_data(team: Team, page: Page) -> None:
    runs = [run_id_of(f"nightly {day}") for day in (1, 2)]
    asked = f"{team.address}/?page=compare&run={'&run='.join(runs)}&chart=type%3Dbar%26x%3Drun%26y%3Dprice"
    page.goto(asked)
    table = page.locator(".st-key-comparison canvas table tr")
    expect(page.get_by_text("price by run")).to_be_visible()
    expect(page.locator("[data-testid='stVegaLiteChart'] svg.marks")).to_have_count(1)
    expect(table.filter(has_text="Price")).to_have_text(re.compile(r"\d\.\d\d EUR.*\d\.\d\d EUR"))
    expect(table.filter(has_text="Application ID")).to_contain_text("app-1app-2")
    lines = table.all_inner_texts()
    page.locator(".st-key-comparison [data-testid='stDataFrame']").click(position={"x": 200, "y": 16})  # a header
    page.wait_for_timeout(500)
    assert table.all_inner_texts() == lines  # as they were, not by their names
    page.goto(f"{asked}&group=Spark+configuration")
    expect(table.filter(has_text="spark.app.id")).to_contain_text("app-1app-2")
    expect(table.filter(has_text="spark.master")).to_have_count(0)  # the same
    page.goto(f"{asked}&all=yes&group=Data")
    expect(table.filter(has_text="Reads")).to_be_attached()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").last.click()
    assert download.value.path().read_text().startswith("Group,What,Differs,nightly-1,nightly-2")
    leave(page)
