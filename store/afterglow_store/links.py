"""Links: which run belongs to which application, and how we know."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from afterglow_store.engine import upsert
from afterglow_store.schema import application, link, owner, run

# The stronger the evidence, the later: a link keeps the strongest that it was given.
SOURCES = ("inferred", "job-tag", "tag", "executor", "client", "resumed")
APP_ID_TAG = "spark.app.id"
APP_START_TAG = "spark.app.startTime"
TASK_TAG = "spark.task.attempt.id"


def add_links(conn: sa.Connection, application_id: int, runs: Mapping[str, tuple[str, int]]) -> None:
    """Tie runs to an application: `runs` gives each run id its link source and the time (ms) it was first seen."""
    if not runs:
        return
    of_these = sa.select(link.c.run_id, link.c.source).where(
        link.c.application_id == application_id, link.c.run_id.in_(runs)
    )
    known: dict[str, str] = {row.run_id: row.source for row in conn.execute(of_these)}
    new = [
        {"run_id": run_id, "application_id": application_id, "source": source, "first_seen": time}
        for run_id, (source, time) in runs.items()
        if run_id not in known
    ]
    stronger = [
        {"run_id": run_id, "application_id": application_id, "source": source, "first_seen": time}
        for run_id, (source, time) in runs.items()
        if run_id in known and SOURCES.index(source) > SOURCES.index(known[run_id])
    ]
    upsert(conn, link, new)
    upsert(conn, link, stronger)


def add_owner(conn: sa.Connection, source_id: int, run_ids: Collection[str]) -> None:
    """Note that these runs were made or active in the process whose journal `source_id` is. A driver whose JVM died
    has two: the listener's until then, and one of its own."""
    upsert(conn, owner, [{"run_id": run_id, "source_id": source_id} for run_id in sorted(run_ids)])


def note_ends(conn: sa.Connection, source_id: int, ends: Mapping[str, tuple[int, bool]]) -> None:
    """Note when (ms) runs ended in the process that owns them, and whether only because its interpreter exited."""
    for run_id, (time, at_exit) in sorted(ends.items()):
        of_it = sa.and_(owner.c.run_id == run_id, owner.c.source_id == source_id)
        conn.execute(sa.update(owner).where(of_it).values(end_time=time, ended_at_exit=at_exit))


def link_by_tags(conn: sa.Connection, run_id: str, tags: Mapping[str, str], time: int) -> None:
    """Tie a run to the application that its tags name, if the store has it. `time` (ms): when the run started."""
    app_id, start = tags.get(APP_ID_TAG), tags.get(APP_START_TAG)
    if app_id is None:
        return
    named = sa.select(application.c.id).where(application.c.app_id == app_id)
    if start is not None and start.isdigit():
        named = named.where(application.c.start_time == int(start))
    else:  # a foreign tag without the start: the attempt of that id which had begun by then
        named = named.where(application.c.start_time <= time)
    found = conn.scalar(named.order_by(application.c.start_time.desc()).limit(1))
    if found is not None:
        add_links(conn, found, {run_id: (source_of(tags), time)})


def link_waiting_runs(conn: sa.Connection, application_id: int) -> list[str]:
    """Tie the runs that came into the store before the application which their tags name."""
    app = conn.execute(
        sa.select(application.c.app_id, application.c.start_time).where(application.c.id == application_id)
    ).one()
    already = sa.select(link.c.run_id).where(link.c.application_id == application_id)
    waiting = sa.select(run.c.run_id, run.c.start_time, run.c.tags).where(
        run.c.app_id_tag == app.app_id,
        sa.or_(
            run.c.app_start_tag == app.start_time,
            sa.and_(run.c.app_start_tag.is_(None), run.c.start_time >= app.start_time),
        ),
        run.c.run_id.not_in(already),
    )
    found = {run_id: (source_of(tags or {}), start or app.start_time) for run_id, start, tags in conn.execute(waiting)}
    add_links(conn, application_id, found)
    return list(found)


def source_of(tags: Mapping[str, str]) -> str:
    """How a run came by its tags: the hook in an executor adds which task it was."""
    return "executor" if TASK_TAG in tags else "tag"


def applications_of(conn: sa.Connection, run_ids: Collection[str]) -> list[int]:
    """The row ids of the applications that any of these runs belongs to."""
    return list(conn.scalars(sa.select(link.c.application_id).where(link.c.run_id.in_(run_ids)).distinct()))
