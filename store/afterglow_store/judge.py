"""The judge: counts the silence of drivers and Connect clients, and has their statuses decided anew.

It is reversible throughout: any later line of a journal that was given up takes the verdict back (ingest does that).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import sqlalchemy as sa

from afterglow_store.batch import BEATING
from afterglow_store.schema import application, owner, source
from afterglow_store.status import (
    BEATS,
    ENDED,
    FAILED,
    RUNNING,
    decide_application,
    decide_applications,
    decide_runs,
    runs_of,
)

BEAT_MS = 10_000  # where a journal does not say how often it beats
CHUNK = 500  # bound values in one statement
LOG_GRACE_MS = 86_400_000  # an event log says nothing while its driver idles, or, in an object store, until its end
PATIENCE = 3  # beats: where they are so rare that this is longer than the grace, it takes the grace's place


def judge(conn: sa.Connection, *, now: int, server_started: int, grace_ms: int) -> int:
    """Two missed beats warn, a silence longer than the grace decides. How many applications and runs it changed.

    All times are of the server's clock: a driver's may be wrong. Nobody is silent for longer than the server listens,
    so a server that was down gives up nobody for it.
    """
    _close_the_unheard(conn)
    changed, at_stake = give_up_silent_logs(conn, now=now), set[str]()
    for row in list(_open_applications(conn)):
        silence = now - max(row.heard, server_started)
        beat_ms = row.beat_ms or BEAT_MS
        warned = silence if row.status == RUNNING and silence > 2 * beat_ms else None
        gone = silence > max(grace_ms, PATIENCE * beat_ms)
        if (warned, gone) == (row.silent_ms, bool(row.gone)):
            continue
        values = {"silent_ms": warned, "gone": gone}
        conn.execute(sa.update(application).where(application.c.id == row.id).values(**values))
        changed += decide_application(conn, row.id)
        at_stake |= runs_of(conn, [row.id])
    at_stake |= _runs_of_silent_clients(conn, now=now, server_started=server_started, grace_ms=grace_ms)
    return changed + decide_runs(conn, at_stake)


def give_up_silent_logs(conn: sa.Connection, *, now: int) -> int:
    """Applications of which there is only an event log are lost once that has not grown for a day (`now`: ms). How many
    applications and runs it changed. Taken back when the log goes on."""
    a, s = application.c, source.c
    latest = sa.select(sa.func.max(s.updated_time)).where(s.application_id == a.id).scalar_subquery()
    beats = sa.select(s.id).where(s.application_id == a.id, s.writer.in_(BEATING))
    silent = sa.and_(a.status == RUNNING, a.gone.is_not(True), latest < now - LOG_GRACE_MS, ~beats.exists())
    ids = list(conn.scalars(sa.select(a.id).where(silent)))
    if not ids:
        return 0
    conn.execute(sa.update(application).where(a.id.in_(ids)).values(gone=True))
    return decide_applications(conn, ids) + decide_runs(conn, runs_of(conn, ids))


def _close_the_unheard(conn: sa.Connection) -> None:
    """Over, and nothing beat for them, as those of a backfilled event log: not to be looked at again and again."""
    a = application.c
    heard = sa.select(source.c.id).where(source.c.application_id == a.id, BEATS)
    which = sa.and_(a.status == ENDED, a.gone.is_not(True), ~heard.exists())
    conn.execute(sa.update(application).where(which).values(gone=True))


class Open(NamedTuple):
    """An application that runs, or that is over and whose driver may live on. `heard`: when, in ms."""

    id: int
    status: str
    silent_ms: int | None
    gone: bool | None
    heard: int
    beat_ms: int | None


def _open_applications(conn: sa.Connection) -> Iterator[Open]:
    """Of those only the ones that beat. One whose context died lives on as long as its driver has no outcome."""
    a, s = application.c, source.c
    columns = (a.id, a.status, a.silent_ms, a.gone)
    there = sa.select(*columns).where(a.status.in_((RUNNING, ENDED)), a.gone.is_not(True))
    outlived = sa.select(*columns).where(a.status == FAILED, a.driver_outcome.is_(None), a.gone.is_not(True))
    found = {row.id: row for row in conn.execute(sa.union_all(there, outlived))}
    # Apart from that: joined, SQLite begins with all sources.
    latest = (sa.func.max(s.updated_time).label("heard"), sa.func.max(s.beat_ms).label("beat_ms"))
    heard = sa.select(s.application_id, *latest).where(BEATS).group_by(s.application_id)
    ids = sorted(found)
    for first in range(0, len(ids), CHUNK):
        for row in conn.execute(heard.where(s.application_id.in_(ids[first : first + CHUNK]))):
            app = found[row.application_id]
            yield Open(app.id, app.status, app.silent_ms, app.gone, row.heard, row.beat_ms)


def _runs_of_silent_clients(conn: sa.Connection, *, now: int, server_started: int, grace_ms: int) -> set[str]:
    s = source.c
    beats = PATIENCE * sa.func.coalesce(s.beat_ms, BEAT_MS)
    patience = sa.case((beats > grace_ms, beats), else_=grace_ms)
    heard = sa.case((s.updated_time > server_started, s.updated_time), else_=server_started)
    of_client = s.connect_session > ""  # unlike IS NOT NULL, SQLite looks that up in the index
    silent = sa.and_(of_client, s.gone.is_not(True), heard + patience < now)
    ids = list(conn.scalars(sa.update(source).where(silent).values(gone=True).returning(s.id)))
    return set(conn.scalars(sa.select(owner.c.run_id).where(owner.c.source_id.in_(ids)))) if ids else set()
