"""The events that the hook records, as docs/journal.md has them."""

import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from afterglow.journal import now_ms
from afterglow.journal_rules import HEARTBEAT
from afterglow.run_details import RunDetails
from afterglow.spark import Application


@dataclass(frozen=True)
class RunEvent:
    """A run's start or end in this driver, taken down on the job's thread and recorded later."""

    name: str  # AfterglowRunStart or AfterglowRunEnd
    run_id: str
    tracking_uri: str
    source: str  # tag, resumed or client
    status: str | None = None  # at the end: the status that MLflow was given
    at_exit: bool = False  # ended by MLflow's exit handler, not by the program
    only_logged: bool = False  # neither made nor active here: only logged to, or ended, by its id
    timestamp: int = field(default_factory=now_ms)
    thread: str = field(default_factory=lambda: threading.current_thread().name)
    _unclaimed: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def is_end(self) -> bool:
        """Whether it tells of the run's end."""
        return self.name == "AfterglowRunEnd"

    def claim(self) -> bool:
        """True for the first caller only: at exit two threads may be about to record the same event."""
        return bool(self._unclaimed.acquire(blocking=False))

    def to_json(self, application: Application, run: RunDetails | None) -> dict[str, Any]:
        """The event's line; without `Run` where MLflow could not be read."""
        event: dict[str, Any] = {
            "Event": self.name,
            "Timestamp": self.timestamp,
            "Run ID": self.run_id,
            "Tracking URI": public_tracking_uri(self.tracking_uri),
            "Application": application.to_json(),
            "Source": self.source,
            "Thread": self.thread,
        }
        if self.status is not None:
            event["Status"] = self.status
        if self.at_exit:
            event["At Exit"] = True
        if self.only_logged:
            event["Only Logged"] = True
        if run is not None:
            event["Run"] = run
        return event


def heartbeat(lost: int) -> dict[str, Any]:
    """The application is alive, or its driver has open runs. `lost`: so many events did not get into this journal."""
    return {"Event": HEARTBEAT, "Timestamp": now_ms(), "Dropped": lost}


def heartbeat_for_listener(lost: int) -> dict[str, Any]:
    """The same in the listener's journal. What the hook lost has a name of its own there, since the listener counts
    what it lost itself; and is said only where there is some."""
    event = {"Event": HEARTBEAT, "Timestamp": now_ms()}
    return event | {"Hook Dropped": lost} if lost else event


def application_end() -> dict[str, Any]:
    """Spark's own event: the hook sees a context stop where no listener does."""
    return {"Event": "SparkListenerApplicationEnd", "Timestamp": now_ms()}


def context_death(application: Application, error: str) -> dict[str, Any]:
    """The Spark context is no more, and it was not this living driver that stopped it."""
    event = {"Event": "AfterglowContextDeath", "Timestamp": now_ms(), "Application": application.to_json()}
    return event | {"Error": error}


def driver_end(application: Application, outcome: str, error: str | None) -> dict[str, Any]:
    """The interpreter exits: `outcome` is clean or exception."""
    event: dict[str, Any] = {
        "Event": "AfterglowDriverEnd",
        "Timestamp": now_ms(),
        "Application": application.to_json(),
        "Outcome": outcome,
    }
    return event if error is None else event | {"Error": error}


def public_tracking_uri(uri: str) -> str:
    """`uri` without a password, and with a local path made absolute, so that it means the same elsewhere."""
    uri = re.sub(r"^([\w.+-]+://)[^/?#]*@", r"\1", uri)  # a password may have an @ in it: the last one ends it
    parts = urlsplit(uri)
    if parts.scheme == "sqlite" and uri.startswith("sqlite:///"):
        path = uri.removeprefix("sqlite:///")
        return f"sqlite:///{Path(path).absolute()}" if path else uri
    if uri != "databricks" and parts.scheme in ("", "file"):
        return Path(parts.path or uri).absolute().as_uri()
    return uri
