"""Before and after very many runs are written to a store that has few.

The values of a metric come in no order, and the durations of runs do not either. Among a million runs each of them
changes another page of its index, which takes longer than all else of the run together; sorted once at the end, all of
them take seconds. Until then a search by these goes through all runs that were loaded, and may be stopped for it; no
other one is slower.
"""

from __future__ import annotations

import sqlalchemy as sa

from afterglow_store.engine import Store, analyze
from afterglow_store.schema import run, run_metric

MANY = 50_000  # of fewer runs, the index is kept up
SHARE = 10  # of what is to come, the store may have so small a part: it does without its index meanwhile
LATE = (*run_metric.indexes, *(each for each in run.indexes if each.columns[0] is run.c.duration_ms))


def before_load(store: Store, runs: int) -> None:
    """So many runs are to be written: do without the indexes that are dear then, if hardly anything needs them yet."""
    if runs < MANY:
        return
    with store.write() as conn:
        if (conn.scalar(sa.select(sa.func.max(run.c.id))) or 0) * SHARE <= runs:
            for index in LATE:
                index.drop(conn, checkfirst=True)


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
