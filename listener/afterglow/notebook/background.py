"""One thread for each source that may hang: an MLflow server, Spark's JVM, Monitor, the front end."""

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("afterglow")

Step = Callable[[], float | None]

SLOW_SECONDS = 5.0  # after which whoever waits is told


class Background:
    """Calls `step` on a daemon thread of its own, when it is woken and after as many seconds as the step says;
    after None only when it is woken. What a step raises is logged, and costs that call alone."""

    def __init__(self, name: str, step: Step) -> None:
        self._name, self._step = name, step
        self._changed = threading.Condition()
        self._asked = self._answered = 0
        self._began: float | None = None  # monotonic, while the step is at work
        self._thread: threading.Thread | None = None

    def wake(self) -> int:
        """Have the step called soon. Never waits for it; the number is for `wait`."""
        with self._changed:
            self._asked += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"afterglow-{self._name}", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            return self._asked

    def wait(self, number: int, seconds: float) -> bool:
        """Whether a call of the step that began after this `wake` was over within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._answered >= number, max(0.0, seconds))

    @property
    def hangs(self) -> bool:
        """Whether the step has been at work for longer than anybody should wait."""
        began = self._began
        return began is not None and time.monotonic() - began > SLOW_SECONDS

    def _work(self) -> None:
        pause: float | None = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._answered, pause)
                asked, self._began = self._asked, time.monotonic()
            pause = self._call()
            with self._changed:
                self._answered, self._began = asked, None
                self._changed.notify_all()

    def _call(self) -> float | None:
        try:
            return self._step()
        except Exception:
            logger.info("Afterglow: %s could not be read for the notebook", self._name, exc_info=True)
            return 5.0
