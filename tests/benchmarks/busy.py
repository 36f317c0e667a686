"""A server at work: `afterglow up` on a copy of a store, whose worker takes in what drivers write meanwhile."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from afterglow_monitor.clock import now_ms
from afterglow_store import Store, ingest_file, open_store
from afterglow_store.schema import source
from tests.benchmarks.idle import running_up
from tests.support.journals import Journal

EVENTS_PER_S, WRITTEN_PER_S = 2_000, 2_100  # how many must be taken in at least
BATCHES_PER_S = 20
RUNS, JOBS = 500, 5_000  # of LARGE
RUNS_OF_OTHERS, JOBS_OF_OTHERS = 20, 2_000
LARGE, READY = "5000b1c0", "4ead4ead"
DRIVER = "ada"  # whose drivers write meanwhile
AGO_MS = 600_000  # its events are spread over minutes, and none may be of the future
_SPAWN = multiprocessing.get_context("spawn")


def application(folder: Path, key: str, runs: int, jobs: int, *, named: str = "trial") -> Path:
    """The journal of one of this many runs and Spark jobs, ten events a job. `key`, 8 hexadecimal digits, is in all
    ids; `named` in the names of the runs."""
    journal = Journal(
        folder, f"app-{key}", name="search for parameters", start=now_ms() - AGO_MS, user=DRIVER, master="yarn"
    )
    for number in range(runs):
        run_id = f"{key}{number:024x}"
        run = journal.run_start(run_id, f"{named}-{number:03}", params={"depth": str(number % 16)})
        for _ in range(jobs // runs):
            journal.job(run_id, seconds=0.02)
        journal.run_end(run, metrics={"rmse": 0.5 + number / 1_000})
    return journal.end()


@dataclass(frozen=True)
class Busy:
    address: str
    web: int  # the process id
    journals: Path
    store: Store


@contextmanager
def busy(store_url: str, folder: Path) -> Iterator[Busy]:
    """On a copy of the SQLite store, with the application LARGE in it; WRITTEN_PER_S come as long as it is open."""
    home, journals = folder / "home", folder / "journals"
    for each in (home, journals):
        each.mkdir()
    shutil.copyfile(str(sa.make_url(store_url).database), home / "store.db")
    (home / "afterglow.toml").write_text(f'[journal]\nfolders = ["{journals}"]\n')
    with closing(open_store(f"sqlite:///{home / 'store.db'}")) as store:
        ingest_file(store, application(folder / "large", LARGE, RUNS, JOBS, named="large"), now=now_ms())
        ready = application(folder / "ready", READY, RUNS_OF_OTHERS, JOBS_OF_OTHERS)
        drivers = _SPAWN.Process(target=write, args=(ready, journals), daemon=True)
        with running_up(home) as (web, address):
            drivers.start()
            try:
                yield Busy(address, web, journals, store)
            finally:
                drivers.kill()
                drivers.join()


def write(ready: Path, folder: Path) -> None:
    """What drivers do: WRITTEN_PER_S, of one application like `ready` after the other."""
    events, batch, due = ready.read_bytes(), WRITTEN_PER_S // BATCHES_PER_S, time.monotonic()
    for number in count(1):
        key, instance = f"{number:08x}", f"{number:08x}{ready.stem[8:]}"
        own = events.replace(READY.encode(), key.encode()).replace(ready.stem.encode(), instance.encode())
        lines = own.splitlines(keepends=True)
        with (folder / f"{instance}.jsonl").open("ab", buffering=0) as file:
            for first in range(0, len(lines), batch):
                file.write(b"".join(lines[first : first + batch]))
                due += 1 / BATCHES_PER_S
                time.sleep(max(0.0, due - time.monotonic()))


def behind(server: Busy) -> dict[str, Any]:
    """How many `events` of the journals are in the store by now, and how many bytes of them are `waiting`."""
    written = {str(path): path.stat().st_size for path in server.journals.glob("*.jsonl")}
    figures = sa.select(sa.func.sum(source.c.lines), sa.func.sum(source.c.position))
    with server.store.read() as conn:
        events, taken = conn.execute(figures.where(source.c.path.in_(written))).one()
    return {"events": int(events or 0), "waiting": sum(written.values()) - int(taken or 0)}
