"""Who does which background job. Any number of processes may want to; each job is one's at a time, for a while.

A lease is for not doing the same work twice, not for the rows: whoever goes on a little after its lease has run out
finds its compare-and-set refused, or writes what is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from afterglow_store.engine import Store, database_time, upsert
from afterglow_store.schema import background_job

LEASE_MS = 15_000  # after a kill another process takes over after so long, and one renewal
FORSAKEN_MS = 600_000  # nobody has done it for so long: a server that was taken away
DROPPED_MS = 86_400_000

Row = dict[str, Any]


@dataclass(frozen=True)
class Note:
    """How a job goes, as its holder says; times in ms. `times` and `failures` are those since the last note."""

    title: str
    began_time: int | None = None
    took_ms: int | None = None
    times: int = 0
    failures: int = 0
    error: str | None = None
    error_time: int | None = None
    listens: bool = False
    looked: int | None = None
    first_looked: int | None = None


def renew(
    store: Store,
    notes: Mapping[str, Note],
    *,
    holder: str,
    host: str,
    lease_ms: int = LEASE_MS,
    is_gone: Callable[[str], bool] = lambda _: False,
) -> set[str]:
    """Take those of the jobs that nobody holds, and keep those that are `holder`'s, with a note of each. Returns those
    that are held now, for `lease_ms`. A holder that `is_gone` for certain is not waited for."""
    with store.append() as conn:
        now = database_time(conn)
        known = {
            row.name: row.holder for row in conn.execute(sa.select(background_job.c.name, background_job.c.holder))
        }
        upsert(conn, background_job, [_new(name, note) for name, note in sorted(notes.items()) if name not in known],
               keep=True)  # fmt: skip
        dead = {other for other in {known.get(name) for name in notes} - {None, holder} if other and is_gone(other)}
        mine = {"holder": holder, "host": host, "until": now + lease_ms}
        return {
            name for name, note in sorted(notes.items())  # in one order, so that two never wait for each other
            if _take(conn, name, mine | _said(note, known.get(name) == holder), now, known.get(name), dead)
        }  # fmt: skip


def _take(conn: sa.Connection, name: str, values: Row, now: int, seen: str | None, dead: set[str]) -> bool:
    j = background_job.c
    free = sa.or_(j.holder.is_(None), j.until < now, j.holder == values["holder"])
    if seen in dead:
        free = sa.or_(free, j.holder == seen)
    taken = sa.case((j.holder == values["holder"], j.taken_time), else_=now)
    update = sa.update(background_job).where(j.name == name, free).values(values | {"taken_time": taken})
    return conn.execute(update).rowcount == 1


def _new(name: str, note: Note) -> Row:
    return {"name": name, "title": note.title, "until": 0, "times": 0, "failures": 0, "listens": note.listens}


def _said(note: Note, held: bool) -> Row:
    """Who takes a job over knows nothing of how it went; how far it had looked is no longer so."""
    if not held:
        return {"looked": None, "first_looked": None}
    said = {key: value for key, value in asdict(note).items() if value is not None}
    j = background_job.c
    return said | {"times": j.times + note.times, "failures": j.failures + note.failures}


def release(store: Store, holder: str) -> None:
    """Give all jobs of a process back, so that the next one need not wait."""
    with store.append() as conn:
        of_it = background_job.c.holder == holder
        conn.execute(sa.update(background_job).where(of_it).values(holder=None, until=database_time(conn)))


def jobs(conn: sa.Connection) -> list[Row]:
    """All background jobs: the columns of `background_job`, and `held`: whether a process does it now."""
    now = database_time(conn)
    rows = conn.execute(sa.select(background_job).order_by(background_job.c.title, background_job.c.name))
    return [dict(row._mapping) | {"held": row.holder is not None and row.until >= now} for row in rows]


def last_beat(conn: sa.Connection) -> int | None:
    """How long ago (ms) a worker last said that it lives; None where none ever did. Held for longer by a lease."""
    latest = conn.scalar(sa.select(sa.func.max(background_job.c.until)).where(background_job.c.holder.is_not(None)))
    return None if latest is None else max(0, database_time(conn) - (latest - LEASE_MS))


def listeners(conn: sa.Connection) -> list[Row]:
    """`title`, `looked` and `first_looked` of what listens to journals, but for what nobody has done for long."""
    j = background_job.c
    there = sa.and_(j.listens, j.until > database_time(conn) - FORSAKEN_MS)
    return [dict(row._mapping) for row in conn.execute(sa.select(j.title, j.looked, j.first_looked).where(there))]


def drop_forsaken(store: Store) -> int:
    """Forget the jobs that nobody has done for a day; how many."""
    with store.write() as conn:
        before = database_time(conn) - DROPPED_MS
        return conn.execute(sa.delete(background_job).where(background_job.c.until < before)).rowcount
