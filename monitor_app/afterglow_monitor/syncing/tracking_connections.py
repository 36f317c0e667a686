"""Connections that cannot write to MLflow's database, and where SQLite and PostgreSQL differ in it."""

from __future__ import annotations

import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from afterglow_monitor.errors import BadTrackingDatabase
from afterglow_monitor.secrets import hushed

AGAIN = 100  # runs of before that are read again with those that were made since: their numbers may be given twice
CONNECT_SECONDS = 10
BUSY_SECONDS = 20.0  # how long to wait for a writer of a SQLite database; MLflow waits as long


@dataclass(frozen=True)
class Database:
    """`name` is its URL without the password. `connect` gives a connection that is the caller's until the end; all that
    goes wrong in it is raised as BadTrackingDatabase."""

    name: str
    connect: Callable[[], AbstractContextManager[Connection]]


def named_database(url: str) -> Database:
    """The database of a SQLAlchemy URL, not yet connected to. Raises BadTrackingDatabase for one of another kind."""
    try:
        parsed = sa.make_url(url)
        opener = _OPENERS[parsed.get_backend_name()]
    except (ArgumentError, KeyError) as exc:
        raise BadTrackingDatabase(
            f"{hushed(url)!r} cannot be read directly: use sqlite:///FILE or postgresql://USER@HOST/DB, "
            "or have the server asked by its URI alone"
        ) from exc
    name = parsed.render_as_string(hide_password=True)
    if opener is _open_sqlite:  # a millisecond; and a file that was replaced is another one
        return Database(name, lambda: opener(parsed, name))
    return Database(name, _Kept(lambda: opener(parsed, name)).lend)


class _Kept:
    """A connection that stays open between two uses: a server of PostgreSQL makes a process for each. Who comes while
    it is lent has another one; after an error it is made anew."""

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._connect = connect
        self._free = threading.Lock()
        self._open = ExitStack()
        self._kept: Connection | None = None

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        if not self._free.acquire(blocking=False):
            with self._connect() as another:
                yield another
            return
        try:
            if self._kept is None:
                self._kept = self._open.enter_context(self._connect())
            yield self._kept
        except BaseException as exc:
            self._kept = None
            self._open.__exit__(type(exc), exc, exc.__traceback__)  # closes it, and says what went wrong
            raise
        finally:
            self._free.release()


