"""Reading MLflow's database for the first load, in a process of its own.

To read runs and make rows of them takes as long as to write them. In one process the two would wait for each other at
each statement: Python's lock goes to one thread at a time. What to read comes on standard input, so that a password is
in no list of processes; runs go to standard output, a batch ahead of the writer. Once that is gone, so is this.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, cast

from afterglow_monitor.clock import now_ms
from afterglow_monitor.errors import BadTrackingDatabase
from afterglow_monitor.tracking_database import TrackingDatabase
from afterglow_store.new_runs import NewRuns, made_ready
from afterglow_store.runs import Origin, row_of

BATCH = 4_000  # runs that are written in one transaction, some MB


@dataclass(frozen=True)
class Batch:
    """Runs as they were when they were read, or later; the latest start first. `until` as of RunSource.chunks."""

    runs: NewRuns
    experiments: dict[str, str | None]
    until: int


def read_apart(url: str, server: str, tracking_uri: str, until: int | None) -> Iterator[Batch]:
    """The runs of MLflow's database at `url` that started at `until` (ms) or earlier. Raises BadTrackingDatabase."""
    command = [sys.executable, "-c", f"from {__name__} import main; main()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - ours
        asked, told = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        try:
            with asked:
                pickle.dump((url, server, tracking_uri, until, BATCH), asked)
            while (found := pickle.load(told)) is not None:  # noqa: S301 - our own process
                if isinstance(found, str):
                    raise BadTrackingDatabase(found)
                yield found
        except (EOFError, OSError, pickle.UnpicklingError) as exc:
            raise BadTrackingDatabase(f"the process that reads it has died (exit code {process.poll()})") from exc
        finally:
            process.kill()


def batches(url: str, server: str, tracking_uri: str, until: int | None, most: int = BATCH) -> Iterator[Batch]:
    source = TrackingDatabase(url, most)
    versions = source.registered_versions()
    rows: list[dict[str, Any]] = []
    names: dict[str, str | None] = {}
    origin, ended = Origin(server, tracking_uri, now_ms()), 0
    for runs, ended in source.chunks(until=until):
        for each in runs:
            names[each["experiment_id"]] = each["experiment_name"]
            rows.append(row_of({**each, "registered_versions": versions.get(each["run_id"], [])}, origin))
        if len(rows) >= most:
            yield Batch(made_ready(rows), names, ended)
            rows, names = [], {}
        origin = Origin(server, tracking_uri, now_ms())  # before the next chunk is asked for
    if rows:
        yield Batch(made_ready(rows), names, ended)


def main() -> None:
    """Of the process that `read_apart` starts."""
    asked, out = pickle.load(sys.stdin.buffer), sys.stdout.buffer  # noqa: S301 - from the process that started this
    try:
        for batch in batches(*asked):
            _tell(out, batch)
        _tell(out, None)
    except BadTrackingDatabase as exc:
        _tell(out, str(exc))
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(1)  # the writer is gone, and with it whom to tell


def _tell(out: IO[bytes], what: Batch | str | None) -> None:
    pickle.dump(what, out, pickle.HIGHEST_PROTOCOL)
    out.flush()
