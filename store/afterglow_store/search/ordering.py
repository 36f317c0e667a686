"""Runs in another order than by their start: through an index of values, or by anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import sqlalchemy as sa

from afterglow_store.filters import Comparison, Order
from afterglow_store.postings import METRIC, number_of
from afterglow_store.schema import RANKED, run, run_metric
from afterglow_store.search.comparing import json_text
from afterglow_store.search.conditions import At, Holds, column_of, exists, field_at, holds, of_experiment
from afterglow_store.search.drivers import Driver, all_runs
from afterglow_store.search.finding import MANY, Mark, Part, Wanted, follows, newest_first, smallest
from afterglow_store.windows import within

SORTED = 3_000  # runs that are quicker sorted than found in the index of a metric
BEST = 1_500  # of a metric's values, so many are tried before anything is counted

CORE_SECONDS = "spark.core_seconds"  # 0 where there are none
BY_COLUMN = frozenset({"duration", CORE_SECONDS, *(f"spark.{name}" for name in RANKED)})

NUMBERS, NANS, WITHOUT = range(3)  # the order in which runs come, whatever the direction


@dataclass(frozen=True)
class MetricMark:
    """Where a page of runs by a metric, or by a column, ended."""

    phase: int
    value: float | None
    mark: Mark


Values = tuple[sa.Select[Any], At, sa.ColumnElement[Any]]  # `id`, `start_time` and `value` of runs, and their columns


class Ranked(Protocol):
    """Something that runs have, or have not, by whose value an index has them in order."""

    order: Order
    phases: tuple[int, ...]  # those of NUMBERS, NANS and WITHOUT that it has, in this order

    def best(self) -> Values:
        """All runs that have a value, by the index."""

    def of(self, wanted: Wanted, driver: Driver) -> Values:
        """Those of the runs that are wanted, by a driver's index."""

    def without(self) -> Part:
        """That a run has no value."""


class ByMetric:
    """The last values of a metric."""

    phases: tuple[int, ...] = (NUMBERS, NANS, WITHOUT)

    def __init__(self, order: Order) -> None:
        self.order = order

    def best(self) -> Values:
        m = run_metric.alias()
        columns = (m.c.run.label("id"), m.c.start_time.label("start_time"), m.c.value.label("value"))
        select = sa.select(*columns).where(m.c.key == _key(self.order), m.c.value.is_not(None))
        return select, At(m.c.run, m.c.start_time), m.c.value

    def of(self, wanted: Wanted, driver: Driver) -> Values:
        m = run_metric.alias()
        # `+ 0` keeps the index of all values of the metric out of it: with statistics, SQLite would go through that.
        of_it = sa.and_(m.c.run == driver.id, m.c.key + 0 == _key(self.order), m.c.value.is_not(None))
        return wanted.from_driver(driver, m.c.value.label("value")).join(m, of_it), driver.at, m.c.value

    def without(self) -> Part:
        def lacks_it(at: At) -> Holds:
            m = run_metric.alias()
            return ~exists(m).where(m.c.run == at.id, m.c.key == _key(self.order)).exists()

        return Part(lacks_it)


class ByColumn:
    """A column of the run table that has an index. That of core seconds has no runs without any: who has none is the
    last of those that have them."""

    phases: tuple[int, ...] = (NUMBERS, WITHOUT)

    def __init__(self, order: Order) -> None:
        self.order = order
        self._name = column_of(order.field.name)

    def best(self) -> Values:
        value = run.c[self._name]
        select = sa.select(run.c.id, run.c.start_time, value.label("value")).where(self._has(value))
        return select, all_runs().at, value

    def of(self, wanted: Wanted, driver: Driver) -> Values:
        value = driver.at.column(self._name)
        return wanted.from_driver(driver, value.label("value")).where(self._has(value)), driver.at, value

    def without(self) -> Part:
        return Part(lambda at: ~sa.func.coalesce(self._has(at.column(self._name)), sa.false()))

    def _has(self, value: sa.ColumnElement[Any]) -> Holds:
        return value > 0 if self.order.field.name == CORE_SECONDS else value.is_not(None)


def ranked_by(orders: Sequence[Order]) -> Ranked | None:
    """None where no index has runs in that order."""
    if len(orders) != 1:
        return None
    name = orders[0].field.name
    if name == "metrics":
        return ByMetric(orders[0])
    if name == CORE_SECONDS and not orders[0].descending:
        return None  # those that have none, which are most, would come first
    return ByColumn(orders[0]) if name in BY_COLUMN else None


def by_index(
    conn: sa.Connection, wanted: Wanted, ranked: Ranked, limit: int, after: MetricMark | None = None
) -> list[MetricMark]:
    """The `limit` first: those with a number, then NaN, then those without a value; equals newest first."""
    found: list[MetricMark] = []
    for phase in ranked.phases:
        here = after if after is not None and after.phase == phase else None
        left = limit - len(found)
        if left > 0 and (after is None or phase >= after.phase):
            found += _PHASES[phase](conn, wanted, ranked, left, here)
    return found


def best_by_metric(conn: sa.Connection, wanted: Wanted, order: Order) -> MetricMark | None:
    """The first of those that have a number, by an order of one metric."""
    return next(iter(_numbers(conn, wanted, ByMetric(order), 1, None)), None)


