"""Applications, filtered and in any order."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from afterglow_store.filters import parse, parse_order
from afterglow_store.schema import PEAKS, SUMS, application, experiment, link, run
from afterglow_store.search.deadline import deadline
from afterglow_store.search.listing import Key, chosen, contains, holds, ordered, page, seconds
from afterglow_store.search.query import Page, Query
from afterglow_store.status import LOST, RUNNING
from afterglow_store.windows import Window, within

a = application.c
_DURATION = a.end_time - a.start_time
_ALLOCATED = a.allocated_core_ms / sa.literal(1000.0, sa.Float)
# Clocks and roundings may make more of what was used than of what was there.
_USED = sa.case((a.core_ms < a.allocated_core_ms, a.core_ms), else_=a.allocated_core_ms)
_IDLE = sa.literal(1.0, sa.Float) - _USED / (sa.func.nullif(a.allocated_core_ms, 0) * sa.literal(1.0, sa.Float))

FIELDS: dict[str, sa.ColumnElement[Any]] = {
    **{name: a[name] for name in (
        "app_id", "attempt", "name", "master", "driver_host", "spark_version", "status", "status_reason", "start_time",
        "end_time", "runs", "failed_runs", "experiments", "jobs", "failed_jobs", "lost_events",
    )},
    **{f"spark.{name}": a[name] for name in (*SUMS, *PEAKS)},
    "user": a.user_name,
    "duration": _DURATION,
    "core_seconds": seconds(a.core_ms),
    "overhead_core_seconds": seconds(a.overhead_core_ms),
    "allocated_core_seconds": _ALLOCATED,
    "idle_share": _IDLE,
}  # fmt: skip


def search_applications(conn: sa.Connection, query: Query) -> Page:
    """Rows of the application table, with `core_seconds`, `duration_ms` (None while it runs), `overhead_core_seconds`
    (those that served no run) and, where its executors are known, `allocated_core_seconds` and `idle_share` (0 to 1).

    Raises BadFilter, BadPage and TooSlow.
    """
    where = conditions_of(query)
    orders = ordered(parse_order(query.order_by, "applications"), FIELDS, Key(a.start_time, True), Key(a.id, True))
    with deadline(conn):
        return page(conn, sa.select(*application.c, *_computed()).where(*where), query, orders)


def conditions_of(query: Query) -> list[sa.ColumnElement[bool]]:
    """What holds of the applications that are looked for. Raises BadFilter."""
    where = [
        *_in_time(query),
        *chosen(a.status, query.statuses),
        *chosen(a.user_name, query.users),
        *chosen(a.master, query.masters),
    ]
    filter_ = parse(query.filter, "applications", now=query.now)
    if filter_ is not None:
        where.append(holds(filter_, FIELDS))
    if query.app is not None:
        where.append(sa.or_(a.app_id == query.app, a.name == query.app))
    if query.application_id is not None:
        where.append(a.id == query.application_id)
    if query.text:
        where.append(contains(query.text, a.name, a.app_id))
    if query.experiment is not None:
        where.append(a.id.in_(_of_experiment(query)))
    return where


def _in_time(query: Query) -> list[sa.ColumnElement[bool]]:
    since = query.window.since
    if not query.active or since is None:
        return within(a.start_time, query.window)
    # Nobody knows when a lost one ended: it was there as long as it was heard.
    heard = sa.and_(a.status == LOST, a.last_event_time >= since)
    late = sa.or_(a.start_time >= since, a.end_time >= since, a.status == RUNNING, heard)
    return [late, *within(a.start_time, Window(until=query.window.until))]


def _computed() -> list[sa.ColumnElement[Any]]:
    names = ("core_seconds", "overhead_core_seconds", "allocated_core_seconds", "idle_share")
    return [_DURATION.label("duration_ms"), *(FIELDS[name].label(name) for name in names)]


def _of_experiment(query: Query) -> sa.Select[Any]:
    of = sa.and_(experiment.c.server == run.c.server, experiment.c.experiment_id == run.c.experiment_id)
    joined = link.join(run, run.c.run_id == link.c.run_id).outerjoin(experiment, of)
    named = sa.or_(run.c.experiment_id == query.experiment, experiment.c.name == query.experiment)
    select = sa.select(link.c.application_id).select_from(joined).where(named)
    return select if query.server is None else select.where(run.c.server == query.server)
