"""Ingest: from (source, offset) to rows, in one transaction that also stores the new offset.

Killed anywhere, it repeats nothing and misses nothing. It takes journals and plain Spark event logs alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError

from afterglow_store import tombstones
from afterglow_store.applications import (
    find_or_add,
)
from afterglow_store.bad_lines import BadLine, keep_bad_lines
from afterglow_store.batch import open_batch
from afterglow_store.engine import Store
from afterglow_store.errors import SourceRefused, SourceShrunk, SourceUnreadable
from afterglow_store.event_logs import EventLog, LogFile, Place, plain_name
from afterglow_store.event_logs.reading import START
from afterglow_store.events import Event
from afterglow_store.parsing import Parsed, application_of, facts_of, head, key_of, left_out, take_in
from afterglow_store.portions import Portion, read_portion
from afterglow_store.received import delete_chunks, refuse_journal
from afterglow_store.schema import received_journal, source
from afterglow_store.sources import FileSource, LineSource, ReceivedSource, readable
from afterglow_store.writing import write


@dataclass(frozen=True)
class Ingested:
    """What one call took in."""

    lines: int = 0
    bad_lines: int = 0
    bytes: int = 0
    unnamed: int = 0  # files left alone: they name no application, or not yet

    def __add__(self, other: Ingested) -> Ingested:
        mine, its = (dataclasses.astuple(each) for each in (self, other))
        return Ingested(*(a + b for a, b in zip(mine, its, strict=True)))


def ingest_file(store: Store, path: Path, *, now: int) -> Ingested:
    """Take in all complete lines of a journal or event log that are not in the store yet.

    Raises SourceRefused when the file has shrunk, or when it does not say which application it is of, and in its form
    SourceUnreadable when the system does not let us read it. What was taken in before stays. A line that is longer than
    64 MiB is left out, and counted.
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
    store: Store,
    log: EventLog,
    *,
    now: int,
    progress: Callable[[int], None] = lambda passed: None,
    with_tasks: bool = True,
) -> Ingested:
    """Take in what is new in a Spark event log, its files one after the other. After each transaction `progress` is
    told how many of the log's bytes on disk are behind. Unless `with_tasks`, the lines of single tasks are skipped.

    Raises SourceRefused, in its form BrokenLog where a file is damaged, and SourceUnreadable where the system does not
    let us read it. What was taken in before stays.
    """
    if log.fault:
        raise SourceUnreadable(f"{log.name} cannot be read: {log.fault}")
    total, passed = Ingested(), 0
    names = tuple(plain_name(part) for part in log.parts)
    for index, part in enumerate(log.parts):
        file, read_before = log_file(store, part, names[:index])
        if read_before != file.size:
            total += _ingest_log_file(store, file, now, partial(_tell, progress, passed), with_tasks=with_tasks)
        passed += file.size
        progress(passed)
    return total


def _tell(progress: Callable[[int], None], before: int, in_file: int) -> None:
    progress(before + in_file)


def log_file(store: Store, part: Place, earlier: tuple[str, ...]) -> tuple[LogFile, int | None]:
    """And how large it was when all in it had been read."""
    s = source.c
    known = sa.select(s.file_bytes, s.resume_packed, s.resume_plain).where(s.path == plain_name(part))
    with store.read() as conn:
        found = conn.execute(known).one_or_none()
    with readable(plain_name(part)):
        if found is None or found.resume_packed is None:
            return LogFile(part, earlier=earlier), found and found.file_bytes
        return LogFile(part, earlier=earlier, resume=(found.resume_packed, found.resume_plain)), found.file_bytes


def _ingest_log_file(
    store: Store, file: LogFile, now: int, progress: Callable[[int], None], *, with_tasks: bool
) -> Ingested:
    done = _ingest(store, file, now, lambda: progress(file.passed), with_tasks=with_tasks)
    if done.unnamed:  # to be told again
        return done
    if (known := find_source(store, file)) is not None:
        mark_read(store, file.name, read_so_far(file, known.position))
    return done


def mark_read(store: Store, name: str, read: dict[str, int | None]) -> None:
    """That all in a file is read, so that it is not opened again."""
    with store.write() as conn:
        conn.execute(sa.update(source).where(source.c.path == name).values(read))


def read_so_far(file: LogFile, position: int) -> dict[str, int | None]:
    """What a source's row says of a file that was read to its end; `position`: of its last whole line."""
    mark = file.mark_at(position)
    packed, plain = (None, None) if mark == START or file.is_plain else mark
    return {"file_bytes": file.size, "resume_packed": packed, "resume_plain": plain}


def _ingest(
    store: Store, of: LineSource, now: int, progress: Callable[[], None] = lambda: None, *, with_tasks: bool = True
) -> Ingested:
    total = Ingested()
    while True:
        known = known_source(store, of, now)
        try:
            with readable(of.name):
                portion = read_portion(
                    of, known.position, head=known.is_new, in_long_line=bool(known.in_long_line), with_tasks=with_tasks
                )
        except SourceShrunk:
            if known.received < known.position:
                raise
            return total  # a copy that is behind what the collector received
        part = take_in_portion(store, of, known, portion, now) if portion is not None else None
        if portion is None or part is None:
            return total if portion is None or known.position else Ingested(unnamed=1)
        total += part
        progress()
        if portion.refused is not None:
            raise portion.refused
        if portion.at_end:
            return total


@dataclass(frozen=True)
class Known:
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


