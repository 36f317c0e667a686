"""The tables. Wide rows, one for each thing that a page lists; what a row adds up is stored in it.

Times are milliseconds since 1970 UTC, sizes bytes. JSON is kept as text on both databases: it is only ever
read whole, and what is searched has a column of its own.
"""

from __future__ import annotations

from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def as_json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


class Json(sa.types.TypeDecorator[Any]):
    """A JSON value as text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return as_json(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else orjson.loads(value)


Millis = BigInteger
Id = BigInteger().with_variant(Integer, "sqlite")

# What Spark adds up for the tasks of a stage, and therefore of a job, a run and an application:
# our column, and the accumulators whose sum it is.
FIGURES: dict[str, tuple[str, ...]] = {
    "executor_run_ms": ("executorRunTime",),
    "executor_cpu_ns": ("executorCpuTime",),
    "gc_ms": ("jvmGCTime",),
    "input_bytes": ("input.bytesRead",),
    "input_records": ("input.recordsRead",),
    "output_bytes": ("output.bytesWritten",),
    "output_records": ("output.recordsWritten",),
    "shuffle_read_bytes": ("shuffle.read.remoteBytesRead", "shuffle.read.localBytesRead"),
    "shuffle_read_records": ("shuffle.read.recordsRead",),
    "shuffle_write_bytes": ("shuffle.write.bytesWritten",),
    "shuffle_write_records": ("shuffle.write.recordsWritten",),
    "memory_spilled_bytes": ("memoryBytesSpilled",),
    "disk_spilled_bytes": ("diskBytesSpilled",),
}
TASK_COUNTS = ("succeeded_tasks", "failed_tasks", "killed_tasks")
SUMS = (*FIGURES, *TASK_COUNTS, "core_ms")  # core_ms: executor_run_ms × spark.task.cpus
# By which of them runs are often put in order.
RANKED = (
    "core_ms", "input_bytes", "output_bytes", "shuffle_read_bytes", "shuffle_write_bytes", "memory_spilled_bytes",
    "disk_spilled_bytes",
)  # fmt: skip
# What one task, or one executor, held at most: of several stages the largest counts.
PEAKS = ("peak_execution_memory_bytes", "peak_heap_bytes")


def _used() -> list[Column[Any]]:
    return [Column(name, BigInteger) for name in (*SUMS, *PEAKS)]


def _ranking(name: str) -> Index:
    """Of the rows that have it."""
    there = sa.text(f"{name} IS NOT NULL")
    return Index(f"ix_run_by_{name}", name, "start_time", "id", sqlite_where=there, postgresql_where=there)


def _application_id(**options: Any) -> Column[Any]:
    return Column("application_id", Id, ForeignKey("application.id", ondelete="CASCADE"), **options)


application = Table(
    "application",
    metadata,
    Column("id", Id, primary_key=True),
    Column("app_id", Text, nullable=False),
    Column("attempt", Text, nullable=False),  # '' where the cluster manager has no attempts
    Column("start_time", Millis, nullable=False),
    Column("driver_host", Text, nullable=False),
    Column("name", Text),
    Column("user_name", Text),
    Column("master", Text),
    Column("spark_version", Text),
    Column("status", Text, nullable=False, server_default="RUNNING"),
    Column("status_reason", Text),
    Column("end_time", Millis),
    Column("spark_end_time", Millis),  # what SparkListenerApplicationEnd said; end_time may be inferred
    Column("last_event_time", Millis),
    Column("driver_outcome", Text),  # what the hook saw at the interpreter's exit: clean, exception
    Column("driver_error", Text),
    Column("context_error", Text),  # what became of a Spark context that died under a living driver
    Column("silent_ms", BigInteger),  # for how long nothing was heard, once beats are missed
    Column("gone", Boolean),  # silent beyond the grace
    Column("progress", Json),  # how far its running jobs are: docs/journal.md, AfterglowHeartbeat
    Column("task_cpus", Integer, nullable=False, server_default="1"),
    Column("lost_events", BigInteger, nullable=False, server_default="0"),  # by all its journals together
    Column("jobs", Integer, nullable=False, server_default="0"),
    Column("failed_jobs", Integer, nullable=False, server_default="0"),
    Column("runs", Integer, nullable=False, server_default="0"),
    Column("failed_runs", Integer, nullable=False, server_default="0"),
    Column("experiments", Integer, nullable=False, server_default="0"),
    *_used(),
    Column("allocated_core_ms", BigInteger),  # the cores of each executor × how long it was there
    Column("overhead_core_ms", BigInteger),  # core_ms that served no run: with that of its runs, all of core_ms
    sa.UniqueConstraint("app_id", "attempt", "start_time", "driver_host"),
    Index(None, "start_time", "id"),
    Index(None, "status", "start_time"),
    Index(None, "status", "end_time"),
    Index(None, "name", "start_time"),
    Index(None, "status", "gone", "driver_outcome"),  # the judge asks every few seconds who may still be alive
)

# The experiments that the runs of an application are of: noted in applications.py, so that a list of experiments need
# not look up the links of each run.
application_experiment = Table(
    "application_experiment",
    metadata,
    _application_id(primary_key=True),
    Column("server", Text, primary_key=True),
    Column("experiment_id", Text, primary_key=True),
    Column("first_start", Millis, nullable=False),  # of these runs the first …
    Column("last_start", Millis, nullable=False),  # … and the last
    Index("ix_application_experiment_window", "last_start", "server", "experiment_id", "first_start"),
)

application_conf = Table(
    "application_conf",
    metadata,
    _application_id(primary_key=True),
    Column("spark_properties", Json),  # {key: value}, redacted where it was written
    Column("jvm", Json),
)

job = Table(
    "job",
    metadata,
    _application_id(primary_key=True),
    Column("job_id", Integer, primary_key=True, autoincrement=False),
    Column("status", Text),  # RUNNING, SUCCEEDED, FAILED
    Column("start_time", Millis),
    Column("end_time", Millis),
    Column("description", Text),
    Column("job_group", Text),
    Column("run_id", Text),  # the MLflow run that it served, by its Spark job tag
    Column("execution_id", BigInteger),
    Column("stage_ids", Json),
    Column("tasks", Integer),
    Column("tags", Json),
    Column("error", Text),
    *_used(),
    Index(None, "run_id"),
    Index(None, "start_time"),
    Index(None, "application_id", "execution_id"),
)

stage = Table(
    "stage",
    metadata,
    _application_id(primary_key=True),
    Column("stage_id", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("job_id", Integer),  # the job that ran it; jobs that found it done skipped it
    Column("name", Text),
    Column("status", Text),  # RUNNING, COMPLETE, FAILED
    Column("start_time", Millis),
    Column("end_time", Millis),
    Column("tasks", Integer),
    Column("error", Text),
    *_used(),
    Column("skew", Json),  # how unequal its tasks were: compact.skew
    Index(None, "application_id", "job_id"),
)

executor = Table(
    "executor",
    metadata,
    _application_id(primary_key=True),
    Column("executor_id", Text, primary_key=True),
    Column("host", Text),
    Column("cores", Integer),
    Column("added_time", Millis),
    Column("removed_time", Millis),
    Column("removed_reason", Text),
)

sql_execution = Table(
    "sql_execution",
    metadata,
    _application_id(primary_key=True),
    Column("execution_id", BigInteger, primary_key=True, autoincrement=False),
    Column("status", Text),  # RUNNING, COMPLETED, FAILED
    Column("description", Text),
    Column("start_time", Millis),
    Column("end_time", Millis),
    Column("run_id", Text),
    Column("plan", Text),  # where the application has several with one hash, only the first
    Column("error", Text),
    Column("plan_hash", Text),
    Column("inputs", Json),  # [{"format", "path", "table"}], each with what is known of it
    Column("outputs", Json),
)

tracking_server = Table(
    "tracking_server",
    metadata,
    Column("name", Text, primary_key=True),
    Column("uri", Text, nullable=False),
    Column("aliases", Json),
    Column("last_sync_time", Millis),
    Column("last_error", Text),
    Column("last_error_time", Millis),
    # The first load, newest runs first: where it got to, when it was done, and of how many runs, if that is known.
    Column("loaded_until", Millis),
    Column("loaded_runs", BigInteger),
    Column("loaded_time", Millis),
    Column("total_runs", BigInteger),
    # The slow sweep over all runs: when the one under way began and got to (or the last one began), and how long the
    # last whole one took.
    Column("sweep_began", Millis),
    Column("sweep_until", Millis),
    Column("sweep_ms", BigInteger),
    Column("replaced_time", Millis),  # when another server was met under this name: of what was before it tells nothing
)

experiment = Table(
    "experiment",
    metadata,
    Column("server", Text, primary_key=True),
    Column("experiment_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("lifecycle_stage", Text),
    Column("artifact_location", Text),
    Column("created_time", Millis),
    Column("updated_time", Millis),
    Column("tags", Json),
    Column("workspace", Text),  # of MLflow, where the server has them
    Index(None, "name"),
)

NAMES = "ix_run_name"
ID_LENGTH, ID_DIGITS = 32, "0123456789abcdef"  # of a run's id, as MLflow makes them
OTHER_ID = f"(length(run_id) <> {ID_LENGTH} OR ltrim(run_id, '{ID_DIGITS}') <> '')"  # that it is of another kind

run = Table(
    "run",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),  # short, for the tables that search goes through
    Column("run_id", Text, nullable=False, unique=True),
    Column("server", Text, nullable=False),
    Column("tracking_uri", Text),
    Column("experiment_id", Text, nullable=False),
    Column("name", Text),
    Column("status", Text),
    Column("effective_status", Text),
    Column("status_reason", Text),
    Column("start_time", Millis, nullable=False, server_default="0"),
    Column("end_time", Millis),
    Column("duration_ms", BigInteger),  # end_time − start_time, in a column of its own so that it has an index
    Column("user_name", Text),
    Column("source_name", Text),
    Column("source_type", Text),
    Column("artifact_uri", Text),
    Column("lifecycle_stage", Text),
    Column("parent_run_id", Text),
    Column("app_id_tag", Text),  # the run's tag spark.app.id …
    Column("app_start_tag", Millis),  # … and spark.app.startTime
    Column("registered_versions", Json),  # [{"name", "version", perhaps "stage" and "aliases"}]
    Column("params", Json),
    Column("metrics", Json),
    Column("tags", Json),
    Column("outputs", Json),  # [{"path", "size"}]
    Column("outputs_complete", Boolean),
    Column("as_of", Millis, nullable=False),  # when MLflow was asked: an older answer never replaces a newer one
    Column("content_hash", Text),
    Column("jobs", Integer, nullable=False, server_default="0"),
    Column("failed_jobs", Integer, nullable=False, server_default="0"),
    *_used(),
    # Lists go through these, newest first; the first alone tells how many there are of a status, user or
    # experiment, and which have some text in their names.
    Index("ix_run_facets", "start_time", "effective_status", "user_name", "server", "experiment_id", "run_id", "name"),
    Index(None, "effective_status", "start_time", "id"),
    Index(None, "user_name", "start_time", "id"),
    # Also has what a list of experiments adds up: the wide rows of its runs need not be read for it.
    Index(
        "ix_run_of_experiment",
        *("server", "experiment_id", "start_time", "id", "effective_status", "user_name", "core_ms"),
    ),
    Index(None, "app_id_tag", "start_time", "id"),
    Index(None, "parent_run_id"),
    Index(None, "end_time"),
    Index("ix_run_by_duration_ms", "duration_ms", "start_time", "id"),
    Index(NAMES, "name", "start_time", "id"),
    Index("ix_run_other_id", "run_id", sqlite_where=sa.text(OTHER_ID), postgresql_where=sa.text(OTHER_ID)),
    *map(_ranking, RANKED),
)

# What search finds runs by: each param and tag that a run has, newest first, and each metric by its value. `term` and
# `key` are the numbers that postings.number_of gives.
run_term = Table(
    "run_term",
    metadata,
    Column("term", Id, primary_key=True, autoincrement=False),
    Column("start_time", Millis, primary_key=True, autoincrement=False),
    Column("run", Id, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

run_metric = Table(
    "run_metric",
    metadata,
    Column("run", Id, primary_key=True, autoincrement=False),
    Column("key", Id, primary_key=True, autoincrement=False),
    Column("value", sa.Double),  # the last one; NULL is NaN
    Column("start_time", Millis, nullable=False),
    Index(None, "key", "value", "start_time", "run"),
    sqlite_with_rowid=False,
)

# The versions of registered models that were made of a run.
registered_version = Table(
    "registered_version",
    metadata,
    Column("run", Id, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Index(None, "name", "version"),
)

link = Table(
    "link",
    metadata,
    Column("run_id", Text, primary_key=True),
    _application_id(primary_key=True),
    Column("source", Text, nullable=False),  # tag, job-tag, client, resumed, executor, inferred
    Column("first_seen", Millis, nullable=False),
    Index(None, "application_id", "run_id"),
)

# The processes that a run was active in: those whose journals have its AfterglowRunStart.
owner = Table(
    "owner",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("source_id", Id, ForeignKey("source.id", ondelete="CASCADE"), primary_key=True),
    Column("end_time", Millis),  # when it last ended there …
    Column("ended_at_exit", Boolean),  # … and whether only because the interpreter exited
    Index(None, "source_id"),
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("id", Id, primary_key=True),
    Column("item_type", Text, nullable=False),  # run, experiment
    Column("item_id", Text, nullable=False),  # run id; experiments: server/experiment id
    Column("taken_time", Millis, nullable=False),
    Column("cause", Text, nullable=False),  # run end, application end, sync
    Column("application_id", Id),
    Column("content_hash", Text, nullable=False),
    Index(None, "item_type", "item_id", "taken_time"),
    Index(None, "application_id"),
    Index(None, "content_hash"),
)

snapshot_content = Table(
    "snapshot_content",
    metadata,
    Column("content_hash", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),  # zlib of the JSON
)

source = Table(
    "source",
    metadata,
    Column("id", Id, primary_key=True),
    Column("path", Text, nullable=False, unique=True),
    Column("instance", Text),
    Column("writer", Text),  # listener, hook, spark
    Column("connect_session", Text),  # of a Spark Connect client's own journal
    Column("position", BigInteger, nullable=False, server_default="0"),  # bytes that are in the rows
    Column("application_id", Id),
    Column("lines", BigInteger, nullable=False, server_default="0"),
    Column("bad_lines", BigInteger, nullable=False, server_default="0"),
    Column("error", Text),
    Column("driver_outcome", Text),  # of a Connect client: how its interpreter exited
    Column("driver_error", Text),
    Column("gone", Boolean),  # of a Connect client: silent beyond the grace
    Column("updated_time", Millis),  # by the server's clock: when it was last heard
    Column("beat_ms", BigInteger),  # how often it beats
    Column("journal", Text),  # the name of a journal's file: the same in a folder and through the collector
    Column("last_seq", BigInteger),  # the number of the last event in the rows
    Column("file_bytes", BigInteger),  # of an event log's file: how large it was when all in it had been read
    Column("in_long_line", Boolean),  # `position` is within a line that is too long and is left out
    Column("resume_packed", BigInteger),  # of a packed one: the byte in the file where unpacking may begin anew …
    Column("resume_plain", BigInteger),  # … and that in the plain bytes, at or before `position`
    Column("told_end", Boolean),  # of an event log's file: it has told the application's end
    Column("lost_events", BigInteger, nullable=False, server_default="0"),  # that its writer did not get into it
    Column("hook_lost_events", BigInteger, nullable=False, server_default="0"),  # … its hook, if a listener's
    Column("trouble", Text),  # why its writer no longer looks at Spark's events, but counts them
    Index(None, "application_id"),
    Index(None, "connect_session"),
    Index(None, "journal", unique=True),
)

# Journals that come through the collector: how much of each was received.
received_journal = Table(
    "received_journal",
    metadata,
    Column("journal", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),  # bytes that are in chunks, or were
    Column("received_time", Millis, nullable=False),
    Column("cluster", Text),  # whose token it was first sent with; without one, of no particular cluster
)

# Bytes of journals that were received and are not in the rows yet. Ingest deletes them.
journal_chunk = Table(
    "journal_chunk",
    metadata,
    Column("journal", Text, primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),  # where in the journal it begins
    Column("end", BigInteger, nullable=False),
    Column("encoding", Text, nullable=False),  # identity or gzip, as it came
    Column("data", LargeBinary, nullable=False),
)

# Lines that are no events, the first of each source, redacted and cut: to see what they were.
bad_line = Table(
    "bad_line",
    metadata,
    Column("source_id", Id, ForeignKey("source.id", ondelete="CASCADE"), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("length", BigInteger, nullable=False),  # bytes; of a line that is too long, as far as it was read
    Column("text", Text, nullable=False),
)

# What the tasks of a stage in a file of an event log add up to, until the log tells the application's end; of stages
# that are not complete by then also after it.
task_sums = Table(
    "task_sums",
    metadata,
    Column("source_id", Id, ForeignKey("source.id", ondelete="CASCADE"), primary_key=True),
    Column("stage_id", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("sums", Json, nullable=False),  # event_logs/summing.py
)

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", Id, primary_key=True),
    Column("time", Millis, nullable=False),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),  # one of audit.py's
    Column("run_id", Text, nullable=False),  # '' for what is of no run
    Column("before", Json),
    Column("after", Json),
    Index(None, "run_id"),
)

# How far back things were pruned: one row.
retention = Table(
    "retention",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("kept_from", Millis, nullable=False),  # nothing older is left, and sync adds nothing older
    Column("pruned_time", Millis, nullable=False),
)

# What programs show instead of a person's sign-in: tokens.py.
access_token = Table(
    "access_token",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("token_hash", Text, nullable=False),  # SHA-256
    Column("scopes", Json, nullable=False),  # read, ingest:CLUSTER, ingest:*
    Column("created_time", Millis, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_time", Millis),
    Column("used_time", Millis),  # last, to the minute
    Column("revoked_time", Millis),
    Column("revoked_by", Text),
)

# What the servers on this store sign with, made by the first that needs it: keys.py.
server_key = Table(
    "server_key",
    metadata,
    Column("name", Text, primary_key=True),
    Column("key", Text, nullable=False),
)

# What a person had erased, told by a hash of its id: so that sync and ingest do not bring it back.
forgotten = Table(
    "forgotten",
    metadata,
    Column("kind", Text, primary_key=True),  # run, user, experiment
    Column("id_hash", Text, primary_key=True),
    Column("time", Millis, nullable=False),
    Column("who", Text, nullable=False),
)

# Lists as people have left and named them: saved_views.py.
saved_view = Table(
    "saved_view",
    metadata,
    Column("owner", Text, primary_key=True),  # who has signed in, or which browser
    Column("name", Text, primary_key=True),  # '' for the one that was looked at last
    Column("address", Json, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("time", Millis, nullable=False),
)

# The background jobs of all servers on this store: which process does each, and how it goes. leases.py
background_job = Table(
    "background_job",
    metadata,
    Column("name", Text, primary_key=True),
    Column("title", Text, nullable=False),  # as people know it
    Column("holder", Text),  # the process that does it
    Column("host", Text),
    Column("until", Millis, nullable=False),  # by the database's clock: as long it is the holder's
    Column("taken_time", Millis),  # by that clock, too
    Column("began_time", Millis),  # of the last time that was completed …
    Column("took_ms", BigInteger),  # … and how long it took
    Column("times", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("error", Text),  # the last one
    Column("error_time", Millis),
    Column("listens", Boolean, nullable=False),  # to journals: who is silent is judged by it
    Column("looked", Millis),  # when the last complete look at all of them began …
    Column("first_looked", Millis),  # … and the holder's first
)

# Since when each rule of the settings is watched, and up to when all that happened is known to it.
alert_rule = Table(
    "alert_rule",
    metadata,
    Column("name", Text, primary_key=True),
    Column("since", Millis, nullable=False),
    Column("known_until", Millis, nullable=False),
)

# What happened that a rule asks for: once for each place where it is told. alerts.py
alert = Table(
    "alert",
    metadata,
    Column("id", Id, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("event", Text, nullable=False),  # what tells it from all others: the run's id …
    Column("target", Text, nullable=False),  # where the address is, never the address
    Column("time", Millis, nullable=False),  # when it happened
    Column("noted_time", Millis, nullable=False),
    Column("text", Text, nullable=False),
    Column("state", Text, nullable=False),  # waiting, sending, sent, given up
    Column("attempts", Integer, nullable=False),
    Column("next_time", Millis, nullable=False),  # of waiting: not before; of sending: given back after
    Column("sent_time", Millis),
    Column("error", Text),
    sa.UniqueConstraint("rule", "event", "target"),
    Index(None, "state", "next_time"),
    Index(None, "sent_time"),
)
