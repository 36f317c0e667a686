"""The audit: who changed what through Afterglow, when, and what it was before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from afterglow_store.schema import application, audit_entry

SETTLE, UNDO = "settle", "undo settle"
LINK, UNLINK = "link", "undo link"
TAG, UNTAG = "tag", "undo tag"
REGISTER, CREATE = "register model", "create experiment"
CREATE_TOKEN, REVOKE_TOKEN = "create token", "revoke token"
PRUNE, FORGET, RESTORE = "prune", "forget", "restore a backup"
UNFINISHED = " (not finished)"  # behind the action of what was begun, until it is known what became of it

NO_RUN = ""  # the `run_id` of what is of no run

Row = dict[str, Any]


def record(conn: sa.Connection, *, who: str, time: int, action: str, run_id: str, before: Row, after: Row) -> None:
    """Keep one change of a run at `time` (ms)."""
    entry = {"who": who, "time": time, "action": action, "run_id": run_id, "before": before, "after": after}
    conn.execute(sa.insert(audit_entry).values(**entry))


def begin(conn: sa.Connection, *, who: str, time: int, action: str, run_id: str, asked: Row) -> int:
    """Keep that a change is begun, before anybody is asked for it: who is killed before he can say how it went, or gets
    no answer, has left this. The entry's id."""
    entry = {"who": who, "time": time, "action": action + UNFINISHED, "run_id": run_id, "after": {"asked": asked}}
    return int(conn.scalars(sa.insert(audit_entry).values(**entry, before={}).returning(audit_entry.c.id)).one())


def finish(conn: sa.Connection, entry: int, *, action: str, before: Row, after: Row) -> None:
    """It is done."""
    done = {"action": action, "before": before, "after": after}
    conn.execute(sa.update(audit_entry).where(audit_entry.c.id == entry).values(**done))


def refused(conn: sa.Connection, entry: int, why: str) -> None:
    """It was not, or not all of it."""
    of_it = audit_entry.c.id == entry
    asked = conn.scalar(sa.select(audit_entry.c.after).where(of_it)) or {}
    conn.execute(sa.update(audit_entry).where(of_it).values(after={**asked, "refused": why}))


def drop(conn: sa.Connection, entry: int) -> None:
    """There was nothing to change."""
    conn.execute(sa.delete(audit_entry).where(audit_entry.c.id == entry))


def entries(conn: sa.Connection, *actions: str, limit: int = 100) -> list[Row]:
    """The latest changes, of these `actions` if any are said, newest first: id, time (ms), who, action, run_id, before,
    after."""
    of_them = audit_entry.c.action.in_(actions) if actions else sa.true()
    rows = conn.execute(sa.select(audit_entry).where(of_them).order_by(audit_entry.c.id.desc()).limit(limit))
    return [dict(row._mapping) for row in rows]


def of_run(conn: sa.Connection, run_id: str, *actions: str, limit: int = 100) -> list[Row]:
    """As `entries`: the latest of these changes of a run."""
    which = sa.select(audit_entry).where(audit_entry.c.run_id == run_id, audit_entry.c.action.in_(actions))
    return [dict(row._mapping) for row in conn.execute(which.order_by(audit_entry.c.id.desc()).limit(limit))]


def last_of_run(conn: sa.Connection, run_id: str, *actions: str) -> Row | None:
    """The latest of these changes of a run."""
    return next(iter(of_run(conn, run_id, *actions, limit=1)), None)


def last_event_times(conn: sa.Connection, application_ids: Sequence[int]) -> list[int | None]:
    """When (ms, the drivers' clocks) each of these applications was last heard of."""
    of_them = application.c.id.in_(application_ids)
    return list(conn.scalars(sa.select(application.c.last_event_time).where(of_them)))
