"""What ingest leaves out of a stretch of a journal: runs that a person had erased, and what names them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from afterglow_store import tombstones, tracking
from afterglow_store.batch import Batch
from afterglow_store.schema import job, sql_execution, stage
from afterglow_store.tombstones import NOBODY


def leave_out_forgotten(conn: sa.Connection, batch: Batch) -> None:
    """Of a run that a person had erased, not even the id comes back: neither by its events nor by its jobs' tags."""
    told = [
        (event.details, tracking.server_of(conn, event.run_id, event.tracking_uri))
        for event in batch.runs
        if event.details is not None
    ]
    rows = [row for table in (job, sql_execution, stage) for row in batch.rows.get(table, {}).values()]
    named = {event.run_id for event in batch.runs} | {row["run_id"] for row in rows if row.get("run_id")}
    gone = tombstones.left_out(conn, told)
    gone |= {run_id for _, run_id in tombstones.times(conn, [(tombstones.RUN, run_id) for run_id in named])}
    batch.runs = [event for event in batch.runs if event.run_id not in gone]
    batch.job_tag_runs = {run_id: time for run_id, time in batch.job_tag_runs.items() if run_id not in gone}
    for values in (*rows, batch.application, batch.client):
        for run_id in gone:
            _unname(values, run_id)


def _unname(values: dict[str, Any], run_id: str) -> None:
    if values.get("run_id") == run_id:
        values["run_id"] = None
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = value.replace(run_id, NOBODY)
        elif name == "tags" and value:
            values[name] = [tag.replace(run_id, NOBODY) for tag in value]