def known_source(store: Store, lines_of: LineSource, now: int) -> Known:
    """Adds the source on first sight. A journal is known by its name, wherever it is read."""
    known = find_source(store, lines_of)
    if known is None:
        with store.write() as conn:
            if _find(conn, lines_of) is None:
                values: dict[str, Any] = {"path": lines_of.name, "journal": lines_of.journal}
                values |= {"updated_time": lines_of.written or now}
                if lines_of.earlier:
                    first = sa.select(source.c.application_id).where(source.c.path == lines_of.earlier[0])
                    values |= {"application_id": first.scalar_subquery(), "writer": "spark"}
                conn.execute(sa.insert(source).values(values))
            known = _find(conn, lines_of)
    assert known is not None  # noqa: S101 - for the type checker
    return known


def find_source(store: Store, of: LineSource) -> Known | None:
    with store.read() as conn:
        return _find(conn, of)


def _find(conn: sa.Connection, lines_of: LineSource) -> Known | None:
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
    return None if found is None else Known(**found._mapping)


def take_in_portion(store: Store, of: LineSource, known: Known, portion: Portion, now: int) -> Ingested | None:
    """None when nothing can be done yet, or another one did it."""
    parsed, length = portion.parsed, portion.end - portion.start
    with store.write() as conn:
        if not _advance(conn, of, known, portion, now):
            return None
        if of.journal is not None and known.received:
            delete_chunks(conn, of.journal, until=portion.end)
        if known.is_new and not _named(conn, known.id, of, parsed.events):
            conn.rollback()  # it has not said its name yet: take nothing, and come back
            return None
        if conn.scalar(sa.select(source.c.application_id).where(source.c.id == known.id)) is None:
            return Ingested(bytes=length)  # pruned or forgotten: it counts as read
        left_out = _apply_or_leave_out(conn, of, known.id, parsed, now)
        done = Ingested(parsed.read - len(left_out), len(parsed.bad) + len(left_out), length)
        _count(conn, known.id, done)
        keep_bad_lines(conn, known.id, parsed.bad + left_out, known=known.bad_lines)
    return done


def _named(conn: sa.Connection, source_id: int, lines_of: LineSource, events: list[Event]) -> bool:
    """Whether these lines say of which application they are. Raises SourceRefused where nobody can read that."""
    try:
        with conn.begin_nested():
            return _of_forgotten_user(conn, events) or _identify(conn, source_id, events) is not None
    except CONNECTION_LOST:
        raise
    except Exception as exc:
        raise SourceRefused(f"{lines_of.name}: what it says of its application cannot be read: {exc!r}") from exc


CONNECTION_LOST = (OperationalError, InterfaceError)


def _apply_or_leave_out(conn: sa.Connection, of: LineSource, source_id: int, parsed: Parsed, now: int) -> list[BadLine]:
    """Make rows of the events. Those of which that cannot be done, since a value is of another kind than it has to be,
    are found by halves and left out: whatever one of them breaks in the rows, it costs no other event."""
    if not parsed.lines and not parsed.tasks.stages:
        return []
    try:
        with conn.begin_nested():
            batch = open_batch(conn, source_id, of.earlier)
            bad = take_in(batch, parsed)
            write(conn, [batch], now)
            return bad
    except CONNECTION_LOST:
        raise
    except Exception as exc:  # noqa: BLE001 - what a value of the wrong kind raises is up to where it is used first
        parts = parsed.parts()
        if not parts:
            return [left_out(*line, exc) for line in parsed.lines]
        return [bad for part in parts for bad in _apply_or_leave_out(conn, of, source_id, part, now)]


def _advance(conn: sa.Connection, of: LineSource, known: Known, portion: Portion, now: int) -> bool:
    """Compare and set the offset. First in the transaction: the row's lock keeps a second ingest waiting, and then
    sends it away. What a file no longer has is taken from the chunks that the collector received, if there are any."""
    values = {
        "position": portion.end,
        "in_long_line": portion.in_long_line or None,
        "updated_time": of.written or now,
    }
    lines = portion.parsed.lines
    if lines and isinstance(seq := lines[-1][1].get("Seq"), int):
        values["last_seq"] = seq
    same = sa.and_(source.c.id == known.id, source.c.position == known.position)
    if portion.has_hole and isinstance(of, FileSource):
        r = received_journal.c
        same = sa.and_(same, ~sa.exists().where(r.journal == of.journal, r.position > known.position))
    return conn.execute(sa.update(source).where(same).values(values)).rowcount == 1


def _count(conn: sa.Connection, source_id: int, done: Ingested) -> None:
    counts = {"lines": source.c.lines + done.lines, "bad_lines": source.c.bad_lines + done.bad_lines}
    conn.execute(sa.update(source).where(source.c.id == source_id).values(counts))


def _of_forgotten_user(conn: sa.Connection, events: list[Event]) -> bool:
    """Whether these lines begin an application of a user who was forgotten after it began: they count as read."""
    by_name = head(events)
    said = by_name.get("AfterglowJournalStart", {}).get("Application") or application_of(by_name) or {}
    user = said.get("User")
    when = tombstones.times(conn, [(tombstones.USER, user)]).get((tombstones.USER, user)) if user else None
    return when is not None and said["Start Time"] <= when


def _identify(conn: sa.Connection, source_id: int, events: list[Event]) -> int | None:
    """The application that a file's first lines name; its row, and the source's pointer to it."""
    by_name = head(events)
    start = by_name.get("AfterglowJournalStart", {})
    said = start.get("Application") or application_of(by_name)
    if said is None:
        return None
    application_id = find_or_add(conn, key_of(said), **facts_of(said))
    conn.execute(
        sa.update(source)
        .where(source.c.id == source_id)
        .values(
            application_id=application_id,
            instance=start.get("Instance"),
            connect_session=start.get("Connect Session"),
            beat_ms=start.get("Heartbeat Interval"),
            writer=start.get("Writer") or "spark",
        )
    )
    return application_id
