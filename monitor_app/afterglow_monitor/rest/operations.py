"""The routes of the read API. Names are Spark's where its REST API has them, else MLflow's.

Each reads through the store functions that the pages and the command line use, and answers with rows of public.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from afterglow_monitor import public
from afterglow_monitor.rest.declared import Answer, Asked, Operation, Param, Row, page_answer
from afterglow_store import Page, Query, diff, items, parse_window, search, snapshots
from afterglow_store.search.deadline import deadline
from afterglow_store.usage import BY, usage
from afterglow_store.windows import parse_time

MOST_RESULTS = 1_000
MOST_GROUPS = 10_000
USAGE_SECONDS = 10.0  # it goes through every job of the time
_TIME = "7d, 24h, 90m, 2026-11-01, 2026-11-01T14:30, or all"

# Parameters -------------------------------------------------------------------------------------------------------


def _text(name: str, description: str, most: int = 300, **more: Any) -> Param:
    return Param(name, {"type": "string", "maxLength": most, **more}, description)


def _several(name: str, description: str) -> Param:
    one = {"type": "string", "maxLength": 200}
    return Param(name, {"type": "array", "items": one, "maxItems": 50}, f"{description}; may be repeated")


def _in_path(name: str, description: str, **more: Any) -> Param:
    schema = {"type": "string", "minLength": 1, "maxLength": 500, **more}
    return Param(name, schema, description, where="path", required=True)


def _most(default: int, most: int) -> Param:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return Param("max_results", schema, "at most this many")


SINCE = _text("since", f"started since: {_TIME}", default="30d")
UNTIL = _text("until", "started before: the same forms")
ACTIVE = Param("active", {"type": "boolean", "default": False}, "also what began before `since` and had not ended then")
STATUS = _several("status", "only with this status")
FILTER = _text("filter", "only what it says: docs/filters.md", 5_000)
ORDER_BY = _text("order_by", "such as `metrics.rmse DESC, start_time`; without it the newest come first", 500)
TEXT = _text("text", "only with this in a name or id, whatever its case")
APP = _text("app", "only of this application: its Spark id or its name")
EXPERIMENT = _text("experiment", "only of this experiment: its id or its name")
SERVER = _text("server", "only of this MLflow server, by its name in the settings")
USER = _several("user", "only of this user")
LINKED = Param("linked", {"type": "boolean"}, "only with, or without, a link to an application")
PAGE = (
    _most(100, MOST_RESULTS),
    _text("page_token", "`next_page_token` of the page before", 20_000, pattern="^[A-Za-z0-9_-]*$"),
)
APP_ID = _in_path("app_id", "Spark's application id: of several with it the latest, unless start_time says which")
START_TIME = _text("start_time", "of several applications with one id the one that started then, as its row says")
RUN_ID = _in_path("run_id", "MLflow's id of the run")
SNAPSHOT_ID = Param(
    "snapshot_id", {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, "its number", where="path", required=True
)
_WINDOW = (SINCE, UNTIL, STATUS, FILTER, TEXT, APP, EXPERIMENT, SERVER)

# Lists ------------------------------------------------------------------------------------------------------------


def query_of(asked: Asked, **which: Any) -> Query:
    """What a list's parameters say. Raises BadWindow."""
    return Query(
        window=parse_window(asked["since"], asked["until"], now=asked.now),
        filter=asked["filter"] or "",
        statuses=tuple(each.upper() for each in asked["status"] or ()),
        text=asked["text"] or "",
        app=asked["app"],
        experiment=asked["experiment"],
        server=asked["server"],
        users=tuple(asked["user"] or ()),
        linked=asked["linked"],
        order_by=asked["order_by"] or Query.order_by,
        limit=asked["max_results"] or MOST_RESULTS,
        after=asked.after,
        count=False,
        active=bool(asked["active"]),
        now=asked.now,
        **which,
    )


def _applications(conn: sa.Connection, asked: Asked) -> Answer:
    return page_answer("applications", search.search_applications(conn, query_of(asked)), public.public_application)


def _experiments(conn: sa.Connection, asked: Asked) -> Answer:
    return page_answer("experiments", search.experiments_with_best(conn, query_of(asked)), public.public_experiment)


def _runs(conn: sa.Connection, asked: Asked) -> Answer:
    return page_answer("runs", search.search_runs(conn, query_of(asked)), public.public_run)


