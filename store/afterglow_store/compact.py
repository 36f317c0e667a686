"""What the listener says in fewer words than Spark: docs/journal.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]

# The numbers of a row, in its order. It may end early: what is missing is 0.
_COUNTS = ("Succeeded", "Peak Execution Memory")
_METRICS = (
    "executorRunTime", "executorCpuTime", "jvmGCTime", "shuffle.read.localBytesRead", "shuffle.read.recordsRead",
    "shuffle.write.bytesWritten", "shuffle.write.recordsWritten", "input.bytesRead", "input.recordsRead",
    "output.bytesWritten", "output.recordsWritten", "shuffle.read.remoteBytesRead", "memoryBytesSpilled",
    "diskBytesSpilled",
)  # fmt: skip
_RARE = ("Peak JVM Heap", "Failed", "Killed")
_NUMBERS = (*_COUNTS, *_METRICS, *_RARE)
_PROPERTIES = {
    "Tags": "spark.job.tags",
    "Group": "spark.jobGroup.id",
    "Description": "spark.job.description",
    "Execution": "spark.sql.execution.id",
}

_SKEW = {
    "Duration": "duration_ms",
    "Input": "input_bytes",
    "Shuffle Read": "shuffle_read_bytes",
    "Shuffle Write": "shuffle_write_bytes",
    "Spill": "spilled_bytes",
}
_QUANTILES = ("min", "p25", "p50", "p75", "p95", "p99", "max")
_SLOWEST = ("index", "attempt", "executor", "host", "duration_ms", "bytes")
_PROGRESS = ("job_id", "stages_done", "stages", "tasks_done", "tasks")


def spark_events(whole_job: Event) -> Iterator[Event]:
    """The events of Spark that one `AfterglowJob` stands for. Raises KeyError, ValueError or TypeError if it is bad."""
    submitted, took = whole_job["Time"]
    rows = whole_job.get("Stages") or []
    job_id = whole_job["Job ID"]
    yield {
        "Event": "SparkListenerJobStart",
        "Job ID": job_id,
        "Submission Time": submitted,
        "Stage IDs": [row[0] for row in rows],
        "Stage Infos": [{"Number of Tasks": row[1]} for row in rows],
        "Properties": {name: whole_job[key] for key, name in _PROPERTIES.items() if key in whole_job},
    }
    name = None
    for row in rows:
        if len(row) > 2:  # a shorter one was skipped
            name = row[4] or name
            yield from _stage(row, submitted, name)
    end = {"Job ID": job_id, "Completion Time": submitted + took, "Job Result": {"Result": "JobSucceeded"}}
    yield {"Event": "SparkListenerJobEnd", **end}


def stage_events(ended_stage: Event) -> Iterator[Event]:
    """The events of Spark that one `AfterglowStage` stands for: only its end where a line told its submission, and with
    that its name. Raises as `spark_events` does."""
    row = ended_stage["Stage"]
    submitted, completed = _stage(row, ended_stage["Submission Time"], row[4] or None)
    if row[4]:
        yield submitted
    yield completed


def _stage(row: list[Any], since: int, name: str | None) -> tuple[Event, Event]:
    stage_id, tasks, after, took, _, numbers = row[:6]
    submitted = since + after
    info = {"Stage ID": stage_id, "Stage Attempt ID": 0, "Number of Tasks": tasks, "Submission Time": submitted}
    info |= {"Stage Name": name} if name else {}
    said = dict.fromkeys(_NUMBERS, 0) | dict(zip(_NUMBERS, numbers, strict=False))
    of_tasks = {key: said[key] for key in (*_COUNTS, *_RARE)} | {"Metrics": {key: said[key] for key in _METRICS}}
    if len(row) > 6:
        of_tasks["Skew"] = row[6]
    end = {"Stage Info": info | {"Completion Time": submitted + took}, "Tasks": of_tasks}
    return (
        {"Event": "SparkListenerStageSubmitted", "Stage Info": info},
        {"Event": "SparkListenerStageCompleted", **end},
    )


def skew(said: Event) -> dict[str, Any]:
    """How unequal the task attempts of a stage were: of each figure that was not always 0 its `min` and `max`, and of
    more than two attempts `p25` to `p99` (at most 1/32 off); `slowest`: those that took the longest, at most three.
    In ms and bytes."""
    found: dict[str, Any] = {}
    for key, name in _SKEW.items():
        values = said.get(key)
        if values:
            found[name] = dict(zip(_QUANTILES if len(values) > 2 else ("min", "max"), values, strict=True))
    if said.get("Slowest"):
        found["slowest"] = [dict(zip(_SLOWEST, each, strict=True)) for each in said["Slowest"]]
    return found


def progress(said: list[Any]) -> list[dict[str, int]]:
    """How far each running job is. Earlier listeners said only the jobs' ids."""
    return [dict(zip(_PROGRESS, each, strict=True)) for each in said if isinstance(each, list)]
