"""What MLflow says of runs, held against what the store has of them: cheap enough to go through all runs again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from afterglow.redaction import redact_run
from afterglow_store import snapshots
from afterglow_store.items import known_run_details
from afterglow_store.runs import OVER, PURGED, Details
from afterglow_store.schema import experiment, registered_version, run, snapshot
from afterglow_store.status import RUNNING

Versions = list[dict[str, Any]]

BETWEEN = 20_000  # runs, 2 MB; many times as many as a sweep reads at once

_PLAIN = {
    "experiment_id": "experiment_id", "run_name": "name", "status": "status", "end_time": "end_time",
    "user": "user_name", "lifecycle_stage": "lifecycle_stage", "source_name": "source_name",
    "source_type": "source_type", "artifact_uri": "artifact_uri",
}  # fmt: skip
_MAPS = ("params", "metrics", "tags")


@dataclass(frozen=True)
class Known:
    """A run of the store. `same`: MLflow says the same of it, as far as that was asked: not of files and versions."""

    server: str
    status: str | None
    same: bool
    listed: bool  # its files
    versions: Versions

    @property
    def over(self) -> bool:
        return self.status in OVER


def compare(conn: sa.Connection, runs: Sequence[Details]) -> dict[str, Known]:
    """Those of the runs that the store has, by run id."""
    said = {each["run_id"]: redact_run(each) for each in runs}
    # As texts: what the column's type would make of millions of values takes longer than all the rest.
    texts = [sa.type_coerce(run.c[name], sa.Text).label(name) for name in (*_MAPS, "registered_versions")]
    listed = run.c.outputs.is_not(None).label("listed")
    plain = [run.c[name] for name in _PLAIN.values()]
    asked = sa.select(run.c.run_id, run.c.server, run.c.start_time, listed, *plain, *texts)
    return {
        row["run_id"]: Known(
            server=row["server"],
            status=row["status"],
            same=_same(row, said[row["run_id"]]),
            listed=bool(row["listed"]),
            versions=orjson.loads(row["registered_versions"] or "[]"),
        )
        for row in conn.execute(asked.where(run.c.run_id.in_(said))).mappings()
    }


def _same(row: sa.RowMapping, details: Details) -> bool:
    if row["start_time"] != (details.get("start_time") or 0):
        return False
    if any(row[column] != details.get(name) for name, column in _PLAIN.items()):
        return False
    return all(orjson.loads(row[name] or "{}") == details.get(name) for name in _MAPS)


def versions_known(conn: sa.Connection, server: str) -> dict[str, Versions]:
    """The registered versions of a server's runs that have any, by run id."""
    asked = sa.select(run.c.run_id, run.c.registered_versions).where(
        run.c.server == server, run.c.id.in_(sa.select(registered_version.c.run))
    )
    return {row.run_id: row.registered_versions for row in conn.execute(asked)}


def keep_what_was(conn: sa.Connection, run_ids: Sequence[str]) -> None:
    """Before runs are changed: a snapshot of each that was over and has none yet, so that the change can be shown."""
    s = snapshot.c
    kept = set(conn.scalars(sa.select(s.item_id).where(s.item_type == "run", s.item_id.in_(run_ids))))
    details = known_run_details(conn, [each for each in run_ids if each not in kept])
    asked = sa.select(run.c.run_id, run.c.as_of).where(run.c.run_id.in_(details))
    as_of = {row.run_id: row.as_of for row in conn.execute(asked)}
    for run_id, was in details.items():
        if was["status"] not in OVER:
            continue
        snapshots.take(conn, "run", run_id, was, time=as_of[run_id], cause=snapshots.SYNC)


def runs_to_follow(conn: sa.Connection, server: str, most: int) -> dict[str, int]:
    """The newest of the server's runs that are shown as RUNNING, with when each had last changed (ms)."""
    r = run.c
    there = r.lifecycle_stage.is_distinct_from(PURGED)
    asked = sa.select(r.run_id, r.as_of).where(r.effective_status == RUNNING, r.server == server, there)
    newest = asked.order_by(r.start_time.desc(), r.id.desc()).limit(most)
    return {row.run_id: row.as_of for row in conn.execute(newest)}


def newest_start(conn: sa.Connection, server: str, now: int) -> int:
    """When (ms) the server's newest run started, of those that did before `now`; 0 without any."""
    r = run.c
    asked = sa.select(r.start_time).where(r.server == server, r.start_time <= now).order_by(r.start_time.desc())
    return conn.scalar(asked.limit(1)) or 0


def runs_between(conn: sa.Connection, server: str, after: int, until: int, since: int) -> set[str]:
    """The ids of the server's runs that started after `after`, at `until` at the latest (ms), and that it has told of
    at `since` or later; the newest BETWEEN of them, without those that are known to be deleted for good."""
    r = run.c
    started = (r.start_time > after, r.start_time <= until, r.server == server)
    there = (r.as_of >= since, r.lifecycle_stage.is_distinct_from(PURGED))
    asked = sa.select(r.run_id).where(*started, *there).order_by(r.start_time.desc()).limit(BETWEEN)
    return set(conn.scalars(asked))


def experiments_there(conn: sa.Connection, server: str, since: int) -> dict[str, str | None]:
    """The workspaces of the server's experiments, by their ids, but for those that are known to be gone for good, and
    those that were made before `since` (ms): those may be another server's of this name."""
    e = experiment.c
    there = e.lifecycle_stage.is_distinct_from(PURGED)
    asked = sa.select(e.experiment_id, e.workspace).where(e.server == server, there, e.created_time >= since)
    return {row.experiment_id: row.workspace for row in conn.execute(asked)}


def runs_to_list(conn: sa.Connection, server: str, since: int) -> list[str]:
    """The server's runs that started at `since` (ms) or later and are over, but whose files were not listed; the oldest
    first."""
    r = run.c
    asked = sa.select(r.run_id).where(
        r.start_time >= since, r.server == server, r.status.in_(sorted(OVER)), r.outputs.is_(None)
    )
    return list(conn.scalars(asked.order_by(r.start_time, r.id)))
