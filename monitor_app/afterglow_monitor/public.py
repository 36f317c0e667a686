"""The public form of the store's rows: what `--json` prints. Times are ISO 8601 UTC, durations seconds."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from afterglow_store.diff import Change
from afterglow_store.suggest import Suggestion

Row = dict[str, Any]


def public_application(row: Row) -> Row:
    return {
        "app_id": row["app_id"],
        "attempt": row["attempt"],
        "name": row["name"],
        "status": row["status"],
        "status_reason": row["status_reason"],
        "start_time": iso(row["start_time"]),
        "end_time": iso(row["end_time"]),
        "duration_s": seconds(row["duration_ms"]),
        "user": row["user_name"],
        "master": row["master"],
        "driver_host": row["driver_host"],
        "spark_version": row["spark_version"],
        **{name: row[name] for name in ("runs", "failed_runs", "experiments", "jobs", "failed_jobs", "core_seconds")},
        **{name: row[name] for name in ("allocated_core_seconds", "idle_share", "overhead_core_seconds")},
        **_figures(row),
        "lost_events": row["lost_events"],
        "running_jobs": row["progress"] or [],
    }


def public_experiment(row: Row) -> Row:
    return {
        "name": row["name"],
        "experiment_id": row["experiment_id"],
        "server": row["server"],
        "workspace": row["workspace"],
        "lifecycle_stage": row["lifecycle_stage"],
        "created_time": iso(row["created_time"]),
        "last_run_time": iso(row["last_run_time"]),
        **{
            name: row[name] for name in ("runs", "failed_runs", "running_runs", "users", "applications", "core_seconds")
        },
        "primary_metric": row["primary_metric"],
        "best_value": row["best_value"] if math.isfinite(row["best_value"] or 0) else None,
        "best_run_id": row["best_run_id"],
        "tags": row["tags"] or {},
    }


def public_run(row: Row) -> Row:
    return {
        "run_id": row["run_id"],
        "name": row["name"],
        "experiment": row["experiment"],
        "experiment_id": row["experiment_id"],
        "server": row["server"],
        "workspace": row["workspace"],
        "tracking_uri": row["tracking_uri"],
        "artifact_uri": row["artifact_uri"],
        "status": row["status"],
        "effective_status": row["effective_status"],
        "status_reason": row["status_reason"],
        "start_time": iso(row["start_time"]),
        "end_time": iso(row["end_time"]),
        "duration_s": seconds(row["duration_ms"]),
        "user": row["user_name"],
        "source": row["source_name"],
        "registered_version": ", ".join(
            f"{each['name']} {each['version']}" for each in row["registered_versions"] or ()
        )
        or None,
        "registered_versions": [public_version(each) for each in row["registered_versions"] or ()],
        "applications": [each["app_id"] for each in row["applications"]],
        "link_source": [each["source"] for each in row["applications"]],
        "parent_run_id": row["parent_run_id"],
        "lifecycle_stage": row["lifecycle_stage"],
        "jobs": row["jobs"],
        "failed_jobs": row["failed_jobs"],
        "core_seconds": row["core_seconds"],
        **_figures(row),
        "total": public_total(row["total"]),
        "params": row["params"] or {},
        "metrics": row["metrics"] or {},
        "tags": row["tags"] or {},
        "outputs": row["outputs"] or [],
    }


def public_version(version: Row) -> Row:
    return {
        "name": version["name"],
        "version": version["version"],
        "stage": version.get("stage"),
        "aliases": version.get("aliases", []),
    }


def public_total(total: Row) -> Row:
    """What a run used together with the runs below it."""
    return {name: total[name] for name in ("runs", "jobs", "failed_jobs", "core_seconds")} | _figures(total)


def public_usage(row: Row) -> Row:
    """A row of the store's `usage`: what tells its group, then what that used."""
    keys = [
        name
        for name in ("run_id", "name", "experiment", "experiment_id", "server", "user", "application", "day")
        if name in row
    ]
    used = ("jobs", "failed_jobs", "core_seconds", "overhead_core_seconds")
    return {name: row[name] for name in (*keys, *used)} | _figures(row)


