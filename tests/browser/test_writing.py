"""What a person changes in Monitor: tags of one run and of many, a model saved, an experiment created, in MLflow."""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from mlflow import MlflowClient
from mlflow.models import Model
from playwright.sync_api import Page, expect

from afterglow.run_details import run_details
from afterglow_store import Store, audit, ingest_file, open_store
from afterglow_store.judge import judge
from afterglow_store.runs import refresh_sums, take_in_run
from tests.support.journals import Journal
from tests.support.monitor import Grid, heading, running_monitor, uvicorn_with
from tests.support.tracking import free_port

expect.set_options(timeout=15_000)  # for a machine that does other things as well


class Team(NamedTuple):
    """A Monitor over a tracking server in which three runs have ended."""

    address: str
    client: MlflowClient
    store: Store
    runs: list[str]
    experiment: str


@pytest.fixture
def team(mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    home = tmp_path / "home-of-team"
    home.mkdir()
    (home / "afterglow.toml").write_text(f'[[mlflow]]\nname = "team"\nuri = "{mlflow_server}"\n')
    monkeypatch.setenv("AFTERGLOW_HOME", str(home))
    client = MlflowClient(tracking_uri=mlflow_server, registry_uri=mlflow_server)
    experiment = client.create_experiment(f"cellar {tmp_path.name} {time.time_ns()}")
    now = int(time.time() * 1000)
    with closing(open_store(f"sqlite:///{home / 'store.db'}")) as store:
        made = [
            client.create_run(experiment, now - 60_000 * n, {"team": "a"}, f"run-{n}").info.run_id for n in (1, 2, 3)
        ]
        for depth, run_id in enumerate(made):
            client.log_param(run_id, "depth", depth)
            client.log_metric(run_id, "rmse", 0.5 + depth / 10)
            client.set_terminated(run_id)
            take_in(store, client, run_id)
        with running_monitor(store.url, home) as address:
            yield Team(address, client, store, made, experiment)


def take_in(store: Store, client: MlflowClient, run_id: str) -> None:
    as_of = int(time.time() * 1000)
    with store.write() as conn:
        take_in_run(conn, dict(run_details(client, run_id)), server="team", tracking_uri="", as_of=as_of)
        refresh_sums(conn, [run_id])


def leave(page: Page) -> None:
    page.goto("about:blank")  # before the server goes: a page without one complains


def tags_of(team: Team, run_id: str) -> dict[str, str]:
    return {k: v for k, v in team.client.get_run(run_id).data.tags.items() if not k.startswith("mlflow.")}


def test_tags_are_set_changed_deleted_and_taken_back_on_a_runs_page(team: Team, page: Page) -> None:
    run_id = team.runs[0]
    page.goto(f"{team.address}/?page=run&id={run_id}&tab=tags")
    page.get_by_label("Name", exact=True).fill("mlflow.mine")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Names that begin with “mlflow” are reserved.")).to_be_visible()
    expect(page.get_by_text("Give the tag a value.")).to_be_visible()

    page.get_by_label("Name", exact=True).fill("stage")
    page.get_by_label("Value", exact=True).fill("final")
    page.get_by_role("button", name="Save", exact=True).click()
    Grid(page, "list-tags").row("final")
    assert tags_of(team, run_id) == {"team": "a", "stage": "final"}

    Grid(page, "list-tags").open("team")
    expect(page.get_by_text("Change a tag")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Add a tag")).to_be_visible()
    assert tags_of(team, run_id) == {"stage": "final"}

    expect(page.get_by_text("team: a → –")).to_be_visible()
    page.get_by_role("button", name="Undo the last change").click()
    expect(page.get_by_text("team: – → a")).to_be_visible()
    Grid(page, "list-tags").row("team")
    assert tags_of(team, run_id) == {"team": "a", "stage": "final"}
    leave(page)


def test_the_very_runs_that_were_selected_are_compared_though_others_arrive(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?tab=runs")
    Grid(page).select("run-2")
    Grid(page).select("run-3")
    expect(page.get_by_text("2 runs selected")).to_be_visible()
    for number in range(10):
        late = team.client.create_run(team.experiment, run_name=f"late-{number}")
        take_in(team.store, team.client, late.info.run_id)
    expect(page.get_by_role("button", name="10 new runs: show")).to_be_visible()
    expect(Grid(page).cells.filter(has_text="late-")).to_have_count(0)
    page.get_by_role("button", name="10 new runs: show").click()
    Grid(page).row("late-9")
    expect(page.get_by_text("2 runs selected")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    expect(heading(page, "2 runs compared")).to_be_visible()
    page.wait_for_url(f"**run={team.runs[1]}&run={team.runs[2]}")
    expect(page.locator("[data-testid='stVegaLiteChart']")).to_have_count(2)
    table = page.locator(".st-key-comparison canvas table tr")
    expect(table.filter(has_text="depth")).to_contain_text("12")
    expect(table.filter(has_text="rmse")).to_contain_text("0.60.7")
    expect(table.filter(has_text="Experiment")).to_have_count(0)  # it is the same
    page.get_by_text("Only differences").click()
    expect(table.filter(has_text="Experiment")).to_have_count(1)
    page.go_back()
    expect(table.filter(has_text="Experiment")).to_have_count(0)
    page.go_back()
    expect(page.get_by_text("2 runs selected")).to_be_visible()
    leave(page)


def test_a_tag_is_set_on_many_runs_and_taken_back(team: Team, page: Page) -> None:
    page.goto(f"{team.address}/?tab=runs")
    Grid(page).select("run-1")
    page.get_by_role("button", name="Tag …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("All 3 runs of the list").click()
    dialog.get_by_label("Name", exact=True).fill("team")
    dialog.get_by_label("Value", exact=True).fill("b")
    expect(dialog.get_by_role("button", name="Set on 3 runs")).to_be_enabled()
    late = team.client.create_run(team.experiment, run_name="late").info.run_id
    take_in(team.store, team.client, late)
    dialog.get_by_role("button", name="Set on 3 runs").click()
    expect(dialog.get_by_text("3 runs changed.")).to_be_visible()
    assert [tags_of(team, each) for each in team.runs] == [{"team": "b"}] * 3
    assert tags_of(team, late) == {}
    dialog.get_by_role("button", name="Undo").click()
    expect(dialog.get_by_text("3 runs taken back.")).to_be_visible()
    assert [tags_of(team, each) for each in team.runs] == [{"team": "a"}] * 3
    leave(page)


def test_of_a_list_that_is_too_long_the_first_runs_are_tagged_and_the_dialog_says_so(
    team: Team, tmp_path: Path, page: Page
) -> None:
    port = free_port()
    at_most_two = uvicorn_with(port, "afterglow_monitor.listing.bulk_tags", "MOST", 2)
    with running_monitor(team.store.url, tmp_path / "home-of-team", command=at_most_two, port=port) as address:
        page.goto(f"{address}/?tab=runs")
        Grid(page).select("run-3")
        page.get_by_role("button", name="Tag …").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("button", name="Set on 1 run")).to_be_visible()
        dialog.get_by_text("The first 2 of the list").click()
        expect(dialog.get_by_text("At most 2 runs are tagged at once, and the list has more")).to_be_visible()
        dialog.get_by_label("Name", exact=True).fill("team")
        dialog.get_by_label("Value", exact=True).fill("b")
        dialog.get_by_role("button", name="Set on 2 runs").click()
        expect(dialog.get_by_text("2 runs changed.")).to_be_visible()
        assert [tags_of(team, each)["team"] for each in team.runs] == ["b", "b", "a"]
        leave(page)


def test_a_model_is_saved_and_an_experiment_created(team: Team, page: Page, tmp_path: Path) -> None:
    run_id, name = team.client.create_run(team.experiment, run_name="fermenting").info.run_id, f"wine {time.time_ns()}"
    take_in(team.store, team.client, run_id)
    Model(artifact_path="model", run_id=run_id).save(str(tmp_path / "MLmodel"))
    team.client.log_artifact(run_id, str(tmp_path / "MLmodel"), "model")
    page.goto(f"{team.address}/?page=run&id={run_id}")
    expect(page.locator(".st-key-title")).to_contain_text("Running")
    team.client.set_terminated(run_id)
    take_in(team.store, team.client, run_id)
    page.get_by_role("button", name="Save as model …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("combobox").last).to_be_visible()
    page.wait_for_timeout(3_000)  # while it ran, the page was drawn again every two seconds
    dialog.get_by_role("combobox").last.fill(name)
    page.get_by_role("option", name=name).click()
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator(".st-key-facts-header")).to_contain_text(f"{name} v1")
    assert team.client.get_model_version(name, "1").run_id == run_id

    page.goto(f"{team.address}/?tab=experiments")
    page.get_by_role("button", name="New experiment …").click()
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_text("Give the experiment a name.")).to_be_visible()
    dialog.get_by_label("Name", exact=True).fill(name)
    dialog.get_by_role("textbox", name="Tags").fill("team=cellar, cost=42")
    dialog.get_by_role("button", name="Create").click()
    expect(heading(page, name)).to_be_visible()
    made = team.client.get_experiment_by_name(name)
    assert made is not None
    assert made.tags.items() >= {"team": "cellar", "cost": "42"}.items()
    leave(page)


def left_behind(team: Team, folder: Path, name: str, began: int) -> str:
    """A run whose driver was killed."""
    run_id: str = team.client.create_run(team.experiment, run_name=name).info.run_id
    take_in(team.store, team.client, run_id)
    journal = Journal(folder / "journal", f"app of {name}", name="killed", start=began)
    journal.run_start(run_id, name, experiment_id=team.experiment)
    ingest_file(team.store, journal.wait(30).job(run_id).path, now=began)
    with team.store.write() as conn:
        judge(conn, now=began + 3_600_000, server_started=began, grace_ms=120_000)
    return run_id


def test_an_orphaned_run_is_settled_after_its_dry_run_and_taken_back(team: Team, tmp_path: Path, page: Page) -> None:
    began = int(time.time() * 1000) - 3_600_000
    run_id = left_behind(team, tmp_path, "left behind", began)
    page.goto(f"{team.address}/?tab=health")
    Grid(page).select("left behind")
    expect(page.get_by_text("1 run selected")).to_be_visible()
    left_behind(team, tmp_path, "another one", began + 1_000)
    expect(page.get_by_role("heading", name=re.compile("^Orphaned.* 2$"))).to_be_visible()
    expect(Grid(page).cells).to_have_count(1)  # no row comes in above the one that is chosen
    page.get_by_role("button", name="Settle as KILLED …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("MLflow will say KILLED of:")).to_be_visible()
    expect(dialog.get_by_text("left behind, its driver is gone")).to_be_visible()
    assert team.client.get_run(run_id).info.status == "RUNNING"
    dialog.get_by_role("button", name="Settle 1 run").click()
    expect(page.get_by_text("in Monitor: settle")).to_be_visible()
    assert team.client.get_run(run_id).info.status == "KILLED"
    with team.store.write() as conn:  # a tag of many runs, meanwhile
        for _ in range(25):
            audit.record(conn, who="lin", time=began, action=audit.TAG, run_id=team.runs[0], before={}, after={})
    expect(page.get_by_text("lin: tag")).to_have_count(20)
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.get_by_text("in Monitor: undo settle")).to_be_visible()
    assert team.client.get_run(run_id).info.status == "RUNNING"
    leave(page)


def test_a_chart_is_made_of_the_history_of_a_metric_and_is_an_address(team: Team, page: Page) -> None:
    for step in range(50):
        team.client.log_metric(team.runs[0], "loss", 1 / (step + 1), step=step)
        team.client.log_metric(team.runs[1], "loss", 2 / (step + 1), step=step)
    for run_id in team.runs[:2]:
        take_in(team.store, team.client, run_id)
    chart = quote("type=line&x=step&y=metrics.loss&title=How it learns")
    page.goto(f"{team.address}/?page=compare&run={team.runs[0]}&run={team.runs[1]}&chart={chart}")
    expect(page.get_by_text("How it learns")).to_be_visible()
    expect(page.locator("[data-testid='stVegaLiteChart'] .marks")).to_have_count(1)
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("textbox", name="Title").fill("Loss")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("Loss", exact=True)).to_be_visible()
    page.wait_for_url("**title%3DLoss**")
    page.go_back()
    expect(page.get_by_text("How it learns")).to_be_visible()
    leave(page)


def test_metrics_are_drawn_over_steps_or_time_smoothed_and_by_logarithms(team: Team, page: Page) -> None:
    for step in range(50):
        team.client.log_metric(team.runs[0], "loss", 1 / (step + 1), step=step)
    take_in(team.store, team.client, team.runs[0])
    page.goto(f"{team.address}/?page=run&id={team.runs[0]}&tab=charts")
    charts = page.locator("[data-testid='stVegaLiteChart'] svg.marks")
    expect(charts).to_have_count(2)  # of loss and rmse
    of_loss = charts.first
    at_forty = of_loss.locator(".role-axis-label text").filter(has_text=re.compile("^40$"))
    line, faint = of_loss.locator(".mark-line path").last, of_loss.locator(".mark-line path[opacity='0.25']")
    expect(at_forty).to_have_count(1)  # the step
    expect(faint).to_have_count(0)

    page.get_by_role("radio", name="Time").click()
    page.wait_for_url("**axis=time**")
    expect(at_forty).to_have_count(0)
    linear = line.get_attribute("d")
    assert linear
    page.get_by_text("Log scale").click()
    page.wait_for_url("**log=yes**")
    expect(line).not_to_have_attribute("d", linear)
    page.get_by_role("slider", name="Smoothing").press("ArrowRight")
    page.wait_for_url("**smooth=0.5**")
    expect(faint).to_have_count(1)  # what was logged, behind the smoothed line
    page.goto(f"{page.url}&metric=rmse")
    expect(charts).to_have_count(1)
    leave(page)


def test_nothing_can_be_changed_where_the_server_is_read_only(team: Team, tmp_path: Path, page: Page) -> None:
    settings = tmp_path / "home-of-team" / "afterglow.toml"
    settings.write_text(f"[monitor]\nread_only = true\n{settings.read_text()}")
    with running_monitor(team.store.url, tmp_path / "home-of-team") as address:
        page.goto(f"{address}/?page=run&id={team.runs[0]}&tab=tags")
        Grid(page, "list-tags").row("team")
        expect(page.get_by_text("Add a tag")).to_have_count(0)
        expect(page.get_by_role("button", name="Save as model …")).to_have_count(0)
        page.goto(f"{address}/?tab=experiments")
        expect(page.locator(".st-key-counted")).to_contain_text("1 experiment")
        expect(page.get_by_role("button", name="New experiment …")).to_have_count(0)
        leave(page)
