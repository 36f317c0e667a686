"""The hook's one background thread: reads runs from MLflow and hands events to the journals, off the job's thread."""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("afterglow")

MAX_QUEUED = 10_000
# Reading from MLflow takes Python's lock from the job's thread and the server's time from its requests, and the job
# is most likely in the middle of start_run just then. So steps wait until nothing was put for a while.
QUIET_SECONDS = 0.15
MAX_WAIT_SECONDS = 2.0  # of a job that makes one run after the other

# A step does its own reading and recording. It is told whether there is time to read from MLflow: at exit
# there is not. It may raise; that costs only itself.
Step = Callable[[bool], None]


class Recorder:
    """Runs steps in the order in which they were put, on a daemon thread that starts with the first.

    `put` never blocks: beyond 10,000 waiting steps it drops, counts in `dropped`, and says so once. Whoever puts a step
    knows of which application it is, and counts it there.
    """

    def __init__(self, max_queued: int = MAX_QUEUED) -> None:
        self.dropped = 0
        self._max_queued = max_queued
        # SimpleQueue, since its put() may be interrupted by a signal handler that puts as well.
        self._steps: queue.SimpleQueue[Step | None] = queue.SimpleQueue()
        self._running: Step | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._handover = threading.Lock()
        self._closed = False
        self._caught_up = True  # what comes next has to wait for quiet
        self._last_put = 0.0  # by the monotonic clock
        self._hurry = threading.Event()

    def put(self, step: Step) -> bool:
        """Queue one step; False if it was dropped."""
        if self._steps.qsize() >= self._max_queued:
            if self.dropped == 0:
                logger.warning("Afterglow loses events: more than %d are waiting to be recorded", self._max_queued)
            self.dropped += 1
            return False
        self._last_put = time.monotonic()
        self._steps.put(step)
        if self._thread is None:
            self._start()
        return True

    def close(self, seconds: float) -> None:
        """Finish what is queued within `seconds`; what is left then is recorded without asking MLflow."""
        deadline = time.monotonic() + seconds
        self._steps.put(None)
        self._hurry.set()
        if self._thread is not None:
            self._thread.join(seconds)
        with self._handover:
            self._closed = True
            stuck = self._running
        if stuck is not None:
            run_step(stuck, may_read=False)
        while time.monotonic() < deadline + seconds:
            try:
                step = self._steps.get_nowait()
            except queue.Empty:
                return
            if step is not None:
                run_step(step, may_read=False)

    def wait_until_idle(self, seconds: float) -> bool:
        """Whether all that was put before this call was done within `seconds`; begins it at once."""
        done = threading.Event()

        def finish(may_read: bool) -> None:
            self._hurry.clear()
            done.set()

        self._hurry.set()
        return self.put(finish) and done.wait(seconds)

    @property
    def thread(self) -> threading.Thread | None:
        """The background thread, once there is one."""
        return self._thread

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="afterglow-recorder", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no room for one, or the interpreter exits: `close` does what is queued
                    return
                self._thread = thread

    def _work(self) -> None:
        while (step := self._next()) is not None:
            run_step(step, may_read=True)
            self._running = None

    def _next(self) -> Step | None:
        step = self._steps.get()
        if self._caught_up:
            self._await_quiet()
        self._caught_up = self._steps.empty()
        with self._handover:
            if not self._closed:
                self._running = step
                return step
        if step is not None:
            run_step(step, may_read=False)
        return None

    def _await_quiet(self) -> None:
        latest = time.monotonic() + MAX_WAIT_SECONDS
        while (left := min(self._last_put + QUIET_SECONDS, latest) - time.monotonic()) > 0:
            if self._hurry.wait(left):
                return


def run_step(step: Step, *, may_read: bool) -> None:
    """Run one step; its error costs that step alone."""
    try:
        step(may_read)
    except Exception:
        logger.warning("Afterglow could not record an event (process %d)", os.getpid(), exc_info=True)
