"""Sends the hook's own journal to the collector while it grows, on a daemon thread that nothing waits for."""

import logging
import random
import threading
import time
from pathlib import Path

from afterglow.collector import REQUEST_SECONDS, Collector
from afterglow.ship import Shipment, ship, wait_before, within

logger = logging.getLogger("afterglow")

INTERVAL_SECONDS = 1.0


class Uploader:
    """Of one journal; once the collector answers, those that dead drivers left in its folder follow."""

    def __init__(self, journal: Path, collector: Collector) -> None:
        self._shipment = Shipment(journal, collector)
        self._collector = collector
        self._finishing = threading.Event()
        self._finished = threading.Event()
        self._deadline = 0.0  # monotonic
        self._searched = False
        self._warned = False
        self._thread = threading.Thread(target=self._work, name="afterglow-upload", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, seconds: float) -> int | None:
        """Send what is left within `seconds`. How many bytes the collector has then; None if not all."""
        self._deadline = time.monotonic() + seconds
        self._finishing.set()
        return self._shipment.confirmed if self._finished.wait(seconds) else None

    def _work(self) -> None:
        failures = 0
        while not self._finished.is_set():
            try:
                pause = self._turn()
                failures = 0
            except Exception as why:  # noqa: BLE001 - whatever it is, it may be over at the next try
                self._warn(why)
                pause = wait_before(failures, random.random())  # noqa: S311 - no secret
                failures += 1
            self._wait(pause)

    def _turn(self) -> float:
        """Send a chunk, if there is one. Seconds to wait before the next turn."""
        if not self._shipment.is_done():
            self._shipment.send(within(self._deadline) if self._finishing.is_set() else REQUEST_SECONDS)
            return 0
        if self._finishing.is_set():
            self._finished.set()
        elif self._shipment.confirmed and not self._searched:
            self._searched = self._ship_others()
        return INTERVAL_SECONDS

    def _ship_others(self) -> bool:
        """Whether it went through all of them: not where our own has more to say, or the collector does not answer."""
        folder = self._shipment.journal.parent
        done = ship(folder, self._collector, self._may_ship_others)
        if done.failed is not None or not self._may_ship_others():
            return False
        if refused := done.refused:
            name, why = next(iter(refused.items()))
            logger.warning(
                "Afterglow leaves %d of the journals that dead drivers left in %s where they are, such as %s: %s",
                len(refused), folder, name, why,
            )  # fmt: skip
        return True

    def _may_ship_others(self) -> bool:
        return not self._finishing.is_set() and self._shipment.is_done()

    def _wait(self, seconds: float) -> None:
        if not self._finishing.is_set():
            self._finishing.wait(seconds)
        elif within(self._deadline) <= 0:
            self._finished.wait()  # nobody waits any more: the interpreter goes
        elif seconds:
            time.sleep(0.05)

    def _warn(self, why: Exception) -> None:
        if not self._warned:
            self._warned = True
            folder = self._shipment.journal.parent
            logger.warning(
                "Afterglow cannot send its journal to %s and keeps it in %s until it can: %s",
                self._collector.url, folder, str(why) or repr(why),
            )  # fmt: skip
