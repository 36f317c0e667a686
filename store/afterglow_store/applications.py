"""Applications: which one a journal speaks of, and what belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from afterglow_store.schema import application, job, link, run, stage


@dataclass(frozen=True)
class ApplicationKey:
    """What tells one application attempt from every other: `local-…` ids and even cluster ids repeat."""

    app_id: str
    attempt: str
    start_time: int  # ms
    driver_host: str


def find_or_add(conn: sa.Connection, key: ApplicationKey, **values: Any) -> int:
    """The row id of this application, added with `values` if it is new (and these then fill what is empty)."""
    columns = {name: getattr(key, name) for name in key.__dataclass_fields__}
    same = sa.and_(*(application.c[name] == value for name, value in columns.items()))
    found = conn.scalar(sa.select(application.c.id).where(same))
    if found is not None:
        filled = {name: sa.func.coalesce(application.c[name], value) for name, value in values.items()}
        if filled:
            conn.execute(sa.update(application).where(application.c.id == found).values(**filled))
        return int(found)
    added = conn.execute(sa.insert(application).values(**columns, **values).returning(application.c.id))
    return int(added.scalar_one())


def refresh_counts(conn: sa.Connection, application_id: int) -> None:
    """Count the jobs, runs and experiments of an application, and whether they failed, into its row."""
    jobs = sa.select(sa.func.count(), _count_if(job.c.status == "FAILED")).where(job.c.application_id == application_id)
    runs = (
        sa.select(
            sa.func.count(),
            _count_if(run.c.effective_status == "FAILED"),
            sa.func.count(sa.distinct(run.c.server + "/" + run.c.experiment_id)),
        )
        .select_from(link.join(run, run.c.run_id == link.c.run_id))
        .where(link.c.application_id == application_id)
    )
    job_count, failed_jobs = conn.execute(jobs).one()
    run_count, failed_runs, experiments = conn.execute(runs).one()
    conn.execute(
        sa.update(application)
        .where(application.c.id == application_id)
        .values(
            jobs=job_count,
            failed_jobs=failed_jobs,
            runs=run_count,
            failed_runs=failed_runs,
            experiments=experiments,
        )
    )


def reweigh_stages(conn: sa.Connection, application_id: int, task_cpus: int) -> None:
    """Work out the core time of all stages again, where spark.task.cpus came later than they did."""
    conn.execute(
        sa.update(stage)
        .where(stage.c.application_id == application_id)
        .values(core_ms=stage.c.executor_run_ms * task_cpus)
    )


def _count_if(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)
