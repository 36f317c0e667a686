"""Retention: what is older than a cut leaves the store, in small batches, with the write lock free between them.

An application is as old as its end, or as what was last heard of it; a run as its end or, without one, its start.
Killed between two batches it goes on with the next call: what everything else is found by is deleted last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from afterglow_store import postings
from afterglow_store.applications import refresh_counts
from afterglow_store.engine import Store, upsert
from afterglow_store.links import applications_of
from afterglow_store.schema import (
    application,
    application_conf,
    application_experiment,
    bad_line,
    executor,
    experiment,
    job,
    link,
    owner,
    registered_version,
    retention,
    run,
    snapshot,
    snapshot_content,
    source,
    sql_execution,
    stage,
    task_sums,
)

DAY_MS = 86_400_000
ROWS = 2_000  # of one table that a transaction deletes: some ten milliseconds
RUNS = 200  # a run has its params, tags, metrics and snapshots with it
PAUSE_S = 0.02  # between two transactions, in which those who wait to write come in

# What belongs to an application, the tables with the most rows first. SQLite enforces no foreign keys here, and a
# cascade over a million stages would hold up every writer.
OF_APPLICATION = (stage, sql_execution, job, executor, application_conf, application_experiment, link)


@dataclass
class Counts:
    """How much of each kind."""

    applications: int = 0
    jobs: int = 0
    stages: int = 0
    runs: int = 0
    snapshots: int = 0
    experiments: int = 0

    def __bool__(self) -> bool:
        return any(asdict(self).values())


def cut(now: int, keep_days: float) -> int | None:
    """The moment (ms) before which things are too old; None where all is kept (`keep_days` 0)."""
    return now - int(keep_days * DAY_MS) if keep_days else None


def too_old(start_time: int | None, end_time: int | None, before: int | None) -> bool:
    """Whether a run with these times (ms) is older than the cut. One that tells no time is never too old."""
    return before is not None and 0 < max(start_time or 0, end_time or 0) < before


def kept_from(conn: sa.Connection) -> int | None:
    """The latest cut (ms) that was ever made in this store: sync adds no run that is older."""
    found: int | None = conn.scalar(sa.select(retention.c.kept_from))
    return found


def would_prune(conn: sa.Connection, before: int) -> Counts:
    """What `prune` would delete."""
    apps = sa.select(application.c.id).where(_old_application(before))
    runs = sa.select(run.c.run_id).where(_old_run(before))

    def count(table: sa.Table, which: sa.ColumnElement[bool]) -> int:
        return int(conn.scalar(sa.select(sa.func.count()).select_from(table).where(which)) or 0)

    return Counts(
        applications=count(application, _old_application(before)),
        jobs=count(job, job.c.application_id.in_(apps)),
        stages=count(stage, stage.c.application_id.in_(apps)),
        runs=count(run, _old_run(before)),
        snapshots=count(snapshot, sa.and_(snapshot.c.item_type == "run", snapshot.c.item_id.in_(runs))),
        experiments=count(experiment, _gone_experiment(before)),
    )


def prune(store: Store, before: int, *, now: int) -> Counts:
    """Delete what is older than `before` (ms), and note the cut so that sync does not bring it back."""
    done = Counts()
    with store.write() as conn:
        latest = max(before, kept_from(conn) or 0)
        upsert(conn, retention, [{"id": 1, "kept_from": latest, "pruned_time": now}])
    for step in (_prune_application, _prune_runs, _prune_experiments):
        for _ in _batches(store, step, before, done):
            time.sleep(PAUSE_S)
    return done


def _batches(store: Store, step: Callable[..., bool], before: int, done: Counts) -> Iterator[None]:
    """One transaction after the other, as long as the step finds something."""
    while True:
        with store.write() as conn:
            if not step(conn, before, done):
                return
        yield


def _old_application(before: int) -> sa.ColumnElement[bool]:
    a = application.c
    return sa.and_(a.start_time < before, sa.func.coalesce(a.end_time, a.last_event_time, a.start_time) < before)


def _old_run(before: int) -> sa.ColumnElement[bool]:
    """As `too_old` has it."""
    r = run.c
    ended = sa.func.coalesce(r.end_time, 0)
    return sa.and_(r.start_time < before, ended < before, sa.or_(r.start_time > 0, ended > 0))


def _gone_experiment(before: int) -> sa.ColumnElement[bool]:
    """Deleted in MLflow, long ago, and without runs."""
    e = experiment.c
    runs = sa.select(run.c.id).where(run.c.server == e.server, run.c.experiment_id == e.experiment_id)
    since = sa.func.coalesce(e.updated_time, e.created_time, 0)
    return sa.and_(e.lifecycle_stage.in_(("deleted", "purged")), since < before, ~runs.exists())


def _prune_application(conn: sa.Connection, before: int, done: Counts) -> bool:
    oldest = sa.select(application.c.id).where(_old_application(before)).order_by(application.c.start_time).limit(1)
    found = conn.scalar(oldest)
    if found is not None:
        delete_of_application(conn, found, done)
    return found is not None


def delete_of_application(conn: sa.Connection, application_id: int, done: Counts) -> bool:
    """Delete a batch of what belongs to an application; with the last of it, the application. True once it is gone."""
    for table in OF_APPLICATION:
        deleted = _delete_some(conn, table, table.c.application_id == application_id)
        done.jobs += deleted if table is job else 0
        done.stages += deleted if table is stage else 0
        if deleted == ROWS:
            return False
    of_it = snapshot.c.application_id == application_id
    conn.execute(sa.update(snapshot).where(of_it).values(application_id=None))
    _leave_stubs(conn, application_id)
    conn.execute(sa.delete(application).where(application.c.id == application_id))
    done.applications += 1
    return True


def _leave_stubs(conn: sa.Connection, application_id: int) -> None:
    """A journal that is still on the disk was read, and how far: or it would be taken in from its start."""
    kept = ("id", "path", "journal", "position", "lines", "bad_lines", "in_long_line", "updated_time")
    nothing = {each.name: None if each.nullable else 0 for each in source.columns if each.name not in kept}
    of_it = source.c.application_id == application_id
    for table in (bad_line, task_sums):
        conn.execute(sa.delete(table).where(table.c.source_id.in_(sa.select(source.c.id).where(of_it))))
    conn.execute(sa.update(source).where(of_it).values(nothing))


def _delete_some(conn: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool]) -> int:
    key = list(table.primary_key)
    some = sa.select(*key).where(which).limit(ROWS)
    return conn.execute(sa.delete(table).where(sa.tuple_(*key).in_(some))).rowcount


def _prune_runs(conn: sa.Connection, before: int, done: Counts) -> bool:
    oldest = sa.select(run.c.run_id).where(_old_run(before)).order_by(run.c.start_time).limit(RUNS)
    found = list(conn.scalars(oldest))
    delete_runs(conn, found, done)
    return bool(found)


def delete_runs(conn: sa.Connection, run_ids: Sequence[str], done: Counts) -> None:
    """Delete these runs with all that the store has of them but the jobs that they ran, and what was audited."""
    if not run_ids:
        return
    applications = applications_of(conn, run_ids)
    columns = (run.c.id, run.c.start_time, run.c.params, run.c.tags, run.c.metrics)
    rows = conn.execute(sa.select(*columns).where(run.c.run_id.in_(run_ids))).all()
    postings.write(conn, [], [postings.posted(row.id, dict(row._mapping)) for row in rows])
    conn.execute(sa.delete(registered_version).where(registered_version.c.run.in_([row.id for row in rows])))
    for table in (owner, link):
        conn.execute(sa.delete(table).where(table.c.run_id.in_(run_ids)))
    done.snapshots += _delete_snapshots(conn, run_ids)
    done.runs += conn.execute(sa.delete(run).where(run.c.run_id.in_(run_ids))).rowcount
    refresh_counts(conn, applications)


def _delete_snapshots(conn: sa.Connection, run_ids: Collection[str]) -> int:
    """With those of their contents that no other snapshot has."""
    of_them = sa.and_(snapshot.c.item_type == "run", snapshot.c.item_id.in_(run_ids))
    hashes = set(conn.scalars(sa.select(snapshot.c.content_hash).where(of_them)))
    deleted = conn.execute(sa.delete(snapshot).where(of_them)).rowcount
    still = sa.select(snapshot.c.id).where(snapshot.c.content_hash == snapshot_content.c.content_hash)
    conn.execute(sa.delete(snapshot_content).where(snapshot_content.c.content_hash.in_(hashes), ~still.exists()))
    return deleted


def _prune_experiments(conn: sa.Connection, before: int, done: Counts) -> bool:
    deleted = _delete_some(conn, experiment, _gone_experiment(before))
    done.experiments += deleted
    return bool(deleted)
