"""Runs that `mlflow gc` deletes for good are shown as such, and nothing else is mistaken for that."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import copyfile
from uuid import uuid4

import pytest
from mlflow import MlflowClient

from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.syncing import sync, tracking_database, tracking_server
from afterglow_monitor.syncing.rereading import Missing
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_monitor.syncing.tracking_server import TrackingServer
from afterglow_store import Query, Store, open_store, search_experiments, search_runs, snapshots
from afterglow_store.items import run_by_id
from afterglow_store.runs import Origin, take_in_runs
from tests.support.generated import RUNS
from tests.support.meddling import Answer, Meddle, half_the_runs, meddling_proxy, no_runs, without
from tests.support.tracking import free_port

SWEEPING = SyncSettings(recent_interval_seconds=1_000_000.0, sweep_interval_seconds=0.001, share=1)
LONG_AGO = 1_500_000_000_000


@pytest.fixture(autouse=True)
def _whole_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "SWEEP_SECONDS", 60)
    monkeypatch.setattr(sync, "LOAD_SECONDS", 60)
    monkeypatch.setattr(sync, "LOOKED_FOR", 2)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


def made_runs(server: str) -> list[str]:
    """Seven runs, four of which start in the same millisecond; the first is RUNNING, the second and fourth deleted."""
    client = MlflowClient(server, server)
    experiment = client.create_experiment(f"purged {uuid4().hex[:8]}")
    starts = [LONG_AGO + (0 if nth in (2, 3, 4) else nth) for nth in range(7)]
    made = [client.create_run(experiment, start_time=start).info.run_id for start in starts]
    for run_id in made[1:]:
        client.set_terminated(run_id)
    for run_id in (made[1], made[3]):
        client.delete_run(run_id)
    return made


@pytest.fixture(scope="module")
def run_ids(mlflow_server: str) -> list[str]:
    return made_runs(mlflow_server)


def stages(store: Store, run_ids: list[str]) -> list[str | None]:
    with store.read() as conn:
        return [run_by_id(conn, run_id)["lifecycle_stage"] for run_id in run_ids]


def sweep(synced: ServerSync) -> None:
    """A whole one, and what it asks for afterwards."""
    synced.poll(now_ms())
    synced.poll(now_ms())


@pytest.mark.matrix  # it takes long
def test_a_run_that_mlflow_gc_has_removed_is_purged_and_its_snapshots_stay(
    store: Store, mlflow_server: str, mlflow_folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    database = f"sqlite:///{mlflow_folder / 'mlflow.db'}"
    run_ids = made_runs(mlflow_server)
    monkeypatch.setattr(tracking_server, "PAGE", 3)
    monkeypatch.setattr(tracking_database, "CHUNK", 3)
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    asking = ServerSync(store, MlflowServer(name="team", uri=mlflow_server), SWEEPING)
    reading = ServerSync(other, MlflowServer(name="team", uri=mlflow_server, database=database), SWEEPING)
    asking.poll(now_ms())
    reading.poll(now_ms())
    assert stages(store, run_ids) == ["active", "deleted", "active", "deleted", "active", "active", "active"]
    gone = [run_ids[1], run_ids[3]]
    remove_for_good(database, mlflow_server, gone)
    for synced, its_store in ((asking, store), (reading, other)):
        sweep(synced)
        assert stages(its_store, run_ids) == ["active", "purged", "active", "purged", "active", "active", "active"]
        with its_store.read() as conn:
            [taken] = snapshots.snapshots_of(conn, "run", gone[0])
            assert snapshots.content(conn, taken["id"])["lifecycle_stage"] == "deleted"
            found = search_runs(conn, Query(filter="lifecycle_stage = 'purged'")).rows
        assert {row["run_id"] for row in found} == set(gone)
        assert synced.poll(now_ms()) == 0
    other.close()


def test_an_experiment_that_mlflow_has_deleted_for_good_is_purged_and_back_once_it_is(
    store: Store, mlflow_server: str, mlflow_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_server, "EXPERIMENTS_SECONDS", 0)  # all of them are read each time
    database = f"sqlite:///{mlflow_folder / 'mlflow.db'}"
    client = MlflowClient(mlflow_server, mlflow_server)
    gone, deleted = (client.create_experiment(f"{what} {uuid4().hex[:8]}") for what in ("gone", "deleted"))
    for each in (gone, deleted):
        client.delete_experiment(each)
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    asking = ServerSync(store, MlflowServer(name="team", uri=mlflow_server), SWEEPING)
    reading = ServerSync(other, MlflowServer(name="team", uri=mlflow_server, database=database), SWEEPING)
    for synced in (asking, reading):
        synced.poll(now_ms())
    with closing(sqlite3.connect(mlflow_folder / "mlflow.db", timeout=60)) as its, its:  # as `mlflow gc` does
        its.execute("DELETE FROM experiment_tags WHERE experiment_id = ?", [gone])
        assert its.execute("DELETE FROM experiments WHERE experiment_id = ?", [gone]).rowcount == 1
    for synced, its_store in ((asking, store), (reading, other)):
        synced.poll(now_ms())
        assert stages_of_experiments(its_store, gone, deleted) == ["purged", "deleted"]
        synced.poll(now_ms())
        assert synced.error is None
    again = {**TrackingServer(mlflow_server).experiments()[deleted], "experiment_id": gone}
    monkeypatch.setattr(TrackingServer, "experiments", lambda *_, **__: {gone: again, deleted: again})  # of a backup
    asking.poll(now_ms())
    assert stages_of_experiments(store, gone) == ["deleted"]
    other.close()


def test_an_experiment_that_may_not_be_read_any_more_is_not_purged(
    store: Store, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = MlflowClient(mlflow_server, mlflow_server).create_experiment(f"hidden {uuid4().hex[:8]}")
    synced = ServerSync(store, MlflowServer(name="team", uri=mlflow_server), SWEEPING)
    synced.poll(now_ms())
    found = TrackingServer(mlflow_server).experiments()
    less = {key: each for key, each in found.items() if key != hidden}
    monkeypatch.setattr(TrackingServer, "experiments", lambda *_, **__: less)
    synced.poll(now_ms())
    assert stages_of_experiments(store, hidden) == ["active"]


def stages_of_experiments(store: Store, *experiment_ids: str) -> list[str | None]:
    with store.read() as conn:
        rows = {row["experiment_id"]: row["lifecycle_stage"] for row in search_experiments(conn, Query(limit=500)).rows}
    return [rows[each] for each in experiment_ids]


def remove_for_good(database: str, server: str, run_ids: list[str]) -> None:
    said = ["gc", "--backend-store-uri", database, "--tracking-uri", server, "--run-ids", ",".join(run_ids)]
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", *said], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def page_not_found(path: str, answer: Answer) -> Answer:
    return (404, b"<html>no such page</html>") if "/runs/" in path else answer


def nothing_at_all(path: str, answer: Answer) -> Answer:
    return (200, b"{}") if "/experiments/" in path else without(404, tracking_server.NOT_THERE, no_runs)(path, answer)


IN_PART: dict[str, Meddle] = {
    "no run found": no_runs,
    "half of them found": half_the_runs,
    "a proxy's 404": page_not_found,
    "not allowed": without(403, "PERMISSION_DENIED", no_runs),
    "an error": without(500, "INTERNAL_ERROR", no_runs),
    "overloaded": without(503, "TEMPORARILY_UNAVAILABLE", half_the_runs),
    "a gateway's 404": without(404, "ENDPOINT_NOT_FOUND", half_the_runs),
    "empty": nothing_at_all,
}


@pytest.mark.parametrize("meddle", IN_PART.values(), ids=IN_PART)
def test_a_server_that_answers_in_part_or_not_at_all_has_purged_nothing(
    store: Store, run_ids: list[str], mlflow_server: str, meddle: Meddle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with meddling_proxy(mlflow_server) as proxy:
        server = MlflowServer(name="team", uri=proxy.uri)
        synced = ServerSync(store, server, SWEEPING)
        synced.poll(now_ms())
        before = stages(store, run_ids)
        assert before.count("active") == 5
        proxy.meddle = meddle
        sweep(synced)
        sweep(ServerSync(store, server, SWEEPING))
        assert stages(store, run_ids) == before
    sweep(ServerSync(store, MlflowServer(name="team", uri=f"http://127.0.0.1:{free_port()}"), SWEEPING))
    assert stages(store, run_ids) == before


def test_a_run_that_is_there_again_is_no_longer_purged(store: Store, run_ids: list[str], mlflow_server: str) -> None:
    refuse = without(404, tracking_server.NOT_THERE, no_runs)
    with meddling_proxy(mlflow_server) as proxy:  # as of a server whose database was brought back from a backup
        synced = ServerSync(store, MlflowServer(name="team", uri=proxy.uri), SWEEPING)
        synced.poll(now_ms())
        proxy.meddle = refuse
        sweep(synced)
        assert set(stages(store, run_ids)) == {"purged"}
        proxy.meddle = lambda _path, answer: answer
        sweep(synced)
        assert stages(store, run_ids).count("active") == 5


def test_another_database_under_the_same_name_has_purged_nothing(
    store: Store, generated_sqlite: str, tmp_path: Path
) -> None:
    database = tmp_path / "mlflow.db"
    copyfile(generated_sqlite.removeprefix("sqlite:///"), database)
    server = MlflowServer(name="team", uri=f"sqlite:///{database}", database=f"sqlite:///{database}")
    ServerSync(store, server, SWEEPING).poll(now_ms())
    with sqlite3.connect(database) as direct:
        [other] = direct.execute("SELECT run_uuid FROM runs LIMIT 1").fetchone()
        for table in ("params", "tags", "latest_metrics", "metrics", "runs"):
            direct.execute(f"DELETE FROM {table} WHERE run_uuid <> ?", [other])
        direct.execute("UPDATE experiments SET creation_time = creation_time + 1")
    direct.close()
    for _ in range(2):  # it is remembered
        sweep(ServerSync(store, server, SWEEPING))
    with store.read() as conn:
        assert search_runs(conn, Query(filter="lifecycle_stage = 'purged'", limit=RUNS)).rows == []


def test_runs_that_came_before_their_turn_are_not_missing(store: Store) -> None:
    """As those of several workspaces do: a chunk of one may reach further back than the others have come."""
    starts = {"a": 40, "b": 30, "c": 20, "d": 10, "gone": 25}
    made = [{"run_id": run_id, "experiment_id": "1", "start_time": start} for run_id, start in starts.items()]
    with store.write() as conn:
        take_in_runs(conn, made, Origin("team", "http://h", 1))
    missing = Missing(store, "team")
    missing.begin(None)
    a, b, c, d, _ = made
    for runs, until in (([a, c], 30), ([b], 20), ([d], 10), ([], None)):
        missing.met(runs, until, 0)
    assert list(missing.found) == ["gone"]
