"""Where the hook's events go: to the Java listener where there is one, else into a journal of the hook's own."""

import logging
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from afterglow.disk_sync import DiskSync
from afterglow.journal_lock import JournalLock
from afterglow.journal_rules import DEFAULT_RULES, HEARTBEAT, JournalRules, to_line
from afterglow.spark import Application

if TYPE_CHECKING:
    from afterglow.collector import Collector
    from afterglow.uploader import Uploader

logger = logging.getLogger("afterglow")

LISTENER_CLASS = "io.afterglow.AfterglowListener"
JOURNAL_VERSION = 1


class Journal(Protocol):
    """Takes events. Both methods may be called from any thread, and never raise."""

    def record(self, event: dict[str, Any]) -> bool:
        """Whether `event` was taken."""

    def flush(self, seconds: float) -> bool:
        """Whether all that was taken is on disk, after waiting for at most `seconds`."""


class ListenerJournal:
    """Hands events to the Java listener, which gives them their `Seq` and ships them.

    It works on after `spark.stop()`; once the JVM is gone it takes nothing more.
    """

    def __init__(self, listener: Any) -> None:
        self._listener = listener
        # One caller at a time, so that whoever finds it taken at exit knows the JVM is not answering.
        self._calling = threading.Lock()

    def record(self, event: dict[str, Any]) -> bool:
        return self._call(lambda: bool(self._listener.record(to_line(event))))

    def flush(self, seconds: float) -> bool:
        return self._call(lambda: bool(self._listener.flush(int(seconds * 1000))))

    def _call(self, call: Any) -> bool:
        if not self._calling.acquire(timeout=0.2):
            return False
        try:
            return bool(call())
        except Exception as error:  # noqa: BLE001 - py4j's errors for a JVM that is gone are many
            logger.debug("The Afterglow listener is not there any more: %s", error)
            return False
        finally:
            self._calling.release()


class FileJournal:
    """The hook's own journal: `<folder>/<instance>.jsonl`, one JSON object a line, readable by its owner only.

    The file is made with its first event; each is on the disk some seconds later. A folder that cannot be written to is
    said once, and nothing is taken from then on. Nor is what `rules` leave out, or what a full disk has no room for.
    """

    def __init__(
        self,
        folder: Path,
        application: Application,
        heartbeat_seconds: float = 10.0,
        *,
        rules: JournalRules = DEFAULT_RULES,
        connect_session: str | None = None,
        collector: "Collector | None" = None,
    ) -> None:
        self.instance = str(uuid.uuid4())
        self.path = folder / f"{self.instance}.jsonl"
        self._application = application
        self._connect_session = connect_session
        self._collector = collector
        self._rules = rules
        self._uploader: Uploader | None = None
        self._writer_lock: JournalLock | None = None
        self._heartbeat_ms = int(heartbeat_seconds * 1000)
        self._file: int | None = None
        self._disk: DiskSync | None = None
        self._size = 0  # bytes
        self._seq = 0
        self._broken = False
        self._torn = False
        self._said: set[str] = set()
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether the file is there and takes lines."""
        return self._file is not None and not self._broken

    def record(self, event: dict[str, Any]) -> bool:
        with self._lock:
            if self._file is None and not self._broken:
                self._open()
            return not self._broken and self._append(event)

    def flush(self, seconds: float) -> bool:
        return not self._broken and (self._disk is None or self._disk.flush(seconds))

    def close(self, seconds: float) -> None:
        """The interpreter exits: have what is left on the disk, and sent, within `seconds`. Where the collector has all
        of it, it is deleted, and takes no more."""
        if self._disk is None:
            return
        deadline = time.monotonic() + seconds
        self._disk.hurry()
        sent = self._uploader.finish(seconds) if self._uploader is not None else None
        if sent is None or not self._delete(sent):
            self._disk.flush(max(0.1, deadline - time.monotonic()))

    def _delete(self, sent: int) -> bool:
        with self._lock:
            if self._broken or self._size != sent:
                return False
            self._broken = True
            for file in (self.path, self.path.with_suffix(".offset")):
                file.unlink(missing_ok=True)
            if self._writer_lock is not None:
                self._writer_lock.delete()
        return True

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except OSError as error:
            self._broken = True
            logger.warning("Afterglow records nothing of this application: %s: %s", self.path.parent, error)
            return
        self._disk = DiskSync(self._file)
        self._writer_lock = JournalLock.take(self.path)
        start = {
            "Event": "AfterglowJournalStart",
            "Version": JOURNAL_VERSION,
            "Instance": self.instance,
            "Writer": "hook",
            "Timestamp": now_ms(),
            "Host": socket.gethostname(),
            "Heartbeat Interval": self._heartbeat_ms,
            "Application": self._application.to_json(),
        }
        if self._connect_session is not None:
            start["Connect Session"] = self._connect_session
        self._append(start)
        self._send()

    def _send(self) -> None:
        if self._collector is None:
            return
        from afterglow.uploader import Uploader  # noqa: PLC0415 - most drivers need no HTTP client

        self._uploader = Uploader(self.path, self._collector)
        try:
            self._uploader.start()
        except RuntimeError:  # the interpreter exits: whoever comes next sends it
            self._uploader = None

    def _append(self, event: dict[str, Any]) -> bool:
        name = event["Event"]
        if not self._rules.allows(name, self._size):
            return self._lose(name, f"it has reached spark.afterglow.journal.maxSize, {self._rules.max_bytes:,} bytes")
        line = self._rules.line(event | {"Seq": self._seq}, self._size)
        if line is None:
            return self._lose(name, "one had more than 256 KiB")
        try:
            self._write(line)
        except OSError as error:
            return self._lose(name, str(error))
        self._seq += 1
        return True

    def _write(self, line: bytes) -> None:
        """Raises OSError."""
        assert self._file is not None and self._disk is not None  # noqa: S101, PT018 - for the type checker
        # A line that was cut by a full disk is closed first, or it would spoil this one too.
        pending = b"\n" + line if self._torn else line
        while pending:
            written = os.write(self._file, pending)
            pending, self._size = pending[written:], self._size + written
            self._torn = bool(pending)
        self._disk.written()

    def _lose(self, name: str, why: str) -> bool:
        """An event is lost, as the gap in `Seq` says; a beat is none."""
        self._seq += name != HEARTBEAT
        if why not in self._said:
            self._said.add(why)
            logger.warning("Afterglow loses events of this application: %s: %s", self.path, why)
        return False


def find_listener(context: Any) -> Any | None:
    """The active AfterglowListener of a SparkContext, through py4j, or None. Asks the JVM: call it off the job."""
    jsc = context._jsc
    if jsc is None:  # stopped meanwhile
        return None
    listeners = jsc.sc().listenerBus().listeners()
    for index in range(listeners.size()):
        listener = listeners.get(index)
        if listener.getClass().getName() == LISTENER_CLASS and listener.active():
            return listener
    return None


def now_ms() -> int:
    """Milliseconds since 1970 UTC, by this machine's clock."""
    return time.time_ns() // 1_000_000
