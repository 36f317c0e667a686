"""Which event logs there are in a folder, and of which files each is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from afterglow_store.event_logs.places import Place
from afterglow_store.sources import JOURNAL

IN_PROGRESS = ".inprogress"  # what the name of a single file ends with while its driver writes it
_ROLLING = "eventlog_v2_"  # what the name of a rolling log's folder begins with
_PART = re.compile(r"events_(\d+)_.+?(\.compact)?")


@dataclass(frozen=True)
class EventLog:
    """The log of one attempt of an application: one file, or the files of a rolling log in their order."""

    name: str  # the same while it is written and after
    parts: tuple[Place, ...]
    fault: str = ""  # why the system does not say what is in its folder: then there are no parts

    @property
    def size(self) -> int:
        return sum(self.sizes)

    @property
    def sizes(self) -> list[int]:
        """Of its parts, in bytes on disk. 0 of those that are gone meanwhile, or that cannot be looked at."""
        return [_size(part) for part in self.parts]


def find(paths: Iterable[Place]) -> Iterator[EventLog]:
    """The logs of these folders, as a History Server would find them, in the order of their names. A path that is a
    file, or a rolling log's folder, stands for itself. A folder that the system does not let us look into is a log with
    a fault."""
    for path in paths:
        yield from _or_fault(path, _logs)


def _logs(path: Place) -> Iterator[EventLog]:
    if path.name.startswith(_ROLLING) or path.is_file():
        yield from _log(path)
        return
    entries: Iterable[Place] = path.iterdir()
    for entry in sorted(entries, key=str):
        try:
            yield from _or_fault(entry, _entry)
        except FileNotFoundError:
            continue  # meanwhile: the next look finds what came of it


def _entry(path: Place) -> Iterator[EventLog]:
    if path.name.startswith(_ROLLING) or path.is_file():
        yield from _log(path)


def _or_fault(path: Place, found: Callable[[Place], Iterator[EventLog]]) -> Iterator[EventLog]:
    try:
        yield from found(path)
    except FileNotFoundError:
        raise
    except OSError as exc:
        yield EventLog(plain_name(path), (), exc.strerror or str(exc))


def exists(path: Place) -> bool:
    """Also where the system does not say: to look into it tells why."""
    try:
        return path.exists()
    except OSError:
        return True


def plain_name(path: Place) -> str:
    """A log's name whether its driver still writes it or not: what was read of it stays read."""
    return str(path).removesuffix(IN_PROGRESS)


def _log(path: Place) -> Iterator[EventLog]:
    if path.name.startswith((".", "_")):  # checksums of Hadoop's local file system, _SUCCESS, a copy under way
        return
    if JOURNAL.match(path.name) and path.suffix != ".jsonl":  # what the listener keeps beside a journal
        return
    parts = (path,) if path.is_file() else _parts(path)
    if parts:
        yield EventLog(plain_name(path), parts)


def _parts(folder: Place) -> tuple[Place, ...]:
    """A compacted file stands for all parts up to its number: Spark deletes those when it finds the time."""
    numbered = sorted(
        (int(found[1]), found[2] is not None, path)
        for path in folder.iterdir()
        if (found := _PART.fullmatch(path.name)) is not None
    )
    compacted = max((number for number, compact, _ in numbered if compact), default=0)
    return tuple(path for number, compact, path in numbered if number > compacted or (number == compacted and compact))


def _size(path: Place) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
