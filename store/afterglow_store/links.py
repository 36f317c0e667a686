"""Links: which run belongs to which application, and how we know."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from afterglow_store.engine import upsert
from afterglow_store.schema import application, link, owner, run

# The stronger the evidence, the later: a link keeps the strongest that it was given.
INFERRED = "inferred"  # suggested, and accepted by a person
SOURCES = (INFERRED, "job-tag", "tag", "executor", "client", "resumed")
_Link = tuple[str, int, str, int]  # run id, application, source, and when (ms) it was first seen
APP_ID_TAG = "spark.app.id"
APP_START_TAG = "spark.app.startTime"
TASK_TAG = "spark.task.attempt.id"
SAID_TAG = "afterglow.linked"  # who said it, where a person did


def add_links(conn: sa.Connection, application_id: int, runs: Mapping[str, tuple[str, int]]) -> None:
    """Tie runs to an application: `runs` gives each run id its link source and the time (ms) it was first seen."""
    _add(conn, [(run_id, application_id, source, time) for run_id, (source, time) in runs.items()])


def _add(conn: sa.Connection, links: Collection[_Link]) -> None:
    if not links:
        return
    of_these = sa.select(link).where(link.c.run_id.in_({run_id for run_id, *_ in links}))
    known = {(row.run_id, row.application_id): row.source for row in conn.execute(of_these)}
    columns = ("run_id", "application_id", "source", "first_seen")
    better = [
        dict(zip(columns, each, strict=True))
        for each in links
        if each[:2] not in known or SOURCES.index(each[2]) > SOURCES.index(known[each[:2]])
    ]
    upsert(conn, link, better)


def add_owner(conn: sa.Connection, source_id: int, run_ids: Collection[str]) -> None:
    """Note that these runs were made or active in the process whose journal `source_id` is. A driver whose JVM died
    has two: the listener's until then, and one of its own."""
    upsert(conn, owner, [{"run_id": run_id, "source_id": source_id} for run_id in sorted(run_ids)])


def note_ends(conn: sa.Connection, source_id: int, ends: Mapping[str, tuple[int, bool]]) -> None:
    """Note when (ms) runs ended in the process that owns them, and whether only because its interpreter exited."""
    told = [{"which": run_id, "time": time, "at_exit": at_exit} for run_id, (time, at_exit) in sorted(ends.items())]
    if told:
        of_it = sa.and_(owner.c.run_id == sa.bindparam("which"), owner.c.source_id == source_id)
        values: dict[str, Any] = {"end_time": sa.bindparam("time"), "ended_at_exit": sa.bindparam("at_exit")}
        conn.execute(sa.update(owner).where(of_it).values(values), told)


def link_by_tags(conn: sa.Connection, runs: Collection[tuple[str, Mapping[str, str], int]]) -> None:
    """Tie runs to the applications that their tags name, where the store has these. Each run: its id, its tags, and
    when (ms) it started."""
    named = {tags[APP_ID_TAG] for _, tags, _ in runs if APP_ID_TAG in tags}
    if not named:
        return
    a = application.c
    started: dict[str, list[tuple[int, int]]] = {}
    for row in conn.execute(sa.select(a.app_id, a.start_time, a.id).where(a.app_id.in_(named)).order_by(a.start_time)):
        started.setdefault(row.app_id, []).append((row.start_time, row.id))
    found = [
        (run_id, application_id, source_of(tags), time)
        for run_id, tags, time in runs
        if (application_id := _named_by(tags, time, started.get(tags.get(APP_ID_TAG, ""), []))) is not None
    ]
    _add(conn, found)


def _named_by(tags: Mapping[str, str], time: int, started: list[tuple[int, int]]) -> int | None:
    """Of the applications of the id in the tags, by their start, the one that is meant."""
    start = tags.get(APP_START_TAG, "")
    if start.isdigit():
        return next((id_ for began, id_ in started if began == int(start)), None)
    # A foreign tag without the start: the attempt of that id which had begun by then.
    return next((id_ for began, id_ in reversed(started) if began <= time), None)


def link_waiting_runs(conn: sa.Connection, application_ids: Collection[int]) -> list[str]:
    """Tie the runs that came into the store before the applications which their tags name."""
    a, r = application.c, run.c
    already = sa.select(link.c.run_id).where(link.c.application_id == a.id, link.c.run_id == r.run_id)
    waiting = (
        sa.select(a.id, a.start_time, r.run_id, r.start_time.label("run_start"), r.tags)
        .join_from(application, run, r.app_id_tag == a.app_id)
        .where(
            a.id.in_(application_ids),
            sa.or_(r.app_start_tag == a.start_time, sa.and_(r.app_start_tag.is_(None), r.start_time >= a.start_time)),
            ~already.exists(),
        )
    )
    found = [
        (row.run_id, row.id, source_of(row.tags or {}), row.run_start or row.start_time)
        for row in conn.execute(waiting)
    ]
    _add(conn, found)
    return [run_id for run_id, *_ in found]


def remove_inferred(conn: sa.Connection, application_id: int, run_id: str) -> None:
    """Take back a link that a person made. One that has been seen otherwise since stays."""
    of_it = sa.and_(link.c.application_id == application_id, link.c.run_id == run_id, link.c.source == INFERRED)
    conn.execute(sa.delete(link).where(of_it))


def source_of(tags: Mapping[str, str]) -> str:
    """How a run came by its tags: a person who links it says so, the hook in an executor adds which task it was."""
    if SAID_TAG in tags:
        return INFERRED
    return "executor" if TASK_TAG in tags else "tag"


def applications_of(conn: sa.Connection, run_ids: Collection[str]) -> list[int]:
    """The row ids of the applications that any of these runs belongs to."""
    if not run_ids:
        return []
    return list(conn.scalars(sa.select(link.c.application_id).where(link.c.run_id.in_(run_ids)).distinct()))
