"""What `afterglow ingest --spark` submits: PATH…, listed and read on the executors, into AFTERGLOW_STORE_URL.

The executors need the same Afterglow as the driver. A task that fails, and a second run of all, go on where the store
is. Prints one JSON object for each log: its name and what `Ingested` says, or why it was refused.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

from afterglow_store import Ingested, ingest_event_logs
from afterglow_store.engine import connect
from afterglow_store.event_logs import EventLog, find, lots, place


def main() -> None:
    from pyspark.sql import SparkSession  # noqa: PLC0415 - it is no dependency of the store

    url, paths = os.environ["AFTERGLOW_STORE_URL"], sys.argv[1:]
    session = SparkSession.builder.appName("afterglow ingest").getOrCreate()
    try:
        context = session.sparkContext
        listed = context.parallelize(paths, len(paths)).flatMap(list_logs).collect()
        dealt = list(lots(listed))
        if dealt:
            # A lot is a task: whichever executor is free takes the next one.
            for said in context.parallelize(dealt, len(dealt)).flatMap(partial(take_in, url)).collect():
                print(json.dumps(said))  # noqa: T201 - read by `afterglow ingest`
    finally:
        session.stop()


def list_logs(path: str) -> list[tuple[EventLog, int]]:
    """The logs there, with their sizes in bytes."""
    return [(log, log.size) for log in find([place(path)])]


def take_in(url: str, logs: Iterable[EventLog]) -> Iterator[dict[str, Any]]:
    store = connect(url)
    try:
        for log, result in ingest_event_logs(store, list(logs), now=time.time_ns() // 1_000_000):
            taken = result if isinstance(result, Ingested) else Ingested()
            refused = None if isinstance(result, Ingested) else str(result)
            yield {"log": log.name, "refused": refused, **asdict(taken)}
    finally:
        store.close()


if __name__ == "__main__":
    main()
