"""Applications: which one a journal speaks of, and what belongs to it."""

from __future__ import annotations

from collections.abc import Collection
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


def refresh_counts(conn: sa.Connection, application_ids: Collection[int]) -> None:
    """Count the jobs, runs and experiments of applications, and whether they failed, into their rows."""
    if not application_ids:
        return
    counts = {each: {"which": each, **dict.fromkeys(_COUNTS, 0)} for each in sorted(application_ids)}
    jobs = sa.select(
        job.c.application_id,
        sa.func.count().label("jobs"),
        _count_if(job.c.status == "FAILED").label("failed_jobs"),
    )
    runs = sa.select(
        link.c.application_id,
        sa.func.count().label("runs"),
        _count_if(run.c.effective_status == "FAILED").label("failed_runs"),
        sa.func.count(sa.distinct(run.c.server + "/" + run.c.experiment_id)).label("experiments"),
    ).select_from(link.join(run, run.c.run_id == link.c.run_id))
    for column, counted in ((job.c.application_id, jobs), (link.c.application_id, runs)):
        for row in conn.execute(counted.where(column.in_(counts)).group_by(column)).mappings():
            counts[row["application_id"]] |= {name: row[name] for name in row if name != "application_id"}
    conn.execute(_REFRESH_COUNTS, list(counts.values()))


def reweigh_stages(conn: sa.Connection, application_ids: Collection[int]) -> None:
    """Work out the core time of all their stages again, where spark.task.cpus came later than they did."""
    cpus = sa.select(application.c.task_cpus).where(application.c.id == stage.c.application_id).scalar_subquery()
    of_them = stage.c.application_id.in_(application_ids)
    conn.execute(sa.update(stage).where(of_them).values(core_ms=stage.c.executor_run_ms * cpus))


def _count_if(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


_COUNTS = ("jobs", "failed_jobs", "runs", "failed_runs", "experiments")
_REFRESH_COUNTS = (
    sa.update(application)
    .where(application.c.id == sa.bindparam("which"))
    .values({name: sa.bindparam(name) for name in _COUNTS})
)
