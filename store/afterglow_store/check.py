"""Whether a store is whole: its schema, its file, no row of something that is not there, sums that are equal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError

from afterglow_store import migrate
from afterglow_store.schema import (
    application,
    application_conf,
    application_experiment,
    bad_line,
    executor,
    job,
    link,
    owner,
    registered_version,
    run,
    run_metric,
    run_term,
    snapshot,
    snapshot_content,
    source,
    sql_execution,
    stage,
    task_sums,
)


@dataclass(frozen=True)
class Finding:
    """`wrong`: what is, in words; None where all is well."""

    what: str
    wrong: str | None = None


# Rows of the first are of a row of the second. Runs may be named before they are known, so links need none.
_OF = (
    *((table.c.application_id, application.c.id)
      for table in (application_conf, application_experiment, job, stage, executor, sql_execution, link)),
    (source.c.application_id, application.c.id),
    (owner.c.source_id, source.c.id),
    (bad_line.c.source_id, source.c.id),
    (task_sums.c.source_id, source.c.id),
    (run_term.c.run, run.c.id),
    (run_metric.c.run, run.c.id),
    (registered_version.c.run, run.c.id),
    (snapshot.c.content_hash, snapshot_content.c.content_hash),
)  # fmt: skip


def check(conn: sa.Connection) -> Iterator[Finding]:
    """One after the other. It reads all of the store: minutes, where that is large."""
    at = migrate.revision(conn)
    if at != migrate.HEAD:
        todo = "upgrade this installation" if (at or "") > migrate.HEAD else "afterglow db upgrade"
        yield Finding("schema", f"it is at {at or 'none'}, this Afterglow needs {migrate.HEAD}: {todo}")
        return
    yield Finding("schema")
    file = _file(conn)
    yield file
    if file.wrong is not None:  # what is read from it then means nothing
        return
    for column, of in _OF:
        yield _orphans(conn, column, of)
    yield _sums("core time of jobs, from their stages", conn, _JOBS)
    yield _sums("core time of applications, from their stages", conn, _APPLICATIONS)
    yield _sums("number of jobs of applications", conn, _NUMBERS)


def _file(conn: sa.Connection) -> Finding:
    if conn.dialect.name != "sqlite":
        return Finding("file")  # PostgreSQL's own: pg_amcheck
    try:
        said = list(conn.scalars(sa.text("PRAGMA integrity_check")))
    except DatabaseError as exc:
        return Finding("file", str(exc.orig))
    return Finding("file", None if said == ["ok"] else "; ".join(map(str, said))[:500])


def _orphans(conn: sa.Connection, column: sa.Column[object], of: sa.Column[object]) -> Finding:
    there = sa.select(of).where(of == column)
    lost = sa.select(sa.func.count()).select_from(column.table).where(column.is_not(None), ~there.exists())
    number = conn.scalar(lost) or 0
    what = f"rows of {column.table.name}, each with its {of.table.name}"
    return Finding(what, f"{number:,} have none" if number else None)


def _sums(what: str, conn: sa.Connection, unlike: sa.Select[int]) -> Finding:
    number = conn.scalar(unlike) or 0
    return Finding(what, f"{number:,} are not what they add up" if number else None)


def _core_ms_of(condition: sa.ColumnElement[bool], of: sa.Table) -> sa.ScalarSelect[int]:
    total = sa.select(sa.func.coalesce(sa.func.sum(stage.c.core_ms), 0)).where(condition)
    return total.correlate(of).scalar_subquery()


_of_job = sa.and_(stage.c.application_id == job.c.application_id, stage.c.job_id == job.c.job_id)
_JOBS = (
    sa.select(sa.func.count()).select_from(job).where(sa.func.coalesce(job.c.core_ms, 0) != _core_ms_of(_of_job, job))
)
_APPLICATIONS = (
    sa.select(sa.func.count())
    .select_from(application)
    .where(
        sa.func.coalesce(application.c.core_ms, 0)
        != _core_ms_of(stage.c.application_id == application.c.id, application)
    )
)
_jobs = sa.select(sa.func.count()).select_from(job).where(job.c.application_id == application.c.id)
_NUMBERS = (
    sa.select(sa.func.count())
    .select_from(application)
    .where(application.c.jobs != _jobs.correlate(application).scalar_subquery())
)
