"""Event logs of small applications, many in one transaction.

What a transaction asks and says takes some forty milliseconds of one application, and hardly more of a hundred: most
applications are so small that this would be nearly all of their time. Only what is simple goes this way, logs of one
file that the store has nothing of; all others go `ingest.ingest_event_log`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from afterglow_store import tombstones
from afterglow_store.applications import ApplicationKey
from afterglow_store.bad_lines import BadLine, keep_bad_lines
from afterglow_store.batch import Batch
from afterglow_store.engine import Store, among
from afterglow_store.errors import SourceRefused
from afterglow_store.event_logs import EventLog, LogFile
from afterglow_store.ingest import CONNECTION_LOST, Ingested, ingest_event_log, ingest_file, read_so_far
from afterglow_store.lines import CHUNK_BYTES, read_lines
from afterglow_store.parsing import application_of, facts_of, head, key_of, parse, take_in
from afterglow_store.schema import application, source
from afterglow_store.sources import FileSource
from afterglow_store.writing import write

logger = logging.getLogger(__name__)

MAX_BYTES = 1 << 20  # of one log, on disk
GROUP = 200  # logs …
GROUP_BYTES = 16 << 20  # … and plain bytes in a transaction

Result = Ingested | SourceRefused | FileNotFoundError


@dataclass
class _Small:
    """A log that was read as a whole."""

    log: EventLog
    file: LogFile
    end: int
    lines: int
    key: ApplicationKey
    facts: dict[str, Any]
    user: str | None
    batch: Batch
    bad: list[BadLine]

    @property
    def done(self) -> Ingested:
        return Ingested(self.lines - len(self.bad), len(self.bad), self.end)


def ingest_event_logs(
    store: Store, logs: Sequence[EventLog], *, now: int, progress: Callable[[int], None] = lambda passed: None
) -> Iterator[tuple[EventLog, Result]]:
    """As `ingest_event_log`, of each of these, journals among them. Each is told with what was taken in, or with why it
    was not."""
    for first in range(0, len(logs), GROUP):
        some = logs[first : first + GROUP]
        known = _known(store, some)
        group: list[_Small] = []
        for log in some:
            if known.get(log.name) == log.size:
                yield log, Ingested()
            elif (small := None if log.name in known else _read(log)) is None:
                yield log, _alone(store, log, now, progress)
            else:
                group.append(small)
                if sum(each.end for each in group) >= GROUP_BYTES:
                    yield from _take_in(store, group, now)
                    group = []
        yield from _take_in(store, group, now)


def _alone(store: Store, log: EventLog, now: int, progress: Callable[[int], None] = lambda passed: None) -> Result:
    try:
        first = log.parts[0]
        if isinstance(first, Path) and FileSource(first).journal is not None:
            return ingest_file(store, first, now=now)
        return ingest_event_log(store, log, now=now, progress=progress)
    except (SourceRefused, FileNotFoundError) as exc:
        return exc


def _known(store: Store, logs: Sequence[EventLog]) -> dict[str, int | None]:
    """How large those that were read before were then, where all in them was."""
    with store.read() as conn:
        of_them = among(conn, source.c.path, [log.name for log in logs])
        return {row.path: row.file_bytes for row in conn.execute(sa.select(source).where(of_them))}


def _read(log: EventLog) -> _Small | None:
    """None of what is not small, or not so simple: a journal, a file that names no application or is damaged."""
    try:
        file = LogFile(log.parts[0])
        if len(log.parts) > 1 or file.size > MAX_BYTES:
            return None
        stretch = read_lines(file, 0, head=True, in_long_line=False)
        if stretch is None or stretch.in_long_line or b"\n" in file.read(stretch.end, CHUNK_BYTES):
            return None
    except (SourceRefused, OSError):
        return None
    if b"AfterglowJournalStart" in stretch.lines:
        return None
    lines, bad = parse(stretch)
    said = application_of(head([event for _, event in lines]))
    if said is None:
        return None
    batch = Batch(0, 1, {}, 0, of_log=True, is_new=True)
    bad += take_in(batch, lines)
    return _Small(log, file, stretch.end, len(lines), key_of(said), facts_of(said), said.get("User"), batch, bad)


def _take_in(store: Store, group: list[_Small], now: int) -> Iterator[tuple[EventLog, Result]]:
    """In one transaction. If there is anything about one of them that it cannot be in, each has its own."""
    try:
        taken = _together(store, group, now) if group else set()
    except CONNECTION_LOST:
        raise
    except Exception:  # what a value of the wrong kind raises is up to where it is used first
        logger.debug("%d logs one by one", len(group), exc_info=True)
        taken = set()
    for each in group:
        yield each.log, each.done if each.log.name in taken else _alone(store, each.log, now)


def _together(store: Store, group: list[_Small], now: int) -> set[str]:
    """The names of those that were taken in."""
    with store.write() as conn:
        if tombstones.any_(conn):
            return set()
        new = _new(conn, group)
        if not new:
            return set()
        _add(conn, new, now)
        write(conn, [each.batch for each in new])
        for each in new:
            keep_bad_lines(conn, each.batch.source_id, each.bad, known=0)
    return {each.log.name for each in new}


def _new(conn: sa.Connection, group: list[_Small]) -> list[_Small]:
    """Those of whose application and file the store has nothing; of two copies of one log the first."""
    a = application.c
    app_ids = among(conn, a.app_id, [each.key.app_id for each in group])
    there = conn.execute(sa.select(a.app_id, a.attempt, a.start_time, a.driver_host).where(app_ids))
    met = {ApplicationKey(*row) for row in there}
    paths = set(conn.scalars(sa.select(source.c.path).where(among(conn, source.c.path, [g.file.name for g in group]))))
    new = []
    for each in group:
        if each.key not in met and each.file.name not in paths:
            met.add(each.key)
            new.append(each)
    return new


def _add(conn: sa.Connection, new: list[_Small], now: int) -> None:
    """The rows of their applications and files."""
    keys = ApplicationKey.__dataclass_fields__
    applications = [{**{name: getattr(each.key, name) for name in keys}, **each.facts} for each in new]
    added = sa.insert(application).returning(application.c.id, sort_by_parameter_order=True)
    for each, application_id in zip(new, conn.scalars(added, applications), strict=True):
        each.batch.application_id = application_id
    sources = [
        {
            "path": each.file.name,
            "writer": "spark",
            "position": each.end,
            "application_id": each.batch.application_id,
            "lines": each.done.lines,
            "bad_lines": each.done.bad_lines,
            "updated_time": each.file.written or now,
            **read_so_far(each.file),
            "told_end": each.batch.ended_time is not None or None,
        }
        for each in new
    ]
    told = sa.insert(source).returning(source.c.id, sort_by_parameter_order=True)
    for each, source_id in zip(new, conn.scalars(told, sources), strict=True):
        each.batch.source_id = source_id
