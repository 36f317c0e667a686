"""Event logs into the store: in this process, in several, or on the executors of a Spark."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from afterglow_monitor.clock import now_ms
from afterglow_monitor.errors import MonitorError
from afterglow_store import Ingested, Store, ingest_event_logs
from afterglow_store.engine import connect
from afterglow_store.event_logs import EventLog, Place, lots
from afterglow_store.spark import ingest_event_logs as spark_job

# A log's name and size in bytes, and what was taken in of it, or why it was not.
Told = tuple[str, int, Ingested | str]


class SparkFailed(MonitorError):
    """spark-submit ended with an error."""


def here(
    store: Store, logs: Sequence[EventLog], progress: Callable[[int], None], *, with_tasks: bool = True
) -> Iterator[Told]:
    """`progress` is told how many bytes of the log that is being read are behind."""
    sizes = {log.name: log.size for log in logs}
    for log, result in ingest_event_logs(store, logs, now=now_ms(), progress=progress, with_tasks=with_tasks):
        if not isinstance(result, FileNotFoundError):  # Spark renames a log when it is done; the next call finds it
            yield log.name, sizes[log.name], result if isinstance(result, Ingested) else str(result)


def in_processes(url: str, logs: Sequence[EventLog], processes: int, *, with_tasks: bool = True) -> Iterator[Told]:
    """In lots, largest first: whichever process is free takes the next one."""
    dealt = list(lots((log, log.size) for log in logs))
    with multiprocessing.get_context("spawn").Pool(min(processes, max(len(dealt), 1))) as pool:
        for told in pool.imap_unordered(partial(_take_in, url, with_tasks), dealt):
            yield from told


def _take_in(url: str, with_tasks: bool, logs: Sequence[EventLog]) -> list[Told]:
    store = connect(url)
    try:
        return list(here(store, logs, lambda passed: None, with_tasks=with_tasks))
    finally:
        store.close()


def on_spark(program: str, master: str, url: str, paths: Sequence[Place], *, with_tasks: bool = True) -> Iterator[Told]:
    """By `program`, a spark-submit. Raises SparkFailed; what was taken in before stays."""
    words = [program, "--master", master, spark_job.__file__, *map(str, paths)]
    words += [] if with_tasks else [spark_job.WITHOUT_TASKS]
    # The address may have a password in it: not for a command line.
    environment = {"PYSPARK_PYTHON": sys.executable, **os.environ, "AFTERGLOW_STORE_URL": url}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as job:  # noqa: S603 - the user's own
        for line in job.stdout or ():
            if line.startswith('{"log"'):
                said = json.loads(line)
                name, refused = said.pop("log"), said.pop("refused")
                yield name, 0, refused if refused is not None else Ingested(**said)
    if job.returncode:
        raise SparkFailed(f"{program} ended with {job.returncode}: what it printed says why")
