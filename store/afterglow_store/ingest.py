"""Ingest: from (source, offset) to rows, in one transaction that also stores the new offset.

Killed anywhere, it repeats nothing and misses nothing. It takes journals and plain Spark event logs alike.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from afterglow_store import figures, snapshots, tombstones, tracking
from afterglow_store.applications import (
    ApplicationKey,
    find_or_add,
    refresh_counts,
    reweigh_stages,
)
from afterglow_store.batch import Batch, RunEvent, open_batch, write_rows
from afterglow_store.engine import Store
from afterglow_store.errors import SourceRefused
from afterglow_store.events import HANDLERS, Event
from afterglow_store.items import run_details
from afterglow_store.leave_out import leave_out_forgotten
from afterglow_store.links import add_links, add_owner, link_waiting_runs, note_ends
from afterglow_store.redact import redact_text
from afterglow_store.runs import refresh_sums, take_in_run
from afterglow_store.schema import application, application_conf, job, link, source, stage
from afterglow_store.status import decide_application, decide_runs, runs_of

logger = logging.getLogger(__name__)

CHUNK_BYTES = 4 << 20  # a transaction's worth: large enough to be quick, small enough not to hold others up
MAX_LINE_BYTES = 64 << 20
MAX_HEAD_BYTES = 16 << 20  # by here an application has told its name, or the file is none of ours


@dataclass(frozen=True)
class Ingested:
    """What one call took in."""

    lines: int = 0
    bad_lines: int = 0
    bytes: int = 0

    def __add__(self, other: Ingested) -> Ingested:
        return Ingested(self.lines + other.lines, self.bad_lines + other.bad_lines, self.bytes + other.bytes)


def ingest_file(store: Store, path: Path, *, now: int) -> Ingested:
    """Take in all complete lines of a journal or event log that are not in the store yet.

    Raises SourceRefused when the file has shrunk, when it does not say which application it is of, or when a line is
    longer than 64 MiB. What was taken in before stays.
    """
    total = Ingested()
    for part in _ingest_chunks(store, path, now):
        total += part
    return total


def _ingest_chunks(store: Store, path: Path, now: int) -> Iterator[Ingested]:
    while True:
        position, application_id = _known(store, path, now)
        data = _read_lines(path, position, start=application_id is None)
        if not data:
            return
        part = _ingest_chunk(store, path, position, data, now)
        if part is None:
            return
        yield part


def _known(store: Store, path: Path, now: int) -> tuple[int, int | None]:
    """How far this file was read, and its application. Adds the source on first sight."""
    where = source.c.path == str(path)
    columns = sa.select(source.c.position, source.c.application_id).where(where)
    with store.read() as conn:
        known = conn.execute(columns).one_or_none()
    if known is None:
        with store.write() as conn:
            if conn.execute(columns).one_or_none() is None:
                conn.execute(sa.insert(source).values(path=str(path), updated_time=now))
        return 0, None
    return known.position, known.application_id


def _read_lines(path: Path, position: int, *, start: bool) -> bytes:
    """The complete lines from `position` on, about CHUNK_BYTES of them; more at the start, where the application
    tells its name only after its configuration."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < position:
            raise SourceRefused(f"{path} has shrunk to {size} bytes, {position} of it were read before")
        file.seek(position)
        want = CHUNK_BYTES
        data = file.read(want)
        while b"\n" not in data[-CHUNK_BYTES:] or (start and not _names_application(data)):
            more = file.read(want)
            if not more:
                break
            data += more
            _refuse_endless(path, position, data, start)
    return data[: data.rfind(b"\n") + 1]


def _refuse_endless(path: Path, position: int, data: bytes, start: bool) -> None:
    if len(data) > MAX_LINE_BYTES:
        raise SourceRefused(f"{path}: a line at byte {position} is longer than {MAX_LINE_BYTES >> 20} MiB")
    if start and len(data) > MAX_HEAD_BYTES and not _names_application(data):
        raise SourceRefused(
            f"{path}: no SparkListenerApplicationStart in its first {MAX_HEAD_BYTES >> 20} MiB, "
            "so it is not the start of a Spark event log or journal"
        )


