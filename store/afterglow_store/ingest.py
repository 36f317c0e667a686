"""Ingest: from (source, offset) to rows, in one transaction that also stores the new offset.

Killed anywhere, it repeats nothing and misses nothing. It takes journals and plain Spark event logs alike.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError

from afterglow_store import figures, snapshots, tombstones, tracking
from afterglow_store.applications import (
    ApplicationKey,
    find_or_add,
    refresh_counts,
    reweigh_stages,
)
from afterglow_store.bad_lines import KEPT_BYTES, BadLine, keep_bad_lines
from afterglow_store.batch import Batch, RunEvent, open_batch, write_rows
from afterglow_store.engine import Store
from afterglow_store.errors import SourceRefused, SourceShrunk
from afterglow_store.event_logs import EventLog, LogFile, plain_name
from afterglow_store.events import HANDLERS, Event, as_pairs
from afterglow_store.items import run_details
from afterglow_store.leave_out import leave_out_forgotten
from afterglow_store.lines import Stretch, read_lines
from afterglow_store.links import add_links, add_owner, link_waiting_runs, note_ends
from afterglow_store.received import delete_chunks, refuse_journal
from afterglow_store.redact import redact_text
from afterglow_store.runs import refresh_sums, take_in_run
from afterglow_store.schema import application, application_conf, job, link, received_journal, source, stage
from afterglow_store.sources import FileSource, LineSource, ReceivedSource
from afterglow_store.status import decide_application, decide_runs, runs_of

logger = logging.getLogger(__name__)

Line = tuple[int, Event]  # and where in the source it begins


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

    Raises SourceRefused when the file has shrunk, or when it does not say which application it is of. What was taken in
    before stays. A line that is longer than 64 MiB is left out, and counted.
    """
    return _ingest(store, FileSource(path), now)


def ingest_received(store: Store, journal: str, *, now: int) -> Ingested:
    """Take in what the collector received of a journal; its chunks are deleted in the same transaction. Of what turns
    out to be no journal nothing is kept: that raises SourceRefused, once. Lines longer than 8 MiB are left out."""
    try:
        return _ingest(store, ReceivedSource(store, journal), now)
    except SourceRefused as exc:
        refuse_journal(store, journal, str(exc))
        raise


def ingest_event_log(
    store: Store, log: EventLog, *, now: int, progress: Callable[[int], None] = lambda passed: None
) -> Ingested:
    """Take in what is new in a Spark event log, its files one after the other. After each transaction `progress` is
    told how many of the log's bytes on disk are behind.

    Raises SourceRefused, in its form BrokenLog where a file is damaged. What was taken in before stays.
    """
    total, passed, first = Ingested(), 0, plain_name(log.parts[0])
    for part in log.parts:
        file = LogFile(part, continues=None if part == log.parts[0] else first)
        total += _ingest_log_file(store, file, now, partial(_tell, progress, passed))
        passed += file.size
        progress(passed)
    return total


def _tell(progress: Callable[[int], None], before: int, in_file: int) -> None:
    progress(before + in_file)


def _ingest_log_file(store: Store, file: LogFile, now: int, progress: Callable[[int], None]) -> Ingested:
    size = file.size
    of_file = source.c.path == file.name
    with store.read() as conn:
        if conn.scalar(sa.select(source.c.file_bytes).where(of_file)) == size:
            return Ingested()
    done = _ingest(store, file, now, lambda: progress(file.passed))
    with store.write() as conn:
        conn.execute(sa.update(source).where(of_file).values(file_bytes=size))
    return done


def _ingest(store: Store, lines_of: LineSource, now: int, progress: Callable[[], None] = lambda: None) -> Ingested:
    total = Ingested()
    while True:
        known = _known(store, lines_of, now)
        try:
            stretch = read_lines(lines_of, known.position, head=known.is_new, in_long_line=bool(known.in_long_line))
        except SourceShrunk:
            if known.received < known.position:
                raise
            return total  # a copy that is behind what the collector received
        part = _ingest_stretch(store, lines_of, known, stretch, now) if stretch is not None else None
        if part is None:
            return total
        total += part
        progress()


@dataclass(frozen=True)
class _Known:
    """What the store knows of a source."""

    id: int
    position: int
    application_id: int | None
    in_long_line: bool | None
    bad_lines: int
    received: int  # bytes of it that the collector has

    @property
    def is_new(self) -> bool:
        return self.application_id is None and self.position == 0


