"""`afterglow db`: what is backed up comes back, and what is not whole is found."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from afterglow_monitor.clock import now_ms
from afterglow_store import Store, audit, backup, check, ingest_file, leases, migrate, open_store
from afterglow_store.engine import connect
from afterglow_store.errors import BackupFailed, StoreTooNew
from afterglow_store.schema import application, job, link, metadata, run
from tests.support.journals import Journal, run_id_of

START = 1_790_000_000_000


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> Iterator[Store]:
    """With two applications, a run, and jobs."""
    opened = open_store(store_url)
    for number in range(2):
        journal = Journal(tmp_path / "journal", f"app-{number}", name="train", start=START + number)
        journal.executors(2).job()
        made = journal.run_start(run_id_of(f"x {number}"), "x", params={"depth": "5"})
        journal.job(made["run_id"])
        journal.run_end(made)
        ingest_file(opened, journal.end(), now=now_ms())
    yield opened
    opened.close()


def contents(store: Store) -> dict[str, list[Any]]:
    with store.read() as conn:
        return {
            table.name: sorted((tuple(row) for row in conn.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
        }


@pytest.fixture
def elsewhere(store_url: str, tmp_path: Path) -> Iterator[str]:
    """Another place of the same kind, with nothing in it."""
    if store_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'elsewhere.db'}"
        return
    url = sa.make_url(store_url)
    name = f"{url.database}_copy"
    with psycopg.connect(host=str(url.query["host"]), user="postgres", dbname="postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        yield url.set(database=name).render_as_string(hide_password=False)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_backup_that_is_put_back_has_every_row(store: Store, elsewhere: str, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    backup.backup(store, file)
    assert file.stat().st_mode & 0o077 == 0
    backup.restore(elsewhere, file)
    with closing(open_store(elsewhere)) as copy:
        assert contents(copy) == contents(store)
        assert len(contents(copy)["job"]) == 4


def test_a_backup_overwrites_no_file_and_leaves_none_that_is_half_made(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(BackupFailed, match="is there already"):
        backup.backup(store, tmp_path / "there")
    with pytest.raises(BackupFailed, match="cannot be written"):
        backup.backup(store, tmp_path / "no folder" / "backup")
    if store.engine.dialect.name == "postgresql":
        monkeypatch.setenv("PATH", "")
        with pytest.raises(BackupFailed, match="pg_dump is not on the PATH: install PostgreSQL's client programs"):
            backup.backup(store, tmp_path / "backup")
    assert not list(tmp_path.glob("backup*"))


def test_a_backup_is_not_put_under_a_worker_nor_is_what_is_none(store: Store, store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    backup.backup(store, file)
    leases.renew(store, {"judge": leases.Note("judge")}, holder="one", host="server-1")
    with pytest.raises(BackupFailed, match="a worker on server-1 is at work on the store"):
        backup.restore(store_url, file)
    leases.release(store, "one")
    (tmp_path / "none").write_text("no backup")
    before = contents(store)
    with pytest.raises(BackupFailed):
        backup.restore(store_url, tmp_path / "none")
    with pytest.raises(BackupFailed, match="there is no file"):
        backup.restore(store_url, tmp_path / "nowhere")
    assert contents(store) == before


def test_a_store_in_sqlite_is_replaced_and_one_in_postgresql_never(
    store: Store, store_url: str, tmp_path: Path
) -> None:
    file, before = tmp_path / "backup", contents(store)
    backup.backup(store, file)
    with store.write() as conn:
        conn.execute(sa.delete(job))
    if store.engine.dialect.name == "postgresql":
        with pytest.raises(BackupFailed, match="make an empty database"):
            backup.restore(store_url, file)
        return
    store.close()
    backup.restore(store_url, file)
    assert contents(store) == before


def test_a_backup_of_a_newer_afterglow_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    with closing(open_store(sqlite_url)) as store:
        backup.backup(store, tmp_path / "backup")
        with closing(sqlite3.connect(tmp_path / "backup")) as newer, newer:
            newer.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(StoreTooNew, match="with schema 9999"):
            backup.restore(sqlite_url, tmp_path / "backup")
        with store.read() as conn:
            assert migrate.revision(conn) == migrate.HEAD


def test_a_backup_of_a_newer_afterglow_leaves_postgresql_empty(store: Store, elsewhere: str, tmp_path: Path) -> None:
    if store.engine.dialect.name == "sqlite":
        return
    with store.write() as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    backup.backup(store, tmp_path / "backup")
    with pytest.raises(StoreTooNew, match="with schema 9999"):
        backup.restore(elsewhere, tmp_path / "backup")
    with closing(connect(elsewhere)) as empty, empty.read() as conn:
        assert sa.inspect(conn).get_table_names() == []


def wrong(store: Store) -> dict[str, str]:
    with store.read() as conn:
        return {each.what: each.wrong for each in check.check(conn) if each.wrong is not None}


def test_a_whole_store_is_found_whole(store: Store) -> None:
    assert wrong(store) == {}
    with store.read() as conn:
        assert len(list(check.check(conn))) > 15


def test_rows_without_what_they_are_of_and_sums_that_are_none_are_found(store: Store) -> None:
    with store.write() as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(sa.text("ALTER TABLE link DROP CONSTRAINT fk_link_application_id"))
        conn.execute(sa.insert(link).values(run_id="x", application_id=99, source="tag", first_seen=1))
        conn.execute(sa.update(job).where(job.c.job_id == 0).values(core_ms=job.c.core_ms + 1))
        conn.execute(sa.update(application).values(jobs=7))
        conn.execute(sa.delete(run).where(run.c.run_id == run_id_of("x 0")))
    found = wrong(store)
    assert found.pop("rows of run_term, each with its run").endswith("have none")
    assert found == {
        "rows of link, each with its application": "1 have none",
        "core time of jobs, from their stages": "2 are not what they add up",
        "number of jobs of applications": "2 are not what they add up",
    }


def test_a_file_that_is_damaged_is_found(sqlite_url: str, tmp_path: Path) -> None:
    open_store(sqlite_url).close()
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as raw:
        root, size = raw.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = 'ix_job_run_id'"
        ).fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 200)
    with closing(connect(sqlite_url)) as store:
        assert "file" in wrong(store)


def afterglow(home: Path, store_url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "afterglow_monitor.cli", "db", *arguments],
        env={**os.environ, "AFTERGLOW_HOME": str(home), "AFTERGLOW_STORE_URL": store_url},
        capture_output=True, text=True, check=False, timeout=120, input="n\n",
    )  # fmt: skip


def test_the_commands_say_what_they_did(sqlite_url: str, tmp_path: Path) -> None:
    assert f"was not there and is {migrate.HEAD} now" in afterglow(tmp_path, sqlite_url, "upgrade").stdout
    assert afterglow(tmp_path, sqlite_url, "upgrade").stdout == f"The schema is {migrate.HEAD} already.\n"
    assert "bytes." in afterglow(tmp_path, sqlite_url, "backup", str(tmp_path / "b")).stdout
    assert "is there already" in afterglow(tmp_path, sqlite_url, "backup", str(tmp_path / "b")).stderr
    assert afterglow(tmp_path, sqlite_url, "restore", str(tmp_path / "b")).returncode == 1  # it was asked, and said no
    assert afterglow(tmp_path, sqlite_url, "restore", "--yes", str(tmp_path / "b")).returncode == 0
    done = afterglow(tmp_path, sqlite_url, "check")
    assert (done.returncode, "WRONG" in done.stdout) == (0, False)
    with closing(connect(sqlite_url)) as store, store.read() as conn:
        assert [(each["action"], each["after"]) for each in audit.entries(conn)] == [
            (audit.RESTORE, {"file": str(tmp_path / "b")})
        ]
    with closing(connect(sqlite_url)) as store, store.write() as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    done = afterglow(tmp_path, sqlite_url, "check")
    assert (done.returncode, "WRONG  schema: it is at 9999" in done.stdout) == (1, True)
    assert "upgrade this installation" in done.stdout
    assert "a newer one has written it" in afterglow(tmp_path, sqlite_url, "upgrade").stderr