def _numbers(
    conn: sa.Connection, wanted: Wanted, ranked: Ranked, limit: int, after: MetricMark | None
) -> list[MetricMark]:
    drivers = [*wanted.drivers, all_runs()]
    few, _ = smallest(conn, wanted, drivers, SORTED)
    if few is None:
        found = _best(conn, wanted, ranked, limit, after, most=BEST)
        if len(found) == limit:
            return found
        few, _ = smallest(conn, wanted, drivers, MANY)
    if few is None:
        return _best(conn, wanted, ranked, limit, after, most=None)
    select, at, value = ranked.of(wanted, few)
    select = select.where(*_beyond(value, at, ranked.order, after))
    return _metric_marks(conn, select.order_by(*_direction(value, at, ranked.order)).limit(limit))


def _best(
    conn: sa.Connection, wanted: Wanted, ranked: Ranked, limit: int, after: MetricMark | None, *, most: int | None
) -> list[MetricMark]:
    """Through the index of the values, the best first; at most the first `most` of these."""
    select, at, value = ranked.best()
    ordered = select.where(*_beyond(value, at, ranked.order, after)).order_by(*_direction(value, at, ranked.order))
    if most is None:
        return _metric_marks(conn, ordered.where(*_all(wanted, at)).limit(limit))
    some = ordered.limit(most).subquery()
    at = At(some.c.id, some.c.start_time)
    found = sa.select(some).where(*_all(wanted, at)).order_by(*_direction(some.c.value, at, ranked.order))
    return _metric_marks(conn, found.limit(limit))


def _all(wanted: Wanted, at: At) -> list[Holds]:
    return [*within(at.start_time, wanted.window), *(part.holds(at) for part in wanted.parts)]


def _nans(
    conn: sa.Connection, wanted: Wanted, ranked: Ranked, limit: int, after: MetricMark | None
) -> list[MetricMark]:
    m = run_metric.alias()
    driver = Driver(m.c.run, m.c.start_time, (m.c.key == _key(ranked.order), m.c.value.is_(None)))
    at = driver.at
    select = wanted.from_driver(driver).where(*follows(at, after.mark if after else None))
    rows = conn.execute(select.order_by(at.start_time.desc(), at.id.desc()).limit(limit))
    return [MetricMark(NANS, None, Mark(row.start_time, row.id)) for row in rows]


def _without(
    conn: sa.Connection, wanted: Wanted, ranked: Ranked, limit: int, after: MetricMark | None
) -> list[MetricMark]:
    rest = replace(wanted, parts=[*wanted.parts, ranked.without()])
    marks = newest_first(conn, rest, limit, after.mark if after else None)
    return [MetricMark(WITHOUT, None, mark) for mark in marks]


_PHASES = {NUMBERS: _numbers, NANS: _nans, WITHOUT: _without}


def _key(order: Order) -> int:
    return number_of(METRIC, order.key or "")


def _direction(value: sa.ColumnElement[Any], at: At, order: Order) -> tuple[sa.ColumnElement[Any], ...]:
    return (value.desc() if order.descending else value.asc(), at.start_time.desc(), at.id.desc())


def _beyond(value: sa.ColumnElement[Any], at: At, order: Order, after: MetricMark | None) -> list[Holds]:
    if after is None or after.value is None:
        return []
    # As a number of the column's kind: to compare it with another one PostgreSQL would leave the index aside.
    last = after.value if order.field.name == "metrics" else int(after.value)
    worse = value < last if order.descending else value > last
    return [sa.or_(worse, sa.and_(value == last, *follows(at, after.mark)))]


def _metric_marks(conn: sa.Connection, select: sa.Select[Any]) -> list[MetricMark]:
    return [MetricMark(NUMBERS, float(row.value), Mark(row.start_time, row.id)) for row in conn.execute(select)]


def by_anything(conn: sa.Connection, wanted: Wanted, orders: Sequence[Order], limit: int, offset: int) -> list[Mark]:
    """All that are wanted, sorted: what lacks a field comes last, and NaN before that; equals newest first."""
    drivers = wanted.drivers
    driver = (smallest(conn, wanted, drivers, MANY)[0] if drivers else None) or all_runs()
    select = wanted.from_driver(driver)
    clauses: list[sa.ColumnElement[Any]] = []
    for order in orders:
        if order.field.name == "metrics":
            m = run_metric.alias()
            select = select.outerjoin(m, sa.and_(m.c.run == driver.id, m.c.key == _key(order)))
            clauses.append(sa.case((m.c.run.is_(None), 2), (m.c.value.is_(None), 1), else_=0))
            value: sa.ColumnElement[Any] = m.c.value
        else:
            value = _value(order, driver.at)
        clauses.append((value.desc() if order.descending else value.asc()).nulls_last())
    clauses += [driver.start_time.desc(), driver.id.desc()]
    rows = conn.execute(select.order_by(*clauses).limit(limit).offset(offset))
    return [Mark(row.start_time, row.id) for row in rows]


def _value(order: Order, at: At) -> sa.ColumnElement[Any]:
    name, key = order.field.name, sa.literal(order.key)
    if name == "params":
        return json_text(at.column("params"), key)
    if name == "tags":
        return json_text(at.column("tags"), key)
    if name == "linked":
        return sa.case((holds(Comparison(order.field, "=", value=True), at), 1), else_=0)
    if name in ("experiment.name", "experiment.workspace"):
        return of_experiment(name, at)
    return field_at(name, at)
