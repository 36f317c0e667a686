"""The lists: applications, experiments and runs of a window, filtered, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from afterglow_store.schema import application, experiment, link, run
from afterglow_store.status import OWNER_UNKNOWN, RUNNING
from afterglow_store.windows import ALL, Window

Row = dict[str, Any]

COUNT_LIMIT = 10_000  # totals stop here: nobody pages further, and an exact count would read every row


@dataclass(frozen=True)
class Page:
    """Some rows of a result and how many there are in all (`total`, at most COUNT_LIMIT + 1)."""

    rows: list[Row]
    total: int

    @property
    def total_text(self) -> str:
        return f"{COUNT_LIMIT:,}+" if self.total > COUNT_LIMIT else f"{self.total:,}"


@dataclass(frozen=True)
class Query:
    """What to list. `text` is looked for in names and ids, whatever its case; empty selections select all."""

    window: Window = ALL
    statuses: Sequence[str] = ()
    text: str = ""
    application_id: int | None = None  # the store's row id
    app: str | None = None  # Spark's application id, or its name
    experiment: str | None = None  # experiment id or name
    server: str | None = None
    users: Sequence[str] = ()
    limit: int = 100
    offset: int = 0
    order_by: str = "start_time"
    descending: bool = True


def search_applications(conn: sa.Connection, query: Query) -> Page:
    """Rows of the application table, with `core_seconds` and `duration_ms` (None while it runs)."""
    a = application.c
    where = [
        *_window(a.start_time, query.window),
        *_in(a.status, query.statuses),
        *_in(a.user_name, query.users),
    ]
    if query.app is not None:
        where.append(sa.or_(a.app_id == query.app, a.name == query.app))
    if query.text:
        where.append(_contains(query.text, a.name, a.app_id))
    if query.experiment is not None:
        where.append(a.id.in_(_applications_of_experiment(query)))
    columns = [*application.c, *_computed(application)]
    return _page(conn, sa.select(*columns).where(*where), query, application, a.id)


def search_runs(conn: sa.Connection, query: Query, *which: sa.ColumnElement[bool]) -> Page:
    """Rows of the run table with `experiment` (its name), `applications` ([{id, app_id, name, source}]),
    `core_seconds` and `duration_ms`. `which` narrows it further."""
    r = run.c
    where = [*which, *_window(r.start_time, query.window), *_in(r.effective_status, query.statuses)]
    where += _in(r.user_name, query.users)
    if query.application_id is not None:
        where.append(r.run_id.in_(sa.select(link.c.run_id).where(link.c.application_id == query.application_id)))
    if query.app is not None:
        where.append(r.run_id.in_(_runs_of_app(query.app)))
    if query.experiment is not None:
        where.append(sa.or_(r.experiment_id == query.experiment, experiment.c.name == query.experiment))
    if query.server is not None:
        where.append(r.server == query.server)
    if query.text:
        where.append(_contains(query.text, r.name, r.run_id, experiment.c.name))
    of = sa.and_(experiment.c.server == r.server, experiment.c.experiment_id == r.experiment_id)
    select = (
        sa.select(*run.c, experiment.c.name.label("experiment"), *_computed(run))
        .select_from(run.outerjoin(experiment, of))
        .where(*where)
    )
    page = _page(conn, select, query, run, r.run_id)
    add_applications(conn, page.rows)
    return page


def search_runs_of_unknown_owner(conn: sa.Connection, query: Query) -> Page:
    """As `search_runs`: those that MLflow says run, and of which nobody knows whose they are, so that nobody can tell
    whether they do."""
    return search_runs(conn, query, run.c.status == RUNNING, run.c.status_reason == OWNER_UNKNOWN)


def search_experiments(conn: sa.Connection, query: Query) -> Page:
    """Rows of the experiment table with what its runs of the window add up to: `runs`, `failed_runs`,
    `running_runs`, `last_run_time` (ms), `users`, `applications`, `core_seconds`.

    An experiment without runs in the window is listed where it was made in it; all are, in an open window.
    """
    r, e = run.c, experiment.c
    in_window = [*_window(r.start_time, query.window), *_in(r.effective_status, query.statuses)]
    sums = _experiment_sums(in_window).subquery()
    of = sa.and_(sums.c.server == e.server, sums.c.experiment_id == e.experiment_id)
    where: list[sa.ColumnElement[bool]] = []
    if query.window != ALL or query.statuses:
        made = sa.and_(*_window(e.created_time, query.window), sa.literal(not query.statuses))
        where.append(sa.or_(sums.c.runs > 0, made))
    if query.text:
        where.append(_contains(query.text, e.name, e.experiment_id))
    if query.experiment is not None:
        where.append(sa.or_(e.experiment_id == query.experiment, e.name == query.experiment))
    if query.server is not None:
        where.append(e.server == query.server)
    if query.app is not None or query.application_id is not None:
        where.append(sa.tuple_(e.server, e.experiment_id).in_(_experiments_of_app(query)))
    counts = [sa.func.coalesce(sums.c[name], 0).label(name) for name in _EXPERIMENT_COUNTS]
    select = (
        sa.select(*experiment.c, *counts, sums.c.last_run_time, _seconds(sums.c.core_ms))
        .select_from(experiment.outerjoin(sums, of))
        .where(*where)
    )
    newest = sa.func.coalesce(sums.c.last_run_time, e.created_time, 0)
    total = _count(conn, select)
    rows = conn.execute(
        select.order_by(newest.desc(), e.server, e.experiment_id).limit(query.limit).offset(query.offset)
    )
    return Page([dict(row._mapping) for row in rows], total)


_EXPERIMENT_COUNTS = ("runs", "failed_runs", "running_runs", "users", "applications")


def _experiment_sums(in_window: list[sa.ColumnElement[bool]]) -> sa.Select[Any]:
    r = run.c
    linked = sa.select(link.c.run_id, sa.func.min(link.c.application_id).label("application_id")).group_by(
        link.c.run_id
    )
    first_link = linked.subquery()
    return (
        sa.select(
            r.server,
            r.experiment_id,
            sa.func.count().label("runs"),
            _count_if(r.effective_status == "FAILED").label("failed_runs"),
            _count_if(r.effective_status == "RUNNING").label("running_runs"),
            sa.func.count(sa.distinct(r.user_name)).label("users"),
            sa.func.count(sa.distinct(first_link.c.application_id)).label("applications"),
            sa.func.max(r.start_time).label("last_run_time"),
            sa.cast(sa.func.coalesce(sa.func.sum(r.core_ms), 0), sa.BigInteger).label("core_ms"),
        )
        .select_from(run.outerjoin(first_link, first_link.c.run_id == r.run_id))
        .where(*in_window)
        .group_by(r.server, r.experiment_id)
    )


def add_applications(conn: sa.Connection, rows: list[Row]) -> None:
    """Give each run row its `applications`, the oldest link first: id, app_id, start_time (ms), name, status,
    source."""
    by_run: dict[str, list[Row]] = {row["run_id"]: [] for row in rows}
    a = application.c
    found = conn.execute(
        sa.select(link.c.run_id, a.id, a.app_id, a.start_time, a.name, a.status, link.c.source)
        .select_from(link.join(application, a.id == link.c.application_id))
        .where(link.c.run_id.in_(by_run))
        .order_by(link.c.first_seen, a.id)
    )
    for run_id, *rest in found:
        by_run[run_id].append(dict(zip(_OF_LINK, rest, strict=True)))
    for row in rows:
        row["applications"] = by_run[row["run_id"]]


_OF_LINK = ("id", "app_id", "start_time", "name", "status", "source")


def _page(
    conn: sa.Connection, select: sa.Select[Any], query: Query, table: sa.Table, key: sa.ColumnElement[Any]
) -> Page:
    order = table.c[query.order_by]
    ordered = order.desc() if query.descending else order.asc()
    last = key.desc() if query.descending else key.asc()
    rows = conn.execute(select.order_by(ordered.nulls_last(), last).limit(query.limit).offset(query.offset))
    return Page([dict(row._mapping) for row in rows], _count(conn, select))


def _count(conn: sa.Connection, select: sa.Select[Any]) -> int:
    # Without a condition nothing but the columns names the table: it must stay when they go.
    one_each = select.with_only_columns(sa.literal(1), maintain_column_froms=True)
    some = one_each.order_by(None).limit(COUNT_LIMIT + 1).subquery()
    return int(conn.scalar(sa.select(sa.func.count()).select_from(some)) or 0)


def _computed(table: sa.Table) -> list[sa.ColumnElement[Any]]:
    duration = (table.c.end_time - table.c.start_time).label("duration_ms")
    return [_seconds(table.c.core_ms), duration]


def _seconds(core_ms: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return (sa.func.coalesce(core_ms, 0) / sa.literal(1000.0, sa.Float)).label("core_seconds")


def _window(column: sa.ColumnElement[Any], window: Window) -> list[sa.ColumnElement[bool]]:
    bounds: list[sa.ColumnElement[bool]] = []
    if window.since is not None:
        bounds.append(column >= window.since)
    if window.until is not None:
        bounds.append(column < window.until)
    return bounds


def _in(column: sa.ColumnElement[Any], values: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    return [column.in_(values)] if values else []


def _contains(text: str, *columns: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return sa.or_(*(column.icontains(text, autoescape=True) for column in columns))


def _count_if(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _app_matches(app: str) -> sa.ColumnElement[bool]:
    return sa.or_(application.c.app_id == app, application.c.name == app)


def _runs_of_app(app: str) -> sa.Select[Any]:
    joined = link.join(application, application.c.id == link.c.application_id)
    return sa.select(link.c.run_id).select_from(joined).where(_app_matches(app))


def _applications_of_experiment(query: Query) -> sa.Select[Any]:
    of = sa.and_(experiment.c.server == run.c.server, experiment.c.experiment_id == run.c.experiment_id)
    joined = link.join(run, run.c.run_id == link.c.run_id).outerjoin(experiment, of)
    named = sa.or_(run.c.experiment_id == query.experiment, experiment.c.name == query.experiment)
    select = sa.select(link.c.application_id).select_from(joined).where(named)
    return select if query.server is None else select.where(run.c.server == query.server)


def _experiments_of_app(query: Query) -> sa.Select[Any]:
    joined = run.join(link, link.c.run_id == run.c.run_id)
    joined = joined.join(application, application.c.id == link.c.application_id)
    select = sa.select(run.c.server, run.c.experiment_id).select_from(joined)
    if query.application_id is not None:
        return select.where(application.c.id == query.application_id)
    return select.where(_app_matches(query.app or ""))
