"""Runs and experiments: taking in what MLflow says of them, from the hook's events or from sync."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from afterglow_store import figures, items, postings, snapshots, tombstones
from afterglow_store.applications import refresh_counts
from afterglow_store.engine import insert_rows, upsert
from afterglow_store.links import APP_ID_TAG, APP_START_TAG, applications_of, link_by_tags
from afterglow_store.retention import kept_from, too_old
from afterglow_store.schema import Json, as_json, experiment, registered_version, run, tracking_server
from afterglow_store.status import at_first, decide_runs

Details = dict[str, Any]  # the `Run` object of docs/journal.md
Row = dict[str, Any]

PARENT_TAG = "mlflow.parentRunId"
OVER = frozenset({"FINISHED", "FAILED", "KILLED"})
PURGED = "purged"  # the lifecycle_stage of a run that is deleted for good: MLflow, which says "deleted", has it no more


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
    """`take_in_runs` of one. False when it changes nothing, or is older news."""
    origin = Origin(server, tracking_uri, as_of, application_id)
    return bool(take_in_runs(conn, [details], origin, cause=cause))


@dataclass(frozen=True)
class Origin:
    """Where news of runs comes from: the tracking server, and when (ms) it was asked."""

    server: str
    tracking_uri: str
    as_of: int
    application_id: int | None = None  # of the application whose hook asked


def take_in_runs(
    conn: sa.Connection,
    runs: Sequence[Details],
    origin: Origin,
    *,
    cause: str | None = None,
) -> list[str]:
    """Bring the rows of different runs up to what MLflow said. The ids of those that changed; older news is left out.

    What runs and applications add up, and the effective status, are left as they are: call `refresh_sums` once after
    a batch of runs.
    A run that was forgotten is left out, and one that retention has taken out, or would have, unless a journal tells of
    it.
    `cause` takes snapshots: always for `run end`, and for `sync` only of details that have changed, at most one a run
    and minute.
    """
    known = _known(conn, [each["run_id"] for each in runs])
    ids = postings.next_ids(conn, run)
    oldest = kept_from(conn) if origin.application_id is None else None
    gone = tombstones.left_out(conn, [(details, origin.server) for details in runs])
    changed: list[tuple[Details, Row, Any]] = []
    for details in runs:
        stored = known.get(details["run_id"])
        if details["run_id"] in gone:
            continue
        if stored is not None and stored.as_of > origin.as_of:
            continue
        if stored is None and too_old(details.get("start_time"), details.get("end_time"), oldest):
            continue
        # A run's start may be told without its outputs and versions; sync says when what it has is all there is.
        whole = "outputs" in details or cause == snapshots.SYNC
        digest = snapshots.content_hash(details) if whole else None
        news = stored is None or digest is None or digest != stored.content_hash
        if news:
            id_ = next(ids) if stored is None else stored.id
            changed.append((details, {"id": id_, **_row(details, origin, digest)}, stored))
        if cause == snapshots.SYNC:
            if whole and news:
                _keep_change(conn, details, stored, origin.as_of)
        elif cause is not None and whole:
            snapshots.take(
                conn, "run", details["run_id"], details,
                time=origin.as_of, cause=cause, application_id=origin.application_id,
            )  # fmt: skip
    _write(conn, changed, origin)
    return [details["run_id"] for details, *_ in changed]


def _keep_change(conn: sa.Connection, details: Details, stored: Any, as_of: int) -> None:
    """Of changes that follow each other within a minute only the first is kept at once. What the last of them left
    lasted until now: it is kept as of the minute's end, so that nothing is missed that was there for longer."""
    run_id = details["run_id"]
    last = snapshots.last_time(conn, "run", run_id, snapshots.SYNC)
    over = None if last is None else last + snapshots.PAUSE_MS
    if over is not None and over < as_of and stored.content_hash is not None:
        before = items.run_details(conn, run_id)
        if before is not None and stored.content_hash != snapshots.last_hash(conn, "run", run_id):
            snapshots.take(conn, "run", run_id, before, time=max(over, stored.as_of), cause=snapshots.SYNC)
            over = max(over, stored.as_of) + snapshots.PAUSE_MS
    if over is None or over <= as_of:
        snapshots.take(conn, "run", run_id, details, time=as_of, cause=snapshots.SYNC)


def _known(conn: sa.Connection, run_ids: Collection[str]) -> dict[str, Any]:
    r = run.c
    columns = (r.id, r.run_id, r.as_of, r.content_hash, r.server, r.start_time, r.params, r.metrics, r.tags)
    return {row.run_id: row for row in conn.execute(sa.select(*columns).where(r.run_id.in_(run_ids)))}


