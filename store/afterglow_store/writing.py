"""From what stretches of journals and logs change to rows, and to all that hangs on these rows.

Of several applications at once: what is asked and said of a hundred takes hardly longer than of one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa

from afterglow_store import figures, snapshots, tombstones, tracking
from afterglow_store.applications import refresh_counts, reweigh_stages
from afterglow_store.batch import Batch, RunEvent, write_rows
from afterglow_store.engine import among
from afterglow_store.items import known_run_details
from afterglow_store.leave_out import leave_out_forgotten
from afterglow_store.links import add_links, add_owner, link_waiting_runs, note_ends
from afterglow_store.old_sql import fail_by_jobs
from afterglow_store.runs import Origin, refresh_sums, take_in_runs
from afterglow_store.schema import application, application_conf, job, link, stage
from afterglow_store.snapshots import APPLICATION_END, RUN_END, Taken
from afterglow_store.status import decide_applications, decide_runs, revive, runs_of
from afterglow_store.task_sums import add_tasks, close_accounts

_CHUNK = 500  # runs at a time: their details are in memory
_AHEAD_MS = 300_000  # of `now`, the beginning of a pass: what was written meanwhile is not of a wrong clock


def write(conn: sa.Connection, batches: Sequence[Batch], now: int) -> None:
    """Batches of different applications, or one after the other of the same, as they are known at `now` (ms)."""
    applications = {batch.application_id for batch in batches}
    forgotten = tombstones.any_(conn)
    for batch in batches:
        add_tasks(conn, batch)
        if forgotten:
            leave_out_forgotten(conn, batch)
    write_rows(conn, batches)
    close_accounts(conn, batches)
    fail_by_jobs(conn, batches)
    if grown := {batch.application_id for batch in batches if batch.of_log and not batch.is_new}:
        revive(conn, grown)
    if configured := {batch.application_id for batch in batches if application_conf in batch.rows and not batch.is_new}:
        reweigh_stages(conn, configured)
    touched = {run_id for batch in batches for run_id in _take_in_runs(conn, batch, now)}
    touched |= set(link_waiting_runs(conn, applications))
    jobs = _touched_jobs(conn, batches)
    figures.refresh_jobs(conn, jobs)
    figures.refresh_applications(conn, applications)
    decide_applications(conn, applications)
    refresh_sums(conn, touched | _runs_of_jobs(conn, jobs))
    exited = {batch.application_id for batch in batches if "driver_outcome" in (batch.application | batch.client)}
    decide_runs(conn, runs_of(conn, applications, exited))
    refresh_counts(conn, applications)
    _snapshot_items(conn, batches)


def _take_in_runs(conn: sa.Connection, batch: Batch, now: int) -> set[str]:
    """The run events of a batch: rows, links, snapshots. Returns the runs that are touched."""
    for events in _told_together(batch.runs):
        _take_in_events(conn, batch.application_id, events, now)
    links = {run_id: ("job-tag", time) for run_id, time in batch.job_tag_runs.items()}
    for event in batch.runs:
        if event.run_id not in links or links[event.run_id][0] == "job-tag":
            links[event.run_id] = (event.source, event.as_of)
    add_links(conn, batch.application_id, links)
    add_owner(conn, batch.source_id, {event.run_id for event in batch.runs if event.owns})
    note_ends(
        conn, batch.source_id, {event.run_id: (event.as_of, event.at_exit) for event in batch.runs if event.ended}
    )
    return set(links)


def _told_together(events: Sequence[RunEvent]) -> Iterator[list[RunEvent]]:
    """Those with details, some of different runs at a time: what comes first of a run is among the first of them."""
    told: Counter[str] = Counter()
    together: dict[tuple[int, str, bool], list[RunEvent]] = defaultdict(list)
    for event in events:
        if event.details is not None:
            run_id = event.details["run_id"]
            together[told[run_id], event.tracking_uri, event.ended].append(event)
            told[run_id] += 1
    return (together[each] for each in sorted(together))


def _take_in_events(conn: sa.Connection, application_id: int, events: Sequence[RunEvent], now: int) -> None:
    """Of one tracking URI, and all of ends, or none. What a driver whose clock is ahead was told, it was told by now:
    it would be newer than all that sync reads for as long."""
    uri, told = events[0].tracking_uri, [(each.details, each.as_of) for each in events if each.details is not None]
    times = {details["run_id"]: as_of if as_of <= now + _AHEAD_MS else now for details, as_of in told}
    servers = tracking.servers_of(conn, list(times), uri)
    for server in sorted(set(servers.values())):
        there = [details for details, _ in told if servers[details["run_id"]] == server]
        origin = Origin(server, uri, now, application_id, times)
        take_in_runs(conn, there, origin, cause=RUN_END if events[0].ended else None)


def _touched_jobs(conn: sa.Connection, batches: Sequence[Batch]) -> dict[int, set[int]]:
    """Of each application the jobs with news of their own, or of a stage that an earlier stretch gave them."""
    found: dict[int, set[int]] = {}
    for batch in batches:
        mine = found.setdefault(batch.application_id, set())
        mine |= {key[0] for key in batch.rows.get(job, {})}
        stages = set() if batch.is_new else {key[0] for key in batch.rows.get(stage, {})}
        if stages:
            of_stages = sa.select(stage.c.job_id).where(
                stage.c.application_id == batch.application_id,
                among(conn, stage.c.stage_id, stages),
                stage.c.job_id.is_not(None),
            )
            mine |= set(conn.scalars(of_stages))
    return found


def _runs_of_jobs(conn: sa.Connection, jobs: Mapping[int, set[int]]) -> set[str]:
    job_ids = set().union(*jobs.values())
    of_jobs = sa.select(job.c.application_id, job.c.job_id, job.c.run_id).where(
        job.c.application_id.in_(jobs), among(conn, job.c.job_id, job_ids), job.c.run_id.is_not(None)
    )
    return {row.run_id for row in conn.execute(of_jobs) if row.job_id in jobs[row.application_id]} if job_ids else set()


def _snapshot_items(conn: sa.Connection, batches: Sequence[Batch]) -> None:
    """Keep every run of the applications as they left it. The hook reads a run's details after its end, off the job's
    thread: where that comes after the application's end, the run's snapshot is made again."""
    runs = {(batch.application_id, event.run_id) for batch in batches for event in batch.runs if event.ended}
    over = {batch.application_id for batch in batches if batch.ended_time is not None}
    linked = sa.select(link.c.application_id, link.c.run_id).where(link.c.application_id.in_(over))
    runs |= {(row.application_id, row.run_id) for row in conn.execute(linked)} if over else set()
    of = {application_id for application_id, _ in runs}
    times = sa.select(application.c.id, application.c.spark_end_time).where(application.c.id.in_(of))
    ended = {row.id: row.spark_end_time for row in conn.execute(times)} if of else {}
    left = sorted(each for each in runs if ended.get(each[0]) is not None)
    for at in range(0, len(left), _CHUNK):
        _snapshot(conn, left[at : at + _CHUNK], ended)


def _snapshot(conn: sa.Connection, runs: Sequence[tuple[int, str]], ended: Mapping[int, int]) -> None:
    known = known_run_details(conn, sorted({run_id for _, run_id in runs}))
    taken = [
        Taken("run", run_id, known[run_id], ended[application_id], APPLICATION_END, application_id)
        for application_id, run_id in runs
        if run_id in known
    ]
    snapshots.take_all(conn, taken)
