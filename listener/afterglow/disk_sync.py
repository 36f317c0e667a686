"""Has what is written to a file on the disk within a few seconds, on a thread of its own: a disk may take its time."""

import logging
import os
import threading

logger = logging.getLogger("afterglow")

SYNC_SECONDS = 5.0


class DiskSync:
    """Of one open file. The daemon thread starts with the first write and waits for nothing when there is none."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._changed = threading.Condition()
        self._written = self._synced = 0  # writes
        self._hurry = self._failed = False
        self._thread: threading.Thread | None = None

    def written(self) -> None:
        """Something was written just now. Returns at once."""
        with self._changed:
            self._written += 1
            self._changed.notify_all()
        if self._thread is None:
            self._start()

    def hurry(self) -> None:
        """Begin at once with what was written; returns before it is done."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Whether all that was written before is on the disk, after waiting for at most `seconds`."""
        self.hurry()
        with self._changed:
            goal = self._written
            return self._changed.wait_for(lambda: self._synced >= goal or self._failed, seconds) and not self._failed

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="afterglow-disk", daemon=True)
        try:
            thread.start()
            self._thread = thread
        except RuntimeError:  # the interpreter exits, and starts no thread any more
            self._sync()

    def _work(self) -> None:
        while not self._failed:
            with self._changed:
                self._changed.wait_for(lambda: self._written > self._synced)
                self._changed.wait_for(lambda: self._hurry, SYNC_SECONDS)
                self._hurry = False
            self._sync()

    def _sync(self) -> None:
        goal = self._written
        try:
            os.fsync(self._file)
        except OSError as error:
            logger.warning("Afterglow's journal may miss its end if this machine goes down: %s", error)
            self._failed = True
        with self._changed:
            self._synced = goal
            self._changed.notify_all()
