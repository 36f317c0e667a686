"""From bytes to events, and to the application that a source's first events name."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import orjson

from afterglow.redaction import redact_text
from afterglow_store.applications import ApplicationKey
from afterglow_store.bad_lines import KEPT_BYTES, BadLine
from afterglow_store.batch import Batch
from afterglow_store.event_logs.stage_tasks import Tasks
from afterglow_store.event_logs.tasks import TASK_END, TASK_START, loads, task_end, whole_task_end
from afterglow_store.events import HANDLERS, Event, as_pairs, stage_key
from afterglow_store.lines import Stretch

logger = logging.getLogger(__name__)

Line = tuple[int, Event]  # and where in the source it begins

_SQL = b'{"Event":"org.apache.spark.sql.execution.ui.SparkListener'
# Much of an event log, and nothing of it is kept. Such a line is known by how it begins, and neither copied nor parsed.
_OF_NO_USE = (
    TASK_START,
    b'{"Event":"SparkListenerTaskGettingResult"',
    b'{"Event":"SparkListenerBlockUpdated"',
    b'{"Event":"SparkListenerExecutorMetricsUpdate"',
    b'{"Event":"SparkListenerStageExecutorMetrics"',
    _SQL + b"SQLAdaptive",
    _SQL + b'DriverAccumUpdates"',
)
_WRONG = (KeyError, TypeError, ValueError, AttributeError)  # what a line raises that does not say what it has to


@dataclass
class Parsed:
    """What lines say."""

    with_tasks: bool = True  # else nobody looked for them
    lines: list[Line] = field(default_factory=list)  # the events but those of tasks
    tasks: Tasks = field(default_factory=Tasks)
    read: int = 0  # lines that are events, whatever is kept of them
    whole: int = 0  # bytes of those that were parsed as a whole, which takes time and memory
    bad: list[BadLine] = field(default_factory=list)  # the lines that are none

    @property
    def events(self) -> list[Event]:
        return [event for _, event in self.lines]

    def parts(self) -> list[Parsed]:
        """The same as several, to be taken in one after the other; none where it cannot be parted."""
        half = len(self.lines) // 2
        if not self.lines:
            return []
        if self.tasks.stages:
            before, after = self.tasks.parts()
            return [Parsed(tasks=before), Parsed(lines=self.lines), Parsed(tasks=after)]
        return [Parsed(self.with_tasks, some) for some in (self.lines[:half], self.lines[half:])] if half else []


def parse(stretch: Stretch, found: Parsed) -> Parsed:
    """Adds to what was `found` in the lines before it."""
    if stretch.too_long:
        found.bad.append(BadLine(stretch.start, stretch.end - stretch.start, stretch.too_long))
    data, start, skipped = stretch.lines, 0, _OF_NO_USE if found.with_tasks else (*_OF_NO_USE, TASK_END)
    while (end := data.find(b"\n", start)) >= 0:
        if data.startswith(skipped, start):
            found.read += 1
        else:
            try:
                _take(found, data, start, end, stretch.start + start)
            except _WRONG:
                found.bad.append(BadLine(stretch.start + start, end - start, data[start:end][:KEPT_BYTES]))
        start = end + 1
    found.tasks.close()
    return found


def _take(found: Parsed, data: bytes, start: int, end: int, position: int) -> None:
    """The line that lies there. To copy that of a task would take as long as to read it."""
    if data.startswith(TASK_END, start):
        found.tasks.add(task_end(data, start, end))
    elif line := data[start:end].strip():
        event = loads(line)
        name = event["Event"]
        if name == "SparkListenerTaskEnd":
            found.tasks.add(whole_task_end(event))
        elif isinstance(name, str):
            if name == "SparkListenerStageCompleted":
                found.tasks.end_stage(stage_key(event["Stage Info"]))
            found.lines.append((position, event))
            found.whole += len(line)
        else:
            raise TypeError(name)
    else:
        return
    found.read += 1


def take_in(batch: Batch, parsed: Parsed) -> list[BadLine]:
    """Gather what the events change. Returns those that do not say what they have to."""
    bad = []
    batch.with_tasks = parsed.with_tasks
    if batch.of_log:
        batch.tasks = parsed.tasks.stages
    for position, event in parsed.lines:
        handler = HANDLERS.get(event["Event"])
        if handler is None:
            continue
        try:
            handler(batch, event)
        except _WRONG as exc:
            bad.append(left_out(position, event, exc))
    return bad


def left_out(position: int, event: Event, why: Exception) -> BadLine:
    logger.warning("%s at byte %d left out: %.300r", event["Event"], position, why)
    text = orjson.dumps(event)
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
