"""The form of what the API answers, as JSON Schema: of each row of `public.py` its fields, with units.

tests/test_rest.py holds each to have exactly the fields that its row has.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def text(description: str = "", **more: Any) -> Schema:
    return _said({"type": "string", **more}, description)


def maybe_text(description: str = "") -> Schema:
    return _said({"type": ["string", "null"]}, description)


def count(description: str = "") -> Schema:
    return _said({"type": "integer"}, description)


def maybe_count(description: str = "") -> Schema:
    return _said({"type": ["integer", "null"]}, description)


def number(description: str = "") -> Schema:
    return _said({"type": "number"}, description)


def maybe_number(description: str = "") -> Schema:
    return _said({"type": ["number", "null"]}, description)


def time(description: str = "") -> Schema:
    return _said({"type": ["string", "null"], "format": "date-time"}, description or "ISO 8601, UTC")


def many(items: Schema, description: str = "") -> Schema:
    return _said({"type": "array", "items": items}, description)


def by_name(values: Schema, description: str = "") -> Schema:
    return _said({"type": "object", "additionalProperties": values}, description)


def record(about: str, /, **fields: Schema) -> Schema:
    return {"type": "object", "description": about, "properties": fields, "required": list(fields)}


def page_of(name: str, item: str) -> Schema:
    following = maybe_text("give it as `page_token` for the rows that follow; null after the last")
    return record("A page.", **{name: many(ref(item)), "next_page_token": following})


def _said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description} if description else schema


ANYTHING: Schema = {}

_FIGURES = {
    "executor_run_ms": count("time of task attempts, ms"),
    "executor_cpu_ns": count("processor time of task attempts, ns"),
    "gc_ms": count("garbage collection in tasks, ms"),
    **{
        name: count("bytes" if name.endswith("bytes") else "records")
        for name in (
            "input_bytes", "input_records", "output_bytes", "output_records", "shuffle_read_bytes",
            "shuffle_read_records", "shuffle_write_bytes", "shuffle_write_records", "memory_spilled_bytes",
            "disk_spilled_bytes",
        )
    },
    **{name: count("task attempts") for name in ("succeeded_tasks", "failed_tasks", "killed_tasks")},
    "peak_execution_memory_bytes": maybe_count("the most that a task held; null where nobody saw it"),
    "peak_heap_bytes": maybe_count("the most that an executor held; null where nobody saw it"),
}  # fmt: skip

_APPLICATION = {
    "app_id": text("Spark's application id; `local-…` ids may repeat"),
    "attempt": text("'' where the cluster manager has none"),
    "name": maybe_text(),
    "status": maybe_text("RUNNING, SUCCEEDED, FAILED, LOST or ENDED: docs/status.md"),
    "status_reason": maybe_text(),
    "start_time": time(),
    "end_time": time(),
    "duration_s": maybe_number("seconds; null while it runs"),
    **{name: maybe_text() for name in ("user", "master", "driver_host", "spark_version")},
    **{name: count() for name in ("runs", "failed_runs", "experiments", "jobs", "failed_jobs")},
    "core_seconds": number("time of all task attempts × spark.task.cpus, seconds"),
    "allocated_core_seconds": maybe_number("cores of each executor × how long it was there, seconds"),
    "idle_share": maybe_number("0 to 1: what of that no task used"),
    "overhead_core_seconds": number("what of core_seconds served no run"),
    **_FIGURES,
    "lost_events": count("events that were dropped on the way"),
    "running_jobs": many(ANYTHING, "how far each running job is: job_id, stages_done, stages, tasks_done, tasks"),
}

_RUN = {
    "run_id": text(),
    "name": maybe_text(),
    "experiment": maybe_text("its name"),
    "experiment_id": text(),
    "server": text("the MLflow server, by its name in the settings"),
    "workspace": maybe_text("of MLflow, where the server has them"),
    "tracking_uri": maybe_text(),
    "artifact_uri": maybe_text("where MLflow keeps its files"),
    "status": maybe_text("as MLflow has it"),
    "effective_status": maybe_text("what became of it, ORPHANED and SUSPECT too: docs/status.md"),
    "status_reason": maybe_text(),
    "start_time": time(),
    "end_time": time(),
    "duration_s": maybe_number("seconds"),
    "user": maybe_text(),
    "source": maybe_text("the file or notebook that made it"),
    "registered_version": maybe_text("the model versions that were made of it, in one text"),
    "registered_versions": many(ref("RegisteredVersion")),
    "applications": many(text(), "ids of the Spark applications that it is of, the oldest link first"),
    "link_source": many(text(), "how each of these is known: docs/links.md"),
    "parent_run_id": maybe_text(),
    "lifecycle_stage": maybe_text(),
    "jobs": count(),
    "failed_jobs": count(),
    "core_seconds": number("time of all task attempts × spark.task.cpus, seconds"),
    **_FIGURES,
    "total": ref("Total"),
    "params": by_name(maybe_text()),
    "metrics": by_name(
        {"type": ["number", "string", "null"]}, 'the last value of each; "NaN", "Infinity" and "-Infinity" as text'
    ),
    "tags": by_name(maybe_text()),
    "outputs": many(ANYTHING, "its files: path, and size in bytes where that is known"),
}

SCHEMAS: dict[str, Schema] = {
    "Error": record(
        "What is wrong, and what to do.",
        error_code=text("MLflow's words for it, such as INVALID_PARAMETER_VALUE"),
        message=text("for a person"),
    )
    | {"additionalProperties": True},
    "Application": record("A Spark application attempt.", **_APPLICATION),
    "ApplicationDetails": record(
        "A Spark application attempt, with its configuration.",
        **_APPLICATION,
        spark_properties=by_name(maybe_text(), "redacted where they were written"),
        jvm=by_name(ANYTHING),
        last_heard_time=time("when the server last heard of it; null for event logs"),
    ),
    "Experiment": record(
        "An experiment, with what its runs of the window add up to.",
        **{name: text() for name in ("name", "experiment_id", "server")},
        **{name: maybe_text() for name in ("workspace", "lifecycle_stage")},
        **{name: time() for name in ("created_time", "last_run_time")},
        **{name: count() for name in ("runs", "failed_runs", "running_runs", "users", "applications")},
        core_seconds=number("seconds"),
        primary_metric=maybe_text("what its tag mlflow.experiment.primaryMetric.name says"),
        best_value=maybe_number("of that metric; null also where it is infinite"),
        best_run_id=maybe_text("the run that has it"),
        tags=by_name(maybe_text()),
    ),
    "RegisteredVersion": record(
        "A version of a registered model.",
        name=text(), version={"type": ["string", "integer"]}, stage=maybe_text(), aliases=many(text()),
    ),
    "Total": record(
        "What a run used together with all runs below it.",
        runs=count("itself included"), jobs=count(), failed_jobs=count(), core_seconds=number("seconds"), **_FIGURES,
    ),
    "Run": record("An MLflow run, with what Spark did for it.", **_RUN),
    "RunDetails": record(
        "A run, with its relatives.",
        **_RUN,
        child_run_ids=many(text(), "oldest first"),
    ),
    "Job": record(
        "A Spark job.",
        job_id=count(), app_id=text(), status=maybe_text("RUNNING, SUCCEEDED or FAILED"), start_time=time(),
        end_time=time(), duration_s=maybe_number("seconds"),
        description=maybe_text(), job_group=maybe_text(), run_id=maybe_text("the run that it served"),
        run_name=maybe_text(), sql_execution_id=maybe_count(), stage_ids=many(count()), tags=many(text()),
        tasks=maybe_count(), error=maybe_text(), core_seconds=number("seconds"), **_FIGURES,
    ),
    "Stage": record(
        "An attempt of a stage.",
        stage_id=count(), attempt=count(), job_id=maybe_count("the job that ran it"), name=maybe_text(),
        status=maybe_text("RUNNING, COMPLETE or FAILED"), start_time=time(), end_time=time(), tasks=maybe_count(),
        error=maybe_text(),
        skew={"type": ["object", "null"], "description": "how unequal its tasks were, in ms and bytes; the slowest"},
        core_seconds=number("seconds"), **_FIGURES,
    ),
    "Executor": record(
        "An executor.",
        executor_id=text(), host=maybe_text(), cores=maybe_count(), added_time=time(), removed_time=time(),
        removed_reason=maybe_text(),
    ),
    "SqlExecution": record(
        "A query of Spark SQL.",
        sql_execution_id=count(), status=maybe_text("RUNNING, COMPLETED or FAILED"), description=maybe_text(),
        run_id=maybe_text(), start_time=time(), end_time=time(), error=maybe_text(), plan=maybe_text(),
        plan_hash=maybe_text(), inputs=many(ANYTHING, "what it read: format, path, table"), outputs=many(ANYTHING),
    ),
    "Snapshot": record(
        "What a run was at a moment, without its content.",
        id=count(), run_id=text(), run_name=maybe_text(), experiment=maybe_text(),
        cause=text("run end, application end or sync"), app_id=maybe_text(), content_hash=text(),
        content_bytes=count("in the store, compressed"), taken_time=time(),
    ),
    "SnapshotContent": record(
        "What a run was at a moment.",
        id=count(), run_id=text(), taken_time=time(), cause=text(),
        content={"type": "object", "description": "the Run of docs/journal.md; times in ms since 1970"},
    ),
    "Change": record(
        "A difference.",
        kind=text("run, metric, param, registered model, output file or tag"), name=text(),
        change=text(enum=["added", "removed", "changed"]), before=ANYTHING, after=ANYTHING,
    ),
    "Facet": record(
        "A value, and how many runs have it.",
        value=maybe_text("null: of the runs without any"), experiment_id=maybe_text("of the facet experiment"),
        server=maybe_text("of the facet experiment"), runs=count(),
    ),
    "Usage": record(
        "What the Spark jobs of a group used. Its first fields tell the group: those of `by`.",
        jobs=count(), failed_jobs=count(), core_seconds=number("seconds"),
        overhead_core_seconds=number("what of that served no run"), **_FIGURES,
    )
    | {"additionalProperties": True},
    "Applications": page_of("applications", "Application"),
    "Experiments": page_of("experiments", "Experiment"),
    "Runs": page_of("runs", "Run"),
    "Jobs": page_of("jobs", "Job"),
    "Stages": page_of("stages", "Stage"),
    "Executors": page_of("executors", "Executor"),
    "SqlExecutions": page_of("sql_executions", "SqlExecution"),
    "Snapshots": page_of("snapshots", "Snapshot"),
    "Changes": record("All differences, for reading.", changes=many(ref("Change"))),
    "Facets": record("Of each facet its values, most runs first.", facets=by_name(many(ref("Facet")))),
    "Usages": record(
        "The groups with the most core time.", usage=many(ref("Usage")), total=count("how many groups there are")
    ),
    "Found": record(
        "What has the text in a name or id: the newest of each.",
        applications=many(ref("Application")), experiments=many(ref("Experiment")), runs=many(ref("Run")),
    ),
    "Position": record("Where the next chunk of a journal begins.", offset=count("bytes")),
    "JournalError": record("What is wrong with a chunk.", error=text()) | {"additionalProperties": True},
}  # fmt: skip