def _names_application(data: bytes) -> bool:
    return b"SparkListenerApplicationStart" in data or (b'"AfterglowJournalStart"' in data and b'"App ID"' in data)


def _ingest_chunk(store: Store, path: Path, position: int, data: bytes, now: int) -> Ingested | None:
    """Take in `data`, which begins at `position`. None when nothing can be done yet, or another one did it."""
    events, bad = _parse(data)
    with store.write() as conn:
        if not _advance(conn, path, position, position + len(data), len(events), bad, now):
            return None
        origin = conn.execute(sa.select(source.c.id, source.c.application_id).where(source.c.path == str(path))).one()
        if origin.application_id is None and _of_forgotten_user(conn, events):
            return Ingested(len(events), bad, len(data))
        if origin.application_id is None and _identify(conn, path, events) is None:
            conn.rollback()  # it has not said its name yet: take nothing, and come back
            return None
        _apply(conn, open_batch(conn, origin.id), events)
    return Ingested(len(events), bad, len(data))


def _advance(conn: sa.Connection, path: Path, old: int, new: int, lines: int, bad: int, now: int) -> bool:
    """Compare and set the offset. First in the transaction: the row's lock keeps a second ingest waiting, and then
    sends it away."""
    moved = conn.execute(
        sa.update(source)
        .where(source.c.path == str(path), source.c.position == old)
        .values(
            position=new,
            lines=source.c.lines + lines,
            bad_lines=source.c.bad_lines + bad,
            updated_time=now,
        )
    )
    return moved.rowcount == 1


def _parse(data: bytes) -> tuple[list[Event], int]:
    events, bad = [], 0
    if b"\\u0000" in data:  # PostgreSQL stores no NUL in a text
        data = data.replace(b"\\u0000", b"")
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            bad += 1
            continue
        if isinstance(event, dict) and isinstance(event.get("Event"), str):
            events.append(event)
        else:
            bad += 1
    return events, bad


def _of_forgotten_user(conn: sa.Connection, events: list[Event]) -> bool:
    """Whether these lines begin an application of a user who was forgotten after it began: they count as read."""
    by_name = {event["Event"]: event for event in reversed(events)}
    said = by_name.get("AfterglowJournalStart", {}).get("Application") or _application_of(by_name) or {}
    user = said.get("User")
    when = tombstones.times(conn, [(tombstones.USER, user)]).get((tombstones.USER, user)) if user else None
    return when is not None and said["Start Time"] <= when


def _identify(conn: sa.Connection, path: Path, events: list[Event]) -> int | None:
    """The application that a file's first lines name; its row, and the source's pointer to it."""
    by_name = {event["Event"]: event for event in reversed(events)}
    head = by_name.get("AfterglowJournalStart", {})
    said = head.get("Application") or _application_of(by_name)
    if said is None:
        return None
    key = ApplicationKey(
        said["App ID"], said.get("App Attempt") or "", said["Start Time"], said.get("Driver Host") or ""
    )
    application_id = find_or_add(
        conn,
        key,
        name=said.get("App Name") and redact_text(said["App Name"]),
        user_name=said.get("User"),
        master=said.get("Master"),
        spark_version=said.get("Spark Version"),
    )
    conn.execute(
        sa.update(source)
        .where(source.c.path == str(path))
        .values(
            application_id=application_id,
            instance=head.get("Instance"),
            connect_session=head.get("Connect Session"),
            beat_ms=head.get("Heartbeat Interval"),
            writer=head.get("Writer") or "spark",
        )
    )
    return application_id


def _application_of(by_name: dict[str, Event]) -> dict[str, Any] | None:
    start = by_name.get("SparkListenerApplicationStart")
    if start is None:
        return None
    properties = by_name.get("SparkListenerEnvironmentUpdate", {}).get("Spark Properties") or {}
    properties = dict(properties)
    return {
        "App ID": start.get("App ID") or properties.get("spark.app.id") or "",
        "App Attempt": start.get("App Attempt ID"),
        "App Name": start.get("App Name"),
        "Start Time": start["Timestamp"],
        "User": start.get("User"),
        "Master": properties.get("spark.master"),
        "Driver Host": properties.get("spark.driver.host"),
        "Spark Version": by_name.get("SparkListenerLogStart", {}).get("Spark Version"),
    }


