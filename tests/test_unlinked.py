"""Runs without a link: finding them, suggesting their application, and linking them once a person says so."""

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from afterglow.run_details import run_details
from afterglow_monitor.cli import cli
from afterglow_monitor.errors import CannotLink
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_monitor.writing.linking import Linker, application_named, suggestion_for
from afterglow_store import Query, Store, audit, ingest_file, open_store, search_applications, search_runs
from afterglow_store.errors import NotFound
from afterglow_store.items import run_by_id
from afterglow_store.runs import refresh_sums, take_in_run
from afterglow_store.suggest import LONGEST_MS, Suggestion, suggest
from tests.support.journals import Journal
from tests.support.labelled import RUNS, Team
from tests.support.tracking import free_port

START = 1_790_000_000_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
SEED = 20_261_123


@pytest.fixture
def linker(store: Store, client: MlflowClient) -> Linker:
    return Linker(store, "grace", lambda row: client)


def application(store: Store, folder: Path, app_id: str = "app-1", *, minutes: float = 10, **told: Any) -> int:
    """One that only the listener watched: 10 minutes of anna's, on 10.0.0.12, with a job at its beginning."""
    named: dict[str, Any] = {"name": "train.py", "user": "anna", "start": START} | told
    journal = Journal(folder, app_id, **named)
    journal.wait(20).job().wait(minutes * 60 - 24)
    ingest_file(store, journal.end_without_hook(), now=START)
    with store.read() as conn:
        return int(search_applications(conn, Query(app=app_id)).rows[0]["id"])  # the latest


def run(store: Store, *, began: int = 15 * SECOND, ended: int | None = 5 * MINUTE, **told: Any) -> str:
    """One without a link, told in ms after START."""
    run_id = uuid4().hex
    details: dict[str, Any] = {
        "run_id": run_id, "run_name": "by hand", "experiment_id": "1", "experiment_name": "team", "user": "anna",
        "start_time": START + began, "end_time": None if ended is None else START + ended, "tags": {},
        "status": "RUNNING" if ended is None else "FINISHED", "source_name": "/home/anna/train.py",
    } | told  # fmt: skip
    with store.write() as conn:
        take_in_run(conn, details, server="team", tracking_uri="http://127.0.0.1:1", as_of=START)
        refresh_sums(conn, [run_id])
    return run_id


def suggested(store: Store, run_id: str) -> Suggestion | None:
    with store.read() as conn:
        return suggest(conn, [run_by_id(conn, run_id)]).get(run_id)


def judged(store: Store, seed: int) -> tuple[int, int, int]:
    """Of that seed's team: how many suggestions, how many of them are right, how many runs have one to be found."""
    team = Team(seed)
    team.fill(store)
    with store.read() as conn:
        rows = search_runs(conn, Query(linked=False, limit=RUNS)).rows
        given = suggest(conn, rows)
    assert len(rows) == RUNS
    right = sum(team.truth[run_id] == each.application_id for run_id, each in given.items())
    findable = sum(truth is not None for truth in team.truth.values())
    print(f"seed {seed}: {len(given)} suggestions for {RUNS} runs, {right} right, {findable} to be found")
    return len(given), right, findable


def test_of_200_labelled_runs_nearly_all_suggestions_are_right(store: Store) -> None:
    given, right, findable = judged(store, SEED)
    print(f"precision {right / given:.3f}, recall {right / findable:.3f}")
    assert right / given >= 0.95
    assert right / findable >= 0.4


def test_other_teams_are_judged_as_well(tmp_path: Path) -> None:
    """One seed is one throw of the dice."""
    counts = []
    for seed in range(1, 6):
        with closing(open_store(f"sqlite:///{tmp_path / str(seed)}")) as each:
            counts.append(judged(each, seed))
    given, right, findable = (sum(column) for column in zip(*counts, strict=True))
    print(f"precision {right / given:.3f}, recall {right / findable:.3f}")
    assert right / given >= 0.95
    assert right / findable >= 0.4


def test_user_time_and_script_say_so_in_words(store: Store, tmp_path: Path) -> None:
    number = application(store, tmp_path)
    found = suggested(store, run(store))
    assert found is not None
    assert (found.application_id, found.app_id, found.name) == (number, "app-1", "train.py")
    assert found.why == (
        "same user anna, its script train.py is what the application was submitted with, "
        "began 15 s after the application and ended 5 min before its end, 1 of its Spark jobs ran meanwhile"
    )


