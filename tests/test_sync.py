"""Sync: what a real MLflow server says, in the store, on both databases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import mlflow
import pytest
from mlflow import MlflowClient

from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_store import Query, Store, search_experiments, search_runs, snapshots, tracking
from afterglow_store.items import run_by_id
from afterglow_store.runs import take_in_run
from tests.support.tracking import free_port

ALWAYS = SyncSettings(recent_interval_seconds=0.001, sweep_interval_seconds=0.001, share=1)
Row = dict[str, Any]


@pytest.fixture
def experiment(client: MlflowClient) -> str:
    """A fresh experiment on the shared server."""
    return str(client.create_experiment(f"sync {uuid4().hex[:8]}"))


@pytest.fixture
def poll(store: Store, mlflow_server: str) -> Callable[[], int]:
    sync = ServerSync(store, MlflowServer(name="team", uri=mlflow_server), ALWAYS)
    return lambda: sync.poll(now_ms())


def stored(store: Store, run_id: str) -> Row:
    with store.read() as conn:
        return run_by_id(conn, run_id)


def test_a_run_is_in_the_store_with_everything_that_mlflow_has_of_it(
    store: Store, client: MlflowClient, experiment: str, poll: Callable[[], int], tmp_path: Path
) -> None:
    run_id = client.create_run(experiment, run_name="first", tags={"team": "a"}).info.run_id
    client.log_param(run_id, "depth", 5)
    for name, value in (("rmse", 0.5), ("broken", float("nan")), ("endless", float("-inf"))):
        client.log_metric(run_id, name, value)
    (tmp_path / "note.txt").write_text("twelve bytes")
    client.log_artifact(run_id, str(tmp_path / "note.txt"), "notes")
    client.set_terminated(run_id)
    poll()
    row, run = stored(store, run_id), client.get_run(run_id)
    assert (row["name"], row["status"], row["server"]) == ("first", "FINISHED", "team")
    assert row["experiment"] == client.get_experiment(experiment).name
    assert (row["start_time"], row["end_time"]) == (run.info.start_time, run.info.end_time)
    assert row["params"] == {"depth": "5"}
    assert row["metrics"]["rmse"] == 0.5
    assert row["metrics"]["broken"] == "NaN"
    assert isinstance(row["metrics"]["endless"], float | str)  # MLflow's databases keep it as -1.8e308
    assert row["tags"]["team"] == "a"
    assert row["outputs"] == [{"path": "notes/note.txt", "size": 12}]
    assert row["applications"] == []


def test_a_pass_without_news_changes_nothing(
    store: Store, client: MlflowClient, experiment: str, poll: Callable[[], int]
) -> None:
    client.set_terminated(client.create_run(experiment).info.run_id)
    client.create_run(experiment)
    assert poll() >= 2
    assert poll() == 0


def test_a_running_run_is_followed_and_gets_its_snapshot_when_it_ends(
    store: Store, client: MlflowClient, experiment: str, poll: Callable[[], int]
) -> None:
    run_id = client.create_run(experiment).info.run_id
    poll()
    client.log_metric(run_id, "loss", 3)
    poll()
    assert stored(store, run_id)["metrics"] == {"loss": 3}
    with store.read() as conn:
        assert snapshots.snapshots_of(conn, "run", run_id) == []
    client.set_terminated(run_id, "FAILED")
    poll()
    assert stored(store, run_id)["effective_status"] == "FAILED"
    with store.read() as conn:
        assert [each["cause"] for each in snapshots.snapshots_of(conn, "run", run_id)] == ["sync"]


def test_an_edit_of_an_old_run_is_found_and_its_earlier_snapshot_stays_as_it_was(
    store: Store, client: MlflowClient, experiment: str, poll: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterglow_store.snapshots.PAUSE_MS", 0)
    run_id = client.create_run(experiment, tags={"quality": "unknown"}).info.run_id
    client.set_terminated(run_id)
    poll()
    client.set_tag(run_id, "quality", "good")
    client.update_run(run_id, name="renamed")
    poll()
    row = stored(store, run_id)
    assert (row["tags"]["quality"], row["name"]) == ("good", "renamed")
    with store.read() as conn:
        newest, oldest = snapshots.snapshots_of(conn, "run", run_id)
        assert snapshots.content(conn, oldest["id"])["tags"]["quality"] == "unknown"
        assert snapshots.content(conn, newest["id"])["tags"]["quality"] == "good"


def test_a_deleted_run_is_shown_as_deleted_and_a_restored_one_is_back(
    store: Store, client: MlflowClient, experiment: str, poll: Callable[[], int]
) -> None:
    run_id = client.create_run(experiment).info.run_id
    client.set_terminated(run_id)
    poll()
    client.delete_run(run_id)
    poll()
    assert stored(store, run_id)["lifecycle_stage"] == "deleted"
    client.restore_run(run_id)
    poll()
    assert stored(store, run_id)["lifecycle_stage"] == "active"


def test_a_model_that_is_registered_later_shows_at_its_run(
    store: Store, client: MlflowClient, experiment: str, poll: Callable[[], int]
) -> None:
    run_id = client.create_run(experiment).info.run_id
    client.set_terminated(run_id)
    poll()
    model = f"wine-{uuid4().hex[:8]}"
    client.create_registered_model(model)
    client.create_model_version(model, f"runs:/{run_id}/model", run_id=run_id)
    poll()
    assert stored(store, run_id)["registered_versions"] == [{"name": model, "version": "1"}]


def test_an_experiment_without_runs_is_listed_and_follows_its_name(
    store: Store, client: MlflowClient, experiment: str, poll: Callable[[], int]
) -> None:
    poll()
    client.rename_experiment(experiment, f"renamed {experiment} {uuid4().hex[:6]}")
    poll()
    with store.read() as conn:
        rows = search_experiments(conn, Query(experiment=experiment, server="team")).rows
    assert [row["name"] for row in rows] == [client.get_experiment(experiment).name]


def test_more_runs_than_a_page_are_all_read(
    store: Store, client: MlflowClient, experiment: str, poll: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterglow_monitor.syncing.tracking_server.PAGE", 7)
    monkeypatch.setattr("afterglow_monitor.syncing.sync.LOAD_SECONDS", 60)
    made = {client.create_run(experiment, start_time=1_790_000_000_000).info.run_id for _ in range(8)}
    poll()
    with store.read() as conn:
        found = {row["run_id"] for row in search_runs(conn, Query(experiment=experiment, server="team")).rows}
    assert found == made


def test_a_server_that_is_down_is_shown_as_such_and_costs_nothing_that_is_known(
    store: Store, client: MlflowClient, experiment: str, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run_id = client.create_run(experiment).info.run_id
    client.set_terminated(run_id)
    ServerSync(store, MlflowServer(name="team", uri=mlflow_server), ALWAYS).poll(now_ms())
    down = MlflowServer(name="down", uri=f"http://127.0.0.1:{free_port()}")
    assert ServerSync(store, down, ALWAYS).poll(now_ms()) == 0
    with store.read() as conn:
        known = {row["name"]: row for row in tracking.servers(conn)}
    assert known["team"]["last_error"] is None
    assert "127.0.0.1" in known["down"]["last_error"]
    assert stored(store, run_id)["status"] == "FINISHED"


def test_a_run_told_by_a_journal_and_read_from_its_server_is_one_run(
    store: Store, client: MlflowClient, experiment: str, mlflow_server: str, poll: Callable[[], int]
) -> None:
    run_id = client.create_run(experiment).info.run_id
    client.set_terminated(run_id)
    poll()
    with store.read() as conn:
        assert tracking.server_of(conn, run_id, "http://another-name:5000") == "team"
        assert tracking.server_of(conn, "unheard of", mlflow_server) == "team"
        assert tracking.server_of(conn, "unheard of", "http://me:secret@elsewhere:5000/") == "http://elsewhere:5000"


def test_an_experiment_that_a_journal_told_of_first_is_listed_once(
    store: Store, client: MlflowClient, experiment: str, poll: Callable[[], int]
) -> None:
    run_id = client.create_run(experiment).info.run_id
    details = {"run_id": run_id, "experiment_id": experiment, "status": "RUNNING", "tags": {}}
    with store.write() as conn:
        take_in_run(conn, details, server="http://a-name-of-its-own", tracking_uri="http://a-name-of-its-own", as_of=1)
    poll()
    with store.read() as conn:
        rows = search_experiments(conn, Query(experiment=experiment)).rows
    assert [(row["server"], row["runs"]) for row in rows] == [("team", 1)]


def test_sync_leaves_the_tracking_uri_of_its_process_alone(poll: Callable[[], int]) -> None:
    before = mlflow.get_tracking_uri()
    poll()
    assert mlflow.get_tracking_uri() == before
