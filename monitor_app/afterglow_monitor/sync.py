"""Sync: what the MLflow tracking servers know, into the store.

Each pass reads new runs and those that are RUNNING; every half minute the recent ones, for edits, and what is
registered; and a little of the slow sweep over all runs, for what was edited or deleted long after: MLflow has no
"changed since". At first all runs are loaded, the newest first; the store keeps where that, or the sweep, got to.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlflow.exceptions import MlflowException
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from afterglow_monitor.clock import now_ms
from afterglow_monitor.errors import MonitorError
from afterglow_monitor.intake import Intake
from afterglow_monitor.reading import Batch, read_apart
from afterglow_monitor.secrets import hushed
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.sources import Experiment, RunSource, TrackingServer
from afterglow_monitor.tracking_database import TrackingDatabase
from afterglow_store import Store, tracking
from afterglow_store.comparing import runs_to_follow
from afterglow_store.runs import take_in_experiment

logger = logging.getLogger(__name__)

OVERLAP_MS = 600_000  # a run may be started well before it is created, and clocks differ
FOLLOWED = 1_000  # of the runs that are RUNNING, the newest so many are asked for at each pass
LOAD_SECONDS = 2.0  # of the first load, before new runs are looked for again
SWEEP_SECONDS = 0.1  # of the sweep in one pass
NOTED_MS = 5_000  # that a server answered is noted this often
SILENT_SECONDS = 10.0  # a server that has not answered for as long is shown as silent
DAY_MS = 86_400_000

# What a tracking server that is down, slow or broken may raise. OSError covers a database file that is gone.
TROUBLE = (MlflowException, RequestException, SQLAlchemyError, OSError, MonitorError)

Chunks = Iterator[tuple[Sequence[Any], int]]
Ahead = Iterator[tuple[int, Sequence[Any], int | None]]  # with when it was asked, in ms; at the end None


class ServerSync:
    """One tracking server, one pass at a time. `others`: the names of the other configured ones."""

    def __init__(
        self, store: Store, server: MlflowServer, settings: SyncSettings, others: Collection[str] = ()
    ) -> None:
        # MLflow's own would be four minutes for a server that is down, and two for each question of one that hangs.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        self.server = server
        self._store, self._settings = store, settings
        self._intake = Intake(store, server, others)
        self._source: RunSource | None = None
        self._experiments: dict[str, Experiment] = {}
        self._newest = 0
        self._seen, self._seen_recent, self._swept = object(), object(), object()  # stamps
        self._recent_due = 0.0
        self._noted: tuple[int, str | None] = (0, None)
        self._asked: float | None = None  # monotonic: since when an answer is waited for
        with store.write() as conn:
            tracking.know_server(conn, server.name, server.uri, list(server.aliases))
            self._at = tracking.server_named(conn, server.name)
        self._sweep_due = time.monotonic() + self._until_sweep()
        self._chunks: Ahead | None = None  # of the sweep
        self._loading: Iterator[int] | None = None

    @property
    def loaded(self) -> bool:
        """Whether the first load is over: before that, a pass loads for some seconds."""
        return self._at["loaded_time"] is not None

    @property
    def progress(self) -> tuple[int, int | None]:
        """How many runs the first load has taken in, and of how many, if that is known."""
        return self._at["loaded_runs"] or 0, self._at["total_runs"]

    @property
    def error(self) -> str | None:
        """What kept the last pass from being made."""
        return self._noted[1]

    def poll(self, now: int) -> int:
        """One pass; how many runs it changed. A server in trouble is noted in the store, not raised."""
        changed = self.read(now)
        self.list_files(now)
        return changed

    def read(self, now: int) -> int:
        """`poll` without the files of the runs."""
        self._asked = time.monotonic()
        try:
            changed = self._pass(now)
        except TROUBLE as exc:
            self._chunks = self._loading = self._source = None
            self._note(now, _told(exc))
            return 0
        finally:
            self._asked = None
        self._note(now, None)
        return changed

    def list_files(self, now: int) -> int:
        """The files of runs that are over, for a second at most; of how many runs."""
        try:
            return self._intake.list_files(self._recent_since(now))
        except TROUBLE as exc:
            logger.warning("MLflow server %s: no files: %s", self.server.name, _told(exc))
            return 0

    def note_silence(self, now: int) -> None:
        """Note in the store that a pass which is under way, in another thread, waits for an answer."""
        asked = self._asked
        if asked is not None and (silent := time.monotonic() - asked) > SILENT_SECONDS:
            self._note(now, f"it has not answered for {silent:.0f} s")

    def _note(self, now: int, error: str | None) -> None:
        if self._noted[1] == error and 0 <= now - self._noted[0] < NOTED_MS:
            return
        if error is not None and error != self._noted[1]:
            logger.warning("MLflow server %s (%s): %s", self.server.name, tracking.plain(self.server.uri), error)
        with self._store.write() as conn:
            tracking.synced(conn, self.server.name, now, error)
        self._noted = (now, error)

    def _pass(self, now: int) -> int:
        if self._source is None:
            self._source = _source(self.server)
        stamp = self._source.stamp()
        changed = 0
        if stamp is None or stamp != self._seen:
            changed += self._news(self._source, now)
            self._seen = stamp
        if time.monotonic() >= self._recent_due:
            if stamp is None or stamp != self._seen_recent:
                changed += self._recent(self._source, now)
                self._seen_recent = stamp
            self._recent_due = time.monotonic() + self._settings.recent_interval_seconds
        return changed + (self._sweep(self._source, now, stamp) if self.loaded else self._load(self._source, now))

    def _news(self, source: RunSource, now: int) -> int:
        self._sync_experiments(source)
        changed, as_of = 0, now_ms()
        for runs in source.fresh(min(self._newest or now, now) - OVERLAP_MS):
            changed += self._take_in(runs, as_of, now)
            as_of = now_ms()
        with self._store.read() as conn:
            followed = runs_to_follow(conn, self.server.name, FOLLOWED)
        return changed + self._take_in(source.again(followed), as_of, now)

    def _recent(self, source: RunSource, now: int) -> int:
        as_of = now_ms()
        registered = self._intake.take_in_versions(source.registered_versions())
        if not self.loaded:
            return 0
        changed = self._take_in(source.again(registered), as_of, now)
        as_of = now_ms()
        for runs, _ in source.chunks(since=self._recent_since(now)):
            changed += self._take_in(runs, as_of, now)
            as_of = now_ms()
        return changed

    def _load(self, source: RunSource, now: int) -> int:
        """Some seconds of the first load."""
        if self._loading is None:
            self._at["total_runs"] = source.count()
            self._loading = self._loads(source, self._at["loaded_until"])
        changed, deadline = 0, time.monotonic() + LOAD_SECONDS
        for each in self._loading:
            changed += each
            if time.monotonic() > deadline:
                break
        else:
            self._advance(loaded_time=now, sweep_began=now)
            self._loading, self._sweep_due = None, time.monotonic() + self._settings.sweep_interval_seconds
        logger.info("MLflow server %s: %s of %s runs loaded", self.server.name, *self.progress)
        return changed

    def _loads(self, source: RunSource, until: int | None) -> Iterator[int]:
        """The first load, a chunk at each step; how many runs that changed."""
        if url := self.server.database_url():
            for batch in read_apart(url, self.server.name, tracking.plain(self.server.uri), until):
                yield self._take_in_new(source, batch)
            return
        for as_of, runs, ended in _ahead(source.chunks(until=until)):
            if ended is None:
                return
            yield self._take_in(runs, as_of, now_ms(), **self._loaded(len(runs), ended))

    def _take_in_new(self, source: RunSource, batch: Batch) -> int:
        self._asked, as_of = None, now_ms()  # it has answered
        progress = self._loaded(len(batch.runs), batch.until)
        self._at |= progress
        since = self._recent_since(as_of)
        known = self._intake.take_in_new(batch.runs, batch.experiments, list_since=since, **progress)
        changed = len(batch.runs) - len(known)
        self._asked = time.monotonic()
        # What a journal, or an earlier pass, has told of is rare, and takes the usual way.
        return changed + (self._take_in(source.again(sorted(known)), as_of, as_of) if known else 0)

    def _loaded(self, runs: int, until: int) -> dict[str, int | None]:
        got = (self._at["loaded_runs"] or 0) + runs
        return {"loaded_until": until, "loaded_runs": got, "total_runs": self._at["total_runs"]}

    def _sweep(self, source: RunSource, now: int, stamp: Any) -> int:
        """A little of the sweep, if one is due or under way."""
        if self._chunks is None:
            self._begin_sweep(source, now, stamp)
        changed, deadline = 0, time.monotonic() + SWEEP_SECONDS
        while self._chunks is not None:
            as_of, runs, until = next(self._chunks)
            changed += self._take_in(runs, as_of, now)
            if until is None:
                self._end_sweep(now)
            elif time.monotonic() > deadline:
                self._advance(sweep_began=self._at["sweep_began"], sweep_until=until)
                break
        return changed

    def _begin_sweep(self, source: RunSource, now: int, stamp: Any) -> None:
        if time.monotonic() < self._sweep_due or (stamp is not None and stamp == self._swept):
            return
        if self._at["sweep_until"] is None:
            self._at["sweep_began"] = now
        self._chunks, self._sweep_stamp = _ahead(source.chunks(until=self._at["sweep_until"])), stamp

    def _end_sweep(self, now: int) -> None:
        began = self._at["sweep_began"] or now
        self._chunks, self._swept = None, self._sweep_stamp
        self._advance(sweep_began=began, sweep_until=None, sweep_ms=max(0, now_ms() - began))
        self._sweep_due = time.monotonic() + self._settings.sweep_interval_seconds

    def _until_sweep(self) -> float:
        """Seconds. One that was interrupted goes on at once."""
        if self._at["sweep_until"] is not None or self._at["sweep_began"] is None:
            return 0.0
        past_ms: int = now_ms() - self._at["sweep_began"]
        return max(0.0, self._settings.sweep_interval_seconds - past_ms / 1_000)

    def _take_in(self, runs: Sequence[Any], as_of: int, now: int, **progress: int | None) -> int:
        self._asked = None  # it has answered
        self._at |= progress
        self._newest = max([self._newest, *(each["start_time"] or 0 for each in runs)])
        changed = self._intake.take_in(runs, as_of, list_since=self._recent_since(now), **progress)
        self._asked = time.monotonic()
        return changed

    def _advance(self, **progress: int | None) -> None:
        self._at |= progress
        with self._store.write() as conn:
            tracking.note_progress(conn, self.server.name, **progress)

    def _recent_since(self, now: int) -> int:
        return now - int(self._settings.recent_days * DAY_MS)

    def _sync_experiments(self, source: RunSource) -> None:
        found = source.experiments()
        changed = [each for key, each in found.items() if each != self._experiments.get(key)]
        if changed:
            with self._store.write() as conn:
                for each in changed:
                    take_in_experiment(conn, each, server=self.server.name)
        self._experiments = found


def _source(server: MlflowServer) -> RunSource:
    if url := server.database_url():
        return TrackingDatabase(url)
    return TrackingServer(server.client_uri())


def _ahead(chunks: Chunks) -> Ahead:
    """Each chunk, the next one being read while it is written."""

    def step() -> tuple[int, Sequence[Any], int | None]:
        asked = now_ms()
        runs, until = next(chunks, ((), None))
        return asked, runs, until

    with ThreadPoolExecutor(1, "afterglow-read-ahead") as thread:
        coming = thread.submit(step)
        while True:
            found = coming.result()
            coming = thread.submit(step)
            yield found


def _told(exc: Exception) -> str:
    return hushed(str(exc).splitlines()[0] if str(exc) else repr(exc))
