"""Who used what: the tasks of a window's Spark jobs, added up by run, experiment, user, application or day."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from afterglow_store.figures import used_by
from afterglow_store.schema import PEAKS, SUMS, application, experiment, job, run
from afterglow_store.windows import Window, within

Row = dict[str, Any]

DAY_MS = 86_400_000

# What the jobs are grouped by: names of the columns that tell the groups apart, and what they are.
KEYS: dict[str, dict[str, sa.ColumnElement[Any]]] = {
    "run": {"run_id": job.c.run_id, "name": run.c.name, "experiment": experiment.c.name, "user": run.c.user_name},
    "experiment": {"experiment": experiment.c.name, "experiment_id": run.c.experiment_id, "server": run.c.server},
    "user": {"user": sa.func.coalesce(run.c.user_name, application.c.user_name)},
    "application": {"application": application.c.name},
    "day": {"day": job.c.start_time // DAY_MS},
}
BY = tuple(KEYS)


def usage(conn: sa.Connection, by: str, window: Window) -> list[Row]:
    """What the Spark jobs that started in `window` used, by one of BY; the largest core time first.

    Each row has what tells its group, `jobs`, `failed_jobs`, every sum and peak of the schema, `core_seconds`, and
    `overhead_core_seconds`: how much of that served no run. A job is in exactly one row, so the rows add up to all that
    was used. By user a job counts for its run's user; without a run, for the one who started the application. A
    `day` is one of UTC, 2026-11-23.
    """
    return grouped(conn, KEYS[by], window)


def grouped(
    conn: sa.Connection,
    keys: Mapping[str, sa.ColumnElement[Any]],
    window: Window,
    more: Sequence[sa.ColumnElement[Any]] = (),
) -> list[Row]:
    """As `usage`, by any columns of a job, its application, its run and that one's experiment; `more`: sums of each
    group beside."""
    of = sa.and_(experiment.c.server == run.c.server, experiment.c.experiment_id == run.c.experiment_id)
    joined = (
        job.join(application, application.c.id == job.c.application_id)
        .outerjoin(run, run.c.run_id == job.c.run_id)
        .outerjoin(experiment, of)
    )
    rows = conn.execute(
        sa.select(
            *(column.label(name) for name, column in keys.items()),
            sa.func.count().label("jobs"),
            whole_sum(sa.case((job.c.status == "FAILED", 1), else_=0)).label("failed_jobs"),
            whole_sum(sa.case((job.c.run_id.is_(None), job.c.core_ms), else_=0)).label("overhead_core_ms"),
            *used_by(job),
            *more,
        )
        .select_from(joined)
        .where(*within(job.c.start_time, window))
        .group_by(*keys.values())
        .order_by(sa.text("core_ms DESC"), *keys.values())
    )
    return [dated(_with_seconds(dict(row._mapping))) for row in rows]


def totals(conn: sa.Connection, run_ids: Collection[str]) -> dict[str, Row]:
    """What each of these runs used together with all runs below it: `runs` (itself included), `jobs`, `failed_jobs`,
    every sum and peak, `core_seconds`. By run id."""
    rows = conn.execute(_TOTALS, {"run_ids": list(run_ids)})
    return {row["root"]: _with_seconds(dict(row)) for row in rows.mappings()}


def family() -> sa.CTE:
    """Of each run of the parameter `run_ids`, as `root`: the `run_id` of itself and of each run below it."""
    asked = run.c.run_id.in_(sa.bindparam("run_ids", expanding=True))
    family = sa.select(run.c.run_id.label("root"), run.c.run_id).where(asked).cte("family", recursive=True)
    below = sa.select(family.c.root, run.c.run_id).where(run.c.parent_run_id == family.c.run_id)
    return family.union(below)  # not all: parents that go round in a circle end, too


def _totals() -> sa.Select[Any]:
    of = family()
    return (
        sa.select(
            of.c.root,
            sa.func.count().label("runs"),
            whole_sum(run.c.jobs).label("jobs"),
            whole_sum(run.c.failed_jobs).label("failed_jobs"),
            *used_by(run),
        )
        .select_from(of.join(run, run.c.run_id == of.c.run_id))
        .group_by(of.c.root)
    )


def add_totals(conn: sa.Connection, rows: list[Row]) -> None:
    """Give each run row `total`: what it and the runs below it used."""
    run_ids = [row["run_id"] for row in rows]
    parents = set(conn.scalars(_PARENTS, {"run_ids": run_ids}))  # of a list, most have no runs below them
    found = totals(conn, parents) if parents else {}
    for row in rows:
        row["total"] = found.get(row["run_id"]) or _alone(row)


def _alone(row: Row) -> Row:
    sums = {name: row[name] or 0 for name in SUMS}
    peaks = {name: row[name] for name in PEAKS}
    return _with_seconds({"runs": 1, "jobs": row["jobs"], "failed_jobs": row["failed_jobs"], **sums, **peaks})


def dated(row: Row) -> Row:
    return row | {"day": f"{datetime.fromtimestamp(row['day'] * DAY_MS / 1000, UTC):%Y-%m-%d}"} if "day" in row else row


def _with_seconds(row: Row) -> Row:
    seconds = {
        name.replace("_ms", "_seconds"): row[name] / 1000 for name in ("core_ms", "overhead_core_ms") if name in row
    }
    return row | seconds


def whole_sum(column: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    return sa.cast(sa.func.coalesce(sa.func.sum(column), 0), sa.BigInteger)


# Made once: putting together twenty sums takes longer than adding up the runs of a page.
_TOTALS = _totals()
_PARENTS = sa.select(run.c.parent_run_id).where(run.c.parent_run_id.in_(sa.bindparam("run_ids", expanding=True)))