def _write(conn: sa.Connection, changed: list[tuple[Details, Row, Any]], origin: Origin) -> None:
    _take_in_experiment_names(conn, [details for details, *_ in changed], origin.server)
    _insert(conn, [_with_status(row) for _, row, stored in changed if stored is None])
    for row in (row for _, row, stored in changed if stored is not None):
        upsert(conn, run, [row], newer="as_of", key=("run_id",))
    for details, _, stored in changed:
        if stored is not None and stored.server != origin.server:
            _forget_experiment(conn, stored.server, details["experiment_id"])
    _write_versions(
        conn, [(row["id"], row["registered_versions"]) for _, row, _ in changed if "registered_versions" in row]
    )
    before = [postings.posted(stored.id, stored._mapping) for *_, stored in changed if stored is not None]
    postings.write(conn, [postings.posted(row["id"], row) for _, row, _ in changed], before)
    link_by_tags(conn, [(row["run_id"], row["tags"], row["start_time"] or origin.as_of) for _, row, _ in changed])


def refresh_sums(conn: sa.Connection, run_ids: Collection[str]) -> None:
    """Bring what these runs add up, their effective status, and what their applications count, up to date."""
    figures.refresh_runs(conn, run_ids)
    decide_runs(conn, run_ids)
    for application_id in applications_of(conn, run_ids):
        refresh_counts(conn, application_id)


def take_in_outputs(conn: sa.Connection, run_id: str, outputs: list[Row], *, complete: bool) -> None:
    """The files of a run, listed later than the rest. It is no change of the run: no snapshot is taken."""
    conn.execute(sa.update(run).where(run.c.run_id == run_id).values(outputs=outputs, outputs_complete=complete))


def take_in_experiment(conn: sa.Connection, details: Details, *, server: str) -> None:
    """Details: experiment_id, name, lifecycle_stage, artifact_location, created_time, updated_time (ms), tags. One that
    was forgotten, or that retention has taken out, stays out."""
    if tombstones.times(conn, [(tombstones.EXPERIMENT, f"{server}/{details['experiment_id']}")]):
        return
    deleted = details.get("lifecycle_stage") == "deleted"
    if deleted and too_old(details.get("created_time"), details.get("updated_time"), kept_from(conn)):
        same = sa.and_(experiment.c.server == server, experiment.c.experiment_id == details["experiment_id"])
        if conn.scalar(sa.select(experiment.c.name).where(same)) is None:
            return
    upsert(conn, experiment, [{"server": server, **details}])


def _write_versions(conn: sa.Connection, of_runs: list[tuple[int, list[dict[str, Any]] | None]]) -> None:
    if not of_runs:
        return
    conn.execute(sa.delete(registered_version).where(registered_version.c.run.in_([id_ for id_, _ in of_runs])))
    rows = [(id_, each["name"], int(each["version"])) for id_, versions in of_runs for each in versions or ()]
    insert_rows(conn, registered_version, rows)


def _with_status(row: Row) -> Row:
    status, reason = at_first(row["status"])
    return {**row, "effective_status": status, "status_reason": reason}


_JSON = frozenset(column.name for column in run.columns if isinstance(column.type, Json))


def _insert(conn: sa.Connection, rows: list[Row]) -> None:
    alike: dict[tuple[str, ...], list[list[Any]]] = {}
    for row in rows:
        values = [as_json(value) if name in _JSON else value for name, value in row.items()]
        alike.setdefault(tuple(row), []).append(values)
    for columns, group in alike.items():
        insert_rows(conn, run, group, columns)


def _take_in_experiment_names(conn: sa.Connection, runs: Collection[Details], server: str) -> None:
    """A run can come before its experiment was read: give it a row, but never write over a full one."""
    names = {each["experiment_id"]: each.get("experiment_name") or each["experiment_id"] for each in runs}
    of_these = sa.and_(experiment.c.server == server, experiment.c.experiment_id.in_(names))
    known = set(conn.scalars(sa.select(experiment.c.experiment_id).where(of_these)))
    new = [{"server": server, "experiment_id": id_, "name": names[id_]} for id_ in sorted(names.keys() - known)]
    upsert(conn, experiment, new)


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


def _row(details: Details, origin: Origin, digest: str | None) -> Row:
    tags = details.get("tags") or {}
    row = {
        "run_id": details["run_id"],
        "server": origin.server,
        "tracking_uri": origin.tracking_uri,
        "experiment_id": details["experiment_id"],
        "name": details.get("run_name"),
        "status": details.get("status"),
        "start_time": details.get("start_time") or 0,
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
        "as_of": origin.as_of,
        "content_hash": digest,
    }
    for name in ("outputs", "outputs_complete", "registered_versions"):
        if name in details:
            row[name] = details[name]
    return row


def _millis(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