def _known(store: Store, lines_of: LineSource, now: int) -> _Known:
    """Adds the source on first sight. A journal is known by its name, wherever it is read."""
    with store.read() as conn:
        known = _find(conn, lines_of)
    if known is None:
        with store.write() as conn:
            if _find(conn, lines_of) is None:
                values: dict[str, Any] = {"path": lines_of.name, "journal": lines_of.journal, "updated_time": now}
                if lines_of.continues is not None:
                    first = sa.select(source.c.application_id).where(source.c.path == lines_of.continues)
                    values |= {"application_id": first.scalar_subquery(), "writer": "spark"}
                conn.execute(sa.insert(source).values(values))
            known = _find(conn, lines_of)
    assert known is not None  # noqa: S101 - for the type checker
    return known


def _find(conn: sa.Connection, lines_of: LineSource) -> _Known | None:
    same = source.c.path == lines_of.name
    if lines_of.journal is not None:
        same = sa.or_(same, source.c.journal == lines_of.journal)
    received = sa.select(received_journal.c.position).where(received_journal.c.journal == source.c.journal)
    columns = (source.c.id, source.c.position, source.c.application_id, source.c.in_long_line, source.c.bad_lines)
    found = conn.execute(
        sa.select(*columns, sa.func.coalesce(received.scalar_subquery(), 0).label("received"))
        .where(same)
        .order_by(source.c.journal.is_(None))  # a copy that was met before journals had names
    ).first()
    return None if found is None else _Known(**found._mapping)


def _ingest_stretch(store: Store, lines_of: LineSource, known: _Known, stretch: Stretch, now: int) -> Ingested | None:
    """None when nothing can be done yet, or another one did it."""
    lines, bad = _parse(stretch)
    events = [event for _, event in lines]
    with store.write() as conn:
        if not _advance(conn, known, stretch, events, now):
            return None
        if lines_of.journal is not None and known.received:
            delete_chunks(conn, lines_of.journal, until=stretch.end)
        if known.is_new and not _named(conn, known.id, lines_of, events):
            conn.rollback()  # it has not said its name yet: take nothing, and come back
            return None
        if conn.scalar(sa.select(source.c.application_id).where(source.c.id == known.id)) is None:
            return Ingested(bytes=stretch.end - stretch.start)  # pruned or forgotten: it counts as read
        of_use = [line for line in lines if line[1]["Event"] in HANDLERS]
        left_out = _apply_or_leave_out(conn, known.id, of_use) if of_use else []
        done = Ingested(len(lines) - len(left_out), len(bad) + len(left_out), stretch.end - stretch.start)
        _count(conn, known.id, done)
        keep_bad_lines(conn, known.id, bad + left_out, known=known.bad_lines)
    return done


def _named(conn: sa.Connection, source_id: int, lines_of: LineSource, events: list[Event]) -> bool:
    """Whether these lines say of which application they are. Raises SourceRefused where nobody can read that."""
    try:
        with conn.begin_nested():
            return _of_forgotten_user(conn, events) or _identify(conn, source_id, events) is not None
    except _CONNECTION_LOST:
        raise
    except Exception as exc:
        raise SourceRefused(f"{lines_of.name}: what it says of its application cannot be read: {exc!r}") from exc


_CONNECTION_LOST = (OperationalError, InterfaceError)


def _apply_or_leave_out(conn: sa.Connection, source_id: int, lines: list[Line]) -> list[BadLine]:
    """Make rows of the events. Those of which that cannot be done, since a value is of another kind than it has to be,
    are found by halves and left out: whatever one of them breaks in the rows, it costs no other event."""
    try:
        with conn.begin_nested():
            return _apply(conn, open_batch(conn, source_id), lines)
    except _CONNECTION_LOST:
        raise
    except Exception as exc:  # noqa: BLE001 - what a value of the wrong kind raises is up to where it is used first
        if len(lines) > 1:
            half = len(lines) // 2
            parts = (lines[:half], lines[half:])
            return [bad for part in parts for bad in _apply_or_leave_out(conn, source_id, part)]
        return [_left_out(*lines[0], exc)]


