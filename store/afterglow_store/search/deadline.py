"""A search that takes too long is stopped: whoever waits for it is better told why than kept waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from afterglow_store.errors import TooSlow

SECONDS = 2.0
_STEPS = 20_000  # of SQLite's machine, between two looks at the clock: some tenths of a millisecond


@contextmanager
def deadline(conn: sa.Connection, seconds: float | None = None) -> Iterator[None]:
    """Stops what is asked of `conn` after `seconds` (SECONDS where none are said) in all. Raises TooSlow."""
    seconds = SECONDS if seconds is None else seconds
    limit = _on_postgresql if conn.dialect.name == "postgresql" else _on_sqlite
    try:
        with limit(conn, seconds):
            yield
    except OperationalError as exc:
        if not _was_stopped(exc):
            raise
        raise TooSlow(
            f"the search was stopped after {seconds:g} s: choose a shorter time, or filter by a param, tag, metric, "
            "user, experiment or status that fewer runs have"
        ) from exc


@contextmanager
def _on_sqlite(conn: sa.Connection, seconds: float) -> Iterator[None]:
    dbapi: Any = conn.connection.dbapi_connection
    until = time.monotonic() + seconds
    dbapi.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    try:
        yield
    finally:
        dbapi.set_progress_handler(None, 0)


@contextmanager
def _on_postgresql(conn: sa.Connection, seconds: float) -> Iterator[None]:
    # Of each statement: a search has a few, of which at most one is slow.
    conn.exec_driver_sql(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
    yield
    if not conn.invalidated:
        conn.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _was_stopped(error: OperationalError) -> bool:
    return str(error.orig) == "interrupted" or getattr(error.orig, "sqlstate", None) == "57014"
