"""Adding up what tasks used: stages into jobs, jobs into runs, stages into the application.

What of an application's core time served no run is its overhead, so that its runs and its overhead are all of it.

Always summed again from the rows below, never counted up: then a line that is read twice, from a journal and from an
event log, still counts once.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa

from afterglow_store.engine import among
from afterglow_store.schema import PEAKS, SUMS, application, executor, job, run, stage

_CHUNK = 500  # SQLite takes at most 999 bound values in the oldest versions
T = TypeVar("T")


def refresh_jobs(conn: sa.Connection, jobs: Mapping[int, Collection[int]]) -> None:
    """`jobs`: of each application the ids of those to sum again."""
    for job_ids, applications in _alike({of: ids for of, ids in jobs.items() if ids}):
        sums = _sums_of_stages(conn, applications, job_ids)
        same = sa.and_(job.c.application_id == sums.c.application_id, job.c.job_id == sums.c.job_id)
        conn.execute(sa.update(job).where(same).values({name: sums.c[name] for name in (*SUMS, *PEAKS)}))


def _sums_of_stages(conn: sa.Connection, applications: list[int], job_ids: list[int]) -> sa.Subquery:
    of = (stage.c.application_id, stage.c.job_id)
    these = sa.and_(stage.c.application_id.in_(applications), among(conn, stage.c.job_id, job_ids))
    return sa.select(*of, *used_by(stage)).where(these).group_by(*of).subquery()


def _alike(jobs: Mapping[int, Collection[int]]) -> Iterator[tuple[list[int], list[int]]]:
    """Job ids, and the applications in which these are the ones: small ones often have the same."""
    together: dict[tuple[int, ...], list[int]] = {}
    for application_id, job_ids in jobs.items():
        together.setdefault(tuple(sorted(job_ids)), []).append(application_id)
    return ((list(job_ids), some) for job_ids, of in together.items() for some in _chunks(of))


def refresh_applications(conn: sa.Connection, application_ids: Collection[int]) -> None:
    """Sum their stages and their executors' time into their rows; their jobs must be up to date."""
    for some in _chunks(sorted(application_ids)):
        sums = conn.execute(
            sa.select(stage.c.application_id.label("which"), *used_by(stage))
            .where(stage.c.application_id.in_(some))
            .group_by(stage.c.application_id)
        )
        found = {row.which: dict(row._mapping) for row in sums}
        _write(conn, _APPLICATIONS, [found.get(each) or {"which": each, **_NOTHING} for each in some])


def _refresh_application() -> sa.Update:
    a = application.c
    update = sa.update(application).where(a.id == sa.bindparam("which"))
    overhead = sa.bindparam("core_ms", type_=sa.BigInteger) - _core_ms_of_runs()
    return update.values(allocated_core_ms=_allocated(), overhead_core_ms=overhead)


def _allocated() -> sa.ScalarSelect[Any]:
    """Of executors that are still there, until the application's end, or the last that was heard of it."""
    until = sa.func.coalesce(executor.c.removed_time, application.c.spark_end_time, application.c.last_event_time)
    there = until - executor.c.added_time
    return (
        sa.select(sa.cast(sa.func.sum(executor.c.cores * sa.case((there > 0, there), else_=0)), sa.BigInteger))
        .where(executor.c.application_id == application.c.id)
        .correlate(application)
        .scalar_subquery()
    )


def _core_ms_of_runs() -> sa.ScalarSelect[Any]:
    return (
        sa.select(sa.cast(sa.func.coalesce(sa.func.sum(job.c.core_ms), 0), sa.BigInteger))
        .where(job.c.application_id == application.c.id, job.c.run_id.is_not(None))
        .correlate(application)
        .scalar_subquery()
    )


def refresh_runs(conn: sa.Connection, run_ids: Iterable[str]) -> None:
    """Sum each run's jobs, of all its applications, into its row. Run ids without a row do nothing."""
    failed = sa.func.coalesce(sa.func.sum(sa.case((job.c.status == "FAILED", 1), else_=0)), 0)
    for some in _chunks(sorted(set(run_ids))):
        sums = conn.execute(
            sa.select(
                job.c.run_id.label("which"),
                *used_by(job),
                sa.func.count().label("jobs"),
                failed.label("failed_jobs"),
            )
            .where(job.c.run_id.in_(some))
            .group_by(job.c.run_id)
        )
        update = sa.update(run).where(run.c.run_id == sa.bindparam("which"))
        _write(conn, update, [dict(row._mapping) for row in sums])


@functools.cache
def used_by(table: sa.Table) -> tuple[sa.ColumnElement[int], ...]:
    """Of a table's rows, every figure as one sum, and each peak."""
    # The cast keeps PostgreSQL from answering with Decimal.
    sums = [sa.cast(sa.func.coalesce(sa.func.sum(table.c[name]), 0), sa.BigInteger).label(name) for name in SUMS]
    return (*sums, *(sa.func.max(table.c[name]).label(name) for name in PEAKS))


def _write(conn: sa.Connection, update: sa.Update, rows: list[dict[str, Any]]) -> None:
    if rows:
        values: dict[str, Any] = {name: sa.bindparam(name) for name in rows[0] if name != "which"}
        conn.execute(update.values(values), rows)


def _chunks(items: list[T]) -> Iterable[list[T]]:
    return (items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK))


_NOTHING = {**dict.fromkeys(SUMS, 0), **dict.fromkeys(PEAKS)}
_APPLICATIONS = _refresh_application()
