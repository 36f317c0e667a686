"""Whether what is shown is all that there is by now, and what keeps it from that."""

from __future__ import annotations

from datetime import tzinfo

from afterglow_monitor import data
from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row

NO_WORKER = "No worker is at work: nothing new is taken in"


def said(zone: tzinfo, *, now: int) -> str:
    """In Markdown, in a few words; '' where all is well."""
    found = data.behind()
    if found["no_worker"]:
        return _warning(NO_WORKER)
    late = found["servers"]
    if len(late) > 1:
        return _warning(f"{len(late)} MLflow servers do not answer")
    return _warning(trouble(late[0], zone, now=now)) if late else ""


def trouble(server: Row, zone: tzinfo, *, now: int) -> str:
    """Of a server that is late."""
    read = server["last_sync_time"]
    last = f"last read {fmt.moment(read, zone, now=now)}" if read else "never read"
    return f"MLflow server {fmt.short(server['name'], 40)} does not answer, {last}"


def _warning(text: str) -> str:
    return f":orange[:material/sync_problem: {fmt.verbatim(text)}]"
