"""Sending journals to a collector: those that dead drivers left, and the hook's own while it grows."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from afterglow.collector import Collector, NotSent
from afterglow.journal_lock import JournalLock, lock_file

CHUNK_BYTES = 1 << 20
_JOURNAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.jsonl")


class Shipment:
    """One journal on its way. How far it got is noted beside it, in `<instance>.offset`."""

    def __init__(self, journal: Path, collector: Collector) -> None:
        self.journal = journal
        self._collector = collector
        self._notes = journal.with_suffix(".offset")
        self.confirmed = self._noted()

    def is_done(self) -> bool:
        """Whether the collector has all of it, by its own word."""
        return self.confirmed >= self.journal.stat().st_size

    def send(self, seconds: float) -> None:
        """Send the next chunk, within about `seconds`. Raises NotSent."""
        with self.journal.open("rb") as file:
            file.seek(self.confirmed)
            data = file.read(CHUNK_BYTES)
        position = self._collector.put(self.journal.stem, self.confirmed, data, seconds)
        if position == self.confirmed:
            raise NotSent("it took nothing", of_journal=True)
        self.confirmed = position
        with contextlib.suppress(OSError):  # the collector knows it as well
            self._notes.write_text(str(position))

    def delete(self) -> None:
        """All of it was confirmed: only its lock is left."""
        self.journal.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)
        self.journal.with_suffix(".part").unlink(missing_ok=True)  # of a listener that died while it copied

    def _noted(self) -> int:
        try:
            return int(self._notes.read_text())
        except (OSError, ValueError):
            return 0


@dataclass
class Shipped:
    """What became of the journals of a folder."""

    journals: int = 0  # that the collector has completely, and which are gone from here
    bytes: int = 0
    kept: int = 0  # sent, but kept: nothing says that their writers are dead
    alive: int = 0  # left alone: their writers live, or somebody else sends them
    refused: dict[str, str] = field(default_factory=dict)  # by the names of those that are left, why they were not sent
    failed: str | None = None  # why the others were not sent


def ship(folder: Path, collector: Collector, go_on: Callable[[], bool] = lambda: True) -> Shipped:
    """Send the journals of dead writers in `folder`, and delete those that the collector confirms.

    One that the collector refuses, or that cannot be read here, is left, named, and costs no other. Where the collector
    does not answer, or not to us, it ends; and where `go_on` says so.
    """
    done = Shipped()
    for journal in _journals(folder):
        try:
            if not go_on() or not _ship(journal, collector, done, go_on):
                break
        except NotSent as error:
            if not error.of_journal:
                done.failed = str(error)
                break
            done.refused[journal.name] = str(error)
        except FileNotFoundError:
            continue  # another one has sent it meanwhile
        except OSError as error:
            done.refused[journal.name] = f"it cannot be read: {error.strerror or error}"
    return done


def _journals(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("*.jsonl")) if _JOURNAL.fullmatch(path.name))


def _ship(journal: Path, collector: Collector, done: Shipped, go_on: Callable[[], bool]) -> bool:
    """Whether it was sent to its end, or is none to send."""
    lock = JournalLock.of_dead(journal)
    if lock is None and lock_file(journal).exists():
        done.alive += 1
        return True
    sent = False
    try:
        sent = _send_all(journal, collector, done, go_on)
        if sent and lock is not None:
            Shipment(journal, collector).delete()
        done.journals += sent and lock is not None
        done.kept += sent and lock is None
    finally:
        if lock is not None:
            (lock.delete if sent else lock.release)()
    return sent


def _send_all(journal: Path, collector: Collector, done: Shipped, go_on: Callable[[], bool]) -> bool:
    shipment = Shipment(journal, collector)
    while not shipment.is_done():
        if not go_on():
            return False
        before = shipment.confirmed
        shipment.send(5.0)
        done.bytes += max(0, shipment.confirmed - before)
    return True


def wait_before(failures: int, chance: float) -> float:
    """Seconds until the next try: twice as long after each failure, a minute at most. `chance`: 0 to 1."""
    return float(min(60.0, 2.0 ** min(failures, 10)) * (0.5 + chance / 2))


def within(deadline: float) -> float:
    """Seconds that are left until a monotonic time, no less than none."""
    return max(0.0, deadline - time.monotonic())
