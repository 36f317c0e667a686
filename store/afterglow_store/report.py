"""How Afterglow itself is: what waits, what was lost, who does what in the background."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from afterglow_store import leases, migrate, tracking
from afterglow_store.engine import bytes_of
from afterglow_store.schema import alert, application, journal_chunk, source

DAY_MS = 86_400_000

Row = dict[str, Any]


def report(conn: sa.Connection, *, now: int) -> Row:
    """`jobs` as leases.jobs has them, each that listens with its `lag_ms`; `servers` as tracking.servers; `chunks` that
    wait, and `chunk_bytes` of journals in them; of the applications that began within a day of `now` (ms) `lost_events`
    and `bad_lines`; `store_bytes`; `schema`; how many `alerts` there are in each state."""
    jobs = [each | {"lag_ms": _lag(each, now)} for each in leases.jobs(conn)]
    c = journal_chunk.c
    chunks, size = conn.execute(sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(c.end - c.start), 0))).one()
    return {
        "jobs": jobs,
        "servers": tracking.servers(conn),
        "chunks": int(chunks),
        "chunk_bytes": int(size),
        **_lost(conn, now),
        "store_bytes": bytes_of(conn),
        "schema": migrate.revision(conn),
        "alerts": _alerts(conn),
    }


def behind(conn: sa.Connection, *, now: int, late_ms: int) -> Row:
    """What keeps the store from being up to date at `now` (ms): whether `no_worker` is at work where one was, and the
    `servers`, as tracking.servers has them, that did not answer or were last read over `late_ms` ago."""
    held = [each["held"] for each in leases.jobs(conn)]
    return {
        "no_worker": bool(held) and not any(held),
        "servers": [each for each in tracking.servers(conn) if _is_late(each, now - late_ms)],
    }


def _is_late(server: Row, since: int) -> bool:
    read: int | None = server["last_sync_time"]
    loading = server["loaded_time"] is None  # that is shown by itself, and takes as long as it takes
    return server["last_error"] is not None or (not loading and read is not None and read < since)


def _lag(job: Row, now: int) -> int | None:
    """How long (ms) ago the last complete look at the journals began: what was written before is in the rows."""
    since = job["looked"] or job["taken_time"]
    return max(0, now - since) if job["listens"] and since else None


def _lost(conn: sa.Connection, now: int) -> Row:
    a, s = application.c, source.c
    lately = a.start_time >= now - DAY_MS
    lost = conn.scalar(sa.select(sa.func.coalesce(sa.func.sum(a.lost_events), 0)).where(lately))
    of_them = source.join(application, a.id == s.application_id)
    bad = sa.select(sa.func.coalesce(sa.func.sum(s.bad_lines), 0)).select_from(of_them).where(lately)
    return {"lost_events": int(lost or 0), "bad_lines": int(conn.scalar(bad) or 0)}


def _alerts(conn: sa.Connection) -> dict[str, int]:
    rows = conn.execute(sa.select(alert.c.state, sa.func.count()).group_by(alert.c.state))
    return {state: int(number) for state, number in rows}
