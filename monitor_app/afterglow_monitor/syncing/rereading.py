"""Reading runs again that were read before, a little at a time: for what was changed in them, or what is gone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from afterglow_monitor.clock import now_ms
from afterglow_monitor.syncing.turns import Turn
from afterglow_store import Store
from afterglow_store.comparing import runs_between

Chunks = Iterator[tuple[Sequence[Any], int]]
_LATEST = 2**63 - 1


class Reading:
    """The runs of some window, the newest first, every `every` seconds; slice by slice, with rests between them so that
    they take no more than a share of the time."""

    def __init__(self, every: float, share: float) -> None:
        self._cycle, self._slice = Turn(every, 1.0), Turn(0.0, share)
        self._chunks: Chunks | None = None
        self._began = 0.0
        self._stamp, self._read = object(), object()

    @property
    def under_way(self) -> bool:
        return self._chunks is not None

    def wait(self, seconds: float) -> None:
        self._cycle.wait(seconds)

    def wants(self, stamp: Any) -> bool:
        """Whether it is time for a slice. Nothing has to be read again under the same stamp; None is none."""
        if self._chunks is None and (not self._cycle.due() or (stamp is not None and stamp == self._read)):
            return False
        return self._slice.due()

    def begin(self, chunks: Chunks, stamp: Any) -> None:
        self._chunks, self._stamp, self._began = chunks, stamp, time.monotonic()

    def stop(self) -> None:
        """Go on with `begin` another time."""
        self._chunks = None

    def slice(self, seconds: float) -> Iterator[tuple[int, Sequence[Any], int | None]]:
        """Chunks for some seconds, each with when it was asked for (ms) and where it ended; at the end of all, None."""
        began = time.monotonic()
        while self._chunks is not None:
            asked = now_ms()
            found = next(self._chunks, None)
            if found is None:
                self._end()
                yield asked, (), None
            else:
                yield asked, *found
            if time.monotonic() - began >= seconds:
                break
        self._slice.taken(began)

    def _end(self) -> None:
        self._chunks, self._read = None, self._stamp
        self._cycle.taken(self._began)


class Missing:
    """The runs that the store has and a sweep did not meet: whether they are gone for good is to be asked of each."""

    def __init__(self, store: Store, server: str) -> None:
        self._store, self._server = store, server
        self._before, self._ahead = _LATEST, dict[str, int]()  # runs that were met, with a start that is yet to come
        self.found: deque[str] = deque()

    def begin(self, until: int | None) -> None:
        """A sweep begins, or goes on, with the runs that started at `until` (ms)."""
        self._before, self._ahead = _LATEST if until is None else until, {}

    def met(self, runs: Sequence[Any], until: int | None, since: int) -> None:
        """It met `runs`, and with them all down to `until`, of which millisecond more may come; None is the end.

        `since` (ms): what the store has not heard of since then is left alone.
        """
        met = self._ahead | {each["run_id"]: each["start_time"] or 0 for each in runs}
        after = until or 0
        with self._store.read() as conn:
            known = runs_between(conn, self._server, after, self._before, since)
        self.found.extend(known - met.keys() - set(self.found))
        self._ahead = {run_id: start for run_id, start in met.items() if start <= after}
        self._before = after

    def some(self, most: int) -> list[str]:
        """The first of those that were found."""
        return list(islice(self.found, most))

    def asked(self, run_ids: Sequence[str]) -> None:
        """The first of them were asked for."""
        for _ in run_ids:
            self.found.popleft()
