"""Runs and experiments: taking in what MLflow says of them, from the hook's events or from sync."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa

from afterglow.redaction import redact_run
from afterglow_store import figures, items, postings, snapshots, tombstones
from afterglow_store.applications import refresh_counts
from afterglow_store.engine import among, insert_rows, upsert
from afterglow_store.links import APP_ID_TAG, APP_START_TAG, applications_of, link_by_tags
from afterglow_store.new_runs import NewRuns, insert, made_ready
from afterglow_store.retention import kept_from, too_old
from afterglow_store.schema import (
    application,
    experiment,
    job,
    link,
    owner,
    registered_version,
    run,
    tracking_server,
)
from afterglow_store.snapshots import Taken
from afterglow_store.status import decide_runs

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
    times: Mapping[str, int] = field(default_factory=dict)  # of runs, by id, about which it was asked at another time

    def asked(self, run_id: str) -> int:
        return self.times.get(run_id, self.as_of)


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
    oldest = kept_from(conn) if origin.application_id is None else None
    gone = tombstones.left_out(conn, [(details, origin.server) for details in runs])
    new: list[Row] = []
    changed: list[tuple[Row, Any]] = []
    names: dict[str, str | None] = {}
    taken: list[Taken] = []
    for details in map(redact_run, runs):
        stored, as_of = known.get(details["run_id"]), origin.asked(details["run_id"])
        if details["run_id"] in gone:
            continue
        if stored is not None and stored.as_of > as_of:
            continue
        if stored is None and too_old(details.get("start_time"), details.get("end_time"), oldest):
            continue
        # A run's start may be told without its outputs and versions; sync says when what it has is all there is.
        whole = "outputs" in details or cause == snapshots.SYNC
        digest = snapshots.content_hash(details) if whole else None
        news = stored is None or digest is None or digest != stored.content_hash
        if news:
            names[details["experiment_id"]] = details.get("experiment_name")
            row = row_of(details, origin, digest)
            if stored is None:
                new.append(row)
            else:
                changed.append((row, stored))
        if cause == snapshots.SYNC:
            if whole and news:
                _keep_change(conn, details, stored, as_of)
        elif cause is not None and whole:
            taken.append(Taken("run", details["run_id"], details, as_of, cause, origin.application_id))
    snapshots.take_all(conn, taken)
    _take_in_experiment_names(conn, names, origin.server)
    insert(conn, made_ready(new))
    _update(conn, changed, origin)
    rows = [*new, *(row for row, _ in changed)]
    link_by_tags(conn, [(row["run_id"], row["tags"], row["start_time"] or row["as_of"]) for row in rows])
    return [row["run_id"] for row in rows]


def take_in_new(conn: sa.Connection, new: NewRuns, server: str, experiments: Mapping[str, str | None]) -> set[str]:
    """Write runs of a server, which were read for the first time, with all that hangs on them; `experiments` are the
    names of theirs, by id. What is in the store already is left as it is, and told by its ids.

    Gives the same rows as `take_in_runs` and `refresh_sums`.
    """
    run_ids = new.column("run_id")
    known: set[str] = set(conn.scalars(sa.select(run.c.run_id).where(among(conn, run.c.run_id, run_ids))))
    gone = known | _left_out(conn, new, server)
    _take_in_experiment_names(conn, experiments, server)
    insert(conn, new, gone)
    _link_new(conn, new, gone)
    refresh_sums(conn, _told_of(conn, [each for each in run_ids if each not in gone]))
    return known


def _left_out(conn: sa.Connection, new: NewRuns, server: str) -> set[str]:
    """Those that a person had erased, or that retention would."""
    oldest, left_out = kept_from(conn), set()
    if oldest is not None:
        times = zip(new.column("run_id"), new.column("start_time"), new.column("end_time"), strict=True)
        left_out |= {run_id for run_id, start, end in times if too_old(start, end, oldest)}
    if tombstones.any_(conn):
        names = ("run_id", "experiment_id", "user_name", "start_time", "parent_run_id")
        left_out |= tombstones.left_out(
            conn,
            [
                ({"run_id": run_id, "experiment_id": experiment_id, "user": user, "start_time": start,
                  "tags": {PARENT_TAG: parent}}, server)
                for run_id, experiment_id, user, start, parent in zip(*map(new.column, names), strict=True)
            ],
        )  # fmt: skip
    return left_out


def _link_new(conn: sa.Connection, new: NewRuns, gone: Collection[str]) -> None:
    """Most name an application that the store has not: of the others alone the tags are read."""
    named = {each for each in new.column("app_id_tag") if each is not None}
    a = application.c.app_id
    there = set(conn.scalars(sa.select(a).where(among(conn, a, named)))) if named else set()
    columns = map(new.column, ("run_id", "app_id_tag", "tags", "start_time", "as_of"))
    found = [
        (run_id, orjson.loads(tags), start or as_of)
        for run_id, app_id, tags, start, as_of in zip(*columns, strict=True)
        if app_id in there and run_id not in gone
    ]
    link_by_tags(conn, found)


def _told_of(conn: sa.Connection, run_ids: Collection[str]) -> list[str]:
    """Those of the runs that Spark's side tells anything of. Of the others nothing is added up, and `at_first` has
    decided."""
    told = [sa.select(each.c.run_id).where(among(conn, each.c.run_id, run_ids)) for each in (job, owner, link)]
    return list(conn.scalars(sa.union(*told)))


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


def _update(conn: sa.Connection, changed: list[tuple[Row, Any]], origin: Origin) -> None:
    """Each as it is now, and its row as it was."""
    for row, stored in changed:
        upsert(conn, run, [{"id": stored.id, **row}], newer="as_of", key=("run_id",))
        if stored.server != origin.server:
            _forget_experiment(conn, stored.server, row["experiment_id"])
    versions = [(stored.id, row["registered_versions"]) for row, stored in changed if "registered_versions" in row]
    _write_versions(conn, versions)
    before = [postings.posted(stored.id, stored._mapping) for _, stored in changed]
    postings.write(conn, [postings.posted(stored.id, row) for row, stored in changed], before)


def refresh_sums(conn: sa.Connection, run_ids: Collection[str]) -> None:
    """Bring what these runs add up, their effective status, and what their applications count, up to date."""
    figures.refresh_runs(conn, run_ids)
    decide_runs(conn, run_ids)
    refresh_counts(conn, applications_of(conn, run_ids))


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


def mark_purged_experiments(conn: sa.Connection, server: str, experiment_ids: Collection[str]) -> None:
    """They are deleted for good in MLflow."""
    these = sa.and_(experiment.c.server == server, experiment.c.experiment_id.in_(experiment_ids))
    conn.execute(sa.update(experiment).where(these).values(lifecycle_stage=PURGED))


def _write_versions(conn: sa.Connection, of_runs: list[tuple[int, list[dict[str, Any]] | None]]) -> None:
    if not of_runs:
        return
    conn.execute(sa.delete(registered_version).where(registered_version.c.run.in_([id_ for id_, _ in of_runs])))
    rows = [(id_, each["name"], int(each["version"])) for id_, versions in of_runs for each in versions or ()]
    insert_rows(conn, registered_version, rows)


def _take_in_experiment_names(conn: sa.Connection, names: Mapping[str, str | None], server: str) -> None:
    """A run can come before its experiment was read: give it a row, but never write over a full one."""
    of_these = sa.and_(experiment.c.server == server, experiment.c.experiment_id.in_(names))
    known = set(conn.scalars(sa.select(experiment.c.experiment_id).where(of_these)))
    new = [{"server": server, "experiment_id": id_, "name": names[id_] or id_} for id_ in sorted(names.keys() - known)]
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


def row_of(details: Details, origin: Origin, digest: str | None = None) -> Row:
    """The row of a run, but for its id and what is worked out from other rows."""
    details = redact_run(details)
    tags = details.get("tags") or {}
    start, end = details.get("start_time") or 0, details.get("end_time")
    row = {
        "run_id": details["run_id"],
        "server": origin.server,
        "tracking_uri": origin.tracking_uri,
        "experiment_id": details["experiment_id"],
        "name": details.get("run_name"),
        "status": details.get("status"),
        "start_time": start,
        "end_time": end,
        "duration_ms": None if end is None else end - start,
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
        "as_of": origin.asked(details["run_id"]),
        "content_hash": digest,
    }
    for name in ("outputs", "outputs_complete", "registered_versions"):
        if name in details:
            row[name] = details[name]
    return row


def _millis(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