@contextmanager
def _open_sqlite(url: sa.URL, name: str) -> Iterator[Connection]:
    place = f"file:{quote(str(Path(url.database or '').absolute()))}?mode=ro"
    try:
        with closing(
            sqlite3.connect(place, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        ) as raw:
            yield _Sqlite(raw)
    except (sqlite3.Error, OSError) as exc:
        raise BadTrackingDatabase(f"{name} cannot be read: {exc}") from exc


@contextmanager
def _open_postgres(url: sa.URL, name: str) -> Iterator[Connection]:
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ImportError as exc:
        raise BadTrackingDatabase(f"{name} needs 'afterglow[postgres]' installed") from exc
    _, said = url.set(drivername="postgresql+psycopg").get_dialect()().create_connect_args(url)
    try:
        with psycopg.connect(**{"connect_timeout": CONNECT_SECONDS, **said}, autocommit=True) as raw:
            raw.execute("SET default_transaction_read_only = on")
            raw.execute("SET default_transaction_isolation = 'repeatable read'")
            raw.execute("SET jit = off")  # compiling takes longer than reading a chunk
            yield _Postgres(raw)
    except psycopg.Error as exc:
        raise BadTrackingDatabase(f"{name} cannot be read: {exc}") from exc


_OPENERS = {"sqlite": _open_sqlite, "postgresql": _open_postgres}


class Connection(ABC):
    """A connection of either database. In a statement ``{value}`` stands for the next of its values."""

    value: str  # what this database has for {value}
    gathered: str  # the keys and values of a run as one JSON object

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return list(self.each(statement, values))

    def each(self, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows one after the other; all of them are to be taken."""
        found: Iterator[tuple[Any, ...]] = self._raw.execute(statement.format(value=self.value), values)
        return found

    def rows_of(self, run_ids: Sequence[str], columns: str, table: str) -> list[tuple[Any, ...]]:
        which, values = self._among(run_ids)
        return self.rows(f"SELECT {columns} FROM {table} r WHERE {which}", values)  # noqa: S608 - all ours

    def gather(self, table: str) -> str:
        """Of a table with keys and values: those of a run `r` as one JSON object, NULL or {} where it has none.

        A subquery, so that the index of the run ids is used whatever the database thinks of it; put together there,
        they are read three times as fast as row by row.
        """
        return f"(SELECT {self.gathered} FROM {table} t WHERE t.run_uuid = r.run_uuid)"  # noqa: S608 - all ours

    @abstractmethod
    def columns(self) -> dict[str, set[str]]:
        """The names of the columns of each table."""

    @abstractmethod
    def stamp(self) -> Any:
        """What differs once anything was written."""

    @abstractmethod
    def mark(self) -> str:
        """What comes after all runs that are there now, for `made_since`."""

    @abstractmethod
    def made_since(self, mark: str) -> str:
        """The condition that a row of `runs` was made since `mark`, whatever its start says; it lets others through,
        too."""

    @abstractmethod
    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is read inside is of one moment."""
        yield

    @abstractmethod
    def _among(self, run_ids: Sequence[str]) -> tuple[str, Sequence[Any]]:
        """The condition that a row is of one of the runs, and its values."""


class _Sqlite(Connection):
    value = "?"
    gathered = "json_group_object(key, value)"

    def columns(self) -> dict[str, set[str]]:
        return _by_table(
            self.rows("SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'")
        )

    def stamp(self) -> Any:
        """Of the files: a transaction changes the counter in the first one's header, or makes the log longer."""
        [(_, _, place)] = self.rows("SELECT * FROM pragma_database_list WHERE name = 'main'")
        with Path(place).open("rb") as file:
            header = file.read(28)[24:]
        return header, *(_file_stamp(Path(place + suffix)) for suffix in ("", "-wal"))

    def mark(self) -> str:
        [(last,)] = self.rows("SELECT max(rowid) FROM runs")
        return str(last or 0)

    def made_since(self, mark: str) -> str:
        # Rows get the next number after the last one. That is less than it was where the last ones were removed for
        # good, or the file was vacuumed.
        return f"rowid > {min(int(mark), int(self.mark())) - AGAIN}"

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self._raw.execute("BEGIN")
        try:
            yield
        finally:
            self._raw.execute("COMMIT")

    def _among(self, run_ids: Sequence[str]) -> tuple[str, Sequence[Any]]:
        return f"run_uuid IN ({', '.join('?' * len(run_ids))})", run_ids


class _Postgres(Connection):
    value = "%s"
    gathered = "json_object_agg(key, value)::text"

    def columns(self) -> dict[str, set[str]]:
        return _by_table(
            self.rows(
                "SELECT table_name, column_name FROM information_schema.columns "
                "WHERE table_schema = ANY(current_schemas(false))"
            )
        )

    def stamp(self) -> Any:
        """Of the cluster: reading takes no transaction's number."""
        return self.rows("SELECT txid_current_snapshot()::text")

    def mark(self) -> str:
        [(first_open,)] = self.rows("SELECT mod(txid_snapshot_xmin(txid_current_snapshot()), 4294967296)")
        return str(first_open)

    def made_since(self, mark: str) -> str:
        # By the transaction that wrote the row: those that were open at the mark, or came later.
        return f"age(xmin) <= age('{mark}'::xid)"

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._raw.transaction():
            yield

    def _among(self, run_ids: Sequence[str]) -> tuple[str, Sequence[Any]]:
        return "run_uuid = ANY(%s)", [list(run_ids)]


def _file_stamp(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _by_table(rows: list[tuple[Any, ...]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found
