"""The questions of the search benchmark, asked of our store, which is filled from the same MLflow database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from afterglow_monitor.settings import MlflowServer
from afterglow_store import Query, Store, Window, search_experiments, search_runs
from afterglow_store.engine import analyze, erase_traces
from afterglow_store.schema import run
from afterglow_store.search import FACETS, facets
from tests.benchmarks.loading import load_all

SERVER = "mlflow"
USED, PRIME = 7_919, 982_451_653


def fill(store: Store, url: str) -> None:
    """Take all runs of an MLflow database into `store`, as the first load does. Each has read something in Spark."""
    load_all(store, MlflowServer(name=SERVER, uri=url, database=url))
    with store.write() as conn:  # no two runs the same
        conn.execute(sa.update(run).values(input_bytes=run.c.id * USED % PRIME))
        analyze(conn)
    if store.engine.dialect.name == "postgresql":
        erase_traces(store)  # of the rows as they were: its daemon does it, within minutes


def asks(store: Store, query: Query) -> Callable[[Store], int]:
    """Asks for one page, the total left out; the page that is skipped to is found by the mark of the one before."""
    if query.offset:
        with store.read() as conn:
            before = Query(**{**_fields(query), "offset": query.offset - query.limit})
            if (mark := search_runs(conn, before).next) is not None:  # None: there are not so many
                query = Query(**{**_fields(query), "offset": 0, "after": mark})

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


def experiments(query: Query) -> Callable[[Store], int]:
    """Asks for a page of experiments, each with its numbers of runs and applications."""

    def ask(store: Store) -> int:
        with store.read() as conn:
            return len(search_experiments(conn, query).rows)

    return ask


__all__ = ["FACETS", "asks", "experiments", "facet", "fill"]
