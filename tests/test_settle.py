"""Settling: what a person says became of an orphaned run, in a real MLflow, audited, and taken back."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow import MlflowClient

from afterglow_monitor.errors import CannotSettle
from afterglow_monitor.writing.settle import TAG, Settler, orphaned
from afterglow_store import Store, audit, ingest_file, open_store
from afterglow_store.items import run_by_id
from afterglow_store.judge import judge
from tests.support.journals import TRACKING_URI, Journal

START = 1_790_000_000_000
MINUTE = 60_000


@pytest.fixture
def settler(store: Store, client: MlflowClient) -> Settler:
    return Settler(store, "grace", lambda row: client)


def orphan(store: Store, client: MlflowClient | None, folder: Path) -> str:
    """A run that says RUNNING in MLflow (`client` None: that MLflow does not have), its driver silent for an hour."""
    run_id, experiment = uuid4().hex, "0"
    if client is not None:
        experiment = client.create_experiment(f"settle {uuid4().hex[:8]}")
        run_id = client.create_run(experiment, run_name="left behind").info.run_id
    journal = Journal(folder, f"local-{uuid4().hex[:6]}", name="killed", start=START)
    journal.run_start(run_id, "left behind", experiment_id=experiment)
    journal.wait(30).job(run_id)
    ingest_file(store, journal.path, now=START)
    with store.write() as conn:
        judge(conn, now=START + 60 * MINUTE, server_started=START, grace_ms=2 * MINUTE)
    return run_id


def test_an_orphaned_run_is_settled_in_mlflow_and_in_the_store(
    store: Store, client: MlflowClient, settler: Settler, tmp_path: Path
) -> None:
    run_id = orphan(store, client, tmp_path)
    assert [row["run_id"] for row in orphaned(store)] == [run_id]
    row = settler.settle(run_id, "KILLED", now=START + 61 * MINUTE)
    in_mlflow = client.get_run(run_id)
    assert in_mlflow.info.status == row["status"] == row["effective_status"] == "KILLED"
    assert in_mlflow.data.tags[TAG].startswith("KILLED by grace: its driver is gone")
    with store.read() as conn:
        assert in_mlflow.info.end_time == run_by_id(conn, run_id)["end_time"] == START + 34_000  # when last heard of
    assert orphaned(store) == []


def test_it_is_kept_who_did_it_when_and_what_it_was_before(
    store: Store, client: MlflowClient, settler: Settler, tmp_path: Path
) -> None:
    run_id = orphan(store, client, tmp_path)
    settler.settle(run_id, "FAILED", now=START + 61 * MINUTE)
    with store.read() as conn:
        [entry] = audit.entries(conn)
    assert (entry["who"], entry["time"], entry["action"]) == ("grace", START + 61 * MINUTE, "settle")
    assert entry["before"] == {"status": "RUNNING", "effective_status": "ORPHANED", "end_time": None}
    assert entry["after"]["status"] == "FAILED"


def test_settling_can_be_undone(store: Store, client: MlflowClient, settler: Settler, tmp_path: Path) -> None:
    run_id = orphan(store, client, tmp_path)
    settler.settle(run_id, "FAILED", now=START + 61 * MINUTE)
    row = settler.undo(run_id, now=START + 62 * MINUTE)
    assert client.get_run(run_id).info.status == row["status"] == "RUNNING"
    assert TAG not in client.get_run(run_id).data.tags
    assert row["effective_status"] == "ORPHANED"
    with store.read() as conn:
        assert [entry["action"] for entry in audit.entries(conn)] == ["undo settle", "settle"]
    with pytest.raises(CannotSettle, match="was not settled by Afterglow"):
        settler.undo(run_id, now=START + 63 * MINUTE)


def test_a_run_that_is_not_orphaned_is_left_alone(
    store: Store, client: MlflowClient, settler: Settler, tmp_path: Path
) -> None:
    run_id = orphan(store, client, tmp_path)
    settler.settle(run_id, "FAILED", now=START + 61 * MINUTE)
    with pytest.raises(CannotSettle, match="is FAILED, not ORPHANED"):
        settler.settle(run_id, "KILLED", now=START + 62 * MINUTE)
    assert client.get_run(run_id).info.status == "FAILED"


def test_a_run_that_ended_meanwhile_is_left_as_it_ended(
    store: Store, client: MlflowClient, settler: Settler, tmp_path: Path
) -> None:
    run_id = orphan(store, client, tmp_path)
    client.set_terminated(run_id)
    with pytest.raises(CannotSettle, match=r"MLflow says that run .* is FINISHED, not RUNNING"):
        settler.settle(run_id, "FAILED", now=START + 61 * MINUTE)
    assert client.get_run(run_id).info.status == "FINISHED"


def test_a_run_that_mlflow_no_longer_has_is_an_error_and_nothing_is_written(
    store: Store, settler: Settler, tmp_path: Path
) -> None:
    run_id = orphan(store, None, tmp_path)
    with pytest.raises(CannotSettle, match="MLflow did not take it"):
        settler.settle(run_id, "FAILED", now=START + 61 * MINUTE)
    with store.read() as conn:
        assert audit.entries(conn) == []
        assert run_by_id(conn, run_id)["effective_status"] == "ORPHANED"


@pytest.mark.matrix  # it takes long
def test_the_command_shows_first_asks_then_settles_and_undoes(
    client: MlflowClient, mlflow_server: str, tmp_path: Path
) -> None:
    home = tmp_path / "home-of-settle"
    store = open_store(f"sqlite:///{home / 'store.db'}")
    run_id = orphan(store, client, tmp_path / "journal")
    store.close()
    server = f'[[mlflow]]\nname = "team"\nuri = "{mlflow_server}"\naliases = ["{TRACKING_URI}"]\n'
    (home / "afterglow.toml").write_text(server)

    def afterglow(*arguments: str, answer: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "afterglow_monitor.cli", "settle", *arguments],
            env={**os.environ, "AFTERGLOW_HOME": str(home)},
            input=answer,
            capture_output=True,
            text=True,
            check=False,
        )

    shown = afterglow("--dry-run")
    assert run_id in shown.stdout
    assert "1 runs would become FAILED. Nothing was written." in shown.stdout
    assert afterglow(answer="n\n").returncode == 1
    assert client.get_run(run_id).info.status == "RUNNING"
    assert afterglow("--status", "killed", answer="y\n").returncode == 0
    assert client.get_run(run_id).info.status == "KILLED"
    assert afterglow("--undo", run_id, "--yes").returncode == 0
    assert client.get_run(run_id).info.status == "RUNNING"
    unknown = afterglow("f" * 32, "--yes")
    assert unknown.returncode == 1
    assert "is not in the store" in unknown.stderr
