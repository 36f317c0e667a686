"""One thing and what belongs to it: an application with its jobs and items, an experiment, a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from afterglow_store.errors import NotFound
from afterglow_store.schema import (
    TASK_COUNTS,
    application,
    application_conf,
    executor,
    experiment,
    job,
    link,
    registered_version,
    run,
    source,
    sql_execution,
    stage,
)
from afterglow_store.search import Query, Row, add_best, search_applications, search_experiments
from afterglow_store.search.parts import jobs_where
from afterglow_store.search.runs import rows_of
from afterglow_store.skew import LEAST_BYTES, LEAST_MS, skewed

ITEMS_LIMIT = 5_000  # runs of one application on one page


def application_by_id(conn: sa.Connection, application_id: int) -> Row:
    """The application as search_applications lists it, with `spark_properties`, `jvm` and `last_heard_time`. Raises
    NotFound."""
    row = conn.execute(sa.select(application.c.app_id).where(application.c.id == application_id)).one_or_none()
    if row is None:
        raise NotFound(f"application {application_id} is not in the store")
    page = search_applications(conn, Query(app=row.app_id, limit=1_000))
    found = next(each for each in page.rows if each["id"] == application_id)
    conf = conn.execute(
        sa.select(application_conf).where(application_conf.c.application_id == application_id)
    ).one_or_none()
    found["spark_properties"] = conf.spark_properties if conf else {}
    found["jvm"] = conf.jvm if conf else {}
    heard = sa.select(sa.func.max(source.c.updated_time)).where(source.c.application_id == application_id)
    found["last_heard_time"] = conn.scalar(heard)
    return found


def application_by_app_id(conn: sa.Connection, app_id: str) -> Row:
    """The latest application of that Spark id. Raises NotFound."""
    newest = (
        sa.select(application.c.id)
        .where(application.c.app_id == app_id)
        .order_by(application.c.start_time.desc())
        .limit(1)
    )
    found = conn.scalar(newest)
    if found is None:
        raise NotFound(f"application {app_id} is not in the store")
    return application_by_id(conn, found)


def application_by_start(conn: sa.Connection, app_id: str, start_time: int) -> Row:
    """The application of that Spark id that started then (ms). Raises NotFound."""
    same = sa.and_(application.c.app_id == app_id, application.c.start_time == start_time)
    found = conn.scalar(sa.select(application.c.id).where(same).limit(1))
    if found is None:
        raise NotFound(f"application {app_id} that started at {start_time} ms is not in the store")
    return application_by_id(conn, found)


def items_of(conn: sa.Connection, application_id: int) -> list[Row]:
    """The experiments that an application wrote to, that of its newest run first: rows of the experiment table, each
    with its `items`: the application's runs in it, parents with their `children`, oldest first, every one as
    search_runs gives it."""
    of_it = run.c.run_id.in_(sa.select(link.c.run_id).where(link.c.application_id == application_id))
    written = (
        sa.select(run.c.server, run.c.experiment_id, sa.func.max(run.c.start_time).label("newest"))
        .where(of_it)
        .group_by(run.c.server, run.c.experiment_id)
        .subquery()
    )
    same = sa.and_(experiment.c.server == written.c.server, experiment.c.experiment_id == written.c.experiment_id)
    found = conn.execute(
        sa.select(experiment)
        .join(written, same)
        .order_by(written.c.newest.desc(), experiment.c.server, experiment.c.experiment_id)
    )
    experiments = [dict(row._mapping) for row in found]
    roots = tree(_runs(conn, of_it))
    for each in experiments:
        key = (each["server"], each["experiment_id"])
        each["items"] = [row for row in roots if (row["server"], row["experiment_id"]) == key]
    return experiments


def tree(runs: list[Row]) -> list[Row]:
    """The runs as a forest: each gets `children`; a run whose parent is not among them is a root."""
    by_id = {row["run_id"]: row for row in runs}
    for row in runs:
        row["children"] = []
    roots: list[Row] = []
    for row in runs:
        parent = by_id.get(row["parent_run_id"] or "")
        (parent["children"] if parent is not None and parent is not row else roots).append(row)
    return roots


def jobs_of(conn: sa.Connection, application_id: int) -> list[Row]:
    """The jobs of an application, newest first, each with `run_name`, `core_seconds` and `duration_ms`."""
    return _jobs(conn, job.c.application_id == application_id)


def jobs_of_run(conn: sa.Connection, run_id: str) -> list[Row]:
    """The Spark jobs that a run caused, in all its applications, newest first."""
    return _jobs(conn, job.c.run_id == run_id)


def _jobs(conn: sa.Connection, which: sa.ColumnElement[bool]) -> list[Row]:
    rows = conn.execute(jobs_where(which).order_by(job.c.start_time.desc(), job.c.job_id.desc()))
    return [dict(row._mapping) for row in rows]


def stages_of(conn: sa.Connection, application_id: int) -> list[Row]:
    """The stage attempts of an application, newest first; `skew` as in compact.skew, None where there is none."""
    return _of_application(conn, stage, application_id, stage.c.stage_id.desc(), stage.c.attempt.desc())


def stages_by_job(conn: sa.Connection, application_id: int) -> dict[int, Row]:
    """What the stages that each job ran tell of it: the `name` of the last, how many are `done`, and the ids of those
    that are `skewed` (skew.py). Of thousands of stages no more than that is read."""
    c = stage.c
    ran = sa.and_(c.application_id == application_id, c.job_id.is_not(None))
    rows = conn.execute(sa.select(c.job_id, c.stage_id, c.name, c.status).where(ran).order_by(c.stage_id, c.attempt))
    found: dict[int, Row] = {}
    done: dict[int, set[int]] = {}
    for job_id, stage_id, name, status in rows:
        found[job_id] = {"name": name, "skewed": []}
        done.setdefault(job_id, set()).update([stage_id] if status == "COMPLETE" else [])
    for each in conn.execute(sa.select(*_JUDGED).where(ran, _MAY_BE_SKEWED).order_by(c.stage_id)).mappings():
        of_job = found[each["job_id"]]["skewed"]
        of_job += [each["stage_id"]] if skewed(dict(each)) and each["stage_id"] not in of_job else []
    return {job_id: row | {"done": len(done[job_id])} for job_id, row in found.items()}


_s = stage.c
_JUDGED = (
    *(_s.job_id, _s.stage_id, _s.skew, _s.executor_run_ms, _s.input_bytes, _s.shuffle_read_bytes),
    *(_s[name] for name in TASK_COUNTS),
)
# What one task had, the stage had at least.
_MAY_BE_SKEWED = sa.and_(
    _s.skew.is_not(None),
    sa.or_(
        _s.end_time - _s.start_time > LEAST_MS,
        _s.input_bytes > LEAST_BYTES,
        _s.shuffle_read_bytes > LEAST_BYTES,
    ),
)


def progress_of(conn: sa.Connection, application_id: int) -> list[Row]:
    """How far the jobs are that run, as the last heartbeat had it: `job_id`, `stages_done`, `stages`, `tasks_done`,
    `tasks`."""
    said = conn.scalar(sa.select(application.c.progress).where(application.c.id == application_id)) or []
    running = sa.select(job.c.job_id).where(job.c.application_id == application_id, job.c.status == "RUNNING")
    jobs = set(conn.scalars(running)) if said else set()
    return [each for each in said if each["job_id"] in jobs]


def executors_of(conn: sa.Connection, application_id: int) -> list[Row]:
    return _of_application(conn, executor, application_id, executor.c.added_time, executor.c.executor_id)


def writers_in_trouble(conn: sa.Connection, application_id: int) -> list[Row]:
    """Who no longer looks at the events of an application, but counts them: `writer`, `trouble` and when (ms, by the
    server's clock) it was heard last."""
    told = sa.select(source.c.writer, source.c.trouble, source.c.updated_time)
    rows = conn.execute(told.where(source.c.application_id == application_id, source.c.trouble.is_not(None)))
    return [dict(row._mapping) for row in rows]


def sql_executions_of(conn: sa.Connection, application_id: int) -> list[Row]:
    """The SQL executions of an application, newest first, each with its `plan`, also where the store has it once for
    several."""
    rows = _of_application(conn, sql_execution, application_id, sql_execution.c.execution_id.desc())
    plans = {row["plan_hash"]: row["plan"] for row in rows if row["plan"]}
    for row in rows:
        row["plan"] = row["plan"] or plans.get(row["plan_hash"])
    return rows


def _of_application(
    conn: sa.Connection, table: sa.Table, application_id: int, *order: sa.ColumnElement[Any]
) -> list[Row]:
    rows = conn.execute(sa.select(table).where(table.c.application_id == application_id).order_by(*order))
    return [dict(row._mapping) for row in rows]


def experiment_by_id(conn: sa.Connection, server: str, experiment_id: str) -> Row:
    """The experiment as experiments_with_best lists it. Raises NotFound."""
    query = Query(server=server, experiment=experiment_id, limit=10)
    for row in search_experiments(conn, query).rows:
        if row["experiment_id"] == experiment_id:
            add_best(conn, [row], query)
            return row
    raise NotFound(f"experiment {experiment_id} of server {server} is not in the store")


def experiment_by_name(conn: sa.Connection, name_or_id: str) -> tuple[str, str]:
    """The key (server, experiment id) of the experiment of that id or name. Raises NotFound, also when several servers
    have one."""
    same = sa.or_(experiment.c.experiment_id == name_or_id, experiment.c.name == name_or_id)
    found = conn.execute(
        sa.select(experiment.c.server, experiment.c.experiment_id, experiment.c.name).where(same)
    ).all()
    found = [row for row in found if row.experiment_id == name_or_id] or found
    if len(found) > 1:
        which = ", ".join(sorted(f"{row.name} ({row.experiment_id}) of {row.server}" for row in found))
        raise NotFound(f"experiment {name_or_id} is not one but several: {which}")
    if not found:
        raise NotFound(f"experiment {name_or_id} is not in the store")
    return found[0].server, found[0].experiment_id


def run_by_id(conn: sa.Connection, run_id: str) -> Row:
    """The run as search_runs lists it, with `children` (rows of its child runs) and `parent` (row, or None). Raises
    NotFound."""
    found = _runs(conn, run.c.run_id == run_id)
    if not found:
        raise NotFound(f"run {run_id} is not in the store")
    row = found[0]
    row["children"] = _runs(conn, run.c.parent_run_id == run_id)
    parent = row["parent_run_id"]
    row["parent"] = next(iter(_runs(conn, run.c.run_id == parent)), None) if parent else None
    return row


def _runs(conn: sa.Connection, which: sa.ColumnElement[bool]) -> list[Row]:
    ids = sa.select(run.c.id).where(which).order_by(run.c.start_time, run.c.id).limit(ITEMS_LIMIT)
    return rows_of(conn, list(conn.scalars(ids)))


def runs_named(conn: sa.Connection, run_ids: Sequence[str]) -> list[Row]:
    """These runs as search_runs gives them, in this order; those that the store does not have are left out."""
    rows = {row["run_id"]: row for row in _runs(conn, run.c.run_id.in_(run_ids))}
    return [rows[each] for each in run_ids if each in rows]


def is_registered(conn: sa.Connection, model: str) -> bool:
    """Whether a registered model of that name has a version of a run."""
    return bool(conn.scalar(sa.select(sa.exists().where(registered_version.c.name == model))))


def data_of_runs(conn: sa.Connection, run_ids: Sequence[str]) -> dict[str, dict[str, list[Row]]]:
    """What the SQL executions of each of these runs read and wrote: `inputs` and `outputs`, each thing once."""
    applications = sa.select(link.c.application_id).where(link.c.run_id.in_(run_ids))
    rows = conn.execute(
        sa.select(sql_execution.c.run_id, sql_execution.c.inputs, sql_execution.c.outputs)
        .where(sql_execution.c.application_id.in_(applications), sql_execution.c.run_id.in_(run_ids))
        .order_by(sql_execution.c.application_id, sql_execution.c.execution_id)
    )
    found: dict[str, dict[str, list[Row]]] = {each: {"inputs": [], "outputs": []} for each in run_ids}
    for run_id, inputs, outputs in rows:
        for said, kept in ((inputs, found[run_id]["inputs"]), (outputs, found[run_id]["outputs"])):
            kept += [each for each in said or () if each not in kept]
    return found


def spark_properties_of(conn: sa.Connection, application_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """The configuration of each of these applications, as far as it is known, by the applications' row ids."""
    c = application_conf.c
    rows = conn.execute(sa.select(c.application_id, c.spark_properties).where(c.application_id.in_(application_ids)))
    return {application_id: properties or {} for application_id, properties in rows}


def run_details(conn: sa.Connection, run_id: str) -> Row | None:
    """The run in the form of the journal's `Run` object, as far as the store knows it; None where it does not."""
    return known_run_details(conn, [run_id]).get(run_id)


def known_run_details(conn: sa.Connection, run_ids: Sequence[str]) -> dict[str, Row]:
    """`run_details` of those of the runs that the store has, by run id."""
    of = sa.and_(experiment.c.server == run.c.server, experiment.c.experiment_id == run.c.experiment_id)
    rows = conn.execute(
        sa.select(*run.c, experiment.c.name.label("experiment_name"))
        .select_from(run.outerjoin(experiment, of))
        .where(run.c.run_id.in_(run_ids))
    )
    return {row["run_id"]: _details(row) for row in rows.mappings()}


def _details(row: sa.RowMapping) -> Row:
    details = {name: row[column] for name, column in _DETAILS.items()}
    return details | {name: row[name] for name in _LATE_DETAILS if row[name] is not None}


_SAME_NAME = (
    "run_id", "experiment_id", "experiment_name", "status", "start_time", "end_time", "lifecycle_stage",
    "source_name", "source_type", "artifact_uri", "params", "metrics", "tags",
)  # fmt: skip
_DETAILS = {name: name for name in _SAME_NAME} | {"run_name": "name", "user": "user_name"}
_LATE_DETAILS = ("outputs", "outputs_complete", "registered_versions")
