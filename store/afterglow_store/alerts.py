"""Alerts: what happened that a rule asks for, kept once for each place where it is to be told, and what became of that.

An event is one row a rule and place under a unique key: however many servers note it, and however often, it is told
once. Only who is killed between telling it and noting that leaves it to be told again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from afterglow_store.engine import Store, database_time, upsert
from afterglow_store.filters import parse
from afterglow_store.leases import listeners
from afterglow_store.schema import alert, alert_rule, application, experiment, link, run, tracking_server
from afterglow_store.search.conditions import At, holds
from afterglow_store.status import LOST, ORPHANED, RUNNING

WAITING, SENDING, SENT, GIVEN_UP = "waiting", "sending", "sent", "given up"
LATE_MS = 3_600_000  # what is known later than this after it happened, as by a backfill, is of the past
LONGEST_MS = 7 * 86_400_000  # and so is this, however long nobody could know
CLAIM_MS = 120_000  # who tells it and is killed: another one may after so long
FIRST_PAUSE_MS, MOST_PAUSE_MS = 10_000, 3_600_000  # between two attempts
ATTEMPTS = 12  # the last one about five hours after the first
KEPT_MS = 30 * 86_400_000
MOST = 1_000  # events at a time

Row = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """`key` tells it from all others of its rule; `time` in ms; `text`: what, where and why, the what first."""

    key: str
    time: int
    text: str


@dataclass(frozen=True)
class Message:
    """What is to be told at one place at once: the rows of `alert`, oldest first."""

    rule: str
    target: str
    rows: list[Row]


# -- since when a rule is watched ------------------------------------------------------------------------------------


def fresh_from(store: Store, rule: str, *, now: int, servers: Collection[str], late_ms: int = LATE_MS) -> int:
    """What happened before this (ms) is of the past for a rule. A rule that is new begins `now`; later it is an hour
    before all that happened was known the last time, so that nothing is lost while no server was up, or a tracking
    server (of those named) did not answer."""
    with store.append() as conn:
        upsert(conn, alert_rule, [{"name": rule, "since": now, "known_until": now}], keep=True)
        row = conn.execute(sa.select(alert_rule).where(alert_rule.c.name == rule)).one()
        reached = max(row.known_until, min(now, *_known_until(conn, servers, row.known_until)))
        conn.execute(sa.update(alert_rule).where(alert_rule.c.name == rule).values(known_until=reached))
    return max(int(row.since), now - LONGEST_MS, int(row.known_until) - late_ms)


def _known_until(conn: sa.Connection, servers: Collection[str], before: int) -> list[int]:
    t = tracking_server.c
    synced = sa.select(t.last_sync_time).where(t.name.in_(servers), t.loaded_time.is_not(None))
    looked = [row["looked"] for row in listeners(conn)]
    return [before if each is None else each for each in (before + LONGEST_MS, *looked, *conn.scalars(synced))]


# -- what happened ---------------------------------------------------------------------------------------------------


def runs(conn: sa.Connection, rule: str, status: str, *, since: int, filter: str, now: int) -> list[Row]:
    """Runs of an effective status that came to it after `since` (ms) and are not noted for the rule: run_id, name,
    server, experiment, status_reason, metrics and `time`. Of RUNNING ones the time is `now`. Raises BadFilter."""
    r = run.c
    time: sa.ColumnElement[Any] = r.end_time
    if status == RUNNING:
        time = sa.literal(now)
    elif status == ORPHANED:  # MLflow knows no end of it
        a = application.c
        heard = sa.select(sa.func.max(a.last_event_time)).join(link, link.c.application_id == a.id)
        time = sa.func.coalesce(heard.where(link.c.run_id == r.run_id).scalar_subquery(), r.start_time)
    columns = (r.run_id, r.name, r.server, r.status_reason, r.metrics, experiment.c.name.label("experiment"))
    of_it = sa.and_(experiment.c.server == r.server, experiment.c.experiment_id == r.experiment_id)
    # Not by the index of the status, where the time has one: millions have FINISHED, and few of them just now.
    of_status = r.effective_status if time is not r.end_time else sa.func.coalesce(r.effective_status, "")
    conditions = [of_status == status, time >= since, ~_noted(rule, r.run_id)]
    if condition := parse(filter, "runs", now=now):
        conditions.append(holds(condition, At(r.id, r.start_time, in_row=True)))
    found = sa.select(*columns, time.label("time")).select_from(run.outerjoin(experiment, of_it)).where(*conditions)
    return _rows(conn, found)


def applications(conn: sa.Connection, rule: str, statuses: Sequence[str], *, since: int) -> list[Row]:
    """As `runs`, of applications: id, app_id, name, start_time, end_time, status_reason, and `time`."""
    a = application.c
    time = a.last_event_time if list(statuses) == [LOST] else a.end_time
    noted = _noted(rule, sa.cast(a.id, sa.Text))
    columns = (a.id, a.app_id, a.name, a.start_time, a.end_time, a.status_reason, time.label("time"))
    return _rows(conn, sa.select(*columns).where(a.status.in_(statuses), time >= since, ~noted))


def unreachable_servers(conn: sa.Connection, rule: str, *, names: Collection[str], before: int) -> list[Row]:
    """Those tracking servers that have not answered since `before` (ms): name, uri, last_error, and the `key` of this
    time."""
    t = tracking_server.c
    key = t.name + ":" + sa.cast(sa.func.coalesce(t.last_sync_time, 0), sa.Text)
    silent = sa.and_(t.name.in_(names), t.last_error.is_not(None), sa.func.coalesce(t.last_sync_time, 0) < before)
    columns = (t.name, t.uri, t.last_error, t.last_error_time.label("time"), key.label("key"))
    return _rows(conn, sa.select(*columns).where(silent, ~_noted(rule, key)))


def _noted(rule: str, event: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    there = sa.select(alert.c.id).where(alert.c.rule == rule, alert.c.event == event)
    return there.correlate_except(alert).exists()


def _rows(conn: sa.Connection, select: sa.Select[Any]) -> list[Row]:
    return [dict(row._mapping) for row in conn.execute(select.limit(MOST))]


def note(store: Store, rule: str, targets: Sequence[str], events: Sequence[Event], *, now: int) -> None:
    """Keep the events for all places; those that are kept stay as they are."""
    rows = [
        {
            "rule": rule, "event": event.key, "target": target, "time": event.time, "noted_time": now,
            "text": event.text, "state": WAITING, "attempts": 0, "next_time": now,
        }
        for event in events for target in targets
    ]  # fmt: skip
    if rows:
        with store.append() as conn:
            upsert(conn, alert, rows, key=("rule", "event", "target"), keep=True)


# -- telling it ------------------------------------------------------------------------------------------------------


def claim(store: Store, quiet_ms: Mapping[str, int], *, now: int) -> list[Message]:
    """Take what is due of these rules: nobody else has it for two minutes. What happens within `quiet_ms` of a rule's
    last message at a place waits for the end of that, and is then one message."""
    a = alert.c
    due = sa.and_(a.state.in_((WAITING, SENDING)), a.next_time <= now, a.rule.in_(quiet_ms))
    with store.append() as conn:
        latest = _last_sent(conn, now - max(quiet_ms.values(), default=0))
        places = conn.execute(sa.select(a.rule, a.target).where(due).distinct().order_by(a.rule, a.target)).all()
        ready = [each for each in places if latest.get((each.rule, each.target), 0) <= now - quiet_ms[each.rule]]
        claimed = [_claim(conn, rule, target, due, now) for rule, target in ready]
    return [message for message in claimed if message.rows]


def _claim(conn: sa.Connection, rule: str, target: str, due: sa.ColumnElement[bool], now: int) -> Message:
    a = alert.c
    taken = {"state": SENDING, "next_time": now + CLAIM_MS, "attempts": a.attempts + 1}
    update = sa.update(alert).where(due, a.rule == rule, a.target == target).values(taken).returning(alert)
    rows = [dict(row._mapping) for row in conn.execute(update)]
    return Message(rule, target, sorted(rows, key=lambda row: (row["time"], row["id"])))


def _last_sent(conn: sa.Connection, since: int) -> dict[tuple[str, str], int]:
    a = alert.c
    found = sa.select(a.rule, a.target, sa.func.max(a.sent_time).label("sent")).where(a.sent_time >= since)
    return {(row.rule, row.target): row.sent for row in conn.execute(found.group_by(a.rule, a.target))}


def told(store: Store, message: Message, *, now: int, error: str | None = None) -> None:
    """It was told, or could not be: then it is tried again, later each time, and given up in the end."""
    with store.append() as conn:
        for row in message.rows:
            values: Row = {"state": SENT, "sent_time": now, "error": None} if error is None else _again(row, error, now)
            mine = sa.and_(alert.c.id == row["id"], alert.c.state == SENDING, alert.c.attempts == row["attempts"])
            conn.execute(sa.update(alert).where(mine).values(values))


def _again(row: Row, error: str, now: int) -> Row:
    pause = min(MOST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (row["attempts"] - 1))
    state = GIVEN_UP if row["attempts"] >= ATTEMPTS else WAITING
    return {"state": state, "next_time": now + pause, "error": error}


def latest(conn: sa.Connection, *, limit: int) -> list[Row]:
    """The columns of `alert`, the newest first."""
    return [dict(row._mapping) for row in conn.execute(sa.select(alert).order_by(alert.c.id.desc()).limit(limit))]


def drop_old(store: Store) -> int:
    """Forget alerts that were noted a month ago: how many."""
    with store.append() as conn:
        before = database_time(conn) - KEPT_MS
        return conn.execute(sa.delete(alert).where(alert.c.noted_time < before)).rowcount
