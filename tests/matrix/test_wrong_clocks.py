"""A server whose clock is an hour off, in either direction, and a real driver: `make matrix`.

The server is the real worker, with Debian's libfaketime before the system's own clock.
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

from afterglow_monitor.clock import now_ms
from afterglow_store import Query, Store, open_store, search_applications, search_runs
from afterglow_store.schema import source
from tests.support.drivers import PYTHON, Process, start
from tests.support.parts import require

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
"""
DRIVER = "note(mlflow.start_run())\ncount()\nwait()"


@contextmanager
def running_worker(home: Path, offset: str, journals: Path, mlflow: str) -> Iterator[Store]:
    """The worker of a server whose clock is off by this much; its store."""
    home.mkdir()
    (home / "afterglow.toml").write_text(SETTINGS.format(journals=journals, grace=GRACE_S, mlflow=mlflow))
    faked = {"LD_PRELOAD": str(require("faketime")), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    environment = {**os.environ, **faked, "AFTERGLOW_HOME": str(home)}
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
