"""The first load from MLflow's own database: the same rows as one by one, and killed anywhere it goes on."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mlflow import MlflowClient

from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.syncing import reading, sync
from afterglow_monitor.syncing.intake import Intake, Unlisted
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_monitor.syncing.tracking_database import TrackingDatabase
from afterglow_store import Query, Store, bulk, open_store, search_runs, tombstones, tracking
from afterglow_store.runs import Origin, refresh_sums, take_in_experiment, take_in_runs
from afterglow_store.schema import (
    application,
    experiment,
    forgotten,
    job,
    link,
    registered_version,
    retention,
    run,
    run_metric,
    run_term,
    source,
)
from tests.benchmarks.generate import generate
from tests.support.generated import NOW, RUNS

MANY = 5_000  # three chunks
DAY = 86_400_000


def load(store: Store, url: str) -> None:
    server = ServerSync(store, MlflowServer(name="team", uri=url, database=url), SyncSettings())
    while not server.loaded:
        server.read(now_ms())
        assert server.error is None


def load_one_by_one(store: Store, url: str) -> None:
    database = TrackingDatabase(url)
    versions = database.registered_versions()
    with store.write() as conn:
        for each in database.experiments().values():
            take_in_experiment(conn, each, server="team")
        for runs, _ in database.chunks():
            for details in runs:
                whole = {**details, "registered_versions": versions.get(details["run_id"], [])}
                refresh_sums(conn, take_in_runs(conn, [whole], Origin("team", tracking.plain(url), 1)))


def put_what_spark_told(store: Store, url: str) -> None:
    """Of the newest run its application and a failed job; of others a job, a tombstone; and how far back is pruned."""
    runs = [each for chunk, _ in TrackingDatabase(url).chunks() for each in chunk]
    failed = next(each for each in runs if each["status"] == "FAILED")
    tags = runs[0]["tags"]
    app = {"app_id": tags["spark.app.id"], "start_time": int(tags["spark.app.startTime"]), "attempt": ""}
    with store.write() as conn:
        conn.execute(sa.insert(application).values(id=1, driver_host="h", **app))
        conn.execute(sa.insert(source).values(id=1, path="p", application_id=1))
        for number, each in enumerate((runs[0], failed)):
            told = {"status": "FAILED", "error": "no disk", "run_id": each["run_id"], "core_ms": 7}
            conn.execute(sa.insert(job).values(application_id=1, job_id=number, **told))
        tombstones.bury(conn, [(tombstones.RUN, runs[1]["run_id"])], time=NOW, who="me")
        conn.execute(sa.insert(retention).values(id=1, kept_from=NOW - 350 * DAY, pruned_time=NOW))


def rows_of(store: Store, table: sa.Table) -> set[tuple[Any, ...]]:
    """All but when it was asked, and with the run's own id for the number that the store gave it."""
    columns = [each for each in table.columns if each.name not in ("as_of", "id", "run")]
    names = sa.select(*columns, *([run.c.run_id] if "run" in table.c else []))
    joined = names.join(run, run.c.id == table.c.run) if "run" in table.c else names
    with store.read() as conn:
        return {tuple(map(repr, row)) for row in conn.execute(joined)}


def test_its_rows_are_those_that_taking_in_one_by_one_gives(store: Store, generated_url: str, tmp_path: Path) -> None:
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    for each in (store, other):
        put_what_spark_told(each, generated_url)
    load(store, generated_url)
    load_one_by_one(other, generated_url)
    try:
        for table in (run, run_term, run_metric, registered_version, link, experiment, application, forgotten):
            assert rows_of(store, table) == rows_of(other, table), table.name
    finally:
        other.close()
    with store.read() as conn:
        assert 0 < (conn.scalar(sa.select(sa.func.count()).select_from(run)) or 0) < RUNS
        assert conn.scalar(sa.select(sa.func.count()).select_from(link))
        assert set(conn.scalars(sa.select(run.c.status_reason))) > {None, "no disk"}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('many') / 'mlflow.db'}"
    generate(url, MANY, now=NOW)
    return url


def readers() -> list[int]:
    """The processes that read for this one."""
    listed = Path("/proc/self/task").glob("*/children")
    children = {int(child) for each in listed for child in each.read_text().split()}
    return [each for each in children if reading.__name__ in Path(f"/proc/{each}/cmdline").read_text()]


