"""Adding up what tasks used: stages into jobs, jobs into runs, stages into the application.

Always summed again from the rows below, never counted up: then a line that is read twice, from a journal and from an
event log, still counts once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

import sqlalchemy as sa

from afterglow_store.schema import SUMS, application, job, run, stage

_CHUNK = 500  # SQLite takes at most 999 bound values in the oldest versions
T = TypeVar("T")


def refresh_jobs(conn: sa.Connection, application_id: int, job_ids: Collection[int]) -> None:
    for some in _chunks(sorted(job_ids)):
        sums = conn.execute(
            sa.select(stage.c.job_id.label("which"), *_sum_of(stage))
            .where(stage.c.application_id == application_id, stage.c.job_id.in_(some))
            .group_by(stage.c.job_id)
        )
        update = sa.update(job).where(job.c.application_id == application_id, job.c.job_id == sa.bindparam("which"))
        _write(conn, update, [dict(row._mapping) for row in sums])


def refresh_application(conn: sa.Connection, application_id: int) -> None:
    sums = conn.execute(sa.select(*_sum_of(stage)).where(stage.c.application_id == application_id)).one()
    conn.execute(sa.update(application).where(application.c.id == application_id).values(**dict(sums._mapping)))


def refresh_runs(conn: sa.Connection, run_ids: Iterable[str]) -> None:
    """Sum each run's jobs, of all its applications, into its row. Run ids without a row do nothing."""
    failed = sa.func.coalesce(sa.func.sum(sa.case((job.c.status == "FAILED", 1), else_=0)), 0)
    for some in _chunks(sorted(set(run_ids))):
        sums = conn.execute(
            sa.select(
                job.c.run_id.label("which"),
                *_sum_of(job),
                sa.func.count().label("jobs"),
                failed.label("failed_jobs"),
            )
            .where(job.c.run_id.in_(some))
            .group_by(job.c.run_id)
        )
        update = sa.update(run).where(run.c.run_id == sa.bindparam("which"))
        _write(conn, update, [dict(row._mapping) for row in sums])


def _sum_of(table: sa.Table) -> list[sa.ColumnElement[int]]:
    # The cast keeps PostgreSQL from answering with Decimal.
    return [sa.cast(sa.func.coalesce(sa.func.sum(table.c[name]), 0), sa.BigInteger).label(name) for name in SUMS]


def _write(conn: sa.Connection, update: sa.Update, rows: list[dict[str, object]]) -> None:
    if rows:
        values: dict[str, Any] = {name: sa.bindparam(name) for name in rows[0] if name != "which"}
        conn.execute(update.values(values), rows)


def _chunks(items: list[T]) -> Iterable[list[T]]:
    return (items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK))