def _apply(conn: sa.Connection, batch: Batch, events: list[Event]) -> None:
    application_id = batch.application_id
    for event in events:
        handler = HANDLERS.get(event["Event"])
        if handler is None:
            continue
        try:
            handler(batch, event)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            logger.warning("%s of application %s left out: %r", event["Event"], application_id, exc)
    leave_out_forgotten(conn, batch)
    write_rows(conn, batch)
    if application_conf in batch.rows:
        reweigh_stages(conn, application_id, batch.task_cpus)
    touched = _take_in_runs(conn, batch)
    jobs = _touched_jobs(conn, batch)
    figures.refresh_jobs(conn, application_id, jobs)
    figures.refresh_application(conn, application_id)
    decide_application(conn, application_id)
    refresh_sums(conn, touched | _runs_of_jobs(conn, application_id, jobs))
    exited = "driver_outcome" in (batch.application | batch.client)
    decide_runs(conn, runs_of(conn, application_id, all_of_them=exited))
    refresh_counts(conn, application_id)
    _snapshot_items(conn, batch)


def _take_in_runs(conn: sa.Connection, batch: Batch) -> set[str]:
    """The run events of a batch: rows, links, snapshots. Returns the runs that are touched."""
    links = {run_id: ("job-tag", time) for run_id, time in batch.job_tag_runs.items()}
    for event in batch.runs:
        _take_in_event(conn, batch, event)
        if event.run_id not in links or links[event.run_id][0] == "job-tag":
            links[event.run_id] = (event.source, event.as_of)
    add_links(conn, batch.application_id, links)
    add_owner(conn, batch.source_id, {event.run_id for event in batch.runs if event.owns})
    note_ends(
        conn, batch.source_id, {event.run_id: (event.as_of, event.at_exit) for event in batch.runs if event.ended}
    )
    return set(links) | set(link_waiting_runs(conn, batch.application_id))


def _take_in_event(conn: sa.Connection, batch: Batch, event: RunEvent) -> None:
    if event.details is None:
        return
    take_in_run(
        conn,
        event.details,
        server=tracking.server_of(conn, event.run_id, event.tracking_uri),
        tracking_uri=event.tracking_uri,
        as_of=event.as_of,
        cause=snapshots.RUN_END if event.ended else None,
        application_id=batch.application_id,
    )


def _touched_jobs(conn: sa.Connection, batch: Batch) -> set[int]:
    """Jobs with news of their own, or of a stage that an earlier stretch of the journal gave them."""
    jobs = {key[0] for key in batch.rows.get(job, {})}
    stages = {key[0] for key in batch.rows.get(stage, {})}
    of_stages = sa.select(stage.c.job_id).where(
        stage.c.application_id == batch.application_id,
        stage.c.stage_id.in_(stages),
        stage.c.job_id.is_not(None),
    )
    return jobs | (set(conn.scalars(of_stages)) if stages else set())


def _runs_of_jobs(conn: sa.Connection, application_id: int, jobs: set[int]) -> set[str]:
    of_jobs = sa.select(job.c.run_id).where(
        job.c.application_id == application_id, job.c.job_id.in_(jobs), job.c.run_id.is_not(None)
    )
    return set(conn.scalars(of_jobs.distinct())) if jobs else set()


def _snapshot_items(conn: sa.Connection, batch: Batch) -> None:
    """Keep every run of the application as the application left it. The hook reads a run's details after its end, off
    the job's thread: where that comes after the application's end, the run's snapshot is made again."""
    application_id = batch.application_id
    ended = conn.scalar(sa.select(application.c.spark_end_time).where(application.c.id == application_id))
    if ended is None:
        return
    runs = {event.run_id for event in batch.runs if event.ended}
    if batch.ended_time is not None:
        runs |= set(conn.scalars(sa.select(link.c.run_id).where(link.c.application_id == application_id)))
    for run_id in sorted(runs):
        details = run_details(conn, run_id)
        if details is not None:
            snapshots.take(
                conn,
                "run",
                run_id,
                details,
                time=ended,
                cause=snapshots.APPLICATION_END,
                application_id=application_id,
            )