def test_whichever_process_is_killed_it_goes_on_where_it_was(
    store: Store, many: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 2_000)
    monkeypatch.setattr(sync, "LOAD_SECONDS", 0)
    monkeypatch.setattr(bulk, "MANY", MANY)
    server = MlflowServer(name="team", uri=many, database=many)
    first = ServerSync(store, server, SyncSettings())
    first.read(now_ms())
    assert first.progress == (2_000, MANY)
    assert not has_late_indexes(store)
    for pid in readers():
        os.kill(pid, signal.SIGKILL)
    first.read(now_ms())
    assert "has died" in (first.error or "")
    assert readers() == []
    assert has_late_indexes(store)  # nobody knows when it goes on
    again = ServerSync(store, server, SyncSettings())  # as a worker does that was killed itself
    deadline = time.monotonic() + 60
    while not again.loaded and time.monotonic() < deadline:
        again.read(now_ms())
        assert again.error is None
    with store.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(run)) == MANY
    assert readers() == []


def test_what_is_left_out_while_very_many_runs_are_loaded_is_made_at_the_end_whoever_began(
    store: Store, many: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 2_000)
    monkeypatch.setattr(sync, "LOAD_SECONDS", 0)
    monkeypatch.setattr(bulk, "MANY", MANY)
    server = MlflowServer(name="team", uri=many, database=many)
    ServerSync(store, server, SyncSettings()).read(now_ms())  # and its process was killed
    assert not has_late_indexes(store)
    query = Query(filter="metrics.rmse < 0.1", order_by="metrics.rmse DESC", limit=20)
    with store.read() as conn:
        assert len(search_runs(conn, query).rows) == 20
    load(store, many)
    assert has_late_indexes(store)
    load(store, many)  # of which there is nothing left
    assert has_late_indexes(store)


def test_postgresql_counts_the_runs_that_it_plans_lists_by_while_they_come(
    postgres_url: str, many: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 2_000)
    monkeypatch.setattr(sync, "LOAD_SECONDS", 0)
    store = open_store(postgres_url)
    server = ServerSync(store, MlflowServer(name="team", uri=many, database=many), SyncSettings())
    server.read(now_ms())
    with store.read() as conn:
        assert conn.scalar(sa.text("SELECT reltuples FROM pg_class WHERE oid = 'run'::regclass")) == server.progress[0]
    store.close()


def test_a_store_with_runs_keeps_all_its_indexes_when_more_of_them_are_loaded(
    store: Store, many: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(store, many)
    monkeypatch.setattr(bulk, "MANY", 1)
    bulk.before_load(store, runs=MANY)
    assert has_late_indexes(store)


def test_a_load_that_anything_breaks_off_is_not_taken_for_done(
    store: Store, many: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 2_000)
    monkeypatch.setattr(sync, "LOAD_SECONDS", 0)
    synced = ServerSync(store, MlflowServer(name="team", uri=many, database=many), SyncSettings())
    synced.read(now_ms())
    with monkeypatch.context() as patch:
        patch.setattr(Intake, "take_in_new", broken)
        with pytest.raises(AssertionError, match="none of MLflow's"):
            synced.read(now_ms())
    assert synced.progress == (2_000, MANY)
    while not synced.loaded:
        synced.read(now_ms())
    with store.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(run)) == MANY


def broken(*_: object, **__: object) -> None:
    raise AssertionError("none of MLflow's errors")


def has_late_indexes(store: Store) -> bool:
    with store.read() as conn:
        look = sa.inspect(conn)
        there = {each["name"] for table in (run, run_metric) for each in look.get_indexes(table.name)}
    late = {each.name for each in bulk.LATE}
    assert late <= there or not late & there
    return late <= there


def test_runs_that_the_store_has_already_are_brought_up_to_what_mlflow_says(store: Store, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(url)
    run_id = client.create_run("0", start_time=NOW - 90 * DAY).info.run_id
    with store.write() as conn:
        [([told], _)] = TrackingDatabase(url).chunks()
        take_in_runs(conn, [dict(told)], Origin("told by a journal", url, 1))
    client.set_terminated(run_id, "FINISHED")
    load(store, url)
    with store.read() as conn:
        row = conn.execute(sa.select(run.c.server, run.c.status, run.c.effective_status)).one()
    assert tuple(row) == ("team", "FINISHED", "FINISHED")


def test_files_of_very_many_runs_wait_to_be_listed_the_newest_first_and_each_once() -> None:
    waiting = Unlisted(["b", "c"])
    began = time.process_time()
    for _ in range(2):
        for nth in range(50_000):  # to look each up among those before it would take minutes
            waiting.add(f"run {nth:05}")
    waiting.add("a", oldest=True)
    waiting.add("c", oldest=True)
    assert time.process_time() - began < 10
    taken = list(iter(waiting.take, None))
    assert taken == [*(f"run {nth:05}" for nth in reversed(range(50_000))), "c", "b", "a"]
    waiting.add("c")
    assert waiting.take() == "c"
