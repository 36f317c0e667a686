"""Retention: what is too old goes, all of it, in small batches, and does not come back."""

import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from mlflow import MlflowClient

from afterglow_monitor.cli import cli
from afterglow_monitor.clock import now_ms
from afterglow_monitor.running.background import Jobs
from afterglow_monitor.running.worker import schedule
from afterglow_monitor.settings import MlflowServer, load_settings
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_store import Query, Store, audit, ingest_file, open_store, retention, search_runs, snapshots
from afterglow_store.retention import DAY_MS, Counts, cut, prune, too_old, would_prune
from afterglow_store.runs import Origin, take_in_experiment, take_in_runs
from afterglow_store.schema import metadata, run, snapshot, source, stage
from tests.support.journals import Journal, run_id_of

NOW = 1_790_000_000_000
CUT = NOW - 400 * DAY_MS
ORIGIN = Origin("team", "http://team", NOW)


def application(store: Store, folder: Path, name: str, days_ago: float, *, ended: bool = True) -> Path:
    journal = Journal(folder, f"app-{name}", name=name, start=NOW - int(days_ago * DAY_MS))
    details = journal.run_start(run_id_of(name), name, params={"depth": "5"}, tags={"team": name})
    journal.job(run_id_of(name))
    journal.run_end(details, metrics={"loss": 0.5}, registered_versions=[{"name": "wine", "version": "1"}])
    if ended:
        journal.end()
    ingest_file(store, journal.path, now=NOW)
    return journal.path


def of_mlflow(name: str, days_ago: float, **more: Any) -> dict[str, Any]:
    start = NOW - int(days_ago * DAY_MS)
    details = {"run_id": run_id_of(name), "run_name": name, "experiment_id": "1", "status": "FINISHED"}
    return details | {"start_time": start, "end_time": start + 1, "tags": {"team": "a"}, "outputs": []} | more


def rows_left(store: Store) -> dict[str, int]:
    with store.read() as conn:
        count = {t.name: conn.scalar(sa.select(sa.func.count()).select_from(t)) or 0 for t in metadata.sorted_tables}
    return {name: number for name, number in count.items() if number}


def test_what_ended_before_the_cut_goes_with_all_that_belongs_to_it_and_the_rest_stays(
    store: Store, tmp_path: Path
) -> None:
    application(store, tmp_path, "young", 399)
    left = rows_left(store)
    application(store, tmp_path, "old", 401)
    with store.read() as conn:
        expected = would_prune(conn, CUT)
    assert expected == Counts(applications=1, jobs=1, stages=2, runs=1, snapshots=2)
    assert prune(store, CUT, now=NOW) == expected
    assert rows_left(store) == left | {"source": 2, "retention": 1}  # of the old journal, how far it was read
    assert not prune(store, CUT, now=NOW)
    with store.read() as conn:
        assert [row["name"] for row in search_runs(conn, Query()).rows] == ["young"]


def test_an_application_that_is_still_heard_of_is_not_old_however_long_ago_it_began(
    store: Store, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, "app-long", name="long", start=NOW - 900 * DAY_MS)
    journal.wait(800 * DAY_MS / 1000).job()
    ingest_file(store, journal.path, now=NOW)
    assert not prune(store, CUT, now=NOW)


def test_a_journal_that_is_still_on_the_disk_is_not_taken_in_again(store: Store, tmp_path: Path) -> None:
    path = application(store, tmp_path, "old", 401)
    prune(store, CUT, now=NOW)
    left = rows_left(store)
    assert ingest_file(store, path, now=NOW).lines == 0
    with path.open("a") as file:  # not even what a driver adds that was thought to be dead
        file.write('{"Event": "SparkListenerJobEnd", "Job ID": 0, "Completion Time": 1}\n')
    assert ingest_file(store, path, now=NOW).lines == 0
    assert rows_left(store) == left
    with store.read() as conn:
        assert conn.scalar(sa.select(source.c.position)) == path.stat().st_size


def test_sync_does_not_bring_back_what_was_pruned_but_a_run_that_it_knows_is_followed(store: Store) -> None:
    deleted = {"experiment_id": "9", "name": "gone", "lifecycle_stage": "deleted", "created_time": 1, "updated_time": 2}
    with store.write() as conn:
        take_in_runs(conn, [of_mlflow("old", 401), of_mlflow("young", 399)], ORIGIN)
        take_in_experiment(conn, deleted, server="team")
    assert prune(store, CUT, now=NOW) == Counts(runs=1, experiments=1)
    edited = of_mlflow("young", 399, run_name="renamed")
    with store.write() as conn:
        assert take_in_runs(conn, [of_mlflow("old", 401), of_mlflow("older", 500), edited], ORIGIN) == [
            edited["run_id"]
        ]
        take_in_experiment(conn, deleted, server="team")
    assert rows_left(store)["experiment"] == 1
    with store.read() as conn:
        assert conn.scalars(sa.select(run.c.name)).all() == ["renamed"]


def test_a_run_of_a_real_mlflow_that_was_pruned_stays_away_at_every_later_sync(
    store: Store, mlflow_server: str
) -> None:
    client = MlflowClient(tracking_uri=mlflow_server)
    experiment_id = client.create_experiment(f"retention {uuid4().hex[:8]}")
    long_ago = now_ms() - 500 * DAY_MS
    run_id = client.create_run(experiment_id, start_time=long_ago).info.run_id
    client.set_terminated(run_id, end_time=long_ago + 1_000)

    def synced() -> bool:
        ServerSync(store, MlflowServer(name="team", uri=mlflow_server), load_settings({}).sync).poll(now_ms())
        with store.read() as conn:
            return conn.scalar(sa.select(run.c.id).where(run.c.run_id == run_id)) is not None

    assert synced()
    prune(store, now_ms() - 400 * DAY_MS, now=now_ms())
    assert not synced()


