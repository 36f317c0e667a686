"""Experiments, with what their runs add up to."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from afterglow_store.filters import parse, parse_order
from afterglow_store.schema import application, application_experiment, experiment, link, run
from afterglow_store.search.deadline import deadline
from afterglow_store.search.listing import Key, chosen, contains, holds, ordered, page, seconds
from afterglow_store.search.query import Page, Query
from afterglow_store.visibility import SCOPE
from afterglow_store.windows import ALL, within

_COUNTS = ("runs", "failed_runs", "running_runs", "users", "applications")
_OWN = ("name", "experiment_id", "server", "lifecycle_stage", "artifact_location", "tags", "workspace")


def search_experiments(conn: sa.Connection, query: Query) -> Page:
    """Rows of the experiment table with what its runs of the window add up to: `runs`, `failed_runs`,
    `running_runs`, `last_run_time` (ms), `users`, `applications`, `core_seconds`, and `success_share`: of those that do
    not run, the part that is known to have finished well. The latest active first, unless `order_by` says more than the
    start of what has none.

    An experiment without runs in the window is listed where it was made in it; all are, in an open window.
    Raises BadFilter, BadPage and TooSlow.
    """
    e = experiment.c
    in_time = [*within(run.c.start_time, query.window), *chosen(run.c.effective_status, query.statuses)]
    # What is noted of applications is of all their runs.
    noted = not query.statuses and conn.get_execution_options().get(SCOPE) is None
    sums = _sums([*in_time, *_of_these(query)], noted=noted).subquery()
    fields = _fields(sums)
    joined = experiment.outerjoin(sums, _same(sums))
    if noted:
        wrote = _wrote(query).subquery()
        fields["applications"] = sa.func.coalesce(wrote.c.applications, 0)
        joined = joined.outerjoin(wrote, _same(wrote))
    computed = [fields[name].label(name) for name in (*_COUNTS, "last_run_time", "core_seconds")]
    computed.append(_share(sums.c.finished_runs, sums.c.runs - sums.c.running_runs).label("success_share"))
    select = sa.select(*experiment.c, *computed).select_from(joined).where(*_where(query, sums, fields))
    newest = sa.func.coalesce(sums.c.last_run_time, e.created_time, 0)
    orders = () if query.order_by == Query.order_by else parse_order(query.order_by, "experiments")
    with deadline(conn):
        return page(
            conn, select, query, ordered(orders, fields, Key(newest, True), Key(e.server), Key(e.experiment_id))
        )


def _fields(sums: sa.Subquery) -> dict[str, sa.ColumnElement[Any]]:
    return {
        **{name: experiment.c[name] for name in _OWN},
        **{name: sa.func.coalesce(sums.c[name], 0) for name in _COUNTS},
        "creation_time": experiment.c.created_time,
        "last_update_time": experiment.c.updated_time,
        "last_run_time": sums.c.last_run_time,
        "core_seconds": seconds(sums.c.core_ms),
    }


def _where(query: Query, sums: sa.Subquery, fields: dict[str, sa.ColumnElement[Any]]) -> list[sa.ColumnElement[bool]]:
    e = experiment.c
    where: list[sa.ColumnElement[bool]] = []
    if query.window != ALL or query.statuses:
        made = sa.and_(*within(e.created_time, query.window), sa.literal(not query.statuses))
        where.append(sa.or_(sums.c.runs > 0, made))
    filter_ = parse(query.filter, "experiments", now=query.now)
    if filter_ is not None:
        where.append(holds(filter_, fields))
    if query.text:
        where.append(contains(query.text, e.name, e.experiment_id))
    if query.experiment is not None:
        where.append(sa.or_(e.experiment_id == query.experiment, e.name == query.experiment))
    if query.server is not None:
        where.append(e.server == query.server)
    if query.app is not None or query.application_id is not None:
        where.append(sa.tuple_(e.server, e.experiment_id).in_(_of_application(query)))
    return where


def _of_these(query: Query) -> list[sa.ColumnElement[bool]]:
    """Of runs, that they are in the experiments asked for: what no row is made of is not added up."""
    r, where = run.c, []
    if query.server is not None:
        where.append(r.server == query.server)
    if query.experiment is not None:
        e = experiment.c
        named = sa.or_(e.experiment_id == query.experiment, e.name == query.experiment)
        where.append(r.experiment_id.in_(sa.select(e.experiment_id).where(named)))
    if query.app is not None or query.application_id is not None:
        where.append(sa.tuple_(r.server, r.experiment_id).in_(_of_application(query)))
    return where


def _same(found: sa.Subquery) -> sa.ColumnElement[bool]:
    return sa.and_(found.c.server == experiment.c.server, found.c.experiment_id == experiment.c.experiment_id)


def _wrote(query: Query) -> sa.Select[Any]:
    """How many applications have runs in an experiment that started in the window: by the first and the last of these,
    so that one with runs before and after, and none in it, counts as well."""
    a, window = application_experiment.c, query.window
    where = [] if window.since is None else [a.last_start >= window.since]
    where += [] if window.until is None else [a.first_start < window.until]
    where += [] if query.server is None else [a.server == query.server]
    counted = sa.select(a.server, a.experiment_id, sa.func.count().label("applications"))
    return counted.where(*where).group_by(a.server, a.experiment_id)


def _sums(of_runs: list[sa.ColumnElement[bool]], *, noted: bool) -> sa.Select[Any]:
    r, e = run.c, experiment.c
    first_application = sa.select(sa.func.min(link.c.application_id)).where(link.c.run_id == r.run_id).scalar_subquery()
    applications = sa.literal(0) if noted else sa.func.count(sa.distinct(first_application))
    return (
        sa.select(
            e.server,
            e.experiment_id,
            sa.func.count().label("runs"),
            _count_if(r.effective_status == "FAILED").label("failed_runs"),
            _count_if(r.effective_status == "FINISHED").label("finished_runs"),
            _count_if(r.effective_status == "RUNNING").label("running_runs"),
            sa.func.count(sa.distinct(r.user_name)).label("users"),
            applications.label("applications"),
            sa.func.max(r.start_time).label("last_run_time"),
            sa.cast(sa.func.coalesce(sa.func.sum(r.core_ms), 0), sa.BigInteger).label("core_ms"),
        )
        # From one experiment to the next: PostgreSQL would read all of the index that has their runs together.
        .select_from(experiment.join(run, sa.and_(r.server == e.server, r.experiment_id == e.experiment_id)))
        .where(*of_runs)
        .group_by(e.server, e.experiment_id)
    )


def _share(part: sa.ColumnElement[Any], of: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return part * sa.literal(1.0, sa.Float) / sa.func.nullif(of, 0)


def _count_if(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _of_application(query: Query) -> sa.Select[Any]:
    joined = run.join(link, link.c.run_id == run.c.run_id)
    joined = joined.join(application, application.c.id == link.c.application_id)
    select = sa.select(run.c.server, run.c.experiment_id).select_from(joined)
    if query.application_id is not None:
        return select.where(application.c.id == query.application_id)
    return select.where(sa.or_(application.c.app_id == query.app, application.c.name == query.app))
