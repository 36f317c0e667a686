"""How many of the runs, or applications, that a query finds have which status, user, experiment and the like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from afterglow_store.schema import application, application_experiment, experiment, link, run
from afterglow_store.search.applications import FIELDS, conditions_of
from afterglow_store.search.deadline import deadline
from afterglow_store.search.drivers import Driver, all_runs
from afterglow_store.search.finding import MANY, Wanted, smallest
from afterglow_store.search.query import Query, Row
from afterglow_store.search.runs import wanted_by
from afterglow_store.visibility import SCOPE

FACETS = ("status", "user", "experiment", "application")
FACETS_OF_APPLICATIONS = ("status", "user", "master", "experiment")
MOST = 50  # values of one facet


def facets(
    conn: sa.Connection, query: Query, names: Sequence[str] = FACETS, *, most: int = MOST
) -> dict[str, list[Row]]:
    """For each of these facets its values, [{value, runs}], at most `most` with the most runs first; of an experiment
    {value, experiment_id, server, runs}. A run without a value counts under None; one of two applications counts twice.

    Raises BadFilter and TooSlow.
    """
    wanted = wanted_by(conn, query)
    with deadline(conn):
        drivers = wanted.drivers
        driver = (smallest(conn, wanted, drivers, MANY)[0] if drivers else None) or all_runs()
        return {name: _SELECTS[name](conn, wanted, driver, most) for name in names}


def _by_column(name: str) -> Callable[..., list[Row]]:
    def of(conn: sa.Connection, wanted: Wanted, driver: Driver, most: int) -> list[Row]:
        found = wanted.from_driver(driver, driver.at.column(name).label("value")).subquery()
        return _counted(conn, sa.select(found.c.value, _COUNT).group_by(found.c.value), most)

    return of


def _by_experiment(conn: sa.Connection, wanted: Wanted, driver: Driver, most: int) -> list[Row]:
    key = [driver.at.column(name).label(name) for name in ("server", "experiment_id")]
    found = wanted.from_driver(driver, *key).subquery().c
    by = (found.server, found.experiment_id)
    return _named(conn, _counted(conn, sa.select(*by, _COUNT).group_by(*by), most))


def _named(conn: sa.Connection, rows: list[Row]) -> list[Row]:
    """Rows of experiments, with their names as `value`."""
    e = experiment.c
    of_these = sa.tuple_(e.server, e.experiment_id).in_([(row["server"], row["experiment_id"]) for row in rows])
    names = {(row.server, row.experiment_id): row.name for row in conn.execute(sa.select(experiment).where(of_these))}
    return [{"value": names.get((row["server"], row["experiment_id"])), **row} for row in rows]


def _by_application(conn: sa.Connection, wanted: Wanted, driver: Driver, most: int) -> list[Row]:
    found = wanted.from_driver(driver, driver.at.column("run_id").label("run_id")).subquery()
    joined = found.outerjoin(link, link.c.run_id == found.c.run_id)
    joined = joined.outerjoin(application, application.c.id == link.c.application_id)
    value = application.c.name.label("value")
    return _counted(conn, sa.select(value, _COUNT).select_from(joined).group_by(value), most)


_COUNT = sa.func.count().label("runs")
_SELECTS = {
    "status": _by_column("effective_status"),
    "user": _by_column("user_name"),
    "experiment": _by_experiment,
    "application": _by_application,
}


def facets_of_applications(
    conn: sa.Connection, query: Query, names: Sequence[str] = FACETS_OF_APPLICATIONS, *, most: int = MOST
) -> dict[str, list[Row]]:
    """As `facets`, of the applications that a query finds: [{value, applications}]; of an experiment those that have
    runs in it, {value, experiment_id, server, applications}.

    Raises BadFilter and TooSlow.
    """
    where = conditions_of(query)
    with deadline(conn):
        return {name: _of_applications(conn, name, where, most) for name in names}


def _of_applications(conn: sa.Connection, name: str, where: Sequence[sa.ColumnElement[bool]], most: int) -> list[Row]:
    if name == "experiment":
        return _applications_by_experiment(conn, where, most)
    value = FIELDS[name].label("value")
    counts = sa.select(value, _APPLICATIONS).where(*where).group_by(value)
    return _counted(conn, counts, most, "applications")


def _applications_by_experiment(conn: sa.Connection, where: Sequence[sa.ColumnElement[bool]], most: int) -> list[Row]:
    # What is noted of applications is of all their runs.
    noted = conn.get_execution_options().get(SCOPE) is None
    wrote = application_experiment.c if noted else _seen_to_write().c
    by = (wrote.server, wrote.experiment_id)
    counts = sa.select(*by, _APPLICATIONS).where(wrote.application_id == application.c.id, *where).group_by(*by)
    return _named(conn, _counted(conn, counts, most, "applications"))


def _seen_to_write() -> sa.Subquery:
    joined = link.join(run, run.c.run_id == link.c.run_id)
    found = sa.select(link.c.application_id, run.c.server, run.c.experiment_id).select_from(joined)
    return found.distinct().subquery()


_APPLICATIONS = sa.func.count().label("applications")


def _counted(conn: sa.Connection, select: sa.Select[Any], most: int, what: str = "runs") -> list[Row]:
    """Those with the most of `what` first."""
    rows = conn.execute(select.order_by(sa.desc(what), sa.literal_column("1")).limit(most))
    return [dict(row._mapping) for row in rows]