def _found(conn: sa.Connection, asked: Asked) -> Answer:
    query = query_of(asked)
    return Answer({
        "applications": [public.public_application(row) for row in search.search_applications(conn, query).rows],
        "experiments": [public.public_experiment(row) for row in search.experiments_with_best(conn, query).rows],
        "runs": [public.public_run(row) for row in search.search_runs(conn, query).rows],
    })  # fmt: skip


def _facets(conn: sa.Connection, asked: Asked) -> Answer:
    names = asked["facet"] or search.FACETS
    found = search.facets(conn, query_of(asked), names, most=asked["max_results"])
    return Answer({"facets": {name: [public.public_facet(row) for row in rows] for name, rows in found.items()}})


def _usage(conn: sa.Connection, asked: Asked) -> Answer:
    with deadline(conn, USAGE_SECONDS):
        rows = usage(conn, asked["by"], parse_window(asked["since"], asked["until"], now=asked.now))
    return Answer({"usage": [public.public_usage(row) for row in rows[: asked["max_results"]]], "total": len(rows)})


# Applications -----------------------------------------------------------------------------------------------------


def _application_row(conn: sa.Connection, asked: Asked) -> Row:
    """Raises NotFound."""
    if asked["start_time"] is None:
        return items.application_by_app_id(conn, asked["app_id"])
    start = parse_time(asked["start_time"], now=asked.now)
    return items.application_by_start(conn, asked["app_id"], start)


def _application(conn: sa.Connection, asked: Asked) -> Answer:
    row = _application_row(conn, asked)
    more = {name: row[name] or {} for name in ("spark_properties", "jvm")}
    return Answer({**public.public_application(row), **more, "last_heard_time": public.iso(row["last_heard_time"])})


def _items(conn: sa.Connection, asked: Asked) -> Answer:
    query = query_of(asked, application_id=_application_row(conn, asked)["id"])
    return page_answer("runs", search.search_runs(conn, query), public.public_run)


def _part(
    name: str, find: Callable[[sa.Connection, Query], Page], form: Callable[[Row], Row]
) -> Callable[[sa.Connection, Asked], Answer]:
    def read(conn: sa.Connection, asked: Asked) -> Answer:
        query = query_of(asked, application_id=_application_row(conn, asked)["id"])
        return page_answer(name, find(conn, query), form)

    return read


# One thing --------------------------------------------------------------------------------------------------------


def _experiment(conn: sa.Connection, asked: Asked) -> Answer:
    server = asked["server"]
    if server is None:
        server, _ = items.experiment_by_name(conn, asked["experiment_id"])
    return Answer(public.public_experiment(items.experiment_by_id(conn, server, asked["experiment_id"])))


def _run(conn: sa.Connection, asked: Asked) -> Answer:
    row = items.run_by_id(conn, asked["run_id"])
    return Answer({**public.public_run(row), "child_run_ids": [each["run_id"] for each in row["children"]]})


def _jobs_of_run(conn: sa.Connection, asked: Asked) -> Answer:
    items.run_by_id(conn, asked["run_id"])
    return page_answer("jobs", search.search_jobs(conn, query_of(asked), asked["run_id"]), public.public_job)


# Snapshots --------------------------------------------------------------------------------------------------------


def _snapshots(conn: sa.Connection, asked: Asked) -> Answer:
    of = snapshots.Of(
        asked["run_id"],
        items.experiment_by_name(conn, asked["experiment"]) if asked["experiment"] is not None else None,
        items.application_by_app_id(conn, asked["app"])["id"] if asked["app"] is not None else None,
    )
    return page_answer("snapshots", snapshots.search_snapshots(conn, of, query_of(asked)), public.public_snapshot)


def _snapshot(conn: sa.Connection, asked: Asked) -> Answer:
    row = snapshots.by_id(conn, asked["snapshot_id"])
    head = {"id": row["id"], "run_id": row["item_id"], "taken_time": public.iso(row["taken_time"])}
    return Answer({**head, "cause": row["cause"], "content": row["content"]})


def _diff(conn: sa.Connection, asked: Asked) -> Answer:
    after = None if asked["after"] == "now" else int(asked["after"])
    found = diff.of_snapshots(conn, asked["snapshot_id"], after)
    return Answer({"changes": [public.public_change(each) for each in found]})


_AFTER = _text(
    "after", "another snapshot by its number, or now: the run as it is", default="now",
    pattern="^(now|[0-9]{1,18})$",
)  # fmt: skip
_BY = Param("by", {"type": "string", "enum": list(BY), "default": "experiment"}, "what to add up by")
_FACET = Param(
    "facet",
    {"type": "array", "items": {"type": "string", "enum": list(search.FACETS)}, "maxItems": len(search.FACETS)},
    "only these; may be repeated",
)
_OF_APP = (APP_ID, START_TIME)
_OF_PART = (*_OF_APP, *PAGE)

