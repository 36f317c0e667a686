"""What search finds runs by: the params, tags and metrics of each run, kept in line with its row.

A term is a param or tag with its value. `run_term` has the runs of each term, newest first, and `run_metric` those of
each metric by its value: both are read in order, and only as far as a page needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from typing import Any

import sqlalchemy as sa

from afterglow_store.engine import delete_rows, insert_rows
from afterglow_store.schema import run_metric, run_term

PARAM, TAG, METRIC = "param", "tag", "metric"

# Tags that every run has and whose values the run's or its application's row has, too: looked for there.
ELSEWHERE = frozenset(
    {
        "mlflow.runName", "mlflow.parentRunId", "mlflow.user", "mlflow.source.name", "mlflow.source.type",
        "spark.app.id", "spark.app.name", "spark.app.startTime", "spark.app.attempt.id", "spark.master", "spark.user",
        "spark.driver.host",
    }
)  # fmt: skip

Terms = set[tuple[int, int, int]]  # term, start of the run in ms, run: the rows of run_term
Metrics = dict[tuple[int, int], tuple[float | None, int]]  # run and metric: value and start, the rows of run_metric


_OFTEN = 100  # characters of what may come often; what is longer is not remembered
_REMEMBERED = 25_000  # of each kind


class _Numbers(dict[tuple[str, str], int]):
    """Of one kind, by key and value: most come again and again."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def __missing__(self, said: tuple[str, str]) -> int:
        number = _number_of(self._kind, *said)
        if len(said[1]) <= _OFTEN:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[said] = number
        return number


_NUMBERS = {kind: _Numbers(kind) for kind in (PARAM, TAG, METRIC)}
_PARAMS, _TAGS, _METRICS = _NUMBERS.values()


def number_of(kind: str, key: str, value: str = "") -> int:
    """The number that stands for a param or tag with its value, or for a metric, in an index.

    Of ten million different ones two get the same with a chance of 1 in 300,000; the indexes are small for it, and
    nothing has to be asked for before a row is written.
    """
    return _NUMBERS[kind][key, value]


def _number_of(kind: str, key: str, value: str) -> int:
    digest = blake2b(f"{kind}\0{key}\0{value}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


@dataclass(frozen=True)
class Posted:
    """A run, as far as search finds it by its params, tags and metrics."""

    id: int
    start_time: int  # ms
    terms: Sequence[int]
    metrics: Mapping[int, float | None]


def posted(id_: int, row: Mapping[str, Any]) -> Posted:
    """What a row of the run table, or one that is about to become one, is found by."""
    return Posted(id_, row["start_time"] or 0, terms_of(row), metrics_of(row))


def terms_of(row: Mapping[str, Any]) -> list[int]:
    terms = [_PARAMS[each] for each in (row["params"] or {}).items()]
    terms += [_TAGS[each] for each in (row["tags"] or {}).items() if each[0] not in ELSEWHERE]
    return terms


def metrics_of(row: Mapping[str, Any]) -> dict[int, float | None]:
    return {_METRICS[key, ""]: as_number(value) for key, value in (row["metrics"] or {}).items()}


def as_number(value: Any) -> float | None:
    """A metric for comparing; None is NaN, which compares with nothing."""
    number = float(value)
    return None if math.isnan(number) else number


def write(conn: sa.Connection, new: Iterable[Posted], old: Iterable[Posted] = ()) -> None:
    """Put in what `new` has and `old`, the same runs as they were before, had not; take out what is gone."""
    _change_terms(conn, _terms(new), _terms(old))
    _change_metrics(conn, _metrics(new), _metrics(old))


def _change_terms(conn: sa.Connection, new: Terms, old: Terms) -> None:
    delete_rows(conn, run_term, list(old - new))
    # In the order of the index: what lies together is written together.
    insert_rows(conn, run_term, sorted(new - old))


def _change_metrics(conn: sa.Connection, new: Metrics, old: Metrics) -> None:
    delete_rows(conn, run_metric, [which for which, value in old.items() if new.get(which) != value])
    insert_rows(conn, run_metric, sorted((*which, *value) for which, value in new.items() if old.get(which) != value))


def _terms(runs: Iterable[Posted]) -> Terms:
    return {(term, each.start_time, each.id) for each in runs for term in each.terms}


def _metrics(runs: Iterable[Posted]) -> Metrics:
    return {(each.id, key): (value, each.start_time) for each in runs for key, value in each.metrics.items()}


def next_ids(conn: sa.Connection, table: sa.Table) -> Iterator[int]:
    """Ids for new rows: ours to give, since writers come one after the other."""
    return count((conn.scalar(sa.select(sa.func.max(table.c.id))) or 0) + 1)
