"""Stores that an older Afterglow has written, brought up to today's schema with what is in them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from afterglow_store import (
    Query,
    Store,
    ingest_file,
    migrate,
    open_store,
    retention,
    search_applications,
    search_runs,
    snapshots,
    tombstones,
)
from afterglow_store.check import check
from afterglow_store.engine import connect
from afterglow_store.postings import posted, write
from afterglow_store.received import position_of
from afterglow_store.schema import application_experiment, metadata, run, run_metric, run_term, source
from tests.support.journals import Journal

START = 1_790_000_000_000


@pytest.fixture
def old(store_url: str) -> Iterator[Store]:
    """A store of the first schema, with an application of two jobs, one of them for a run."""
    store = connect(store_url)
    with store.write() as conn:
        command.upgrade(migrate._config(conn), "0001")
        put(conn, "application", id=1, app_id="app-1", attempt="", start_time=START, driver_host="h", name="train",
            status="ENDED", spark_end_time=START + 10_000, core_ms=9_000)  # fmt: skip
        put(conn, "executor", application_id=1, executor_id="1", cores=4, added_time=START)
        put(conn, "executor", application_id=1, executor_id="2", cores=4, added_time=START, removed_time=START + 5_000)
        put(conn, "job", application_id=1, job_id=0, status="SUCCEEDED", start_time=START, core_ms=2_000)
        put(conn, "job", application_id=1, job_id=1, status="SUCCEEDED", start_time=START, core_ms=7_000, run_id="a")
        put(conn, "snapshot_content", content_hash="x", content=b"x")
        put(conn, "snapshot", id=1, item_type="run", item_id="a", taken_time=START, cause="sync", content_hash="x")
        for run_id in ("b", "a"):
            put(conn, "run", run_id=run_id, server="s", experiment_id="1", name=run_id, status="FINISHED",
                effective_status="FINISHED", start_time=START, as_of=START, core_ms=7_000,
                end_time=START + 60_000 if run_id == "a" else None,
                params=json.dumps({"depth": "5", "long": "x" * 300}), tags=json.dumps({"team": run_id}),
                metrics=json.dumps({"rmse": 0.5, "loss": "NaN", "gain": "Infinity"}))  # fmt: skip
    yield store
    store.close()


def put(conn: sa.Connection, table: str, **values: Any) -> None:
    columns, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
    conn.execute(sa.text(f"INSERT INTO {table} ({columns}) VALUES ({marks})"), values)


def test_of_the_first_schema_comes_up_with_what_was_allocated_and_what_no_run_used(old: Store, store_url: str) -> None:
    store = open_store(store_url)
    with store.read() as conn:
        [app] = search_applications(conn, Query()).rows
    store.close()
    assert app["allocated_core_seconds"] == 4 * 10 + 4 * 5
    assert app["overhead_core_seconds"] == 2
    assert app["idle_share"] == pytest.approx(1 - 9 / 60)


def test_of_the_first_schema_comes_up_with_all_its_runs_and_what_they_are_found_by(old: Store, store_url: str) -> None:
    store = open_store(store_url)
    with store.read() as conn:
        rows = search_runs(conn, Query()).rows
        assert {row["run_id"]: (row["params"]["depth"], row["core_seconds"]) for row in rows} == {
            "a": ("5", 7), "b": ("5", 7),
        }  # fmt: skip
        assert {row["run_id"]: row["duration_ms"] for row in rows} == {"a": 60_000, "b": None}
        found = found_by(conn)
    with store.write() as conn:  # what the migration wrote is what the code of today would write
        for table in (run_term, run_metric):
            conn.execute(sa.delete(table))
        write(conn, [posted(row.id, dict(row._mapping)) for row in conn.execute(sa.select(run))])
        assert found_by(conn) == found
    assert len(found[0]) == 6
    assert len(found[1]) == 6
    store.close()


def test_of_the_first_schema_comes_up_with_the_applications_of_its_experiments(old: Store, store_url: str) -> None:
    with old.write() as conn:
        put(conn, "link", run_id="a", application_id=1, source="tag", first_seen=START)
        put(conn, "link", run_id="not there", application_id=1, source="tag", first_seen=START)
    store = open_store(store_url)
    with store.read() as conn:
        assert [tuple(row) for row in conn.execute(sa.select(application_experiment))] == [(1, "s", "1", START, START)]
    store.close()


def found_by(conn: sa.Connection) -> tuple[list[Any], list[Any]]:
    terms = sa.select(run.c.run_id, run_term).where(run.c.id == run_term.c.run)
    metrics = sa.select(run.c.run_id, run_metric).where(run.c.id == run_metric.c.run)
    return sorted(map(tuple, conn.execute(terms)), key=str), sorted(map(tuple, conn.execute(metrics)), key=str)


def test_of_the_first_schema_comes_up_with_its_snapshots_and_ends_as_a_new_store_begins(
    old: Store, store_url: str
) -> None:
    store = open_store(store_url)
    with store.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
        assert [(each["id"], each["run_id"]) for each in snapshots.listed(conn, snapshots.Of(run_id="a"))] == [(1, "a")]
        assert retention.kept_from(conn) is None
        assert tombstones.times(conn, [(tombstones.RUN, "a")]) == {}
    store.close()


def test_of_the_first_schema_comes_up_with_journals_that_are_known_by_their_names(old: Store, store_url: str) -> None:
    name = "0b5e8c0e-8f5b-4f5e-9d57-3f2f3c7e1a55"
    with old.write() as conn:
        for path in (f"/a/{name}.jsonl", f"/copy/{name}.jsonl", "/logs/app-1", f"/a/x{name}.jsonl"):
            put(conn, "source", path=path, position=7)
    store = open_store(store_url)
    with store.read() as conn:
        found = dict(
            conn.execute(sa.select(source.c.path, source.c.journal).where(source.c.journal.is_not(None))).all()
        )
        assert position_of(conn, name) == 7
    store.close()
    assert found == {f"/a/{name}.jsonl": name}


def test_comes_up_with_what_was_lost_so_far_and_goes_on_counting(old: Store, store_url: str, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "app-2", name="train", start=START)
    hooks = tmp_path / "hook.jsonl"
    start = {"Event": "AfterglowJournalStart", "Writer": "hook", "Application": journal.application}
    hooks.write_text(json.dumps(start) + "\n")
    with old.write() as conn:
        put(conn, "application", id=2, app_id="app-2", attempt="", start_time=START, driver_host="10.0.0.12",
            lost_events=500)  # fmt: skip
        put(conn, "source", path=str(hooks), application_id=2, writer="hook", position=hooks.stat().st_size)
        put(conn, "source", path=str(journal.path), application_id=2, writer="listener",
            position=journal.path.stat().st_size)  # fmt: skip
    with hooks.open("a") as file:
        file.write(json.dumps({"Event": "AfterglowHeartbeat", "Timestamp": START, "Dropped": 3}) + "\n")
    store = open_store(store_url)
    assert (lost(store), ingest_file(store, hooks, now=START).lines, lost(store)) == (500, 1, 503)
    journal.progress(dropped=510)
    assert (ingest_file(store, journal.path, now=START).lines, lost(store)) == (1, 513)
    store.close()


def lost(store: Store) -> int:
    with store.read() as conn:
        [row] = search_applications(conn, Query(app="app-2")).rows
    return int(row["lost_events"])


def test_that_is_killed_midway_leaves_the_old_schema_with_all_its_rows(
    old: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr("alembic.operations.Operations.create_index", killed, raising=True)
    with pytest.raises(Killed):
        open_store(store_url)
    with old.read() as conn:
        assert migrate.revision(conn) == "0001"
        assert conn.scalar(sa.text("SELECT count(*) FROM run WHERE run_id IN ('a', 'b')")) == 2


RELEASED = "0014"  # the schema of the last release before this one


@pytest.fixture
def released(store_url: str, tmp_path: Path) -> Iterator[Store]:
    """A store of the last release, filled: an application with its jobs, stages and run, and what sync knows."""
    made = open_store(f"sqlite:///{tmp_path / 'made.db'}")
    journal = Journal(tmp_path / "journal", "app-1", name="train", start=START)
    run_ = journal.executors(2).run_start("a" * 32, "x", params={"depth": "5"})
    journal.job(run_["run_id"])
    journal.run_end(run_, metrics={"rmse": 0.5})
    ingest_file(made, journal.end(), now=START)
    store = connect(store_url)
    with store.write() as conn, made.read() as rows:
        command.upgrade(migrate._config(conn), RELEASED)
        for table in metadata.sorted_tables:
            if sa.inspect(conn).has_table(table.name):
                kept = [column for column in table.columns if column.name in columns_of(conn, table.name)]
                if found := [dict(row._mapping) for row in rows.execute(sa.select(*kept))]:
                    conn.execute(sa.insert(table), found)
    made.close()
    yield store
    store.close()


def test_of_the_last_release_comes_up_with_every_row_and_goes_on(
    released: Store, store_url: str, tmp_path: Path
) -> None:
    with released.read() as conn:
        known = {name: columns_of(conn, name) for name in sa.inspect(conn).get_table_names()}
        before = rows_of(conn, known)
    store = open_store(store_url)
    with store.read() as conn:
        assert migrate.revision(conn) == migrate.HEAD
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
        assert rows_of(conn, known) == before
        assert [finding for finding in check(conn) if finding.wrong is not None] == []
    assert len([name for name, rows in before.items() if rows]) > 10
    [path] = (tmp_path / "journal").iterdir()
    assert ingest_file(store, path, now=START).lines == 0
    with store.read() as conn:
        assert [row["metrics"] for row in search_runs(conn, Query(filter="metrics.rmse < 1")).rows] == [{"rmse": 0.5}]
    store.close()


def columns_of(conn: sa.Connection, table: str) -> list[str]:
    return [str(column["name"]) for column in sa.inspect(conn).get_columns(table)]


def rows_of(conn: sa.Connection, known: dict[str, list[str]]) -> dict[str, list[Any]]:
    """The rows of the tables and columns that the last release had."""
    asked = {name: ", ".join(f'"{column}"' for column in columns) for name, columns in known.items()}
    del asked["alembic_version"]
    return {
        name: sorted(map(tuple, conn.execute(sa.text(f"SELECT {columns} FROM {name}"))), key=repr)
        for name, columns in asked.items()
    }
