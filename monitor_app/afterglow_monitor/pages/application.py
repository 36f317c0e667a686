"""One Spark application: what it was, the items that it left behind, and what it did to make them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo

import streamlit as st

from afterglow_monitor import address, browser_address, data, live, places
from afterglow_monitor import format as fmt
from afterglow_monitor.charting import series, timeline
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_monitor.listing.grid import Column, table
from afterglow_monitor.listing.ordered import Keys, by, ordered
from afterglow_monitor.parts import (
    details,
    item_tree,
    skew,
    spark_jobs,
    spark_ui,
    sql_queries,
    status,
    submit_line,
    troubles,
)
from afterglow_store.errors import NotFound

TABS = {
    "items": "Item snapshots",
    "timeline": "Timeline",
    "jobs": "Jobs",
    "stages": "Stages",
    "sql": "SQL",
    "data": "Data",
    "executors": "Executors",
    "conf": "Configuration",
    "errors": "Errors",
    "history": "History",
}
REFRESH_SECONDS = 2.0  # while it runs


def show() -> None:
    try:
        row = _read()
    except NotFound as exc:
        places.not_found("Application", str(exc))
        return
    running = row["status"] == "RUNNING"
    live.part(REFRESH_SECONDS if running else None)(_body)(running)


def _read() -> Row:
    start = browser_address.value("start")
    return data.application(browser_address.value("id"), int(start) if start.isdecimal() else None)


def _body(running: bool) -> None:
    """`running`: when the page was drawn."""
    row, zone, now = _read(), fmt.zone(st.context.timezone), now_ms()
    _header(row, zone, now=now)
    _progress(row)
    tab = address.open_tab(TABS)
    address.follow("application tab", TABS[tab])
    panels = st.tabs(list(TABS.values()), key="application tab", on_change=_change_tab)
    with panels[list(TABS).index(tab)]:
        _DRAW[tab](row, zone, now)
    if running and row["status"] != "RUNNING" and browser_address.by_itself():
        st.rerun()  # as a page that does not draw itself again, which would close what is opened on it


def _change_tab() -> None:
    tab = next(key for key, label in TABS.items() if label == st.session_state["application tab"])
    address.change(tab=None if tab == "items" else tab, sort=None)


def _header(row: Row, zone: tzinfo, *, now: int) -> None:
    places.trail(("Monitor", places.monitor()), here=row["name"])
    details.title(row["name"], row["status"])
    details.reason(row["status"], row["status_reason"])
    details.facts(
        "header",
        {
            **details.span_facts(row, zone, now=now),
            "User": row["user_name"],
            "Master": row["master"],
            "Spark": row["spark_version"],
            "Attempt": row["attempt"],
            "Runs": fmt.with_failed(row["runs"], row["failed_runs"]),
            "Jobs": fmt.with_failed(row["jobs"], row["failed_jobs"]),
            "Core time": details.core_fact(row["core_seconds"]),
            "Outside of runs": details.core_fact(row["overhead_core_seconds"]),
            "Allocated": details.core_fact(row["allocated_core_seconds"]),
            "Idle": fmt.share(row["idle_share"]),
            "Executors": _executors_in_short(data.executors_of(row["id"])),
            "Events lost": fmt.count(row["lost_events"]) if row["lost_events"] else None,
        },
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        details.copyable(row["app_id"])
        spark_ui.link(row, row["spark_properties"] or {})


MOST_BARS = 5


def _progress(row: Row) -> None:
    """A bar for each running job, as the last heartbeat had it."""
    jobs = data.progress_of(row["id"]) if row["status"] == "RUNNING" else []
    for each in jobs[:MOST_BARS]:
        done = min(each["tasks_done"], each["tasks"])
        st.progress(
            done / max(1, each["tasks"]),
            text=f"Job {each['job_id']}: {done:,} of {fmt.counted(each['tasks'], 'task')}, "
            f"{each['stages_done']:,} of {fmt.counted(each['stages'], 'stage')}",
        )
    if len(jobs) > MOST_BARS:
        st.caption(f"and {fmt.counted(len(jobs) - MOST_BARS, 'more running job')}")


def _executors_in_short(executors: list[Row]) -> str:
    working = [each for each in executors if each["executor_id"] != "driver"] or executors
    return f"{len(working)}  ·  {sum(each['cores'] or 0 for each in working)} cores"


def _jobs(row: Row, zone: tzinfo, now: int) -> None:
    stages = {row["id"]: data.stages_by_job(row["id"])}
    spark_jobs.show("jobs", data.jobs_of(row["id"]), stages, zone, now=now, of_run=False)


STAGES = (
    Column("Stage", 70, "stage", right=True),
    Column("Name", 240, "name"),
    Column("Status", 112, "status", config=status.column(("RUNNING", "COMPLETE", "FAILED"))),
    Column("Start", 130, "start_time"),
    Column("Duration", 104, "duration", right=True),
    Column("Job", 60, "job", right=True),
    Column("Run", 150, "run"),
    Column("Tasks", 130, "tasks", right=True),
    Column("Skew", 190, "skew", right=True),
    Column("Task p50  ·  p95  ·  max", 190, "longest_task", right=True),
    Column("Slowest task", 340),
    Column("Core time", 108, "core_ms", right=True),
    *details.DATA_COLUMNS,
    Column("Error", 300),
)


def _stages(row: Row, zone: tzinfo, now: int) -> None:
    found = data.stages_of(row["id"])
    if not found:
        details.nothing("No stages", "This application has run no Spark job yet.")
        return
    runs = {job["job_id"]: fmt.named(job["run_name"]) for job in data.jobs_of(row["id"]) if job["run_id"]}
    view = address.order()
    stages = ordered([each | {"run": runs.get(each["job_id"])} for each in found], view, _stage_keys(now))
    table("stages", STAGES, [
        {
            "Stage": f"{each['stage_id']}" + (f".{each['attempt']}" if each["attempt"] else ""),
            "Name": fmt.named(each["name"]),
            "Job": fmt.count(each["job_id"]),
            "Run": each["run"] or fmt.NOTHING,
            "Tasks": details.tasks(each),
            "Skew": skew.of_stage(each),
            "Task p50  ·  p95  ·  max": details.task_times(each["skew"]),
            "Slowest task": details.slowest_task(each["skew"]),
            "Core time": fmt.core_time((each["core_ms"] or 0) / 1000),
            **details.data_cells(each),
            **details.work_cells(each, zone, now=now),
        }
        for each in stages
    ], view=view)  # fmt: skip


def _stage_keys(now: int) -> Keys:
    return {
        **details.work_keys(now=now),
        **details.data_keys(),
        **by("name", "run", "tasks", "core_ms"),
        "stage": lambda each: (each["stage_id"], each["attempt"]),
        "job": lambda each: each["job_id"],
        "skew": skew.worst,
        "longest_task": lambda each: ((each["skew"] or {}).get("duration_ms") or {}).get("max"),
    }


DATA = (
    Column("", 80, "how"),
    Column("Format", 100, "format"),
    Column("Where", 620, "where"),
    Column("Queries", 90, "queries", right=True),
    Column("Runs", 320, "runs"),
)


def _data(row: Row, zone: tzinfo, now: int) -> None:
    """Each thing once, with the queries and runs that read or wrote it."""
    names = {run["run_id"]: fmt.named(run["name"]) for run in timeline.flat(_runs_of(row))}
    found: dict[tuple[str, str, str], list[Row]] = {}
    for query in reversed(data.sql_executions_of(row["id"])):
        for how, said in (("Read", query["inputs"]), ("Written", query["outputs"])):
            for each in said or ():
                where = each.get("table") or each.get("path") or fmt.NOTHING
                found.setdefault((how, each.get("format") or fmt.NOTHING, where), []).append(query)
    if not found:
        details.nothing("No data", "Files and tables that its queries read and write appear here.")
        return
    rows = [
        {
            "how": how,
            "format": fmt.short(format_, 60),
            "where": fmt.short(where, 1_000),
            "queries": len(queries),
            "runs": ", ".join(dict.fromkeys(names[each["run_id"]] for each in queries if each["run_id"] in names)),
        }
        for (how, format_, where), queries in found.items()
    ]
    view = address.order()
    shown = ordered(rows, view, by("how", "format", "where", "queries", "runs"))
    table("data", DATA, [
        {"": each["how"], "Format": each["format"], "Where": each["where"], "Queries": fmt.count(each["queries"]),
         "Runs": each["runs"]}
        for each in shown
    ], view=view)  # fmt: skip


def _runs_of(row: Row) -> list[Row]:
    return [run for experiment in data.items_of(row["id"]) for run in experiment["items"]]


EXECUTORS = (
    Column("Executor", 90, "executor"),
    Column("Host", 220, "host"),
    Column("Cores", 70, "cores", right=True),
    Column("Added", 210, "added_time"),
    Column("Removed", 210, "removed_time"),
    Column("Reason", 400),
)
_EXECUTOR_KEYS: Keys = {
    **by("host", "cores", "added_time", "removed_time"),
    "executor": lambda each: (each["executor_id"].isdecimal(), len(each["executor_id"]), each["executor_id"]),
}


def _executors(row: Row, zone: tzinfo, now: int) -> None:
    view = address.order()
    table("executors", EXECUTORS, [
        {
            "Executor": each["executor_id"],
            "Host": each["host"],
            "Cores": fmt.count(each["cores"]),
            "Added": fmt.when(each["added_time"], zone, now=now),
            "Removed": fmt.when(each["removed_time"], zone, now=now),
            "Reason": fmt.short(each["removed_reason"], 300),
        }
        for each in ordered(data.executors_of(row["id"]), view, _EXECUTOR_KEYS)
    ], view=view)  # fmt: skip


def _configuration(row: Row, zone: tzinfo, now: int) -> None:
    known = row["spark_properties"] or {}
    if known:
        with st.expander("The spark-submit line to repeat it", icon=":material/terminal:"):
            sources = {run["source_name"] for run in timeline.flat(_runs_of(row)) if run["source_name"]}
            script = sources.pop() if len(sources) == 1 else None
            st.code(submit_line.line(known, master=row["master"], name=row["name"], script=script), language="bash")
    properties = {**known, **(row["jvm"] or {})}
    details.name_values("configuration", properties, "Property", search="Search in names and values")


_DRAW: dict[str, Callable[[Row, tzinfo, int], None]] = {
    "items": item_tree.show,
    "timeline": timeline.show,
    "jobs": _jobs,
    "stages": _stages,
    "sql": sql_queries.show,
    "data": _data,
    "executors": _executors,
    "conf": _configuration,
    "errors": troubles.show,
    "history": series.show,
}