def test_user_time_and_host_say_so(store: Store, tmp_path: Path) -> None:
    application(store, tmp_path, name="nightly")
    found = suggested(store, run(store, source_name="<console>", tags={"hostname": "10.0.0.12"}))
    assert found is not None
    assert "same host 10.0.0.12" in found.why


AGAINST: list[dict[str, Any]] = [
    {"user": "bela"},
    {"user": None},
    {"user": "unknown"},
    {"began": -MINUTE},
    {"ended": 11 * MINUTE},
    {"began": 11 * MINUTE, "ended": 12 * MINUTE},
    {"tags": {"hostname": "10.0.0.13"}},
    {"source_name": "score.py"},
    {"source_name": "ipykernel_launcher.py"},
    {"tags": {"spark.app.id": "app-of-another-store"}},
]


def test_what_speaks_against_it_rules_it_out(store: Store, tmp_path: Path) -> None:
    application(store, tmp_path)
    assert suggested(store, run(store)) is not None
    assert [told for told in AGAINST if suggested(store, run(store, **told)) is not None] == []


def test_user_and_time_alone_are_not_enough(store: Store, tmp_path: Path) -> None:
    application(store, tmp_path, name="pyspark-shell")
    assert suggested(store, run(store, source_name="ipykernel_launcher.py")) is None
    used_spark = {"estimator_class": "pyspark.ml.regression.LinearRegression"}
    assert suggested(store, run(store, source_name="ipykernel_launcher.py", tags=used_spark)) is not None


def test_a_host_that_every_machine_has_says_nothing(store: Store, tmp_path: Path) -> None:
    application(store, tmp_path, name="nightly")
    for host in ("localhost", "127.0.0.1", "", "driver-svc.jobs.svc"):
        assert suggested(store, run(store, source_name="<console>", tags={"hostname": host})) is None, host
        assert suggested(store, run(store, source_name="nightly.py", tags={"hostname": host})) is not None, host


def test_clocks_may_differ_by_a_few_seconds(store: Store, tmp_path: Path) -> None:
    application(store, tmp_path)
    assert suggested(store, run(store, began=-3 * SECOND, ended=10 * MINUTE + 3 * SECOND)) is not None


def test_a_login_that_many_share_needs_more(store: Store, tmp_path: Path) -> None:
    application(store, tmp_path, name="nightly", user="root")
    told: dict[str, Any] = {"began": 2 * MINUTE, "user": "root", "tags": {"hostname": "10.0.0.12"}}
    assert suggested(store, run(store, source_name="<console>", **told)) is None
    assert suggested(store, run(store, source_name="nightly.py", **told)) is not None


def test_an_application_that_links_its_own_runs_needs_more(store: Store, tmp_path: Path) -> None:
    journal = Journal(tmp_path, "app-1", name="train.py", user="anna", start=START)
    journal.run_end(journal.wait(5).run_start(uuid4().hex, "by the hook"))
    ingest_file(store, journal.wait(595).end(), now=START)
    assert suggested(store, run(store)) is None
    assert suggested(store, run(store, tags={"hostname": "10.0.0.12"})) is not None


def test_of_two_that_nothing_tells_apart_none_is_suggested(store: Store, tmp_path: Path) -> None:
    application(store, tmp_path, "app-1")
    one, other = run(store), run(store, tags={"hostname": "10.0.0.12"})
    assert suggested(store, one) is not None
    application(store, tmp_path, "app-2", start=START + 2 * SECOND)
    assert suggested(store, one) is None
    assert suggested(store, other) is None


def test_what_tells_two_apart_decides(store: Store, tmp_path: Path) -> None:
    first = application(store, tmp_path, "app-1", minutes=10)
    application(store, tmp_path, "app-2", start=START + 2 * SECOND, minutes=3)  # over before the run is
    application(store, tmp_path, "app-3", start=START + 3 * SECOND, name="other")
    found = suggested(store, run(store))
    assert found is not None
    assert found.application_id == first


def test_of_two_back_to_back_it_is_the_one_that_holds_the_whole_run(store: Store, tmp_path: Path) -> None:
    application(store, tmp_path, "app-1")
    second = application(store, tmp_path, "app-2", start=START + 10 * MINUTE + SECOND)
    found = suggested(store, run(store, began=10 * MINUTE + 3 * SECOND, ended=12 * MINUTE))
    assert found is not None
    assert found.application_id == second
    assert suggested(store, run(store, began=10 * MINUTE + SECOND, ended=10 * MINUTE + 2 * SECOND)) is None


