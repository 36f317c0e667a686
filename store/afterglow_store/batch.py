"""What a stretch of a journal changes, gathered before it is written.

Events say a little each (a job's start, then its end), often about the same row. They are merged here, so that the
database sees each row once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from afterglow_store.engine import among, upsert
from afterglow_store.event_logs.stage_tasks import StageKey, StageTasks
from afterglow_store.free_texts import redact_values
from afterglow_store.schema import application, application_conf, executor, job, source, sql_execution, stage

Key = tuple[Any, ...]

_TABLES = (application_conf, executor, job, sql_execution, stage)
_KEYS = {table.name: [column.name for column in table.primary_key][1:] for table in _TABLES}
_KINDS: dict[str, dict[str, type]] = {
    table.name: {
        column.name: int if isinstance(column.type, sa.Integer) else str
        for column in table.columns
        if isinstance(column.type, sa.Integer | sa.Text)
    }
    for table in _TABLES
}

# Where an application has a journal and an event log, whichever is read first. The journal has a plan as it was run and
# an event log as it was made; it names files and leaves out Spark's own tags.
_BETTER_IN_JOURNALS = {
    "job": {"tags": "tags"},
    "sql_execution": {"plan": "plan_hash", "inputs": "inputs", "outputs": "outputs"},
}
_OVER = {"status": "end_time"}  # what is over in one of the two does not run again by the beginning in the other
_GROWING = ("last_event_time", "lost_events", "hook_lost_events")

BEATING = ("listener", "hook")  # the writers that send heartbeats; an event log falls silent with nobody gone


@dataclass
class RunEvent:
    """A run as the hook saw it at `as_of`, or only the fact that it is tied to the application (`details` None)."""

    run_id: str
    as_of: int
    source: str
    tracking_uri: str
    details: dict[str, Any] | None = None
    ended: bool = False
    at_exit: bool = False  # it ended only because the interpreter exited
    owns: bool = False  # it was made or active there

    def __post_init__(self) -> None:
        """Raises TypeError."""
        said = self.details if self.details is not None else {"run_id": self.run_id, "experiment_id": ""}
        texts = (self.run_id, self.source, self.tracking_uri, said.get("run_id"), said.get("experiment_id"))
        if type(self.as_of) is not int or not all(isinstance(each, str) for each in texts):
            raise TypeError(f"an event of run {self.run_id!r:.100} does not say what it has to")


@dataclass
class Batch:
    """The changes to one application's rows."""

    application_id: int
    task_cpus: int
    open_jobs: dict[int, set[int]]  # running jobs and their stages, to tell which job runs a stage
    source_id: int
    of_client: bool = False  # the journal of a Connect client, whose end is not the application's
    application: dict[str, Any] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)  # the changes to its source: of a Connect client all of them
    losses: dict[str, int] = field(default_factory=dict)  # what its source lost so far, by the source's columns
    runs: list[RunEvent] = field(default_factory=list)
    job_tag_runs: dict[str, int] = field(default_factory=dict)  # run id: time of its first job here
    ended_time: int | None = None
    rows: dict[sa.Table, dict[Key, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    of_log: bool = False  # Spark's own event log: it has each task
    with_tasks: bool = True  # … unless they were skipped
    tasks: Mapping[StageKey, StageTasks] = field(default_factory=dict)
    begun_stages: set[StageKey] = field(default_factory=set)
    ended_stages: set[StageKey] = field(default_factory=set)
    earlier_parts: list[int] = field(default_factory=list)  # the sources that hold the log's files before this one
    is_new: bool = False  # nothing of this application is in the store yet
    log_over: bool = False  # one of them, or this one, has told the application's end

    def put(self, table: sa.Table, *key: Any, **values: Any) -> None:
        """Raises TypeError for a value of another kind than the column has: found here, it costs one event. Texts are
        redacted when they are written: not every journal was written by our listener."""
        _refuse_other_kinds(table, zip(_KEYS[table.name], key, strict=True))
        _refuse_other_kinds(table, values.items())
        self.rows[table].setdefault(key, {}).update(values)

    def seen(self, time: int | None) -> None:
        if time is not None:
            self.application["last_event_time"] = max(time, self.application.get("last_event_time") or 0)


def open_batch(conn: sa.Connection, source_id: int, earlier: Collection[str] = ()) -> Batch:
    """For what a source says that goes on after the `earlier` ones. Any line of those that beat is a sign of life."""
    origin = conn.execute(sa.select(source).where(source.c.id == source_id)).one()
    application_id, of_client = origin.application_id, origin.connect_session is not None
    task_cpus = conn.scalar(sa.select(application.c.task_cpus).where(application.c.id == application_id))
    running = sa.select(job.c.job_id, job.c.stage_ids).where(
        job.c.application_id == application_id, job.c.end_time.is_(None)
    )
    open_jobs = {job_id: set(stage_ids or ()) for job_id, stage_ids in conn.execute(running)}
    batch = Batch(application_id, task_cpus or 1, open_jobs, source_id, of_client)
    if of_client:
        batch.client["gone"] = False
    elif origin.writer in BEATING:
        batch.application |= {"gone": False, "silent_ms": None}
    else:
        batch.of_log, batch.log_over = True, bool(origin.told_end)
        _look_at_earlier_parts(conn, batch, earlier)
    return batch


def _look_at_earlier_parts(conn: sa.Connection, batch: Batch, earlier: Collection[str]) -> None:
    if earlier:
        parts = conn.execute(sa.select(source.c.id, source.c.told_end).where(among(conn, source.c.path, earlier))).all()
        batch.earlier_parts = [part.id for part in parts]
        batch.log_over |= any(part.told_end for part in parts)


def write_rows(conn: sa.Connection, batches: Sequence[Batch]) -> None:
    alike: dict[tuple[sa.Table, frozenset[str], bool, bool], list[dict[str, Any]]] = defaultdict(list)
    for batch in batches:
        for table, rows in batch.rows.items():
            keys = _KEYS[table.name]
            for key, values in rows.items():
                named = zip(keys, key, strict=True)
                row = {"application_id": batch.application_id, **dict(named), **redact_values(values)}
                alike[table, frozenset(row), batch.of_log, row.get("status") == "RUNNING"].append(row)
    for (table, _, of_log, running), group in alike.items():
        better = _BETTER_IN_JOURNALS.get(table.name, {}) if of_log else {}
        upsert(conn, table, group, unless=better | (_OVER if running else {}))
    _change(conn, application, [(batch.application_id, batch.application) for batch in batches])
    _change(conn, source, [(batch.source_id, batch.client | batch.losses) for batch in batches])
    _add_up_losses(conn, {batch.application_id for batch in batches if batch.losses})


def _add_up_losses(conn: sa.Connection, applications: Collection[int]) -> None:
    """Of all who write of an application. Whoever takes in another journal of it has waited for the application's row
    before, so that this statement sees what that one counted."""
    if applications:
        lost = sa.func.coalesce(sa.func.sum(source.c.lost_events + source.c.hook_lost_events), 0)
        of_all = sa.select(lost).where(source.c.application_id == application.c.id).scalar_subquery()
        conn.execute(sa.update(application).where(application.c.id.in_(applications)).values(lost_events=of_all))


def _change(conn: sa.Connection, table: sa.Table, changes: Iterable[tuple[int, dict[str, Any]]]) -> None:
    alike: dict[frozenset[str], list[dict[str, Any]]] = defaultdict(list)
    for which, values in changes:
        if any(isinstance(value, sa.ClauseElement) for value in values.values()):
            set_ = {name: _at_least(table, name, value) for name, value in redact_values(values).items()}
            conn.execute(sa.update(table).where(table.c.id == which).values(set_))
        elif values:
            alike[frozenset(values)].append({"which": which, **redact_values(values)})
    for names, rows in alike.items():
        update = sa.update(table).where(table.c.id == sa.bindparam("which"))
        values = {name: sa.bindparam(name, type_=table.c[name].type) for name in sorted(names)}
        conn.execute(update.values({name: _at_least(table, name, value) for name, value in values.items()}), rows)


def _at_least(table: sa.Table, name: str, value: Any) -> Any:
    """What was heard last stays so when an older log is read, and losses only grow."""
    if name not in _GROWING:
        return value
    return sa.case((table.c[name] > value, table.c[name]), else_=value)


def _refuse_other_kinds(table: sa.Table, values: Iterable[tuple[str, Any]]) -> None:
    """SQLite would store a text where a number belongs, for some page to stumble over; PostgreSQL nothing at all."""
    kinds = _KINDS[table.name]
    for name, value in values:
        if value is not None and name in kinds and type(value) is not kinds[name]:
            raise TypeError(f"{table.name}.{name} is {value!r:.100}")
