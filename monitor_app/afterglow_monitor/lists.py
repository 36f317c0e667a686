"""The three lists: applications, experiments, runs. The same wherever they are shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any

from afterglow_monitor import format as fmt
from afterglow_monitor import grid, places, status
from afterglow_monitor.address import View
from afterglow_monitor.data import Row
from afterglow_monitor.grid import Column
from afterglow_store.suggest import Suggestion

STATUS_OF_APPLICATIONS = Column("Status", 108, "status", config=status.column(status.APPLICATION_STATUSES))
STATUS_OF_RUNS = Column("Status", 108, "status", config=status.column(status.RUN_STATUSES))

APPLICATIONS = (
    Column("Name", 222, "name"),
    STATUS_OF_APPLICATIONS,
    Column("Start", 196, "start_time"),
    Column("Duration", 96, right=True),
    Column("User", 84, "user_name"),
    Column("Runs", 108, "runs", right=True),
    Column("Jobs", 116, "jobs", right=True),
    Column("Core time", 88, "core_ms", right=True),
    Column("Experiments", 92, right=True),
    Column("Master", 92),
    Column("App ID", 176),
)
EXPERIMENTS = (
    Column("Name", 320),
    Column("Last run", 210),
    Column("Runs", 84, right=True),
    Column("Failed", 84, right=True),
    Column("Running", 84, right=True),
    Column("Applications", 104, right=True),
    Column("Users", 84, right=True),
    Column("Core time", 108, right=True),
    Column("Server", 220),
)
RUNS = (
    Column("Name", 230, "name"),
    STATUS_OF_RUNS,
    Column("Start", 196, "start_time"),
    Column("Duration", 96, right=True),
    Column("Experiment", 160),
    Column("Application", 160),
    Column("User", 90, "user_name"),
    Column("Metrics", 280),
    Column("Source", 120, "source_name"),
    Column("Registered version", 150),
)
# Of runs without an application the columns say instead which it may be.
SUGGESTED = (Column("Suggested application", 170), Column("Because", 420))
_UNLINKED_KEY = "{} unlinked"
_UNLINKED = tuple(each for column in RUNS for each in (SUGGESTED if column.name == "Application" else (column,)))


def applications(key: str, rows: list[Row], view: View, zone: tzinfo, *, now: int) -> None:
    def cells(row: Row) -> dict[str, Any]:
        return {
            "Name": fmt.named(row["name"]),
            "Status": [status.label(row["status"])],
            "Start": fmt.when(row["start_time"], zone, now=now),
            "Duration": fmt.lasting(row, now=now),
            "User": fmt.short(row["user_name"], 60),
            "Runs": fmt.with_failed(row["runs"], row["failed_runs"]),
            "Jobs": fmt.with_failed(row["jobs"], row["failed_jobs"]),
            "Core time": fmt.core_time(row["core_seconds"]),
            "Experiments": fmt.count(row["experiments"]),
            "Master": fmt.short(row["master"], 60),
            "App ID": fmt.short(row["app_id"], 80),
        }

    _draw(key, APPLICATIONS, rows, cells, places.application, view)


def experiments(key: str, rows: list[Row], zone: tzinfo, *, now: int) -> None:
    def cells(row: Row) -> dict[str, Any]:
        return {
            "Name": fmt.named(row["name"]),
            "Last run": fmt.when(row["last_run_time"], zone, now=now),
            "Runs": fmt.count(row["runs"]),
            "Failed": fmt.count(row["failed_runs"]),
            "Running": fmt.count(row["running_runs"]),
            "Applications": fmt.count(row["applications"]),
            "Users": fmt.count(row["users"]),
            "Core time": fmt.core_time(row["core_seconds"]),
            "Server": fmt.in_workspace(row["server"], row["workspace"]),
        }

    def target(row: Row) -> places.Place:
        return places.experiment(row["server"], row["experiment_id"])

    _draw(key, EXPERIMENTS, rows, cells, target, None)


def key_of(key: str, view: View) -> str:
    """Of a list of runs: Streamlit keeps what it knows of a list by its key, and with other columns it is another."""
    return _UNLINKED_KEY.format(key) if view.unlinked else key


def leave_if_clicked(key: str) -> None:
    """As the grid's, of a list of runs of either key: the click has changed the address already."""
    for each in (key, _UNLINKED_KEY.format(key)):
        grid.leave_if_clicked(each)


def runs(
    key: str,
    rows: list[Row],
    view: View | None,
    zone: tzinfo,
    *,
    now: int,
    without: tuple[str, ...] = (),
    choose: bool = False,
) -> None:
    """`without`: columns that say the same in each row here. `choose`: whether runs can be selected."""
    of_list = _UNLINKED if view is not None and view.unlinked else RUNS
    columns = tuple(column for column in of_list if column.name not in without)
    ids = [row["run_id"] for row in rows] if choose else []
    cells = [run_cells(row, zone, now=now) for row in rows]
    grid.grid(key, columns, cells, [places.run(row["run_id"]) for row in rows], view=view, ids=ids)


def run_cells(row: Row, zone: tzinfo, *, now: int) -> dict[str, Any]:
    return {
        "Name": fmt.named(row["name"]),
        "Status": [status.label(row["effective_status"])],
        "Start": fmt.when(row["start_time"], zone, now=now),
        "Duration": fmt.lasting(row, now=now),
        "Experiment": fmt.in_workspace(row["experiment"], row["workspace"]),
        "Application": ", ".join(fmt.named(each["name"]) for each in row["applications"]) or fmt.NOTHING,
        **_suggested_cells(row.get("suggestion")),
        "User": fmt.short(row["user_name"], 60),
        "Metrics": fmt.metrics(row["metrics"]),
        "Source": fmt.source(row["source_name"]),
        "Registered version": fmt.versions(row["registered_versions"]),
    }


def _suggested_cells(found: Suggestion | None) -> dict[str, str]:
    if found is None:
        return {column.name: fmt.NOTHING for column in SUGGESTED}
    return {"Suggested application": fmt.named(found.name), "Because": fmt.short(found.why, 300)}


def _draw(
    key: str,
    columns: tuple[Column, ...],
    rows: list[Row],
    cells: Callable[[Row], dict[str, Any]],
    target: Callable[[Row], places.Place],
    view: View | None,
) -> None:
    grid.grid(key, columns, [cells(row) for row in rows], [target(row) for row in rows], view=view)