def public_job(row: Row) -> Row:
    return {
        **{name: row[name] for name in ("job_id", "app_id", "status")},
        "start_time": iso(row["start_time"]),
        "end_time": iso(row["end_time"]),
        "duration_s": seconds(row["duration_ms"]),
        **{name: row[name] for name in ("description", "job_group", "run_id", "run_name")},
        "sql_execution_id": row["execution_id"],
        "stage_ids": row["stage_ids"] or [],
        "tags": row["tags"] or [],
        **{name: row[name] for name in ("tasks", "error", "core_seconds")},
        **_figures(row),
    }


def public_stage(row: Row) -> Row:
    """`skew`: of the figures of its tasks the median, 95th percentile and largest; null where it had few."""
    return {
        **{name: row[name] for name in ("stage_id", "attempt", "job_id", "name", "status")},
        "start_time": iso(row["start_time"]),
        "end_time": iso(row["end_time"]),
        **{name: row[name] for name in ("tasks", "error", "skew")},
        "core_seconds": (row["core_ms"] or 0) / 1000,
        **_figures(row),
    }


def public_executor(row: Row) -> Row:
    return {
        **{name: row[name] for name in ("executor_id", "host", "cores")},
        "added_time": iso(row["added_time"]),
        "removed_time": iso(row["removed_time"]),
        "removed_reason": row["removed_reason"],
    }


def public_sql_execution(row: Row) -> Row:
    """`inputs` and `outputs`: what it read and wrote, each with its `format`, `path` and `table` as far as they are
    known."""
    return {
        "sql_execution_id": row["execution_id"],
        **{name: row[name] for name in ("status", "description", "run_id")},
        "start_time": iso(row["start_time"]),
        "end_time": iso(row["end_time"]),
        **{name: row[name] for name in ("error", "plan", "plan_hash")},
        "inputs": row["inputs"] or [],
        "outputs": row["outputs"] or [],
    }


def public_facet(row: Row) -> Row:
    """A value of the store's `facets`, with how many runs have it."""
    return {name: row.get(name) for name in ("value", "experiment_id", "server", "runs")}


def public_suggestion(found: Suggestion | None) -> Row | None:
    """`id` is the store's number of the application."""
    return None if found is None else {"app_id": found.app_id, "id": found.application_id, "why": found.why}


def public_snapshot(row: Row) -> Row:
    """A row of the store's `snapshots.listed`. `content_bytes`: what its content takes in the store, compressed;
    snapshots with the same `content_hash` share it."""
    names = ("id", "run_id", "run_name", "experiment", "cause", "app_id", "content_hash", "content_bytes")
    return {**{name: row[name] for name in names}, "taken_time": iso(row["taken_time"])}


def public_change(change: Change) -> Row:
    before, after = (
        iso(value) if change.kind == "run" and change.name.endswith("_time") else value
        for value in (change.before, change.after)
    )
    return {"kind": change.kind, "name": change.name, "change": change.how, "before": before, "after": after}


def iso(millis: int | None) -> str | None:
    if millis is None:
        return None
    return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(millis: int | None) -> float | None:
    return None if millis is None else millis / 1000


_FIGURES = (
    "executor_run_ms", "executor_cpu_ns", "gc_ms", "input_bytes", "input_records", "output_bytes", "output_records",
    "shuffle_read_bytes", "shuffle_read_records", "shuffle_write_bytes", "shuffle_write_records",
    "memory_spilled_bytes", "disk_spilled_bytes", "succeeded_tasks", "failed_tasks", "killed_tasks",
)  # fmt: skip
_PEAKS = ("peak_execution_memory_bytes", "peak_heap_bytes")


def _figures(row: Row) -> Row:
    """Sums are 0 where there was nothing; a peak that nobody saw is null."""
    return {name: row[name] or 0 for name in _FIGURES} | {name: row[name] for name in _PEAKS}
