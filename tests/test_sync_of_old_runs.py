"""Sync of runs that started long ago, by asking the server and by reading its database: both find what changed."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mlflow import MlflowClient

from afterglow_monitor import format as fmt
from afterglow_monitor.cli.sync import server_lines
from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.syncing import reading, sync, tracking_server
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_store import Query, Store, open_store, search_experiments, search_runs, snapshots, tracking
from afterglow_store.items import run_by_id
from afterglow_store.runs import take_in_run

NEVER = 1_000_000.0
SWEEPING = SyncSettings(recent_interval_seconds=NEVER, sweep_interval_seconds=0.001, share=1)
QUIET = SyncSettings(recent_interval_seconds=NEVER, sweep_interval_seconds=NEVER)
LONG_AGO = 1_500_000_000_000
Row = dict[str, Any]
Poll = Callable[[], int]


@pytest.fixture(autouse=True)
def _whole_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, and however many runs other tests have left on the server."""
    monkeypatch.setattr(sync, "LOAD_SECONDS", 60)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def experiment(client: MlflowClient) -> str:
    return str(client.create_experiment(f"old {uuid4().hex[:8]}"))


@pytest.fixture(params=["client", "database"])
def server(request: pytest.FixtureRequest, mlflow_server: str, mlflow_folder: Path) -> MlflowServer:
    """The session's tracking server, by its URI alone and with its database."""
    database = f"sqlite:///{mlflow_folder / 'mlflow.db'}" if request.param == "database" else ""
    return MlflowServer(name="team", uri=mlflow_server, database=database)


def old_run(client: MlflowClient, experiment: str, status: str = "FINISHED", **options: Any) -> str:
    run_id: str = client.create_run(experiment, start_time=LONG_AGO, **options).info.run_id
    client.set_terminated(run_id, status, LONG_AGO + 1_000)
    return run_id


def stored(store: Store, run_id: str) -> Row:
    with store.read() as conn:
        return run_by_id(conn, run_id)


def errors(store: Store) -> dict[str, str | None]:
    with store.read() as conn:
        return {row["name"]: row["last_error"] for row in tracking.servers(conn)}


def test_what_is_changed_in_old_runs_is_found_by_the_sweep(
    store: Store, client: MlflowClient, experiment: str, server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "SWEEP_SECONDS", 60)
    edited, deleted, restored, renamed, moved = (old_run(client, experiment, tags={"quality": "?"}) for _ in range(5))
    client.delete_run(restored)
    synced = ServerSync(store, server, SWEEPING)
    synced.poll(now_ms())
    assert stored(store, restored)["lifecycle_stage"] == "deleted"
    client.set_tag(edited, "quality", "good")
    client.delete_run(deleted)
    client.restore_run(restored)
    client.update_run(renamed, name="renamed")
    client.update_run(moved, status="FAILED")
    assert synced.poll(now_ms()) == 5
    assert stored(store, edited)["tags"]["quality"] == "good"
    assert stored(store, deleted)["lifecycle_stage"] == "deleted"
    assert stored(store, restored)["lifecycle_stage"] == "active"
    assert stored(store, renamed)["name"] == "renamed"
    assert stored(store, moved)["status"] == "FAILED"
    with store.read() as conn:
        taken = snapshots.snapshots_of(conn, "run", edited)
        # What it was; what it is now is kept once it changes again, or another minute has begun.
        assert [snapshots.content(conn, each["id"])["tags"]["quality"] for each in taken] == ["?"]
        [row] = tracking.servers(conn)
    assert f"sweep      through all runs: the last one took {row['sweep_ms'] / 1000:,.1f} s" in server_lines(row)
    assert row["sweep_until"] is None
    assert synced.poll(now_ms()) == 0


@pytest.mark.filterwarnings("ignore:.*transition_model_version_stage:FutureWarning")
def test_what_is_registered_of_an_old_run_is_found_without_the_sweep(
    store: Store, client: MlflowClient, experiment: str, server: MlflowServer
) -> None:
    run_id = old_run(client, experiment)
    synced = ServerSync(
        store, server, SyncSettings(recent_interval_seconds=0.001, sweep_interval_seconds=NEVER, share=1)
    )
    synced.poll(now_ms())
    client.create_registered_model(model := f"wine-{uuid4().hex[:8]}")
    client.create_model_version(model, f"runs:/{run_id}/model", run_id=run_id)
    synced.poll(now_ms())
    assert stored(store, run_id)["registered_versions"] == [{"name": model, "version": "1"}]
    client.transition_model_version_stage(model, "1", "Production")
    synced.poll(now_ms())
    assert fmt.versions(stored(store, run_id)["registered_versions"]) == f"{model} v1 · Production"
    client.set_registered_model_alias(model, "champion", "1")
    synced.poll(now_ms())
    assert fmt.versions(stored(store, run_id)["registered_versions"]) == f"{model} v1 · Production · @champion"
    client.delete_model_version(model, "1")
    synced.poll(now_ms())
    assert stored(store, run_id)["registered_versions"] == []


