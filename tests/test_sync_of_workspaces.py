"""A tracking server with MLflow's workspaces on: the runs of all that may be read, by both sources."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, Settings, SyncSettings
from afterglow_monitor.syncing import sync, tracking_server, workspaces
from afterglow_monitor.syncing.clients import tracking_client
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_monitor.syncing.tracking_database import TrackingDatabase
from afterglow_monitor.writing import clients
from afterglow_store import Query, Store, open_store, search_experiments, search_runs
from afterglow_store.items import run_by_id
from tests.support.meddling import Answer, meddling_proxy
from tests.support.tracking import running_mlflow

ALL = SyncSettings(recent_interval_seconds=0.001, sweep_interval_seconds=0.001, share=1)
LONG_AGO = 1_500_000_000_000


@dataclass(frozen=True)
class Team:
    """A server with an experiment `churn` in its default workspace and another one in the workspace `fraud`."""

    uri: str
    database: str
    plain: str  # runs
    fraud: str


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("workspaces")
    (folder / "note.txt").write_text("twelve bytes")
    with running_mlflow(folder, "--enable-workspaces") as uri:
        MlflowClient(uri).create_workspace("fraud")
        made = {}
        for workspace in ("default", "fraud"):
            client = tracking_client(uri, workspace)
            run_id = client.create_run(client.create_experiment("churn"), start_time=LONG_AGO).info.run_id
            client.log_artifact(run_id, str(folder / "note.txt"))
            client.create_registered_model("wine")
            client.create_model_version("wine", f"runs:/{run_id}/model", run_id=run_id)
            client.set_registered_model_alias("wine", f"best-of-{workspace}", "1")
            client.set_terminated(run_id)
            made[workspace] = run_id
        yield Team(uri, f"sqlite:///{folder / 'mlflow.db'}", made["default"], made["fraud"])


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _whole_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "SWEEP_SECONDS", 60)
    monkeypatch.setattr(tracking_server, "PAGE", 2)
    monkeypatch.setattr(workspaces, "EXPERIMENTS_SECONDS", 0.0)


def named(store: Store, filter_: str) -> set[str]:
    with store.read() as conn:
        return {row["run_id"] for row in search_runs(conn, Query(filter=filter_)).rows}


@pytest.mark.parametrize("kind", ["client", "database"])
def test_runs_of_all_workspaces_are_read_and_told_apart(store: Store, team: Team, kind: str) -> None:
    server = MlflowServer(name="team", uri=team.uri, database=team.database if kind == "database" else "")
    synced = ServerSync(store, server, ALL)
    synced.poll(now_ms())
    with store.read() as conn:
        experiments = search_experiments(conn, Query(filter="name = 'churn'")).rows
        runs = {run_id: run_by_id(conn, run_id) for run_id in (team.plain, team.fraud)}
    assert {row["workspace"] for row in experiments} == {None, "fraud"}
    assert {row["experiment_id"] for row in experiments} == {row["experiment_id"] for row in runs.values()}
    assert [row["workspace"] for row in runs.values()] == [None, "fraud"]
    aliases = [row["registered_versions"][0]["aliases"] for row in runs.values()]
    assert aliases == [["best-of-default"], ["best-of-fraud"]]
    assert named(store, "experiment.workspace = 'fraud'") == {team.fraud}
    assert {team.plain, team.fraud} <= named(store, "experiment.name = 'churn'")
    assert synced.poll(now_ms()) == 0


def test_both_sources_read_the_same(team: Team) -> None:
    asked, direct = workspaces.asked_server(team.uri), TrackingDatabase(team.database)
    assert asked.experiments() == direct.experiments()
    assert asked.registered_versions() == direct.registered_versions()
    found = [
        {run["run_id"]: run for runs, _ in source.chunks(until=LONG_AGO) for run in runs} for source in (asked, direct)
    ]
    assert found[0] == found[1]
    assert {team.plain, team.fraud} <= set(found[0])


def test_a_run_of_a_workspace_can_be_followed_settled_and_its_files_listed(store: Store, team: Team) -> None:
    fraud = tracking_client(team.uri, "fraud")
    server = MlflowServer(name="team", uri=team.uri)
    run_id = fraud.create_run(fraud.get_experiment_by_name("churn").experiment_id).info.run_id
    synced = ServerSync(store, server, ALL)
    synced.poll(now_ms())
    fraud.log_metric(run_id, "loss", 3)
    synced.poll(now_ms())
    with store.read() as conn:
        row = run_by_id(conn, run_id)
    assert row["metrics"] == {"loss": 3}
    settings = Settings(home=Path("/nowhere"), mlflow=(server,))
    clients(settings)(row).set_terminated(run_id, "KILLED")
    fraud.log_text(run_id, "twelve bytes", "note.txt")
    synced.poll(now_ms())
    with store.read() as conn:
        row = run_by_id(conn, run_id)
    assert row["status"] == "KILLED"
    assert row["outputs"] == [{"path": "note.txt", "size": 12}]


def test_a_workspace_that_is_made_later_is_read_as_well(store: Store, team: Team) -> None:
    synced = ServerSync(store, MlflowServer(name="team", uri=team.uri), ALL)
    synced.poll(now_ms())
    MlflowClient(team.uri).create_workspace("late")
    late = tracking_client(team.uri, "late")
    run_id = late.create_run(late.create_experiment("churn")).info.run_id
    synced.poll(now_ms())
    with store.read() as conn:
        assert run_by_id(conn, run_id)["workspace"] == "late"


def remove_for_good(database: str, run_id: str) -> None:
    """As `mlflow gc` does it, to a run without params and metrics."""
    with sqlite3.connect(database.removeprefix("sqlite:///"), timeout=20) as conn:
        conn.execute("DELETE FROM tags WHERE run_uuid = ?", [run_id])
        conn.execute("DELETE FROM runs WHERE run_uuid = ?", [run_id])
    conn.close()


def without_fraud(path: str, answer: Answer) -> Answer:
    """As for somebody who has lost the permission for that workspace."""
    if not path.endswith("/mlflow/workspaces"):
        return answer
    said = json.loads(answer[1])
    kept = [each for each in said["workspaces"] if each["name"] != "fraud"]
    return answer[0], json.dumps({"workspaces": kept}).encode()


def test_runs_of_a_workspace_that_may_no_longer_be_read_are_not_purged_but_those_that_gc_took_are(
    store: Store, team: Team
) -> None:
    fraud = tracking_client(team.uri, "fraud")
    run_id = fraud.create_run(fraud.get_experiment_by_name("churn").experiment_id, start_time=LONG_AGO).info.run_id
    with meddling_proxy(team.uri) as proxy:
        synced = ServerSync(store, MlflowServer(name="team", uri=proxy.uri), ALL)
        synced.poll(now_ms())
        fraud.delete_run(run_id)
        remove_for_good(team.database, run_id)
        proxy.meddle = without_fraud
        synced.poll(now_ms())
        synced.poll(now_ms())
        assert named(store, "lifecycle_stage = 'purged'") == set()
        proxy.meddle = lambda _path, answer: answer
        synced.poll(now_ms())
        synced.poll(now_ms())
        assert named(store, "lifecycle_stage = 'purged'") == {run_id}