OPERATIONS = (
    Operation(
        "/applications", "search_applications", "Spark applications, newest first", "Applications", _applications,
        (*_WINDOW, USER, ACTIVE, ORDER_BY, *PAGE), paged=True,
    ),
    Operation(
        "/applications/{app_id}", "get_application", "One application, with its configuration", "ApplicationDetails",
        _application, _OF_APP,
    ),
    Operation(
        "/applications/{app_id}/items", "list_items", "The MLflow runs of an application", "Runs", _items,
        (*_OF_APP, STATUS, FILTER, ORDER_BY, *PAGE), paged=True,
    ),
    Operation(
        "/applications/{app_id}/jobs", "list_jobs", "Its Spark jobs, newest first, each with the run that it served",
        "Jobs", _part("jobs", search.search_jobs, public.public_job), (*_OF_APP, STATUS, *PAGE), paged=True,
    ),
    Operation(
        "/applications/{app_id}/stages", "list_stages", "Its stage attempts, newest first", "Stages",
        _part("stages", search.search_stages, public.public_stage), (*_OF_APP, STATUS, *PAGE), paged=True,
    ),
    Operation(
        "/applications/{app_id}/sql", "list_sql_executions", "Its SQL queries, newest first", "SqlExecutions",
        _part("sql_executions", search.search_sql_executions, public.public_sql_execution),
        (*_OF_APP, STATUS, *PAGE), paged=True,
    ),
    Operation(
        "/applications/{app_id}/executors", "list_executors", "Its executors, in the order in which they came",
        "Executors", _part("executors", search.search_executors, public.public_executor), _OF_PART, paged=True,
    ),
    Operation(
        "/experiments", "search_experiments", "MLflow experiments by their newest run; the window and the statuses "
        "select the runs that are counted", "Experiments", _experiments, (*_WINDOW, ORDER_BY, *PAGE), paged=True,
    ),
    Operation(
        "/experiments/{experiment_id}", "get_experiment", "One experiment, with what all its runs add up to",
        "Experiment", _experiment,
        (_in_path("experiment_id", "MLflow's id of it"), _text("server", "which, if several servers have one")),
    ),
    Operation(
        "/runs", "search_runs", "MLflow runs of all experiments, newest first, each with its Spark applications",
        "Runs", _runs, (*_WINDOW, USER, ACTIVE, LINKED, ORDER_BY, *PAGE), paged=True,
    ),
    Operation("/runs/{run_id}", "get_run", "One run", "RunDetails", _run, (RUN_ID,)),
    Operation(
        "/runs/{run_id}/jobs", "list_jobs_of_run", "The Spark jobs that a run caused, newest first", "Jobs",
        _jobs_of_run, (RUN_ID, STATUS, *PAGE), paged=True,
    ),
    Operation(
        "/snapshots", "search_snapshots", "Snapshots of runs, newest first", "Snapshots", _snapshots,
        (_text("run_id", "only of this run"), EXPERIMENT, APP, _text("since", f"taken since: {_TIME}", default="all"),
         _text("until", "taken before: the same forms"), *PAGE), paged=True,
    ),
    Operation("/snapshots/{snapshot_id}", "get_snapshot", "What a run was", "SnapshotContent", _snapshot,
              (SNAPSHOT_ID,)),
    Operation(
        "/snapshots/{snapshot_id}/diff", "diff_snapshots", "What changed from a snapshot to another one, or to now",
        "Changes", _diff, (SNAPSHOT_ID, _AFTER),
    ),
    Operation(
        "/search", "search", "What has a text in a name or id: the newest applications, experiments and runs", "Found",
        _found, (_text("text", TEXT.description), SINCE, UNTIL, ACTIVE, _most(20, 100)),
    ),
    Operation(
        "/facets", "get_facets", "How many runs have which status, user, experiment and application", "Facets",
        _facets, (*_WINDOW, USER, ACTIVE, LINKED, _FACET, _most(50, MOST_RESULTS)),
    ),
    Operation(
        "/usage", "get_usage", "What the Spark jobs of a time used, the most first; each job counts once", "Usages",
        _usage, (_BY, SINCE, UNTIL, _most(MOST_RESULTS, MOST_GROUPS)),
    ),
)  # fmt: skip
