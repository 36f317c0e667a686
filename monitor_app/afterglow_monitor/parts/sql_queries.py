"""The SQL queries of an application: which jobs and which run each had, and how Spark went about it."""

from __future__ import annotations

from datetime import tzinfo

import streamlit as st

from afterglow_monitor import browser_address, data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.listing.grid import Column, grid
from afterglow_monitor.parts import details, status

MOST_CHARACTERS = 200_000  # of a plan
COLUMNS = (
    Column("Query", 70, right=True),
    Column("Description", 380),
    Column("Status", 112, config=status.column(("RUNNING", "COMPLETED", "FAILED"))),
    Column("Start", 130),
    Column("Duration", 104, right=True),
    Column("Run", 190),
    Column("Jobs", 110),
    Column("Reads", 240),
    Column("Writes", 240),
    Column("Error", 300),
)


def show(row: Row, zone: tzinfo, now: int) -> None:
    queries = data.sql_executions_of(row["id"])
    if not queries:
        details.nothing("No SQL queries", "Everything that goes through DataFrames or Spark SQL appears here.")
        return
    jobs: dict[int, list[Row]] = {}
    for job in reversed(data.jobs_of(row["id"])):
        if job["execution_id"] is not None:
            jobs.setdefault(job["execution_id"], []).append(job)
    cells = [_cells(each, jobs.get(each["execution_id"], []), zone, now) for each in queries]
    targets = [places.application(row, tab="sql", query=str(each["execution_id"])) for each in queries]
    grid("sql", COLUMNS, cells, targets)
    asked = browser_address.value("query")
    chosen = next((each for each in queries if str(each["execution_id"]) == asked), None)
    if chosen is None:
        st.caption("Click on a query to read its plan.")
    else:
        _one(chosen, jobs.get(chosen["execution_id"], []))


def _cells(query: Row, jobs: list[Row], zone: tzinfo, now: int) -> Row:
    numbers = [str(each["job_id"]) for each in jobs]
    return {
        "Query": str(query["execution_id"]),
        "Description": fmt.named(query["description"]),
        "Run": ", ".join(_run_names(query, jobs).values()) or fmt.NOTHING,
        "Jobs": ", ".join([*numbers[:6], *([f"+{len(numbers) - 6}"] if len(numbers) > 6 else [])]) or fmt.NOTHING,
        "Reads": details.files(query["inputs"]),
        "Writes": details.files(query["outputs"]),
        **details.work_cells(query, zone, now=now),
    }


def _run_names(query: Row, jobs: list[Row]) -> dict[str, str]:
    """The run that it served, by what was noted of the query or by its jobs; by run id."""
    named = {each["run_id"]: fmt.named(each["run_name"]) for each in jobs if each["run_id"]}
    if query["run_id"] and query["run_id"] not in named:
        named[query["run_id"]] = f"{query['run_id'][:8]}…"
    return named


def _one(query: Row, jobs: list[Row]) -> None:
    details.section(fmt.verbatim(f"Query {query['execution_id']}: {fmt.named(query['description'])}"))
    with st.container(horizontal=True, gap="small"):
        for run_id, name in _run_names(query, jobs).items():
            places.link(name, places.run(run_id), icon=":material/experiment:")
    if query["error"]:
        st.text(fmt.short(query["error"], 2_000))
    if query["plan"]:
        st.code(query["plan"][:MOST_CHARACTERS], language=None, height=480)
    else:
        st.caption("Its plan was not written down.")
