"""Tailing: new lines of journals, in folders or received by the collector, and of event logs, into the store."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from afterglow_monitor.syncing.turns import Turn
from afterglow_store import Ingested, Store, ingest_event_logs, ingest_file, ingest_received
from afterglow_store.errors import SourceRefused, SourceUnreadable
from afterglow_store.event_logs import exists, find, place
from afterglow_store.received import waiting_journals

logger = logging.getLogger(__name__)

SHARE = 0.01  # of the time may go to looking at all files: 5,000 of them take 15 ms
ACTIVE_SECONDS = 60.0  # a file that grew within so long is looked at each time; a driver beats every ten seconds


class Looking:
    """Notes when everything was looked at."""

    def __init__(self, first_looked: int | None = None, looked: int | None = None) -> None:
        self.first_looked = first_looked  # when (ms) the first complete pass began …
        self.looked = looked  # … and the last: all that was said by then is in the store

    def note(self, now: int) -> None:
        self.looked = now
        self.first_looked = now if self.first_looked is None else self.first_looked


class Tail(Looking):
    """Follows the journals of some folders. A file that is refused is left alone until it changes; one that cannot be
    read is tried again, since nothing in it changes when it can.

    Files that grew lately, and new ones, are met at each poll; where there are thousands, those that have been silent
    for long are looked at the more rarely, the longer it takes.
    """

    def __init__(self, store: Store, folders: Iterable[str | Path]) -> None:
        super().__init__()
        self._store = store
        self._folders = [Path(folder).expanduser() for folder in folders]
        self._seen: dict[Path, int] = {}  # size when it was last taken in
        self._active: dict[Path, float] = {}  # when it last grew, in monotonic seconds
        self._unreadable: set[Path] = set()  # those of which that was said
        self._changed: list[int | None] = []  # when a file was last made in each folder
        self._all = Turn(0.0, SHARE)

    def poll(self, now: int) -> Ingested:
        """Take in what is new. `now`: ms."""
        changed = [_changed(folder) for folder in self._folders]
        if changed == self._changed and not self._all.due():
            return self._take_in([(path, size) for path in self._active if (size := _size(path)) is not None], now)
        began = time.monotonic()
        found = sorted(_sizes(self._folders))
        self._all.taken(began)
        total = self._take_in(found, now)
        self._active = {path: grew for path, grew in self._active.items() if began - grew < ACTIVE_SECONDS}
        self._changed = changed
        self.note(now)
        return total

    def _take_in(self, files: Iterable[tuple[Path, int]], now: int) -> Ingested:
        total = Ingested()
        for path, size in files:
            if self._seen.get(path) == size:
                continue
            try:
                total += ingest_file(self._store, path, now=now)
            except FileNotFoundError:
                continue  # whoever sent it to the collector has deleted it
            except SourceUnreadable as exc:
                if path not in self._unreadable:
                    logger.warning("%s", exc)
                self._unreadable.add(path)
                continue
            except SourceRefused as exc:
                logger.warning("%s", exc)
            self._unreadable.discard(path)
            self._seen[path], self._active[path] = size, time.monotonic()
        return total


class ReceivedTail(Looking):
    """Follows the journals that come through the collector, this server's or another one's."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._seen: dict[str, int] = {}  # up to where it was last taken in

    def poll(self, now: int) -> Ingested:
        """Take in what is new. `now`: ms."""
        total = Ingested()
        with self._store.read() as conn:
            waiting = waiting_journals(conn)
        for journal, end in waiting.items():
            if self._seen.get(journal) == end:
                continue  # the beginning of a line, whose rest is to come
            try:
                total += ingest_received(self._store, journal, now=now)
            except SourceRefused as exc:
                logger.warning("%s", exc)
        self._seen = waiting
        self.note(now)
        return total


class EventLogTail:
    """Follows the folders that Spark writes its own event logs into. A log that is damaged is left alone until it
    changes; one that cannot be read is tried again."""

    def __init__(self, store: Store, folders: Iterable[str | Path]) -> None:
        self._store = store
        self._folders = [place(str(folder)) for folder in folders]
        self._seen: dict[str, int] = {}  # size of a log when it was last taken in
        self._unreadable: set[str] = set()  # those of which that was said

    def poll(self, now: int) -> Ingested:
        """Take in what is new. `now`: ms."""
        total = Ingested()
        sizes = {log: log.size for log in find(filter(exists, self._folders))}
        changed = [log for log, size in sizes.items() if self._seen.get(log.name) != size]
        for log, result in ingest_event_logs(self._store, changed, now=now):
            match result:
                case FileNotFoundError():
                    continue  # Spark renames a log when it is done, and deletes what it has compacted
                case SourceUnreadable():
                    if log.name not in self._unreadable:
                        logger.warning("%s", result)
                    self._unreadable.add(log.name)
                    continue
                case SourceRefused():
                    logger.warning("%s", result)
                case Ingested():
                    total += result
            self._unreadable.discard(log.name)
            self._seen[log.name] = sizes[log]
        return total


def _sizes(folders: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    """The journal files of the folders, with their sizes. A path that is a file stands for itself."""
    for folder in folders:
        if not folder.is_dir():
            if (size := _size(folder)) is not None:
                yield folder, size
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".jsonl") and (size := _size(entry)) is not None:
                    yield folder / entry.name, size


def _size(path: Path | os.DirEntry[str]) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
    except OSError:
        return 0  # to read it says why


def _changed(folder: Path) -> int | None:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return None