def test_a_child_goes_with_its_parent(store: Store, tmp_path: Path) -> None:
    journal = Journal(tmp_path, "app-1", name="search", user="anna", start=START)
    parent = journal.wait(5).run_start(uuid4().hex, "parent")
    ingest_file(store, journal.wait(595).end_without_hook(), now=START)
    application(store, tmp_path, "app-2", start=START + SECOND, name="search")
    child = run(store, source_name="<console>", tags={"mlflow.parentRunId": parent["run_id"]})
    found = suggested(store, child)
    assert found is not None
    assert (found.app_id, "its parent run is of this application" in found.why) == ("app-1", True)


def test_one_that_runs_is_found_however_old_and_one_that_went_silent_is_not(store: Store, tmp_path: Path) -> None:
    journal = Journal(tmp_path, "app-1", name="train.py", user="anna", start=START - 2 * LONGEST_MS)
    journal.wait((2 * LONGEST_MS + 6 * MINUTE) / SECOND).job()
    ingest_file(store, journal.path, now=START)
    assert suggested(store, run(store, ended=None)) is not None
    assert suggested(store, run(store, began=HOUR, ended=None)) is None


def test_a_suggestion_is_no_link(store: Store, tmp_path: Path) -> None:
    number = application(store, tmp_path)
    run_id = run(store, ended=None)
    assert suggested(store, run_id) is not None
    with store.read() as conn:
        row = run_by_id(conn, run_id)
        [app] = search_applications(conn, Query()).rows
        of_app = search_runs(conn, Query(application_id=number)).rows
    assert (row["applications"], app["runs"], app["experiments"], of_app) == ([], 0, 0, [])
    assert row["effective_status"] == "RUNNING"  # not orphaned with the application that it may be of
    assert row["status_reason"] == "owner unknown"


def test_runs_are_listed_with_or_without_a_link(store: Store, tmp_path: Path) -> None:
    journal = Journal(tmp_path, "app-1", name="train.py", start=START)
    journal.run_start(linked := uuid4().hex, "linked")
    ingest_file(store, journal.path, now=START)
    unlinked = run(store)
    with store.read() as conn:
        lists = {which: search_runs(conn, Query(linked=which)) for which in (None, True, False)}
    assert {each: {row["run_id"] for row in page.rows} for each, page in lists.items()} == {
        None: {linked, unlinked}, True: {linked}, False: {unlinked}
    }  # fmt: skip
    assert [page.total for page in lists.values()] == [2, 1, 1]


def in_mlflow(store: Store, client: MlflowClient, **tags: str) -> str:
    """A run that MLflow has, taken in as sync does it."""
    experiment = client.create_experiment(f"unlinked {uuid4().hex[:8]}")
    told = {"mlflow.user": "anna", "mlflow.source.name": "train.py", **tags}
    made = client.create_run(experiment, start_time=START + 15 * SECOND, tags=told, run_name="by hand")
    client.set_terminated(made.info.run_id, end_time=START + 5 * MINUTE)
    taken_in(store, client, made.info.run_id)
    return str(made.info.run_id)


def taken_in(store: Store, client: MlflowClient, run_id: str) -> None:
    """As sync does it; of this run only, since other tests have theirs on the same server."""
    details: dict[str, Any] = dict(run_details(client, run_id))
    with store.write() as conn:
        take_in_run(conn, details, server="team", tracking_uri=client.tracking_uri, as_of=int(time.time() * 1000))
        refresh_sums(conn, [run_id])


def sync(store: Store, client: MlflowClient) -> None:
    ServerSync(store, MlflowServer(name="team", uri=client.tracking_uri), SyncSettings()).poll(START)


def test_accepting_a_suggestion_tags_the_run_in_mlflow_and_links_it(
    store: Store, client: MlflowClient, linker: Linker, tmp_path: Path
) -> None:
    number = application(store, tmp_path)
    run_id = in_mlflow(store, client, team="cellar")
    with store.read() as conn:
        found = suggestion_for(conn, run_id)
    row = linker.link(run_id, found.application_id, why=found.why, now=START + HOUR)
    tags = client.get_run(run_id).data.tags
    assert tags["spark.app.id"] == "app-1"
    assert tags["spark.app.startTime"] == str(START)
    assert tags["spark.app.name"] == "train.py"
    assert tags["afterglow.linked"].startswith("app-1 by grace: same user anna")
    assert tags["team"] == "cellar"
    assert [(each["id"], each["source"]) for each in row["applications"]] == [(number, "inferred")]
    with store.read() as conn:
        [app] = search_applications(conn, Query()).rows
    assert (app["runs"], app["experiments"]) == (1, 1)


