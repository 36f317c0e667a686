"""When something that is done again and again is due, so that it never takes more than a share of the time."""

from __future__ import annotations

import time


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
    SLOWER = 1.25  # a run that was asked for in vain waits so many times as long as before
    FIRST_SECONDS, LONGEST_SECONDS = 1.0, 600.0

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, float, float]] = {}  # by run id: what it was, its wait, when it is due

    def due(self, run_ids: list[str]) -> list[str]:
        """Those of them, the newest first, whose turn it is."""
        self._known = {each: self._known[each] for each in run_ids if each in self._known}
        now = time.monotonic()
        return [each for nth, each in enumerate(run_ids) if nth < self.ALWAYS or self._due(each) <= now]

    def seen(self, run_id: str, as_it_is: int) -> None:
        """It was asked for. `as_it_is`: a hash of all that was said of it."""
        before, wait, _ = self._known.get(run_id, (None, 0.0, 0.0))
        wait = min(self.LONGEST_SECONDS, wait * self.SLOWER) if before == as_it_is else self.FIRST_SECONDS
        self._known[run_id] = (as_it_is, wait, time.monotonic() + wait)

    def _due(self, run_id: str) -> float:
        return self._known[run_id][2] if run_id in self._known else 0.0
