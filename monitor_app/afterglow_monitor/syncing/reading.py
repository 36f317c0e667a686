"""Reading MLflow's database for the first load, in a process of its own.

To read runs and make rows of them takes as long as to write them. In one process the two would wait for each other at
each statement: Python's lock goes to one thread at a time. What to read comes on standard input, so that a password is
in no list of processes; runs go to standard output, a batch ahead of the writer. Once that is gone, so is this.

A pipe holds a sixth of a batch: a thread waits for the writer to take the rest, while the next batch is read.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast

from afterglow_monitor.clock import now_ms
from afterglow_monitor.errors import BadTrackingDatabase
from afterglow_monitor.syncing.tracking_database import CHUNK, TrackingDatabase
from afterglow_store.new_runs import NewRuns, made_ready
from afterglow_store.runs import Origin, row_of

BATCH = 6_000  # runs that are written in one transaction, some MB
PIPE_BYTES = 1 << 20  # the most that Linux gives everybody


@contextmanager
def uncollected() -> Iterator[None]:
    """Python's garbage collector would go through the objects of thousands of runs again and again, none of which are
    in a cycle: a fifth of the time. For some seconds, cycles of others wait."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@dataclass(frozen=True)
class Batch:
    """Runs as they were when they were read, or later; the latest start first. `until` as of RunSource.chunks."""

    runs: NewRuns
    experiments: dict[str, str | None]
    until: int


def read_apart(url: str, server: str, tracking_uri: str, until: int | None) -> Iterator[Batch]:
    """The runs of MLflow's database at `url` that started at `until` (ms) or earlier. Raises BadTrackingDatabase."""
    command = [sys.executable, "-c", f"from {__name__} import main; main()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=PIPE_BYTES) as process:  # noqa: S603 - ours
        asked, told = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        try:
            with asked:
                pickle.dump((url, server, tracking_uri, until, BATCH), asked)
            while (batch := _next(told)) is not None:
                yield batch
                del batch  # before the next one comes
        except (EOFError, OSError, pickle.UnpicklingError) as exc:
            raise BadTrackingDatabase(f"the process that reads it has died (exit code {process.poll()})") from exc
        finally:
            process.kill()


def _next(told: IO[bytes]) -> Batch | None:
    found = pickle.load(told)  # noqa: S301 - from our own process
    if isinstance(found, str):
        raise BadTrackingDatabase(found)
    return cast("Batch | None", found)


def batches(url: str, server: str, tracking_uri: str, until: int | None, most: int = BATCH) -> Iterator[Batch]:
    source = TrackingDatabase(url, most)
    versions = source.registered_versions()
    chunks = source.chunks(until=until)
    names: dict[str, str | None] = {}
    ended = 0

    def rows(chunk_count: int) -> Iterator[dict[str, Any]]:
        nonlocal ended
        for _ in range(chunk_count):
            origin = Origin(server, tracking_uri, now_ms())  # before the next chunk is asked for
            runs, ended = next(chunks, ((), ended))
            for each in runs:
                names[each["experiment_id"]] = each["experiment_name"]
                yield row_of({**each, "registered_versions": versions.get(each["run_id"], [])}, origin)

    while len(made := made_ready(rows(max(1, most // CHUNK)))):
        yield Batch(made, names, ended)
        names = {}
        del made  # before the next one is


def main() -> None:
    """Of the process that `read_apart` starts."""
    asked, out = pickle.load(sys.stdin.buffer), sys.stdout.buffer  # noqa: S301 - from the process that started this
    try:
        with uncollected():
            _tell_all(out, _to_tell(asked))
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(1)  # the writer is gone, and with it whom to tell


def _to_tell(asked: tuple[Any, ...]) -> Iterator[bytes]:
    try:
        yield from map(_pickled, batches(*asked))  # which keeps none of them
        yield _pickled(None)
    except BadTrackingDatabase as exc:
        yield _pickled(str(exc))


def _pickled(what: Batch | str | None) -> bytes:
    return pickle.dumps(what, pickle.HIGHEST_PROTOCOL)


def _tell_all(out: IO[bytes], all_of_it: Iterable[bytes]) -> None:
    with ThreadPoolExecutor(1, "afterglow-tell") as thread:
        told = thread.submit(lambda: None)
        for each in all_of_it:
            told.result()
            told = thread.submit(_tell, out, each)
        told.result()


def _tell(out: IO[bytes], what: bytes) -> None:
    out.write(what)
    out.flush()
