"""Snapshots: the details of an item at one moment, never changed, each content kept once."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from afterglow_store.engine import upsert
from afterglow_store.errors import NotFound
from afterglow_store.schema import application, experiment, link, run, snapshot, snapshot_content
from afterglow_store.search.deadline import deadline
from afterglow_store.search.listing import Key, page
from afterglow_store.search.query import Page, Query
from afterglow_store.windows import within

RUN_END, APPLICATION_END, SYNC = "run end", "application end", "sync"

PAUSE_MS = 60_000  # between two snapshots of a run for `sync`


def content_hash(details: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(details)).hexdigest()


@dataclass(frozen=True)
class Taken:
    """The details of an item at a moment (ms)."""

    item_type: str
    item_id: str
    details: dict[str, Any]
    time: int
    cause: str
    application_id: int | None = None

    @property
    def key(self) -> tuple[str, str, int, str]:
        return self.item_type, self.item_id, self.time, self.cause


def take(
    conn: sa.Connection,
    item_type: str,
    item_id: str,
    details: dict[str, Any],
    *,
    time: int,
    cause: str,
    application_id: int | None = None,
) -> None:
    """As `take_all`, of one."""
    take_all(conn, [Taken(item_type, item_id, details, time, cause, application_id)])


def take_all(conn: sa.Connection, taken: Sequence[Taken]) -> None:
    """Keep these. The same snapshot twice is one; what is learnt later of the same moment takes its place."""
    if not taken:
        return
    hashes = {each.key: content_hash(each.details) for each in taken}
    contents = {hashes[each.key]: each.details for each in taken}
    rows = [{"content_hash": digest, "content": zlib.compress(_canonical(it))} for digest, it in contents.items()]
    upsert(conn, snapshot_content, rows)
    s, latest = snapshot.c, {each.key: each for each in taken}
    same = (s.item_id.in_({each.item_id for each in taken}), s.taken_time.in_({each.time for each in taken}))
    known = conn.execute(sa.select(s.item_type, s.item_id, s.taken_time, s.cause, s.id).where(*same))
    there = {key: id_ for *of, id_ in known if (key := tuple(of)) in latest}
    if there:
        changed = [{"which": id_, "content_hash": hashes[key]} for key, id_ in there.items()]
        conn.execute(_CHANGED, changed)
    new = [
        {"item_type": each.item_type, "item_id": each.item_id, "taken_time": each.time, "cause": each.cause,
         "application_id": each.application_id, "content_hash": hashes[key]}
        for key, each in latest.items() if key not in there
    ]  # fmt: skip
    if new:
        conn.execute(sa.insert(snapshot), new)


_CHANGED = (
    sa.update(snapshot).where(snapshot.c.id == sa.bindparam("which")).values(content_hash=sa.bindparam("content_hash"))
)


def last_hash(conn: sa.Connection, item_type: str, item_id: str) -> str | None:
    newest = (
        sa.select(snapshot.c.content_hash)
        .where(snapshot.c.item_type == item_type, snapshot.c.item_id == item_id)
        .order_by(snapshot.c.taken_time.desc(), snapshot.c.id.desc())
        .limit(1)
    )
    return conn.scalar(newest)


def last_time(conn: sa.Connection, item_type: str, item_id: str, cause: str) -> int | None:
    """When (ms) the newest snapshot of this cause was taken."""
    of_it = sa.and_(snapshot.c.item_type == item_type, snapshot.c.item_id == item_id, snapshot.c.cause == cause)
    newest: int | None = conn.scalar(sa.select(sa.func.max(snapshot.c.taken_time)).where(of_it))
    return newest


def snapshots_of(conn: sa.Connection, item_type: str, item_id: str) -> list[dict[str, Any]]:
    """The snapshots of an item without their content, newest first: id, taken_time (ms), cause, application_id."""
    rows = conn.execute(
        sa.select(snapshot)
        .where(snapshot.c.item_type == item_type, snapshot.c.item_id == item_id)
        .order_by(snapshot.c.taken_time.desc(), snapshot.c.id.desc())
    )
    return [dict(row._mapping) for row in rows]


def content(conn: sa.Connection, snapshot_id: int) -> dict[str, Any]:
    """What the item was at that moment. Raises NotFound."""
    found = conn.scalar(
        sa.select(snapshot_content.c.content)
        .join(snapshot, snapshot.c.content_hash == snapshot_content.c.content_hash)
        .where(snapshot.c.id == snapshot_id)
    )
    if found is None:
        raise NotFound(f"snapshot {snapshot_id} is not in the store")
    return dict(orjson.loads(zlib.decompress(found)))


def at_end_of(conn: sa.Connection, application_id: int) -> dict[str, dict[str, Any]]:
    """The snapshots that were taken when the application ended, by run id: id, taken_time (ms) and `content`."""
    s = snapshot.c
    rows = conn.execute(
        sa.select(s.item_id, s.id, s.taken_time, snapshot_content.c.content)
        .join(snapshot_content, snapshot_content.c.content_hash == s.content_hash)
        .where(s.application_id == application_id, s.item_type == "run", s.cause == APPLICATION_END)
        .order_by(s.taken_time, s.id)
    )
    return {
        run_id: {"id": id_, "taken_time": taken, "content": orjson.loads(zlib.decompress(held))}
        for run_id, id_, taken, held in rows
    }


@dataclass(frozen=True)
class Of:
    """Whose snapshots to list: those of a run, of all runs of an experiment (server, experiment id), those that an
    application has left, or all of the runs that are linked to one."""

    run_id: str | None = None
    experiment: tuple[str, str] | None = None
    application_id: int | None = None
    linked_to: int | None = None


def listed(conn: sa.Connection, of: Of, *, limit: int = 100, offset: int = 0) -> list[dict[str, Any]]:
    """The rows of `search_snapshots`."""
    return search_snapshots(conn, of, Query(limit=limit, offset=offset, count=False)).rows


def search_snapshots(conn: sa.Connection, of: Of, query: Query) -> Page:
    """Snapshots without their content, newest first: id, run_id, run_name, experiment, taken_time (ms), cause, app_id,
    application_id, content_hash and content_bytes, as they are stored. Of the query the window of `taken_time`,
    `limit`, `offset` and `after` count. Raises BadPage and TooSlow."""
    s, named = (
        snapshot.c,
        sa.and_(experiment.c.server == run.c.server, experiment.c.experiment_id == run.c.experiment_id),
    )
    select = (
        sa.select(
            s.id, s.item_id.label("run_id"), run.c.name.label("run_name"), experiment.c.name.label("experiment"),
            s.taken_time, s.cause, application.c.app_id, s.application_id, s.content_hash,
            sa.func.length(snapshot_content.c.content).label("content_bytes"),
        )
        .select_from(
            snapshot.join(snapshot_content, snapshot_content.c.content_hash == s.content_hash)
            .outerjoin(run, run.c.run_id == s.item_id)
            .outerjoin(experiment, named)
            .outerjoin(application, application.c.id == s.application_id)
        )
        .where(s.item_type == "run", *_which(of), *within(s.taken_time, query.window))
    )  # fmt: skip
    with deadline(conn):
        return page(conn, select, query, [Key(s.taken_time, True), Key(s.id, True)])


def _which(of: Of) -> list[sa.ColumnElement[bool]]:
    which = []
    if of.run_id is not None:
        which.append(snapshot.c.item_id == of.run_id)
    if of.application_id is not None:
        which.append(snapshot.c.application_id == of.application_id)
    if of.linked_to is not None:
        linked = sa.select(link.c.run_id).where(link.c.application_id == of.linked_to)
        which.append(snapshot.c.item_id.in_(linked))
    if of.experiment is not None:
        server, experiment_id = of.experiment
        runs = sa.select(run.c.run_id).where(run.c.server == server, run.c.experiment_id == experiment_id)
        which.append(snapshot.c.item_id.in_(runs))
    return which


def by_id(conn: sa.Connection, snapshot_id: int) -> dict[str, Any]:
    """One snapshot with its `content`: id, item_id, taken_time (ms), cause, application_id, content_hash. Raises
    NotFound."""
    held = content(conn, snapshot_id)
    row = conn.execute(sa.select(snapshot).where(snapshot.c.id == snapshot_id)).one()
    return {**row._mapping, "content": held}


def _canonical(details: dict[str, Any]) -> bytes:
    return orjson.dumps(details, option=orjson.OPT_SORT_KEYS)
