"""What an application has a great many of, a page at a time: its jobs, stages, SQL executions and executors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from afterglow_store.schema import application, executor, job, run, sql_execution, stage
from afterglow_store.search.deadline import deadline
from afterglow_store.search.listing import Key, chosen, page, seconds
from afterglow_store.search.query import Page, Query, Row


def search_jobs(conn: sa.Connection, query: Query, run_id: str | None = None) -> Page:
    """The jobs of an application, or those that a run caused in all its applications, newest first: as `jobs_of` gives
    them. Of the query `application_id`, `statuses`, `limit` and `after` count. Raises BadPage and TooSlow."""
    where = [*chosen(job.c.status, query.statuses)]
    if query.application_id is not None:
        where.append(job.c.application_id == query.application_id)
    if run_id is not None:
        where.append(job.c.run_id == run_id)
    keys = [Key(column, descending=True) for column in (job.c.start_time, job.c.job_id, job.c.application_id)]
    with deadline(conn):
        return page(conn, jobs_where(*where), query, keys)


def jobs_where(*which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Rows of the job table with `run_name`, `app_id`, `core_seconds` and `duration_ms`."""
    return (
        sa.select(
            *job.c,
            run.c.name.label("run_name"),
            application.c.app_id,
            seconds(job.c.core_ms).label("core_seconds"),
            (job.c.end_time - job.c.start_time).label("duration_ms"),
        )
        .select_from(
            job.join(application, application.c.id == job.c.application_id).outerjoin(run, run.c.run_id == job.c.run_id)
        )
        .where(*which)
    )


def search_stages(conn: sa.Connection, query: Query) -> Page:
    """The stage attempts of an application, newest first, as `stages_of` gives them. Raises BadPage and TooSlow."""
    return _of_application(conn, stage, query, [Key(stage.c.stage_id, True), Key(stage.c.attempt, True)])


def search_executors(conn: sa.Connection, query: Query) -> Page:
    """The executors of an application in the order in which they came. Raises BadPage and TooSlow."""
    return _of_application(conn, executor, query, [Key(executor.c.added_time), Key(executor.c.executor_id)])


def search_sql_executions(conn: sa.Connection, query: Query) -> Page:
    """The SQL executions of an application, newest first, each with its plan, as `sql_executions_of` gives them. Raises
    BadPage and TooSlow."""
    found = _of_application(conn, sql_execution, query, [Key(sql_execution.c.execution_id, True)])
    _add_plans(conn, query.application_id, found.rows)
    return found


def _of_application(conn: sa.Connection, table: sa.Table, query: Query, keys: Sequence[Key]) -> Page:
    status = chosen(table.c.status, query.statuses) if "status" in table.c else []
    select = sa.select(table).where(table.c.application_id == query.application_id, *status)
    with deadline(conn):
        return page(conn, select, query, keys)


def _add_plans(conn: sa.Connection, application_id: int | None, rows: list[Row]) -> None:
    """The store has a plan once for all executions of the application that have it."""
    s = sql_execution.c
    lacking = {row["plan_hash"] for row in rows if row["plan_hash"] and not row["plan"]}
    if not lacking:
        return
    same = (s.application_id == application_id, s.plan_hash.in_(lacking), s.plan.is_not(None))
    plans = {each.plan_hash: each.plan for each in conn.execute(sa.select(s.plan_hash, s.plan).where(*same))}
    for row in rows:
        row["plan"] = row["plan"] or plans.get(row["plan_hash"])
