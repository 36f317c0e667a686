"""A copy of the whole store in one file, made while others work, and put back."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from afterglow_store import migrate
from afterglow_store.engine import Store, connect
from afterglow_store.errors import BackupFailed, StoreTooNew
from afterglow_store.leases import jobs


def backup(store: Store, file: Path) -> None:
    """Copy the store as it is at one moment into a new `file`: a SQLite database, or what pg_dump makes in its custom
    format. Readable by its owner only. Raises BackupFailed; then there is no file."""
    if file.exists():
        raise BackupFailed(f"{file} is there already: name another file")
    partial = file.with_name(file.name + ".partial")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
        if store.engine.dialect.name == "postgresql":
            _run("pg_dump", store.engine.url, "--format=custom", "--no-owner", f"--file={partial}")
        else:
            with closing(sqlite3.connect(partial)) as copy, _raw(store) as its:
                its.backup(copy)
        partial.rename(file)
    except (OSError, sqlite3.Error) as exc:
        raise BackupFailed(f"{file} cannot be written: {exc}") from exc
    finally:
        partial.unlink(missing_ok=True)


def restore(url: str, file: Path) -> None:
    """Put a backup in the place of all that the store at `url` has; in PostgreSQL into a database that has no store
    yet. Its schema is then as old as the backup.

    Raises BackupFailed where it is no backup, or a worker is at work on the store, and StoreTooNew for one of a newer
    Afterglow.
    """
    if not file.is_file():
        raise BackupFailed(f"there is no file {file}")
    with closing(connect(url)) as store:
        _refuse_at_work(store)
        if store.engine.dialect.name == "postgresql":
            _refuse_full(store)
            _refuse_newer(file)
            options = ("--no-owner", "--single-transaction", "--exit-on-error")
            _run("pg_restore", store.engine.url, *options, str(file))
        else:
            _restore_sqlite(store, file)


def _restore_sqlite(store: Store, file: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as copy:
            found = copy.execute("SELECT version_num FROM alembic_version").fetchone()
            _refuse_unknown(file, found and found[0])
            with _raw(store) as its:
                copy.backup(its)
    except sqlite3.Error as exc:
        raise BackupFailed(f"{file} is no backup of a store in SQLite: {exc}") from exc


def _refuse_newer(file: Path) -> None:
    """Of a backup of PostgreSQL: it is asked before anything of it is in the database."""
    said = _started("pg_restore", "--data-only", "--table=alembic_version", "--file=-", str(file))
    found = re.search(r"^COPY .*alembic_version .*\n(.*)\n", said, re.MULTILINE)
    if found is None:
        raise BackupFailed(f"{file} is no backup of a store in PostgreSQL")
    _refuse_unknown(file, found[1])


def _refuse_unknown(file: Path, at: str | None) -> None:
    if at is None or at > migrate.HEAD:
        raise StoreTooNew(f"{file} is of a newer Afterglow, with schema {at}: upgrade this installation first")


def _refuse_full(store: Store) -> None:
    with store.read() as conn:
        if migrate.revision(conn) is not None:
            raise BackupFailed(
                f"{store.url} has a store already: make an empty database (createdb), name it in store.url, and "
                "restore into that one"
            )


def _raw(store: Store) -> closing[sqlite3.Connection]:
    """A connection of its own: those of the pool are in the middle of something."""
    return closing(sqlite3.connect(store.engine.url.database or "", timeout=30))


def _refuse_at_work(store: Store) -> None:
    with store.read() as conn:
        if migrate.revision(conn) != migrate.HEAD:
            return
        busy = sorted({str(each["host"]) for each in jobs(conn) if each["held"]})
    if busy:
        raise BackupFailed(f"a worker on {', '.join(busy)} is at work on the store: stop `afterglow up` there first")


def _run(program: str, url: sa.URL, *arguments: str) -> None:
    target = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    _started(program, f"--dbname={target}", *arguments, password=url.password)


def _started(program: str, *arguments: str, password: object = None) -> str:
    """What it writes."""
    path = shutil.which(program)
    if path is None:
        raise BackupFailed(f"{program} is not on the PATH: install PostgreSQL's client programs")
    environment = os.environ | ({"PGPASSWORD": str(password)} if password else {})
    done = subprocess.run(  # noqa: S603 - no shell; the file's name comes last
        [path, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BackupFailed(f"{program} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