def test_a_run_is_too_old_by_its_end_and_never_without_a_time() -> None:
    assert too_old(1, 2, 3)
    assert not too_old(1, 3, 3)
    assert too_old(1, None, 3)
    assert not too_old(None, None, 3)
    assert not too_old(0, None, 3)
    assert not too_old(1, 2, None)
    assert cut(NOW, 0) is None
    assert cut(NOW, 1) == NOW - DAY_MS


def test_a_content_that_a_younger_run_has_as_well_stays(store: Store) -> None:
    same = of_mlflow("old", 401)
    with store.write() as conn:
        take_in_runs(conn, [same], ORIGIN)
        for run_id in (same["run_id"], run_id_of("young")):
            snapshots.take(conn, "run", run_id, same, time=NOW, cause="sync")
    prune(store, CUT, now=NOW)
    with store.read() as conn:
        [left] = snapshots.snapshots_of(conn, "run", run_id_of("young"))
        assert snapshots.content(conn, left["id"]) == same


def large(store: Store, folder: Path, *, stages: int, runs: int) -> None:
    application(store, folder, "large", 401)
    with store.write() as conn:
        row = {"application_id": 1, "attempt": 1, "name": "collect"}
        conn.execute(sa.insert(stage), [row | {"stage_id": number} for number in range(stages)])
        tags = {f"tag {number}": "x" for number in range(20)}
        many = [of_mlflow(f"run {number}", 402, tags=tags) for number in range(runs)]
        take_in_runs(conn, many, ORIGIN, cause="sync")


def test_killed_between_two_batches_it_goes_on_with_the_next_call(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    here, pause = threading.current_thread(), time.sleep

    def killed(seconds: float) -> None:
        if threading.current_thread() is here:  # a thread that an earlier test's Spark left behind sleeps, too
            raise Killed
        pause(seconds)

    monkeypatch.setattr(retention, "ROWS", 3)
    monkeypatch.setattr(retention, "RUNS", 3)
    large(store, tmp_path, stages=8, runs=5)
    batches = 0
    while True:
        monkeypatch.setattr("afterglow_store.retention.time.sleep", killed)
        try:
            prune(store, CUT, now=NOW)
        except Killed:
            batches += 1
            continue
        break
    assert batches > 5
    assert rows_left(store) == {"experiment": 2, "source": 1, "retention": 1}


def test_readers_and_writers_go_on_while_much_is_pruned(store: Store, tmp_path: Path) -> None:
    large(store, tmp_path, stages=5_000, runs=400)
    waits: dict[str, list[float]] = {"read": [], "write": []}
    done = threading.Event()

    def reads() -> None:
        while not done.is_set():
            began = time.monotonic()
            with store.read() as conn:
                search_runs(conn, Query(limit=50))
            waits["read"].append(time.monotonic() - began)

    def writes() -> None:
        while not done.is_set():
            began = time.monotonic()
            with store.write() as conn:
                conn.execute(sa.update(source).values(error=None))
            waits["write"].append(time.monotonic() - began)
            time.sleep(0.01)

    threads = [threading.Thread(target=each) for each in (reads, writes)]
    for each in threads:
        each.start()
    try:
        assert prune(store, CUT, now=NOW).stages == 5_002
    finally:
        done.set()
        for each in threads:
            each.join(30)
    assert len(waits["read"]) > 10
    assert len(waits["write"]) > 3
    assert max(waits["read"]) < 1
    with store.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(snapshot)) == 0


def test_the_command_shows_first_asks_and_then_deletes(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        application(store, tmp_path / "journal", "old", 401)

        def afterglow(*arguments: str, answer: str = "", code: int = 0) -> str:
            env = {"AFTERGLOW_HOME": str(tmp_path)}
            done = CliRunner().invoke(cli, ["prune", *arguments], env=env, input=answer)
            assert done.exit_code == code, done.output
            return done.output

        days = str((now_ms() - NOW) / DAY_MS + 400)
        shown = afterglow("--dry-run", "--keep-days", days)
        assert "1 applications, 1 jobs, 2 stages, 1 runs, 2 snapshots\nNothing was deleted." in shown
        afterglow("--keep-days", days, answer="n\n", code=1)
        assert rows_left(store)["run"] == 1
        assert "Deleted: 1 applications" in afterglow("--keep-days", days, "--yes")
        assert "run" not in rows_left(store)
        with store.read() as conn:
            [entry] = audit.entries(conn)
        assert (entry["action"], entry["after"]["applications"]) == (audit.PRUNE, 1)
        assert "Nothing was deleted" in afterglow("--keep-days", days)
        (tmp_path / "afterglow.toml").write_text("[store]\nkeep_days = 0\n")
        assert "everything is kept" in afterglow()


def test_the_worker_prunes_once_a_day_unless_all_is_kept(tmp_path: Path) -> None:
    settings = load_settings({"AFTERGLOW_HOME": str(tmp_path)})
    for_ever = settings.model_copy(update={"store": settings.store.model_copy(update={"keep_days": 0})})
    with closing(open_store(settings.store.url)) as store:
        jobs = Jobs(store)
        job = schedule(store, settings, jobs).get_job("prune")
        assert "prune" in jobs.renew()
        assert job.trigger.interval.days == 1
        application(store, tmp_path / "journal", "old", 401 + (now_ms() - NOW) / DAY_MS)
        job.func()
        assert "run" not in rows_left(store)
        assert schedule(store, for_ever).get_job("prune") is None
