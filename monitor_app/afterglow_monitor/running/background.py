"""The background jobs of this process, each of which one process of all that share the store does at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from afterglow_monitor.clock import now_ms
from afterglow_monitor.running import process_id
from afterglow_monitor.secrets import hushed
from afterglow_store import Store
from afterglow_store.leases import LEASE_MS, Note, release, renew

logger = logging.getLogger(__name__)

RENEW_S = 5.0

T = TypeVar("T")
Looks = tuple[int | None, int | None]  # when (ms) the first complete look at journals began, and the last


class Job(Generic[T]):
    """What is done again and again, by the process that holds its lease. What remembers how far it is, is made anew
    each time that this process begins to hold it: another one may have gone further since."""

    def __init__(self, title: str, make: Callable[[], T], *, looks: Callable[[T], Looks] | None = None) -> None:
        self._make, self._looks = make, looks
        self._note = Note(title, listens=looks is not None)
        self._lock, self._making = threading.Lock(), threading.Lock()
        self._made: T | None = None
        self._until = 0.0  # monotonic

    @property
    def held(self) -> bool:
        return time.monotonic() < self._until

    def part(self, do: Callable[[T, int], object], *, timed: bool = True) -> Callable[[], None]:
        """What a scheduler calls: `do` with what was made, and the time in ms, if it is ours to do. Only what is
        `timed` is told of the job."""

        def run() -> None:
            made = self._get() if self.held else None
            if made is None:
                return
            now, began = now_ms(), time.monotonic()
            try:
                do(made, now)
            except Exception as exc:
                logger.exception("%s failed", self._note.title)
                self._failed(exc)
            else:
                self._done(now, began) if timed else None

        return run

    def hold(self, until: float | None) -> None:
        """It is ours until then (monotonic seconds), or another's."""
        with self._lock:
            if until is None or not self.held:
                self._made = None
            self._until = until or 0.0

    def take_note(self) -> Note:
        """How it went since the last note was taken."""
        with self._lock:
            note, self._note = self._note, replace(self._note, times=0, failures=0)
            looks = self._looks(self._made) if self._looks and self._made is not None else None
        return note if looks is None else replace(note, looked=looks[1], first_looked=looks[0])

    def give_back(self, note: Note) -> None:
        """It could not be told: count its times again."""
        with self._lock:
            times, failures = self._note.times + note.times, self._note.failures + note.failures
            self._note = replace(self._note, times=times, failures=failures)

    def _get(self) -> T | None:
        with self._making:  # not the other lock: it may take seconds, in which leases are renewed
            if self._made is None and self.held:
                self._made = self._make()
            return self._made

    def _done(self, now: int, began: float) -> None:
        took = int((time.monotonic() - began) * 1000)
        with self._lock:
            self._note = replace(self._note, began_time=now, took_ms=took, times=self._note.times + 1)

    def _failed(self, exc: Exception) -> None:
        said = hushed(f"{type(exc).__name__}: {exc}".splitlines()[0])[:500]
        with self._lock:
            failures = self._note.failures + 1
            self._note = replace(self._note, failures=failures, error=said, error_time=now_ms())


class Jobs:
    """All jobs of this process, by names that mean the same to all who share the store."""

    def __init__(self, store: Store, *, lease_ms: int = LEASE_MS, holder: str = "") -> None:
        self._store, self._lease_ms = store, lease_ms
        self.holder = holder or process_id.this_process()
        self._jobs: dict[str, Job[object]] = {}

    def add(self, name: str, job: Job[T]) -> Job[T]:
        self._jobs[name] = job  # type: ignore[assignment]  # whatever it makes is its own business
        return job

    def renew(self) -> set[str]:
        """Keep the jobs that are ours, and take those that are nobody's. Returns the names of ours."""
        began = time.monotonic()
        notes = {name: job.take_note() for name, job in self._jobs.items()}
        try:
            mine = renew(
                self._store, notes, holder=self.holder, host=process_id.host(), lease_ms=self._lease_ms,
                is_gone=process_id.is_gone,
            )  # fmt: skip
        except SQLAlchemyError as exc:  # what is ours stays so until its lease runs out
            logger.warning("the leases of background jobs cannot be renewed: %s", hushed(str(exc).splitlines()[0]))
            for name, note in notes.items():
                self._jobs[name].give_back(note)
            return {name for name, job in self._jobs.items() if job.held}
        for name, job in self._jobs.items():
            job.hold(began + self._lease_ms / 1000 if name in mine else None)
            if name not in mine:
                job.give_back(notes[name])
        return mine

    def release(self) -> None:
        """Let others have them at once."""
        for job in self._jobs.values():
            job.hold(None)
        release(self._store, self.holder)
