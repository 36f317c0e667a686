"""How a metric went from run to run: of an experiment over time, and of applications."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from afterglow_store.postings import METRIC, number_of
from afterglow_store.schema import link, run, run_metric
from afterglow_store.search.deadline import deadline
from afterglow_store.windows import Window, within

Row = dict[str, Any]

LOOKED_AT = 200  # runs, the newest, whose metrics are offered


def of_experiment(
    conn: sa.Connection, server: str, experiment_id: str, window: Window, *, metric: str, most: int
) -> list[Row]:
    """The newest `most` runs of the window, the latest first: run_id, name, start_time, duration_ms, effective_status,
    and `value` of the metric, None where a run has none or it is NaN. Raises TooSlow."""
    r, m = run.c, run_metric.c
    select = (
        sa.select(r.run_id, r.name, r.start_time, r.duration_ms, r.effective_status, m.value)
        .select_from(run.outerjoin(run_metric, sa.and_(m.run == r.id, m.key == number_of(METRIC, metric))))
        .where(r.server == server, r.experiment_id == experiment_id, *within(r.start_time, window))
        .order_by(r.start_time.desc(), r.id.desc())
        .limit(most)
    )
    with deadline(conn):
        return [dict(row) for row in conn.execute(select).mappings()]


def metrics_of_experiment(conn: sa.Connection, server: str, experiment_id: str) -> list[str]:
    """The metrics that its newest runs have, those that most of them have first."""
    r = run.c
    of_it = sa.select(r.metrics).where(r.server == server, r.experiment_id == experiment_id)
    return _names(conn, of_it.order_by(r.start_time.desc(), r.id.desc()))


def of_applications(conn: sa.Connection, application_ids: Collection[int], metric: str) -> dict[int, float]:
    """By application, the value that the latest of its runs has which has this metric."""
    r, m = run.c, run_metric.c
    select = (
        sa.select(link.c.application_id, m.value)
        .select_from(
            link.join(run, r.run_id == link.c.run_id).join(
                run_metric, sa.and_(m.run == r.id, m.key == number_of(METRIC, metric))
            )
        )
        .where(link.c.application_id.in_(application_ids), m.value.is_not(None))
        .order_by(r.start_time, r.id)
    )
    rows = conn.execute(select).all()
    return {row.application_id: row.value for row in rows}


def metrics_of_applications(conn: sa.Connection, application_ids: Collection[int]) -> list[str]:
    """The metrics that their newest runs have, those that most of them have first."""
    r = run.c
    of_them = sa.select(r.metrics).join(link, link.c.run_id == r.run_id)
    of_them = of_them.where(link.c.application_id.in_(application_ids))
    return _names(conn, of_them.order_by(r.start_time.desc(), r.id.desc()))


def _names(conn: sa.Connection, newest_first: sa.Select[Any]) -> list[str]:
    counts: dict[str, int] = {}
    for metrics in conn.scalars(newest_first.limit(LOOKED_AT)):
        for name in metrics or {}:
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))
