"""The questions of the search benchmark, asked of our store, which is filled from the same MLflow database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from afterglow_monitor.tracking_database import TrackingDatabase
from afterglow_store import Query, Store, Window, bulk, search_runs
from afterglow_store.runs import Origin, refresh_sums, take_in_experiment, take_in_runs
from afterglow_store.schema import run
from afterglow_store.search import FACETS, facets

BATCH = 10_000  # runs written at a time
SERVER = "mlflow"
USED, PRIME = 7_919, 982_451_653


def fill(store: Store, url: str, *, now: int) -> None:
    """Take all runs of an MLflow database into `store`."""
    database = TrackingDatabase(url)
    bulk.before_load(store, database.count())
    with store.write() as conn:
        for each in database.experiments().values():
            take_in_experiment(conn, each, server=SERVER)
    batch: list[dict[str, Any]] = []
    for runs, _ in database.chunks():
        batch += [dict(each) for each in runs]
        if len(batch) >= BATCH:
            _write(store, batch, Origin(SERVER, url, now))
            batch = []
    _write(store, batch, Origin(SERVER, url, now))
    with store.write() as conn:  # no two runs the same
        conn.execute(sa.update(run).values(input_bytes=run.c.id * USED % PRIME))
    bulk.after_load(store)


def _write(store: Store, runs: list[dict[str, Any]], origin: Origin) -> None:
    with store.write() as conn:
        refresh_sums(conn, take_in_runs(conn, runs, origin))


def asks(store: Store, query: Query) -> Callable[[Store], int]:
    """Asks for one page, the total left out; the page that is skipped to is found by the mark of the one before."""
    if query.offset:
        with store.read() as conn:
            before = Query(**{**_fields(query), "offset": query.offset - query.limit})
            query = Query(**{**_fields(query), "offset": 0, "after": search_runs(conn, before).next})

    def ask(store: Store) -> int:
        with store.read() as conn:
            return len(search_runs(conn, query).rows)

    return ask


def _fields(query: Query) -> Mapping[str, Any]:
    return dict(vars(query))


def facet(name: str, window: Window) -> Callable[[Store], int]:
    def ask(store: Store) -> int:
        with store.read() as conn:
            return len(facets(conn, Query(window=window), [name])[name])

    return ask


__all__ = ["FACETS", "asks", "facet", "fill"]
