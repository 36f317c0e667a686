"""Runs in another order than by their start: by a metric, through the index of its values, or by anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from afterglow_store.filters import Comparison, Order
from afterglow_store.postings import METRIC, number_of
from afterglow_store.schema import run_metric
from afterglow_store.search.comparing import json_text
from afterglow_store.search.conditions import At, Holds, exists, field_at, holds, of_experiment
from afterglow_store.search.drivers import Driver, all_runs
from afterglow_store.search.finding import MANY, Mark, Part, Wanted, follows, newest_first, smallest
from afterglow_store.windows import within

SORTED = 3_000  # runs that are quicker sorted than found in the index of a metric
BEST = 1_500  # of a metric's values, so many are tried before anything is counted

NUMBERS, NANS, WITHOUT = range(3)  # the order in which runs come, whatever the direction


@dataclass(frozen=True)
class MetricMark:
    """Where a page of runs by a metric ended."""

    phase: int
    value: float | None
    mark: Mark


def by_metric(
    conn: sa.Connection, wanted: Wanted, order: Order, limit: int, after: MetricMark | None = None
) -> list[MetricMark]:
    """The `limit` first by a metric: those with a number, then NaN, then those without it; equals newest first."""
    found: list[MetricMark] = []
    for phase in range(after.phase if after else NUMBERS, WITHOUT + 1):
        here = after if after is not None and after.phase == phase else None
        left = limit - len(found)
        if left > 0:
            found += _PHASES[phase](conn, wanted, order, left, here)
    return found


def _numbers(
    conn: sa.Connection, wanted: Wanted, order: Order, limit: int, after: MetricMark | None
) -> list[MetricMark]:
    drivers = [*wanted.drivers, all_runs()]
    few, _ = smallest(conn, wanted, drivers, SORTED)
    if few is None:
        found = _best(conn, wanted, order, limit, after, most=BEST)
        if len(found) == limit:
            return found
        few, _ = smallest(conn, wanted, drivers, MANY)
    if few is None:
        return _best(conn, wanted, order, limit, after, most=None)
    m = run_metric.alias()
    of_it = sa.and_(m.c.run == few.id, m.c.key == _key(order), m.c.value.is_not(None))
    select = wanted.from_driver(few, m.c.value.label("value")).join(m, of_it)
    select = select.where(*_beyond(m.c.value, few.at, order, after))
    return _metric_marks(conn, select.order_by(*_direction(m.c.value, few.at, order)).limit(limit))


def _best(
    conn: sa.Connection, wanted: Wanted, order: Order, limit: int, after: MetricMark | None, *, most: int | None
) -> list[MetricMark]:
    """Through the index of the metric's values, the best first; at most the first `most` of these."""
    m = run_metric.alias()
    at = At(m.c.run, m.c.start_time)
    select = sa.select(m.c.run.label("id"), m.c.start_time.label("start_time"), m.c.value.label("value")).where(
        m.c.key == _key(order), m.c.value.is_not(None), *_beyond(m.c.value, at, order, after)
    )
    ordered = select.order_by(*_direction(m.c.value, at, order))
    if most is None:
        return _metric_marks(conn, ordered.where(*_all(wanted, at)).limit(limit))
    some = ordered.limit(most).subquery()
    at = At(some.c.id, some.c.start_time)
    found = sa.select(some).where(*_all(wanted, at)).order_by(*_direction(some.c.value, at, order))
    return _metric_marks(conn, found.limit(limit))


def _all(wanted: Wanted, at: At) -> list[Holds]:
    return [*within(at.start_time, wanted.window), *(part.holds(at) for part in wanted.parts)]


def _nans(conn: sa.Connection, wanted: Wanted, order: Order, limit: int, after: MetricMark | None) -> list[MetricMark]:
    m = run_metric.alias()
    driver = Driver(m.c.run, m.c.start_time, (m.c.key == _key(order), m.c.value.is_(None)))
    at = driver.at
    select = wanted.from_driver(driver).where(*follows(at, after.mark if after else None))
    rows = conn.execute(select.order_by(at.start_time.desc(), at.id.desc()).limit(limit))
    return [MetricMark(NANS, None, Mark(row.start_time, row.id)) for row in rows]


def _without(
    conn: sa.Connection, wanted: Wanted, order: Order, limit: int, after: MetricMark | None
) -> list[MetricMark]:
    def lacks_it(at: At) -> Holds:
        m = run_metric.alias()
        return ~exists(m).where(m.c.run == at.id, m.c.key == _key(order)).exists()

    rest = Wanted([*wanted.parts, Part(lacks_it)], wanted.window)
    marks = newest_first(conn, rest, limit, after.mark if after else None)
    return [MetricMark(WITHOUT, None, mark) for mark in marks]


_PHASES = {NUMBERS: _numbers, NANS: _nans, WITHOUT: _without}


def _key(order: Order) -> int:
    return number_of(METRIC, order.key or "")


def _direction(value: sa.ColumnElement[Any], at: At, order: Order) -> tuple[sa.ColumnElement[Any], ...]:
    return (value.desc() if order.descending else value.asc(), at.start_time.desc(), at.id.desc())


def _beyond(value: sa.ColumnElement[Any], at: At, order: Order, after: MetricMark | None) -> list[Holds]:
    if after is None:
        return []
    worse = value < after.value if order.descending else value > after.value
    return [sa.or_(worse, sa.and_(value == after.value, *follows(at, after.mark if after else None)))]


def _metric_marks(conn: sa.Connection, select: sa.Select[Any]) -> list[MetricMark]:
    return [MetricMark(NUMBERS, row.value, Mark(row.start_time, row.id)) for row in conn.execute(select)]


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