def test_a_run_that_ran_for_long_is_followed_to_its_end(
    store: Store, client: MlflowClient, experiment: str, server: MlflowServer
) -> None:
    run_id = client.create_run(experiment, start_time=LONG_AGO).info.run_id
    synced = ServerSync(store, server, QUIET)
    synced.poll(now_ms())
    client.create_run(experiment)
    client.set_terminated(run_id)
    synced.poll(now_ms())
    assert stored(store, run_id)["status"] == "FINISHED"


def test_runs_of_the_same_start_in_several_chunks_are_all_there_after_a_kill(
    store: Store, client: MlflowClient, experiment: str, server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_server, "PAGE", 3)
    monkeypatch.setattr(reading, "BATCH", 3)
    monkeypatch.setattr(sync, "LOAD_SECONDS", 0.000_001)  # a chunk at each poll
    made = {client.create_run(experiment, start_time=now_ms() + 3_600_000).info.run_id for _ in range(4)}
    made |= {old_run(client, experiment) for _ in range(4)}
    synced = ServerSync(store, server, QUIET)
    synced.poll(now_ms())
    synced.poll(now_ms())
    assert synced.progress[0] == 6
    assert not synced.loaded
    monkeypatch.setattr(sync, "LOAD_SECONDS", 60)
    again = ServerSync(store, server, QUIET)  # as after a kill
    again.poll(now_ms())
    assert again.loaded
    with store.read() as conn:
        found = {row["run_id"] for row in search_runs(conn, Query(experiment=experiment, server="team")).rows}
    assert found == made


def test_the_driver_by_an_address_monitor_by_a_name_and_the_database_give_one_run(
    store: Store, client: MlflowClient, experiment: str, mlflow_server: str, mlflow_folder: Path
) -> None:
    run_id = old_run(client, experiment)
    details = {"run_id": run_id, "experiment_id": experiment, "status": "RUNNING", "tags": {}}
    with store.write() as conn:
        told = tracking.server_of(conn, run_id, mlflow_server)
        take_in_run(conn, details, server=told, tracking_uri=mlflow_server, as_of=1)
    by_name = mlflow_server.replace("127.0.0.1", "localhost")
    ServerSync(store, MlflowServer(name="team", uri=by_name), QUIET).poll(now_ms())
    direct = MlflowServer(name="team", uri=by_name, database=f"sqlite:///{mlflow_folder / 'mlflow.db'}")
    ServerSync(store, direct, SWEEPING).poll(now_ms())
    with store.read() as conn:
        rows = search_runs(conn, Query(experiment=experiment)).rows
        experiments = search_experiments(conn, Query(experiment=experiment)).rows
        assert tracking.server_of(conn, run_id, mlflow_server) == "team"
    assert [(row["run_id"], row["server"], row["status"]) for row in rows] == [(run_id, "team", "FINISHED")]
    assert [(row["server"], row["runs"]) for row in experiments] == [("team", 1)]


def test_a_server_that_never_answers_is_shown_while_others_are_read(
    store: Store, client: MlflowClient, experiment: str, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setattr(sync, "SILENT_SECONDS", 0.5)
    run_id = old_run(client, experiment)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hung = MlflowServer(name="hung", uri=f"http://127.0.0.1:{silent.getsockname()[1]}")
        hanging = ServerSync(store, hung, QUIET, ["hung", "team"])
        thread = threading.Thread(target=hanging.read, args=(now_ms(),))
        thread.start()
        time.sleep(0.6)
        hanging.note_silence(now_ms())
        noted = errors(store)["hung"] or ""
        team = MlflowServer(name="team", uri=mlflow_server)
        ServerSync(store, team, QUIET, ["hung", "team"]).poll(now_ms())
        assert errors(store)["team"] is None
        assert "not answered for" in noted
        thread.join(30)
    assert not thread.is_alive()
    assert stored(store, run_id)["status"] == "FINISHED"
    assert "timed out" in (hanging.error or "")
