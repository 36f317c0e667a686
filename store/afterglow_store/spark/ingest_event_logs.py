"""What `afterglow ingest --spark` submits, with PATH… and perhaps --without-tasks: these are listed and read on the
executors, into AFTERGLOW_STORE_URL.

The executors need the same Afterglow as the driver. A task that fails, and a second run of all, go on where the store
is. Prints one JSON object for each log: its name and what `Ingested` says, or why it was refused.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from operator import itemgetter
from typing import Any

from afterglow_store import Ingested, by_file, ingest_event_logs
from afterglow_store.by_file import FilePortion
from afterglow_store.engine import connect
from afterglow_store.errors import SourceRefused
from afterglow_store.event_logs import EventLog, find, lots, place
from afterglow_store.event_logs.lots import LOT_BYTES
from afterglow_store.small_logs import Result

Listed = tuple[EventLog, list[int]]  # and the sizes of its files in bytes
Key = tuple[int, int, int]  # which log, which of its files, which portion of that
Told = dict[str, Any]  # of one log

WITHOUT_TASKS = "--without-tasks"


@dataclass(frozen=True)
class How:
    """What each task is told."""

    url: str  # of the store
    with_tasks: bool


def main() -> None:
    from pyspark.sql import SparkSession  # noqa: PLC0415 - it is no dependency of the store

    paths = [each for each in sys.argv[1:] if each != WITHOUT_TASKS]
    how = How(os.environ["AFTERGLOW_STORE_URL"], with_tasks=WITHOUT_TASKS not in sys.argv)
    session = SparkSession.builder.appName("afterglow ingest").getOrCreate()
    try:
        context = session.sparkContext
        listed = context.parallelize(paths, len(paths)).flatMap(list_logs).collect()
        split = [each for each in listed if len(each[1]) > 1 and sum(each[1]) > LOT_BYTES]
        dealt = list(lots((log, sum(sizes)) for log, sizes in listed if (log, sizes) not in split))
        for said in (*by_files(context, how, split), *by_lots(context, how, dealt)):
            print(json.dumps(said))  # noqa: T201 - read by `afterglow ingest`
    finally:
        session.stop()


def list_logs(path: str) -> list[Listed]:
    return [(log, log.sizes) for log in find([place(path)])]


def by_lots(context: Any, how: How, dealt: Sequence[list[EventLog]]) -> list[Told]:
    """A lot is a task: whichever executor is free takes the next one."""
    return list(context.parallelize(dealt, len(dealt)).flatMap(partial(take_in, how)).collect()) if dealt else []


def by_files(context: Any, how: How, split: Sequence[Listed]) -> list[Told]:
    """Each file is a task, that reads it; then each log is one, that takes in what was read of its files, in order."""
    logs = [log for log, _ in split]
    files = [(size, of, file) for of, (_, sizes) in enumerate(split) for file, size in enumerate(sizes)]
    files.sort(reverse=True)
    if not files:
        return []
    read = context.parallelize(files, len(files)).flatMap(partial(read_file, how, logs))
    of_logs = read.repartitionAndSortWithinPartitions(len(logs), partitionFunc=itemgetter(0))
    return list(of_logs.mapPartitionsWithIndex(partial(take_in_files, how, logs)).collect())


def take_in(how: How, logs: Iterable[EventLog]) -> Iterator[Told]:
    with closing(connect(how.url)) as store:
        for log, result in ingest_event_logs(store, list(logs), now=_now(), with_tasks=how.with_tasks):
            yield _told(log, result)


def read_file(how: How, logs: Sequence[EventLog], which: tuple[int, int, int]) -> Iterator[tuple[Key, FilePortion]]:
    _, of, file = which
    with closing(connect(how.url)) as store:
        try:
            for number, portion in enumerate(by_file.read_file(store, logs[of], file, with_tasks=how.with_tasks)):
                yield (of, file, number), portion
        except FileNotFoundError:  # compacted meanwhile: who takes it in says so
            return


def take_in_files(
    how: How, logs: Sequence[EventLog], of: int, portions: Iterable[tuple[Key, FilePortion]]
) -> Iterator[Told]:
    with closing(connect(how.url)) as store:
        try:
            read, now = map(itemgetter(1), portions), _now()
            yield _told(logs[of], by_file.take_in(store, logs[of], read, now=now, with_tasks=how.with_tasks))
        except (SourceRefused, FileNotFoundError) as exc:
            yield _told(logs[of], exc)


def _told(log: EventLog, result: Result) -> Told:
    taken = result if isinstance(result, Ingested) else Ingested()
    return {"log": log.name, "refused": None if isinstance(result, Ingested) else str(result), **asdict(taken)}


def _now() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
