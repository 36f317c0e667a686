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
from afterglow_store.parsing import application_of, facts_of, head, key_of, take_in
from afterglow_store.portions import read_portion
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
    done: Ingested
    key: ApplicationKey
    facts: dict[str, Any]
    batch: Batch
    bad: list[BadLine]


def ingest_event_logs(
    store: Store,
    logs: Sequence[EventLog],
    *,
    now: int,
    progress: Callable[[int], None] = lambda passed: None,
    with_tasks: bool = True,
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
            elif (small := None if log.name in known else _read(log, with_tasks)) is None:
                yield log, _alone(store, log, now, progress, with_tasks)
            else:
                group.append(small)
                if sum(each.end for each in group) >= GROUP_BYTES:
                    yield from _take_in(store, group, now, progress)
                    group = []
        yield from _take_in(store, group, now, progress)


def _alone(store: Store, log: EventLog, now: int, progress: Callable[[int], None], with_tasks: bool) -> Result:
    first = log.parts[0] if log.parts else None
    try:
        if isinstance(first, Path) and FileSource(first).journal is not None:
            return ingest_file(store, first, now=now)
        return ingest_event_log(store, log, now=now, progress=progress, with_tasks=with_tasks)
    except (SourceRefused, FileNotFoundError) as exc:
        return exc


def _known(store: Store, logs: Sequence[EventLog]) -> dict[str, int | None]:
    """How large those that were read before were then, where all in them was."""
    with store.read() as conn:
        of_them = among(conn, source.c.path, [log.name for log in logs])
        return {row.path: row.file_bytes for row in conn.execute(sa.select(source).where(of_them))}


def _read(log: EventLog, with_tasks: bool) -> _Small | None:
    """None of what is not small, or not so simple: a journal, a file that names no application or is damaged."""
    if len(log.parts) != 1:
        return None
    try:
        file = LogFile(log.parts[0])
        if file.size > MAX_BYTES:
            return None
        portion = read_portion(file, 0, head=True, with_tasks=with_tasks)
    except (SourceRefused, OSError):
        return None
    if portion is None or not portion.at_end or portion.in_long_line:
        return None
    parsed = portion.parsed
    by_name = head(parsed.events)
    said = application_of(by_name)
    if said is None or "AfterglowJournalStart" in by_name:
        return None
    batch = Batch(0, 1, {}, 0, of_log=True, is_new=True)
    left_out = take_in(batch, parsed)
    bad = parsed.bad + left_out
    done = Ingested(parsed.read - len(left_out), len(bad), portion.end)
    return _Small(log, file, portion.end, done, key_of(said), facts_of(said), batch, bad)


def _take_in(
    store: Store, group: list[_Small], now: int, progress: Callable[[int], None]
) -> Iterator[tuple[EventLog, Result]]:
    """In one transaction. If there is anything about one of them that it cannot be in, each has its own."""
    try:
        taken = _together(store, group, now) if group else set()
    except CONNECTION_LOST:
        raise
    except Exception:  # what a value of the wrong kind raises is up to where it is used first
        logger.debug("%d logs one by one", len(group), exc_info=True)
        taken = set()
    for each in group:
        done = each.log.name in taken
        yield each.log, each.done if done else _alone(store, each.log, now, progress, each.batch.with_tasks)


def _together(store: Store, group: list[_Small], now: int) -> set[str]:
    """The names of those that were taken in."""
    with store.write() as conn:
        if tombstones.any_(conn):
            return set()
        new = _new(conn, group)
        if not new:
            return set()
        _add(conn, new, now)
        write(conn, [each.batch for each in new], now)
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
            **read_so_far(each.file, each.end),
            "told_end": each.batch.ended_time is not None or None,
        }
        for each in new
    ]
    told = sa.insert(source).returning(source.c.id, sort_by_parameter_order=True)
    for each, source_id in zip(new, conn.scalars(told, sources), strict=True):
        each.batch.source_id = source_id
