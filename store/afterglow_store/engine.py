"""Opening the store, and the few places where SQLite and PostgreSQL differ."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from afterglow_store import visibility
from afterglow_store.errors import StoreUnreachable
from afterglow_store.upserts import STATEMENTS, Kind, as_one, fit_in_one, upsert_at_once, upsert_each
from afterglow_store.visibility import Scope

BUSY_TIMEOUT_MS = 30_000  # a writer waits this long for another one before it fails
WRITES = "afterglow_writes"  # execution option: this transaction is going to write
LOG_PAGES = 10_000  # of SQLite's log, 40 MB: in many runs the same pages change again and again, and are moved once
GROWN = 4  # times as many rows
_WRITER = 0x4146_5447  # PostgreSQL's advisory lock that a writer holds until it commits


@dataclass(frozen=True)
class Store:
    """An open store. Reads see one consistent state; a write is one transaction, or nothing. With a `scope` they see
    what that may."""

    engine: sa.Engine
    scope: Scope | None = None

    def seen_by(self, scope: Scope | None) -> Store:
        """This store, for somebody who may see that much; None: everything."""
        return Store(self.engine, scope)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self.engine.connect().execution_options(**{visibility.SCOPE: self.scope}) as conn:
            if conn.dialect.name == "postgresql":  # there each statement would see the rows of its own moment
                conn.execution_options(isolation_level="REPEATABLE READ")
            yield conn

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction. Writers come one after the other on both databases, so that what is read in it stays so
        until it is written, and two of them never wait for each other's rows."""
        with self.engine.connect().execution_options(**{WRITES: True}) as conn, conn.begin():
            if conn.dialect.name == "postgresql":  # SQLite: see _begin_sqlite
                conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITER)))
            yield conn

    @contextmanager
    def append(self) -> Iterator[sa.Connection]:
        """One transaction that locks no more than the rows that it changes, where the database can do that: it need
        not wait for the other writers. Only for tables that have no other ones, or what they read may have changed."""
        with self.engine.connect().execution_options(**{WRITES: True}) as conn, conn.begin():
            yield conn

    @property
    def url(self) -> str:
        """The address without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        self.engine.dispose()


def connect(url: str) -> Store:
    """Open `url` (``sqlite:///path`` or ``postgresql+psycopg://…``) as it is, without bringing its schema up to date.

    Raises StoreUnreachable when the address is malformed, its driver is not installed, or nothing answers.
    """
    try:
        engine = _engine(sa.make_url(url))
    except (ArgumentError, NoSuchModuleError, ImportError, OSError) as exc:
        raise StoreUnreachable(
            f"store.url = {re.sub('//[^/]*@', '//***@', url)!r} cannot be opened: {exc}. "
            "Use sqlite:///FILE, or postgresql+psycopg://USER@HOST/DB with 'afterglow[postgres]' installed"
        ) from exc
    store = Store(engine)
    try:
        with engine.connect():
            return store
    except (OperationalError, sqlite3.DatabaseError) as exc:
        store.close()
        raise StoreUnreachable(f"store.url = {store.url!r} does not answer: {getattr(exc, 'orig', exc)}") from exc


@contextmanager
def answering() -> Iterator[None]:
    """Raises StoreUnreachable where the database of a store that was open does not answer what is asked of it."""
    try:
        yield
    except OperationalError as exc:
        if not _is_away(exc):
            raise
        raise StoreUnreachable(str(exc.orig).partition("\n")[0]) from exc


# What SQLite calls a file that it cannot read now; and PostgreSQL's errors: of connections, too many of them, operator.
_AWAY_ON_SQLITE = ("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_BUSY")
_AWAY_ON_POSTGRESQL = ("08", "53300", "57P")


def _is_away(exc: OperationalError) -> bool:
    """Rather than that the statement is wrong, or was stopped."""
    if isinstance(exc.orig, sqlite3.Error):
        return str(getattr(exc.orig, "sqlite_errorname", "")).startswith(_AWAY_ON_SQLITE)
    code: str | None = getattr(exc.orig, "sqlstate", None)  # None: it could not be connected to
    return exc.connection_invalidated or code is None or code.startswith(_AWAY_ON_POSTGRESQL)


def _engine(url: sa.URL) -> sa.Engine:
    engine = _plain_engine(url)
    sa.event.listen(engine, "before_cursor_execute", _hide, retval=True)
    return engine


def _hide(
    conn: sa.Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
) -> tuple[str, Any]:
    return visibility.hide(conn, statement), parameters


def _plain_engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        engine = sa.create_engine(url, pool_pre_ping=True, query_cache_size=STATEMENTS)
        sa.event.listen(engine, "connect", _prepare_postgres)
        return engine
    if url.database:
        Path(url.database).expanduser().parent.mkdir(parents=True, exist_ok=True)
    # The connection that was used last is used next: each has a cache of its own.
    engine = sa.create_engine(url, query_cache_size=STATEMENTS, pool_use_lifo=True)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_postgres(dbapi: Any, _record: object) -> None:
    dbapi.autocommit = True  # else the first rollback would take them back
    dbapi.execute("SET jit = off")  # to compile a search takes ten times as long as to make it
    # By itself PostgreSQL takes a look into an index for that of a disk that turns, and reads whole tables instead.
    dbapi.execute("SET random_page_cost = 1.1")
    dbapi.autocommit = False


def _prepare_sqlite(dbapi: sqlite3.Connection, _record: object) -> None:
    dbapi.isolation_level = None  # Python's driver would open its transactions too late: see _begin_sqlite
    dbapi.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    dbapi.execute("PRAGMA journal_mode=WAL")
    dbapi.execute("PRAGMA synchronous=NORMAL")
    dbapi.execute("PRAGMA cache_size=-65536")  # KiB
    dbapi.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
    dbapi.execute("PRAGMA case_sensitive_like=ON")  # as PostgreSQL's LIKE is, and MLflow's


def _begin_sqlite(conn: sa.Connection) -> None:
    """Take the write lock at the start. Otherwise a SELECT before the first write reads outside of the
    transaction, and two processes that compare and then set lose one of the two."""
    writes = conn.get_execution_options().get(WRITES, False)
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def analyze(conn: sa.Connection) -> None:
    """Count what the database's planner goes by: three seconds for a million runs. PostgreSQL does it now and then by
    itself. From a sample, SQLite would guess another number of rows for each index of a table, and choose by these."""
    conn.exec_driver_sql("ANALYZE")


def count_if_grown(conn: sa.Connection, runs: int) -> None:
    """Where the store has now `runs` runs, and PostgreSQL goes by a count of a quarter of them: count anew. Its daemon
    looks once a minute. By what the first runs were like, among a million each list would go through all of them."""
    if conn.dialect.name == "postgresql" and runs >= GROWN * max(1, conn.scalar(_COUNTED) or 0):
        conn.exec_driver_sql("ANALYZE run, run_term, run_metric")


_COUNTED = sa.text("SELECT reltuples FROM pg_class WHERE oid = 'run'::regclass")


def has_index(conn: sa.Connection, name: str) -> bool:
    postgres = conn.dialect.name == "postgresql"
    there = "to_regclass(:name) IS NOT NULL" if postgres else "EXISTS (SELECT 1 FROM sqlite_master WHERE name = :name)"
    return bool(conn.scalar(sa.text(f"SELECT {there}"), {"name": name}))


def overwrite_deleted(conn: sa.Connection) -> None:
    """From here on SQLite writes zeros over what this connection deletes, where it would only mark it free."""
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql("PRAGMA secure_delete=ON")


def erase_traces(store: Store) -> bool:
    """Take what was deleted or changed earlier out of the database's files, as far as that can be done while others
    work. On SQLite the file is written anew and its log emptied: False when somebody still read the log. PostgreSQL
    gives the space of dead rows free to be written over; its log and backups are not ours."""
    if store.engine.dialect.name == "postgresql":
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql("VACUUM")
        return True
    raw = store.engine.raw_connection()  # VACUUM takes no transaction round it
    try:
        cursor = raw.cursor()
        cursor.execute("VACUUM")
        busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        raw.close()
    return not busy


_ALWAYS: Mapping[str, str] = {}


def upsert(
    conn: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    newer: str | None = None,
    key: Sequence[str] = (),
    keep: bool = False,
    unless: Mapping[str, str] = _ALWAYS,
) -> None:
    """Insert `rows`, all with the same columns, or set those columns where the key (the primary one, or `key`) exists
    already.

    With `newer`, a column name, a stored row is left as it is when it holds a larger value there; with `keep`, always.
    A column of `unless` is left as it is where the one that is named there has a value.
    """
    if not rows:
        return
    kind = Kind(conn.dialect.name, table, tuple(rows[0]), newer, tuple(key), keep, tuple(unless.items()))
    if conn.dialect.name == "postgresql" and fit_in_one(kind, rows):
        conn.execute(upsert_at_once(kind), {"rows": as_one(kind, rows)})
    else:
        conn.execute(upsert_each(kind), rows)


def among(
    conn: sa.Connection, column: sa.Column[Any], values: Collection[str] | Collection[int]
) -> sa.ColumnElement[bool]:
    """That a column has one of `values`, of which there may be tens of thousands: they are bound as one."""
    if conn.dialect.name == "postgresql":
        return column == sa.any_(sa.literal(list(values), postgresql.ARRAY(column.type)))
    listed = sa.func.json_each(orjson.dumps(list(values)).decode()).table_valued("value")
    return column.in_(sa.select(listed.c.value))


def insert_rows(
    conn: sa.Connection, table: sa.Table, rows: Sequence[Sequence[Any]], columns: Sequence[str] = ()
) -> None:
    """Insert many rows of plain values, one for each column of `table` or of `columns`, the fastest way there is."""
    if not rows:
        return
    names = list(columns) or table.columns.keys()
    listed = ", ".join(f'"{name}"' for name in names)
    if conn.dialect.name == "postgresql":
        with conn.connection.cursor().copy(f"COPY {table.name} ({listed}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    else:
        marks = ", ".join("?" * len(names))
        values = rows if isinstance(rows[0], tuple) else [tuple(row) for row in rows]
        conn.exec_driver_sql(f"INSERT INTO {table.name} ({listed}) VALUES ({marks})", values)  # noqa: S608 - our own names


def delete_rows(conn: sa.Connection, table: sa.Table, keys: Sequence[tuple[Any, ...]]) -> None:
    """Delete the rows with these primary keys."""
    if not keys:
        return
    names = [column.name for column in table.primary_key]
    which = sa.and_(*(table.c[name] == sa.bindparam(f"which_{name}") for name in names))
    conn.execute(
        sa.delete(table).where(which),
        [dict(zip((f"which_{name}" for name in names), key, strict=True)) for key in keys],
    )


def database_time(conn: sa.Connection) -> int:
    """The database's clock, in ms: the same for all servers that share it. SQLite has none but this machine's."""
    if conn.dialect.name == "postgresql":
        return int(conn.scalar(sa.text("SELECT extract(epoch FROM clock_timestamp()) * 1000")))
    return time.time_ns() // 1_000_000


def bytes_of(conn: sa.Connection) -> int:
    """How much room the store takes."""
    if conn.dialect.name == "postgresql":
        return int(conn.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)
    pages, size = (conn.scalar(sa.text(f"PRAGMA {name}")) or 0 for name in ("page_count", "page_size"))
    return int(pages) * int(size)
