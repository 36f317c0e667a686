"""The SQL queries of an application: which jobs and which run each had, and how Spark went about it."""

from __future__ import annotations

from datetime import tzinfo

import streamlit as st

from afterglow_monitor import address, browser_address, data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.listing.grid import Column, grid
from afterglow_monitor.listing.ordered import Keys, ordered
from afterglow_monitor.parts import details, status

MOST_CHARACTERS = 200_000  # of a plan
COLUMNS = (
    Column("Query", 70, "query", right=True),
    Column("Description", 380, "description"),
    Column("Status", 112, "status", config=status.column(("RUNNING", "COMPLETED", "FAILED"))),
    Column("Start", 130, "start_time"),
    Column("Duration", 104, "duration", right=True),
    Column("Run", 190, "run"),
    Column("Jobs", 110, "jobs"),
    Column("Reads", 240, "reads"),
    Column("Writes", 240, "writes"),
    Column("Error", 300),
)


def show(row: Row, zone: tzinfo, now: int) -> None:
    found = data.sql_executions_of(row["id"])
    if not found:
        details.nothing("No SQL queries", "Everything that goes through DataFrames or Spark SQL appears here.")
        return
    jobs: dict[int, list[Row]] = {}
    for job in reversed(data.jobs_of(row["id"])):
        if job["execution_id"] is not None:
            jobs.setdefault(job["execution_id"], []).append(job)
    view = address.order()
    queries = ordered([each | _seen(each, jobs.get(each["execution_id"], [])) for each in found], view, _keys(now))
    sort, asked = browser_address.value("sort"), browser_address.value("query")
    targets = [places.application(row, tab="sql", sort=sort, query=str(each["execution_id"])) for each in queries]
    grid("sql", COLUMNS, [_cells(each, zone, now) for each in queries], targets, view=view)
    chosen = next((each for each in queries if str(each["execution_id"]) == asked), None)
    if chosen is None:
        st.caption("Click on a query to read its plan.")
    else:
        _one(chosen)


def _seen(query: Row, jobs: list[Row]) -> Row:
    """What is shown of a query and is not in its row."""
    return {
        "runs": _run_names(query, jobs),
        "jobs": [each["job_id"] for each in jobs],
        "reads": details.files(query["inputs"]),
        "writes": details.files(query["outputs"]),
    }


def _keys(now: int) -> Keys:
    return {
        **details.work_keys(now=now),
        "query": lambda query: query["execution_id"],
        "description": lambda query: fmt.named(query["description"]).lower(),
        "run": lambda query: ", ".join(query["runs"].values()) or None,
        "jobs": lambda query: len(query["jobs"]) or None,
        "reads": lambda query: None if query["reads"] == fmt.NOTHING else query["reads"],
        "writes": lambda query: None if query["writes"] == fmt.NOTHING else query["writes"],
    }


def _cells(query: Row, zone: tzinfo, now: int) -> Row:
    numbers = [str(each) for each in query["jobs"]]
    return {
        "Query": str(query["execution_id"]),
        "Description": fmt.named(query["description"]),
        "Run": ", ".join(query["runs"].values()) or fmt.NOTHING,
        "Jobs": ", ".join([*numbers[:6], *([f"+{len(numbers) - 6}"] if len(numbers) > 6 else [])]) or fmt.NOTHING,
        "Reads": query["reads"],
        "Writes": query["writes"],
        **details.work_cells(query, zone, now=now),
    }


def _run_names(query: Row, jobs: list[Row]) -> dict[str, str]:
    """The run that it served, by what was noted of the query or by its jobs; by run id."""
    named = {each["run_id"]: fmt.named(each["run_name"]) for each in jobs if each["run_id"]}
    if query["run_id"] and query["run_id"] not in named:
        named[query["run_id"]] = f"{query['run_id'][:8]}…"
    return named


def _one(query: Row) -> None:
    details.section(fmt.verbatim(f"Query {query['execution_id']}: {fmt.named(query['description'])}"))
    with st.container(horizontal=True, gap="small"):
        for run_id, name in query["runs"].items():
            places.link(name, places.run(run_id), icon=":material/experiment:")
    if query["error"]:
        st.text(fmt.short(query["error"], 2_000))
    if query["plan"]:
        st.code(query["plan"][:MOST_CHARACTERS], language=None, height=480)
    else:
        st.caption("Its plan was not written down.")
