"""Before and after very many runs are written to a store that has few.

The values of a metric come in no order, and the durations and names of runs do not either. Among a million runs each of
them changes another page of its index, which takes longer than all else of the run together; sorted once at the end,
all of them take seconds. Until then a search by these goes through all runs that were loaded, and may be stopped for
it; no other one is slower.

SQLite writes each page twice: into its log, and from there to its place, which whoever commits has to wait for. Among
so many runs that is a third of the time, so meanwhile a thread does it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import sqlalchemy as sa

from afterglow_store.engine import Store, analyze, count_if_grown
from afterglow_store.schema import NAMES, run, run_metric

MANY = 50_000  # of fewer runs, the index is kept up
SHARE = 10  # of what is to come, the store may have so small a part: it does without its index meanwhile
LOG_PAGES = 100_000  # of SQLite's log, 400 MB: once it has so many, it is left to the writers to begin it anew
LATE = (
    *run_metric.indexes,
    *(each for each in run.indexes if each.columns[0] is run.c.duration_ms or each.name == NAMES),
)


def before_load(store: Store, runs: int) -> None:
    """So many runs are to be written: do without the indexes that are dear then, if hardly anything needs them yet."""
    if runs < MANY:
        return
    with store.write() as conn:
        if (conn.scalar(sa.select(sa.func.max(run.c.id))) or 0) * SHARE <= runs:
            for index in LATE:
                index.drop(conn, checkfirst=True)


def meanwhile(store: Store, runs: int) -> None:
    """Now and then, while runs are written of which the store has so many now."""
    with store.append() as conn:
        count_if_grown(conn, runs)


def after_load(store: Store) -> None:
    """Make what `before_load` has dropped, perhaps in a process that was killed, and count what the database plans
    its searches by."""
    make_missing(store)
    with store.write() as conn:
        analyze(conn)


def make_missing(store: Store) -> None:
    """The indexes that are not there. Writers wait for it, some seconds for a million runs; nobody else does."""
    with store.read() as conn:
        look = sa.inspect(conn)
        there = {each["name"] for table in (run, run_metric) for each in look.get_indexes(table.name)}
    missing = [index for index in LATE if index.name not in there]
    if missing:
        with store.write() as conn:
            for index in missing:
                index.create(conn, checkfirst=True)


@contextmanager
def checkpointing(store: Store) -> Iterator[None]:
    """Meanwhile what is in SQLite's log is moved to its place by a thread. PostgreSQL has a process for that."""
    if store.engine.dialect.name != "sqlite":
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_checkpoint, args=(store, over), name="afterglow-checkpoint")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _checkpoint(store: Store, over: threading.Event) -> None:
    """Those who commit find that somebody is at it, and go on. Only one of them can see the end of the log, since it
    grows all the time: now and then they are let."""
    pause = 0.0
    with closing(store.engine.raw_connection()) as conn:
        cursor = conn.cursor()
        while not over.wait(pause):
            _, pages, _ = cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            pause = 0.5 if pages > LOG_PAGES else 0.02
