"""What must hold for a run, as SQL."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from afterglow_store.filters import And, Comparison, Condition, Or
from afterglow_store.postings import ELSEWHERE, METRIC, PARAM, TAG, number_of
from afterglow_store.schema import application, experiment, link, registered_version, run, run_metric, run_term
from afterglow_store.search.comparing import compare, json_text
from afterglow_store.windows import ALL, Window, within

Holds = sa.ColumnElement[bool]


@dataclass(frozen=True)
class At:
    """A run in a statement: the columns that tell its id and its start, of whichever table it is found in."""

    id: sa.ColumnElement[int]
    start_time: sa.ColumnElement[int]
    in_row: bool = False  # whether they are the run table's own
    window: Window = ALL  # in which it is known to have started

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """A column of the run's row."""
        if self.in_row:
            return run.c[name]
        r = slim(run, "id", name)
        return sa.select(r.c[name]).where(r.c.id == self.id).correlate_except(r).scalar_subquery()


def holds(condition: Condition, at: At) -> Holds:
    """Whether `condition` is true of the run."""
    if isinstance(condition, And):
        return sa.and_(*(holds(part, at) for part in condition.parts))
    if isinstance(condition, Or):
        return sa.or_(*(holds(part, at) for part in condition.parts))
    special = _SPECIAL.get(condition.field.name)
    if special is not None:
        return special(condition, at)
    return compare(field_at(condition.field.name, at), condition.operator, in_its_unit(condition))


def field_at(name: str, at: At) -> sa.ColumnElement[Any]:
    """A field of the run's own row, in the unit of its column."""
    column = at.column(column_of(name))
    return sa.func.coalesce(column, 0) if name == "spark.core_seconds" else column


def column_of(name: str) -> str:
    return _RENAMED.get(name, name.removeprefix("spark."))


_RENAMED = {
    "run_name": "name", "user": "user_name", "source": "source_name", "experiment.id": "experiment_id",
    "duration": "duration_ms", "spark.core_seconds": "core_ms",
}  # fmt: skip


def in_its_unit(comparison: Comparison) -> Any:
    """The value in the unit of the column."""
    if comparison.field.name == "spark.core_seconds" and isinstance(comparison.value, int | float):
        return comparison.value * 1000
    return comparison.value


def slim(table: sa.Table, *names: str) -> sa.FromClause:
    """An alias with these columns only. One of a wide table has a thousand objects, and a cached statement several of
    these: Python's garbage collection would take a second for them."""
    return sa.table(table.name, *(sa.column(name, table.c[name].type) for name in names)).alias()


def exists(*tables: sa.FromClause) -> sa.Select[Any]:
    """The start of an EXISTS over these tables. Whatever else is named in it is of the statement around it, however far
    out: left to itself SQLAlchemy looks one level up only, and beyond that reads the table anew."""
    return sa.select(sa.literal(1)).select_from(*tables).correlate_except(*tables)


# -- params, tags and metrics ----------------------------------------------------------------------------------------


def is_posted(comparison: Comparison) -> bool:
    """Whether the runs for which it holds are those of one term, or of several."""
    name, key = comparison.field.name, comparison.key
    return comparison.operator in ("=", "IN") and (name == "params" or (name == "tags" and key not in ELSEWHERE))


def terms_of(comparison: Comparison) -> list[int]:
    """Those terms, of a comparison that is posted."""
    kind = PARAM if comparison.field.name == "params" else TAG
    values = comparison.value if isinstance(comparison.value, tuple) else (str(comparison.value),)
    return [number_of(kind, comparison.key or "", value) for value in dict.fromkeys(values)]


def _text(comparison: Comparison, at: At) -> Holds:
    if is_posted(comparison):
        return sa.or_(*(_has_term(at, term) for term in terms_of(comparison)))
    name, key = comparison.field.name, sa.literal(comparison.key)
    return compare(json_text(at.column(name), key), comparison.operator, comparison.value)


