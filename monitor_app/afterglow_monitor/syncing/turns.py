"""When something that is done again and again is due, so that it never takes more than a share of the time."""

from __future__ import annotations

import time
from collections.abc import Mapping


class Turn:
    """Due every `every` seconds from one beginning to the next, and not before it has rested: what takes one second is
    done with a share of 0.1 every ten. `most` bounds the rest, in seconds."""

    def __init__(self, every: float, share: float, most: float = float("inf")) -> None:
        self._every, self._rest, self._most = every, 1 / share - 1, most
        self._due = 0.0

    def due(self, early: float = 0.0) -> bool:
        """Whether it is due, or will be within `early` seconds."""
        return time.monotonic() + early >= self._due

    def wait(self, seconds: float) -> None:
        """Not due before so many seconds from now."""
        self._due = time.monotonic() + seconds

    def taken(self, began: float, later: float = 0.0) -> None:
        """It was done, from `began` (monotonic seconds) until now; the next time may be `later` by so many seconds."""
        now = time.monotonic()
        self._due = max(began + self._every + later, now + min(self._most, (now - began) * self._rest))


class Followed:
    """Which of the runs that are RUNNING to ask a server for that cannot tell whether anything was written: the newest
    at every pass; of the others each the more rarely, the longer it has stayed as it was."""

    ALWAYS = 10  # of the newest: they cost 3 ms of a processor
    WAIT = 0.25  # of the time for which a run has not changed
    LONGEST_MS = 600_000

    def __init__(self) -> None:
        self._asked: dict[str, int] = {}  # when, in ms, by run id

    def due(self, runs: Mapping[str, int], now: int) -> list[str]:
        """Those of them whose turn it is at `now` (ms): it is taken. `runs`: the newest first, with when each had last
        changed (ms)."""
        some = [run_id for nth, run_id in enumerate(runs) if nth < self.ALWAYS or self._due(run_id, runs[run_id], now)]
        self._asked = {run_id: self._asked.get(run_id, now) for run_id in runs} | dict.fromkeys(some, now)
        return some

    def _due(self, run_id: str, changed: int, now: int) -> bool:
        asked = self._asked.get(run_id)
        return asked is None or now - asked >= min(self.LONGEST_MS, self.WAIT * (now - changed))
