"""What each event means for the rows: one small function an event, in a table at the end.

The events are Spark's event-log JSON and Afterglow's additions to it: docs/journal.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from afterglow.redaction import redact_properties, redact_text
from afterglow_store import compact
from afterglow_store.batch import Batch, RunEvent
from afterglow_store.event_logs.stage_tasks import StageKey
from afterglow_store.schema import FIGURES, application, application_conf, executor, job, sql_execution, stage

Event = dict[str, Any]

JOB_TAG = "mlflow.run_id="
_COLUMNS = {f"internal.metrics.{part}": column for column, parts in FIGURES.items() for part in parts}
_MAX_ERROR = 4_000  # characters


def _cut(error: str) -> str:
    """Redacted before: of a secret that the cut goes through, its first half would look like none."""
    return redact_text(error[: 2 * _MAX_ERROR])[:_MAX_ERROR]


def environment(batch: Batch, event: Event) -> None:
    properties = redact_properties(as_pairs(event.get("Spark Properties")))
    jvm = redact_properties(as_pairs(event.get("JVM Information")))
    batch.put(application_conf, spark_properties=properties, jvm=jvm)
    batch.application["master"] = properties.get("spark.master")
    batch.task_cpus = _whole(properties.get("spark.task.cpus")) or 1
    batch.application["task_cpus"] = batch.task_cpus


def log_start(batch: Batch, event: Event) -> None:
    batch.application["spark_version"] = event.get("Spark Version")


def application_start(batch: Batch, event: Event) -> None:
    batch.application["name"] = event.get("App Name")
    batch.application["user_name"] = event.get("User")
    batch.seen(event.get("Timestamp"))


def application_end(batch: Batch, event: Event) -> None:
    batch.ended_time = batch.application["spark_end_time"] = event.get("Timestamp")
    batch.application["progress"] = None
    batch.seen(event.get("Timestamp"))


def executor_added(batch: Batch, event: Event) -> None:
    info = event.get("Executor Info") or {}
    batch.put(
        executor,
        event["Executor ID"],
        host=info.get("Host"),
        cores=info.get("Total Cores"),
        added_time=event.get("Timestamp"),
    )
    batch.seen(event.get("Timestamp"))


def executor_removed(batch: Batch, event: Event) -> None:
    batch.put(
        executor,
        event["Executor ID"],
        removed_time=event.get("Timestamp"),
        removed_reason=event.get("Removed Reason"),
    )
    batch.seen(event.get("Timestamp"))


def job_start(batch: Batch, event: Event) -> None:
    job_id, stage_ids = event["Job ID"], event.get("Stage IDs") or []
    properties = event.get("Properties") or {}
    tags = [tag for tag in (properties.get("spark.job.tags") or "").split(",") if tag]
    time, run_id = event.get("Submission Time"), run_of(properties)
    batch.open_jobs[job_id] = set(stage_ids)
    batch.put(
        job,
        job_id,
        status="RUNNING",
        start_time=time,
        description=properties.get("spark.job.description"),
        job_group=properties.get("spark.jobGroup.id"),
        run_id=run_id,
        execution_id=_whole(properties.get("spark.sql.execution.id")),
        stage_ids=stage_ids,
        tasks=sum(info.get("Number of Tasks") or 0 for info in event.get("Stage Infos") or []),
        tags=tags,
    )
    if run_id is not None:
        batch.job_tag_runs.setdefault(run_id, time or 0)
    batch.seen(time)


def job_end(batch: Batch, event: Event) -> None:
    result = event.get("Job Result") or {}
    succeeded = result.get("Result") == "JobSucceeded"
    error = None if succeeded else _cut((result.get("Exception") or {}).get("Message") or "failed")
    time = event.get("Completion Time")
    batch.open_jobs.pop(event["Job ID"], None)
    status = "SUCCEEDED" if succeeded else "FAILED"
    batch.put(job, event["Job ID"], status=status, end_time=time, error=error)
    batch.seen(time)


def stage_submitted(batch: Batch, event: Event) -> None:
    info = event["Stage Info"]
    batch.put(
        stage,
        info["Stage ID"],
        info.get("Stage Attempt ID") or 0,
        job_id=_running_job(batch, info["Stage ID"]),
        name=info.get("Stage Name"),
        status="RUNNING",
        start_time=info.get("Submission Time"),
        tasks=info.get("Number of Tasks"),
    )
    if batch.of_log:
        batch.begun_stages.add(stage_key(info))
    batch.seen(info.get("Submission Time"))


def stage_completed(batch: Batch, event: Event) -> None:
    info = event["Stage Info"]
    error = info.get("Failure Reason")
    # Only an event log has them here; our listener sums all tasks instead, those that end late too.
    said = {each.get("Name"): each.get("Value") for each in info.get("Accumulables") or ()}
    batch.put(
        stage,
        info["Stage ID"],
        info.get("Stage Attempt ID") or 0,
        **({"name": info["Stage Name"]} if "Stage Name" in info else {}),
        status="FAILED" if error else "COMPLETE",
        start_time=info.get("Submission Time"),
        end_time=info.get("Completion Time"),
        tasks=info.get("Number of Tasks"),
        error=error and _cut(error),
        **(_weighed(batch, _figures(said)) if "Accumulables" in info else {}),
    )
    if "Tasks" in event:
        of_stage = {"Stage ID": info["Stage ID"], "Stage Attempt ID": info.get("Stage Attempt ID")}
        stage_tasks(batch, event["Tasks"] | of_stage)
    if batch.of_log:
        batch.ended_stages.add(stage_key(info))
    batch.seen(info.get("Completion Time"))


def stage_key(info: Event) -> StageKey:
    return info["Stage ID"], info.get("Stage Attempt ID") or 0


def stage_tasks(batch: Batch, event: Event) -> None:
    # Said once, at the stage's end: what comes later has only the sums.
    skew = {"skew": compact.skew(event["Skew"])} if event.get("Skew") else {}
    batch.put(
        stage,
        event["Stage ID"],
        event.get("Stage Attempt ID") or 0,
        succeeded_tasks=event.get("Succeeded"),
        failed_tasks=event.get("Failed"),
        killed_tasks=event.get("Killed"),
        peak_execution_memory_bytes=event.get("Peak Execution Memory"),
        peak_heap_bytes=event.get("Peak JVM Heap") or None,
        **skew,
        **_weighed(batch, _figures({f"internal.metrics.{name}": sum_ for name, sum_ in event["Metrics"].items()})),
    )


def sql_start(batch: Batch, event: Event) -> None:
    batch.put(
        sql_execution,
        event["executionId"],
        status="RUNNING",
        description=event.get("description"),
        start_time=event.get("time"),
        run_id=run_of({"spark.job.tags": ",".join(event.get("jobTags") or ())}),
        **_plan(event),
        inputs=_files(event.get("Inputs")),
        outputs=_files(event.get("Outputs")),
    )
    batch.seen(event.get("time"))
    if "End" in event:
        sql_end(batch, event["End"] | {"executionId": event["executionId"]})


def sql_end(batch: Batch, event: Event) -> None:
    error = event.get("errorMessage") or None
    batch.put(
        sql_execution,
        event["executionId"],
        status="FAILED" if error else "COMPLETED",
        end_time=event.get("time"),
        error=error and _cut(error),
        **_plan(event),
    )
    batch.seen(event.get("time"))


def _plan(event: Event) -> dict[str, str]:
    """A plan that the journal had before is only its hash."""
    said = {"plan_hash": event.get("Plan Hash"), "plan": event.get("physicalPlanDescription")}
    return {column: text[:_MAX_ERROR] for column, text in said.items() if text}


def _files(said: list[dict[str, str]] | None) -> list[dict[str, str]] | None:
    return [{key.lower(): value for key, value in each.items()} for each in said] if said else None


def whole_job(batch: Batch, event: Event) -> None:
    _all(batch, list(compact.spark_events(event)))


def ended_stage(batch: Batch, event: Event) -> None:
    _all(batch, list(compact.stage_events(event)))


def _all(batch: Batch, events: list[Event]) -> None:
    for event in events:
        HANDLERS[event["Event"]](batch, event)


def heartbeat(batch: Batch, event: Event) -> None:
    """Several may beat for one application: its listener, its hook, its Connect clients. Each counts what it lost
    itself, and only the listener knows how far jobs are."""
    if "Dropped" in event:
        batch.losses["lost_events"] = _count(event, "Dropped") + _count(event, "Bus Dropped")
    if "Hook Dropped" in event:  # in the listener's journal
        batch.losses["hook_lost_events"] = _count(event, "Hook Dropped")
    if "Running Jobs" in event or "Heartbeat Interval" in event:  # without the first it is one of the rare ones
        batch.application["progress"] = compact.progress(event.get("Running Jobs") or []) or None
    if type(interval := event.get("Heartbeat Interval")) is int:  # it beats more rarely from now on, or no longer does
        batch.client["beat_ms"] = interval
    if isinstance(trouble := event.get("Trouble"), str):
        batch.client["trouble"] = trouble
    batch.seen(event.get("Timestamp"))


def run_event(batch: Batch, event: Event) -> None:
    batch.runs.append(
        RunEvent(
            run_id=event["Run ID"],
            as_of=event["Timestamp"],
            source=event.get("Source") or "tag",
            tracking_uri=redact_text(event.get("Tracking URI") or ""),
            details=event.get("Run"),
            ended=event["Event"] == "AfterglowRunEnd",
            at_exit=event.get("At Exit") is True,
            owns=event.get("Only Logged") is not True,
        )
    )
    batch.seen(event["Timestamp"])


def context_death(batch: Batch, event: Event) -> None:
    """It ends the application where nothing else has."""
    batch.seen(event["Timestamp"])
    batch.application["context_error"] = _cut(event.get("Error") or "its Spark context died")
    if batch.ended_time is None:
        batch.ended_time = event["Timestamp"]
        said = sa.func.coalesce(application.c.spark_end_time, event["Timestamp"])
        batch.application["spark_end_time"] = said


def driver_end(batch: Batch, event: Event) -> None:
    batch.seen(event.get("Timestamp"))
    process = batch.client if batch.of_client else batch.application
    process["driver_outcome"] = event.get("Outcome")
    process["driver_error"] = (event.get("Error") or None) and _cut(event["Error"])


HANDLERS: dict[str, Callable[[Batch, Event], None]] = {
    "SparkListenerLogStart": log_start,
    "SparkListenerEnvironmentUpdate": environment,
    "SparkListenerApplicationStart": application_start,
    "SparkListenerApplicationEnd": application_end,
    "SparkListenerExecutorAdded": executor_added,
    "SparkListenerExecutorRemoved": executor_removed,
    "SparkListenerJobStart": job_start,
    "SparkListenerJobEnd": job_end,
    "SparkListenerStageSubmitted": stage_submitted,
    "SparkListenerStageCompleted": stage_completed,
    "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart": sql_start,
    "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd": sql_end,
    "AfterglowJob": whole_job,
    "AfterglowStage": ended_stage,
    "AfterglowStageTasks": stage_tasks,
    "AfterglowHeartbeat": heartbeat,
    "AfterglowRunStart": run_event,
    "AfterglowRunEnd": run_event,
    "AfterglowContextDeath": context_death,
    "AfterglowDriverEnd": driver_end,
}


def run_of(properties: dict[str, str]) -> str | None:
    """The MLflow run that a job with these properties served: by our job tag, in the form of Classic (verbatim) or of
    Spark Connect (`SparkConnect_SessionTag_User_…_Session_…_Tag_mlflow.run_id=…`).

    Two different runs in one job's tags are leaked tags (PYSPARK_PIN_THREAD=false): then no one knows, and it is None.
    """
    tags = (properties.get("spark.job.tags") or "").split(",")
    runs = {tag.rpartition(JOB_TAG)[2] for tag in tags if JOB_TAG in tag}
    return runs.pop() if len(runs) == 1 else None


def _running_job(batch: Batch, stage_id: int) -> int | None:
    """The job that runs this stage: of the running jobs that need it, the one that came first."""
    return min((job_id for job_id, stages in batch.open_jobs.items() if stage_id in stages), default=None)


def _count(event: Event, name: str) -> int:
    """Raises TypeError."""
    said = event.get(name) or 0
    if type(said) is not int:
        raise TypeError(f"{name} is {said!r:.100}")
    return said


def _figures(metrics: dict[str, Any]) -> dict[str, int]:
    figures = dict.fromkeys(FIGURES, 0)
    for name, value in metrics.items():
        column = _COLUMNS.get(name)
        if column is not None:
            figures[column] += _whole(value) or 0
    return figures


def _weighed(batch: Batch, figures: dict[str, int]) -> dict[str, int]:
    return {**figures, "core_ms": figures["executor_run_ms"] * batch.task_cpus}


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def as_pairs(value: Any) -> dict[str, str]:
    """Spark writes these as an object; its REST API and older logs as a list of pairs. Of anything else nothing."""
    pairs = value.items() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {str(pair[0]): str(pair[1]) for pair in pairs if isinstance(pair, tuple | list) and len(pair) == 2}