def _has_term(at: At, term: int) -> Holds:
    t = run_term.alias()
    has_it = exists(t).where(t.c.term == term, t.c.start_time == at.start_time, t.c.run == at.id)
    return has_it.where(*within(t.c.start_time, at.window)).exists()


def _metric(comparison: Comparison, at: At) -> Holds:
    m = run_metric.alias()
    of_it = exists(m).where(m.c.run == at.id, m.c.key == number_of(METRIC, comparison.key or ""))
    if comparison.operator == "IS NULL":
        return ~of_it.exists()
    return of_it.where(metric_holds(m.c.value, comparison)).exists()


def metric_holds(value: sa.ColumnElement[Any], comparison: Comparison) -> Holds:
    """NaN, which is stored as NULL, is neither above nor below anything, and unlike any number."""
    operator, other = comparison.operator, comparison.value
    if operator == "IS NOT NULL":
        return sa.true()
    if isinstance(other, float) and math.isnan(other):
        return {"=": value.is_(None), "!=": value.is_not(None)}.get(operator, sa.false())
    if operator == "!=":
        return sa.or_(value != other, value.is_(None))
    return compare(value, operator, other)


# -- what other tables say of a run ----------------------------------------------------------------------------------


def _application(comparison: Comparison, at: At) -> Holds:
    name = comparison.field.name.removeprefix("application.")
    column = application.c[{"id": "app_id", "user": "user_name"}.get(name, name)]
    linked = exists(link, application).where(application.c.id == link.c.application_id)
    return _one_has(comparison, linked.where(link.c.run_id == at.column("run_id")), column)


def _link_source(comparison: Comparison, at: At) -> Holds:
    linked = exists(link).where(link.c.run_id == at.column("run_id"))
    return _one_has(comparison, linked, link.c.source)


def _model(comparison: Comparison, at: At) -> Holds:
    column = registered_version.c[comparison.field.name.removeprefix("registered_model.")]
    return _one_has(comparison, exists(registered_version).where(registered_version.c.run == at.id), column)


def _one_has(comparison: Comparison, select: sa.Select[Any], column: sa.ColumnElement[Any]) -> Holds:
    """Of several things that a run may have, whether it holds for one."""
    if comparison.operator == "IS NULL":
        return ~select.where(column.is_not(None)).exists()
    return select.where(compare(column, comparison.operator, comparison.value)).exists()


def _linked(comparison: Comparison, at: At) -> Holds:
    if comparison.operator in ("IS NULL", "IS NOT NULL"):
        return sa.true() if comparison.operator == "IS NOT NULL" else sa.false()
    linked = exists(link).where(link.c.run_id == at.column("run_id")).exists()
    return linked if (comparison.operator == "=") is bool(comparison.value) else ~linked


def _of_experiment(comparison: Comparison, at: At) -> Holds:
    return compare(of_experiment(comparison.field.name, at), comparison.operator, comparison.value)


def of_experiment(field: str, at: At) -> sa.ColumnElement[Any]:
    """The name or the workspace of a run's experiment."""
    name = field.removeprefix("experiment.")
    e = slim(experiment, "server", "experiment_id", name)
    of_it = sa.select(e.c[name]).where(
        e.c.server == at.column("server"), e.c.experiment_id == at.column("experiment_id")
    )
    return of_it.correlate_except(e).scalar_subquery()


_SPECIAL: dict[str, Callable[[Comparison, At], Holds]] = {
    "params": _text,
    "tags": _text,
    "metrics": _metric,
    "application.id": _application,
    "application.name": _application,
    "application.master": _application,
    "application.status": _application,
    "application.user": _application,
    "registered_model.name": _model,
    "registered_model.version": _model,
    "experiment.name": _of_experiment,
    "experiment.workspace": _of_experiment,
    "link.source": _link_source,
    "linked": _linked,
}
