"""What search finds runs by: the params, tags and metrics of each run, kept in line with its row.

A term is a param or tag with its value. `run_term` has the runs of each term, newest first, and `run_metric` those of
each metric by its value: both are read in order, and only as far as a page needs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import sqlalchemy as sa

from afterglow_store.engine import delete_rows, insert_rows
from afterglow_store.schema import metric_key, run_metric, run_term, term

PARAM, TAG = "param", "tag"
LONGEST = 200  # characters of a value that are kept as they are
_CHUNK = 300  # terms in one statement, three bound values each

# Tags that every run has and whose values the run's or its application's row has, too: looked for there.
ELSEWHERE = frozenset(
    {
        "mlflow.runName", "mlflow.parentRunId", "mlflow.user", "mlflow.source.name", "mlflow.source.type",
        "spark.app.id", "spark.app.name", "spark.app.startTime", "spark.app.attempt.id", "spark.master", "spark.user",
        "spark.driver.host",
    }
)  # fmt: skip

Term = tuple[str, str, str]  # kind, key, value
_RunKey = tuple[int, str]  # a run's id and a metric's key …
_Value = tuple[float | None, int]  # … and its value and the run's start
T = TypeVar("T")


@dataclass(frozen=True)
class Posted:
    """A run, as far as search finds it by its params, tags and metrics."""

    id: int
    start_time: int
    terms: Sequence[Term]
    metrics: Mapping[str, float | None]


def posted(id_: int, row: Mapping[str, Any]) -> Posted:
    """What a row of the run table, or one that is about to become one, is found by."""
    terms = _terms(PARAM, row["params"]) + _terms(TAG, row["tags"])
    metrics = {key: as_number(value) for key, value in (row["metrics"] or {}).items()}
    return Posted(id_, row["start_time"] or 0, terms, metrics)


def _terms(kind: str, values: Mapping[str, str] | None) -> list[Term]:
    return [(kind, key, indexed(value)) for key, value in (values or {}).items() if key not in ELSEWHERE]


def indexed(value: str) -> str:
    """A value as `term` has it."""
    if len(value) <= LONGEST:
        return value
    return value[: LONGEST - 64] + hashlib.sha256(value.encode()).hexdigest()


def as_number(value: Any) -> float | None:
    """A metric for comparing; None is NaN, which compares with nothing."""
    number = float(value)
    return None if math.isnan(number) else number


class Postings:
    """Writes postings; knows the terms that it has seen, so that a long load asks for each of them once.

    One is good for as long as its transactions are committed: after a rollback it knows ids that are not there.
    """

    def __init__(self, *, remember: int = 200_000) -> None:
        self._remember = remember
        self._terms: dict[Term, int] = {}
        self._keys: dict[str, int] = {}

    def write(self, conn: sa.Connection, new: Sequence[Posted], old: Sequence[Posted] = ()) -> None:
        """Put in what `new` has and `old`, the same runs as they were before, had not; take out what is gone."""
        if not old:
            self._put(conn, new)
            return
        before, after = _terms_of(old), _terms_of(new)
        self._put_terms(conn, list(after - before))
        gone = before - after
        ids = self._ids_of_terms(conn, {which for which, *_ in gone})
        delete_rows(conn, run_term, [(ids[which], *rest) for which, *rest in gone])
        self._replace_metrics(conn, _metrics_of(new), _metrics_of(old))

    def _put(self, conn: sa.Connection, new: Sequence[Posted]) -> None:
        self._put_terms(conn, [(which, each.start_time, each.id) for each in new for which in each.terms])
        self._replace_metrics(conn, _metrics_of(new), {})

    def _put_terms(self, conn: sa.Connection, rows: Sequence[tuple[Term, int, int]]) -> None:
        ids = self._ids_of_terms(conn, {which for which, *_ in rows})
        # In the order of the index: what lies together is written together.
        insert_rows(conn, run_term, sorted([(ids[which], start, run_id) for which, start, run_id in rows]))

    def _replace_metrics(
        self, conn: sa.Connection, after: Mapping[_RunKey, _Value], before: Mapping[_RunKey, _Value]
    ) -> None:
        changed = [which for which, value in after.items() if before.get(which) != value]
        gone = [which for which, value in before.items() if after.get(which) != value]
        ids = self._ids_of_keys(conn, {key for _, key in (*changed, *gone)})
        delete_rows(conn, run_metric, [(run_id, ids[key]) for run_id, key in gone])
        insert_rows(conn, run_metric, [(run_id, ids[key], *after[run_id, key]) for run_id, key in changed])

    def _ids_of_terms(self, conn: sa.Connection, wanted: set[Term]) -> dict[Term, int]:
        if len(self._terms) > self._remember:
            self._terms.clear()
        unknown = sorted(wanted - self._terms.keys())
        for some in chunks(unknown, _CHUNK):
            found = sa.select(term).where(sa.tuple_(term.c.kind, term.c.key, term.c.value).in_(some))
            self._terms |= {(row.kind, row.key, row.value): row.id for row in conn.execute(found)}
        new = dict(zip((each for each in unknown if each not in self._terms), next_ids(conn, term), strict=False))
        insert_rows(conn, term, [(id_, *which) for which, id_ in new.items()])
        self._terms |= new
        return self._terms

    def _ids_of_keys(self, conn: sa.Connection, wanted: set[str]) -> dict[str, int]:
        unknown = sorted(wanted - self._keys.keys())
        for some in chunks(unknown, _CHUNK):
            found = conn.execute(sa.select(metric_key).where(metric_key.c.key.in_(some)))
            self._keys |= {row.key: row.id for row in found}
        new = dict(zip((each for each in unknown if each not in self._keys), next_ids(conn, metric_key), strict=False))
        insert_rows(conn, metric_key, [(id_, key) for key, id_ in new.items()])
        self._keys |= new
        return self._keys


def _terms_of(runs: Iterable[Posted]) -> set[tuple[Term, int, int]]:
    return {(which, each.start_time, each.id) for each in runs for which in each.terms}


def _metrics_of(runs: Iterable[Posted]) -> dict[_RunKey, _Value]:
    return {(each.id, key): (value, each.start_time) for each in runs for key, value in each.metrics.items()}


def next_ids(conn: sa.Connection, table: sa.Table) -> Iterator[int]:
    """Ids for new rows: ours to give, since writers come one after the other."""
    return count((conn.scalar(sa.select(sa.func.max(table.c.id))) or 0) + 1)


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[at : at + size] for at in range(0, len(items), size))