def _left_out(position: int, event: Event, why: Exception) -> BadLine:
    logger.warning("%s at byte %d left out: %.300r", event["Event"], position, why)
    text = orjson.dumps(event)
    return BadLine(position, len(text), text)


def _advance(conn: sa.Connection, known: _Known, stretch: Stretch, events: list[Event], now: int) -> bool:
    """Compare and set the offset. First in the transaction: the row's lock keeps a second ingest waiting, and then
    sends it away."""
    values = {
        "position": stretch.end,
        "in_long_line": stretch.in_long_line or None,
        "updated_time": now,
    }
    if events and isinstance(seq := events[-1].get("Seq"), int):
        values["last_seq"] = seq
    same = sa.and_(source.c.id == known.id, source.c.position == known.position)
    return conn.execute(sa.update(source).where(same).values(values)).rowcount == 1


def _count(conn: sa.Connection, source_id: int, done: Ingested) -> None:
    counts = {"lines": source.c.lines + done.lines, "bad_lines": source.c.bad_lines + done.bad_lines}
    conn.execute(sa.update(source).where(source.c.id == source_id).values(counts))


def _parse(stretch: Stretch) -> tuple[list[Line], list[BadLine]]:
    lines: list[Line] = []
    bad = [BadLine(stretch.start, stretch.end - stretch.start, stretch.too_long)] if stretch.too_long else []
    data, position = stretch.lines, stretch.start
    has_nul = b"\\u0000" in data  # PostgreSQL stores no NUL in a text
    for line in data.split(b"\n"):
        event = _event(line.replace(b"\\u0000", b"") if has_nul else line)
        if event is not None:
            lines.append((position, event))
        elif line.strip():
            bad.append(BadLine(position, len(line), line[:KEPT_BYTES]))
        position += len(line) + 1
    return lines, bad


# Most of an event log is about single tasks, of which nothing here is kept: such a line is known by how it begins.
_TASK_LINES = (b'{"Event":"SparkListenerTaskStart"', b'{"Event":"SparkListenerTaskEnd"')
_OF_A_TASK: Event = {"Event": "SparkListenerTaskEnd"}


def _event(line: bytes) -> Event | None:
    if line.startswith(_TASK_LINES):
        return _OF_A_TASK
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("Event"), str) else None


def _of_forgotten_user(conn: sa.Connection, events: list[Event]) -> bool:
    """Whether these lines begin an application of a user who was forgotten after it began: they count as read."""
    by_name = _head(events)
    said = by_name.get("AfterglowJournalStart", {}).get("Application") or _application_of(by_name) or {}
    user = said.get("User")
    when = tombstones.times(conn, [(tombstones.USER, user)]).get((tombstones.USER, user)) if user else None
    return when is not None and said["Start Time"] <= when


def _head(events: list[Event]) -> dict[str, Event]:
    """The first of each name, of those that tell what they have to."""
    return {event["Event"]: event for event in reversed(events) if _tells(event)}


def _tells(event: Event) -> bool:
    match event:
        case {"Event": "AfterglowJournalStart", "Application": {"App ID": str(), "Start Time": int()}}:
            return True
        case {"Event": "AfterglowJournalStart"}:
            return "Application" not in event and isinstance(event.get("Heartbeat Interval", 0), int)
        case {"Event": "SparkListenerEnvironmentUpdate"}:
            return isinstance(event.get("Spark Properties"), dict | list)
        case {"Event": "SparkListenerApplicationStart"}:
            return isinstance(event.get("Timestamp"), int)
    return True


def _identify(conn: sa.Connection, source_id: int, events: list[Event]) -> int | None:
    """The application that a file's first lines name; its row, and the source's pointer to it."""
    by_name = _head(events)
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
        .where(source.c.id == source_id)
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
    properties = as_pairs(by_name.get("SparkListenerEnvironmentUpdate", {}).get("Spark Properties"))
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


def _apply(conn: sa.Connection, batch: Batch, lines: list[Line]) -> list[BadLine]:
    """Returns the events that do not say what they have to."""
    bad = []
    for position, event in lines:
        handler = HANDLERS.get(event["Event"])
        if handler is None:
            continue
        try:
            handler(batch, event)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            bad.append(_left_out(position, event, exc))
    _write(conn, batch)
    return bad


def _write(conn: sa.Connection, batch: Batch) -> None:
    application_id = batch.application_id
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