def test_a_later_sync_and_a_new_store_keep_its_source(
    store: Store, client: MlflowClient, linker: Linker, tmp_path: Path, sqlite_url: str
) -> None:
    run_id = in_mlflow(store, client)
    linker.link(run_id, application(store, tmp_path), why="known", now=START + HOUR)
    client.set_tag(run_id, "note", "edited later")
    sync(store, client)
    other = open_store(sqlite_url + ".new")
    sync(other, client)
    application(other, tmp_path / "again")
    for each in (store, other):
        with each.read() as conn:
            assert [of["source"] for of in run_by_id(conn, run_id)["applications"]] == ["inferred"]
    other.close()


def test_undo_takes_the_tags_and_the_link_back_and_both_are_in_the_audit(
    store: Store, client: MlflowClient, linker: Linker, tmp_path: Path
) -> None:
    number = application(store, tmp_path)
    run_id = in_mlflow(store, client, **{"spark.app.name": "set by a person"})
    before = client.get_run(run_id).data.tags
    linker.link(run_id, number, why="known", now=START + HOUR)
    assert client.get_run(run_id).data.tags["spark.app.name"] == "set by a person"
    row = linker.undo(run_id, now=START + 2 * HOUR)
    assert client.get_run(run_id).data.tags == before == row["tags"]
    assert (row["applications"], row["app_id_tag"]) == ([], None)
    taken_in(store, client, run_id)
    with store.read() as conn:
        assert run_by_id(conn, run_id)["applications"] == []
        assert search_applications(conn, Query()).rows[0]["runs"] == 0
        undone, linked = audit.entries(conn)
    assert (linked["action"], linked["who"], linked["time"]) == ("link", "grace", START + HOUR)
    assert (linked["before"], linked["after"]["app_id"]) == ({"app_id": None}, "app-1")
    assert (undone["action"], undone["after"]) == ("undo link", {"app_id": None})
    with pytest.raises(CannotLink, match="was not linked by hand"):
        linker.undo(run_id, now=START + 3 * HOUR)


def test_an_undo_that_was_cut_short_can_be_done_again(
    store: Store, client: MlflowClient, linker: Linker, tmp_path: Path
) -> None:
    run_id = in_mlflow(store, client)
    before = client.get_run(run_id).data.tags
    linker.link(run_id, application(store, tmp_path), why="known", now=START + HOUR)
    for tag in ("spark.app.name", "afterglow.linked"):
        client.delete_tag(run_id, tag)
    assert linker.undo(run_id, now=START + 2 * HOUR)["applications"] == []
    assert client.get_run(run_id).data.tags == before


def test_a_run_that_has_a_link_or_names_another_application_is_left_alone(
    store: Store, client: MlflowClient, linker: Linker, tmp_path: Path
) -> None:
    number = application(store, tmp_path)
    run_id, foreign, late = (
        in_mlflow(store, client, **tags) for tags in ({}, {"spark.app.id": "app-elsewhere"}, {"note": "x"})
    )
    linker.link(run_id, number, why="known", now=START + HOUR)
    with pytest.raises(CannotLink, match="is linked to app-1 already"):
        linker.link(run_id, number, why="known", now=START + HOUR)
    with pytest.raises(CannotLink, match="names its application itself, app-elsewhere"):
        linker.link(foreign, number, why="known", now=START + HOUR)
    client.set_tag(late, "spark.app.id", "app-meanwhile")
    with pytest.raises(CannotLink, match=r"MLflow says that run .* is of app-meanwhile"):
        linker.link(late, number, why="known", now=START + HOUR)
    assert client.get_run(late).data.tags["spark.app.id"] == "app-meanwhile"


def test_a_run_or_an_application_that_is_not_there_is_an_error(store: Store, linker: Linker, tmp_path: Path) -> None:
    number = application(store, tmp_path)
    with pytest.raises(NotFound, match="run 0 is not in the store"):
        linker.link("0", number, why="known", now=START)
    with pytest.raises(NotFound, match="application 999 is not in the store"):
        linker.link(run(store), 999, why="known", now=START)
    with store.read() as conn, pytest.raises(NotFound, match="application app-9 is not in the store"):
        application_named(conn, "app-9", run(store))


