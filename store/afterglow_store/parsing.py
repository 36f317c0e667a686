"""From bytes to events, and to the application that a source's first events name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import orjson

from afterglow_store.applications import ApplicationKey
from afterglow_store.bad_lines import KEPT_BYTES, BadLine
from afterglow_store.batch import Batch
from afterglow_store.event_logs.tasks import TASK_END, TASK_START, loads, task_end
from afterglow_store.events import HANDLERS, Event, as_pairs
from afterglow_store.lines import Stretch
from afterglow_store.redact import redact_text

logger = logging.getLogger(__name__)

Line = tuple[int, Event]  # and where in the source it begins


def parse(stretch: Stretch) -> tuple[list[Line], list[BadLine]]:
    """Its events, and the lines that are none."""
    lines: list[Line] = []
    bad = [BadLine(stretch.start, stretch.end - stretch.start, stretch.too_long)] if stretch.too_long else []
    data, start = stretch.lines, 0
    while (end := data.find(b"\n", start)) >= 0:
        event = _event(data, start, end)
        if event is not None:
            lines.append((stretch.start + start, event))
        elif (line := data[start:end]).strip():
            bad.append(BadLine(stretch.start + start, len(line), line[:KEPT_BYTES]))
        start = end + 1
    return lines, bad


_TASK_STARTED: Event = {"Event": "SparkListenerTaskStart"}  # of which nothing is kept


def _event(data: bytes, start: int, end: int) -> Event | None:
    """Of a line that lies there. Most of an event log is about single tasks: such a line is known by how it begins, and
    not copied, which would take as long as to read it."""
    if data.startswith(TASK_START, start):
        return _TASK_STARTED
    try:
        if data.startswith(TASK_END, start):
            return {"Event": "SparkListenerTaskEnd", "Task": task_end(data, start, end)}
        found = loads(data[start:end])
    except (KeyError, TypeError, AttributeError):
        return None
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("Event"), str) else None


def take_in(batch: Batch, lines: Sequence[Line]) -> list[BadLine]:
    """Gather what the events change. Returns those that do not say what they have to."""
    bad = []
    for position, event in lines:
        handler = HANDLERS.get(event["Event"])
        if handler is None:
            continue
        try:
            handler(batch, event)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            bad.append(left_out(position, event, exc))
    return bad


def left_out(position: int, event: Event, why: Exception) -> BadLine:
    logger.warning("%s at byte %d left out: %.300r", event["Event"], position, why)
    text = orjson.dumps(event, default=tuple.__repr__)  # a task's values
    return BadLine(position, len(text), text)


def head(events: list[Event]) -> dict[str, Event]:
    """The first of each name, of those that tell what they have to."""
    return {event["Event"]: event for event in reversed(events) if _tells(event)}


def _tells(event: Event) -> bool:
    match event:
        case {"Event": "AfterglowJournalStart", "Application": {"App ID": str(), "Start Time": int()}}:
            return True
        case {"Event": "AfterglowJournalStart"}:
            return "Application" not in event and isinstance(event.get("Heartbeat Interval", 0), int)
        case {"Event": "SparkListenerEnvironmentUpdate"}:
            return isinstance(event.get("Spark Properties"), dict | list)
        case {"Event": "SparkListenerApplicationStart"}:
            return isinstance(event.get("Timestamp"), int)
    return True


def application_of(by_name: dict[str, Event]) -> dict[str, Any] | None:
    """In the words of a journal, what the first events of a log say of their application; None before they do."""
    start = by_name.get("SparkListenerApplicationStart")
    if start is None:
        return None
    properties = as_pairs(by_name.get("SparkListenerEnvironmentUpdate", {}).get("Spark Properties"))
    return {
        "App ID": start.get("App ID") or properties.get("spark.app.id") or "",
        "App Attempt": start.get("App Attempt ID"),
        "App Name": start.get("App Name"),
        "Start Time": start["Timestamp"],
        "User": start.get("User"),
        "Master": properties.get("spark.master"),
        "Driver Host": properties.get("spark.driver.host"),
        "Spark Version": by_name.get("SparkListenerLogStart", {}).get("Spark Version"),
    }


def key_of(said: dict[str, Any]) -> ApplicationKey:
    return ApplicationKey(
        said["App ID"], said.get("App Attempt") or "", said["Start Time"], said.get("Driver Host") or ""
    )


def facts_of(said: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": said.get("App Name") and redact_text(said["App Name"]),
        "user_name": said.get("User"),
        "master": said.get("Master"),
        "spark_version": said.get("Spark Version"),
    }
