"""The files of a rolling log, read apart from each other and taken in one after the other.

To read and parse is nearly all of the work, and needs nothing of the files before. What it leaves is small enough to be
sent elsewhere: the events but those of tasks, and the sums of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from afterglow_store.engine import Store
from afterglow_store.errors import SourceRefused
from afterglow_store.event_logs import EventLog, LogFile, plain_name
from afterglow_store.ingest import (
    Ingested,
    find_source,
    ingest_event_log,
    known_source,
    log_file,
    mark_read,
    read_so_far,
    take_in_portion,
)
from afterglow_store.portions import Portion, read_portion


@dataclass
class FilePortion:
    """What comes next in one of a log's files. The last of a file has what its row says of it then."""

    file: int  # which of the files
    portion: Portion
    read: dict[str, int | None] | None = None


def read_file(store: Store, log: EventLog, number: int, *, with_tasks: bool = True) -> Iterator[FilePortion]:
    """What the store does not have yet of one file; nothing of one that it knows, or that cannot be read: `take_in`
    finds that out. Raises FileNotFoundError."""
    file, read_before = log_file(store, log.parts[number], _earlier(log, number))
    if read_before == file.size:
        return
    known = find_source(store, file)
    position, in_long_line = (known.position, bool(known.in_long_line)) if known else (0, False)
    head = number == 0 and position == 0
    while (portion := _next(file, position, head, in_long_line, with_tasks)) is not None:
        over = portion.at_end and portion.refused is None
        yield FilePortion(number, portion, read_so_far(file, portion.end) if over else None)
        if portion.at_end or portion.refused is not None:
            return
        position, in_long_line, head = portion.end, portion.in_long_line, False


def _next(file: LogFile, position: int, head: bool, in_long_line: bool, with_tasks: bool) -> Portion | None:
    try:
        return read_portion(file, position, head=head, in_long_line=in_long_line, with_tasks=with_tasks)
    except (SourceRefused, OSError):
        return None


def take_in(
    store: Store, log: EventLog, portions: Iterable[FilePortion], *, now: int, with_tasks: bool = True
) -> Ingested:
    """Take in what was read of its files, in their order. Then what is left is taken in as `ingest_event_log` does it,
    which raises what that raises: all of it, where another process did some of this meanwhile."""
    total = Ingested()
    for number, of_file in groupby(portions, key=attrgetter("file")):
        file = LogFile(log.parts[number], earlier=_earlier(log, number))
        for each in of_file:
            known = known_source(store, file, now)
            same = known.position == each.portion.start and (number == 0 or known.application_id is not None)
            done = take_in_portion(store, file, known, each.portion, now) if same else None
            if done is None:
                return total + ingest_event_log(store, log, now=now, with_tasks=with_tasks)
            total += done
            if each.read is not None:
                mark_read(store, file.name, each.read)
    return total + ingest_event_log(store, log, now=now, with_tasks=with_tasks)


def _earlier(log: EventLog, number: int) -> tuple[str, ...]:
    return tuple(plain_name(part) for part in log.parts[:number])