def test_of_several_applications_of_one_id_it_is_the_one_that_ran_then(store: Store, tmp_path: Path) -> None:
    for hour in (0, 1, 2):
        application(store, tmp_path, "local-1", start=START + hour * HOUR)
    then, between = run(store, began=HOUR + MINUTE, ended=None), run(store, began=30 * MINUTE)
    with store.read() as conn:
        chosen = run_by_id(conn, then), application_named(conn, "local-1", then)
        by_number = {row["id"]: row["start_time"] for row in search_applications(conn, Query()).rows}
        assert by_number[chosen[1]] == START + HOUR
        with pytest.raises(CannotLink, match="3 applications have the id local-1"):
            application_named(conn, "local-1", between)
        assert application_named(conn, str(chosen[1]), between) == chosen[1]


def test_where_mlflow_does_not_answer_nothing_is_done(
    store: Store, client: MlflowClient, linker: Linker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    number, run_id = application(store, tmp_path), in_mlflow(store, client)
    dead = MlflowClient(tracking_uri=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(CannotLink, match="MLflow did not take it"):
        replace(linker, client_of=lambda row: dead).link(run_id, number, why="known", now=START + HOUR)
    with store.read() as conn:
        assert run_by_id(conn, run_id)["applications"] == []
        assert audit.entries(conn) == []
    linker.link(run_id, number, why="known", now=START + HOUR)
    with pytest.raises(CannotLink, match="MLflow did not take it"):
        replace(linker, client_of=lambda row: dead).undo(run_id, now=START + HOUR)
    with store.read() as conn:
        assert len(run_by_id(conn, run_id)["applications"]) == 1


def test_a_run_that_mlflow_has_deleted_is_an_error_and_nothing_is_written(
    store: Store, client: MlflowClient, linker: Linker, tmp_path: Path
) -> None:
    number, run_id = application(store, tmp_path), in_mlflow(store, client)
    client.delete_run(run_id)
    with pytest.raises(CannotLink, match="MLflow did not take it"):
        linker.link(run_id, number, why="known", now=START + HOUR)
    assert "spark.app.id" not in client.get_run(run_id).data.tags
    with store.read() as conn:
        [entry] = audit.entries(conn)
    assert entry["action"] == "link (not finished)"
    assert "MLflow did not take it" in entry["after"]["refused"]


def test_the_commands_list_show_ask_link_and_undo(
    client: MlflowClient, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home-of-link"
    store = open_store(f"sqlite:///{home / 'store.db'}")
    application(store, tmp_path / "journal")
    run_id, lonely = in_mlflow(store, client), in_mlflow(store, client, **{"mlflow.user": "nobody-else"})
    store.close()
    (home / "afterglow.toml").write_text(f'[[mlflow]]\nname = "team"\nuri = "{mlflow_server}"\n')

    monkeypatch.setenv("AFTERGLOW_HOME", str(home))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    def afterglow(*arguments: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(cli, arguments, input=answer)

    listed = orjson.loads(afterglow("runs", "--since", "all", "--unlinked", "--json").stdout)
    by_id = {row["run_id"]: row["suggested_application"] for row in listed}
    assert (by_id[run_id]["app_id"], by_id[lonely]) == ("app-1", None)
    assert by_id[run_id]["why"].startswith("same user anna, its script train.py")
    table = afterglow("runs", "--since", "all", "--unlinked").stdout.splitlines()
    assert "suggested application" in table[0]
    assert next(line for line in table if run_id in line).endswith("app-1")

    shown = afterglow("link", run_id, "--suggested", "--dry-run")
    assert f"{run_id}  →  app-1 (train.py): same user anna" in shown.stdout
    assert "1 runs would be linked. Nothing was written." in shown.stdout
    assert afterglow("link", run_id, "--suggested", answer="n\n").exit_code == 1
    assert "spark.app.id" not in client.get_run(run_id).data.tags

    some = afterglow("link", run_id, lonely, "--suggested", "--yes")
    assert (some.exit_code, f"nothing is suggested for run {lonely}" in some.stderr) == (1, True)
    assert client.get_run(run_id).data.tags["spark.app.id"] == "app-1"
    assert afterglow("link", lonely, "--application", "app-1", answer="y\n").exit_code == 0
    assert afterglow("link", run_id, lonely, "--undo", "--yes").exit_code == 0
    assert "spark.app.id" not in client.get_run(lonely).data.tags
    assert "say one of --application" in afterglow("link", run_id).stderr
