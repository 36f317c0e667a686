"""Applications: which one a journal speaks of, and what belongs to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from afterglow_store.engine import delete_rows, upsert
from afterglow_store.schema import application, application_experiment, job, link, run, stage


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
    """Count the jobs, runs and experiments of applications, and whether they failed, into their rows, and note which
    experiments these are."""
    if not application_ids:
        return
    counts = {each: {"which": each, **dict.fromkeys(_COUNTS, 0)} for each in sorted(application_ids)}
    jobs = sa.select(
        job.c.application_id,
        sa.func.count().label("jobs"),
        _count_if(job.c.status == "FAILED").label("failed_jobs"),
    )
    of_them = job.c.application_id.in_(counts)
    for row in conn.execute(jobs.where(of_them).group_by(job.c.application_id)).mappings():
        counts[row["application_id"]] |= {name: row[name] for name in ("jobs", "failed_jobs")}
    experiments = _experiments_of(conn, counts)
    for found in experiments:
        of = counts[found.application_id]
        of |= {"runs": of["runs"] + found.runs, "failed_runs": of["failed_runs"] + found.failed_runs,
               "experiments": of["experiments"] + 1}  # fmt: skip
    conn.execute(_REFRESH_COUNTS, list(counts.values()))
    _note_experiments(conn, counts, experiments)


def _experiments_of(conn: sa.Connection, application_ids: Collection[int]) -> Sequence[sa.Row[Any]]:
    key = (link.c.application_id, run.c.server, run.c.experiment_id)
    runs = sa.select(
        *key,
        sa.func.count().label("runs"),
        _count_if(run.c.effective_status == "FAILED").label("failed_runs"),
        sa.func.min(run.c.start_time).label("first_start"),
        sa.func.max(run.c.start_time).label("last_start"),
    ).select_from(link.join(run, run.c.run_id == link.c.run_id))
    return conn.execute(runs.where(link.c.application_id.in_(application_ids)).group_by(*key)).all()


def _note_experiments(conn: sa.Connection, application_ids: Collection[int], now: Sequence[sa.Row[Any]]) -> None:
    columns = application_experiment.columns.keys()
    noted = sa.select(application_experiment).where(application_experiment.c.application_id.in_(application_ids))
    before = {tuple(row) for row in conn.execute(noted)}
    after = {tuple(getattr(row, name) for name in columns) for row in now}
    keys = {row[:_KEY] for row in after}
    delete_rows(conn, application_experiment, [row[:_KEY] for row in before if row[:_KEY] not in keys])
    upsert(conn, application_experiment, [dict(zip(columns, row, strict=True)) for row in sorted(after - before)])


def reweigh_stages(conn: sa.Connection, application_ids: Collection[int]) -> None:
    """Work out the core time of all their stages again, where spark.task.cpus came later than they did."""
    cpus = sa.select(application.c.task_cpus).where(application.c.id == stage.c.application_id).scalar_subquery()
    of_them = stage.c.application_id.in_(application_ids)
    conn.execute(sa.update(stage).where(of_them).values(core_ms=stage.c.executor_run_ms * cpus))


def _count_if(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


_KEY = len(application_experiment.primary_key)
_COUNTS = ("jobs", "failed_jobs", "runs", "failed_runs", "experiments")
_REFRESH_COUNTS = (
    sa.update(application)
    .where(application.c.id == sa.bindparam("which"))
    .values({name: sa.bindparam(name) for name in _COUNTS})
)
