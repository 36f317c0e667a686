"""A server whose clock is an hour off, in either direction, a tracking server of which that is true as well, and a real
driver: `make matrix`.

The server is the real worker, with Debian's libfaketime before the system's own clock; the tracking server is MLflow's.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mlflow import MlflowClient

from afterglow_monitor.clock import now_ms
from afterglow_store import Query, Store, open_store, search_applications, search_runs
from afterglow_store.schema import source
from tests.support.drivers import PYTHON, Process, start
from tests.support.parts import require
from tests.support.tracking import running_mlflow

pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("default")]

HOUR_MS = 3_600_000
GRACE_S = 10
SETTINGS = """
[journal]
folders = ["{journals}"]

[status]
grace_seconds = {grace}

[[mlflow]]
name = "mlflow"
uri = "{mlflow}"
{database}
"""
DRIVER = "note(mlflow.start_run())\ncount()\nwait()"


def faked(offset: str) -> dict[str, str]:
    """The environment of a process whose clock is off by this much."""
    return {"LD_PRELOAD": str(require("faketime")), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@contextmanager
def running_worker(home: Path, offset: str, journals: Path, mlflow: str, database: str = "") -> Iterator[Store]:
    """The worker of a server whose clock is off by this much; its store."""
    home.mkdir()
    directly = f'database = "{database}"' if database else ""
    settings = SETTINGS.format(journals=journals, grace=GRACE_S, mlflow=mlflow, database=directly)
    (home / "afterglow.toml").write_text(settings)
    environment = {**os.environ, **faked(offset), "AFTERGLOW_HOME": str(home)}
    with (
        (home / "log").open("wb") as log,
        closing(open_store(f"sqlite:///{home / 'store.db'}")) as store,
        subprocess.Popen(
            [sys.executable, "-m", "afterglow_monitor.running.worker"], env=environment, stdout=log, stderr=log
        ) as worker,
    ):
        try:
            yield store
            assert worker.poll() is None, (home / "log").read_text()
        finally:
            worker.kill()


@pytest.fixture
def driver(tmp_path: Path, mlflow_server: str) -> Iterator[Process]:
    conf = {"spark.afterglow.heartbeat.interval": "300ms"}
    started = start(tmp_path / "driver", DRIVER, PYTHON, tracking_uri=mlflow_server, conf=conf)
    with ExitStack() as stack:
        stack.callback(started.popen.wait)
        stack.callback(started.kill_all)
        started.told("ready")
        yield started


def heard(store: Store) -> int:
    """When (ms) the server heard from the driver last, by its own clock; 0: never."""
    with store.read() as conn:
        return conn.scalar(sa.select(sa.func.max(source.c.updated_time))) or 0


def application(store: Store) -> dict[str, Any]:
    with store.read() as conn:
        [row] = search_applications(conn, Query()).rows
    return row


def status_of_run(store: Store, run_id: str) -> str:
    with store.read() as conn:
        rows = search_runs(conn, Query(limit=1_000)).rows
    return next((str(row["effective_status"]) for row in rows if row["run_id"] == run_id), "unknown")


def until(condition: Callable[[Store], bool], store: Store) -> None:
    deadline = time.monotonic() + 120
    while not condition(store):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def test_a_server_whose_clock_is_an_hour_off_calls_nobody_dead_who_beats_and_everybody_who_does_not(
    driver: Process, tmp_path: Path, mlflow_server: str
) -> None:
    run_id, journals = driver.told("run"), driver.home / "journal"
    with (
        running_worker(tmp_path / "ahead", "+1h", journals, mlflow_server) as ahead,
        running_worker(tmp_path / "behind", "-1h", journals, mlflow_server) as behind,
    ):
        servers = {ahead: HOUR_MS, behind: -HOUR_MS}
        for store, offset in servers.items():
            until(lambda store: status_of_run(store, run_id) == "RUNNING", store)
            assert heard(store) - now_ms() == pytest.approx(offset, abs=120_000)
        began = {store: heard(store) for store in servers}
        for store in servers:
            until(lambda store: heard(store) - began[store] > 1.5 * GRACE_S * 1000, store)
            assert (application(store)["status"], status_of_run(store, run_id)) == ("RUNNING", "RUNNING")
            assert abs(application(store)["start_time"] - now_ms()) < 600_000  # the driver's own
        driver.kill_all()
        for store in servers:
            until(lambda store: status_of_run(store, run_id) == "ORPHANED", store)
            assert application(store)["status"] == "LOST"
            assert application(store)["status_reason"].startswith("last heard ")


@pytest.mark.parametrize("theirs", ["+1h", "-1h"])
def test_every_run_is_found_whatever_the_clocks_of_its_tracking_server_of_its_driver_and_of_ours_say(
    theirs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        with monkeypatch.context() as patch:
            for name, value in faked(theirs).items():
                patch.setenv(name, value)
            uri = stack.enter_context(running_mlflow(tmp_path))
        client = MlflowClient(uri, uri)
        made = [client.create_run(client.create_experiment("before")).info.run_id]
        stores = [
            stack.enter_context(
                running_worker(tmp_path / f"{ours} {source}", ours, tmp_path / "journal", uri, database)
            )
            for source, database in (("client", ""), ("database", f"sqlite:///{tmp_path / 'mlflow.db'}"))
            for ours in ("+1h", "-1h")
        ]
        every_store(stores, made, "RUNNING")
        later = client.create_experiment("later")
        for driver in (HOUR_MS, 0, -HOUR_MS):
            made.append(client.create_run(later, start_time=now_ms() + driver).info.run_id)
            every_store(stores, made, "RUNNING")
        for run_id in made:
            client.set_terminated(run_id)
        every_store(stores, made, "FINISHED")


def every_store(stores: list[Store], run_ids: list[str], status: str) -> None:
    """Wait until all of them have these runs as such."""
    for each in stores:
        until(lambda store: {status_of_run(store, run_id) for run_id in run_ids} == {status}, each)
