"""Snapshots: what a run was stays as it was, is listed, and is told apart from what it is now."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from mlflow import MlflowClient

from afterglow_monitor.cli import cli
from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_store import Query, Store, diff, ingest_file, open_store, search_applications, snapshots
from afterglow_store.diff import between
from afterglow_store.errors import NotFound
from afterglow_store.runs import take_in_run
from afterglow_store.schema import snapshot_content
from tests.support.journals import TRACKING_URI, Journal, run_id_of

START = 1_790_000_000_000
RUN = run_id_of("kept")
ALWAYS = SyncSettings(recent_interval_seconds=0.001, sweep_interval_seconds=0.001, share=1)
BEFORE: dict[str, Any] = {
    "run_id": RUN,
    "run_name": "first",
    "status": "RUNNING",
    "start_time": START,
    "end_time": None,
    "params": {"depth": "5", "gone": "x"},
    "metrics": {"rmse": 0.5, "broken": "NaN"},
    "tags": {"team": "a"},
    "outputs": [{"path": "a.txt", "size": 1}, {"path": "b.txt", "size": 2}],
    "registered_versions": [],
}


def journal_of(folder: Path, name: str = "train", start: int = START) -> Path:
    """An application with one run, which leaves two snapshots."""
    journal = Journal(folder, f"app-{name}", name=name, start=start)
    run = journal.run_start(run_id_of(name), name, params={"depth": "5"})
    journal.run_end(run, metrics={"loss": 0.5})
    return journal.end()


def test_differences_come_in_the_order_for_reading_and_say_what_was_and_what_is() -> None:
    after = copy.deepcopy(BEFORE) | {"status": "FINISHED", "end_time": START + 1, "run_name": "renamed"}
    after["params"] = {"depth": "6"}
    after["metrics"]["rmse"] = 0.25
    after["tags"]["quality"] = "good"
    after["outputs"] = [{"path": "a.txt", "size": 3}]
    after["registered_versions"] = [
        {"name": "wine", "version": "10", "stage": "Production", "aliases": ["best", "champion"]},
        {"name": "wine", "version": "9"},
    ]
    assert [(each.kind, each.name, each.how, each.before, each.after) for each in between(BEFORE, after)] == [
        ("run", "status", "changed", "RUNNING", "FINISHED"),
        ("run", "run_name", "changed", "first", "renamed"),
        ("run", "end_time", "added", None, START + 1),
        ("metric", "rmse", "changed", 0.5, 0.25),
        ("param", "depth", "changed", "5", "6"),
        ("param", "gone", "removed", "x", None),
        ("registered model", "wine", "added", None, "v9, v10 · Production · @best · @champion"),
        ("output file", "a.txt", "changed", 1, 3),
        ("output file", "b.txt", "removed", 2, None),
        ("tag", "quality", "added", None, "good"),
    ]


def test_what_nobody_had_looked_for_has_not_come_or_gone() -> None:
    unasked = {key: value for key, value in BEFORE.items() if key not in ("outputs", "registered_versions")}
    assert between(unasked, BEFORE) == between(BEFORE, unasked) == between(BEFORE, BEFORE) == []


def test_snapshots_are_listed_for_a_run_an_experiment_and_an_application_newest_first(
    store: Store, tmp_path: Path
) -> None:
    for number, name in enumerate(("train", "score")):
        ingest_file(store, journal_of(tmp_path, name, START + number * 60_000), now=START)
    with store.read() as conn:
        of_run = snapshots.listed(conn, snapshots.Of(run_id=run_id_of("train")))
        of_app = snapshots.listed(conn, snapshots.Of(application_id=of_run[0]["application_id"]))
        of_experiment = snapshots.listed(conn, snapshots.Of(experiment=(TRACKING_URI, "1")))
        second_page = snapshots.listed(conn, snapshots.Of(experiment=(TRACKING_URI, "1")), limit=2, offset=2)
        contents = conn.scalar(sa.select(sa.func.count()).select_from(snapshot_content))
    assert [row["cause"] for row in of_run] == ["application end", "run end"]
    assert of_app == of_run
    assert [row["run_name"] for row in of_experiment] == ["score", "score", "train", "train"]
    assert second_page == of_run
    assert of_run[0]["app_id"] == "app-train"
    assert of_run[0]["content_hash"] == of_run[1]["content_hash"]  # two moments, one content
    assert contents == 2
    assert all(0 < row["content_bytes"] < 1_000 for row in of_experiment)


def test_a_snapshot_or_a_present_that_is_not_there_is_said_so(store: Store, tmp_path: Path) -> None:
    with store.read() as conn, pytest.raises(NotFound, match="snapshot 7 is not in the store"):
        diff.of_snapshots(conn, 7, None)
    with store.write() as conn:
        snapshots.take(conn, "run", RUN, BEFORE, time=START, cause=snapshots.SYNC)
    with store.read() as conn, pytest.raises(NotFound, match=f"run {RUN} is not in the store any more"):
        diff.of_snapshots(conn, 1, None)


def test_the_command_line_lists_shows_and_compares(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    ingest_file(store, journal_of(tmp_path / "journal"), now=START)
    with store.write() as conn:
        snapshots.take(
            conn,
            "run",
            run_id_of("train"),
            BEFORE | {"run_id": run_id_of("train")},
            time=START - 1,
            cause=snapshots.SYNC,
        )
    store.close()

    def afterglow(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, arguments, env={"AFTERGLOW_HOME": str(tmp_path)})
        assert done.exit_code == code, done.output
        return done.output

    listed = orjson.loads(afterglow("snapshots", "--app", "app-train", "--json"))
    assert [row["cause"] for row in listed] == ["application end", "run end"]
    assert orjson.loads(afterglow("snapshots", "--experiment", "wine-quality", "--limit", "2", "--json")) == listed
    assert "sync" in afterglow("snapshots", "--run", run_id_of("train"))
    shown = orjson.loads(afterglow("snapshot", str(listed[0]["id"])))
    assert (shown["taken_time"], shown["content"]["params"]) == (listed[0]["taken_time"], {"depth": "5"})
    assert afterglow("diff", str(listed[0]["id"])) == "Nothing has changed.\n"
    changes = orjson.loads(afterglow("diff", "3", "now", "--json"))
    assert changes[0] | {"change": ""} == {
        "kind": "run", "name": "status", "change": "", "before": "RUNNING", "after": "FINISHED",
    }  # fmt: skip
    assert "wine-quality" not in afterglow("diff", "1", "2")
    assert "snapshot 99 is not in the store" in afterglow("diff", "1", "99", code=1)
    assert "neither the number of a snapshot nor now" in afterglow("diff", "1", "then", code=2)
    for option in ("--run", "--experiment", "--app"):
        assert "is not in the store" in afterglow("snapshots", option, "unheard-of", code=1)


@pytest.fixture
def poll(store: Store, mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], int]:
    """A sync of a real MLflow server, so many minutes from now."""
    sync, began = ServerSync(store, MlflowServer(name="team", uri=mlflow_server), ALWAYS), now_ms()

    def poll(minutes: float) -> int:
        monkeypatch.setattr("afterglow_monitor.syncing.sync.now_ms", lambda: began + int(minutes * 60_000))
        return sync.poll(began)

    return poll


def ended_run(client: MlflowClient, **tags: str) -> str:
    run_id: str = client.create_run(client.create_experiment(f"kept {uuid4().hex[:8]}"), tags=tags).info.run_id
    client.set_terminated(run_id)
    return run_id


def kept(store: Store, run_id: str, name: str) -> list[tuple[int, Any]]:
    """Each snapshot of a run, oldest first: its minute after the first, and its value of this tag or field."""
    with store.read() as conn:
        rows = snapshots.snapshots_of(conn, "run", run_id)[::-1]
        contents = [snapshots.content(conn, row["id"]) for row in rows]
    minutes = [round((row["taken_time"] - rows[0]["taken_time"]) / 60_000) for row in rows]
    return [(at, each["tags"].get(name, each.get(name))) for at, each in zip(minutes, contents, strict=True)]


def test_edits_in_one_minute_are_one_snapshot_and_what_lasted_longer_is_not_missed(
    store: Store, client: MlflowClient, poll: Callable[[float], int]
) -> None:
    run_id = ended_run(client, note="at first")
    poll(0)
    for number in range(3):
        client.set_tag(run_id, "note", f"edit {number}")
        poll(0.2 * (number + 1))
    assert kept(store, run_id, "note") == [(0, "at first")]
    client.set_tag(run_id, "note", "much later")
    poll(10)
    assert kept(store, run_id, "note") == [(0, "at first"), (1, "edit 2"), (10, "much later")]


def test_a_run_that_is_deleted_edited_or_restored_in_mlflow_keeps_its_old_snapshots_as_they_were(
    store: Store, client: MlflowClient, poll: Callable[[float], int], tmp_path: Path, store_url: str
) -> None:
    run_id = ended_run(client, team="a")
    poll(0)
    client.delete_run(run_id)
    poll(2)
    shown = CliRunner().invoke(
        cli, ["runs", "--since", "all", "--limit", "1000", "--json"],
        env={"AFTERGLOW_HOME": str(tmp_path), "AFTERGLOW_STORE_URL": store_url},
    )  # fmt: skip
    assert {row["run_id"]: row["lifecycle_stage"] for row in orjson.loads(shown.output)}[run_id] == "deleted"
    client.restore_run(run_id)
    poll(4)
    client.set_tag(run_id, "team", "b")
    poll(6)
    assert kept(store, run_id, "lifecycle_stage") == [(0, "active"), (2, "deleted"), (4, "active"), (6, "active")]
    assert kept(store, run_id, "team") == [(0, "a"), (2, "a"), (4, "a"), (6, "b")]
    with store.read() as conn:
        newest, *_, oldest = snapshots.snapshots_of(conn, "run", run_id)
        [change] = diff.of_snapshots(conn, oldest["id"], newest["id"])
    assert (change.kind, change.name, change.before, change.after) == ("tag", "team", "a", "b")


def test_an_applications_runs_are_told_as_it_left_them_and_what_has_changed_since(store: Store, tmp_path: Path) -> None:
    for name in ("moved", "same"):
        ingest_file(store, journal_of(tmp_path, name), now=START)
    with store.write() as conn:
        [end, _] = snapshots.snapshots_of(conn, "run", run_id_of("moved"))
        details = snapshots.content(conn, end["id"]) | {"params": {"depth": "6"}}
        take_in_run(conn, details, server=TRACKING_URI, tracking_uri=TRACKING_URI, as_of=START + 10**6)
    with store.read() as conn:
        ids = {row["app_id"]: row["id"] for row in search_applications(conn, Query()).rows}
        moved, same = (diff.as_left_by(conn, ids[f"app-{name}"])[run_id_of(name)] for name in ("moved", "same"))
        listed = snapshots.listed(conn, snapshots.Of(linked_to=ids["app-same"]))
    assert [(each.name, each.before, each.after) for each in moved.changes] == [("depth", "5", "6")]
    assert (moved.snapshot_id, moved.details["params"], same.changes) == (end["id"], {"depth": "5"}, [])
    assert {row["run_id"] for row in listed} == {run_id_of("same")}
