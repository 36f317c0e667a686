"""The indexes that lead to runs: for a condition, one that has every run for which it can hold, and not many more."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from afterglow_store.filters import Comparison, Condition, Or, Value
from afterglow_store.postings import METRIC, number_of
from afterglow_store.schema import application, experiment, link, registered_version, run, run_metric, run_term
from afterglow_store.search.comparing import compare
from afterglow_store.search.conditions import At, in_its_unit, is_posted, metric_holds, terms_of
from afterglow_store.windows import Window, within

MOST_PARTS = 50  # indexes that are read together for one OR or IN


@dataclass(frozen=True)
class Driver:
    """Runs, as an index has them: newest first where it is `in_order`; where it is `exact`, none of which has to be
    asked again whether the condition holds."""

    id: sa.ColumnElement[int]
    start_time: sa.ColumnElement[int]
    where: tuple[sa.ColumnElement[bool], ...] = ()
    in_order: bool = True
    exact: bool = True
    in_row: bool = False  # whether it is the run table itself that is read

    @property
    def at(self) -> At:
        return At(self.id, self.start_time, self.in_row)

    def select(self, window: Window, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        found = sa.select(self.id.label("id"), self.start_time.label("start_time"), *columns)
        return found.where(*self.where, *within(self.start_time, window))


def all_runs() -> Driver:
    return Driver(run.c.id, run.c.start_time, in_row=True)


def driver_of(condition: Condition) -> Driver | None:
    """None where no index leads to the runs of it."""
    if isinstance(condition, Comparison):
        return _of_comparison(condition)
    parts = [driver_of(part) for part in condition.parts]
    if isinstance(condition, Or):
        return together(parts)
    one = next((part for part in parts if part is not None), None)
    return None if one is None else replace(one, exact=False)


def _of_comparison(comparison: Comparison) -> Driver | None:
    name = comparison.field.name
    if is_posted(comparison):
        return together([_of_term(term) for term in terms_of(comparison)])
    if name == "metrics":
        return _of_metric(comparison)
    if name == "tags" and comparison.key == "spark.app.id" and comparison.operator == "=":
        return _of_column("app_id_tag", comparison)
    if name == "spark.core_seconds" and comparison.operator in (">", ">=") and _positive(comparison.value):
        more = compare(run.c.core_ms, comparison.operator, in_its_unit(comparison))
        return Driver(run.c.id, run.c.start_time, (more,), in_order=False, in_row=True)
    if comparison.operator in ("=", "IN") and name in _BY_COLUMN:
        return _BY_COLUMN[name](comparison)
    return None


def _positive(value: Value) -> bool:
    return isinstance(value, int | float) and value > 0


def _of_term(term: int) -> Driver:
    t = run_term.alias()
    return Driver(t.c.run, t.c.start_time, (t.c.term == term,))


def _of_metric(comparison: Comparison) -> Driver | None:
    value = comparison.value
    if comparison.operator not in ("=", "<", "<=", ">", ">=") or (isinstance(value, float) and math.isnan(value)):
        return None
    m = run_metric.alias()
    of_key = m.c.key == number_of(METRIC, comparison.key or "")
    return Driver(m.c.run, m.c.start_time, (of_key, metric_holds(m.c.value, comparison)), in_order=False)


def _of_column(column: str, comparison: Comparison) -> Driver:
    of_it = compare(run.c[column], comparison.operator, comparison.value)
    return Driver(run.c.id, run.c.start_time, (of_it,), in_order=comparison.operator == "=", in_row=True)


def _by(column: str) -> Callable[[Comparison], Driver]:
    return lambda comparison: _of_column(column, comparison)


def _by_experiment(comparison: Comparison) -> Driver:
    e = experiment.c
    column = {"experiment.name": e.name, "experiment.workspace": e.workspace}.get(
        comparison.field.name, e.experiment_id
    )
    which = sa.select(e.server, e.experiment_id).where(compare(column, comparison.operator, comparison.value))
    of_these = sa.tuple_(run.c.server, run.c.experiment_id).in_(which)
    return Driver(run.c.id, run.c.start_time, (of_these,), in_order=False, in_row=True)


def _by_application(comparison: Comparison) -> Driver:
    column = application.c.app_id if comparison.field.name == "application.id" else application.c.name
    joined = link.join(application, application.c.id == link.c.application_id)
    of_these = compare(column, comparison.operator, comparison.value)
    return of_run_ids(sa.select(link.c.run_id).select_from(joined).where(of_these))


def of_run_ids(which: sa.Select[Any]) -> Driver:
    return Driver(run.c.id, run.c.start_time, (run.c.run_id.in_(which),), in_order=False, in_row=True)


def _by_model(comparison: Comparison) -> Driver:
    v = registered_version.c
    which = sa.select(v.run).where(compare(v.name, comparison.operator, comparison.value))
    return Driver(run.c.id, run.c.start_time, (run.c.id.in_(which),), in_order=False, in_row=True)


_BY_COLUMN: dict[str, Callable[[Comparison], Driver]] = {
    "run_id": _by("run_id"),
    "parent_run_id": _by("parent_run_id"),
    "effective_status": _by("effective_status"),
    "user": _by("user_name"),
    "experiment.id": _by_experiment,
    "experiment.name": _by_experiment,
    "experiment.workspace": _by_experiment,
    "application.id": _by_application,
    "application.name": _by_application,
    "registered_model.name": _by_model,
}


def together(parts: list[Driver | None]) -> Driver | None:
    """One that has the runs of all parts, if each part has one."""
    drivers = [part for part in parts if part is not None]
    if len(drivers) < len(parts) or not 0 < len(parts) <= MOST_PARTS:
        return None
    if len(drivers) == 1:
        return drivers[0]
    all_of_them = sa.union(*(each.select(Window()) for each in drivers)).subquery()
    exact = all(each.exact for each in drivers)
    return Driver(all_of_them.c.id, all_of_them.c.start_time, (), in_order=False, exact=exact)
