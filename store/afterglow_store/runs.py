"""Runs and experiments: taking in what MLflow says of them, from the hook's events or from sync."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from afterglow_store import figures, snapshots
from afterglow_store.applications import refresh_counts
from afterglow_store.engine import upsert
from afterglow_store.links import APP_ID_TAG, APP_START_TAG, applications_of, link_by_tags
from afterglow_store.schema import experiment, run, tracking_server
from afterglow_store.status import decide_runs

Details = dict[str, Any]  # the `Run` object of docs/journal.md

PARENT_TAG = "mlflow.parentRunId"
OVER = frozenset({"FINISHED", "FAILED", "KILLED"})


def take_in_run(
    conn: sa.Connection,
    details: Details,
    *,
    server: str,
    tracking_uri: str,
    as_of: int,
    cause: str | None = None,
    application_id: int | None = None,
) -> bool:
    """Bring a run's row up to what MLflow said at `as_of` (ms). False when it changes nothing, or is older news.

    What runs and applications add up, and the effective status, are left as they are: call `refresh_sums` once after
    a batch of runs.
    `cause` takes a snapshot: always for `run end`, and for `sync` only when the details have changed.
    """
    run_id = details["run_id"]
    stored = conn.execute(
        sa.select(run.c.as_of, run.c.content_hash, run.c.server).where(run.c.run_id == run_id)
    ).one_or_none()
    if stored is not None and stored.as_of > as_of:
        return False
    whole = "outputs" in details  # a run's start may be told without its outputs and versions
    digest = snapshots.content_hash(details) if whole else None
    changed = stored is None or digest is None or digest != stored.content_hash
    if changed:
        _take_in_experiment_name(conn, details, server)
        upsert(conn, run, [_row(details, server, tracking_uri, as_of, digest)], newer="as_of")
        if stored is not None and stored.server != server:
            _forget_experiment(conn, stored.server, details["experiment_id"])
        link_by_tags(conn, run_id, details.get("tags") or {}, details.get("start_time") or as_of)
    if cause is not None and whole and (cause != snapshots.SYNC or changed):
        snapshots.take(conn, "run", run_id, details, time=as_of, cause=cause, application_id=application_id)
    return changed


def refresh_sums(conn: sa.Connection, run_ids: Collection[str]) -> None:
    """Bring what these runs add up, their effective status, and what their applications count, up to date."""
    figures.refresh_runs(conn, run_ids)
    decide_runs(conn, run_ids)
    for application_id in applications_of(conn, run_ids):
        refresh_counts(conn, application_id)


def take_in_experiment(conn: sa.Connection, details: Details, *, server: str) -> None:
    """Details: experiment_id, name, lifecycle_stage, artifact_location, created_time, updated_time (ms), tags."""
    upsert(conn, experiment, [{"server": server, **details}])


def _take_in_experiment_name(conn: sa.Connection, details: Details, server: str) -> None:
    """A run can come before its experiment was read: give it a row, but never write over a full one."""
    key = sa.and_(experiment.c.server == server, experiment.c.experiment_id == details["experiment_id"])
    if conn.scalar(sa.select(experiment.c.name).where(key)) is None:
        name = details.get("experiment_name") or details["experiment_id"]
        upsert(
            conn,
            experiment,
            [{"server": server, "experiment_id": details["experiment_id"], "name": name}],
        )


def _forget_experiment(conn: sa.Connection, server: str, experiment_id: str) -> None:
    """The run was first told of by a journal, under a URI that no setting names, and is now known to be of another
    server: the experiment that was made for it goes with its last run."""
    runs = sa.select(run.c.run_id).where(run.c.server == server, run.c.experiment_id == experiment_id)
    configured = sa.select(tracking_server.c.name).where(tracking_server.c.name == server)
    conn.execute(
        sa.delete(experiment).where(
            experiment.c.server == server,
            experiment.c.experiment_id == experiment_id,
            ~runs.exists(),
            ~configured.exists(),
        )
    )


def _row(details: Details, server: str, tracking_uri: str, as_of: int, digest: str | None) -> dict[str, Any]:
    tags = details.get("tags") or {}
    row = {
        "run_id": details["run_id"],
        "server": server,
        "tracking_uri": tracking_uri,
        "experiment_id": details["experiment_id"],
        "name": details.get("run_name"),
        "status": details.get("status"),
        "start_time": details.get("start_time"),
        "end_time": details.get("end_time"),
        "user_name": details.get("user"),
        "source_name": details.get("source_name"),
        "source_type": details.get("source_type"),
        "artifact_uri": details.get("artifact_uri"),
        "lifecycle_stage": details.get("lifecycle_stage"),
        "parent_run_id": tags.get(PARENT_TAG),
        "app_id_tag": tags.get(APP_ID_TAG),
        "app_start_tag": _millis(tags.get(APP_START_TAG)),
        "params": details.get("params") or {},
        "metrics": details.get("metrics") or {},
        "tags": tags,
        "as_of": as_of,
        "content_hash": digest,
    }
    for name in ("outputs", "outputs_complete", "registered_versions"):
        if name in details:
            row[name] = details[name]
    return row


def _millis(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
