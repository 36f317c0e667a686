"""Sync: what the MLflow tracking servers know, into the store.

Each pass reads new runs and those that are RUNNING; every half minute what started within the hour, for edits, and what
is registered; and then a little of the recent days, or of the slow sweep over all runs, for what was edited or deleted
long after: MLflow has no "changed since". None of it takes more than its share of the time: docs/sync.md. At first all
runs are loaded, the newest first; the store keeps where that, or the sweep, got to.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from mlflow.exceptions import MlflowException
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from afterglow_monitor.clock import now_ms
from afterglow_monitor.errors import MonitorError
from afterglow_monitor.secrets import hushed
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.syncing.experiments import Experiments
from afterglow_monitor.syncing.intake import Intake
from afterglow_monitor.syncing.reading import Batch, read_apart, uncollected
from afterglow_monitor.syncing.rereading import Chunks, Missing, Reading
from afterglow_monitor.syncing.sources import RunSource
from afterglow_monitor.syncing.tracking_database import TrackingDatabase
from afterglow_monitor.syncing.turns import Followed, Turn
from afterglow_monitor.syncing.workspaces import asked_server
from afterglow_store import Store, bulk, tracking
from afterglow_store.comparing import newest_start, runs_to_follow

logger = logging.getLogger(__name__)

GLANCE_MS = 60_000  # a pass looks so far back for new runs: one may start before it is created, and clocks differ
HOUR_MS = 3_600_000  # and now and then so far
FOLLOWED = 1_000  # of the runs that are RUNNING, the newest so many are asked for at each pass
LOOKED_FOR = 20  # runs that a sweep missed, at a time
LOAD_SECONDS = 2.0  # of the first load, before new runs are looked for again
SWEEP_SECONDS = 0.1  # of the sweep in one pass
ASKING = 0.1  # of the time of a server that cannot tell whether anything was written may go to asking it for news …
ASKING_REST_SECONDS = 30.0  # … but it is asked again after so long, however long the last answer took
TROUBLE_SECONDS = 5.0  # until a server that did not answer is asked again
LAZY_SECONDS = 1.0  # where nothing has changed for QUIET_SECONDS, it is asked so much later
QUIET_SECONDS = 60.0
NOTED_MS = 30_000  # that a server answered is noted this often
SILENT_SECONDS = 10.0  # a server that has not answered for as long is shown as silent
DAY_MS = 86_400_000

# What a tracking server that is down, slow or broken may raise. OSError covers a database file that is gone.
TROUBLE = (MlflowException, RequestException, SQLAlchemyError, OSError, MonitorError)

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
        self._seen, self._seen_recent = object(), object()  # stamps
        self._noted: tuple[int, str | None] = (0, None)
        self._asked: float | None = None  # monotonic: since when an answer is waited for
        with store.write() as conn:
            tracking.know_server(conn, server.name, server.uri, list(server.aliases))
            self._at = tracking.server_named(conn, server.name)
            self._newest = newest_start(conn, server.name, now_ms())
        self._experiments = Experiments(store, server.name, self._at["replaced_time"])
        self._next = Turn(settings.interval_seconds, ASKING, most=ASKING_REST_SECONDS)
        self._changed = time.monotonic()
        self._followed = Followed()
        self._ended_since: int | None = None  # ms
        self._recent_next = Turn(settings.recent_interval_seconds, settings.share)
        self._days = Reading(settings.recent_interval_seconds, settings.share)
        self._sweep = Reading(settings.sweep_interval_seconds, settings.share)
        self._sweep.wait(self._until_sweep())
        self._missing = Missing(store, server.name)
        self._loading: Iterator[int] | None = None  # the first load

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

    def tick(self, now: int) -> None:
        """`read`, if it is time for it."""
        if not self.loaded or self._next.due(early=self._settings.interval_seconds / 4):
            self.read(now)

    def poll(self, now: int) -> int:
        """One pass, and all of the recent days; how many runs it changed. A server in trouble is noted in the store,
        not raised."""
        changed = self.read(now, recent_days=True)
        self.list_files(now)
        return changed

    def read(self, now: int, *, recent_days: bool = False) -> int:
        """`poll` without the files of the runs, and of the recent days a little, unless all are wanted."""
        self._asked = began = time.monotonic()
        try:
            changed = self._pass(now, began, recent_days=recent_days)
        except TROUBLE as exc:
            self._loading = self._source = None
            self._days.stop()
            self._sweep.stop()
            self._next.wait(TROUBLE_SECONDS)
            self._note(now, _told(exc))
            if not self.loaded and self._at["loaded_until"] is not None:  # it may take long before that goes on
                bulk.make_missing(self._store)
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

    def _pass(self, now: int, began: float, *, recent_days: bool) -> int:
        if self._source is None:
            self._source = source_of(self.server)
        source, stamp = self._source, self._source.stamp()
        changed = 0
        if stamp is None or stamp != self._seen:
            changed += self._news(source, now, can_tell=stamp is not None)
            self._seen = stamp
        self._ask_again(began, anything=changed > 0, can_tell=stamp is not None)
        if self._recent_next.due():
            recent_began = time.monotonic()
            if stamp is None or stamp != self._seen_recent:
                changed += self._recent(source, now, can_tell=stamp is not None)
                self._seen_recent = stamp
            self._recent_next.taken(recent_began)
        if not self.loaded:
            return changed + self._load(source, now)
        return changed + self._reread(source, now, stamp, recent_days=recent_days)

    def _ask_again(self, began: float, *, anything: bool, can_tell: bool) -> None:
        self._changed = began if anything else self._changed
        quiet = began - self._changed > QUIET_SECONDS
        self._next.taken(began, later=LAZY_SECONDS if quiet and not can_tell else 0.0)

    def _news(self, source: RunSource, now: int, *, can_tell: bool) -> int:
        self._experiments.sync(source, now)
        changed, as_of = 0, now_ms()
        for runs in source.fresh(self._glance(now)):
            changed += self._take_in(runs, as_of, now)
            as_of = now_ms()
        with self._store.read() as conn:
            followed = runs_to_follow(conn, self.server.name, FOLLOWED)
        running = list(followed) if can_tell else self._followed.due(followed, now)
        return changed + self._take_in(source.again(running), as_of, now)

    def _glance(self, now: int) -> int:
        """Back to the newest run that is known; its very millisecond as well, and what may have been late."""
        return min(self._newest or now - HOUR_MS, now - GLANCE_MS)

    def _recent(self, source: RunSource, now: int, *, can_tell: bool) -> int:
        as_of = now_ms()
        registered = self._intake.take_in_versions(source.registered_versions())
        if not self.loaded:
            return 0
        changed = self._take_in(source.again(registered), as_of, now)
        changed += self._read_all(source.chunks(since=now - HOUR_MS), now)
        if not can_tell:  # of those that are RUNNING, not all were asked for
            ended_since, self._ended_since = self._ended_since or now - HOUR_MS, now - GLANCE_MS
            changed += self._read_all(source.chunks(ended_since=ended_since), now)
        return changed

    def _read_all(self, chunks: Chunks, now: int) -> int:
        changed, as_of = 0, now_ms()
        for runs, _ in chunks:
            changed += self._take_in(runs, as_of, now)
            as_of = now_ms()
        return changed

    def _load(self, source: RunSource, now: int) -> int:
        """Some seconds of the first load."""
        if self._loading is None:
            self._at["total_runs"] = source.count()
            bulk.before_load(self._store, self._at["total_runs"] or 0)
            self._loading = self._loads(source, self._at["loaded_until"])
        changed, deadline = 0, time.monotonic() + LOAD_SECONDS
        loading, self._loading = self._loading, None  # broken off, it would go on with nothing, as if at its end
        with uncollected(), bulk.checkpointing(self._store):
            for each in loading:
                changed += each
                if time.monotonic() > deadline:
                    self._loading = loading
                    bulk.meanwhile(self._store, self.progress[0])
                    break
            else:
                bulk.after_load(self._store)
                self._advance(loaded_time=now, sweep_began=now)
                self._sweep.wait(self._settings.sweep_interval_seconds)
        logger.info("MLflow server %s: %s of %s runs loaded", self.server.name, *self.progress)
        return changed

    def _loads(self, source: RunSource, until: int | None) -> Iterator[int]:
        """The first load, a chunk at each step; how many runs that changed."""
        if url := self.server.database_url():
            batches = read_apart(url, self.server.name, tracking.plain(self.server.uri), until)
            yield from map(partial(self._take_in_new, source), batches)  # which keeps none of them
            return
        for as_of, runs, ended in _ahead(source.chunks(until=until)):
            if ended is None:
                return
            yield self._take_in(runs, as_of, now_ms(), **self._loaded(len(runs), ended))

    def _take_in_new(self, source: RunSource, batch: Batch) -> int:
        self._asked, as_of = None, now_ms()  # it has answered
        progress = self._loaded(len(batch.runs), batch.until)
        since = self._recent_since(as_of)
        known = self._intake.take_in_new(batch.runs, batch.experiments, list_since=since, **progress)
        self._at |= progress  # now that it is written
        self._newest = max([self._newest, *(start or 0 for start in batch.runs.column("start_time"))])
        changed = len(batch.runs) - len(known)
        self._asked = time.monotonic()
        # What a journal, or an earlier pass, has told of is rare, and takes the usual way.
        return changed + (self._take_in(source.again(sorted(known)), as_of, as_of) if known else 0)

    def _loaded(self, runs: int, until: int) -> dict[str, int | None]:
        got = (self._at["loaded_runs"] or 0) + runs
        return {"loaded_until": until, "loaded_runs": got, "total_runs": self._at["total_runs"]}

    def _reread(self, source: RunSource, now: int, stamp: Any, *, recent_days: bool) -> int:
        """A little of the recent days, or of the sweep, whichever is due."""
        changed = 0
        if self._missing.found:
            changed += self._look_for_missing(source, now)
        if recent_days or (not self._sweep.wants(stamp) and self._days.wants(stamp)):
            if not self._days.under_way:
                self._days.begin(source.chunks(since=self._recent_since(now)), stamp)
            for as_of, runs, _ in self._days.slice(float("inf") if recent_days else SWEEP_SECONDS):
                changed += self._take_in(runs, as_of, now)
        if self._sweep.wants(stamp):
            changed += self._sweep_on(source, now, stamp)
        return changed

    def _sweep_on(self, source: RunSource, now: int, stamp: Any) -> int:
        changed, reached = 0, self._at["sweep_until"]
        if not self._sweep.under_way:
            self._at["sweep_began"] = now if reached is None else self._at["sweep_began"]
            self._sweep.begin(source.chunks(until=reached), stamp)
            self._missing.begin(reached)
        for as_of, runs, until in self._sweep.slice(SWEEP_SECONDS):
            changed += self._take_in(runs, as_of, now)
            self._missing.met(runs, until, self._experiments.replaced_time)
            reached = until
        if reached is None:
            took = max(0, now_ms() - (self._at["sweep_began"] or now))
            self._advance(sweep_began=self._at["sweep_began"], sweep_until=None, sweep_ms=took)
        else:
            self._advance(sweep_began=self._at["sweep_began"], sweep_until=reached)
        return changed

    def _look_for_missing(self, source: RunSource, now: int) -> int:
        """Ask, for a moment, of each run that the sweep did not meet whether it is gone for good."""
        self._experiments.sync(source, now, anew=True)
        changed, deadline = 0, time.monotonic() + SWEEP_SECONDS
        while self._missing.found and self._experiments.recognised and time.monotonic() < deadline:
            some, as_of = self._missing.some(LOOKED_FOR), now_ms()
            with self._store.read() as conn:
                of_workspaces = tracking.workspaces_of(conn, some)
            changed += self._intake.take_in_purged(source.purged(of_workspaces), as_of)
            self._missing.asked(some)
        return changed

    def _until_sweep(self) -> float:
        """Seconds. One that was interrupted goes on at once."""
        if self._at["sweep_until"] is not None or self._at["sweep_began"] is None:
            return 0.0
        past_ms: int = now_ms() - self._at["sweep_began"]
        return max(0.0, self._settings.sweep_interval_seconds - past_ms / 1_000)

    def _take_in(self, runs: Sequence[Any], as_of: int, now: int, **progress: int | None) -> int:
        self._asked = None  # it has answered
        changed = self._intake.take_in(runs, as_of, list_since=self._recent_since(now), **progress)
        self._at |= progress
        self._newest = max([self._newest, *(each["start_time"] or 0 for each in runs)])
        self._asked = time.monotonic()
        return changed

    def _advance(self, **progress: int | None) -> None:
        with self._store.write() as conn:
            tracking.note_progress(conn, self.server.name, **progress)
        self._at |= progress

    def _recent_since(self, now: int) -> int:
        return now - int(self._settings.recent_days * DAY_MS)


def source_of(server: MlflowServer) -> RunSource:
    if url := server.database_url():
        return TrackingDatabase(url)
    return asked_server(server.client_uri())


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
