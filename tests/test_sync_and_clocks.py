"""Sync where the driver's clock, the tracking server's and ours are an hour apart: no run is skipped, by any source."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from mlflow import MlflowClient
from mlflow.store.tracking import sqlalchemy_store

from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.syncing import rereading, sync
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_store import Store, ingest_file, open_store
from afterglow_store.items import run_by_id
from tests.support.databases import PostgresCluster
from tests.support.journals import Journal

HOUR = 3_600_000
NEVER = 1_000_000.0
LONG_AGO = 1_500_000_000_000
WITHOUT_SWEEP = SyncSettings(recent_interval_seconds=0.001, sweep_interval_seconds=NEVER, share=1)
NEWS_ONLY = SyncSettings(recent_interval_seconds=NEVER, sweep_interval_seconds=NEVER)
SWEEPING = SyncSettings(recent_interval_seconds=NEVER, sweep_interval_seconds=0.001, share=1)
PASSES = 2  # of which each reads the recent days, or the sweep

hours_ahead = pytest.mark.parametrize("hours", [-1, 1], ids=["an hour behind", "an hour ahead"])


class Tracked(NamedTuple):
    """An experiment of a tracking server: what its driver logs through, and what sync is told of it."""

    client: MlflowClient
    server: MlflowServer
    experiment: str

    def create_run(self, **options: Any) -> str:
        run_id: str = self.client.create_run(self.experiment, **options).info.run_id
        return run_id


@pytest.fixture(autouse=True)
def _whole_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, and however many runs other tests have left on the server."""
    monkeypatch.setattr(sync, "LOAD_SECONDS", 60)
    monkeypatch.setattr(sync, "SWEEP_SECONDS", 60)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def mlflow_postgres(postgres_cluster: PostgresCluster) -> Iterator[str]:
    """A tracking server's database of our own, for what is written here starts before what others expect to be last."""
    with postgres_cluster.fresh_database() as url:
        yield url


@pytest.fixture(params=["client", "sqlite", "postgresql"])
def tracked(request: pytest.FixtureRequest) -> Tracked:
    """The session's server, by its URI alone and with its database; and one with PostgreSQL."""
    if request.param == "postgresql":
        uri = database = request.getfixturevalue("mlflow_postgres")
    else:
        uri, folder = request.getfixturevalue("mlflow_server"), request.getfixturevalue("mlflow_folder")
        database = f"sqlite:///{folder / 'mlflow.db'}" if request.param == "sqlite" else ""
    client = MlflowClient(uri, uri)
    experiment = client.create_experiment(f"clocks {uuid4().hex[:8]}")
    return Tracked(client, MlflowServer(name="team", uri=uri, database=database), experiment)


@pytest.fixture(params=[-HOUR, 0, HOUR], ids=["ours behind", "ours right", "ours ahead"])
def ours(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many ms the clock of this process is off."""
    off: int = request.param
    for module in (sync, rereading):
        monkeypatch.setattr(module, "now_ms", lambda: now_ms() + off)
    return off


def known(store: Store, run_ids: list[str]) -> list[str]:
    """The status of each run in the store."""
    with store.read() as conn:
        return [run_by_id(conn, run_id)["status"] for run_id in run_ids]


def passes(synced: ServerSync, ours: int = 0) -> None:
    """As the worker makes them, by a clock that is so many ms off."""
    for _ in range(PASSES):
        synced.read(now_ms() + ours)
        assert synced.error is None


def test_runs_of_drivers_whose_clocks_differ_are_all_found_without_the_sweep(
    store: Store, tracked: Tracked, ours: int
) -> None:
    before = tracked.create_run()
    synced = ServerSync(store, tracked.server, WITHOUT_SWEEP)
    passes(synced, ours)
    found = [before]
    for theirs in (HOUR, -HOUR, 0):  # each after one that may seem to be newer, and older
        found.append(tracked.create_run(start_time=now_ms() + theirs))
        passes(synced, ours)
        assert known(store, found) == ["RUNNING"] * len(found)
    for run_id in found:
        tracked.client.set_terminated(run_id)
    passes(synced, ours)
    assert known(store, found) == ["FINISHED"] * len(found)


def test_a_run_made_late_with_an_early_start_is_found_by_the_database_at_once_by_the_client_in_the_sweep(
    store: Store, tracked: Tracked
) -> None:
    tracked.create_run()
    synced = ServerSync(store, tracked.server, NEWS_ONLY)
    passes(synced)
    late = tracked.create_run(start_time=LONG_AGO)
    if tracked.server.database:  # by the row's number, or by the transaction that wrote it
        assert synced.read(now_ms()) == 1
    else:
        assert synced.read(now_ms()) == 0
        passes(ServerSync(store, tracked.server, SWEEPING))
    assert known(store, [late]) == ["RUNNING"]


@hours_ahead
def test_runs_of_an_experiment_that_a_server_made_by_another_clock_are_found(
    store: Store, mlflow_postgres: str, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose clock was set while it ran, or another one behind the same address. Here the client has the store
    of a server without HTTP between."""
    client = MlflowClient(mlflow_postgres, mlflow_postgres)
    synced = ServerSync(store, MlflowServer(name="team", uri=mlflow_postgres), WITHOUT_SWEEP)
    client.create_experiment(f"before {uuid4().hex[:8]}")
    passes(synced)
    monkeypatch.setattr(sqlalchemy_store, "get_current_time_millis", lambda: now_ms() + hours * HOUR)
    run_id = client.create_run(client.create_experiment(f"by its clock {uuid4().hex[:8]}")).info.run_id
    monkeypatch.setattr("afterglow_monitor.syncing.tracking_server.EXPERIMENTS_SECONDS", 0.0)  # half a minute later
    synced = ServerSync(store, synced.server, WITHOUT_SWEEP)
    passes(synced)
    assert known(store, [run_id]) == ["RUNNING"]


@hours_ahead
def test_what_a_driver_said_by_its_clock_does_not_outlive_what_mlflow_says(
    store: Store, tracked: Tracked, tmp_path: Path, hours: int
) -> None:
    run_id = tracked.create_run()
    synced = ServerSync(store, tracked.server, NEWS_ONLY)
    journal = Journal(tmp_path / "journal", "app-1", name="train", start=now_ms() + hours * HOUR)
    journal.run_start(run_id, "train", experiment_id=tracked.experiment)
    ingest_file(store, journal.path, now=now_ms())
    passes(synced)
    tracked.client.set_terminated(run_id, "KILLED")  # by a person: the driver is gone
    passes(synced)
    assert known(store, [run_id]) == ["KILLED"]
