"""The store's contract, the same on SQLite and PostgreSQL."""

import multiprocessing
import threading
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import errors
from sqlalchemy.exc import OperationalError

from afterglow_store import Store, migrate, open_store
from afterglow_store.engine import answering, connect, upsert
from afterglow_store.errors import StoreTooNew, StoreUnreachable
from afterglow_store.schema import metadata, run, source

THREADS, PROCESSES, STEPS = 4, 2, 50


def step_until_done(url: str, steps: int) -> int:
    """Compare and set a counter, `steps` times with success. Returns the attempts that another one had overtaken."""
    store, lost = connect(url), 0
    for _ in range(steps):
        while not step(store):
            lost += 1
    store.close()
    return lost


def step(store: Store) -> bool:
    """Read, and write what was read plus one if it is still so: in one transaction, as ingest does."""
    with store.write() as conn:
        old = conn.execute(sa.select(source.c.position).where(source.c.path == "counter")).scalar_one()
        moved = conn.execute(
            sa.update(source).where(source.c.path == "counter", source.c.position == old).values(position=old + 1)
        )
        return moved.rowcount == 1


def test_no_compare_and_set_is_lost_among_four_threads_and_two_processes(store: Store, store_url: str) -> None:
    with store.write() as conn:
        conn.execute(sa.insert(source).values(path="counter", position=0))
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=step_until_done, args=(store_url, STEPS)) for _ in range(PROCESSES)]
    threads = [threading.Thread(target=step_until_done, args=(store_url, STEPS)) for _ in range(THREADS)]
    workers: list[Any] = [*processes, *threads]
    for each in workers:
        each.start()
    for each in workers:
        each.join(120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    with store.read() as conn:
        assert conn.scalar(sa.select(source.c.position)) == STEPS * (THREADS + PROCESSES)


def test_the_migrations_make_the_tables_that_the_code_knows(store: Store) -> None:
    with store.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []


def test_the_newest_migration_is_the_one_that_the_code_takes_for_it(store: Store) -> None:
    with store.read() as conn:
        assert migrate.revision(conn) == migrate.HEAD
        assert ScriptDirectory.from_config(migrate._config(conn)).get_current_head() == migrate.HEAD


def test_opening_a_store_again_changes_nothing(store: Store, store_url: str) -> None:
    with store.write() as conn:
        conn.execute(sa.insert(source).values(path="kept"))
    again = open_store(store_url)
    with again.read() as conn:
        assert conn.scalar(sa.select(source.c.path)) == "kept"
    again.close()


def test_two_servers_that_open_a_new_store_at_once_both_get_it(store_url: str) -> None:
    failures: list[Exception] = []

    def opens() -> None:
        try:
            open_store(store_url).close()
        except Exception as exc:  # noqa: BLE001 - shown by the assertion
            failures.append(exc)

    threads = [threading.Thread(target=opens) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_a_store_that_a_newer_afterglow_has_written_is_refused(store: Store, store_url: str) -> None:
    with store.write() as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew, match="schema 9999, which this Afterglow does not know"):
        open_store(store_url)


PASSES = {
    errors.TooManyConnections: True,
    errors.AdminShutdown: True,
    errors.DiskFull: False,
    errors.OutOfMemory: False,
}


@pytest.mark.parametrize(("error", "is_away"), PASSES.items())
def test_a_postgresql_that_lacks_something_is_away_where_that_passes(error: type[Exception], is_away: bool) -> None:
    with pytest.raises(StoreUnreachable if is_away else OperationalError), answering():
        raise OperationalError("SELECT 1", {}, error())


def test_a_write_that_fails_leaves_nothing_behind(store: Store) -> None:
    def fails_midway() -> None:
        with store.write() as conn:
            conn.execute(sa.insert(source).values(path="half"))
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fails_midway()
    with store.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(source)) == 0


def test_an_older_answer_never_replaces_a_newer_one(store: Store) -> None:
    row = {"id": 1, "run_id": "r", "server": "s", "experiment_id": "1", "name": "new", "as_of": 200}
    with store.write() as conn:
        upsert(conn, run, [row], newer="as_of", key=["run_id"])
        upsert(conn, run, [row | {"name": "old", "as_of": 100}], newer="as_of", key=["run_id"])
    with store.read() as conn:
        assert conn.scalar(sa.select(run.c.name)) == "new"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no address at all", "cannot be opened"),
        ("oracle://nowhere/x", "cannot be opened"),
        ("sqlite:////proc/afterglow/store.db", "cannot be opened"),
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1/none", "does not answer"),
    ],
)
def test_an_address_that_cannot_be_opened_says_why_without_its_password(url: str, message: str) -> None:
    with pytest.raises(StoreUnreachable, match=message) as raised:
        open_store(url)
    assert "hunter2" not in str(raised.value)
