"""Forgetting: a run, a user or an experiment is erased with all that the store has of it, and does not come back.

A run takes the runs below it along, a user the runs and applications that they started. Killed midway it goes on with
the next call: the tombstones come first, and what the rest is found by goes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from afterglow_store import audit, figures, saved_views, tombstones
from afterglow_store.engine import Store, erase_traces, overwrite_deleted
from afterglow_store.errors import NotFound
from afterglow_store.items import experiment_by_name
from afterglow_store.links import applications_of
from afterglow_store.retention import Counts, delete_of_application, delete_runs
from afterglow_store.schema import (
    application,
    application_conf,
    audit_entry,
    bad_line,
    experiment,
    job,
    run,
    snapshot,
    source,
    sql_execution,
    stage,
)
from afterglow_store.tombstones import EXPERIMENT, NOBODY, RUN, USER, Key

RUNS = 20  # in one transaction: what their applications say of each has to be looked through


@dataclass(frozen=True)
class Found:
    """What is to be erased. `run_ids`: children before their parents."""

    key: Key
    run_ids: Sequence[str]
    application_ids: Sequence[int]


def find(conn: sa.Connection, kind: str, name: str) -> Found:
    """What `forget` would erase of this run (its id), user (the name) or experiment (id or name). Raises NotFound; not
    for what was forgotten before, of which a call that was killed may have left something."""
    try:
        key = (kind, _id_of(conn, kind, name))
    except NotFound:
        if not tombstones.times(conn, [(kind, name)]):
            raise
        key = (kind, name)
    roots, applications = _roots(key), sa.select(application.c.id).where(application.c.user_name == name)
    family = sa.select(run.c.run_id, sa.literal(0).label("depth")).where(roots).cte("family", recursive=True)
    deeper = sa.select(run.c.run_id, family.c.depth + 1).where(run.c.parent_run_id == family.c.run_id)
    family = family.union(deeper.where(family.c.depth < _DEEPEST))
    below = sa.select(family.c.run_id).group_by(family.c.run_id).order_by(sa.func.max(family.c.depth).desc())
    found = Found(key, list(conn.scalars(below)), list(conn.scalars(applications)) if kind == USER else [])
    if kind == USER and not (found.run_ids or found.application_ids or tombstones.times(conn, [key])):
        raise NotFound(f"user {name} has no run and no application in the store")
    return found


_DEEPEST = 50  # parents that go round in a circle end here


def _id_of(conn: sa.Connection, kind: str, name: str) -> str:
    if kind == EXPERIMENT:
        return "/".join(experiment_by_name(conn, name))
    if kind == RUN:
        known = sa.or_(
            sa.exists(sa.select(run.c.id).where(run.c.run_id == name)),
            sa.exists(sa.select(snapshot.c.id).where(snapshot.c.item_id == name)),
        )
        if not conn.scalar(sa.select(known)):
            raise NotFound(f"run {name} is not in the store")
    return name


def _roots(key: Key) -> sa.ColumnElement[bool]:
    kind, id_ = key
    if kind == EXPERIMENT:
        return run.c.server + "/" + run.c.experiment_id == id_
    return (run.c.run_id if kind == RUN else run.c.user_name) == id_


def forget(store: Store, found: Found, *, who: str, now: int) -> tuple[Counts, bool]:
    """Erase it. What was deleted, and whether the database has let go of the bytes as well: on SQLite not before the
    last reader of an older state is done. The audit has that it was done, and not of what."""
    done, (kind, id_) = Counts(), found.key
    by = NOBODY if who == id_ else who
    with store.write() as conn:
        buried = {found.key, *((RUN, run_id) for run_id in found.run_ids)}
        tombstones.bury(conn, buried, time=now, who=by)
        entry = audit.begin(conn, who=by, time=now, action=audit.FORGET, run_id=audit.NO_RUN, asked={"kind": kind})
    run_ids = found.run_ids or ([id_] if kind == RUN else [])
    for first in range(0, len(run_ids), RUNS):
        with store.write() as conn:
            _forget_runs(conn, run_ids[first : first + RUNS], done)
    for application_id in found.application_ids:
        gone = False
        while not gone:
            with store.write() as conn:
                overwrite_deleted(conn)
                gone = delete_of_application(conn, application_id, done)
    with store.write() as conn:
        overwrite_deleted(conn)
        if kind == EXPERIMENT:
            same = experiment.c.server + "/" + experiment.c.experiment_id == id_
            done.experiments += conn.execute(sa.delete(experiment).where(same)).rowcount
        if kind == USER:
            by_them = sa.or_(audit_entry.c.who == id_, audit_entry.c.who.startswith(f"{id_} ", autoescape=True))
            conn.execute(sa.update(audit_entry).where(by_them).values(who=NOBODY))
            saved_views.forget(conn, id_)
        audit.finish(conn, entry, action=audit.FORGET, before={}, after={"kind": kind, **asdict(done)})
    return done, erase_traces(store)


def _forget_runs(conn: sa.Connection, run_ids: Sequence[str], done: Counts) -> None:
    overwrite_deleted(conn)
    of_jobs = sa.select(job.c.application_id).where(job.c.run_id.in_(run_ids)).distinct()
    applications = {*applications_of(conn, run_ids), *conn.scalars(of_jobs)}
    for run_id in run_ids:
        _erase_mentions(conn, run_id, applications)
    conn.execute(sa.delete(audit_entry).where(audit_entry.c.run_id.in_(run_ids)))
    of_them = sa.select(source.c.id).where(source.c.application_id.in_(applications))
    conn.execute(sa.delete(bad_line).where(bad_line.c.source_id.in_(of_them)))
    delete_runs(conn, run_ids, done)
    figures.refresh_applications(conn, applications)


# Where Spark's side may name a run: in a job's tags and descriptions, in a plan, in an error.
_TEXTS = {
    application: ("status_reason", "driver_error", "context_error"),
    application_conf: ("spark_properties",),
    job: ("description", "job_group", "tags", "error"),
    stage: ("name", "error"),
    sql_execution: ("description", "plan", "error", "inputs", "outputs"),
}


def _erase_mentions(conn: sa.Connection, run_id: str, application_ids: set[int]) -> None:
    """The jobs stay, as jobs that served no run that is known."""
    for table in (job, sql_execution):
        conn.execute(sa.update(table).where(table.c.run_id == run_id).values(run_id=None))
    for table, names in _TEXTS.items():
        of_them = (table.c.id if table is application else table.c.application_id).in_(application_ids)
        for name in names:
            text = sa.type_coerce(table.c[name], sa.Text)
            named = sa.and_(of_them, text.contains(run_id, autoescape=True))
            conn.execute(sa.update(table).where(named).values({name: sa.func.replace(text, run_id, NOBODY)}))
